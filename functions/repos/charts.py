"""REST routes for Helm clients: each repository as a Helm repository, and ChartMuseum's API to push charts.

Owns the mapping between HTTP and `pitrix.repos.charts`, in the words of those clients: a refusal has the key
``error`` that ChartMuseum's have, and a visitor is asked for a username and a password. Reading is open to
visitors; the service decides what they see.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Response

from pitrix import bootstrap
from pitrix.errors import PitrixError, Unauthenticated
from pitrix.http import create_api, current_request, ok, problem, raw_body
from pitrix.http import principal as who_asks
from pitrix.repos import pushed_form

app = create_api("charts")

_CHARTS = "/v1/repos/{repo_id}/charts"
#: To be asked about each time (which costs a 304): what a caller sees depends on who it is.
_REVALIDATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept-Encoding"}


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What ChartMuseum answers to a push."""

    saved: bool = True


def _for_helm(view: Callable[..., Response]) -> Callable[..., Response]:
    """Answer errors so that Helm clients understand them."""

    @functools.wraps(view)
    def answered(**arguments: Any) -> Response:
        try:
            return view(**arguments)
        except PitrixError as error:
            instance = str(current_request(app).context.get("path", "")).partition("/v1/")
            response = problem(error, instance="".join(instance[1:]))
            response.body = json.dumps({**json.loads(response.body), "error": error.detail})
            if isinstance(error, Unauthenticated):
                response.headers["WWW-Authenticate"] = 'Basic realm="Pitrix", charset="UTF-8"'
            return response

    return answered


@app.route(_CHARTS + "/index.yaml", methods=["GET"])
@_for_helm
def index(repo_id: str) -> Response:
    headers = current_request(app).headers
    found = bootstrap.charts().index(
        who_asks(app),
        repo_id,
        context_path=_context_path(repo_id),
        known=headers.get("if-none-match", ""),
        gzipped="gzip" in headers.get("accept-encoding", ""),
    )
    told = {"ETag": found.etag, **_REVALIDATE}
    if found.url is not None:
        return Response("", {**told, "Location": found.url}, 302)
    if found.text is None:
        return Response("", told, 304)
    return Response(found.text, {**told, "Content-Type": "application/json"}, 200)


@app.route(_CHARTS + "/{file}", methods=["GET"])
@_for_helm
def file(repo_id: str, file: str) -> Response:
    found = bootstrap.charts().file(who_asks(app), repo_id, file)
    return Response("", {"Location": found.url, "Cache-Control": "no-store"}, 302)


@app.route(_CHARTS + "/api/charts", methods=["POST"], content_types=["*/*"])
@_for_helm
def push(repo_id: str) -> Response:
    request = current_request(app)
    sent = pushed_form.read(request.headers.get("content-type", ""), raw_body(app))
    force = "force" in (request.query_params or {})
    if sent.chart is None:
        bootstrap.charts().push_provenance(who_asks(app), repo_id, sent.provenance or b"")
    else:
        bootstrap.charts().push(who_asks(app), repo_id, sent.chart, provenance=sent.provenance, force=force)
    return ok(Saved(), status=201)


@app.route(_CHARTS + "/api/prov", methods=["POST"], content_types=["*/*"])
@_for_helm
def push_provenance(repo_id: str) -> Response:
    sent = pushed_form.read(current_request(app).headers.get("content-type", ""), raw_body(app))
    bootstrap.charts().push_provenance(who_asks(app), repo_id, sent.provenance or sent.chart or b"")
    return ok(Saved(), status=201)


def _context_path(repo_id: str) -> str:
    """The repository's path at the caller's address: clients that push put it together from this.

    The default address of an API begins with its stage, a domain of its own need not. API Gateway tells the
    whole path with the domain; where it tells no domain, the platform's public address has the beginning.
    """
    context = current_request(app).context
    before = urlsplit(bootstrap.settings().public_url).path
    if context.get("domainName"):
        before = str(context.get("path", "")).partition("/v1/repos/")[0]
    return f"{before}/v1/repos/{repo_id}/charts"
