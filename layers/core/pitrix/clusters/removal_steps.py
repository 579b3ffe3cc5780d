"""The steps that remove what a cluster has at a cloud, and the search for what nobody knows of any more.

A removal is repeated until the cloud no longer knows the thing; what still hangs on something else
(``Conflict``) is tried again. The order in which things can go is the plan's, and here that of the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pitrix.clusters.model import Node, StepKind
from pitrix.clusters.ports import AgentChannel
from pitrix.clusters.scene import Outcome, Scene, machine_of
from pitrix.errors import Conflict, ResourceNotFound
from providers.base import TAG_CLUSTER, Capability, Provider
from providers.resources import MachineStatus


@dataclass(frozen=True)
class _Removable:
    """How things of one capability are found, told apart and removed."""

    capability: Capability
    found: Callable[[Provider, Mapping[str, str]], list[Any]]
    id_of: Callable[[Any], str]
    remove: Callable[[Provider, str], None]


def _remove_address(provider: Provider, address_id: str) -> None:
    provider.addresses.release_address(address_id)


def _remove_volume(provider: Provider, volume_id: str) -> None:
    """Delete a volume, or take it off the machine that it is still on: it goes the next time."""
    try:
        provider.volumes.delete_volume(volume_id)
    except Conflict:
        provider.volumes.detach_volume(volume_id)


#: In an order in which each can go: nothing that comes later hangs on what comes before it.
_SEARCHED = (
    _Removable(
        Capability.RELEASES,
        lambda cloud, tags: cloud.releases.list_releases(tags),
        lambda it: str(it.release_id),
        lambda cloud, release_id: cloud.releases.uninstall_release(release_id),
    ),
    _Removable(
        Capability.FUNCTIONS,
        lambda cloud, tags: cloud.functions.list_functions(tags),
        lambda it: str(it.function_id),
        lambda cloud, function_id: cloud.functions.remove_function(function_id),
    ),
    _Removable(
        Capability.ADDRESSES,
        lambda cloud, tags: cloud.addresses.list_addresses(tags),
        lambda it: str(it.address_id),
        _remove_address,
    ),
    _Removable(
        Capability.MACHINES,
        lambda cloud, tags: cloud.machines.list_machines(tags),
        lambda it: str(it.machine_id),
        lambda cloud, machine_id: cloud.machines.delete_machine(machine_id),
    ),
    _Removable(
        Capability.SNAPSHOTS,
        lambda cloud, tags: cloud.snapshots.list_snapshots(tags),
        lambda it: str(it.snapshot_id),
        lambda cloud, snapshot_id: cloud.snapshots.delete_snapshot(snapshot_id),
    ),
    _Removable(
        Capability.VOLUMES,
        lambda cloud, tags: cloud.volumes.list_volumes(tags),
        lambda it: str(it.volume_id),
        _remove_volume,
    ),
    _Removable(
        Capability.IMAGES,
        lambda cloud, tags: cloud.images.list_images(tags),
        lambda it: str(it.image_id),
        lambda cloud, image_id: cloud.images.delete_image(image_id),
    ),
    _Removable(
        Capability.KEY_PAIRS,
        lambda cloud, tags: cloud.key_pairs.list_key_pairs(tags),
        lambda it: str(it.key_pair_id),
        lambda cloud, key_pair_id: cloud.key_pairs.delete_key_pair(key_pair_id),
    ),
    _Removable(
        Capability.SECURITY_GROUPS,
        lambda cloud, tags: cloud.security_groups.list_security_groups(tags),
        lambda it: str(it.security_group_id),
        lambda cloud, group_id: cloud.security_groups.delete_security_group(group_id),
    ),
    _Removable(
        Capability.NETWORKS,
        lambda cloud, tags: cloud.networks.list_networks(tags),
        lambda it: str(it.network_id),
        lambda cloud, network_id: cloud.networks.delete_network(network_id),
    ),
)


class RemovalSteps:
    """See the module."""

    def __init__(self, agents: AgentChannel) -> None:
        self._agents = agents
        self.carry_out: Mapping[StepKind, Callable[[Scene], Outcome]] = {
            StepKind.UNINSTALL_RELEASE: self._uninstall_release,
            StepKind.REMOVE_FUNCTION: self._remove_function,
            StepKind.RELEASE_ADDRESS: self._release_address,
            StepKind.DELETE_MACHINE: self._delete_machine,
            StepKind.DELETE_VOLUME: self._delete_volume,
            StepKind.DELETE_SECURITY_GROUP: self._delete_security_group,
            StepKind.DELETE_NETWORK: self._delete_network,
            StepKind.SWEEP: self._sweep,
        }

    def _uninstall_release(self, scene: Scene) -> Outcome:
        releases, release_id = scene.provider.releases, scene.cluster.cloud_id or ""
        releases.uninstall_release(release_id)
        return _until_gone(lambda: releases.get_release(release_id))

    def _remove_function(self, scene: Scene) -> Outcome:
        functions, function_id = scene.provider.functions, scene.cluster.cloud_id or ""
        functions.remove_function(function_id)
        return _until_gone(lambda: functions.get_function(function_id))

    def _release_address(self, scene: Scene) -> Outcome:
        node, addresses = scene.node, scene.provider.addresses
        address_id = node.address_id
        if address_id is None:
            return Outcome()
        addresses.release_address(address_id)
        outcome = _until_gone(lambda: addresses.get_address(address_id))
        if not outcome.pending:

            def note(node: Node) -> None:
                node.address_id, node.public_ip = None, None

            scene.note_node(node, note)
        return outcome

    def _delete_machine(self, scene: Scene) -> Outcome:
        machines, machine_id = scene.provider.machines, machine_of(scene.node)
        machines.delete_machine(machine_id)
        try:
            gone = machines.get_machine(machine_id).status is MachineStatus.TERMINATED
        except ResourceNotFound:
            gone = True
        return Outcome(pending=not gone)

    def _delete_volume(self, scene: Scene) -> Outcome:
        provider, volume_id = scene.provider, scene.step.params["volume_id"]
        try:
            _remove_volume(provider, volume_id)
        except ResourceNotFound:
            return Outcome()
        return _until_gone(lambda: provider.volumes.get_volume(volume_id))

    def _delete_security_group(self, scene: Scene) -> Outcome:
        groups, group_id = scene.provider.security_groups, scene.step.params["security_group_id"]
        try:
            groups.delete_security_group(group_id)
        except Conflict:
            return Outcome(pending=True)  # a machine that is going is still in it
        return _until_gone(lambda: groups.get_security_group(group_id))

    def _delete_network(self, scene: Scene) -> Outcome:
        networks, network_id = scene.provider.networks, scene.step.params["network_id"]
        try:
            networks.delete_network(network_id)
        except Conflict:
            return Outcome(pending=True)
        return _until_gone(lambda: networks.get_network(network_id))

    def _sweep(self, scene: Scene) -> Outcome:
        """Remove whatever carries the cluster's tag: also what was made by a call whose answer was lost."""
        provider, tag = scene.provider, {TAG_CLUSTER: scene.cluster.cluster_id}
        offered = provider.capabilities()
        for kind in _SEARCHED:
            if kind.capability not in offered or not (left := kind.found(provider, tag)):
                continue
            for each in left:
                try:
                    kind.remove(provider, kind.id_of(each))
                except (Conflict, ResourceNotFound):
                    continue  # it hangs on something that is going, or went in this very moment
            return Outcome(pending=True)
        self._agents.forget(scene.cluster.cluster_id)
        return Outcome()


def _until_gone(look: Callable[[], object]) -> Outcome:
    """Answer ``pending`` as long as the cloud knows the thing."""
    try:
        look()
    except ResourceNotFound:
        return Outcome()
    return Outcome(pending=True)
