"""Virtual networks of Azure, each with one subnet of the same range.

With a cluster's last network its resource group goes, where nothing else is left in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from pitrix.errors import Conflict, ProviderUnavailable, ResourceNotFound
from providers.azure import mapping, naming, network_mapping
from providers.azure.client import Json
from providers.azure.cloud import Cloud
from providers.base import Networks, check_key
from providers.resources import Network, NetworkSpec, NetworkStatus

KIND = "Microsoft.Network/virtualNetworks"
CHOSEN_FROM = IPv4Network("10.64.0.0/10")
"""Where ranges are chosen from: a /24 each."""


class AzureNetworks(Cloud, Networks):
    """Azure lets networks overlap as they are apart; ours do not, so that they can be joined."""

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        """Pending while the resource group of an earlier cluster of that name is still being deleted."""
        name, group = naming.resource_name(check_key(idempotency_key)), naming.group_name(spec.tags)
        wanted = network_mapping.private_range(spec.cidr) if spec.cidr is not None else None
        api = self._cloud.network.virtual_networks
        others = self._cloud.every(api.list_all)
        for each in others:
            if mapping.same(each["id"], self._network_id(group, name)):
                return network_mapping.network(each)
        cidr = str(wanted or _free(idempotency_key, others))
        self._not_taken(wanted, others)
        subnet = {"name": mapping.SUBNET, "properties": {"addressPrefix": cidr}}
        properties = {"addressSpace": {"addressPrefixes": [cidr]}, "subnets": [subnet]}
        request = mapping.body(self._cloud.zone, idempotency_key, spec, properties)
        try:
            return network_mapping.network(
                self._cloud.create(api.begin_create_or_update, group, name, request)
            )
        except ProviderUnavailable as error:
            if "ResourceGroupBeingDeleted" not in error.detail:
                raise
            return Network(
                network_id=self._network_id(group, name),
                name=spec.name,
                cidr=cidr,
                created_at=None,
                status=NetworkStatus.PENDING,
                tags=dict(spec.tags),
            )

    def get_network(self, network_id: str) -> Network:
        found = self._cloud.own(network_id, KIND)
        get = self._cloud.network.virtual_networks.get
        return network_mapping.network(self._cloud.ask(get, found.group, *found.names))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        api = self._cloud.network.virtual_networks
        return [network_mapping.network(each) for each in self._held(tags, api.list, api.list_all)]

    def delete_network(self, network_id: str) -> None:
        """The whole resource group where it is a cluster's and holds nothing but this network."""
        try:
            found = self._cloud.own(network_id, KIND)
        except ResourceNotFound:
            return
        of_a_cluster = found.group.lower().startswith(f"{naming.COMMON_GROUP}-")
        if of_a_cluster and self._holds_nothing_else(network_id, found.group):
            self._cloud.find(self._begin_delete_group, found.group)
            return
        self._delete(self._cloud.network.virtual_networks.begin_delete, network_id, KIND)

    # --- inside ----------------------------------------------------------------------------------------

    def _holds_nothing_else(self, network_id: str, group: str) -> bool:
        """Whether nothing but this network is in its resource group.

        ARM's own listing of a group may be minutes old: what was deleted is in it still, and what was just
        made is not yet. So it is asked only for what somebody else put there; those who keep them are asked
        for the kinds of things that Pitrix makes.
        """
        compute, disks, network = self._cloud.compute, self._cloud.disks, self._cloud.network
        ours = {
            "microsoft.compute/virtualmachines": compute.virtual_machines.list,
            "microsoft.compute/disks": disks.disks.list_by_resource_group,
            "microsoft.compute/snapshots": disks.snapshots.list_by_resource_group,
            "microsoft.network/networkinterfaces": network.network_interfaces.list,
            "microsoft.network/networksecuritygroups": network.network_security_groups.list,
            "microsoft.network/publicipaddresses": network.public_ip_addresses.list,
            "microsoft.network/virtualnetworks": network.virtual_networks.list,
        }
        listed = self._cloud.every(self._cloud.resources.resources.list_by_resource_group, group)
        if any(each["type"].lower() not in ours for each in listed):
            return False
        return all(
            mapping.same(each["id"], network_id)
            for listing in ours.values()
            for each in self._in(group, listing)
        )

    def _begin_delete_group(self, group: str) -> Json:
        return self._cloud.send(self._cloud.resources.resource_groups.begin_delete, group)

    def _network_id(self, group: str, name: str) -> str:
        here = f"/subscriptions/{self._cloud.subscription_id}/resourceGroups/{group}"
        return f"{here}/providers/{KIND}/{name}"

    @staticmethod
    def _not_taken(wanted: IPv4Network | None, others: Sequence[Json]) -> None:
        for each in others:
            if wanted is not None and any(wanted.overlaps(taken) for taken in network_mapping.ranges(each)):
                raise Conflict(f"{wanted} overlaps the network {mapping.named(each)} of the subscription.")


def _free(key: str, others: Sequence[Json]) -> IPv4Network:
    """A range that no network of the subscription has. It begins to look at a place of the key's own, so that
    two calls at the same moment do not choose the same."""
    taken = [each for other in others for each in network_mapping.ranges(other)]
    count = 2 ** (24 - CHOSEN_FROM.prefixlen)
    first = int(hashlib.sha256(key.encode()).hexdigest(), 16) % count
    for number in range(count):
        start = CHOSEN_FROM.network_address + 256 * ((first + number) % count)
        candidate = IPv4Network(f"{start}/24")
        if not any(candidate.overlaps(each) for each in taken):
            return candidate
    raise Conflict(f"No range of {CHOSEN_FROM} is free in the subscription.")
