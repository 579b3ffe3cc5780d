"""The role of an ordinary node: puts session, runner, metadata and health check together.

Owns which frame goes where, and the environment that commands see:

``PITRIX_METADATA_URL``  ``http://<address>:9112``; ask it for ``/self/…``
``PITRIX_NODE_IP``, ``PITRIX_NODE_ID``, ``PITRIX_NODE_NAME``, ``PITRIX_ROLE``
``PITRIX_APP_DIR``       the payload of the package; also the working folder
``PITRIX_DATA_DIR``      what lasts: the node's first volume
``PITRIX_PYTHON``        a Python interpreter
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from pitrix_agent import actions, config, metadata
from pitrix_agent.config import Config
from pitrix_agent.frames import Frame, Parts
from pitrix_agent.health import HealthCheck
from pitrix_agent.journal import Journal
from pitrix_agent.link import Link
from pitrix_agent.runner import Runner
from pitrix_agent.session import Session

_log = logging.getLogger("pitrix.drone")


class Drone:
    """See the module."""

    def __init__(self, own: Config) -> None:
        self._config = own
        own.app_dir.mkdir(mode=0o755, exist_ok=True)
        own.data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._parts = Parts()
        self._metadata = metadata.MetadataStore(own.home / "metadata.json")
        self._server = metadata.serve(own.address, config.METADATA_PORT, self._metadata)
        self._health = HealthCheck(
            own.home / "health.json",
            own.agent_id,
            own.app_dir,
            emit=self._emit,
            environment=self.environment,
        )
        self._runner = Runner(
            own,
            Journal(own.home / "journal"),
            self._metadata,
            emit=self._emit,
            environment=self.environment,
            actions={
                "write_files": self._in_thread(actions.write_files),
                "install_payload": self._in_thread(actions.install_payload),
                "start_health_check": self._health.start,
                "stop_health_check": self._health.stop,
            },
        )
        self._link = Link(
            own.upstream, on_open=self._on_open, on_close=self._on_close, on_frame=self._on_frame
        )
        self._session = Session(
            own,
            config.own_key(own.home),
            self._link,
            describe=self._describe,
            on_active=self._on_active,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        self._runner.recover()
        self._health.recover()
        house = asyncio.ensure_future(self._runner.keep_house())
        try:
            await self._link.run()
        finally:
            house.cancel()
            self._server.shutdown()

    def environment(self) -> dict[str, str]:
        """Return what commands and checks see: what the machine gives, and where things are."""
        own = self._config
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        inherited.update(
            {
                "PITRIX_METADATA_URL": f"http://{own.address}:{self._server.server_port}",
                "PITRIX_NODE_IP": own.address,
                "PITRIX_NODE_ID": own.node_id,
                "PITRIX_NODE_NAME": own.name,
                "PITRIX_ROLE": own.role,
                "PITRIX_APP_DIR": str(own.app_dir),
                "PITRIX_DATA_DIR": str(own.data_dir),
                "PITRIX_PYTHON": sys.executable,
            }
        )
        return inherited

    # --- the connection ------------------------------------------------------------------------------------

    def _on_open(self) -> None:
        if not self._config.via_frontgate:
            self._session.start()

    def _on_close(self) -> None:
        self._session.stop()

    def _on_active(self) -> None:
        self._runner.resend()
        self._health.report()

    def _describe(self) -> Frame:
        return {"metadata_version": self._metadata.version, "commands": self._runner.known()}

    def _emit(self, frame: Frame) -> bool:
        """Send a frame if Pilot would take it now. What must arrive is sent again by whoever owns it."""
        return self._session.active and self._link.send(frame)

    def _on_frame(self, frame: Frame) -> None:
        kind = frame.get("type")
        if kind == "part":
            whole = self._parts.add(frame)
            if whole is not None:
                self._on_frame(whole)
        elif kind == "link":  # from a frontgate: its own way to Pilot
            if frame.get("up"):
                self._session.start()
            else:
                self._session.stop()
        elif self._session.take(frame):
            pass
        elif kind == "command":
            self._runner.submit(frame["command"])
        elif kind == "ack":
            self._runner.acknowledged(str(frame["command"]))
        elif kind == "cancel":
            self._runner.cancel(str(frame["command"]))
        elif kind == "metadata":
            self._metadata.put(int(frame["version"]), frame["document"])
        else:
            _log.info("ignoring a %s frame: this agent is older than Pilot", kind)

    def _in_thread(self, action: Any) -> Any:
        async def call(payload: dict[str, Any]) -> str:
            done: str = await asyncio.to_thread(action, self._config.app_dir, payload)
            return done

        return call
