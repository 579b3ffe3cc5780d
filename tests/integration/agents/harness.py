"""Real agents against a real WebSocket server that stands where API Gateway stands.

Owns: :class:`Gateway`, which turns what happens on its connections into the events that API Gateway sends,
has ``functions/pilot/app.py`` handle them (each in a thread of its own and in no promised order, as on
AWS), and is the connections port of the Pilot service behind it; and :class:`Machine`, a folder in which
the user data runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from functions.pilot import app
from infra.agent.build import build
from pitrix import bootstrap
from pitrix.clock import SystemClock
from pitrix.events import NullBus
from pitrix.pilot.dynamo import DynamoPilotStore
from pitrix.pilot.model import Agent, Command
from pitrix.pilot.ports import ConnectionGone
from pitrix.pilot.service import PilotService
from pitrix.table import MemoryTable

CLUSTER = "cl_1"


def until(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """Return what ``condition`` answers as soon as that is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s} s"
        time.sleep(0.02)
    return found


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not reaped (no init in a container) does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] not in ("", "Z")


class Answers:
    """The state machines: what each task token was answered."""

    def __init__(self) -> None:
        self.given: dict[str, tuple[str, Any]] = {}

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> None:
        self.given[task_token] = ("succeeded", dict(output))

    def fail(self, task_token: str, error: str, cause: str) -> None:
        self.given[task_token] = (error, cause)

    def of(self, task_token: str, timeout_s: float = 15.0) -> tuple[str, Any]:
        until(lambda: task_token in self.given, timeout_s)
        return self.given[task_token]


