"""The binary media types reach the emulator as the template has them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from infra.local import media, transform
from infra.local.paths import ROOT


class Emulator(HTTPServer):
    """Keeps what it is told."""

    told: list[tuple[str, str, Any, str]]


class _Handler(BaseHTTPRequestHandler):
    server: Emulator

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.append((self.command, self.path, body, self.headers["Authorization"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    server = Emulator(("127.0.0.1", 0), _Handler)
    server.told = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_what_helm_clients_and_curl_push_arrives_as_it_was_sent(emulator: Emulator) -> None:
    template = transform.load(ROOT / "template.yaml")
    media.put(f"http://127.0.0.1:{emulator.server_port}", "000000000000", template, api_id="a1")
    [(method, path, body, authorization)] = emulator.told
    assert (method, path) == ("PATCH", "/restapis/a1")
    assert "Credential=000000000000/" in authorization
    [change] = body["patchOperations"]
    assert {"multipart/form-data", "application/octet-stream", "application/gzip"} <= set(change["value"])
    assert "application/json" not in change["value"]
