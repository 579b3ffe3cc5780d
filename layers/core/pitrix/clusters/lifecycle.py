"""How a job ends: what becomes of its cluster and nodes, what is metered from then on, and who is told.

Owns the effects of success and failure of every kind of job. Each is idempotent, because the state machine
may run it again: usage events carry ids made of the job's, and the job itself is closed last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from pitrix.billing.model import UsageEvent
from pitrix.billing.quantities import node_quantities, stored_quantities, workload_quantities
from pitrix.clock import Clock
from pitrix.clusters.model import (
    Cluster,
    ClusterStatus,
    Endpoint,
    Job,
    JobError,
    JobKind,
    JobStatus,
    Node,
    NodeStatus,
)
from pitrix.clusters.ports import ClusterStore, Meter
from pitrix.events import EventBus, announce

#: What a cluster and its nodes are after a job of that kind succeeded; other kinds change neither.
_AFTER: dict[JobKind, tuple[ClusterStatus, NodeStatus, str]] = {
    JobKind.DEPLOY: (ClusterStatus.ACTIVE, NodeStatus.ACTIVE, "ClusterCreated"),
    JobKind.START: (ClusterStatus.ACTIVE, NodeStatus.ACTIVE, "ClusterStarted"),
    JobKind.STOP: (ClusterStatus.STOPPED, NodeStatus.STOPPED, "ClusterStopped"),
    JobKind.CEASE: (ClusterStatus.CEASED, NodeStatus.CEASED, "ClusterCeased"),
}
_WEB = ("http", "https")


class JobClosing:
    """Ends jobs."""

    def __init__(self, *, store: ClusterStore, meter: Meter, events: EventBus, clock: Clock) -> None:
        self._store = store
        self._meter = meter
        self._events = events
        self._clock = clock

    def succeed(self, job: Job) -> None:
        """End a job whose plan was done; the plan of an ``undo`` ends it as failed or cancelled."""
        if job.status.ended:
            return
        if job.part == "undo":
            self._end_undone(job)
            return
        if job.kind in _AFTER:
            self._advance(job)
        else:
            self._release(job)
        self._end(job, JobStatus.SUCCEEDED, None)

    def fail(self, job: Job, error: JobError) -> None:
        """End a job that could not do its plan, nor take back what it did of it.

        A cluster that was to start, stop or run a service stays what it was and can be told so again. One
        that is half made, half started or half removed has failed: it can be ceased, which removes the rest.
        """
        if job.status.ended:
            return
        if job.part == "undo":
            first = job.error or error
            error = JobError(
                code=first.code,
                message=f"{first.message}. Taking it back failed, too: {error.message}. Cease it to retry.",
                step_id=first.step_id,
            )
        else:
            error = job.error or error
        cluster = self._held(job)
        if job.kind is JobKind.CEASE and cluster is not None:
            # Whoever asked for the end of a cluster does not pay for the cloud's trouble with it.
            self._meter.send(usage_events(cluster, self._store.nodes(job.cluster_id), job, job.created_at))
        half_done = job.kind in (JobKind.DEPLOY, JobKind.CEASE) or job.part == "undo"
        self._release(job, ClusterStatus.FAILED if half_done else None)
        self._end(job, JobStatus.FAILED, error)

    def _advance(self, job: Job) -> None:
        cluster = self._held(job)
        if cluster is None:
            return  # all of this was done before, and the cluster may belong to another job by now
        status, node_status, event = _AFTER[job.kind]
        nodes = self._store.nodes(job.cluster_id)
        # Running time is counted from the moment that the application is there, and no longer than until
        # its owner asked for the end of it.
        ends = job.kind in (JobKind.STOP, JobKind.CEASE)
        self._meter.send(usage_events(cluster, nodes, job, job.created_at if ends else self._clock.now()))
        for node in nodes:
            self._store.change_node(node.cluster_id, node.node_id, _set_status(node_status))
        doors = endpoints(cluster, nodes) if status is ClusterStatus.ACTIVE else []
        self._release(job, status, doors=doors, gone=status is ClusterStatus.CEASED)
        announce(self._events, event, job.cluster_id, {"job_id": job.job_id, "owner_path": job.owner_path})

    def _held(self, job: Job) -> Cluster | None:
        """Return the job's cluster while it is held by this job; ``None`` once it was let go."""
        cluster = self._store.cluster(job.cluster_id)
        return cluster if cluster is not None and cluster.job_id == job.job_id else None

    def _end_undone(self, job: Job) -> None:
        again_stopped = job.kind is JobKind.START
        status = NodeStatus.STOPPED if again_stopped else NodeStatus.CEASED
        for node in self._store.nodes(job.cluster_id):
            self._store.change_node(node.cluster_id, node.node_id, _set_status(status))
        self._release(
            job, ClusterStatus.STOPPED if again_stopped else ClusterStatus.FAILED, gone=not again_stopped
        )
        cancelled = job.error is not None and job.error.code == "JobCancelled"
        self._end(job, JobStatus.CANCELLED if cancelled else JobStatus.FAILED, job.error)

    def _release(
        self,
        job: Job,
        status: ClusterStatus | None = None,
        *,
        doors: Sequence[Endpoint] = (),
        gone: bool = False,
    ) -> None:
        """Let the cluster go, in the state ``status`` with these ``doors``, or as it was before the job."""
        now = self._clock.now()

        def change(cluster: Cluster) -> None:
            if cluster.job_id != job.job_id:
                return
            cluster.transition, cluster.job_id = "", None
            if status is not None:
                cluster.status, cluster.status_at = status, now
                cluster.endpoints = list(doors)
            if gone:
                cluster.holds_resources, cluster.network_id, cluster.cloud_id = False, None, None
                cluster.security_groups = {}

        self._store.change_cluster(job.cluster_id, change)

    def _end(self, job: Job, status: JobStatus, error: JobError | None) -> None:
        now = self._clock.now()

        def change(job: Job) -> None:
            job.status, job.error, job.finished_at = status, error, now

        self._store.change_job(job.job_id, change)
        data = {"cluster_id": job.cluster_id, "kind": job.kind.value, "owner_path": job.owner_path}
        announce(self._events, f"Job{status.value.capitalize()}", job.job_id, data)


