"""The console on a platform in memory, as a web server: for looking at it, and for tests in a real browser.

``PYTHONPATH=layers/core:functions/console:. python -m tests.unit.console.serve [PORT]`` prints the address
and the logins. Nothing moves by itself there but the deployments, whose steps pass at two a second.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from chalicelib import assets
from functions.console.app import app
from functions.console.build_assets import build
from pitrix.identity.model import ANONYMOUS
from tests.unit.console import world as worlds
from tests.unit.console.gateway import Gateway

CONSOLE = Path(__file__).resolve().parents[3] / "functions/console"


def handler(world: worlds.World) -> type[BaseHTTPRequestHandler]:
    """A request handler in front of the console of ``world``."""
    # Chalice keeps the request at hand on the app: one at a time, as in a Lambda environment.
    one_at_a_time, gateway = threading.Lock(), Gateway(app)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/v1/apps/") and "/icon" in self.path:
                self._picture(self.path.split("/")[3])
            else:
                self._page("GET", "")

        def do_POST(self) -> None:
            self._page("POST", self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def _page(self, method: str, body: str) -> None:
            with one_at_a_time:
                answer = gateway.send(method, self.path, headers=dict(self.headers), body=body)
            data = answer.body.encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            for value in answer.set_cookies:
                self.send_header("Set-Cookie", value)
            self._end(data)

        def _picture(self, app_id: str) -> None:
            url = world.catalog.icon(ANONYMOUS, unquote(app_id))
            _, _, digest, path = url.split("/", 3)
            self.send_response(200)
            self.send_header("Content-Type", "image/svg+xml")
            self._end(world.archives.files[digest, path])

        def _end(self, data: bytes) -> None:
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError):  # a browser that left the page does not wait for the rest
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the console logs for itself."""

    return Handler


@contextmanager
def serving(world: worlds.World, port: int = 0) -> Iterator[str]:
    """Serve ``world`` on 127.0.0.1 with the assets of a build; yields the address."""
    before = assets.FOLDER
    with tempfile.TemporaryDirectory() as folder, world.in_place():
        target = Path(folder)
        (target / "static").mkdir()
        for path in (CONSOLE / "static").iterdir():
            (target / "static" / path.name).write_bytes(path.read_bytes())
        build(target)
        assets.FOLDER = target / "static"
        _forget_assets()
        server = ThreadingHTTPServer(("127.0.0.1", port), handler(world))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            assets.FOLDER = before
            _forget_assets()


def _forget_assets() -> None:
    assets._published.cache_clear()
    assets.public_name.cache_clear()


def main() -> None:
    """Serve until Ctrl-C, moving deployments along."""
    import sys

    world = worlds.build()
    with serving(world, int(sys.argv[1]) if len(sys.argv) > 1 else 8000) as address:
        print(f"{address}\nroot, vera, alice, bob: {worlds.PASSWORD}", flush=True)
        while True:
            time.sleep(0.5)
            for job in list(world.store.unended_jobs()):
                world.run(job.job_id, 1)


if __name__ == "__main__":
    main()
