"""What happened, told to whoever listens: CloudEvents on the platform's event bus.

Owns the envelope (CloudEvents 1.0) and the port; events are named ``[Resource][PastParticiple]``
(``ClusterCreated``). Nobody waits for a listener, and nothing that must happen hangs on an event alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from pitrix import ids
from pitrix.clock import Clock, rfc3339

SOURCE = "pitrix"

_log = logging.getLogger("pitrix")


class EventBus(Protocol):
    """Where events are published."""

    def publish(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        """Publish that ``type`` (``AppVersionPublished``) happened to the thing ``subject`` (an id)."""
        ...


def announce(bus: EventBus, type: str, subject: str, data: Mapping[str, Any]) -> None:
    """Publish what is stored already; a bus that fails changes nothing.

    To fail after the fact would make a caller, a notification or a state machine do it all again.
    """
    try:
        bus.publish(type, subject, data)
    except Exception:
        _log.exception("event %s of %s was not published", type, subject)


class NullBus:
    """A bus that nobody listens to."""

    def publish(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        return None


class EventBridgeBus:
    """The event bus of the account that the platform runs in."""

    def __init__(self, client: Any, name: str, clock: Clock) -> None:
        self._client = client
        self._name = name
        self._clock = clock

    def publish(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        now = self._clock.now()
        event = {
            "specversion": "1.0",
            "id": ids.new("ce"),
            "source": SOURCE,
            "type": type,
            "subject": subject,
            "time": rfc3339(now),
            "datacontenttype": "application/json",
            "data": dict(data),
        }
        entry = {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": type,
            "Detail": json.dumps(event),
            "Time": now,
        }
        answer = self._client.put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            failed = answer["Entries"][0]
            raise RuntimeError(f"event {type} was refused: {failed['ErrorCode']} {failed['ErrorMessage']}")
