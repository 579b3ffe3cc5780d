"""The cluster's metadata on the node: kept in a file, served as the AppCenter metadata service does.

``GET /self/hosts/<role>/<node>/ip`` and the like. A leaf is its text; a folder is one line
``/path<TAB>value`` for each leaf below it, or with ``Accept: application/json`` a JSON document.
``?wait=true&prev_version=N`` holds the request until the metadata is newer than ``N``; ``X-Metad-Version`` is
the present version. That is what ``metad`` answers, so confd and its templates in existing images work.

It is answered to this machine only: it may hold the application's passwords.
"""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pitrix_agent.config import write_private

_log = logging.getLogger("pitrix.metadata")

#: A held request is answered after so long with what there is, and the client asks again.
_LONGEST_WAIT_S = 300.0


class MetadataStore:
    """The present document and its version; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._version = 0
        self._document: dict[str, Any] = {}
        if path.exists():
            raw = json.loads(path.read_text(encoding="utf-8"))
            self._version, self._document = int(raw["version"]), raw["document"]

    @property
    def version(self) -> int:
        return self._version

    def read(self) -> tuple[int, dict[str, Any]]:
        """Return (version, document)."""
        with self._changed:
            return self._version, self._document

    def put(self, version: int, document: dict[str, Any]) -> None:
        """Replace the document, unless this one is older: frames may overtake each other."""
        with self._changed:
            if version <= self._version:
                return
            write_private(self._path, json.dumps({"version": version, "document": document}))
            self._version, self._document = version, document
            self._changed.notify_all()

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until the version is above ``after``; ``False`` if it is not within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._version > after, timeout_s)


def text_of(value: Any) -> str:
    """Return a leaf as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def children(value: Any) -> dict[str, Any]:
    """Return what is below a value: the entries of an object, or of a list by their position."""
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return value if isinstance(value, dict) else {}


def is_folder(value: Any) -> bool:
    return isinstance(value, (dict, list))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every leaf below ``value``."""
    if not is_folder(value):
        yield path, text_of(value)
        return
    for name, item in children(value).items():
        yield from leaves(item, path + "/" + name)


def texts(value: Any) -> Any:
    """Return a value as JSON with text leaves only, which is what confd expects."""
    if is_folder(value):
        return {name: texts(item) for name, item in children(value).items()}
    return text_of(value)


def look_up(document: dict[str, Any], path: str) -> Any:
    """Return what is at ``path``.

    Raises:
        KeyError: there is nothing.
    """
    found: Any = document
    for name in [unquote(part) for part in path.split("/") if part]:
        found = children(found)[name]
    return found


class MetadataServer(ThreadingHTTPServer):
    """Serves a store on one address."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], store: MetadataStore) -> None:
        super().__init__(address, _Handler)
        self.store = store
        self.own_address = address[0]

    def server_bind(self) -> None:
        # HTTPServer would look its own name up here, which takes seconds where DNS does not answer.
        socketserver.TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)


class _Handler(BaseHTTPRequestHandler):
    server: MetadataServer
    protocol_version = "HTTP/1.1"
    timeout = 330

    def do_GET(self) -> None:
        client = ip_address(self.client_address[0])
        if not client.is_loopback and str(client) != self.server.own_address:
            self._answer(403, "only this node may ask", "text/plain")
            return
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        store = self.server.store
        if query.get("wait", [""])[0] == "true":
            known = query.get("prev_version", query.get("pre_version", [""]))[0]
            store.wait(int(known) if known.isdigit() else store.version, _LONGEST_WAIT_S)
        version, document = store.read()
        try:
            found = look_up({"self": document}, url.path)
        except KeyError:
            self._answer(404, "Not found", "text/plain", version)
            return
        if "json" in self.headers.get("Accept", ""):
            self._answer(200, json.dumps(texts(found), ensure_ascii=False), "application/json", version)
        elif is_folder(found):
            lines = ["{}\t{}\n".format(*leaf) for leaf in sorted(leaves(found))]
            self._answer(200, "".join(lines), "text/plain", version)
        else:
            self._answer(200, text_of(found), "text/plain", version)

    do_HEAD = do_GET

    def _answer(self, status: int, text: str, kind: str, version: int = 0) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Metad-Version", str(version))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def serve(host: str, port: int, store: MetadataStore) -> MetadataServer:
    """Serve ``store`` in a thread, on another port where ``port`` is in use (several nodes, one address)."""
    try:
        server = MetadataServer((host, port), store)
    except OSError as error:
        _log.warning("port %d cannot be had (%s); taking another one", port, error.strerror)
        server = MetadataServer((host, 0), store)
    threading.Thread(target=server.serve_forever, daemon=True, name="metadata").start()
    return server