class Gateway:
    """The WebSocket API: a port on the loopback address whose connections can be cut at will."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: dict[str, ServerConnection] = {}
        self._handlers = ThreadPoolExecutor(8)
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self.received: list[dict[str, Any]] = []
        #: Tests put a function here to lose frames on their way to Pilot.
        self.loses: Callable[[dict[str, Any]], bool] = lambda frame: False
        self.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/live"

    def start(self) -> None:
        async def listen() -> Server:
            return await serve(self._on_connection, "127.0.0.1", self.port, max_size=128 * 1024)

        self._server = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    def stop(self) -> None:
        """Go away as a restarted platform does: every connection is cut, none is accepted."""

        async def close() -> None:
            assert self._server is not None
            self._server.close()
            await self._server.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)

    def shut_down(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._handlers.shutdown()
        self._loop.close()

    def cut(self) -> None:
        """Cut every connection without a goodbye."""
        for connection in list(self._open.values()):
            self._loop.call_soon_threadsafe(connection.transport.abort)

    @property
    def connection_ids(self) -> list[str]:
        return list(self._open)

    # --- the Connections port -----------------------------------------------------------------------------

    def post(self, connection_id: str, data: str) -> None:
        connection = self._open.get(connection_id)
        if connection is None:
            raise ConnectionGone(connection_id)
        assert len(data.encode()) <= 32 * 1024, "API Gateway takes frames of 32 KB"
        try:
            asyncio.run_coroutine_threadsafe(connection.send(data), self._loop).result(10)
        except ConnectionClosed as error:
            raise ConnectionGone(connection_id) from error

    def close(self, connection_id: str) -> None:
        connection = self._open.get(connection_id)
        if connection is not None:
            asyncio.run_coroutine_threadsafe(connection.close(), self._loop)

    # --- the events ---------------------------------------------------------------------------------------

    async def _on_connection(self, connection: ServerConnection) -> None:
        connection_id = secrets.token_urlsafe(9)
        await self._handle(connection_id, "CONNECT", "$connect")
        self._open[connection_id] = connection
        handling: set[asyncio.Future[Any]] = set()
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                assert len(message) <= 32 * 1024, "API Gateway takes frames of 32 KB"
                frames = json.loads(message)
                frames = frames if isinstance(frames, list) else [frames]
                self.received.extend(frames)
                kept = [frame for frame in frames if not self.loses(frame)]
                task = asyncio.ensure_future(
                    self._handle(connection_id, "MESSAGE", "$default", json.dumps(kept))
                )
                handling.add(task)
                task.add_done_callback(handling.discard)
        del self._open[connection_id]
        await self._handle(connection_id, "DISCONNECT", "$disconnect")

    async def _handle(self, connection_id: str, kind: str, route: str, body: str = "") -> None:
        event = {
            "requestContext": {"connectionId": connection_id, "eventType": kind, "routeKey": route},
            "body": body,
        }
        answer = await self._loop.run_in_executor(self._handlers, app.handler, event, None)
        assert answer == {"statusCode": 200}


class Platform:
    """Pilot with a memory table behind a gateway, and a web server that has the agent bundle."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.gateway = Gateway()
        self.answers = Answers()
        serving = partial(_Quiet, directory=str(bundle.parent))
        self._web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving)
        threading.Thread(target=self._web.serve_forever, daemon=True).start()
        self.web_url = f"http://127.0.0.1:{self._web.server_address[1]}"
        self.web_folder = bundle.parent
        self._bundle_url = f"{self.web_url}/{bundle.name}"
        self.table = MemoryTable()
        self.pilot = PilotService(
            store=DynamoPilotStore(self.table),
            connections=self.gateway,
            callbacks=self.answers,
            bundle=self,
            events=NullBus(),
            clock=SystemClock(),
            pilot_url=self.gateway.url,
        )
        self._folder = folder
        self._machines: list[Machine] = []
        self._override = bootstrap.override("pilot", self.pilot)
        self._override.__enter__()

    def url(self) -> str:
        return self._bundle_url

    def close(self) -> None:
        for machine in self._machines:
            machine.power_off()
        self.gateway.shut_down()
        self._web.shutdown()
        self._web.server_close()
        self._override.__exit__(None, None, None)

    # --- what tests do ------------------------------------------------------------------------------------

    def boot(self, name: str, address: str, **options: Any) -> Machine:
        """Enrol a node and boot its machine; ``options`` are those of ``enroll``."""
        enrollment = self.pilot.enroll(CLUSTER, f"node_{name}", "web", name=name, **options)
        machine = Machine(self._folder / name, address, enrollment.agent_id, enrollment.user_data)
        self._machines.append(machine)
        machine.power_on()
        return machine

    def agent(self, machine: Machine) -> Agent:
        return next(a for a in self.pilot.agents(CLUSTER) if a.agent_id == machine.agent_id)

    def await_connected(self, *machines: Machine) -> None:
        for machine in machines:
            until(lambda m=machine: self.agent(m).connected)  # type: ignore[misc]

    def run(self, machine: Machine, command_id: str, cmd: str = "", **options: Any) -> tuple[str, Any]:
        """Run a command and return what its state machine is answered."""
        token = f"{command_id}-{secrets.token_hex(4)}"
        self.pilot.run_command(machine.agent_id, command_id=command_id, cmd=cmd, task_token=token, **options)
        return self.answers.of(token)

    def command(self, command_id: str) -> Command:
        return next(c for c in self.pilot.commands(CLUSTER) if c.command_id == command_id)


class Machine:
    """A folder, a loopback address and a process group, as the local cloud makes them."""

    def __init__(self, root: Path, address: str, agent_id: str, user_data: str) -> None:
        self.root = root
        self.address = address
        self.agent_id = agent_id
        self._script = user_data
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir()

    def power_on(self) -> None:
        """Run the user data, as at every boot."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "PITRIX_MACHINE_DIR": str(self.root),
            "PITRIX_MACHINE_ADDRESS": self.address,
            "PITRIX_PYTHON": sys.executable,
            "AWS_SECRET_ACCESS_KEY": "not for applications",
        }
        with (self.root / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", self._script],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def kill_agent(self) -> None:
        """End the agent as a crash does; what its commands started lives on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def stop_agent(self) -> int:
        """Ask the agent to stop and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(10)

    def power_off(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill_agent()

    @property
    def console(self) -> str:
        return (self.root / "console.log").read_text()

    @property
    def app_dir(self) -> Path:
        return self.root / "app"

    def metadata(self, path: str, *, accept: str = "*/*") -> str:
        request = urllib.request.Request(f"http://{self.address}:9112{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return None


def build_bundle(folder: Path) -> Path:
    return build(folder / "agent.pyz")


@contextlib.contextmanager
def platform(folder: Path, bundle: Path) -> Iterator[Platform]:
    """A platform for one test; everything it started is stopped afterwards."""
    world = Platform(folder, bundle)
    try:
        yield world
    finally:
        world.close()
