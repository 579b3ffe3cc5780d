"""REST routes of the runtimes context: connected cloud accounts, and the clouds there are.

Owns the mapping between HTTP and ``pitrix.runtimes.service``. A credential comes in with a POST or a PATCH
and never goes out: no view has a place for one.
"""

from __future__ import annotations

from chalice.app import Response

from pitrix import bootstrap
from pitrix.http import Paging, body, create_api, etag, if_match, no_content, ok, page, params
from pitrix.http import principal as who_asks
from pitrix.runtimes.model import CheckRequest, Runtime, RuntimePatch, RuntimeRequest

app = create_api("runtimes", replays=lambda: bootstrap.table("runtimes"))


@app.route("/v1/providers", methods=["GET"])
def list_providers() -> Response:
    return page(bootstrap.runtimes().providers(who_asks(app)), None)


@app.route("/v1/providers/{name}", methods=["GET"])
def get_provider(name: str) -> Response:
    return ok(bootstrap.runtimes().provider(who_asks(app), name))


@app.route("/v1/runtimes", methods=["GET"])
def list_runtimes() -> Response:
    paging = params(app, Paging)
    found = bootstrap.runtimes().list_runtimes(who_asks(app), limit=paging.limit, cursor=paging.cursor)
    return page(found.runtimes, found.next_cursor)


@app.route("/v1/runtimes", methods=["POST"])
def create_runtime() -> Response:
    return _runtime(bootstrap.runtimes().create(who_asks(app), body(app, RuntimeRequest)), 201)


@app.route("/v1/runtimes/validate", methods=["POST"])
def validate_runtime() -> Response:
    return ok(bootstrap.runtimes().validate(who_asks(app), body(app, CheckRequest)))


@app.route("/v1/runtimes/statistics", methods=["GET"])
def runtime_statistics() -> Response:
    return ok(bootstrap.runtimes().statistics(who_asks(app)))


@app.route("/v1/runtimes/{runtime_id}", methods=["GET"])
def get_runtime(runtime_id: str) -> Response:
    return _runtime(bootstrap.runtimes().get(who_asks(app), runtime_id))


@app.route("/v1/runtimes/{runtime_id}", methods=["PATCH"])
def edit_runtime(runtime_id: str) -> Response:
    patch = body(app, RuntimePatch)
    edited = bootstrap.runtimes().edit(who_asks(app), runtime_id, patch, if_revision=if_match(app))
    return _runtime(edited)


@app.route("/v1/runtimes/{runtime_id}", methods=["DELETE"])
def delete_runtime(runtime_id: str) -> Response:
    bootstrap.runtimes().delete(who_asks(app), runtime_id)
    return no_content()


@app.route("/v1/runtimes/{runtime_id}/zones", methods=["GET"])
def list_zones(runtime_id: str) -> Response:
    return page(bootstrap.runtimes().zones(who_asks(app), runtime_id), None)


@app.route("/v1/runtimes/{runtime_id}/machine-types", methods=["GET"])
def list_machine_types(runtime_id: str) -> Response:
    return page(bootstrap.runtimes().machine_types(who_asks(app), runtime_id), None)


@app.route("/v1/runtimes/{runtime_id}/subnets", methods=["GET"])
def list_subnets(runtime_id: str) -> Response:
    return page(bootstrap.runtimes().subnets(who_asks(app), runtime_id), None)


@app.route("/v1/runtimes/{runtime_id}/images", methods=["GET"])
def list_images(runtime_id: str) -> Response:
    return page(bootstrap.runtimes().images(who_asks(app), runtime_id), None)


@app.route("/v1/runtimes/{runtime_id}/quotas", methods=["GET"])
def list_quotas(runtime_id: str) -> Response:
    return page(bootstrap.runtimes().quotas(who_asks(app), runtime_id), None)


def _runtime(runtime: Runtime, status: int = 200) -> Response:
    return ok(runtime, status, headers={"ETag": etag(runtime.revision)})
