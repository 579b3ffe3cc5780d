"""One origin for the platform and the emulated AWS: http://127.0.0.1:PORT.

Owns deciding what a request is for, by its shape alone: an AWS call goes to the emulator untouched;
everything else goes to the stage of the deployed REST API, as a custom domain would send it on AWS; `/_pilot`
goes to the WebSocket API. Compresses answers of the REST API, which API Gateway does and the emulator does
not. Refuses what only a web page of somebody else would send. Wraps the emulator's ASGI application, so there
is one process and one port. Standard library only: it runs inside the emulator's environment.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 10 * 1024 * 1024
"""API Gateway's own limit for one request."""

_MAX_DRAINED_BYTES = 10 * MAX_BODY_BYTES

MINIMUM_COMPRESSION_BYTES = 1024
"""From so many bytes on the REST API's answers are compressed: `MinimumCompressionSize` of template.yaml."""

PILOT_PREFIX = "/_pilot"
_LOOPBACK = re.compile(r"^(127\.0\.0\.1|localhost|[a-z0-9.-]+\.localhost|\[::1\])(:\d+)?$", re.IGNORECASE)
_USER_POOL_KEYS = re.compile(r"^/[a-z]{2}(-[a-z]+)+-\d+_[A-Za-z0-9]+/\.well-known/")
_SIGNED_QUERY = ("X-Amz-Signature", "X-Amz-Credential", "AWSAccessKeyId")
_EMULATOR_PROBES = ("/_ministack/health", "/_ministack/ready")


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Which deployed APIs answer on this origin: ids and stage names of the REST and the WebSocket API."""

    api_id: str
    stage: str
    pilot_api_id: str
    pilot_stage: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer the gateway gives itself."""

    status: int
    title: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Forward:
    """A request for the emulator: the prefix to put before its path, and how many bytes to drop from it
    first.
    """

    prefix: str = ""
    drop: int = 0
    limit_body: bool = False


_NOT_READY = Refusal(
    status=503,
    title="Starting",
    detail="The platform is still starting on this port; try again in a few seconds.",
)


def decide(path: str, query: str, headers: dict[str, str], routes: Routes | None) -> Forward | Refusal:
    """Say where a request or a WebSocket connection goes.

    Args:
        path: The decoded path.
        query: The raw query string.
        headers: Lower-case names.
        routes: The deployed APIs; None before the first deployment is complete.
    """
    host = headers.get("host", "")
    if not _LOOPBACK.match(host):
        return Refusal(
            status=403,
            title="Wrong host",
            detail=f"This platform answers to 127.0.0.1 and localhost only, not to {host or 'nobody'}.",
        )
    if path == PILOT_PREFIX or path.startswith(PILOT_PREFIX + "/"):
        if _is_foreign(headers, host):
            return _foreign(headers)
        if routes is None:
            return _NOT_READY
        return Forward(
            prefix=f"/_aws/execute-api/{routes.pilot_api_id}/{routes.pilot_stage}", drop=len(PILOT_PREFIX)
        )
    if path in _EMULATOR_PROBES:
        return Forward()
    if path.startswith(("/_ministack/", "/_localstack/")):
        return Refusal(
            status=404, title="Not found", detail="The emulator's own switches are not reachable from here."
        )
    if _is_aws_call(path, query, headers):
        # The emulator answers every preflight with "anyone may": a page of another origin must not get that
        # far.
        return _foreign(headers) if _is_foreign(headers, host) or _is_lured(query, headers) else Forward()
    if routes is None:
        return _NOT_READY
    return Forward(prefix=f"/_aws/execute-api/{routes.api_id}/{routes.stage}", limit_body=True)


def _is_aws_call(path: str, query: str, headers: dict[str, str]) -> bool:
    if path.startswith("/_aws/") or "x-amz-target" in headers or _USER_POOL_KEYS.match(path):
        return True
    if headers.get("authorization", "").startswith(
        "AWS"
    ):  # "AWS4-HMAC-SHA256 …", and "AWS key:…" of old clients
        return True
    return any(name in _SIGNED_QUERY for name in parse_qs(query)) if "=" in query else False


def _is_foreign(headers: dict[str, str], host: str) -> bool:
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != host.lower()


def _is_lured(query: str, headers: dict[str, str]) -> bool:
    """Whether a page made the browser call AWS: a picture of another site, or an action in an address.

    Browsers say where a request comes from (Sec-Fetch-Site); no SDK does.
    """
    site = headers.get("sec-fetch-site")
    return site is not None and (site not in ("same-origin", "none") or "Action" in parse_qs(query))


