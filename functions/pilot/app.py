"""The WebSocket channel: hands what API Gateway reports about connections to the Pilot service.

Transport only. A plain handler, because Chalice would add nothing to three event types but its import time. A
connection is open to anyone, yet nothing on it counts before a valid hello; see ``pitrix.pilot.service``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix import bootstrap

OK = {"statusCode": 200}


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Handle ``$connect``, ``$disconnect`` and every message (route ``$default``)."""
    request = event["requestContext"]
    # Not by routeKey: whoever sends a message chooses that.
    if request["eventType"] == "MESSAGE":
        bootstrap.pilot().on_message(request["connectionId"], event.get("body") or "")
    elif request["eventType"] == "DISCONNECT":
        bootstrap.pilot().on_disconnect(request["connectionId"])
    return OK
