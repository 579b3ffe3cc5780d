"""Stores the usage events that arrive on the queue, each message by itself.

What is reported back as failed comes again and, after the queue's last attempt, lands in its dead letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix import bootstrap
from pitrix.http import configure_logging

configure_logging()


def handler(event: Mapping[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Record a batch of the queue; answer which messages are to be kept (ReportBatchItemFailures)."""
    messages = [(record["messageId"], record["body"]) for record in event["Records"]]
    failed = bootstrap.billing().consume(messages)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
