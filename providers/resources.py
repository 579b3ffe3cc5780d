"""What clouds hold, in the words of Pitrix: wanted things (``…Spec``) and things as a cloud tells them.

Owns the shapes and statuses that ``providers/base.py`` speaks with. Never talks to a cloud and decides
nothing. Sizes carry their unit in their name; every resource carries the tags it was made with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

# --- who we are to the cloud -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to reach one account of one cloud.

    ``credential`` holds the values of the provider's ``credential_schema`` (addresses as well as
    secrets); it is kept out of ``repr`` so that no log line shows it. ``settings`` are the deployment's
    own values for that cloud, which no tenant can give: another endpoint (a test cloud's), networks that
    addresses in a credential may lie in although they are not public.
    """

    zone: str
    credential: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A place where resources live; ``zone`` is the cloud's own name for it."""

    zone: str
    title: str = ""


# --- machines ----------------------------------------------------------------------------------------


class MachineStatus(StrEnum):
    """``pending`` becomes one of the others by itself; ``error`` needs a decision, and carries a reason."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    TERMINATED = "terminated"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class MachineType:
    """A size on offer. ``memory_mib`` in MiB."""

    machine_type: str
    cpu: int
    memory_mib: int
    gpu: int = 0


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """A wanted machine.

    ``cpu`` in cores, ``memory_mib`` in MiB, ``gpu`` in devices: the provider takes the smallest type
    that holds them all. ``volume_ids`` are attached before the user data runs. ``user_data`` is a shell
    script that runs at every boot with the rights of the machine's administrator. ``key_pair`` is a key
    pair's id. Everything named here exists and is ready when the machine is asked for.
    """

    name: str
    cpu: int
    memory_mib: int
    image: str
    network_id: str
    gpu: int = 0
    volume_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    user_data: str = field(default="", repr=False)  # carries an enrolment token
    key_pair: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as the cloud tells it. ``private_ip`` is None until the cloud has given one, and
    ``public_ip`` where it has none. ``cpu`` and ``memory_mib`` are those of its ``machine_type``.

    ``reason`` says, in words for a user, why the status is ``error``; it is empty otherwise.
    """

    machine_id: str
    name: str
    status: MachineStatus
    cpu: int
    memory_mib: int
    image: str
    network_id: str
    created_at: datetime
    machine_type: str = ""
    private_ip: str | None = None
    public_ip: str | None = None
    volume_ids: tuple[str, ...] = ()
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


COUNTED = ("machines", "cpu", "memory_mib", "volumes", "volume_gib", "networks", "addresses", "key_pairs")


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A limit of the account in the connection's zone: ``used`` of ``limit``, both counted in ``unit``.

    ``name`` is the cloud's own word for it. ``limit`` is None where there is none. ``counts`` says in one of
    the words of :data:`COUNTED` what that is (``cpu``: cores of machines without a GPU), so that a plan can
    be held against it; "" is anything else, as what limits a single family of machine types.
    """

    name: str
    used: int
    limit: int | None
    unit: str = ""
    counts: str = ""


# --- volumes, networks, images, key pairs ------------------------------------------------------------


class VolumeStatus(StrEnum):
    PENDING = "pending"
    AVAILABLE = "available"
    IN_USE = "in_use"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    """A wanted volume; ``size_gib`` in GiB, ``volume_class`` a class of the cloud ("" for its default).

    With ``snapshot_id`` it holds what the snapshot holds, and is at least as large.
    """

    name: str
    size_gib: int
    volume_class: str = ""
    snapshot_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume; ``machine_id`` is None unless it is attached."""

    volume_id: str
    name: str
    status: VolumeStatus
    size_gib: int
    created_at: datetime
    volume_class: str = ""
    machine_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class SnapshotStatus(StrEnum):
    PENDING = "pending"
    AVAILABLE = "available"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class SnapshotSpec:
    """A wanted snapshot of a volume, attached or not."""

    name: str
    volume_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a volume held at a moment; it outlives the volume. ``size_gib`` is the volume's then."""

    snapshot_id: str
    name: str
    status: SnapshotStatus
    volume_id: str
    size_gib: int
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)


