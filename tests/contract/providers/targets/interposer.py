"""An HTTP proxy between a provider and its cloud that loses answers, or gives its own instead.

Owns one request at a time, on threads of its own; knows no cloud. Commanded by the tests and by targets whose
cloud has no limits or no throttling of its own.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "proxy-connection"}


@dataclass(frozen=True)
class Asked:
    """A request that came by; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the cloud, or the interposer in its place, answers."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Interposed:
    """A running interposer; what it does may be changed at any time.

    Attributes:
        url: Where it listens.
        asked: Every request that came by, oldest first.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self._instead: Callable[[Asked], Answer | None] = lambda _: None
        self._loses: Callable[[Asked, Answer], bool] = lambda *_: False

    def answer_instead(self, instead: Callable[[Asked], Answer | None]) -> None:
        """Give this answer where it is one; the cloud does not hear of the request then."""
        self._instead = instead

    def lose_answers(self, loses: Callable[[Asked, Answer], bool]) -> None:
        """Hang up instead of passing on the cloud's answer, where ``loses`` says so."""
        self._loses = loses


@contextmanager
def interpose(upstream: str, *, tls: tuple[Path, Path] | None = None) -> Iterator[Interposed]:
    """Listen on a free port in front of ``upstream``; with TLS when given a certificate and its key."""
    cloud = urlsplit(upstream)

    def ask(asked: Asked) -> Answer:
        assert cloud.hostname is not None
        connection: HTTPConnection
        if cloud.scheme == "https":
            context = ssl._create_unverified_context()
            connection = HTTPSConnection(cloud.hostname, cloud.port, timeout=60, context=context)
        else:
            connection = HTTPConnection(cloud.hostname, cloud.port, timeout=60)
        try:
            headers = {name: value for name, value in asked.headers.items() if name not in _HOP_BY_HOP}
            connection.request(asked.method, asked.path, asked.body or None, headers)
            response = connection.getresponse()
            kept = {k: v for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP}
            return Answer(response.status, kept, response.read())
        finally:
            connection.close()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, body)
            between.asked.append(asked)
            answer = between._instead(asked)
            if answer is None:
                try:
                    answer = ask(asked)
                except (OSError, HTTPException):
                    self.close_connection = True
                    return
                if between._loses(asked, answer):
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
            self.send_response_only(answer.status)  # its Date and Server are the cloud's own
            for name, value in answer.headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else len(answer.body)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """Connections that end early are what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        between = Interposed(f"{cloud.scheme}://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield between
        finally:
            server.shutdown()
            thread.join()
