"""The visitor's clusters and the jobs that change them: lists, live pages, and the actions a cluster allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib import render
from chalicelib.site import Site
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.clusters.model import TRANSITIONS, Cluster, Job, JobKind, JobView, Node, Step, StepStatus
from pitrix.errors import InvalidInput, NotFound

_A_PAGE = 30
#: Jobs shown on a cluster's own page.
_RECENT = 6
#: What a button may start; deployments begin in the wizard.
_ACTIONS = tuple(kind.value for kind in JobKind if kind is not JobKind.DEPLOY)


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


def register(site: Site) -> None:
    """Add this module's pages to the site."""
    site.page("/clusters")(cluster_list)
    site.page("/clusters/{cluster_id}")(cluster_page)
    site.page("/clusters/{cluster_id}/live")(cluster_live)
    site.page("/clusters/{cluster_id}/actions/{action}", "GET")(confirm)
    site.page("/clusters/{cluster_id}/actions/{action}", "POST")(act)
    site.page("/jobs")(job_list)
    site.page("/jobs/{job_id}")(job_page)
    site.page("/jobs/{job_id}/live")(job_live)


def cluster_list(visit: Visit) -> Reply:
    """All clusters at or below the visitor's owner path."""
    clusters, cursor = bootstrap.clusters().list(visit.who, limit=_A_PAGE, cursor=visit.query.get("cursor"))
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
        raise NotFound(f"{cluster.name} cannot {action} as long as it is {cluster.transition or cluster.status}.")
    role, service = visit.query.get("role", ""), visit.query.get("service", "")
    takes = _params(cluster, role, service) if action == JobKind.RUN_SERVICE else {}
    return render.page(visit, "action.html", cluster=cluster, action=action, role=role, service=service, takes=takes)


def act(visit: Visit, cluster_id: str, action: str) -> Reply:
    """Start the action's job and go to the cluster, where it can be watched."""
    if action not in _ACTIONS:
        raise NotFound(f"There is no action {action!r}.")
    params: dict[str, Any] = {}
    if action == JobKind.RUN_SERVICE:
        given = {name.removeprefix("param."): values[0] for name, values in visit.form.items()
                 if name.startswith("param.")}
        params = {"role": visit.field("role"), "service": visit.field("service"), "params": given}
    bootstrap.clusters().act(visit.who, cluster_id, action, params)
    return visit.redirect(f"/clusters/{cluster_id}")


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
        "names": _names(nodes),
        "busy": bool(cluster.transition) or (view is not None and not view.job.status.ended),
        "actions": _allowed(cluster),
        "services": _custom_services(cluster),
    }


def _job(visit: Visit, job_id: str) -> dict[str, Any]:
    clusters = bootstrap.clusters()
    view = clusters.job(visit.who, job_id)
    cluster = clusters.get(visit.who, view.job.cluster_id)
    return {"view": view, "cluster": cluster, "parts": _parts(view), "busy": not view.job.status.ended,
            "names": _names(clusters.nodes(visit.who, view.job.cluster_id))}


def _names(nodes: Sequence[Node]) -> dict[str, str]:
    return {node.node_id: node.name for node in nodes}


def _parts(view: JobView) -> list[Part]:
    """The job's layers in the order in which they go, each with its steps."""
    names = view.job.layers
    grouped: dict[int, list[Step]] = {}
    for step in view.steps:
        grouped.setdefault(step.layer, []).append(step)
    return [
        Part(name=names[number] if number < len(names) else "", state=_state(steps), seconds=_seconds(steps),
             steps=steps)
        for number, steps in sorted(grouped.items())
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
    return [kind.value for kind, (_, sources) in TRANSITIONS.items()
            if kind.value in _ACTIONS and cluster.status in sources]


def _custom_services(cluster: Cluster) -> list[tuple[str, str]]:
    """Role and name of each service that a user may call."""
    if JobKind.RUN_SERVICE not in _allowed(cluster):
        return []
    return [(role.role, name) for role in cluster.roles for name, service in role.services.items() if service.custom]


def _params(cluster: Cluster, role: str, service: str) -> Mapping[str, Any]:
    """Names and defaults of a custom service's parameters."""
    if (role, service) not in _custom_services(cluster):
        raise InvalidInput(f"{cluster.name} has no service {service!r} of the role {role!r}.")
    return cluster.role(role).services[service].service_params
