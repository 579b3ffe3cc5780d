"""Being authenticated: the hello that begins every connection, and the pings that show it still holds.

Owns the nonce that ties an answer to its hello, the one-time token, and when to try again. A drone behind a
frontgate may say hello as soon as the frontgate's own link is ``up``; otherwise at once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from pitrix_agent import frames
from pitrix_agent.config import Config
from pitrix_agent.link import Backoff, Link

_log = logging.getLogger("pitrix.session")

#: API Gateway closes a connection on which nothing travelled for ten minutes.
PING_INTERVAL_S = 240.0
#: How long Pilot may take over a hello or a ping: a cold start, a slow emulator.
ANSWER_TIMEOUT_S = 20.0
#: A refusal that only an operator can lift is no reason to knock every second.
REFUSED_RETRY_S = 300.0


class Session:
    """One agent's standing with Pilot over one link."""

    def __init__(
        self,
        config: Config,
        key: str,
        link: Link,
        *,
        describe: Callable[[], dict[str, object]],
        on_active: Callable[[], None],
    ) -> None:
        self._config = config
        self._key = key
        self._link = link
        self._describe = describe
        self._on_active = on_active
        self._nonce = ""
        self._answered = asyncio.Event()
        self._ponged = asyncio.Event()
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None
        self.active = False

    def start(self) -> None:
        """The way to Pilot is open: say hello until welcomed, then keep the connection alive."""
        self.stop()
        self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """The way to Pilot is closed."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.active = False

    def take(self, frame: frames.Frame) -> bool:
        """Handle a frame that is about the session; ``False`` for any other."""
        kind = frame.get("type")
        if kind == "welcome":
            if frame.get("nonce") == self._nonce and not self.active:
                self.active = True
                self._answered.set()
                self._link.backoff.reset()
                self._backoff.reset()
                _log.info("connected")
                self._on_active()
        elif kind == "refused":
            self._refused(frame)
        elif kind == "pong":
            self._ponged.set()
        else:
            return False
        return True

    def _refused(self, frame: frames.Frame) -> None:
        code = str(frame.get("code"))
        if code == "not_authenticated":
            if self.active:  # Pilot lost sight of us: it needs another hello
                self.start()
            return
        if frame.get("nonce") == self._nonce:
            _log.error("Pilot refused: %s: %s", code, frame.get("message"))
            if code in ("unknown_agent", "bad_token", "bad_key"):
                # On a connection of its own Pilot hangs up next; behind a frontgate the link stays.
                self._backoff.hold(REFUSED_RETRY_S)
                self._link.backoff.hold(REFUSED_RETRY_S)
            self._answered.set()

    async def _run(self) -> None:
        while not self.active:
            self._hello()
            try:
                await asyncio.wait_for(self._answered.wait(), ANSWER_TIMEOUT_S)
            except TimeoutError:
                _log.warning("no answer to the hello")
            if not self.active:
                await asyncio.sleep(self._backoff.next_s())
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            self._ponged.clear()
            self._link.send({"type": "ping", "agent": self._config.agent_id})
            try:
                await asyncio.wait_for(self._ponged.wait(), ANSWER_TIMEOUT_S)
            except TimeoutError:
                await self._link.close("a ping got no answer")

    def _hello(self) -> None:
        self._nonce = secrets.token_urlsafe(12)
        self._answered.clear()
        hello = {
            "type": "hello",
            "agent": self._config.agent_id,
            "nonce": self._nonce,
            "protocol": frames.PROTOCOL,
            "key": self._key,
            # Harmless once it has been used: Pilot looks at the key first.
            "token": self._config.token,
            "address": self._config.address,
        }
        hello.update(self._describe())
        self._link.send(hello)
