"""What users do with clusters: preview, deploy, look, act, follow the job.

Owns who may do what and when: a cluster is held by one job at a time, and every operation is a plan that
can be read before it runs. Does nothing at a cloud itself: it writes the job down and starts its state
machine.

Next: ``drafting.py`` for what a deployment would be, ``planning.py`` for the plans, ``execution.py`` for what
the state machines call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pitrix import ids
from pitrix.billing.model import Quote
from pitrix.clock import Clock
from pitrix.clusters import planning
from pitrix.clusters.drafting import Catalog, Clouds, Drafts
from pitrix.clusters.model import (
    TRANSITIONS,
    Cluster,
    ClusterStatus,
    Endpoint,
    Job,
    JobKind,
    JobView,
    Node,
    Plan,
    Progress,
    StepStatus,
)
from pitrix.clusters.ports import ClusterStore, StateMachines
from pitrix.clusters.requests import ActionParams, DeployRequest, checked_name, wrong
from pitrix.clusters.sweeping import start
from pitrix.clusters.views import plan_without_secrets, steps_without_secrets, without_secrets
from pitrix.errors import (
    Conflict,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    Unprocessable,
)
from pitrix.events import EventBus
from pitrix.identity.model import SYSTEM, Principal, require, require_owned
from pitrix.packages import service as packages
from pitrix.packages.model import ClusterSpec
from pitrix.repos.model import Repo
from pitrix.runtimes.model import Runtime

_log = logging.getLogger("pitrix.clusters")


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """A preview: the plan, and the price an hour before and after it; what else is to be known is in the
    plan's ``notes``."""

    plan: Plan
    micros_per_hour_before: int
    micros_per_hour_after: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The answer to a deployment that was begun."""

    cluster: Cluster
    job: Job


class ClusterService:
    """See the module."""

    def __init__(
        self,
        *,
        store: ClusterStore,
        catalog: Catalog,
        clouds: Callable[[], Clouds],
        repo: Callable[[str], Repo | None],
        quote: Callable[[Principal, ClusterSpec, Runtime], Quote],
        machines: StateMachines,
        events: EventBus,
        clock: Clock,
        agent_deadline_s: int,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._machines = machines
        self._events = events
        self._clock = clock
        self._agent_deadline_s = agent_deadline_s
        self._drafts = Drafts(
            catalog=catalog,
            clouds=clouds,
            repo=repo,
            quote=quote,
            clock=clock,
            agent_deadline_s=agent_deadline_s,
        )

    # --- deploying -----------------------------------------------------------------------------------------

    def plan(self, who: Principal, request: DeployRequest, *, locale: str = "en") -> PlanView:
        """Return what a deployment would create, step by step, and what it would cost.

        Args:
            locale: Language in which wrong answers are told.

        Raises:
            InvalidInput: an answer is wrong; names each.
            NotFound: no such app, version or runtime, for this user.
            Unprocessable: the version cannot be deployed.
            CapabilityMissing: the runtime's cloud does not offer what the application needs.
        """
        draft = self._drafts.prepare(who, request, locale)
        plan = draft.plan
        plan.notes += draft.warnings
        return PlanView(
            plan=plan,
            micros_per_hour_before=0,
            micros_per_hour_after=plan.micros_per_hour,
            currency=plan.currency,
        )

    def create(self, who: Principal, request: DeployRequest, *, locale: str = "en") -> Deployment:
        """Begin to deploy an application; the job tells how it goes. Raises as :meth:`plan` does.

        Raises:
            QuotaExceeded: the cloud account has no room for it.
        """
        draft = self._drafts.prepare(who, request, locale)
        if draft.warnings:
            raise QuotaExceeded(" ".join(draft.warnings))
        cluster, nodes, plan = draft.cluster, draft.nodes, draft.plan
        job = self._new_job(who, cluster, JobKind.DEPLOY, plan, {})
        cluster.transition, cluster.job_id = TRANSITIONS[JobKind.DEPLOY][0], job.job_id
        self._store.claim(cluster, job, plan.steps, nodes)
        try:
            self._catalog.count_deployment(who, cluster.app_id, cluster.cluster_id)
        except Exception:
            _log.exception("a deployment of app %s was not counted", cluster.app_id)
        return Deployment(cluster=without_secrets(cluster), job=self._start(job))

    # --- looking -------------------------------------------------------------------------------------------

    def list_clusters(
        self, who: Principal, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Cluster], str | None]:
        """Return the clusters of this user's part of the tree, newest first."""
        require(who, "clusters", "read")
        found, more = self._store.clusters(who.owner_path, limit=limit, cursor=cursor)
        return [without_secrets(cluster) for cluster in found], more

    def get(self, who: Principal, cluster_id: str) -> Cluster:
        """Return one cluster, without what was typed into its password fields.

        Raises:
            NotFound: there is none of that id, for this user.
        """
        return without_secrets(self._get(who, cluster_id))

    def _get(self, who: Principal, cluster_id: str) -> Cluster:
        require(who, "clusters", "read")
        cluster = self._store.cluster(cluster_id)
        if cluster is None:
            raise NotFound(f"Cluster {cluster_id} does not exist.")
        require_owned(who, cluster.owner_path, f"Cluster {cluster_id}")
        return cluster

    def rename(
        self,
        who: Principal,
        cluster_id: str,
        *,
        name: str | None,
        description: str | None,
        if_version: int | None = None,
    ) -> Cluster:
        """Give a cluster another name or description.

        Raises:
            PreconditionFailed: it is no longer at ``if_version``.
        """
        require(who, "clusters", "update")
        self.get(who, cluster_id)
        checked = None if name is None else checked_name(name)

        def change(cluster: Cluster) -> None:
            if if_version is not None and cluster.version_no != if_version:
                raise PreconditionFailed("The cluster was changed since you read it; read it again.")
            if checked is not None:
                cluster.name = checked
            if description is not None:
                cluster.description = description

        return without_secrets(self._store.change_cluster(cluster_id, change))

    def nodes(self, who: Principal, cluster_id: str) -> list[Node]:
        """Return the nodes of a cluster, its frontgate last."""
        self.get(who, cluster_id)
        return self._store.nodes(cluster_id)

    def endpoints(self, who: Principal, cluster_id: str) -> list[Endpoint]:
        """Return where the application answers; empty unless it is active."""
        return self.get(who, cluster_id).endpoints

    # --- acting --------------------------------------------------------------------------------------------

    def preview(self, who: Principal, cluster_id: str, action: str, params: ActionParams) -> PlanView:
        """Return what an action would do. Raises as :meth:`act` does."""
        cluster, kind, plan = self._prepare_action(who, cluster_id, action, params)
        after = 0 if kind is JobKind.CEASE else cluster.micros_per_hour
        return PlanView(
            plan=plan_without_secrets(plan),
            micros_per_hour_before=cluster.micros_per_hour,
            micros_per_hour_after=after,
            currency=cluster.currency,
        )

    def act(self, who: Principal, cluster_id: str, action: str, params: ActionParams) -> Job:
        """Begin an action (``start``, ``stop``, ``run-service``, ``cease``) and return its job.

        Raises:
            NotFound: there is no such cluster or action, for this user.
            Conflict: another job holds the cluster, or its state does not allow the action.
            InvalidInput: a parameter is wrong.
        """
        cluster, kind, plan = self._prepare_action(who, cluster_id, action, params)
        job = self._new_job(who, cluster, kind, plan, {"service": params.service} if params.service else {})
        cluster.transition, cluster.job_id = TRANSITIONS[kind][0], job.job_id
        self._store.claim(cluster, job, plan.steps)
        return self._start(job)

    def _prepare_action(
        self, who: Principal, cluster_id: str, action: str, params: ActionParams
    ) -> tuple[Cluster, JobKind, Plan]:
        require(who, "clusters", "operate")
        cluster = self._get(who, cluster_id)
        kind = _action(action)
        if kind not in cluster.actions:
            offered = " or ".join(each.value for each in cluster.actions)
            raise Unprocessable(f"{cluster.name} has no machines, so it cannot {action}; it can {offered}.")
        if cluster.job_id is not None:
            raise Conflict(
                f"{cluster.name} is {cluster.transition} (job {cluster.job_id}); wait for that job to end."
            )
        allowed = TRANSITIONS[kind][1]
        if cluster.status not in allowed:
            states = " or ".join(sorted(status.value for status in allowed))
            raise Conflict(f"{cluster.name} is {cluster.status.value}; {action} needs it to be {states}.")
        nodes = self._store.nodes(cluster_id)
        if kind is JobKind.START:
            plan = planning.start(cluster, nodes, agent_deadline_s=self._agent_deadline_s)
        elif kind is JobKind.STOP:
            plan = planning.stop(cluster, nodes)
        elif kind is JobKind.RUN_SERVICE:
            service, params_by_role = self._service_call(cluster, params)
            plan = planning.run_service(cluster, nodes, service, params_by_role)
        else:
            plan = planning.cease(cluster, nodes, running=cluster.status is ClusterStatus.ACTIVE)
        return cluster, kind, plan

    def _service_call(self, cluster: Cluster, asked: ActionParams) -> tuple[str, dict[str, dict[str, Any]]]:
        """Return the custom service that is asked for and, by role that runs it, its checked parameters."""
        offered = {
            role.role: {name for name, service in role.services.items() if service.custom and service.cmd}
            for role in cluster.roles
        }
        if asked.role is not None and asked.role not in offered:
            raise wrong("role", f"{asked.role!r} is no role of this cluster; it has {_listed(offered)}")
        holders = [r for r, names in offered.items() if asked.role in (None, r) and asked.service in names]
        if asked.service is None or not holders:
            known = _listed({name for names in offered.values() for name in names})
            raise wrong("service", f"{asked.service!r} is no custom service here; there are {known}")
        # The package of a running cluster is read as the platform: its version may be suspended by now.
        package = self._catalog.load_package(SYSTEM, cluster.version_id)
        return asked.service, {
            role: packages.complete_service_params(
                packages.service_form(package, role, asked.service), asked.params
            )
            for role in holders
        }

    # --- jobs ----------------------------------------------------------------------------------------------

    def jobs(
        self,
        who: Principal,
        *,
        cluster_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """Return jobs, newest first; those of one cluster where ``cluster_id`` is given."""
        require(who, "jobs", "read")
        if cluster_id is not None:
            self.get(who, cluster_id)
            return self._store.jobs_of_cluster(cluster_id, limit=limit, cursor=cursor)
        return self._store.jobs(who.owner_path, limit=limit, cursor=cursor)

    def job(self, who: Principal, job_id: str) -> JobView:
        """Return a job with its steps, those of the clean-up after a failure at the end.

        Raises:
            NotFound: there is none of that id, for this user.
        """
        require(who, "jobs", "read")
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"Job {job_id} does not exist.")
        require_owned(who, job.owner_path, f"Job {job_id}")
        steps = self._store.steps(job_id, "main")
        if job.part == "undo":
            steps += self._store.steps(job_id, "undo")
        done = sum(step.status in (StepStatus.SUCCEEDED, StepStatus.FAILED) for step in steps)
        return JobView(
            job=job, progress=Progress(done=done, total=len(steps)), steps=steps_without_secrets(steps)
        )

    def cancel(self, who: Principal, job_id: str) -> Job:
        """Ask a deployment to end; it removes what it made, after the steps that are underway.

        Raises:
            Conflict: the job has ended, or is not a deployment.
        """
        require(who, "jobs", "update")
        job = self.job(who, job_id).job
        if job.status.ended:
            raise Conflict(f"Job {job_id} has ended already ({job.status.value}).")
        if job.kind is not JobKind.DEPLOY:
            raise Conflict(f"A job of the kind {job.kind.value!r} cannot be cancelled; wait for it to end.")

        def change(job: Job) -> None:
            job.cancel_requested = True

        return self._store.change_job(job_id, change)

    def runtime_in_use(self, runtime_id: str) -> bool:
        """Whether a cluster that has resources runs on that runtime."""
        return self._store.runtime_in_use(runtime_id)

    # --- details -------------------------------------------------------------------------------------------

    def _new_job(
        self, who: Principal, cluster: Cluster, kind: JobKind, plan: Plan, params: Mapping[str, Any]
    ) -> Job:
        return Job(
            job_id=ids.new("job"),
            cluster_id=cluster.cluster_id,
            kind=kind,
            owner_id=who.user_id,
            owner_path=cluster.owner_path,
            layers=[layer.name for layer in plan.layers],
            params=dict(params),
            created_at=self._clock.now(),
        )

    def _start(self, job: Job) -> Job:
        """Start a job that is written down. Nothing fails from here on: the sweeper starts what was not."""
        try:
            job = start(job, self._store, self._machines)
            data = {"cluster_id": job.cluster_id, "kind": job.kind.value, "owner_path": job.owner_path}
            self._events.publish("JobStarted", job.job_id, data)
        except Exception:
            _log.exception("job %s was not started at once", job.job_id)
        return job


def _action(name: str) -> JobKind:
    actions = [kind for kind in JobKind if kind is not JobKind.DEPLOY]
    for kind in actions:
        if kind.value == name:
            return kind
    known = ", ".join(kind.value for kind in actions)
    raise NotFound(f"There is no action {name!r} on clusters; there are: {known}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
