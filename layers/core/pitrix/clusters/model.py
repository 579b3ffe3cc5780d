"""Clusters, their nodes, and the jobs, plans and steps by which they change.

Owns the states and who may follow whom. Never talks to a cloud or an agent: ``planning.py`` says what to do,
``execution.py`` does it step by step, ``service.py`` takes orders from users.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pitrix.packages.model import RoleSpec, WorkloadSpec


class ClusterStatus(StrEnum):
    """Where a cluster stands between jobs.

    ``pending`` until its deployment ends; ``failed`` when that went wrong (nothing of it is left at the
    cloud); ``ceased`` is the end: its resources are gone and only the record stays.
    """

    PENDING = "pending"
    ACTIVE = "active"
    STOPPED = "stopped"
    FAILED = "failed"
    CEASED = "ceased"


class NodeStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    STOPPED = "stopped"
    CEASED = "ceased"


class JobKind(StrEnum):
    DEPLOY = "deploy"
    START = "start"
    STOP = "stop"
    RUN_SERVICE = "run-service"
    CEASE = "cease"


#: The action that is underway, as shown on the cluster, and the states it may begin in.
TRANSITIONS: dict[JobKind, tuple[str, frozenset[ClusterStatus]]] = {
    JobKind.DEPLOY: ("creating", frozenset({ClusterStatus.PENDING})),
    JobKind.START: ("starting", frozenset({ClusterStatus.STOPPED})),
    JobKind.STOP: ("stopping", frozenset({ClusterStatus.ACTIVE})),
    JobKind.RUN_SERVICE: ("running a service", frozenset({ClusterStatus.ACTIVE})),
    JobKind.CEASE: (
        "ceasing",
        frozenset({ClusterStatus.ACTIVE, ClusterStatus.STOPPED, ClusterStatus.FAILED}),
    ),
}


class JobStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class StepStatus(StrEnum):
    """``running`` is written before the call that it stands for: the intent of the journal."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class StepKind(StrEnum):
    """What a step does; the modules ``…_steps.py`` carry them out."""

    CREATE_NETWORK = "create_network"
    CREATE_SECURITY_GROUP = "create_security_group"
    CREATE_VOLUME = "create_volume"
    CREATE_FRONTGATE = "create_frontgate"
    CREATE_MACHINE = "create_machine"
    GIVE_ADDRESS = "give_address"
    START_MACHINE = "start_machine"
    STOP_MACHINE = "stop_machine"
    DELETE_MACHINE = "delete_machine"
    DELETE_VOLUME = "delete_volume"
    RELEASE_ADDRESS = "release_address"
    DELETE_SECURITY_GROUP = "delete_security_group"
    DELETE_NETWORK = "delete_network"
    INSTALL_RELEASE = "install_release"
    UNINSTALL_RELEASE = "uninstall_release"
    DEPLOY_FUNCTION = "deploy_function"
    REMOVE_FUNCTION = "remove_function"
    SWEEP = "sweep"
    AWAIT_AGENT = "await_agent"
    PUBLISH_METADATA = "publish_metadata"
    INSTALL_PAYLOAD = "install_payload"
    RUN_SERVICE = "run_service"
    CHECK_HEALTH = "check_health"
    WATCH_HEALTH = "watch_health"
    STOP_WATCHING = "stop_watching"

    @property
    def by_agent(self) -> bool:
        """Whether a node's agent does it, so that the state machine waits on a task token."""
        return self in _BY_AGENT


_BY_AGENT = frozenset(
    {
        StepKind.AWAIT_AGENT,
        StepKind.INSTALL_PAYLOAD,
        StepKind.RUN_SERVICE,
        StepKind.CHECK_HEALTH,
        StepKind.WATCH_HEALTH,
        StepKind.STOP_WATCHING,
    }
)


@dataclass(kw_only=True)
class Endpoint:
    """A door of a running application: ``url`` is what a browser or client is pointed at.

    ``node_id`` and ``role`` are empty where it is no machine's: a service of a chart, a function.
    """

    name: str
    node_id: str
    role: str
    protocol: str
    host: str
    port: int
    url: str


