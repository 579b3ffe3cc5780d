"""The steps that the state machines of clusters call; each is idempotent by (job, step).

An event is ``{"task": …, "job_id": …}`` and what the task needs; see ``stepfunctions/run_plan.asl.yaml``.
What a step does at a cloud is done in ``functions/clouds``, where that cloud's SDK is.
"""

from __future__ import annotations

from typing import Any

from pitrix import bootstrap
from pitrix.clusters import caught


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Carry out one task; errors keep their class, so that ``Retry`` and ``Catch`` can tell them apart."""
    answer = _TASKS[event["task"]](event)
    return answer if answer is not None else {"job_id": event["job_id"]}


def next_layer(event: dict[str, Any]) -> dict[str, Any]:
    return bootstrap.executor().next_layer(event["job_id"])


def ask_agent(event: dict[str, Any]) -> None:
    bootstrap.executor().ask_agent(event["job_id"], event["step_id"], event["task_token"])


def finish_step(event: dict[str, Any]) -> None:
    bootstrap.executor().finish_step(event["job_id"], event["step_id"], event["result"])


def plan_undo(event: dict[str, Any]) -> None:
    bootstrap.executor().plan_undo(event["job_id"], *caught.reason(event))


def reopen(event: dict[str, Any]) -> dict[str, Any]:
    return {"again": bootstrap.executor().reopen(event["job_id"])}


def finish_job(event: dict[str, Any]) -> None:
    bootstrap.executor().finish_job(event["job_id"])


def fail_job(event: dict[str, Any]) -> None:
    bootstrap.executor().fail_job(event["job_id"], *caught.reason(event))


_TASKS = {
    task.__name__: task
    for task in (
        next_layer,
        ask_agent,
        finish_step,
        plan_undo,
        reopen,
        finish_job,
        fail_job,
    )
}
