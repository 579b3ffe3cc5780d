"""Networks: a network of neutron's with one subnet, and a router to the public network where there is one.

They are made one after the other. When the last is there the network's description gets the range of
addresses: that is what makes it available, and saves asking for the subnet ever after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import Networks, check_key
from providers.openstack import mapping, once
from providers.openstack.client import Client, known
from providers.openstack.mapping import Json
from providers.resources import Network, NetworkSpec

PREFIX = 24
"""Length of the prefix of a range that we choose: 251 machines."""

_CHOICES = 1 << (PREFIX - 8)
"""Ranges of that size in 10.0.0.0/8."""

_PRIVATE = tuple(IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_LARGEST, _SMALLEST = 8, 28


class OpenStackNetworks(Networks):
    """Networks that a project's machines are put in."""

    _cloud: Client

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        """Ranges are private ones; those of one project do not overlap, so that they can be joined."""
        key = check_key(idempotency_key)
        wanted = private(spec.cidr) if spec.cidr else None
        mapping.description(key, spec.tags, cidr="255.255.255.255/32")  # it gets one, which has to fit
        described = mapping.description(key, spec.tags)

        def make() -> Json:
            if wanted is not None:
                self._free(wanted)
            body = {"name": spec.name, "description": described}
            made: Json = self._cloud.call("network", "POST", "/networks", body={"network": body})["network"]
            return made

        made = once.once(
            self._cloud,
            "network",
            key,
            find=lambda: [each for each in self._networks() if mapping.described(each)[mapping.KEY] == key],
            make=make,
            read=self._network,
            discard=lambda network_id: self._cloud.call("network", "DELETE", f"/networks/{network_id}"),
        )
        return mapping.network(
            made if mapping.CIDR in mapping.described(made) else self._complete(made, wanted)
        )

    def get_network(self, network_id: str) -> Network:
        return mapping.network(self._network(network_id))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        found = [each for each in self._networks() if mapping.carries(mapping.described(each), tags)]
        return [mapping.network(each) for each in found]

    def delete_network(self, network_id: str) -> None:
        try:
            self._network(network_id)
        except ResourceNotFound:
            return
        ports = self._cloud.get("network", "/ports", {"network_id": network_id})["ports"]
        if any(port["device_owner"].startswith("compute:") for port in ports):
            raise Conflict("Machines are still in the network.")
        for router in self._routers(network_id):
            for port in ports:
                if port["device_id"] == router["id"]:
                    self._route(router["id"], "remove", {"port_id": port["id"]})
            self._cloud.call("network", "DELETE", f"/routers/{router['id']}")
        self._cloud.call("network", "DELETE", f"/networks/{network_id}")
        once.forget(self._cloud, network_id)

    # --- the parts of a network --------------------------------------------------------------------------

    def _complete(self, network: Json, wanted: IPv4Network | None) -> Json:
        """Make what is missing of a network, and note its range when all is there."""
        network_id = network["id"]
        query = {"network_id": network_id}
        subnets = self._cloud.get("network", "/subnets", query)["subnets"]
        subnet = min(subnets, key=lambda each: str(each["id"])) if subnets else self._subnet(network, wanted)
        outside = self.outside()
        if outside:
            self._join(network_id, subnet, outside)
        text = mapping.description_with(network, cidr=subnet["cidr"])
        body = {"network": {"description": text}}
        made: Json = self._cloud.call("network", "PUT", f"/networks/{network_id}", body=body)["network"]
        return made

    def _subnet(self, network: Json, wanted: IPv4Network | None) -> Json:
        """Two calls at once choose the same range, and neutron takes no two alike in one network."""
        cidr = str(wanted or self._choose(network["id"]))
        body = {"network_id": network["id"], "name": network["name"], "ip_version": 4, "cidr": cidr}
        try:
            made: Json = self._cloud.call("network", "POST", "/subnets", body={"subnet": body})["subnet"]
        except InvalidInput:
            subnets = self._cloud.get("network", "/subnets", {"network_id": network["id"]})["subnets"]
            if not subnets:
                raise
            made = subnets[0]
        return made

    def _join(self, network_id: str, subnet: Json, outside: str) -> None:
        """Give the network a way out. The subnet's gateway address can be one router's: of two, one stays."""
        routers = self._routers(network_id)
        if routers:
            router = routers[0]
        else:
            body = {"name": _router_name(network_id), "external_gateway_info": {"network_id": outside}}
            router = self._cloud.call("network", "POST", "/routers", body={"router": body})["router"]
        try:
            self._route(router["id"], "add", {"subnet_id": subnet["id"]})
        except (Conflict, InvalidInput):  # this router, or another, has the gateway address
            joined = self._cloud.get(
                "network", "/ports", {"network_id": network_id, "device_id": router["id"]}
            )["ports"]
            if not joined:
                self._cloud.call("network", "DELETE", f"/routers/{router['id']}")

    def outside(self) -> str:
        """The network that public addresses come from, "" where the project sees none."""
        query = {"router:external": "true", "fields": ["id", "name", "is_default"]}
        found = self._cloud.get("network", "/networks", query)["networks"]
        found.sort(key=lambda each: (not each.get("is_default"), each["name"], each["id"]))
        return str(found[0]["id"]) if found else ""

    def _choose(self, network_id: str) -> IPv4Network:
        """A free range, which one depends on the network: calls at once agree on it."""
        taken = self._taken()
        start = int.from_bytes(hashlib.sha256(network_id.encode()).digest()[:4], "big")
        for offset in range(_CHOICES):
            number = (start + offset) % _CHOICES
            found = IPv4Network(((10 << 24) + (number << (32 - PREFIX)), PREFIX))
            if not any(found.overlaps(other) for other in taken):
                return found
        raise Conflict("All private ranges of addresses are taken by the project's networks.")

    def _free(self, wanted: IPv4Network) -> None:
        for other in self._taken():
            if wanted.overlaps(other):
                raise Conflict(f"{wanted} overlaps {other} of another network of the project.")

    def _taken(self) -> list[IPv4Network]:
        query = {"ip_version": 4, "project_id": self._cloud.project_id, "fields": "cidr"}
        return [
            IPv4Network(each["cidr"]) for each in self._cloud.get("network", "/subnets", query)["subnets"]
        ]

    def _networks(self) -> list[Any]:
        """Ours: those with a description that we wrote."""
        query = {"project_id": self._cloud.project_id}
        found = self._cloud.pages("network", "/networks", "networks", query)
        return [each for each in found if mapping.described(each)]

    def _network(self, network_id: str) -> Json:
        path = f"/networks/{known(network_id, 'network')}"
        found: Json = self._cloud.get("network", path)["network"]
        return found

    def _routers(self, network_id: str) -> list[Any]:
        query = {"name": _router_name(network_id), "project_id": self._cloud.project_id}
        return sorted(
            self._cloud.get("network", "/routers", query)["routers"], key=lambda each: str(each["id"])
        )

    def _route(self, router_id: str, change: str, interface: Json) -> None:
        path = f"/routers/{router_id}/{change}_router_interface"
        self._cloud.call("network", "PUT", path, body=interface)


def private(cidr: str) -> IPv4Network:
    """A range that a network may have.

    Raises:
        InvalidInput: It is none: says which there are.
    """
    try:
        found = IPv4Network(cidr)
    except ValueError as error:
        raise InvalidInput(f"{cidr!r} is not a range of addresses: {error}.") from None
    if not any(found.subnet_of(each) for each in _PRIVATE) or not _LARGEST <= found.prefixlen <= _SMALLEST:
        ranges = ", ".join(str(each) for each in _PRIVATE)
        raise InvalidInput(
            f"A network's range lies in {ranges} and has a prefix of {_LARGEST} to {_SMALLEST}."
        )
    return found


def _router_name(network_id: str) -> str:
    return f"pitrix-{network_id}"