@dataclass(kw_only=True)
class Cluster:
    """One deployed application.

    ``owner_path`` decides who sees it; ``account`` is what its usage is billed to. ``transition`` tells the
    action that is underway and is empty otherwise; ``job_id`` is the job that holds the cluster meanwhile.
    ``roles``, ``env`` and ``endpoint_ports`` are the rendered package, kept so that later operations need
    not render it again. ``holds_resources`` is false once nothing of it is left at the cloud.

    ``package_type`` says what it is at the cloud: machines (``vm``), a release (``helm``) whose pods are the
    nodes and whose ``workloads`` are billed, or functions (``serverless``); ``cloud_id`` is the release's or
    the functions' id there. ``security_groups`` are ids by name (see ``doors.groups``); ``public`` says
    that machines with endpoints get public addresses.
    """

    cluster_id: str
    name: str
    description: str = ""
    owner_id: str
    owner_path: str
    account: str
    app_id: str
    app_name: str
    version_id: str
    version: str
    runtime_id: str
    package_type: str = "vm"
    status: ClusterStatus = ClusterStatus.PENDING
    transition: str = ""
    job_id: str | None = None
    roles: list[RoleSpec] = field(default_factory=list)
    workloads: list[WorkloadSpec] = field(default_factory=list)
    env: dict[str, Any] = field(default_factory=dict)
    endpoint_ports: dict[str, Any] = field(default_factory=dict)
    endpoints: list[Endpoint] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    network_id: str | None = None
    security_groups: dict[str, str] = field(default_factory=dict)
    cloud_id: str | None = None
    public: bool = False
    holds_resources: bool = True
    currency: str = "USD"
    micros_per_hour: int = 0
    created_at: datetime
    status_at: datetime
    version_no: int = 0

    def role(self, name: str) -> RoleSpec:
        """Return the role of that name, also for the nodes that replicate it (``<role>-replica``).

        Raises:
            KeyError: there is none.
        """
        for role in self.roles:
            if name in (role.role, f"{role.role}-replica"):
                return role
        raise KeyError(name)

    @property
    def of_machines(self) -> bool:
        """Whether it is machines with agents, and not something that the cloud itself runs."""
        return self.package_type == "vm"

    @property
    def actions(self) -> list[JobKind]:
        """What it can ever be asked to do: only machines are stopped, and only agents run services."""
        if not self.of_machines:
            return [JobKind.CEASE]
        return [kind for kind in JobKind if kind is not JobKind.DEPLOY]


@dataclass(kw_only=True)
class Node:
    """One machine of a cluster, or one pod of a chart as it was found when its job ended.

    ``index`` counts from 0 inside its role; the frontgate's role is ``frontgate`` and it is not billed. The
    role of a pod is its workload, and ``cpu_millis`` (thousandths of a core) what it requests.
    """

    node_id: str
    cluster_id: str
    role: str
    index: int
    name: str
    frontgate: bool = False
    status: NodeStatus = NodeStatus.PENDING
    health: str = ""
    private_ip: str | None = None
    public_ip: str | None = None
    address_id: str | None = None
    machine_id: str | None = None
    volume_ids: list[str] = field(default_factory=list)
    agent_id: str | None = None
    cpu: int
    memory_mib: int
    cpu_millis: int = 0
    gpu: int = 0
    volume_gib: int = 0
    server_id: int
    version_no: int = 0


@dataclass(kw_only=True)
class Step:
    """One thing that a job does to one resource.

    ``step_id`` is unique in its job and sorts in the order of the plan; with the job's id it is the
    idempotency key at the cloud. ``params`` is what the step needs beyond its target; ``result`` and
    ``error`` are the journal's second half.
    """

    step_id: str
    layer: int
    kind: StepKind
    title: str
    node_id: str | None = None
    node_name: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    timeout_s: int = 600
    optional: bool = False
    status: StepStatus = StepStatus.WAITING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(kw_only=True)
class Layer:
    """Steps that may go at the same time; a layer begins when the one before it has ended."""

    name: str
    steps: list[Step] = field(default_factory=list)


@dataclass(kw_only=True)
class Plan:
    """What a job will do, to be read before it runs.

    ``micros_per_hour`` is the price afterwards; ``notes`` say what is not in it, and what may go wrong.
    """

    layers: list[Layer] = field(default_factory=list)
    digest: str = ""
    currency: str = "USD"
    micros_per_hour: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        return [step for layer in self.layers for step in layer.steps]


@dataclass(kw_only=True)
class JobError:
    """Why a job failed, for a user: which step and what happened."""

    code: str
    message: str
    step_id: str = ""


@dataclass(kw_only=True)
class Progress:
    done: int
    total: int


@dataclass(kw_only=True)
class Job:
    """One operation on one cluster.

    ``part`` is ``main`` while the plan runs and ``undo`` while a failed one is being compensated;
    ``attempt`` counts the executions of its state machine, ``tries`` how often failed steps were given
    another chance.
    """

    job_id: str
    cluster_id: str
    kind: JobKind
    owner_id: str
    owner_path: str
    status: JobStatus = JobStatus.PENDING
    part: str = "main"
    layers: list[str] = field(default_factory=list)
    undo_layers: list[str] = field(default_factory=list)
    error: JobError | None = None
    cancel_requested: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    execution: str = ""
    attempt: int = 1
    tries: int = 1
    created_at: datetime
    finished_at: datetime | None = None
    version_no: int = 0


@dataclass(kw_only=True)
class JobView:
    """A job as it is shown: with its steps and how far it got."""

    job: Job
    progress: Progress
    steps: list[Step]
