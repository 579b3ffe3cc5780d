"""REST routes about packages themselves: the schemas of their files, and what a version becomes.

Owns the mapping between HTTP and `pitrix.packages.service`. A function of its own, since rendering a chart
takes the Helm program, whose layer the other functions need not carry. Both are open to visitors, as the
store is: the catalog decides which versions they see.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalice.app import Response

from pitrix import bootstrap
from pitrix.http import body, create_api, ok, page
from pitrix.http import principal as who_asks
from pitrix.packages.service import preview, schema, schema_names

app = create_api("packages")


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """Body of ``…/render``; answers as for a deployment, ``name`` that of the release or cluster to be."""

    answers: dict[str, Any] = field(default_factory=dict)
    name: str = ""


@app.route("/v1/schemas", methods=["GET"])
def list_schemas() -> Response:
    return page(schema_names(), None)


@app.route("/v1/schemas/{name}", methods=["GET"])
def get_schema(name: str) -> Response:
    return ok(schema(name), headers={"Cache-Control": "public, max-age=300"})


@app.route("/v1/apps/{app_id}/versions/{version_id}/render", methods=["POST"])
def render(app_id: str, version_id: str) -> Response:
    asked, who = body(app, RenderRequest), who_asks(app)
    version = bootstrap.catalog().get_version(who, app_id, version_id)
    package = bootstrap.catalog().load_package(who, version.version_id)
    return page(preview(package, asked.answers, name=asked.name), None)
