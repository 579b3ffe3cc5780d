"""The one interface behind which every cloud stands.

Owns the capabilities a cloud may offer and the promises that each method makes; the vocabulary (specs,
resources, statuses) is in ``providers/resources.py``. It never talks to a cloud, never imports an SDK, and
never reads a setting: a provider is handed its :class:`Connection` by whoever composes the program.

The promises, proven for every registered provider by ``tests/contract/providers``:

* **Creating is idempotent by key.** A key names one resource of a kind for as long as that exists; a
  repeat returns it as it is now and does not look at the spec again. A caller that lost the answer
  repeats the call. Keys are at most :data:`KEY_LENGTH` characters, see :func:`check_key`.
* **Deleting is idempotent.** Deleting what is gone succeeds; reading it raises ``ResourceNotFound``. What
  is still going is told until it is gone.
* **Nothing waits; repeating goes on.** What takes long is returned ``pending`` and looked at again by a
  state machine. Where a wish takes several operations of the cloud one after another, each call does the
  next: so whoever wants something repeats the very call (create, start, stop, resize, detach, delete) until
  what it returns, or ``get_*``, says that it is done. A machine alone is accepted by the cloud within one
  call, because its user data is only good once.
* **Everything carries its tags.** ``list_*`` finds it by them, so a sweeper finds what a lost job left.

Errors are those of ``pitrix.errors``; each cloud translates its own in its ``errors.py``. Beyond what a
method names, any call may raise ``CredentialInvalid`` (do not retry), ``ProviderThrottled`` and
``ProviderUnavailable`` (retry with backoff, as the state machines do), or ``ProviderError`` (the rest).

Where next: ``providers/__init__.py`` (the registry), ``providers/local/driver.py`` (the smallest
complete provider).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, NoReturn

from pitrix.errors import CapabilityMissing, InvalidInput
from providers.resources import (
    Address,
    AddressSpec,
    Connection,
    Function,
    FunctionSpec,
    Image,
    Invocation,
    KeyPair,
    KeyPairSpec,
    Machine,
    MachineSpec,
    MachineType,
    Network,
    NetworkSpec,
    Price,
    Quota,
    Release,
    ReleaseEndpoint,
    ReleaseEvent,
    ReleaseRevision,
    ReleaseSpec,
    SecurityGroup,
    SecurityGroupSpec,
    Snapshot,
    SnapshotSpec,
    Volume,
    VolumeSpec,
    Workload,
    Zone,
)

KEY_LENGTH = 64
"""Longest idempotency key, in characters (the length of EC2's ClientToken, the shortest of the clouds)."""

TAG_CLUSTER = "pitrix-cluster"
TAG_NODE = "pitrix-node"
"""Tag names every cloud and Kubernetes' labels accept: letters, digits and hyphens."""

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Capability(StrEnum):
    """What a cloud can be asked for. A provider offers one by inheriting the class of the same name."""

    MACHINES = "machines"
    VOLUMES = "volumes"
    SNAPSHOTS = "snapshots"
    NETWORKS = "networks"
    SECURITY_GROUPS = "security_groups"
    ADDRESSES = "addresses"
    IMAGES = "images"
    KEY_PAIRS = "key_pairs"
    RELEASES = "releases"
    FUNCTIONS = "functions"
    PRICES = "prices"


# --- capabilities ------------------------------------------------------------------------------------


class Machines(ABC):
    """Virtual machines."""

    @abstractmethod
    def machine_types(self) -> list[MachineType]:
        """The sizes on offer in the connection's zone, smallest first."""

    @abstractmethod
    def machine_images(self) -> list[Image]:
        """The images a machine may be made from, the default first."""

    @abstractmethod
    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        """Create one machine, or return the one already made for this key.

        Args:
            spec: What is wanted; ``memory_mib`` in MiB.
            idempotency_key: Stable per (cluster, role, index); at most 64 characters.

        Returns:
            The machine, usually still ``pending``; poll ``get_machine``.

        Raises:
            InvalidInput: No type is that large, or the spec cannot be met; not retryable.
            ResourceNotFound: The image, network, volume or key pair does not exist.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_machine(self, machine_id: str) -> Machine:
        """Tell one machine's present state.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        """All machines that carry every one of ``tags``, without the terminated ones."""

    @abstractmethod
    def start_machine(self, machine_id: str) -> Machine:
        """Boot a stopped machine (or one in ``error``); its user data runs again. Running: no effect.

        Raises:
            ResourceNotFound: It never was, or is gone.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def stop_machine(self, machine_id: str) -> Machine:
        """Shut a machine down, keeping its address and volumes. Stopped: no effect.

        Returns:
            The machine, possibly not stopped yet; poll ``get_machine``.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        """Give a stopped machine another size; ``memory_mib`` in MiB. That size already: no effect.

        Raises:
            Conflict: The machine is not stopped.
            InvalidInput: No type is that large.
            ResourceNotFound: It never was, or is gone.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def delete_machine(self, machine_id: str) -> None:
        """Delete a machine and what is in it; its volumes are detached and stay. Gone: no effect.

        It may take a while: poll ``get_machine`` until it raises ``ResourceNotFound`` or says
        ``terminated``.
        """

    @abstractmethod
    def quotas(self) -> list[Quota]:
        """The account's limits on machines and what they use, as far as the cloud tells them."""

    @abstractmethod
    def console_output(self, machine_id: str) -> str:
        """The last lines of the machine's console (at most 64 KiB), "" when the cloud has none yet.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """


class Volumes(ABC):
    """Block storage that outlives machines."""

    @abstractmethod
    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        """Create one volume, or return the one already made for this key.

        Returns:
            The volume, possibly still ``pending``; poll ``get_volume``.

        Raises:
            InvalidInput: The cloud has no such size or class.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_volume(self, volume_id: str) -> Volume:
        """Tell one volume's present state.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        """All volumes that carry every one of ``tags``."""

    @abstractmethod
    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        """Attach a volume to a machine; already attached to it: no effect.

        Raises:
            Conflict: It is attached to another machine.
            ResourceNotFound: The volume or the machine does not exist.
        """

    @abstractmethod
    def detach_volume(self, volume_id: str) -> Volume:
        """Detach a volume from its machine; not attached: no effect.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        """Make a volume larger; ``size_gib`` is the new size in GiB, and that size already: no effect.

        Raises:
            InvalidInput: The new size is smaller than the old one.
            ResourceNotFound: It never was, or is gone.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume and its data; gone: no effect.

        Raises:
            Conflict: It is attached; detach it, or delete the machine, first.
        """


class Snapshots(ABC):
    """Copies of volumes at a moment."""

    @abstractmethod
    def create_snapshot(self, spec: SnapshotSpec, *, idempotency_key: str) -> Snapshot:
        """Take a snapshot of a volume, or return the one already made for this key.

        Raises:
            ResourceNotFound: There is no such volume.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        """Tell one snapshot's present state.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        """All snapshots that carry every one of ``tags``."""

    @abstractmethod
    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot; gone: no effect. Volumes made from it stay."""


class Networks(ABC):
    """Private networks that machines are put in."""

    @abstractmethod
    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        """Create one network, or return the one already made for this key.

        Raises:
            InvalidInput: The CIDR is not one the cloud takes.
            Conflict: The CIDR overlaps another network's.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_network(self, network_id: str) -> Network:
        """Tell one network.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        """All networks that carry every one of ``tags``."""

    @abstractmethod
    def delete_network(self, network_id: str) -> None:
        """Delete a network; gone: no effect.

        Raises:
            Conflict: Machines are still in it.
        """


class SecurityGroups(ABC):
    """What may come in to machines, from the endpoints of a package."""

    @abstractmethod
    def create_security_group(self, spec: SecurityGroupSpec, *, idempotency_key: str) -> SecurityGroup:
        """Create one security group with its rules, or return the one already made for this key.

        Raises:
            InvalidInput: A rule is none the cloud takes.
            ResourceNotFound: There is no such network.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_security_group(self, security_group_id: str) -> SecurityGroup:
        """Tell one security group.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_security_groups(self, tags: Mapping[str, str]) -> list[SecurityGroup]:
        """All security groups that carry every one of ``tags``."""

    @abstractmethod
    def delete_security_group(self, security_group_id: str) -> None:
        """Delete a security group; gone: no effect.

        Raises:
            Conflict: Machines are still in it.
        """


class Addresses(ABC):
    """Public addresses."""

    @abstractmethod
    def allocate_address(self, spec: AddressSpec, *, idempotency_key: str) -> Address:
        """Get a public address, or return the one already got for this key.

        Raises:
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_address(self, address_id: str) -> Address:
        """Tell one address.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_addresses(self, tags: Mapping[str, str]) -> list[Address]:
        """All addresses that carry every one of ``tags``."""

    @abstractmethod
    def associate_address(self, address_id: str, machine_id: str) -> Address:
        """Give an address to a machine; it has it already: no effect.

        Raises:
            Conflict: Another machine has it.
            ResourceNotFound: There is no such address or machine.
        """

    @abstractmethod
    def disassociate_address(self, address_id: str) -> Address:
        """Take an address from its machine; nobody has it: no effect.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def release_address(self, address_id: str) -> None:
        """Give an address back; gone: no effect. A machine that has it loses it."""


class Images(ABC):
    """Making machine images of one's own. What can be booted from is ``Machines.machine_images``."""

    @abstractmethod
    def capture_image(
        self, machine_id: str, *, name: str, tags: Mapping[str, str], idempotency_key: str
    ) -> Image:
        """Make an image of a stopped machine, or return the one already made for this key.

        Returns:
            The image, usually still ``pending``; poll ``get_image``.

        Raises:
            Conflict: The machine is not stopped.
            ResourceNotFound: There is no such machine.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_image(self, image_id: str) -> Image:
        """Tell one image's present state.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_images(self, tags: Mapping[str, str]) -> list[Image]:
        """All images of this account that carry every one of ``tags``."""

    @abstractmethod
    def share_image(self, image_id: str, *, accounts: tuple[str, ...]) -> Image:
        """Let other accounts of the cloud boot from the image; sharing twice has no effect.

        Raises:
            ResourceNotFound: There is no such image or account.
        """

    @abstractmethod
    def copy_image(self, image_id: str, *, zone: str, idempotency_key: str) -> Image:
        """Copy the image to another zone, or return the copy already made for this key.

        Raises:
            ResourceNotFound: There is no such image or zone.
        """

    @abstractmethod
    def delete_image(self, image_id: str) -> None:
        """Delete an image; gone: no effect. Machines made from it stay."""


class KeyPairs(ABC):
    """SSH public keys that new machines accept."""

    @abstractmethod
    def import_key_pair(self, spec: KeyPairSpec, *, idempotency_key: str) -> KeyPair:
        """Import a public key, or return the key pair already made for this key.

        Raises:
            InvalidInput: That is not an OpenSSH public key.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        """Tell one key pair.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        """All key pairs that carry every one of ``tags``."""

    @abstractmethod
    def delete_key_pair(self, key_pair_id: str) -> None:
        """Delete a key pair; gone: no effect. Machines that accept it go on doing so."""


class Releases(ABC):
    """Charts installed on a Kubernetes cluster."""

    @abstractmethod
    def install_release(self, spec: ReleaseSpec, *, idempotency_key: str) -> Release:
        """Install a chart, or return the release already made for this key.

        Returns:
            The release, usually still ``pending``; poll ``get_release``.

        Raises:
            InvalidInput: The chart does not render, or the API server refuses what it renders.
            Conflict: A release of that name, made with another key, is in the namespace.
            QuotaExceeded: The namespace's quota is reached; not retryable.
        """

    @abstractmethod
    def get_release(self, release_id: str) -> Release:
        """Tell one release's present state.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_releases(self, tags: Mapping[str, str]) -> list[Release]:
        """All releases that carry every one of ``tags``."""

    @abstractmethod
    def diff_release(self, release_id: str, spec: ReleaseSpec) -> str:
        """What an upgrade to ``spec`` would change, as a unified diff of manifests; "" for nothing.

        Raises:
            InvalidInput: The chart does not render.
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def upgrade_release(self, release_id: str, spec: ReleaseSpec, *, idempotency_key: str) -> Release:
        """Bring a release to ``spec``, or return it if this key did so already.

        Raises:
            InvalidInput: The chart does not render, or the API server refuses what it renders.
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def rollback_release(self, release_id: str, *, revision: int, idempotency_key: str) -> Release:
        """Bring a release back to an earlier revision, as a new one.

        Raises:
            ResourceNotFound: There is no such release or revision.
        """

    @abstractmethod
    def release_history(self, release_id: str) -> list[ReleaseRevision]:
        """The revisions that can be told and rolled back to, newest first.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def release_workloads(self, release_id: str) -> list[Workload]:
        """What the release runs, with its pods, by kind and name.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def release_events(self, release_id: str) -> list[ReleaseEvent]:
        """What the cluster noted about the release's objects, newest first, as long as it remembers.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def release_endpoints(self, release_id: str) -> list[ReleaseEndpoint]:
        """Where the release answers, by name.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def uninstall_release(self, release_id: str) -> None:
        """Remove a release and what it made, its namespace too where the installation made that; gone: no
        effect."""


class Functions(ABC):
    """Serverless applications: functions and what triggers them."""

    @abstractmethod
    def deploy_function(self, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        """Deploy an application and publish its first version, or return the one already made for this key.

        Returns:
            The application, usually still ``pending``.

        Raises:
            InvalidInput: The cloud has no such runtime, or refuses the manifests or the archive.
            QuotaExceeded: The account's limit is reached; not retryable.
        """

    @abstractmethod
    def get_function(self, function_id: str) -> Function:
        """Tell one application's present state.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def list_functions(self, tags: Mapping[str, str]) -> list[Function]:
        """All applications that carry every one of ``tags``."""

    @abstractmethod
    def publish_version(self, function_id: str, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        """Bring an application to ``spec`` and publish that as a new version, or return it if this key did
        so already.

        Raises:
            InvalidInput: The cloud refuses the manifests or the archive.
            ResourceNotFound: It never was, or is gone.
        """

    @abstractmethod
    def point_alias(self, function_id: str, *, alias: str, version: str) -> Function:
        """Make ``alias`` answer with ``version`` from now on.

        Raises:
            ResourceNotFound: There is no such application or version.
        """

    @abstractmethod
    def invoke_function(
        self, function_id: str, function: str, payload: bytes, *, timeout_s: int
    ) -> Invocation:
        """Call one function of an application and wait for its answer, ``timeout_s`` seconds at most.

        Args:
            function: Its name in the application; "" where there is but one.

        Raises:
            ResourceNotFound: There is no such application or function.
        """

    @abstractmethod
    def remove_function(self, function_id: str) -> None:
        """Remove an application, its versions and aliases; gone: no effect."""


class Prices(ABC):
    """List prices in the connection's zone."""

    @abstractmethod
    def machine_price(self, machine_type: str) -> Price:
        """The price of one running machine of that type.

        Raises:
            ResourceNotFound: There is no such type.
        """

    @abstractmethod
    def volume_price(self, volume_class: str) -> Price:
        """The price of one GiB of that class of volume.

        Raises:
            ResourceNotFound: There is no such class.
        """


CAPABILITY_CLASSES: Mapping[Capability, type[ABC]] = {
    Capability.MACHINES: Machines,
    Capability.VOLUMES: Volumes,
    Capability.SNAPSHOTS: Snapshots,
    Capability.NETWORKS: Networks,
    Capability.SECURITY_GROUPS: SecurityGroups,
    Capability.ADDRESSES: Addresses,
    Capability.IMAGES: Images,
    Capability.KEY_PAIRS: KeyPairs,
    Capability.RELEASES: Releases,
    Capability.FUNCTIONS: Functions,
    Capability.PRICES: Prices,
}


# --- providers ---------------------------------------------------------------------------------------


class Provider(ABC):
    """One account of one cloud. A driver inherits this and the class of each capability that it offers.

    Making one is cheap and touches nothing; the first call connects. Instances are used by one thread.
    """

    name: ClassVar[str]
    """The registry's name: lower case letters, digits, hyphens."""

    title: ClassVar[str]
    """The name people know the cloud by."""

    operator_only: ClassVar[bool] = False
    """True where connecting an account hands out the platform's own machine or network."""

    credential_schema: ClassVar[Mapping[str, Any]]
    """JSON Schema (2020-12) of ``Connection.credential``: an object of strings, from which the runtime
    form is drawn and by which it is checked. A secret has ``"writeOnly": true``, a text of several lines
    ``"x-multiline": true``. Where there are several ways to sign in it is a ``oneOf`` of such objects, each
    with a ``title`` and with its name as the ``const`` of the property ``method``; see :func:`ways`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def capabilities(cls) -> frozenset[Capability]:
        """What this provider offers: the capability classes it inherits."""
        return frozenset(name for name, kind in CAPABILITY_CLASSES.items() if issubclass(cls, kind))

    @abstractmethod
    def validate_credential(self) -> None:
        """Ask the cloud whether the credential and the zone are good for what Pitrix does.

        Raises:
            CredentialInvalid: They are not; the message says what is wrong or which permission lacks.
        """

    @abstractmethod
    def zones(self) -> list[Zone]:
        """The zones this credential may use, the default first."""

    # One attribute a capability, so that a caller says ``provider.machines.create_machine(…)`` and a type
    # checker agrees. Each raises CapabilityMissing where the provider does not offer it.

    @property
    def machines(self) -> Machines:
        return self if isinstance(self, Machines) else self._lacks(Capability.MACHINES)

    @property
    def volumes(self) -> Volumes:
        return self if isinstance(self, Volumes) else self._lacks(Capability.VOLUMES)

    @property
    def networks(self) -> Networks:
        return self if isinstance(self, Networks) else self._lacks(Capability.NETWORKS)

    @property
    def snapshots(self) -> Snapshots:
        return self if isinstance(self, Snapshots) else self._lacks(Capability.SNAPSHOTS)

    @property
    def security_groups(self) -> SecurityGroups:
        return self if isinstance(self, SecurityGroups) else self._lacks(Capability.SECURITY_GROUPS)

    @property
    def addresses(self) -> Addresses:
        return self if isinstance(self, Addresses) else self._lacks(Capability.ADDRESSES)

    @property
    def images(self) -> Images:
        return self if isinstance(self, Images) else self._lacks(Capability.IMAGES)

    @property
    def key_pairs(self) -> KeyPairs:
        return self if isinstance(self, KeyPairs) else self._lacks(Capability.KEY_PAIRS)

    @property
    def releases(self) -> Releases:
        return self if isinstance(self, Releases) else self._lacks(Capability.RELEASES)

    @property
    def functions(self) -> Functions:
        return self if isinstance(self, Functions) else self._lacks(Capability.FUNCTIONS)

    @property
    def prices(self) -> Prices:
        return self if isinstance(self, Prices) else self._lacks(Capability.PRICES)

    def _lacks(self, capability: Capability) -> NoReturn:
        raise CapabilityMissing(f"{self.title} does not offer {capability.replace('_', ' ')}.")


def check_key(idempotency_key: str) -> str:
    """Return the key if every cloud can carry it.

    Raises:
        InvalidInput: It is empty, longer than 64 characters, or has characters other than
            letters, digits and ``. _ : -``.
    """
    if not _KEY.fullmatch(idempotency_key):
        raise InvalidInput(f"An idempotency key is 1 to {KEY_LENGTH} letters, digits or . _ : -")
    return idempotency_key


def ways(credential_schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The ways to sign in that a provider's schema offers: one schema of an object each."""
    branches: list[Mapping[str, Any]] = credential_schema.get("oneOf", [credential_schema])
    return branches


def smallest_type(types: Iterable[MachineType], *, cpu: int, memory_mib: int, gpu: int = 0) -> MachineType:
    """The smallest of ``types`` that has at least so many cores, so much memory (MiB) and so many GPUs.

    A type with GPUs is not given to whoever asks for none.

    Raises:
        InvalidInput: None is that large; says which is the largest.
    """
    offered = list(types)
    fitting = [
        size
        for size in offered
        if size.cpu >= cpu and size.memory_mib >= memory_mib and (size.gpu >= gpu if gpu else not size.gpu)
    ]
    if not fitting:
        largest = max(offered, key=lambda size: (size.cpu, size.memory_mib), default=None)
        what = f"{cpu} CPU, {memory_mib} MiB" + (f", {gpu} GPU" if gpu else "")
        known = (
            f"the largest has {largest.cpu} CPU, {largest.memory_mib} MiB" if largest else "there are none"
        )
        raise InvalidInput(f"No machine type of this zone holds {what}; {known}.")
    return min(fitting, key=lambda size: (size.gpu, size.cpu, size.memory_mib, size.machine_type))
