"""The emulator's launcher: one server on 127.0.0.1 that is ministack behind our gateway.

Owns autosaving, a clean end, and dying together with the supervisor. Runs in `.venv-emulator`, so it imports
nothing but the standard library, ministack and `gateway.py`. The supervisor (`supervisor.py`) gives its
settings by environment and holds the other end of its standard input: when that closes, however the
supervisor ended, the emulator saves its state and ends too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from infra.local.gateway import Application, Gateway, Receive, Routes, Scope, Send
from infra.local.paths import DEFAULT_PORT
from infra.local.tether import when_supervisor_ends

AUTOSAVE_S = 4.0
"""How much a kill -9 may lose. Saving costs about 0.1 s at a few thousand items, and nothing while nobody
calls.
"""

SAVE_PATH = "/_pitrix/save"
SAVE_HEADER = "x-pitrix-control"

log = logging.getLogger("pitrix.emulator")


def main() -> None:
    """Serve until SIGTERM, SIGINT or the end of standard input; then save everything and end."""
    port = int(os.environ["GATEWAY_PORT"])
    tmp = os.environ["TMPDIR"]
    token = os.environ.pop("PITRIX_CONTROL_TOKEN")
    routes_file = Path(os.environ.pop("PITRIX_GATEWAY_FILE"))
    # Functions get this process's environment: what is meant for the launcher must not reach them.
    os.environ.pop("PYTHONPATH", None)

    import ministack.app as ministack
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sqs

    # Queues are kept by their addresses, and looked up by addresses made anew: with the real port in them, a
    # queue would lose its function when the platform starts on another. Clients go by their endpoint instead.
    sqs.DEFAULT_PORT = str(DEFAULT_PORT)
    sqs._CANONICAL_NETLOC = f"{sqs.DEFAULT_HOST}:{DEFAULT_PORT}"

    # What functions print goes to files (`bootstrap.py`); the emulator would keep a copy of every
    # invocation in its state, which is written out every few seconds.
    lambda_svc._emit_lambda_logs = lambda *_arguments, **_named: None

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 2
    config.loglevel = os.environ.get("LOG_LEVEL", "WARNING")

    functions = subprocess.Popen(
        [os.environ["PITRIX_LOCAL_PYTHON"], "-I", "-S", os.environ["PITRIX_LOCAL_FORKSERVER"], "serve", tmp],
        stdin=subprocess.PIPE,
    )

    async def run() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        when_supervisor_ends(lambda: loop.call_soon_threadsafe(ended.set))
        threading.Thread(
            target=lambda: (functions.wait(), loop.call_soon_threadsafe(ended.set)), daemon=True
        ).start()
        gateway = Gateway(ministack.app, _RoutesFile(routes_file))
        saver = Autosaver(gateway, ministack)
        saving = asyncio.create_task(saver.run())
        await serve(_Control(gateway, saver, token), config, shutdown_trigger=ended.wait)
        saving.cancel()

    asyncio.run(run())
    lambda_runtime.reset()
    functions.terminate()


class _RoutesFile:
    """The routes the deployer wrote, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = -1
        self._routes: Routes | None = None

    def __call__(self) -> Routes | None:
        try:
            stamp = os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            return None
        if stamp != self._stamp:
            self._routes = Routes(**json.loads(self._path.read_text()))
            self._stamp = stamp
        return self._routes


class Autosaver:
    """Writes the emulator's state to disk every few seconds in which anything was called."""

    def __init__(self, gateway: Gateway, ministack: Any) -> None:
        self._gateway = gateway
        self._ministack = ministack
        self._saved_at_request = 0

    async def run(self) -> None:
        """Save now and then, for ever."""
        while True:
            await asyncio.sleep(AUTOSAVE_S)
            # Whatever changes inside (schedules, queues, state machines) calls a function, which calls back.
            if self._gateway.requests != self._saved_at_request:
                await self.save()

    async def save(self) -> None:
        """Save all services, letting requests in between two of them."""
        self._saved_at_request = self._gateway.requests
        begun = time.monotonic()
        for service, state in self._ministack._build_persistence_save_dict().items():
            self._ministack.save_all({service: state})
            await asyncio.sleep(0)
        log.info("autosaved in %.3f s", time.monotonic() - begun)


class _Control:
    """Lets the supervisor, and nobody else, ask for a save."""

    def __init__(self, gateway: Application, saver: Autosaver, token: str) -> None:
        self._gateway = gateway
        self._saver = saver
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != SAVE_PATH:
            await self._gateway(scope, receive, send)
            return
        allowed = dict(scope["headers"]).get(SAVE_HEADER.encode()) == self._token
        if allowed:
            await self._saver.save()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204 if allowed else 404, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    main()
