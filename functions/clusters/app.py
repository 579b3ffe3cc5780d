"""REST: clusters, their nodes and endpoints, and the jobs that change them."""

from __future__ import annotations

from dataclasses import dataclass

from chalice.app import Response

from pitrix import bootstrap
from pitrix.clusters.requests import ActionParams, DeployRequest
from pitrix.errors import NotFound
from pitrix.http import (
    Paging,
    body,
    create_api,
    etag,
    if_match,
    locale,
    ok,
    page,
    params,
    principal,
    raw_body,
)

app = create_api("clusters", replays=lambda: bootstrap.table("clusters"))


@dataclass(frozen=True, kw_only=True)
class JobQuery(Paging):
    """``cluster_id`` narrows the list to one cluster's jobs."""

    cluster_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ActionQuery:
    """``dry_run=true`` answers with the plan and does nothing."""

    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterPatch:
    """What may be edited; what is absent stays."""

    name: str | None = None
    description: str | None = None


@app.route("/v1/health", methods=["GET"])
def health() -> Response:
    return ok({"status": "ok"})


@app.route("/v1/clusters:plan", methods=["POST"])
def plan() -> Response:
    wanted = body(app, DeployRequest)
    return ok(bootstrap.clusters().plan(principal(app), wanted, locale=locale(app)))


@app.route("/v1/clusters", methods=["POST"])
def create() -> Response:
    wanted = body(app, DeployRequest)
    begun = bootstrap.clusters().create(principal(app), wanted, locale=locale(app))
    return ok(begun, 202, headers={"Location": f"/v1/clusters/{begun.cluster.cluster_id}"})


@app.route("/v1/clusters", methods=["GET"])
def list_clusters() -> Response:
    paging = params(app, Paging)
    return page(*bootstrap.clusters().list_clusters(principal(app), limit=paging.limit, cursor=paging.cursor))


@app.route("/v1/clusters/{cluster_id}", methods=["GET"])
def get(cluster_id: str) -> Response:
    cluster = bootstrap.clusters().get(principal(app), cluster_id)
    return ok(cluster, headers={"ETag": etag(cluster.version_no)})


@app.route("/v1/clusters/{cluster_id}", methods=["PATCH"])
def patch(cluster_id: str) -> Response:
    wanted = body(app, ClusterPatch)
    cluster = bootstrap.clusters().rename(
        principal(app),
        cluster_id,
        name=wanted.name,
        description=wanted.description,
        if_version=if_match(app),
    )
    return ok(cluster, headers={"ETag": etag(cluster.version_no)})


@app.route("/v1/clusters/{cluster_id}/actions/{action}", methods=["POST"])
def act(cluster_id: str, action: str) -> Response:
    wanted = body(app, ActionParams) if raw_body(app).strip() else ActionParams()
    service, who = bootstrap.clusters(), principal(app)
    if params(app, ActionQuery).dry_run:
        return ok(service.preview(who, cluster_id, action, wanted))
    return ok({"job": service.act(who, cluster_id, action, wanted)}, 202)


@app.route("/v1/clusters/{cluster_id}/nodes", methods=["GET"])
def nodes(cluster_id: str) -> Response:
    return page(bootstrap.clusters().nodes(principal(app), cluster_id), None)


@app.route("/v1/clusters/{cluster_id}/endpoints", methods=["GET"])
def endpoints(cluster_id: str) -> Response:
    return page(bootstrap.clusters().endpoints(principal(app), cluster_id), None)


@app.route("/v1/clusters/{cluster_id}/jobs", methods=["GET"])
def jobs_of_cluster(cluster_id: str) -> Response:
    paging = params(app, Paging)
    return page(
        *bootstrap.clusters().jobs(
            principal(app), cluster_id=cluster_id, limit=paging.limit, cursor=paging.cursor
        )
    )


@app.route("/v1/jobs", methods=["GET"])
def jobs() -> Response:
    query = params(app, JobQuery)
    return page(
        *bootstrap.clusters().jobs(
            principal(app), cluster_id=query.cluster_id, limit=query.limit, cursor=query.cursor
        )
    )


@app.route("/v1/jobs/{job_id}", methods=["GET"])
def job(job_id: str) -> Response:
    return ok(bootstrap.clusters().job(principal(app), job_id))


@app.route("/v1/jobs/{job_id}/actions/{action}", methods=["POST"])
def job_action(job_id: str, action: str) -> Response:
    if action != "cancel":
        raise NotFound(f"There is no action {action!r} on jobs; there is: cancel.")
    return ok({"job": bootstrap.clusters().cancel(principal(app), job_id)}, 202)
