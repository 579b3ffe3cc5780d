"""How a key names one resource, in a cloud that has no client tokens.

What is made carries its key, so that a repeat finds it. That alone lets two calls at once both find nothing
and make two. The only thing of OpenStack that a project can claim atomically by a name of its own choosing
is a port's MAC address: it is unique in a network, by a constraint of neutron's database. So each project
gets a network of its own, without addresses and switched off, in which a port stands for a key: its MAC
address is the key's digest, its device the resource. Whoever makes the port first has named the resource;
everybody else deletes what he made and returns that one. Deleting a resource deletes its port
(:func:`forget`).

A call that died in between leaves a resource without a port, which the next one with its key claims.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pitrix.errors import Conflict, ProviderError, ResourceNotFound
from providers.openstack.client import Client
from providers.openstack.mapping import Json

REGISTER = "pitrix-keys"
OWNER = "pitrix:key"
_DESCRIPTION = "Pitrix: which resource each key names. Goes with the last of them; do not use."
_ATTEMPTS = 5


def once(
    cloud: Client,
    kind: str,
    key: str,
    *,
    find: Callable[[], list[Json]],
    make: Callable[[], Json],
    read: Callable[[str], Json],
    discard: Callable[[str], object],
) -> Json:
    """The one resource of ``kind`` that ``key`` names: the one there is, or one that ``make`` makes.

    Args:
        find: All that carry the key.
        make: Makes one that carries the key; not called where there is one.
        read: One by its id; raises ResourceNotFound.
        discard: Deletes one that lost.
    """
    found = {each["id"]: each for each in find()}
    register = _Register(cloud, _mac(kind, key))
    holder = register.holder() if found else None
    if not found:
        made = make()
        found = {made["id"]: made}
    chosen = _claim(register, holder, min(found), read, found)
    for each in found.keys() - {chosen["id"]}:
        with suppress(ResourceNotFound):  # several may see that one lost
            discard(each)
    return chosen


def named(cloud: Client, kind: str, key: str) -> str | None:
    """The id of the resource that a key names, None before anybody claimed it."""
    holder = _Register(cloud, _mac(kind, key)).holder()
    return str(holder["device_id"]) if holder else None


def forget(cloud: Client, resource_id: str) -> None:
    """Drop the claim on a resource that is gone or going."""
    for port in cloud.get("network", "/ports", {"device_id": resource_id, "device_owner": OWNER})["ports"]:
        _quietly(cloud, f"/ports/{port['id']}")


def _claim(
    register: _Register, holder: Json | None, mine: str, read: Callable[[str], Json], found: dict[str, Json]
) -> Json:
    for _ in range(_ATTEMPTS):
        if holder is None:
            if register.claim(mine):
                return found[mine]
            holder = register.holder()
            continue
        named = str(holder["device_id"])
        try:
            return found.get(named) or read(named)
        except ResourceNotFound:
            register.drop(holder)
            holder = None
    raise ProviderError("OpenStack's neutron tells of a port now and not then; try again later.")


@contextmanager
def alone(cloud: Client, what: str, key: str, resource_id: str) -> Iterator[bool]:
    """Do something to a resource while no other call with the same key does; False where another is at it.

    A call that died leaves the claim: whoever gets False looks for its result, and goes on in the end.
    """
    register = _Register(cloud, _mac(what, key))
    claimed = register.claim(resource_id)
    try:
        yield claimed
    finally:
        holder = register.holder() if claimed else None
        if holder:
            register.drop(holder)


class _Register:
    """The port of one key."""

    def __init__(self, cloud: Client, mac: str) -> None:
        self._cloud = cloud
        self._mac = mac

    def holder(self) -> Json | None:
        query = {"mac_address": self._mac, "device_owner": OWNER, "project_id": self._cloud.project_id}
        ports: list[Json] = self._cloud.get("network", "/ports", query)["ports"]
        return min(ports, key=lambda port: str(port["id"]), default=None)

    def claim(self, resource_id: str) -> bool:
        """Name a resource; False when somebody else did."""
        port = {
            "network_id": _register_network(self._cloud),
            "mac_address": self._mac,
            "device_id": resource_id,
            "device_owner": OWNER,
            "admin_state_up": False,
        }
        try:
            self._cloud.call("network", "POST", "/ports", body={"port": port})
        except Conflict:  # MacAddressInUse
            return False
        return True

    def drop(self, port: Json) -> None:
        _quietly(self._cloud, f"/ports/{port['id']}")


def _register_network(cloud: Client) -> str:
    """The project's network of keys, made at its first. Of two made at once the smallest id stays."""
    if cloud.register_network:
        return cloud.register_network
    query = {"name": REGISTER, "project_id": cloud.project_id, "fields": "id"}

    def look() -> list[str]:
        return sorted(str(network["id"]) for network in cloud.get("network", "/networks", query)["networks"])

    found = look()
    if not found:
        network = {"name": REGISTER, "description": _DESCRIPTION, "admin_state_up": False}
        made = cloud.call("network", "POST", "/networks", body={"network": network})["network"]["id"]
        found = look()
        if found[0] != made:
            _quietly(cloud, f"/networks/{made}")
    cloud.register_network = found[0]
    return found[0]


def _quietly(cloud: Client, path: str) -> None:
    """Delete what may be gone."""
    with suppress(ResourceNotFound, Conflict):
        cloud.call("network", "DELETE", path)


def _mac(kind: str, key: str) -> str:
    """A locally administered unicast address (IEEE 802): 46 bits of the key's digest."""
    digest = bytearray(hashlib.sha256(f"{kind}\n{key}".encode()).digest()[:6])
    digest[0] = digest[0] & 0xFC | 0x02
    return ":".join(f"{byte:02x}" for byte in digest)
