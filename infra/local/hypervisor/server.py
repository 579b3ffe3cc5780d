"""The cloud over HTTP: JSON on the loopback address, a bearer token on every call but ``/v1/health``.

Owns routes, the token and the shape of errors: ``{"error": {"code", "message"}}``. Creations answer 201
whether or not the client token was known. Lists take filters as ``?tag.<name>=<value>``.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from .cloud import Cloud
from .errors import CloudError, Invalid, Missing, Unauthorized
from .model import (
    AttachRequest,
    ExtendRequest,
    KeyPairRequest,
    MachineRequest,
    NetworkRequest,
    Request,
    ResizeRequest,
    VolumeRequest,
)

log = logging.getLogger("hypervisor")
MOST_BODY = 1 << 20

T = TypeVar("T", bound=Request)


class Call:
    """One request, as the routes below see it."""

    def __init__(self, resource_id: str, query: str, body: bytes) -> None:
        self.id = resource_id
        self._query = query
        self._body = body

    def read(self, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._body, type=kind)
        except msgspec.MsgspecError as error:
            raise Invalid(f"{error}.") from error

    @property
    def tags(self) -> dict[str, str]:
        return {k.removeprefix("tag."): v for k, v in parse_qsl(self._query) if k.startswith("tag.")}


Route = Callable[[Cloud, Call], Any]


def _resize(cloud: Cloud, call: Call) -> Any:
    size = call.read(ResizeRequest)
    return cloud.resize_machine(call.id, cpu=size.cpu, memory_mib=size.memory_mib)


ROUTES: dict[str, Route] = {
    "GET /v1/account": lambda cloud, _: cloud.account(),
    "GET /v1/machine-types": lambda cloud, _: cloud.machine_types(),
    "GET /v1/images": lambda cloud, _: cloud.images(),
    "POST /v1/networks": lambda cloud, call: cloud.create_network(call.read(NetworkRequest)),
    "GET /v1/networks": lambda cloud, call: cloud.list_networks(call.tags),
    "GET /v1/networks/{id}": lambda cloud, call: cloud.get_network(call.id),
    "DELETE /v1/networks/{id}": lambda cloud, call: cloud.delete_network(call.id),
    "POST /v1/volumes": lambda cloud, call: cloud.create_volume(call.read(VolumeRequest)),
    "GET /v1/volumes": lambda cloud, call: cloud.list_volumes(call.tags),
    "GET /v1/volumes/{id}": lambda cloud, call: cloud.get_volume(call.id),
    "DELETE /v1/volumes/{id}": lambda cloud, call: cloud.delete_volume(call.id),
    "POST /v1/volumes/{id}/attach": lambda cloud, call: cloud.attach_volume(
        call.id, call.read(AttachRequest).machine_id
    ),
    "POST /v1/volumes/{id}/detach": lambda cloud, call: cloud.detach_volume(call.id),
    "POST /v1/volumes/{id}/extend": lambda cloud, call: cloud.extend_volume(
        call.id, call.read(ExtendRequest).size_gib
    ),
    "POST /v1/key-pairs": lambda cloud, call: cloud.import_key_pair(call.read(KeyPairRequest)),
    "GET /v1/key-pairs": lambda cloud, call: cloud.list_key_pairs(call.tags),
    "GET /v1/key-pairs/{id}": lambda cloud, call: cloud.get_key_pair(call.id),
    "DELETE /v1/key-pairs/{id}": lambda cloud, call: cloud.delete_key_pair(call.id),
    "POST /v1/machines": lambda cloud, call: cloud.create_machine(call.read(MachineRequest)),
    "GET /v1/machines": lambda cloud, call: cloud.list_machines(call.tags),
    "GET /v1/machines/{id}": lambda cloud, call: cloud.get_machine(call.id),
    "DELETE /v1/machines/{id}": lambda cloud, call: cloud.delete_machine(call.id),
    "POST /v1/machines/{id}/start": lambda cloud, call: cloud.start_machine(call.id),
    "POST /v1/machines/{id}/stop": lambda cloud, call: cloud.stop_machine(call.id),
    "POST /v1/machines/{id}/resize": _resize,
    "GET /v1/machines/{id}/console": lambda cloud, call: {"output": cloud.console(call.id)},
}
_ID = re.compile(r"^(/v1/[a-z-]+)/([^/]+)(/[a-z]+)?$")


class Handler(BaseHTTPRequestHandler):
    """Reads one request, finds its route, writes one answer."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 60  # seconds a connection may idle
    wbufsize = -1  # head and body of an answer leave together

    def _serve(self) -> None:
        try:
            status, answer = self._answer()
        except CloudError as error:
            status, answer = error.status, {"error": {"code": error.code, "message": str(error)}}
        except Exception:
            log.exception("%s %s", self.command, self.path)
            status, answer = 500, {"error": {"code": "internal", "message": "It failed; see the log."}}
        data = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve

    def _answer(self) -> tuple[int, Any]:
        # The body is read whatever comes of the request: what follows it on the connection is the next.
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MOST_BODY:
            self.close_connection = True
            raise Invalid(f"A body needs a Content-Length of {MOST_BODY} bytes at most.")
        body = self.rfile.read(int(length))
        url = urlsplit(self.path)
        if url.path == "/v1/health":
            return 200, {"status": "ok"}
        self._check_token()
        found = _ID.match(url.path)
        pattern = f"{found[1]}/{{id}}{found[3] or ''}" if found else url.path
        route = ROUTES.get(f"{self.command} {pattern}")
        if route is None:
            raise Missing(f"There is no {self.command} {url.path}.")
        created = self.command == "POST" and not found
        call = Call(found[2] if found else "", url.query, body)
        return (201 if created else 200), route(self.server.cloud, call)

    def _check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Unauthorized("The token is not the one this hypervisor was started with.")

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class Server(ThreadingHTTPServer):
    """Serves one cloud on the loopback address; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, cloud: Cloud, token: str) -> None:
        self.cloud = cloud
        self.token = token
        super().__init__(("127.0.0.1", port), Handler)
