"""What the rack's provider is tested on: a rack in this process.

Owns `start`, which the contract suite of Pitrix finds by the entry point ``pitrix.provider_targets``. A
vendor would start a test system of the real thing here.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from providers.resources import Connection
from tests.contract.providers.targets import Answer, Target

TOKEN = "of-the-test-rack"  # noqa: S105 - of a rack that lives as long as a test


class Refused(Exception):
    """An answer that is none: a status, and why."""


class Rack:
    """Networks by id and by key; the rules of the API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[tuple[str, str], dict[str, Any]] = {}
        self._ids = count(1)

    def answer(self, method: str, path: list[str], body: Any) -> Any:
        """One call; raises `Refused`."""
        with self._lock:
            match method, path:
                case "GET", ["rows"]:
                    return ["a", "b"]
                case "GET", ["rows", row, "networks"]:
                    return [network for (at, _), network in self._by_key.items() if at == row]
                case "PUT", ["rows", row, "networks", key]:
                    return self._by_key.get((row, key)) or self._make(row, key, body)
                case "GET", ["networks", wanted]:
                    return self._by_key[self._key_of(wanted)]
                case "DELETE", ["networks", wanted]:
                    return self._by_key.pop(self._key_of(wanted)) and None
        raise Refused(404, "There is no such call.")

    def _key_of(self, wanted: str) -> tuple[str, str]:
        for key, network in self._by_key.items():
            if network["id"] == wanted:
                return key
        raise Refused(404, f"There is no network {wanted}.")

    def _make(self, row: str, key: str, body: Any) -> dict[str, Any]:
        number = next(self._ids)
        try:
            cidr = ipaddress.ip_network(body["cidr"] or f"10.{number // 256 % 256}.{number % 256}.0/24")
        except ValueError as error:
            raise Refused(400, f"The range is none: {error}.") from None
        if not cidr.is_private or cidr.prefixlen < 8:
            raise Refused(400, f"{cidr} is no private range.")
        if any(cidr.overlaps(ipaddress.ip_network(each["cidr"])) for each in self._by_key.values()):
            raise Refused(409, f"{cidr} overlaps another network's.")
        made = {"id": f"n{number}", "name": body["name"], "cidr": str(cidr), "tags": body["tags"]}
        self._by_key[row, key] = made | {"created_at": datetime.now(UTC).isoformat()}
        return self._by_key[row, key]


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    """A rack for as long as the suite runs."""
    rack = Rack()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    raise Refused(401, "The rack does not know that token.")
                status, told = (
                    200,
                    rack.answer(self.command, self.path[1:].split("/"), json.loads(sent or b"null")),
                )
            except Refused as refused:
                status, told = refused.args
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    account = Connection(
        zone="a",
        credential={"endpoint": url, "token": TOKEN},
        settings={"allowed_networks": "127.0.0.0/8"},
    )
    try:
        yield Target(
            name="rack",
            kind="simulator",
            account=account,
            small=None,
            refused={"a wrong token": replace(account, credential={"endpoint": url, "token": "made-up"})},
            upstream=url,
            through=lambda between: replace(account, credential={"endpoint": between, "token": TOKEN}),
            throttle=lambda _: Answer(status=429, body=b'"Slow down."'),
            lacks={"quota": "a rack has no limits"},
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
