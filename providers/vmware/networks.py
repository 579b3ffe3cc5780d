"""Networks: port groups of a distributed switch, and vCenter's own pool of addresses for each.

vSphere gives no addresses to machines. Pitrix gives each network that it makes a range, and asks vCenter's
pool (a network protocol profile) for every machine's address, which cloud-init then sets. The range's first
address is left to the router, which whoever runs the vCenter puts there. Port groups of others are told as
they are and may be used; machines in them get their addresses from somebody else.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ProviderUnavailable, ResourceNotFound
from providers.base import Networks, check_key
from providers.resources import Connection, Network, NetworkSpec
from providers.vmware import mapping
from providers.vmware.client import Found
from providers.vmware.inventory import Inventory
from providers.vmware.mapping import Kind
from providers.vmware.sdk import vim

RANGE = "10.80.0.0/12"
"""Where networks without a range of their own lie, unless the credential says otherwise."""

PREFIX = 24


class VmwareNetworks(Networks):
    """``Networks`` over ``self._inventory``."""

    _inventory: Inventory
    connection: Connection

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        key = check_key(idempotency_key)
        name = mapping.name_for(Kind.NETWORK, key)
        known = self._port_groups()
        found = _named(known, name)
        if found is None:
            cidr = self._range(spec, key, [mapping.network_record(seen) for _, seen in known])
            noted = mapping.record(Kind.NETWORK, key, spec.name, spec.tags, cidr=str(cidr))
            self._make_port_group(name, json.dumps(noted, separators=(",", ":")))
            found = _named(self._port_groups(), name)
        if found is None:
            raise ProviderUnavailable("vCenter is making the network, but does not show it yet; ask again.")
        ref, seen = found
        if self.pool_id(name) is None:
            within = IPv4Network(mapping.network_record(seen)["cidr"])
            manager, datacenter = self._pools()
            self._inventory.client.ask(
                manager.CreateIpPool, datacenter, mapping.address_pool(name, within, ref)
            )
            self._keep_one_pool(name)
        return mapping.network(ref, seen, has_pool=True)

    def _make_port_group(self, name: str, description: str) -> None:
        wish = vim().dvs.DistributedVirtualPortgroup.ConfigSpec(
            name=name, description=description, type="earlyBinding", numPorts=8, autoExpand=True
        )
        try:
            self._inventory.client.send(self._switch().AddDVPortgroup_Task, [wish])
        except Conflict:
            return  # somebody made it meanwhile, or is making it

    def get_network(self, network_id: str) -> Network:
        return self._told(self._port_group(network_id))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        pools = {pool.name for pool in self._all_pools()}
        told = (
            mapping.network(ref, seen, has_pool=seen["name"] in pools) for ref, seen in self._port_groups()
        )
        return [network for network in told if mapping.carries(network.tags, tags)]

    def delete_network(self, network_id: str) -> None:
        try:
            ref, seen = self._port_group(network_id)
        except ResourceNotFound:
            return
        if not mapping.network_record(seen):
            raise Conflict(f"The network {network_id} was not made by Pitrix and is not deleted by it.")
        users = [m.moid for m in self._inventory.all(Kind.MACHINE) if m.record.get("network") == network_id]
        if users:
            raise Conflict(f"Machines are still in the network {network_id}: {', '.join(users)}.")
        manager, datacenter = self._pools()
        client = self._inventory.client
        for pool in self._all_pools():
            if pool.name == seen["name"]:
                client.ask(manager.DestroyIpPool, datacenter, pool.id, True)
        try:
            client.send(ref.Destroy_Task)
        except ResourceNotFound:
            return

    # --- addresses of machines -----------------------------------------------------------------------

    def take_address(self, network_id: str, key: str) -> str:
        """The address of the machine of that key, always the same; "" where somebody else gives addresses.

        Raises:
            ResourceNotFound: There is no such network.
            ProviderUnavailable: It is not ready yet.
        """
        _, seen = self._port_group(network_id)
        if not mapping.network_record(seen):
            return ""
        pool = self.pool_id(seen["name"])
        if pool is None:
            raise ProviderUnavailable(f"The network {network_id} is not ready yet; ask for it again.")
        manager, datacenter = self._pools()
        return str(self._inventory.client.ask(manager.AllocateIpv4Address, datacenter, pool, key))

    def give_address_back(self, network_id: str, key: str) -> None:
        """Let another machine have the address; no effect where there is none."""
        try:
            _, seen = self._port_group(network_id)
        except ResourceNotFound:
            return
        pool = self.pool_id(seen["name"])
        if pool is not None:
            manager, datacenter = self._pools()
            self._inventory.client.ask(manager.ReleaseIpAllocation, datacenter, pool, key)

    def backing(self, network_id: str) -> Any:
        """What a network card is plugged into.

        Raises:
            ResourceNotFound: There is no such network.
        """
        ref, seen = self._port_group(network_id)
        v = vim()
        if not isinstance(ref, v.dvs.DistributedVirtualPortgroup):
            return v.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=seen["name"], network=ref)
        switch = seen["config"].distributedVirtualSwitch
        [(_, told)] = self._inventory.client.read(switch, {v.DistributedVirtualSwitch: ["uuid"]})
        port = v.dvs.PortConnection(switchUuid=told["uuid"], portgroupKey=seen["config"].key)
        return v.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)

    def pool_id(self, name: str) -> int | None:
        """The pool of a network's addresses: of two made at once, the first counts."""
        return min((pool.id for pool in self._all_pools() if pool.name == name), default=None)

    def _keep_one_pool(self, name: str) -> None:
        manager, datacenter = self._pools()
        _, *others = sorted(pool.id for pool in self._all_pools() if pool.name == name)
        for other in others:
            self._inventory.client.ask(manager.DestroyIpPool, datacenter, other, True)

    # --- what vCenter has ----------------------------------------------------------------------------

    def _pools(self) -> tuple[Any, Any]:
        return self._inventory.client.content.ipPoolManager, self._inventory.place.datacenter

    def _all_pools(self) -> list[Any]:
        manager, datacenter = self._pools()
        return list(self._inventory.client.ask(manager.QueryIpPools, datacenter) or ())

    def _port_groups(self) -> list[Found]:
        """All port groups of the datacenter but those of switches' uplinks."""
        v = vim()
        found = self._inventory.client.read(
            self._inventory.place.datacenter,
            {v.Network: ["name"], v.dvs.DistributedVirtualPortgroup: ["name", "config"]},
            [(v.Datacenter, "network")],
        )
        merged: dict[str, Found] = {}
        for ref, seen in found:
            merged[ref._moId] = (ref, merged.get(ref._moId, (ref, {}))[1] | seen)
        return [each for each in merged.values() if "name" in each[1] and not _is_uplink(each[1])]

    def _port_group(self, network_id: str) -> Found:
        for ref, seen in self._port_groups() if mapping.is_network_id(network_id) else ():
            if ref._moId == network_id:
                return ref, seen
        raise ResourceNotFound(f"There is no network {network_id}, or it is gone.")

    def _told(self, found: Found) -> Network:
        ref, seen = found
        noted = mapping.network_record(seen)
        return mapping.network(ref, seen, has_pool=not noted or self.pool_id(seen["name"]) is not None)

    def _switch(self) -> Any:
        """The distributed switch that networks are made on: the credential's, or the first of the hosts'.

        Raises:
            InvalidInput: The hosts of the zone have none, or none of that name.
        """
        v, place = vim(), self._inventory.place
        found = self._inventory.client.read(
            place.network_folder,
            {v.DistributedVirtualSwitch: ["name", "summary.hostMember"]},
            [(v.Folder, "childEntity")],
        )
        hosts = {host._moId for host in place.hosts}
        wanted = self.connection.credential.get("switch", "")
        fitting = {
            seen["name"]: ref
            for ref, seen in found
            if hosts <= {host._moId for host in seen.get("summary.hostMember", ())}
        }
        if not fitting or (wanted and wanted not in fitting):
            known = ", ".join(sorted(fitting)) or "none"
            raise InvalidInput(
                f"The hosts of this zone are on no distributed switch {wanted!r}; they are on: {known}."
            )
        return fitting[wanted or min(fitting)]

    def _range(self, spec: NetworkSpec, key: str, records: Iterable[Mapping[str, Any]]) -> IPv4Network:
        """The wanted range, or a free one.

        Raises:
            InvalidInput: That is no private range of a useful size, or none is free.
            Conflict: Another network has it.
        """
        taken = [IPv4Network(noted["cidr"]) for noted in records if noted.get("cidr")]
        if spec.cidr is not None:
            wanted = private_range(spec.cidr)
            if other := next((each for each in taken if each.overlaps(wanted)), None):
                raise Conflict(f"{wanted} overlaps {other}, which another network has.")
            return wanted
        return free_range(self.connection.credential.get("address_range") or RANGE, taken, key)