def _foreign(headers: dict[str, str]) -> Refusal:
    return Refusal(
        status=403,
        title="Foreign origin",
        detail=f"Pages of {headers.get('origin', 'another site')} may not call this platform.",
    )


class _BodyTooLarge(Exception):
    """The request grew past API Gateway's limit while it was read."""


class Gateway:
    """The ASGI application that stands before the emulator's."""

    def __init__(self, emulator: Application, routes: Callable[[], Routes | None]) -> None:
        self._emulator = emulator
        self._routes = routes
        self.requests = 0
        """How many requests and connections came through; tells the autosaver whether anything can have
        changed.
        """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._emulator(scope, receive, send)
            return
        self.requests += 1
        headers = _headers(scope["headers"])
        query = scope.get("query_string", b"").decode("latin-1")
        decision = decide(scope["path"], query, headers, self._routes())
        if isinstance(decision, Refusal):
            await _refuse(scope, receive, send, decision, headers)
        elif decision.limit_body:
            await self._forward_limited(_rewritten(scope, decision), receive, send, headers)
        else:
            await self._emulator(_rewritten(scope, decision), receive, send)

    async def _forward_limited(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]
    ) -> None:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                # Many clients look for an answer only after they sent everything: take some of it, keep none.
                while message.get("more_body", False) and received < _MAX_DRAINED_BYTES:
                    message = await receive()
                    received += len(message.get("body", b""))
                raise _BodyTooLarge
            return message

        takes_gzip = "gzip" in headers.get("accept-encoding", "")
        try:
            await self._emulator(scope, counted, _Compressing(send) if takes_gzip else send)
        except _BodyTooLarge:
            await _refuse(
                scope,
                receive,
                send,
                Refusal(
                    status=413,
                    title="Request too long",
                    detail=f"{MAX_BODY_BYTES} bytes are the limit; upload packages to a presigned URL "
                    "(POST /v1/repos/{id}/packages, or: pitrix package push).",
                ),
                headers,
            )


class _Compressing:
    """Sends an answer as API Gateway does to who takes gzip: compressed, if it is long and is not yet."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        names = {name.lower() for name, _ in self._start.get("headers", [])}
        if len(self._body) >= MINIMUM_COMPRESSION_BYTES and b"content-encoding" not in names:
            self._body = gzip.compress(self._body, compresslevel=6, mtime=0)
            kept = [each for each in self._start["headers"] if each[0].lower() != b"content-length"]
            length = (b"content-length", str(len(self._body)).encode())
            self._start = {**self._start, "headers": [*kept, (b"content-encoding", b"gzip"), length]}
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": self._body})


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def _rewritten(scope: Scope, decision: Forward) -> Scope:
    if not decision.prefix:
        return scope
    raw: str = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")[decision.drop :]
    # A REST API on AWS neither decodes the path to find the route nor the parameters it hands to a function
    # ("%2F" stays inside its segment). The emulator works on the path as given, so it is given the undecoded
    # one.
    path = decision.prefix + raw
    return {**scope, "path": path, "raw_path": path.encode("latin-1")}


async def _refuse(
    scope: Scope, receive: Receive, send: Send, refusal: Refusal, headers: dict[str, str]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013 if refusal.status == 503 else 1008})
        return
    extra: list[tuple[bytes, bytes]] = []
    if refusal.status == 503:
        extra.append((b"retry-after", b"2"))
    if refusal.status == 413:
        extra.append((b"connection", b"close"))
    if "text/html" in headers.get("accept", ""):
        content_type = b"text/html; charset=utf-8"
        # The details are ours or escaped by JSON; a page that waits for the platform loads itself again.
        again = '<meta http-equiv="refresh" content="2">' if refusal.status == 503 else ""
        body = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}'
            f"<title>{refusal.title}</title></head><body><h1>{refusal.title}</h1><p>{_escape(refusal.detail)}</p></body></html>"
        ).encode()
    else:
        content_type = b"application/problem+json"
        body = json.dumps(
            {
                "type": "about:blank",
                "title": refusal.title,
                "status": refusal.status,
                "detail": refusal.detail,
                "error": refusal.detail,  # where Helm's push plugin looks
            }
        ).encode()
    length = str(len(body)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": [(b"content-type", content_type), (b"content-length", length), *extra],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
