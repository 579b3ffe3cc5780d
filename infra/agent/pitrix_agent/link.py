"""One outbound WebSocket, kept open for good.

Owns connecting, reconnecting (exponential back-off with jitter, so that the thousand agents of a platform
that comes back do not all come at once), batching what is sent, and the pings that keep API Gateway from
closing an idle connection. Knows nothing of what travels, and re-sends nothing: ``session`` and the roles
do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from pitrix_agent import frames

_log = logging.getLogger("pitrix.link")

#: Messages for us come in parts below 32 KB, but API Gateway would let 128 KB through.
MAX_INCOMING_BYTES = 256 * 1024
_OPEN_TIMEOUT_S = 15


class Backoff:
    """How long to wait before the next try: 0.2 s, doubling up to ``cap_s``, between half and all of it."""

    def __init__(self, cap_s: float = 20.0) -> None:
        self._cap_s = cap_s
        self._tries = 0
        self._hold_s = 0.0

    def next_s(self) -> float:
        wait_s = max(self._hold_s, min(self._cap_s, 0.2 * 2 ** min(self._tries, 10)))
        self._tries += 1
        self._hold_s = 0.0
        return random.uniform(wait_s / 2, wait_s)  # noqa: S311 - jitter is no secret

    def hold(self, seconds: float) -> None:
        """Wait about so long before the next try: it would be refused again."""
        self._hold_s = seconds

    def reset(self) -> None:
        self._tries = 0


class Link:
    """See the module. ``on_open`` and ``on_close`` tell of each connection, ``on_frame`` of each frame."""

    def __init__(
        self,
        url: str,
        *,
        on_open: Callable[[], None],
        on_close: Callable[[], None],
        on_frame: Callable[[frames.Frame], None],
    ) -> None:
        self._url = url
        self._on_open = on_open
        self._on_close = on_close
        self._on_frame = on_frame
        self._outbox: list[str] = []
        self._has_mail = asyncio.Event()
        self._connection: ClientConnection | None = None
        self.backoff = Backoff()

    def send(self, frame: frames.Frame) -> bool:
        """Queue a frame for the present connection; ``False`` where there is none, and then it is dropped."""
        if self._connection is None:
            return False
        self._outbox.append(frames.encode(frame))
        self._has_mail.set()
        return True

    async def close(self, why: str) -> None:
        """Give this connection up; a new one follows."""
        if self._connection is not None:
            _log.info("giving the connection up: %s", why)
            await self._connection.close()

    async def run(self) -> None:
        """Keep connected until cancelled."""
        while True:
            try:
                await self._connect_once()
                _log.info("the connection ended")
            except (TimeoutError, OSError, WebSocketException) as error:
                _log.info("no connection: %s: %s", type(error).__name__, error)
            await asyncio.sleep(self.backoff.next_s())

    async def _connect_once(self) -> None:
        # A frontgate is a neighbour: the proxy that may lead out of the network does not lead to it.
        proxy: Literal[True] | None = True if self._url.startswith("wss:") else None
        async with connect(
            self._url,
            proxy=proxy,
            open_timeout=_OPEN_TIMEOUT_S,
            ping_interval=20,
            ping_timeout=60,
            close_timeout=2,
            max_size=MAX_INCOMING_BYTES,
            compression=None,
        ) as connection:
            self._connection = connection
            self._outbox.clear()
            writer = asyncio.ensure_future(self._write(connection))
            try:
                self._on_open()
                async for message in connection:
                    for frame in frames.decode(message):
                        self._take(frame)
            finally:
                self._connection = None
                writer.cancel()
                self._on_close()

    def _take(self, frame: frames.Frame) -> None:
        try:
            self._on_frame(frame)
        except Exception:  # one bad frame must not cost the connection
            _log.exception("a %s frame could not be handled", frame.get("type"))

    async def _write(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # whoever reads from it notices
            while True:
                await self._has_mail.wait()
                self._has_mail.clear()
                texts, self._outbox = self._outbox, []
                for message in frames.pack(texts):
                    await connection.send(message)