def _named(found: Iterable[Found], name: str) -> Found | None:
    return next((each for each in found if each[1]["name"] == name), None)


def _is_uplink(seen: Mapping[str, Any]) -> bool:
    return bool(getattr(seen.get("config"), "uplink", None)) or "DVUplinks" in seen["name"]


def private_range(cidr: str) -> IPv4Network:
    """Read a range.

    Raises:
        InvalidInput: It is no private IPv4 range of 16 to 65,536 addresses.
    """
    try:
        network = IPv4Network(cidr)
    except ValueError:
        raise InvalidInput(f"{cidr!r} is no IPv4 range such as 10.80.1.0/24.") from None
    if not network.is_private or not 16 <= network.prefixlen <= 28:
        raise InvalidInput(f"{cidr} is no private range from /16 to /28, such as 10.80.1.0/24.")
    return network


def free_range(within: str, taken: list[IPv4Network], key: str) -> IPv4Network:
    """A free /24. Where to begin comes from the key, so that two made at once hardly ever get the same.

    Raises:
        InvalidInput: None is free, or ``within`` is no range.
    """
    try:
        all_of_it = IPv4Network(within)
        count = 1 << (PREFIX - all_of_it.prefixlen)
    except ValueError:
        raise InvalidInput(f"address_range: {within!r} is no IPv4 range of /{PREFIX} or more.") from None
    first = int(all_of_it.network_address)
    begin = zlib.crc32(key.encode()) % count
    for number in range(count):
        chosen = IPv4Network((first + ((begin + number) % count << 32 - PREFIX), PREFIX))
        if not any(chosen.overlaps(each) for each in taken):
            return chosen
    raise InvalidInput(f"No /{PREFIX} of {within} is free.")
