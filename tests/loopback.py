"""A web server on the loopback that tests script request by request, well-behaved or not.

A route is a function of the request. It returns a `Reply`, or writes whatever it likes to the connection and
returns ``None``. Everything that was asked is kept in `Loopback.seen`.
"""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What a route answers; the length is added where the headers have none."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One request that came in; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    write: Callable[[bytes], None]


Route = Callable[[Seen], Reply | None]


class Loopback:
    """A running server; `routes` may be changed at any time. Paths without a route are 404."""

    def __init__(self, server: ThreadingHTTPServer, scheme: str) -> None:
        self.port: int = server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.routes: dict[str, Route] = {}
        self.seen: list[Seen] = []

    def serve(self, path: str, body: bytes, **headers: str) -> None:
        """Answer a path with the same body every time."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.routes[path] = lambda _: Reply(body, headers=named)

    def serve_file(self, path: str, body: bytes, *, etag: str = "", packed: bool = False) -> None:
        """Answer a path as a good web server does: with an entity tag, 304, and gzip where it is wanted."""

        def answer(seen: Seen) -> Reply:
            headers = {"ETag": etag} if etag else {}
            if etag and seen.headers.get("if-none-match") == etag:
                return Reply(status=304, headers=headers)
            if packed and "gzip" in seen.headers.get("accept-encoding", ""):
                return Reply(gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"})
            return Reply(body, headers=headers)

        self.routes[path] = answer

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [seen.path for seen in self.seen]


@contextmanager
def loopback(certificate: tuple[Path, Path] | None = None) -> Iterator[Loopback]:
    """A server on a free port, with TLS when given a certificate and its key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            seen = Seen(
                self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.wfile.write
            )
            running.seen.append(seen)
            path = self.path.split("?")[0]
            route = running.routes.get(self.path) or running.routes.get(path) or (lambda _: Reply(status=404))
            try:
                reply = route(seen)
                if reply is None:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in reply.headers:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)
            except OSError:  # the client has had enough
                self.close_connection = True

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            """Clients that hang up are what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running = Loopback(server, "https" if certificate else "http")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
