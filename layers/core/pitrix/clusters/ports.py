"""What clusters need of the world: where they are kept, what runs their jobs, and who meters them.

Other contexts are used through their services (see ``bootstrap.clusters``), clouds through
``providers.base.Provider``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pitrix.billing.model import UsageEvent
from pitrix.clusters.model import Cluster, Job, Node, Step
from pitrix.pilot.model import Agent
from pitrix.pilot.service import Enrollment


class ClusterStore(Protocol):
    """Where clusters, nodes, jobs and steps are kept.

    ``change_*`` applies a function to what is stored *now* and tries again when somebody else wrote in
    between; the function must therefore have no effect but its result.
    """

    def cluster(self, cluster_id: str) -> Cluster | None: ...

    def clusters(
        self, owner_path: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Cluster], str | None]:
        """Return the clusters at and below ``owner_path``."""
        ...

    def change_cluster(self, cluster_id: str, change: Callable[[Cluster], None]) -> Cluster: ...

    def runtime_in_use(self, runtime_id: str) -> bool:
        """Whether a cluster that still has resources runs there."""
        ...

    def node(self, cluster_id: str, node_id: str) -> Node | None: ...

    def nodes(self, cluster_id: str) -> list[Node]:
        """Return the nodes in the order of roles and indexes."""
        ...

    def change_node(self, cluster_id: str, node_id: str, change: Callable[[Node], None]) -> Node: ...

    def replace_nodes(self, cluster_id: str, nodes: Sequence[Node]) -> None:
        """Make these the nodes of a cluster, instead of those that it has."""
        ...

    def claim(self, cluster: Cluster, job: Job, steps: Sequence[Step], nodes: Sequence[Node] = ()) -> None:
        """Store a job with its steps and make it the one that holds the cluster, or store nothing.

        ``nodes`` are those of a new cluster.

        Raises:
            Conflict: another job got there first.
        """
        ...

    def job(self, job_id: str) -> Job | None: ...

    def jobs(self, owner_path: str, *, limit: int, cursor: str | None) -> tuple[list[Job], str | None]:
        """Return the jobs at and below ``owner_path``."""
        ...

    def jobs_of_cluster(
        self, cluster_id: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Job], str | None]:
        """Return a cluster's jobs, newest first."""
        ...

    def unended_jobs(self) -> Iterable[Job]:
        """Yield every job that has not ended."""
        ...

    def change_job(self, job_id: str, change: Callable[[Job], None]) -> Job: ...

    def step(self, job_id: str, part: str, step_id: str) -> Step | None: ...

    def steps(self, job_id: str, part: str) -> list[Step]:
        """Return the steps of one part of a job (``main``, ``undo``) in the order of the plan."""
        ...

    def put_steps(self, job_id: str, part: str, steps: Sequence[Step]) -> None: ...


class StateMachines(Protocol):
    """What executes jobs."""

    def start(self, job: Job) -> str:
        """Start the execution of the job's present attempt and return its name.

        Starting the same attempt twice starts it once.
        """
        ...

    def running(self, execution: str) -> bool:
        """Whether that execution is still underway; one that is not known is not."""
        ...


class TaskCallbacks(Protocol):
    """The states that wait with a task token."""

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> None:
        """Resume the execution; a token that is no longer waited on is no error."""
        ...

    def fail(self, task_token: str, error: str, cause: str) -> None:
        """Fail the waiting state with ``error``, a class in ``pitrix.errors``."""
        ...


class AgentChannel(Protocol):
    """What is asked of agents; :class:`pitrix.pilot.service.PilotService` is the one there is."""

    def enroll(
        self,
        cluster_id: str,
        node_id: str,
        role: str,
        kind: str = ...,
        frontgate_id: str | None = None,
        *,
        name: str = "",
        frontgate_address: str = "",
    ) -> Enrollment: ...

    def agents(self, cluster_id: str) -> list[Agent]: ...

    def await_agent(self, agent_id: str, *, task_token: str, deadline: datetime) -> None: ...

    def put_metadata(self, cluster_id: str, documents: Mapping[str, Mapping[str, Any]]) -> None: ...

    def run_command(
        self,
        agent_id: str,
        *,
        command_id: str,
        cmd: str = "",
        timeout_s: int = 600,
        task_token: str | None = None,
        kind: str = ...,
        payload: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> object: ...

    def forget(self, cluster_id: str, node_id: str | None = None) -> None: ...


class Meter(Protocol):
    """Where usage events go."""

    def send(self, events: Sequence[UsageEvent]) -> None:
        """Hand the events over for good; sending the same ones twice counts once (by their ids)."""
        ...
