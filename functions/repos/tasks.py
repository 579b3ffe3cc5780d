"""The steps of ``stepfunctions/sync_repo.asl.yaml``: each may run again, at any time.

Owns which step calls what. ``event["task"]`` names the step; answers hold ids and numbers, never packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pitrix import bootstrap
from pitrix.http import configure_logging

configure_logging()


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Run one step; errors keep their class, so that ``Retry`` and ``Catch`` can tell them apart."""
    return _TASKS[event["task"]](event)


def begin(event: Mapping[str, Any]) -> dict[str, Any]:
    batches = bootstrap.sync_steps().begin(event["repo_id"], event["sync_id"])
    return {"over": batches is None, "batches": batches or []}


def fetch(event: Mapping[str, Any]) -> dict[str, Any]:
    bootstrap.sync_steps().fetch(event["repo_id"], event["sync_id"], event["batch"])
    return {}


def settle(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"batches": bootstrap.sync_steps().settle(event["repo_id"], event["sync_id"])}


def withdraw(event: Mapping[str, Any]) -> dict[str, Any]:
    bootstrap.sync_steps().withdraw(event["repo_id"], event["sync_id"], event["batch"])
    return {}


def finish(event: Mapping[str, Any]) -> dict[str, Any]:
    bootstrap.sync_steps().finish(event["repo_id"], event["sync_id"])
    return {}


def fail(event: Mapping[str, Any]) -> dict[str, Any]:
    found = event.get("error") or {}
    error, cause = str(found.get("Error", "")), str(found.get("Cause", ""))
    bootstrap.sync_steps().fail(event["repo_id"], event["sync_id"], error, cause)
    return {}


_TASKS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    task.__name__: task for task in (begin, fetch, settle, withdraw, finish, fail)
}
