"""The role of the one machine that goes out: relays between the drones of a network and Pilot.

Owns which drone is behind which connection. It reads of a frame only ``type``, ``agent`` and ``nonce``;
what a drone may do is Pilot's decision. A connection speaks for the one agent whose hello Pilot welcomed on
it (the nonce ties the two), so a machine in the network cannot take over another one's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from pitrix_agent import config, frames
from pitrix_agent.config import Config
from pitrix_agent.frames import Frame
from pitrix_agent.link import Link
from pitrix_agent.session import Session

_log = logging.getLogger("pitrix.frontgate")

#: Messages that wait for a drone which does not read; beyond that it is cut off and comes back.
_OUTBOX = 1_000


class Downlink:
    """The connection of one drone; ``agent_id`` is set once Pilot has welcomed it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.agent_id = ""
        self.nonce = ""
        self._outbox: asyncio.Queue[str] = asyncio.Queue(_OUTBOX)

    def send(self, frame: Frame) -> None:
        try:
            self._outbox.put_nowait(frames.encode(frame))
        except asyncio.QueueFull:
            _log.warning("a drone does not read what is sent to it; cutting it off")
            self.connection.transport.abort()

    async def write(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # whoever reads from it notices
            while True:
                await self.connection.send(await self._outbox.get())


class Frontgate:
    """See the module."""

    def __init__(self, own: Config) -> None:
        self._config = own
        self._port = config.FRONTGATE_PORT
        self._connections: set[Downlink] = set()
        self._greeting: dict[str, Downlink] = {}
        self._routes: dict[str, Downlink] = {}
        self._link = Link(
            own.upstream, on_open=self._on_open, on_close=self._on_close, on_frame=self._on_upstream
        )
        self._session = Session(
            own,
            config.own_key(own.home),
            self._link,
            describe=lambda: {"listens": f"ws://{own.address}:{self._port}"},
            on_active=self._on_active,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        server = await self._listen()
        try:
            await self._link.run()
        finally:
            server.close()

    async def _listen(self) -> Server:
        for port in (config.FRONTGATE_PORT, 0):
            try:
                server = await serve(
                    self._on_drone,
                    self._config.address,
                    port,
                    ping_interval=20,
                    ping_timeout=60,
                    close_timeout=2,
                    max_size=frames.MAX_MESSAGE_BYTES * 2,
                    compression=None,
                )
            except OSError as error:
                # Several frontgates on one address: only on a laptop whose loopback has just one.
                _log.warning("port %d cannot be had (%s)", port, error.strerror)
                continue
            self._port = int(next(iter(server.sockets)).getsockname()[1])
            _log.info("listening on %s:%d", self._config.address, self._port)
            return server
        raise OSError(f"no port can be had on {self._config.address}")

    # --- Pilot's side --------------------------------------------------------------------------------------

    def _on_open(self) -> None:
        self._session.start()

    def _on_close(self) -> None:
        self._session.stop()
        # Pilot knows the drones by the connection that is gone: each must say hello on the next one.
        self._greeting.clear()
        self._routes.clear()
        for down in self._connections:
            down.agent_id = ""
            down.send({"type": "link", "up": False})

    def _on_active(self) -> None:
        for down in self._connections:
            down.send({"type": "link", "up": True})

    def _on_upstream(self, frame: Frame) -> None:
        agent_id = str(frame.get("agent"))
        if agent_id == self._config.agent_id:
            self._session.take(frame)
            return
        kind = frame.get("type")
        down: Downlink | None
        if kind in ("welcome", "refused") and frame.get("nonce"):
            down = self._greeting.pop(str(frame["nonce"]), None)
            if down is not None and kind == "welcome":
                down.agent_id = agent_id
                self._routes[agent_id] = down
        else:
            down = self._routes.get(agent_id)
        if down is not None:
            down.send(frame)

    # --- the drones' side ----------------------------------------------------------------------------------

    async def _on_drone(self, connection: ServerConnection) -> None:
        down = Downlink(connection)
        self._connections.add(down)
        writer = asyncio.ensure_future(down.write())
        if self._session.active:
            down.send({"type": "link", "up": True})
        try:
            async for message in connection:
                for frame in frames.decode(message):
                    self._on_downstream(down, frame)
        except ConnectionClosed:
            pass  # it comes back by itself
        finally:
            writer.cancel()
            self._connections.discard(down)
            self._greeting.pop(down.nonce, None)
            if down.agent_id and self._routes.get(down.agent_id) is down:
                del self._routes[down.agent_id]
                self._link.send({"type": "bye", "agent": down.agent_id})

    def _on_downstream(self, down: Downlink, frame: Frame) -> None:
        if not self._session.active:
            return
        if frame.get("type") == "hello" and frame.get("agent") != self._config.agent_id:
            self._greeting.pop(down.nonce, None)
            down.nonce = str(frame.get("nonce"))
            self._greeting[down.nonce] = down
            self._link.send(frame)
        elif down.agent_id and frame.get("agent") == down.agent_id:
            self._link.send(frame)
