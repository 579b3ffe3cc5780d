"""A test's own corner of a cloud: its tags, short ways to make things, and a sweeper that clears it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

from pitrix.errors import Conflict, ProviderThrottled, ProviderUnavailable, ResourceNotFound
from providers.base import TAG_CLUSTER, Capability, Provider
from providers.resources import (
    Address,
    AddressSpec,
    Function,
    FunctionSpec,
    FunctionStatus,
    Image,
    ImageStatus,
    KeyPair,
    KeyPairSpec,
    Machine,
    MachineSpec,
    MachineStatus,
    Network,
    NetworkSpec,
    NetworkStatus,
    SecurityGroup,
    SecurityGroupSpec,
    SecurityRule,
    Snapshot,
    SnapshotSpec,
    Volume,
    VolumeSpec,
    VolumeStatus,
)
from tests.contract.providers.targets import Target

WEB = SecurityRule(protocol="tcp", port_from=80, port_to=80)
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIs/CmRqer6IfakXxqSqMHsoBriBGu4lGgf6FAcMYgjI somebody"

T = TypeVar("T")


class Bench:
    """What a test makes on ``target``, all under one tag of its own."""

    def __init__(self, target: Target, provider: Provider | None = None) -> None:
        self.target = target
        self.provider = provider or target.connect()
        self.run = f"cl-{uuid4().hex}"
        self.tags = {TAG_CLUSTER: self.run}

    def key(self, name: str) -> str:
        return f"{self.run}.{name}"

    def network(self, key: str = "network", provider: Provider | None = None) -> Network:
        """Ask for a network until it is there."""
        spec = NetworkSpec(name=key, tags=self.tags)
        networks = (provider or self.provider).networks
        return eventually(
            lambda: networks.create_network(spec, idempotency_key=self.key(key)),
            lambda network: network.status is NetworkStatus.AVAILABLE,
        )

    def gib(self, steps: int) -> int:
        """The size of a volume of so many of the cloud's steps, in GiB: ``steps`` itself on most clouds."""
        return steps * self.target.volume_step_gib

    def volume(self, key: str = "volume", provider: Provider | None = None, steps: int = 1) -> Volume:
        spec = VolumeSpec(name=key, size_gib=self.gib(steps), tags=self.tags)
        return (provider or self.provider).volumes.create_volume(spec, idempotency_key=self.key(key))

    def snapshot(self, key: str, volume_id: str, provider: Provider | None = None) -> Snapshot:
        spec = SnapshotSpec(name=key, volume_id=volume_id, tags=self.tags)
        return (provider or self.provider).snapshots.create_snapshot(spec, idempotency_key=self.key(key))

    def security_group(
        self, key: str = "group", provider: Provider | None = None, rules: tuple[SecurityRule, ...] = (WEB,)
    ) -> SecurityGroup:
        network_id = self.network().network_id
        spec = SecurityGroupSpec(name=key, network_id=network_id, rules=rules, tags=self.tags)
        groups = (provider or self.provider).security_groups
        return groups.create_security_group(spec, idempotency_key=self.key(key))

    def address(self, key: str = "address", provider: Provider | None = None) -> Address:
        spec = AddressSpec(name=key, tags=self.tags)
        return (provider or self.provider).addresses.allocate_address(spec, idempotency_key=self.key(key))

    def stopped(self, key: str = "machine") -> Machine:
        """A machine that ran and was stopped; asked for again, it is stopped still."""
        machine_id = self.machine(key).machine_id
        eventually(
            lambda: self.provider.machines.get_machine(machine_id),
            lambda machine: machine.status is not MachineStatus.PENDING,
        )
        return eventually(
            lambda: self.provider.machines.stop_machine(machine_id),
            lambda machine: machine.status is MachineStatus.STOPPED,
        )

    def image(self, key: str = "image", provider: Provider | None = None) -> Image:
        """Ask for an image of a stopped machine until it is captured."""
        machine = self.stopped()
        images = (provider or self.provider).images
        return eventually(
            lambda: images.capture_image(
                machine.machine_id, name=key, tags=self.tags, idempotency_key=self.key(key)
            ),
            lambda image: image.status is not ImageStatus.PENDING,
        )

    def key_pair(self, key: str = "key-pair", provider: Provider | None = None) -> KeyPair:
        spec = KeyPairSpec(name=key, public_key=PUBLIC_KEY, tags=self.tags)
        return (provider or self.provider).key_pairs.import_key_pair(spec, idempotency_key=self.key(key))

    def function_spec(self, key: str = "function", word: str = "hello") -> FunctionSpec:
        """The target's small application, which answers with ``word``."""
        applications = self.target.applications
        assert applications is not None, "a target of functions has applications"
        return replace(applications(word), name=key, tags=self.tags)

    def function(
        self, key: str = "function", provider: Provider | None = None, word: str = "hello"
    ) -> Function:
        """Ask for an application until it is deployed."""
        functions, spec = (provider or self.provider).functions, self.function_spec(key, word)
        return eventually(
            lambda: functions.deploy_function(spec, idempotency_key=self.key(key)),
            lambda function: function.status is not FunctionStatus.PENDING,
        )

    def machine_spec(self, **changes: object) -> MachineSpec:
        image = self.provider.machines.machine_images()[0].image_id
        spec = MachineSpec(
            name="machine",
            cpu=1,
            memory_mib=512,
            image=image,
            network_id=self.network().network_id,
            tags=self.tags,
        )
        return replace(spec, **changes)  # type: ignore[arg-type]

    def machine(self, key: str = "machine", provider: Provider | None = None, **changes: object) -> Machine:
        """Ask for a machine; ``changes`` to ``machine_spec``."""
        spec = self.machine_spec(**changes)
        return (provider or self.provider).machines.create_machine(spec, idempotency_key=self.key(key))

    def running(self, key: str = "machine", **changes: object) -> Machine:
        return self.settled(self.machine(key, **changes).machine_id, MachineStatus.RUNNING)

    def settled(self, machine_id: str, wanted: MachineStatus) -> Machine:
        """Poll until the machine is no longer pending, and insist on what it is then."""
        machine = eventually(
            lambda: self.provider.machines.get_machine(machine_id),
            lambda machine: machine.status is not MachineStatus.PENDING,
        )
        assert machine.status is wanted, f"{machine.status}: {machine.reason}"
        return machine

    def gone(self, machine_id: str) -> bool:
        try:
            return self.provider.machines.get_machine(machine_id).status is MachineStatus.TERMINATED
        except ResourceNotFound:
            return True

    def available(self, volume_id: str) -> Volume:
        return eventually(
            lambda: self.provider.volumes.get_volume(volume_id),
            lambda volume: volume.status is VolumeStatus.AVAILABLE,
        )

    def sweep(self) -> None:
        """Delete all that carries the tag, and insist that nothing does afterwards."""
        offered = self.provider.capabilities()
        for capability, (listing, name, deleting) in _SWEEPING.items():
            if capability not in offered or capability in self.target.lacks:
                continue
            held = getattr(self.provider, capability)

            listed, delete = getattr(held, listing), getattr(held, deleting)

            def left(listed: Any = listed, delete: Any = delete, name: str = name) -> Any:
                """Repeat the deletion of what is still listed, as a state machine does."""
                try:
                    found = listed(self.tags)
                    for each in found:
                        delete(getattr(each, name))
                except (Conflict, ProviderThrottled, ProviderUnavailable) as error:
                    return error
                return found

            eventually(left, lambda found: not found, within_s=60)


