"""The health check of the node: a command run again and again, and what to do when it keeps failing.

Owns the loop and its thresholds; tells Pilot when the health changes, and never more often. Its configuration
is a file, so that it goes on after a restart. The payload of ``start_health_check``:

``check_cmd``            exits with 0 when all is well
``action_cmd``           run when it has not been for a while; may be empty
``interval_s``           between two checks
``timeout_s``, ``action_timeout_s``
``healthy_threshold``    so many good checks in a row make the node healthy
``unhealthy_threshold``  so many bad ones make it unhealthy, and run the action, and again after as many more
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pitrix_agent.config import write_private
from pitrix_agent.frames import Frame

_log = logging.getLogger("pitrix.health")


class HealthCheck:
    """See the module."""

    def __init__(
        self,
        path: Path,
        agent_id: str,
        folder: Path,
        *,
        emit: Callable[[Frame], object],
        environment: Callable[[], Mapping[str, str]],
    ) -> None:
        self._path = path
        self._agent_id = agent_id
        self._folder = folder
        self._emit = emit
        self._environment = environment
        self._task: asyncio.Task[None] | None = None
        self._health = ""
        self._detail = ""

    def recover(self) -> None:
        """Go on with the check that an earlier run of the agent had.

        The machine may have been restarted and the application with it be gone: one bad check is enough now.
        """
        if self._path.exists():
            self._begin(json.loads(self._path.read_text(encoding="utf-8")), suspicious=True)

    async def start(self, payload: dict[str, Any]) -> str:
        """Begin, or go on with another configuration."""
        write_private(self._path, json.dumps(payload))
        self._begin(payload)
        return "watching"

    async def stop(self, payload: dict[str, Any]) -> str:
        """End the check; harmless where there is none."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._path.exists():
            self._path.unlink()
        self._health = ""
        return "not watching"

    def report(self) -> None:
        """Tell Pilot how it stands."""
        if self._health:
            self._emit(
                {"type": "event", "agent": self._agent_id, "health": self._health, "detail": self._detail}
            )

    def _begin(self, payload: dict[str, Any], *, suspicious: bool = False) -> None:
        if self._task is not None:
            self._task.cancel()
        before = int(payload["unhealthy_threshold"]) - 1 if suspicious else 0
        self._task = asyncio.ensure_future(self._watch(payload, bad=before))

    async def _watch(self, payload: dict[str, Any], *, bad: int) -> None:
        good = 0
        while True:
            well, said = await self._call(str(payload["check_cmd"]), float(payload["timeout_s"]))
            good, bad = (good + 1, 0) if well else (0, bad + 1)
            if good >= int(payload["healthy_threshold"]):
                self._is("healthy", "")
            elif bad >= int(payload["unhealthy_threshold"]):
                self._is("unhealthy", said)
                if payload.get("action_cmd"):
                    _log.warning("unhealthy: running the action")
                    await self._call(str(payload["action_cmd"]), float(payload["action_timeout_s"]))
                bad = 0
            await asyncio.sleep(float(payload["interval_s"]))

    def _is(self, health: str, detail: str) -> None:
        if health != self._health:
            self._health, self._detail = health, detail
            self.report()

    async def _call(self, cmd: str, timeout_s: float) -> tuple[bool, str]:
        """Run a command to its end or its time-out; return whether it succeeded and why not."""
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            cmd,
            cwd=str(self._folder),
            env=dict(self._environment()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            _kill(process.pid)
            await process.wait()
            return False, f"the check did not finish within {timeout_s:g} s"
        except asyncio.CancelledError:
            _kill(process.pid)
            raise
        return code == 0, "" if code == 0 else f"the check exited with {code}"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
