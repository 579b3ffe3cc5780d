"""The steps that the state machines of clusters call; each is idempotent by (job, step).

An event is ``{"task": …, "job_id": …}`` and what the task needs; see ``stepfunctions/run_plan.asl.yaml``.
"""

from __future__ import annotations

import json
from typing import Any

from pitrix import bootstrap


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Carry out one task; errors keep their class, so that ``Retry`` and ``Catch`` can tell them apart."""
    answer = _TASKS[event["task"]](event)
    return answer if answer is not None else {"job_id": event["job_id"]}


def next_layer(event: dict[str, Any]) -> dict[str, Any]:
    return bootstrap.executor().next_layer(event["job_id"])


def run_step(event: dict[str, Any]) -> dict[str, Any]:
    return bootstrap.executor().run_step(event["job_id"], event["step_id"])


def ask_agent(event: dict[str, Any]) -> None:
    bootstrap.executor().ask_agent(event["job_id"], event["step_id"], event["task_token"])


def finish_step(event: dict[str, Any]) -> None:
    bootstrap.executor().finish_step(event["job_id"], event["step_id"], event["result"])


def fail_step(event: dict[str, Any]) -> None:
    error, cause = _reason(event)
    bootstrap.executor().fail_step(event["job_id"], event["step_id"], error, cause)


def plan_undo(event: dict[str, Any]) -> None:
    bootstrap.executor().plan_undo(event["job_id"], *_reason(event))


def reopen(event: dict[str, Any]) -> dict[str, Any]:
    return {"again": bootstrap.executor().reopen(event["job_id"])}


def finish_job(event: dict[str, Any]) -> None:
    bootstrap.executor().finish_job(event["job_id"])


def fail_job(event: dict[str, Any]) -> None:
    bootstrap.executor().fail_job(event["job_id"], *_reason(event))


def _reason(event: dict[str, Any]) -> tuple[str, str]:
    """Return (error, cause) of what a Catch put into the event.

    A nested execution that failed is ``States.TaskFailed`` with the whole execution as its cause: what counts
    is the error inside.
    """
    found = event.get("error") or {}
    error, cause = str(found.get("Error", "StepFailed")), str(found.get("Cause", ""))
    try:
        inner = json.loads(cause)
    except ValueError:
        return error, cause
    if isinstance(inner, dict) and "Error" in inner and "errorMessage" not in inner:
        return str(inner["Error"]), str(inner.get("Cause", ""))
    return error, cause


_TASKS = {
    task.__name__: task
    for task in (
        next_layer,
        run_step,
        ask_agent,
        finish_step,
        fail_step,
        plan_undo,
        reopen,
        finish_job,
        fail_job,
    )
}
