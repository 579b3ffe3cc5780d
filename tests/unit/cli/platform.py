"""The REST API for the command line: real handlers and services in memory, behind an httpx transport.

Plays API Gateway (routes, authorizer, events) and S3 (an upload is indexed at once). Jobs move on a little
each time somebody looks at them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jsonschema

import pitrix
from functions.billing.app import app as billing
from functions.catalog.app import app as catalog
from functions.clusters.app import app as clusters
from functions.identity.app import app as identity
from functions.identity.authorizer import handler as authorize
from functions.repos.app import app as repos
from functions.runtimes.app import app as runtimes
from pitrix.identity.model import SYSTEM
from tests.api_gateway import proxy_event
from tests.unit.console.world import World

URL = "http://platform.test"
STORAGE = "storage.test"
_APPS = (billing, catalog, clusters, identity, repos, runtimes)
_PROMISED = json.loads((Path(pitrix.__file__).parent / "openapi.json").read_text(encoding="utf-8"))
_ARN = "arn:aws:execute-api:us-east-1:111111111111:api/live/GET/v1"


class Platform(httpx.BaseTransport):
    """Answers requests as the deployed platform would.

    Attributes:
        requests: Method and path of each request so far.
        steps_a_look: Steps that a job advances by when it is looked at.
        failure: What the next step that runs fails with; empty for none.
        away: So many requests from now on find nobody.
        deaf: Uploads are stored but never indexed.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[str] = []
        self.steps_a_look = 4
        self.failure = ""
        self.away = 0
        self.deaf = False
        world.uploads.upload_url = self._upload_url  # type: ignore[attr-defined]
        self._routes = sorted(
            ((path, _rule(path), app) for app in _APPS for path in app.routes),
            key=lambda route: route[0].count("{"),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if self.away:
            self.away -= 1
            raise httpx.ConnectError("refused", request=request)
        body = request.read()
        if request.url.host == STORAGE:
            return self._store(request, body)
        if request.method == "GET" and (job := re.fullmatch(r"/v1/jobs/(job_\w+)", request.url.path)):
            self._advance(job[1])
        return self._route(request, body)

    def _route(self, request: httpx.Request, body: bytes) -> httpx.Response:
        found = [(path, match, app) for path, rule, app in self._routes if (match := rule(request.url.path))]
        found = [each for each in found if request.method in each[2].routes[each[0]]]
        if not found:
            return httpx.Response(404, json={"message": "Missing Authentication Token"})
        resource, match, app = found[0]
        policy = authorize({"methodArn": _ARN, "headers": dict(request.headers)}, None)
        if policy["policyDocument"]["Statement"][0]["Effect"] == "Deny":
            return httpx.Response(401, json={"code": "token_invalid", "detail": "Denied."})
        event = proxy_event(
            request.method,
            resource,
            path_parameters=match.groupdict(),
            query=parse_qs(request.url.query.decode()),
            headers=dict(request.headers),
            body=body.decode() or None,
            authorizer=policy["context"],
        )
        answer = app(event, None)
        self._promised(request.method, resource, answer)
        return httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"])

    def _promised(self, method: str, resource: str, answer: dict[str, Any]) -> None:
        """Hold an answer against the OpenAPI description: it was promised, and has the promised shape."""
        operation = _PROMISED["paths"][resource.replace("+}", "}")][method.lower()]
        content = answer["headers"]["Content-Type"] if answer["body"] else ""
        promise = operation["responses"].get(str(answer["statusCode"]), operation["responses"]["default"])
        if not content:
            return
        schema = {**promise["content"][content]["schema"], "components": _PROMISED["components"]}
        jsonschema.Draft202012Validator(schema).validate(json.loads(answer["body"]))

    def _upload_url(self, key: str, *, size_bytes: int, expires_in_s: int) -> str:
        return f"https://{STORAGE}/{key}?size={size_bytes}"

    def _store(self, request: httpx.Request, body: bytes) -> httpx.Response:
        assert "authorization" not in request.headers, "the token must not go to the storage"
        assert request.headers["content-length"] == str(len(body))
        key = request.url.path.lstrip("/")
        self.world.uploads.objects[key] = body
        if not self.deaf:
            self.world.repos.index_object(SYSTEM, key)
        return httpx.Response(200)

    def _advance(self, job_id: str) -> None:
        job = self.world.store.job(job_id)
        if job is not None and not job.status.ended:
            self.world.run(job_id, steps=self.steps_a_look, error=self.failure)


def _rule(path: str) -> Any:
    pattern = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", re.escape(path))
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)).fullmatch
