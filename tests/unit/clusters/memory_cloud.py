"""A cloud in memory for the tests of clusters, with a fault for each test that needs one.

It keeps the promises of ``providers/base.py`` that the executor relies on (idempotent by key, deleting what
is gone succeeds, everything is found by its tags, what hangs on something else is a ``Conflict``), and takes
its time where ``slow`` names a kind of thing: it is told ``pending`` once. The real clouds are tested in
``tests/contract/providers`` and end to end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from pitrix.errors import Conflict, InvalidInput, PitrixError, ResourceNotFound
from providers.resources import (
    Address,
    AddressSpec,
    Function,
    FunctionSpec,
    FunctionStatus,
    Image,
    Machine,
    MachineSpec,
    MachineStatus,
    Network,
    NetworkSpec,
    NetworkStatus,
    Pod,
    Release,
    ReleaseEndpoint,
    ReleaseSpec,
    ReleaseStatus,
    SecurityGroup,
    SecurityGroupSpec,
    Volume,
    VolumeSpec,
    VolumeStatus,
    Workload,
)

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
#: What the local provider offers.
PLAIN = frozenset({"machines", "volumes", "networks", "key_pairs"})
RICH = PLAIN - {"key_pairs"} | {"security_groups", "addresses"}

T = TypeVar("T")


class MemoryCloud:
    """See the module. Things are in dictionaries by the key that they were made with."""

    title = "Memory"

    def __init__(self) -> None:
        self.offers = PLAIN
        self.connection = SimpleNamespace(zone="zone-1")
        self.machines_by_key: dict[str, Machine] = {}
        self.volumes_by_key: dict[str, Volume] = {}
        self.networks_by_key: dict[str, Network] = {}
        self.groups_by_key: dict[str, SecurityGroup] = {}
        self.addresses_by_key: dict[str, Address] = {}
        self.releases_by_key: dict[str, Release] = {}
        self.functions_by_key: dict[str, Function] = {}
        self.specs: dict[str, MachineSpec] = {}
        self.release_specs: list[ReleaseSpec] = []
        self.function_specs: list[FunctionSpec] = []
        self.classes: set[str] = set()
        self.images = [Image(image_id="local", name="local")]
        self.workloads: list[Workload] = []
        self.doors: list[ReleaseEndpoint] = []
        self.broken: set[str] = set()
        self.refused: dict[str, PitrixError] = {}
        self.dies_after_start: set[str] = set()
        self.lose_answer_of: set[str] = set()
        self.refuse_to_delete: list[PitrixError] = []
        self.slow: set[str] = set()
        self._clung: set[str] = set()

    def capabilities(self) -> frozenset[str]:
        return self.offers

    @property
    def machines(self) -> MemoryCloud:
        return self

    volumes = networks = security_groups = addresses = releases = functions = key_pairs = machines

    @property
    def everything(self) -> list[str]:
        return [
            *self.machines_by_key,
            *self.volumes_by_key,
            *self.networks_by_key,
            *self.groups_by_key,
            *self.addresses_by_key,
            *self.releases_by_key,
            *self.functions_by_key,
        ]

    # --- machines ------------------------------------------------------------------------------------

    def machine_images(self) -> list[Image]:
        return self.images

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        for name, error in self.refused.items():
            if name in spec.name:
                raise error
        if idempotency_key not in self.machines_by_key:
            number = len(self.machines_by_key) + 1
            failed = any(name in spec.name for name in self.broken)
            self.specs[idempotency_key] = spec
            self.machines_by_key[idempotency_key] = Machine(
                machine_id=f"m-{number}",
                name=spec.name,
                status=MachineStatus.ERROR if failed else MachineStatus.PENDING,
                reason="no host has room for it" if failed else "",
                cpu=spec.cpu,
                memory_mib=spec.memory_mib,
                image=spec.image,
                network_id=spec.network_id,
                created_at=START,
                private_ip=f"10.0.0.{number}",
                tags=spec.tags,
            )
            if any(name in spec.name for name in self.lose_answer_of):
                raise ConnectionError("the answer was lost")
        return self.machines_by_key[idempotency_key]

    def _machine(self, machine_id: str) -> tuple[str, Machine]:
        for key, machine in self.machines_by_key.items():
            if machine.machine_id == machine_id:
                return key, machine
        raise ResourceNotFound(f"There is no machine {machine_id}.")

    def get_machine(self, machine_id: str) -> Machine:
        key, machine = self._machine(machine_id)
        if machine.status is MachineStatus.PENDING:
            self.machines_by_key[key] = replace(machine, status=MachineStatus.RUNNING)
        elif any(name in machine.name for name in self.dies_after_start):
            return replace(machine, status=MachineStatus.ERROR, reason="its boot script ended with 1")
        return self.machines_by_key[key]

    def start_machine(self, machine_id: str) -> Machine:
        return self._set(machine_id, MachineStatus.RUNNING)

    def stop_machine(self, machine_id: str) -> Machine:
        return self._set(machine_id, MachineStatus.STOPPED)

    def _set(self, machine_id: str, status: MachineStatus) -> Machine:
        key, machine = self._machine(machine_id)
        self.machines_by_key[key] = replace(machine, status=status)
        return self.machines_by_key[key]

    def delete_machine(self, machine_id: str) -> None:
        if self.refuse_to_delete:
            raise self.refuse_to_delete.pop()
        self.machines_by_key = _without(self.machines_by_key, "machine_id", machine_id)

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        return _tagged(self.machines_by_key, tags)

    # --- volumes -------------------------------------------------------------------------------------

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        if spec.volume_class and spec.volume_class not in self.classes:
            raise InvalidInput(f"There is no class {spec.volume_class!r} of volumes.")
        made = Volume(
            volume_id=f"v-{len(self.volumes_by_key) + 1}",
            name=spec.name,
            status=VolumeStatus.AVAILABLE,
            size_gib=spec.size_gib,
            volume_class=spec.volume_class,
            created_at=START,
            tags=spec.tags,
        )
        return self.volumes_by_key.setdefault(idempotency_key, made)

    def get_volume(self, volume_id: str) -> Volume:
        return _by_id(self.volumes_by_key, "volume_id", volume_id)

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return _tagged(self.volumes_by_key, tags)

    def detach_volume(self, volume_id: str) -> Volume:
        return self.get_volume(volume_id)

    def delete_volume(self, volume_id: str) -> None:
        self._cling("volume", volume_id)
        self.volumes_by_key = _without(self.volumes_by_key, "volume_id", volume_id)

    # --- networks, security groups, addresses --------------------------------------------------------

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        status = NetworkStatus.AVAILABLE
        if "network" in self.slow and idempotency_key not in self.networks_by_key:
            status = NetworkStatus.PENDING
        made = Network(network_id="n-1", name=spec.name, cidr="10.0.0.0/24", created_at=START, tags=spec.tags)
        return replace(self.networks_by_key.setdefault(idempotency_key, made), status=status)

    def get_network(self, network_id: str) -> Network:
        return _by_id(self.networks_by_key, "network_id", network_id)

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return _tagged(self.networks_by_key, tags)

    def delete_network(self, network_id: str) -> None:
        self._cling("network", network_id)
        self.networks_by_key = _without(self.networks_by_key, "network_id", network_id)

    def create_security_group(self, spec: SecurityGroupSpec, *, idempotency_key: str) -> SecurityGroup:
        made = SecurityGroup(
            security_group_id=f"sg-{len(self.groups_by_key) + 1}",
            name=spec.name,
            rules=spec.rules,
            tags=spec.tags,
        )
        return self.groups_by_key.setdefault(idempotency_key, made)

    def get_security_group(self, security_group_id: str) -> SecurityGroup:
        return _by_id(self.groups_by_key, "security_group_id", security_group_id)

    def list_security_groups(self, tags: Mapping[str, str]) -> list[SecurityGroup]:
        return _tagged(self.groups_by_key, tags)

    def delete_security_group(self, security_group_id: str) -> None:
        self._cling("security group", security_group_id)
        self.groups_by_key = _without(self.groups_by_key, "security_group_id", security_group_id)

    def allocate_address(self, spec: AddressSpec, *, idempotency_key: str) -> Address:
        if "address" in self.broken:
            raise PitrixError("The account has no address left.")
        number = len(self.addresses_by_key) + 1
        if idempotency_key not in self.addresses_by_key:
            ip = None if "address" in self.slow else f"198.51.100.{number}"
            made = Address(address_id=f"a-{number}", name=spec.name, ip=ip, tags=spec.tags)
            self.addresses_by_key[idempotency_key] = made
            return made
        found = self.addresses_by_key[idempotency_key]
        if found.ip is None:
            self.addresses_by_key[idempotency_key] = replace(found, ip=f"198.51.100.{number}")
        return self.addresses_by_key[idempotency_key]

    def get_address(self, address_id: str) -> Address:
        return _by_id(self.addresses_by_key, "address_id", address_id)

    def list_addresses(self, tags: Mapping[str, str]) -> list[Address]:
        return _tagged(self.addresses_by_key, tags)

    def associate_address(self, address_id: str, machine_id: str) -> Address:
        for key, address in self.addresses_by_key.items():
            if address.address_id == address_id:
                self.addresses_by_key[key] = replace(address, machine_id=machine_id)
                return self.addresses_by_key[key]
        raise ResourceNotFound(f"There is no address {address_id}.")

    def release_address(self, address_id: str) -> None:
        self.addresses_by_key = _without(self.addresses_by_key, "address_id", address_id)

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[Any]:
        return []

    # --- releases and functions ----------------------------------------------------------------------

    def install_release(self, spec: ReleaseSpec, *, idempotency_key: str) -> Release:
        self.release_specs.append(spec)
        if idempotency_key not in self.releases_by_key:
            self.releases_by_key[idempotency_key] = Release(
                release_id=f"{spec.namespace}/{spec.name}",
                name=spec.name,
                namespace=spec.namespace,
                status=ReleaseStatus.PENDING,
                revision=1,
                chart_version="1",
                tags=spec.tags,
            )
            if "release" in self.lose_answer_of:
                raise ConnectionError("the answer was lost")
            return self.releases_by_key[idempotency_key]
        failed = "release" in self.broken
        status = ReleaseStatus.FAILED if failed else ReleaseStatus.DEPLOYED
        reason = "ImagePullBackOff" if failed else ""
        found = replace(self.releases_by_key[idempotency_key], status=status, reason=reason)
        self.releases_by_key[idempotency_key] = found
        return found

    def get_release(self, release_id: str) -> Release:
        return _by_id(self.releases_by_key, "release_id", release_id)

    def list_releases(self, tags: Mapping[str, str]) -> list[Release]:
        return _tagged(self.releases_by_key, tags)

    def release_workloads(self, release_id: str) -> list[Workload]:
        return self.workloads

    def release_endpoints(self, release_id: str) -> list[ReleaseEndpoint]:
        return self.doors

    def uninstall_release(self, release_id: str) -> None:
        if "release" in self.slow and release_id not in self._clung:
            self._clung.add(release_id)
            return
        self.releases_by_key = _without(self.releases_by_key, "release_id", release_id)

    def deploy_function(self, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        self.function_specs.append(spec)
        if idempotency_key not in self.functions_by_key:
            made = Function(
                function_id=f"f-{spec.name}", name=spec.name, status=FunctionStatus.PENDING, tags=spec.tags
            )
            self.functions_by_key[idempotency_key] = made
            return made
        failed = "function" in self.broken
        self.functions_by_key[idempotency_key] = replace(
            self.functions_by_key[idempotency_key],
            status=FunctionStatus.FAILED if failed else FunctionStatus.ACTIVE,
            reason="the role may not be assumed" if failed else "",
            version="1",
            urls={"hello": "https://abc.example.org/live"},
        )
        return self.functions_by_key[idempotency_key]

    def get_function(self, function_id: str) -> Function:
        return _by_id(self.functions_by_key, "function_id", function_id)

    def list_functions(self, tags: Mapping[str, str]) -> list[Function]:
        return _tagged(self.functions_by_key, tags)

    def remove_function(self, function_id: str) -> None:
        self.functions_by_key = _without(self.functions_by_key, "function_id", function_id)

    def _cling(self, kind: str, resource_id: str) -> None:
        """Let the first attempt to delete a thing of a slow kind fail, as when a machine is still going."""
        if kind in self.slow and resource_id not in self._clung:
            self._clung.add(resource_id)
            raise Conflict(f"Something still uses the {kind} {resource_id}.")


def pod(name: str, *, ready: bool = True, cpu_millis: int = 100, memory_mib: int = 64) -> Pod:
    """A pod as the workloads of a release hold it."""
    return Pod(
        pod_id=f"uid-{name}",
        name=name,
        status="running",
        ready=ready,
        private_ip="10.1.0.9",
        cpu_millis=cpu_millis,
        memory_mib=memory_mib,
    )


def _without(things: Mapping[str, T], name: str, resource_id: str) -> dict[str, T]:
    return {key: each for key, each in things.items() if getattr(each, name) != resource_id}


def _by_id(things: Mapping[str, T], name: str, resource_id: str) -> T:
    for each in things.values():
        if getattr(each, name) == resource_id:
            return each
    raise ResourceNotFound(f"There is no {resource_id}.")


def _tagged(things: Mapping[str, Any], tags: Mapping[str, str]) -> list[Any]:
    return [each for each in things.values() if tags.items() <= dict(each.tags).items()]
