"""The steps that make machines and what they need, and that start and stop them.

Every step makes its call again until the cloud says that it is done: by its key a repeated creation finds
what the first one made. Nothing here waits. What is removed is in ``removal_steps.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pitrix.clusters.doors import group_of
from pitrix.clusters.model import Cluster, Node, StepKind
from pitrix.clusters.ports import AgentChannel
from pitrix.clusters.scene import Outcome, Scene, machine_of, resource_name, tags
from pitrix.errors import InvalidInput, StepFailed
from pitrix.packages.model import RoleSpec
from providers.base import Provider
from providers.resources import (
    AddressSpec,
    Machine,
    MachineSpec,
    MachineStatus,
    NetworkSpec,
    NetworkStatus,
    SecurityGroupSpec,
    SecurityRule,
    Volume,
    VolumeSpec,
    VolumeStatus,
)


class MachineSteps:
    """See the module."""

    def __init__(self, agents: AgentChannel) -> None:
        self._agents = agents
        self.carry_out: Mapping[StepKind, Callable[[Scene], Outcome]] = {
            StepKind.CREATE_NETWORK: self._create_network,
            StepKind.CREATE_SECURITY_GROUP: self._create_security_group,
            StepKind.CREATE_VOLUME: self._create_volume,
            StepKind.CREATE_FRONTGATE: self._create_machine,
            StepKind.CREATE_MACHINE: self._create_machine,
            StepKind.GIVE_ADDRESS: self._give_address,
            StepKind.START_MACHINE: self._start_machine,
            StepKind.STOP_MACHINE: self._stop_machine,
        }

    def _create_network(self, scene: Scene) -> Outcome:
        cluster = scene.cluster
        network = scene.provider.networks.create_network(
            NetworkSpec(name=resource_name(cluster, "net"), tags=tags(cluster)),
            idempotency_key=cluster.cluster_id,
        )

        def note(cluster: Cluster) -> None:
            cluster.network_id = network.network_id

        scene.note_cluster(note)
        return Outcome(
            pending=network.status is NetworkStatus.PENDING,
            result={"network_id": network.network_id, "cidr": network.cidr},
        )

    def _create_security_group(self, scene: Scene) -> Outcome:
        cluster, params = scene.cluster, scene.step.params
        name, number = str(params["group"]), params["number"]
        rules = tuple(
            SecurityRule(protocol=rule["protocol"], port_from=rule["port"], port_to=rule["port"])
            for rule in params["rules"]
        )
        group = scene.provider.security_groups.create_security_group(
            SecurityGroupSpec(
                name=resource_name(cluster, f"doors-{number}"),
                network_id=cluster.network_id or "",
                rules=rules,
                tags=tags(cluster),
            ),
            idempotency_key=f"{cluster.cluster_id}.doors-{number}",
        )

        def note(cluster: Cluster) -> None:
            cluster.security_groups = cluster.security_groups | {name: group.security_group_id}

        scene.note_cluster(note)
        return Outcome(result={"security_group_id": group.security_group_id})

    def _create_volume(self, scene: Scene) -> Outcome:
        node = scene.node
        volume = _volume(scene, node)

        def note(node: Node) -> None:
            if volume.volume_id not in node.volume_ids:
                node.volume_ids.append(volume.volume_id)

        scene.note_node(node, note)
        if volume.status is VolumeStatus.ERROR:
            raise StepFailed("the cloud could not make the volume")
        return Outcome(pending=volume.status is VolumeStatus.PENDING, result={"volume_id": volume.volume_id})

    def _create_machine(self, scene: Scene) -> Outcome:
        node, provider = scene.node, scene.provider
        if node.machine_id is not None:
            return _settled(
                scene, node, provider.machines.get_machine(node.machine_id), MachineStatus.RUNNING
            )
        machine = provider.machines.create_machine(
            self._machine_spec(scene, node, provider), idempotency_key=node.node_id
        )
        _note_machine(scene, machine, node)
        return _settled(scene, node, machine, MachineStatus.RUNNING)

    def _machine_spec(self, scene: Scene, node: Node, provider: Provider) -> MachineSpec:
        cluster = scene.cluster
        frontgate = next((n for n in scene.store.nodes(cluster.cluster_id) if n.frontgate), None)
        behind = frontgate if frontgate is not None and not node.frontgate else None
        enrollment = self._agents.enroll(
            cluster.cluster_id,
            node.node_id,
            node.role,
            kind="frontgate" if node.frontgate else "drone",
            frontgate_id=behind.agent_id if behind else None,
            name=node.name,
            frontgate_address=(behind.private_ip or "") if behind else "",
        )
        group = cluster.security_groups.get(group_of(cluster, node))
        return MachineSpec(
            name=resource_name(cluster, node.name),
            cpu=node.cpu,
            memory_mib=node.memory_mib,
            gpu=node.gpu,
            image=_image(None if node.frontgate else cluster.role(node.role), provider),
            network_id=cluster.network_id or "",
            volume_ids=tuple(node.volume_ids),
            security_group_ids=(group,) if group else (),
            user_data=enrollment.user_data,
            tags=tags(cluster, node),
        )

    def _give_address(self, scene: Scene) -> Outcome:
        node, addresses = scene.node, scene.provider.addresses
        address = addresses.allocate_address(
            AddressSpec(name=resource_name(scene.cluster, node.name), tags=tags(scene.cluster, node)),
            idempotency_key=f"{node.node_id}.ip",
        )
        if address.ip is not None:
            address = addresses.associate_address(address.address_id, machine_of(node))

        def note(node: Node) -> None:
            node.address_id, node.public_ip = address.address_id, address.ip

        scene.note_node(node, note)
        return Outcome(
            pending=address.ip is None or address.machine_id != node.machine_id,
            result={"address_id": address.address_id, "public_ip": address.ip},
        )

    def _start_machine(self, scene: Scene) -> Outcome:
        node = scene.node
        machine = scene.provider.machines.start_machine(machine_of(node))
        return _settled(scene, node, machine, MachineStatus.RUNNING)

    def _stop_machine(self, scene: Scene) -> Outcome:
        node = scene.node
        machine = scene.provider.machines.stop_machine(machine_of(node))
        return _settled(scene, node, machine, MachineStatus.STOPPED)


def _volume(scene: Scene, node: Node) -> Volume:
    """Make a volume of the class that the package names, or where the cloud has no such of its default one:
    packages name classes of the cloud that they were written for."""
    params, volumes = scene.step.params, scene.provider.volumes
    wanted = VolumeSpec(
        name=f"{resource_name(scene.cluster, node.name)}-{params['number']}",
        size_gib=params["size_gib"],
        volume_class=params["class"],
        tags=tags(scene.cluster, node),
    )
    key = f"{node.node_id}.{params['number']}"
    if wanted.volume_class:
        try:
            return volumes.create_volume(wanted, idempotency_key=key)
        except InvalidInput:
            usual = VolumeSpec(name=wanted.name, size_gib=wanted.size_gib, tags=wanted.tags)
            return volumes.create_volume(usual, idempotency_key=key)
    return volumes.create_volume(wanted, idempotency_key=key)


def _image(role: RoleSpec | None, provider: Provider) -> str:
    """Return the image that a role names for the runtime's zone, by its id or its name.

    Packages name images of the cloud they were written for; anywhere else the default image with the
    package's payload does (built images are the images context's work).

    Raises:
        StepFailed: the cloud has no image at all.
    """
    offered = provider.machines.machine_images()
    if not offered:
        raise StepFailed(f"the account at {provider.title} has no image that a machine could be made from")
    wanted = (role.images.get(provider.connection.zone) or role.image) if role is not None else ""
    for image in offered:
        if wanted and wanted in (image.image_id, image.name):
            return image.image_id
    return offered[0].image_id


def _settled(scene: Scene, node: Node, machine: Machine, wanted: MachineStatus) -> Outcome:
    """Answer ``pending`` until ``machine`` is in the state ``wanted``."""
    if machine.status is MachineStatus.ERROR:
        raise StepFailed(f"the machine does not start: {machine.reason or 'the cloud gives no reason'}")
    if machine.status is MachineStatus.TERMINATED:
        raise StepFailed("the machine was deleted at the cloud by somebody else")
    if machine.status is not wanted:
        return Outcome(pending=True)
    _note_machine(scene, machine, node)
    return Outcome(result={"machine_id": machine.machine_id, "private_ip": machine.private_ip})


def _note_machine(scene: Scene, machine: Machine, node: Node) -> None:
    def note(node: Node) -> None:
        node.machine_id = machine.machine_id
        node.private_ip = machine.private_ip or node.private_ip
        node.public_ip = machine.public_ip or node.public_ip

    scene.note_node(node, note)
