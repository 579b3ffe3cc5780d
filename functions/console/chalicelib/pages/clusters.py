"""The visitor's clusters and the jobs that change them: lists, live pages, and the actions a cluster
allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib import render, wizard
from chalicelib.i18n import Texts
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.clusters.model import TRANSITIONS, Cluster, JobKind, JobView, Step, StepStatus
from pitrix.clusters.requests import ActionParams
from pitrix.errors import InvalidInput, NotFound
from pitrix.packages import service as packages
from pitrix.packages.model import Form

_A_PAGE = 30
#: Jobs shown on a cluster's own page.
_RECENT = 6


@dataclass(frozen=True, kw_only=True)
class Part:
    """One layer of a job as the timeline shows it.

    Attributes:
        state: ``done``, ``now``, ``failed`` or ``waiting``.
        seconds: How long it took, ``None`` while it has not ended.
    """

    name: str
    state: str
    seconds: float | None
    steps: list[Step]


def cluster_list(visit: Visit) -> Reply:
    """All clusters at or below the visitor's owner path."""
    clusters, cursor = bootstrap.clusters().list_clusters(
        visit.who, limit=_A_PAGE, cursor=visit.query.get("cursor")
    )
    return render.page(visit, "clusters.html", clusters=clusters, cursor=cursor)


def cluster_page(visit: Visit, cluster_id: str) -> Reply:
    """One cluster: status, endpoints, nodes, its present job, and what may be done with it."""
    return render.page(visit, "cluster.html", **_cluster(visit, cluster_id))


def cluster_live(visit: Visit, cluster_id: str) -> Reply:
    """The part of that page which changes while a job runs; htmx asks for it again and again."""
    return render.page(visit, "cluster_live.html", alone=True, **_cluster(visit, cluster_id))


def confirm(visit: Visit, cluster_id: str, action: str) -> Reply:
    """Ask once more, with the consequences in words and the parameters that a custom service takes."""
    cluster = bootstrap.clusters().get(visit.who, cluster_id)
    if action not in _allowed(cluster):
        raise NotFound(
            f"{cluster.name} cannot {action} as long as it is {cluster.transition or cluster.status}."
        )
    role, service = visit.query.get("role", ""), visit.query.get("service", "")
    return _ask(visit, cluster, action, role, service)


def act(visit: Visit, cluster_id: str, action: str) -> Reply:
    """Start the action's job and go to the cluster, where it can be watched."""
    cluster = bootstrap.clusters().get(visit.who, cluster_id)
    role, service = visit.field("role"), visit.field("service")
    params = ActionParams()
    try:
        if action == JobKind.RUN_SERVICE:
            takes = _params_form(visit, cluster, role, service)
            answers = wizard.read(takes, visit.form)
            given = packages.complete_service_params(takes.groups[0], answers, locale=visit.locale)
            params = ActionParams(role=role, service=service, params=given)
        bootstrap.clusters().act(visit.who, cluster_id, action, params)
    except InvalidInput as error:
        return _ask(visit, cluster, action, role, service, error=error)
    return visit.redirect(f"/clusters/{cluster_id}")


def _ask(
    visit: Visit, cluster: Cluster, action: str, role: str, service: str, *, error: InvalidInput | None = None
) -> Reply:
    """The page that asks once more; after wrong parameters, with what is wrong beside them."""
    questions: list[wizard.Question] = []
    if action == JobKind.RUN_SERVICE:
        takes = _params_form(visit, cluster, role, service)
        for section in wizard.draw(
            takes,
            Texts(visit.locale),
            posted=visit.form if error else None,
            errors=list(error.errors) if error else [],
        ):
            questions += section.questions
    return render.page(
        visit,
        "action.html",
        status=error.status if error else 200,
        cluster=cluster,
        action=action,
        role=role,
        service=service,
        questions=questions,
        refused=error.detail if error else "",
    )


def job_list(visit: Visit) -> Reply:
    """What was done, newest first."""
    jobs, cursor = bootstrap.clusters().jobs(visit.who, limit=_A_PAGE, cursor=visit.query.get("cursor"))
    return render.page(visit, "jobs.html", jobs=jobs, cursor=cursor)