class NetworkStatus(StrEnum):
    PENDING = "pending"
    AVAILABLE = "available"


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A wanted network; without ``cidr`` the provider chooses one that is free."""

    name: str
    cidr: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network (subnet, vxnet, port group) that machines are put in; ``cidr`` like ``10.0.1.0/24``.

    ``cidr`` is "" where the cloud does not say (a port group that somebody else gives addresses to), and
    ``created_at`` is None where the cloud does not remember.
    """

    network_id: str
    name: str
    cidr: str
    created_at: datetime | None
    status: NetworkStatus = NetworkStatus.AVAILABLE
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SecurityRule:
    """Traffic that may come in from ``cidr``: ``protocol`` is ``tcp`` or ``udp``, ports are inclusive."""

    protocol: str
    port_from: int
    port_to: int
    cidr: str = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class SecurityGroupSpec:
    """A wanted set of rules for machines of one network: nothing else comes in, everything may go out.

    Machines of the same network reach each other on every port, whatever the rules.
    """

    name: str
    network_id: str
    rules: tuple[SecurityRule, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SecurityGroup:
    """A set of rules; ``rules`` as they were wanted, in no order."""

    security_group_id: str
    name: str
    rules: tuple[SecurityRule, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AddressSpec:
    """A wanted public address."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Address:
    """A public address; ``ip`` is None until the cloud has given it, ``machine_id`` while nobody has it."""

    address_id: str
    name: str
    ip: str | None
    machine_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class ImageStatus(StrEnum):
    PENDING = "pending"
    AVAILABLE = "available"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a machine boots from."""

    image_id: str
    name: str
    status: ImageStatus = ImageStatus.AVAILABLE
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KeyPairSpec:
    """A public key to be imported, in OpenSSH's one-line form. Private keys never come here."""

    name: str
    public_key: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """An imported public key; ``fingerprint`` as ``ssh-keygen -l`` shows it (``SHA256:…``)."""

    key_pair_id: str
    name: str
    fingerprint: str
    tags: Mapping[str, str] = field(default_factory=dict)


# --- releases, functions, prices ---------------------------------------------------------------------


class ReleaseStatus(StrEnum):
    """``deployed`` when the chart is applied and its workloads are ready; ``failed`` needs a decision."""

    PENDING = "pending"
    DEPLOYED = "deployed"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class ReleaseSpec:
    """A chart to be installed: ``chart`` is the archive (.tgz) with its dependencies inside.

    ``timeout_s`` bounds the chart's hooks, in seconds: they run while the call does.
    """

    name: str
    namespace: str
    chart: bytes = field(repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout_s: int = 300
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Release:
    """An installed chart; ``revision`` counts up with every upgrade and rollback.

    ``reason`` says, in words for a user, what it waits for or why it failed.
    """

    release_id: str
    name: str
    namespace: str
    status: ReleaseStatus
    revision: int
    chart_version: str
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReleaseRevision:
    """One state that a release was in; ``description`` is Helm's own sentence about it."""

    revision: int
    chart_version: str
    status: str
    updated_at: datetime
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One running copy of a workload; ``reason`` says why it is not ready, "" when it is.

    ``status`` is Kubernetes' phase in lower case: pending, running, succeeded, failed, unknown.
    ``cpu_millis`` (thousandths of a core) and ``memory_mib`` are what its containers request.
    """

    pod_id: str
    name: str
    status: str
    ready: bool
    private_ip: str | None
    cpu_millis: int
    memory_mib: int
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a release runs: ``kind`` is Deployment, StatefulSet, DaemonSet, Job or CronJob.

    ``wanted`` copies, of which ``ready`` are ready (of a Job: done).
    """

    kind: str
    name: str
    wanted: int
    ready: int
    pods: tuple[Pod, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReleaseEvent:
    """Something the cluster noted about an object of a release; ``kind`` is ``normal`` or ``warning``."""

    at: datetime
    kind: str
    reason: str
    message: str
    about: str


@dataclass(frozen=True, kw_only=True)
class ReleaseEndpoint:
    """Where a release answers: a port of a service, or a host of an ingress."""

    name: str
    protocol: str
    host: str
    port: int


class FunctionStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """A serverless application as its package renders it for this cloud.

    ``manifests`` are the rendered files by path (``pitrix.packages.service.manifests``): a SAM template
    and its parameters for AWS, ``host.json`` and settings for Azure, services for Knative. ``code`` is a
    zip archive of the package's files, to which paths in the manifests refer.
    """

    name: str
    manifests: Mapping[str, str] = field(repr=False)
    code: bytes = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Function:
    """A deployed serverless application.

    ``version`` is the name of the newest published version, "" before there is one. ``aliases`` are the
    version that each alias answers with. ``urls`` are where its functions answer over HTTP, by their name.
    """

    function_id: str
    name: str
    status: FunctionStatus
    version: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What a function answered; ``error`` is empty when it did not fail."""

    payload: bytes
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Price:
    """A list price in millionths of ``currency`` (ISO 4217) an hour; ``source`` says where it is from."""

    currency: str
    micros_per_hour: int
    as_of: date
    source: str
