"""A function app as the world reaches it: HTTPS on the loopback, Microsoft's worker behind it.

What Azure's host does for HTTP triggers: routes, methods, keys, and a bare 500 where a function raises. The
app is run from the archive that ``WEBSITE_RUN_FROM_PACKAGE`` names, which is fetched whenever it is set anew;
the worker starts with the first request.
"""

from __future__ import annotations

import base64
import io
import json
import re
import ssl
import threading
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import urlopen

from tests.clouds.azure_functions.host import FunctionsHost, functions_host

Answer = tuple[int, dict[str, str], bytes]
_PLACE = re.compile(r"\{([^}:?=]+)[^}]*\}")


class App:
    """One app: ``key`` is its default key, ``host_name`` where it answers."""

    def __init__(self, tls: tuple[Path, Path]) -> None:
        self.key = token_urlsafe()
        self._settings: Mapping[str, str] = {}
        self._archive = b""
        self._running = ExitStack()
        self._host: FunctionsHost | None = None
        self._prefix = "api"
        self._lock = threading.Lock()
        self._server = _serving(self, tls)
        self.host_name = f"127.0.0.1:{self._server.server_address[1]}"

    def set(self, settings: Mapping[str, str]) -> None:
        """Other settings: the app starts anew with the next request."""
        with self._lock:
            self._stop()
            self._settings, self._archive = settings, b""

    def fetch(self) -> None:
        """Get the archive.

        Raises:
            OSError: It cannot be read where the settings say that it is, or is no archive.
        """
        with self._lock:
            self._fetch()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            self._stop()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request, as Azure's host does."""
        url = urlsplit(target)
        with self._lock:
            try:
                host = self._started()
            except OSError:
                return 503, {}, b"Function host is not running."
            for name, bindings in host.functions.items():
                for binding in bindings:
                    if binding["type"].lower() != "httptrigger":
                        continue
                    places = self._match(binding.get("route") or name, url.path.strip("/"))
                    methods = [each.lower() for each in binding.get("methods") or [method]]
                    if places is None or method.lower() not in methods:
                        continue
                    level = str(binding.get("authLevel") or "function").lower()
                    if level != "anonymous" and headers.get("x-functions-key") != self.key:
                        return 401, {}, b""
                    request = {
                        "method": method,
                        "url": f"https://{self.host_name}{target}",
                        "headers": dict(headers),
                        "params": places,
                        "query": dict(parse_qsl(url.query)),
                        "body": base64.b64encode(body).decode(),
                    }
                    return _told(host.invoke(name, {"http": request}))
        return 404, {}, b""

    def _match(self, route: str, path: str) -> dict[str, str] | None:
        whole = "/".join(filter(None, (self._prefix, route)))
        parts = _PLACE.split(whole)
        pattern = "".join(
            f"(?P<{part}>[^/]*)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
        )
        found = re.fullmatch(pattern, path, re.IGNORECASE)
        return None if found is None else {name: unquote(each) for name, each in found.groupdict().items()}

    def _fetch(self) -> None:
        if self._archive:
            return
        try:
            with urlopen(self._settings.get("WEBSITE_RUN_FROM_PACKAGE", ""), timeout=10) as answer:
                self._archive = answer.read()
        except (URLError, ValueError) as error:
            raise OSError(f"the archive cannot be read: {error}") from error

    def _started(self) -> FunctionsHost:
        if self._host is None:
            self._fetch()
            folder = Path(self._running.enter_context(TemporaryDirectory()))
            with zipfile.ZipFile(io.BytesIO(self._archive)) as archive:
                archive.extractall(folder)
            told = json.loads((folder / "host.json").read_text())
            self._prefix = told.get("extensions", {}).get("http", {}).get("routePrefix", "api")
            self._host = self._running.enter_context(functions_host(folder, self._settings))
        return self._host

    def _stop(self) -> None:
        self._host = None
        self._running.close()
        self._running = ExitStack()


def _told(done: Mapping[str, Any]) -> Answer:
    """What of a call's outcome goes out; why a function raised is in its log alone."""
    answer = done["answer"]
    if not done["ok"]:
        return 500, {}, b""
    if isinstance(answer, dict) and "status" in answer:
        return answer["status"], answer["headers"], base64.b64decode(answer["body"])
    return (204, {}, b"") if answer is None else (200, {}, str(answer).encode())


def _serving(app: App, tls: tuple[Path, Path]) -> ThreadingHTTPServer:
    """A server of an app, on a free port of the loopback, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, told = app.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = serve

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
