"""The steps of ``stepfunctions/aggregate_billing.asl.yaml``: each may run again, at any time.

Owns which step calls what. ``event["step"]`` names the step; answers are small and hold ids, never usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pitrix import bootstrap
from pitrix.billing.requests import Run
from pitrix.clock import parse
from pitrix.http import configure_logging
from pitrix.identity.model import SYSTEM
from pitrix.table import pack, unpack

configure_logging()

_CAUSE_CHARS = 1000


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Run one step and return what the next ones need."""
    return STEPS[event["step"]](event)


def begin(event: Mapping[str, Any]) -> dict[str, Any]:
    """``input`` is the execution's: an hour on demand, or the schedule's own event, which names none."""
    given = event["input"]
    hour = parse(given["hour"], field="hour") if given.get("hour") else None
    return pack(bootstrap.billing().begin_run(SYSTEM, hour, rebuild=bool(given.get("rebuild"))))


def accounts(event: Mapping[str, Any]) -> dict[str, Any]:
    return pack(bootstrap.billing().next_accounts(SYSTEM, unpack(event["run"], Run)))


def close(event: Mapping[str, Any]) -> dict[str, Any]:
    bootstrap.billing().close_account(
        SYSTEM, event["account"], parse(event["hour"]), rebuild=event["rebuild"]
    )
    return {}


def failed(event: Mapping[str, Any]) -> dict[str, Any]:
    reason = f"{event['error']}: {event['cause']}"[:_CAUSE_CHARS]
    bootstrap.billing().note_failure(SYSTEM, event["account"], parse(event["hour"]), reason)
    return {}


def finish(event: Mapping[str, Any]) -> dict[str, Any]:
    return pack(bootstrap.billing().finish_run(SYSTEM, parse(event["hour"])))


STEPS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    step.__name__: step for step in (begin, accounts, close, failed, finish)
}
