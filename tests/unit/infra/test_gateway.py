"""One origin: which requests are AWS's, which are the platform's, and which are nobody's business."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from infra.local import transform
from infra.local.gateway import (
    MAX_BODY_BYTES,
    MINIMUM_COMPRESSION_BYTES,
    Forward,
    Gateway,
    Refusal,
    Routes,
    decide,
)
from infra.local.paths import ROOT

ROUTES = Routes(api_id="abc123", stage="live", pilot_api_id="ws9", pilot_stage="live")
HOST = {"host": "127.0.0.1:4590"}
APP = Forward(prefix="/_aws/execute-api/abc123/live", limit_body=True)


@pytest.mark.parametrize(
    "path", ["/", "/v1/apps", "/static/site.css", "/health", "/restapis", "/2015-03-31/functions"]
)
def test_what_is_not_an_aws_call_goes_to_the_rest_api(path: str) -> None:
    assert decide(path, "a=1", HOST, ROUTES) == APP


@pytest.mark.parametrize(
    ("path", "query", "headers"),
    [
        ("/", "", {"authorization": "AWS4-HMAC-SHA256 Credential=000000000000/…"}),
        ("/", "", {"x-amz-target": "AWSCognitoIdentityProviderService.InitiateAuth"}),
        ("/bucket/key", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc", {}),
        ("/bucket/key", "AWSAccessKeyId=0&Signature=x&Expires=1", {}),
        ("/us-east-1_Ab12/.well-known/jwks.json", "", {}),
        ("/_aws/execute-api/abc123/live/v1/apps", "", {}),
        ("/_ministack/health", "", {}),
    ],
)
def test_aws_calls_pass_untouched(path: str, query: str, headers: dict[str, str]) -> None:
    assert decide(path, query, HOST | headers, ROUTES) == Forward()


@pytest.mark.parametrize(
    ("site", "query"),
    [
        ("cross-site", "X-Amz-Signature=1&X-Amz-Credential=A/20260101/us-east-1/s3/aws4_request"),
        ("same-site", "X-Amz-Signature=1"),
        ("same-origin", "Action=DeleteStack&StackName=pitrix&X-Amz-Signature=1"),
        ("none", "Action=PurgeQueue&X-Amz-Signature=1"),
    ],
)
def test_no_page_makes_a_browser_call_aws(site: str, query: str) -> None:
    found = decide("/", query, HOST | {"sec-fetch-site": site}, ROUTES)
    assert isinstance(found, Refusal)
    assert found.status == 403


def test_the_consoles_own_pictures_come_from_s3() -> None:
    headers = HOST | {"sec-fetch-site": "same-origin", "sec-fetch-dest": "image"}
    assert decide("/bucket/icon.svg", "X-Amz-Signature=1", headers, ROUTES) == Forward()


def test_a_bearer_token_is_not_an_aws_signature() -> None:
    assert decide("/v1/me", "", HOST | {"authorization": "Bearer eyJ…"}, ROUTES) == APP


def test_agents_reach_the_websocket_api_under_one_prefix() -> None:
    forward = decide("/_pilot/@connections/c1", "", HOST, ROUTES)
    assert forward == Forward(prefix="/_aws/execute-api/ws9/live", drop=len("/_pilot"))
    assert decide("/_pilots", "", HOST, ROUTES) == APP


@pytest.mark.parametrize("path", ["/", "/v1/apps", "/_pilot"])
def test_before_the_first_deployment_the_platform_says_that_it_starts(path: str) -> None:
    refusal = decide(path, "", HOST, None)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 503


def test_before_the_first_deployment_aws_answers_already() -> None:
    assert decide("/", "", HOST | {"x-amz-target": "CloudFormation"}, None) == Forward()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:4590", "10.0.0.1:4590", "", "localhost.evil"]
)
def test_a_name_that_somebody_else_points_here_is_refused(host: str) -> None:
    refusal = decide("/", "", {"host": host, "authorization": "AWS4-HMAC-SHA256 x"}, ROUTES)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:4590", "[::1]:4590", "LOCALHOST"])
def test_names_of_this_machine_are_served(host: str) -> None:
    assert decide("/", "", {"host": host}, ROUTES) == APP


@pytest.mark.parametrize("path", ["/_pilot", "/_aws/execute-api/ws9/live"])
def test_pages_of_other_origins_reach_neither_aws_nor_the_agents(path: str) -> None:
    foreign = HOST | {"origin": "https://evil.example"}
    refusal = decide(path, "", foreign, ROUTES)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 403
    own = HOST | {"origin": "http://127.0.0.1:4590"}
    assert isinstance(decide(path, "", own, ROUTES), Forward)


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_localstack/x", "/_ministack/config"])
def test_the_emulators_switches_are_out_of_reach(path: str) -> None:
    refusal = decide(path, "", HOST, ROUTES)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 404


class Emulator:
    """Records what reaches it, reads the whole body, answers 200."""

    def __init__(self, answer: bytes = b"ok", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.scopes: list[Any] = []
        self.received = 0
        self.answer = answer
        self.headers = headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            more = True
            while more:
                message = await receive()
                self.received += len(message.get("body", b""))
                more = message.get("more_body", False)
            await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
            half = len(self.answer) // 2
            await send({"type": "http.response.body", "body": self.answer[:half], "more_body": True})
            await send({"type": "http.response.body", "body": self.answer[half:]})


def call(
    emulator: Emulator,
    path: str,
    *,
    raw_path: str | None = None,
    kind: str = "http",
    chunks: tuple[bytes, ...] = (b"",),
    headers: dict[str, str] = HOST,
    routes: Routes | None = ROUTES,
) -> list[Any]:
    sent: list[Any] = []
    waiting = list(chunks)

    async def receive() -> Any:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "path": path,
        "raw_path": (raw_path or path).encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "method": "PUT",
    }
    asyncio.run(Gateway(emulator, lambda: routes)(scope, receive, send))
    return sent


def test_the_path_reaches_the_api_undecoded_as_on_aws() -> None:
    emulator = Emulator()
    call(emulator, "/v1/files/a/b c%", raw_path="/v1/files/a%2Fb%20c%25")
    assert emulator.scopes[0]["path"] == "/_aws/execute-api/abc123/live/v1/files/a%2Fb%20c%25"
    assert emulator.scopes[0]["raw_path"] == b"/_aws/execute-api/abc123/live/v1/files/a%2Fb%20c%25"


def test_the_pilot_prefix_is_replaced_for_websockets_too() -> None:
    emulator = Emulator()
    call(emulator, "/_pilot", kind="websocket")
    assert emulator.scopes[0]["path"] == "/_aws/execute-api/ws9/live"


def test_a_websocket_that_is_refused_is_closed_without_reaching_the_emulator() -> None:
    emulator = Emulator()
    sent = call(emulator, "/_pilot", kind="websocket", routes=None)
    assert sent == [{"type": "websocket.close", "code": 1013}]
    assert not emulator.scopes


def test_lifespan_events_pass() -> None:
    emulator = Emulator()
    asyncio.run(Gateway(emulator, lambda: None)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert emulator.scopes == [{"type": "lifespan"}]


def test_a_body_that_grows_too_large_is_refused_on_the_way() -> None:
    emulator = Emulator()
    half = bytes(MAX_BODY_BYTES // 2 + 1)
    sent = call(emulator, "/v1/x", chunks=(half, half, half))
    assert sent[0]["status"] == 413
    assert emulator.received == len(half)


GZIP = HOST | {"accept-encoding": "br, gzip"}
LONG = b"pitrix " * MINIMUM_COMPRESSION_BYTES


def body_of(sent: list[Any]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent[1:])


def test_long_answers_are_compressed_for_who_takes_gzip() -> None:
    length = (b"Content-Length", str(len(LONG)).encode())
    sent = call(Emulator(LONG, (length, (b"etag", b'"1"'))), "/v1/x", headers=GZIP)
    assert gzip.decompress(body_of(sent)) == LONG
    headers = dict(sent[0]["headers"])
    assert headers == {
        b"etag": b'"1"', b"content-encoding": b"gzip", b"content-length": str(len(body_of(sent))).encode(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("emulator", "path", "headers"),
    [
        (Emulator(LONG), "/v1/x", HOST),
        (Emulator(LONG[: MINIMUM_COMPRESSION_BYTES - 1]), "/v1/x", GZIP),
        (Emulator(LONG, ((b"Content-Encoding", b"br"),)), "/v1/x", GZIP),
        (Emulator(LONG), "/bucket/key", GZIP | {"authorization": "AWS4-HMAC-SHA256 x"}),
    ],
    ids=["not asked for", "short", "compressed already", "of S3"],
)
def test_other_answers_are_left_alone(emulator: Emulator, path: str, headers: dict[str, str]) -> None:
    sent = call(emulator, path, headers=headers)
    assert body_of(sent) == emulator.answer
    assert list(sent[0]["headers"]) == list(emulator.headers)


def test_answers_are_compressed_from_the_size_that_the_template_says() -> None:
    api = transform.load(ROOT / "template.yaml")["Resources"]["Api"]["Properties"]
    assert api["MinimumCompressionSize"] == MINIMUM_COMPRESSION_BYTES


def test_an_upload_to_s3_may_be_larger() -> None:
    emulator = Emulator()
    half = bytes(MAX_BODY_BYTES // 2 + 1)
    sent = call(emulator, "/b/k", chunks=(half, half), headers=HOST | {"authorization": "AWS4-HMAC-SHA256 x"})
    assert sent[0]["status"] == 200
    assert emulator.received == 2 * len(half)


def test_refusals_are_problem_documents_or_pages_and_escape_what_they_repeat() -> None:
    problem = call(Emulator(), "/", routes=None)
    assert (b"content-type", b"application/problem+json") in problem[0]["headers"]
    page = call(Emulator(), "/", headers={"host": "<b>evil", "accept": "text/html"})
    assert page[0]["status"] == 403
    assert b"<b>evil" not in page[1]["body"]
    assert b"&lt;b&gt;evil" in page[1]["body"]