def job_page(visit: Visit, job_id: str) -> Reply:
    """One job with every step."""
    return render.page(visit, "job.html", **_job(visit, job_id))


def job_live(visit: Visit, job_id: str) -> Reply:
    """The part of that page which changes while the job runs."""
    return render.page(visit, "job_live.html", alone=True, **_job(visit, job_id))


def _cluster(visit: Visit, cluster_id: str) -> dict[str, Any]:
    clusters = bootstrap.clusters()
    cluster = clusters.get(visit.who, cluster_id)
    nodes = clusters.nodes(visit.who, cluster_id)
    jobs, _ = clusters.jobs(visit.who, cluster_id=cluster_id, limit=_RECENT)
    view = clusters.job(visit.who, jobs[0].job_id) if jobs else None
    return {
        "cluster": cluster,
        "nodes": nodes,
        "jobs": jobs,
        "view": view,
        "parts": _parts(view) if view else [],
        "busy": bool(cluster.transition) or (view is not None and not view.job.status.ended),
        "actions": _allowed(cluster),
        "services": _custom_services(cluster),
        "runtime_name": _runtime_name(visit, cluster.runtime_id),
    }


def _job(visit: Visit, job_id: str) -> dict[str, Any]:
    clusters = bootstrap.clusters()
    view = clusters.job(visit.who, job_id)
    cluster = clusters.get(visit.who, view.job.cluster_id)
    return {
        "view": view,
        "cluster": cluster,
        "parts": _parts(view),
        "busy": not view.job.status.ended,
    }


def _runtime_name(visit: Visit, runtime_id: str) -> str:
    """The runtime's name, or its id when it is no longer connected."""
    try:
        return bootstrap.runtimes().get(visit.who, runtime_id).name
    except NotFound:
        return runtime_id


def _parts(view: JobView) -> list[Part]:
    """The job's layers in the order in which they go, each with its steps."""
    grouped: list[list[Step]] = []
    for step in view.steps:
        # After the plan's steps come those of the clean-up, whose layers count from 0 again.
        if not grouped or step.layer != grouped[-1][-1].layer:
            grouped.append([])
        grouped[-1].append(step)
    names = [*view.job.layers, *view.job.undo_layers]
    return [
        Part(name=name, state=_state(steps), seconds=_seconds(steps), steps=steps)
        for name, steps in zip(names, grouped, strict=False)
    ]


def _state(steps: Sequence[Step]) -> str:
    found = {step.status for step in steps}
    if any(step.status is StepStatus.FAILED and not step.optional for step in steps):
        return "failed"
    if found <= {StepStatus.SUCCEEDED, StepStatus.FAILED}:
        return "done"
    return "waiting" if found == {StepStatus.WAITING} else "now"


def _seconds(steps: Sequence[Step]) -> float | None:
    began: list[datetime] = [step.started_at for step in steps if step.started_at]
    ended: list[datetime] = [step.finished_at for step in steps if step.finished_at]
    return (max(ended) - min(began)).total_seconds() if began and len(ended) == len(steps) else None


def _allowed(cluster: Cluster) -> list[str]:
    """The actions that may begin in the cluster's present state."""
    if cluster.transition:
        return []
    return [
        kind.value
        for kind, (_, sources) in TRANSITIONS.items()
        if kind in cluster.actions and cluster.status in sources
    ]


def _custom_services(cluster: Cluster) -> list[tuple[str, str]]:
    """Role and name of each service that a user may call."""
    if JobKind.RUN_SERVICE not in _allowed(cluster):
        return []
    return [
        (role.role, name)
        for role in cluster.roles
        for name, service in role.services.items()
        if service.custom
    ]


def _params_form(visit: Visit, cluster: Cluster, role: str, service: str) -> Form:
    """What a custom service asks its caller, as a form."""
    package = bootstrap.catalog().load_package(visit.who, cluster.version_id)
    return Form(locale=visit.locale, groups=[packages.service_form(package, role, service, visit.locale)])
