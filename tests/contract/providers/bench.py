"""A test's own corner of a cloud: its tags, short ways to make things, and a sweeper that clears it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from uuid import uuid4

from pitrix.errors import ResourceNotFound
from providers.base import (
    TAG_CLUSTER,
    Capability,
    KeyPair,
    KeyPairSpec,
    Machine,
    MachineSpec,
    MachineStatus,
    Network,
    NetworkSpec,
    Provider,
    Volume,
    VolumeSpec,
    VolumeStatus,
)
from tests.contract.providers.targets import Target

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
        spec = NetworkSpec(name=key, tags=self.tags)
        return (provider or self.provider).networks.create_network(spec, idempotency_key=self.key(key))

    def volume(self, key: str = "volume", provider: Provider | None = None, size_gib: int = 1) -> Volume:
        spec = VolumeSpec(name=key, size_gib=size_gib, tags=self.tags)
        return (provider or self.provider).volumes.create_volume(spec, idempotency_key=self.key(key))

    def key_pair(self, key: str = "key-pair", provider: Provider | None = None) -> KeyPair:
        spec = KeyPairSpec(name=key, public_key=PUBLIC_KEY, tags=self.tags)
        return (provider or self.provider).key_pairs.import_key_pair(spec, idempotency_key=self.key(key))

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
        provider, offered = self.provider, self.provider.capabilities()
        if Capability.MACHINES in offered:
            for machine in provider.machines.list_machines(self.tags):
                provider.machines.delete_machine(machine.machine_id)
            eventually(lambda: provider.machines.list_machines(self.tags), lambda left: not left)
        if Capability.VOLUMES in offered:
            for volume in provider.volumes.list_volumes(self.tags):
                provider.volumes.delete_volume(volume.volume_id)
            eventually(lambda: provider.volumes.list_volumes(self.tags), lambda left: not left)
        if Capability.NETWORKS in offered:
            for network in provider.networks.list_networks(self.tags):
                provider.networks.delete_network(network.network_id)
            eventually(lambda: provider.networks.list_networks(self.tags), lambda left: not left)
        if Capability.KEY_PAIRS in offered:
            for pair in provider.key_pairs.list_key_pairs(self.tags):
                provider.key_pairs.delete_key_pair(pair.key_pair_id)
            assert not provider.key_pairs.list_key_pairs(self.tags)


def eventually(look: Callable[[], T], good: Callable[[T], bool], *, within_s: float = 30) -> T:
    """Look until what is seen is good; fails with what was seen last."""
    deadline = time.monotonic() + within_s
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"after {within_s} s it is still {seen!r}"
        time.sleep(0.05)
    return seen