#: How what a capability makes is listed, told apart and deleted, in the order in which it can be.
_SWEEPING = {
    Capability.RELEASES: ("list_releases", "release_id", "uninstall_release"),
    Capability.FUNCTIONS: ("list_functions", "function_id", "remove_function"),
    Capability.ADDRESSES: ("list_addresses", "address_id", "release_address"),
    Capability.MACHINES: ("list_machines", "machine_id", "delete_machine"),
    Capability.SNAPSHOTS: ("list_snapshots", "snapshot_id", "delete_snapshot"),
    Capability.VOLUMES: ("list_volumes", "volume_id", "delete_volume"),
    Capability.IMAGES: ("list_images", "image_id", "delete_image"),
    Capability.SECURITY_GROUPS: ("list_security_groups", "security_group_id", "delete_security_group"),
    Capability.NETWORKS: ("list_networks", "network_id", "delete_network"),
    Capability.KEY_PAIRS: ("list_key_pairs", "key_pair_id", "delete_key_pair"),
}


def eventually(look: Callable[[], T], good: Callable[[T], bool], *, within_s: float = 30) -> T:
    """Look until what is seen is good; fails with what was seen last."""
    deadline = time.monotonic() + within_s
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"after {within_s} s it is still {seen!r}"
        time.sleep(0.05)
    return seen