def usage_events(cluster: Cluster, nodes: Sequence[Node], job: Job, at: datetime) -> list[UsageEvent]:
    """Return what is metered from ``at`` on because of ``job``.

    Machines are metered while they run and their volumes until the cluster is ceased; the frontgate is the
    platform's own and free. Of a chart it is what its workloads request, of functions nothing.
    """
    metered = [
        (node.node_id, *_metered(cluster, node, job.kind)) for node in nodes if _is_billed(cluster, node)
    ]
    for number, workload in enumerate(cluster.workloads):
        wanted = workload_quantities(workload) if job.kind is JobKind.DEPLOY else {}
        metered.append((f"{workload.kind}-{number}", "start" if wanted else "stop", wanted))
    return [
        UsageEvent(
            event_id=f"{job.job_id}.{metered_id}",
            account=cluster.account,
            cluster_id=cluster.cluster_id,
            node_id=metered_id,
            app_id=cluster.app_id,
            kind=kind,
            at=at,
            quantities=quantities,
        )
        for metered_id, kind, quantities in metered
    ]


def _is_billed(cluster: Cluster, node: Node) -> bool:
    return cluster.of_machines and not node.frontgate


def _metered(cluster: Cluster, node: Node, kind: JobKind) -> tuple[Literal["start", "stop"], dict[str, int]]:
    role = cluster.role(node.role)
    if kind in (JobKind.DEPLOY, JobKind.START):
        return "start", node_quantities(role)
    if kind is JobKind.STOP and (stored := stored_quantities(role)):
        return "start", {**stored, "node": 0}
    return "stop", {}


def endpoints(cluster: Cluster, nodes: Sequence[Node]) -> list[Endpoint]:
    """Return where the application is reached: each of its doors on each node of the roles that serve it.

    Of charts and functions it is what the cloud said when they were deployed.
    """
    if not cluster.of_machines:
        return cluster.endpoints
    found = []
    for name, door in cluster.endpoint_ports.items():
        for node in nodes:
            if node.frontgate or node.role not in door["roles"] or not node.private_ip:
                continue
            protocol, host, port = str(door["protocol"]), node.public_ip or node.private_ip, door["port"]
            if not isinstance(port, int):
                continue  # a reference that the answers left open: there is no number to show
            scheme = protocol if protocol.isalnum() and protocol.isascii() else "tcp"
            found.append(
                Endpoint(
                    name=name,
                    node_id=node.node_id,
                    role=node.role,
                    protocol=protocol,
                    host=host,
                    port=port,
                    url=f"{scheme}://{host}:{port}" + ("/" if scheme in _WEB else ""),
                )
            )
    return found


def _set_status(status: NodeStatus) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.status = status

    return change
