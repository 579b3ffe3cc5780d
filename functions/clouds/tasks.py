"""What is done at one cloud, by the only functions that hold its SDK and may read the accounts' credentials.

``template.yaml`` deploys this once a cloud. State machines call it by name for the steps of jobs
(``stepfunctions/run_plan.asl.yaml``), and the runtimes context with questions about an account
(``pitrix.runtimes.aws``). An event is ``{"task": …}`` and what the task needs.
"""

from __future__ import annotations

from typing import Any

from pitrix import bootstrap
from pitrix.clusters import caught
from pitrix.errors import PitrixError, known
from pitrix.runtimes import asking


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Carry out one task; errors are those of ``pitrix.errors``, which ``Retry`` and ``Catch`` know."""
    try:
        return _TASKS[event["task"]](event)
    except PitrixError as error:
        raise known(error) from error


def run_step(event: dict[str, Any]) -> dict[str, Any]:
    return bootstrap.executor().run_step(event["job_id"], event["step_id"])


def fail_step(event: dict[str, Any]) -> dict[str, Any]:
    error, cause = caught.reason(event)
    bootstrap.executor().fail_step(event["job_id"], event["step_id"], error, cause)
    return {"job_id": event["job_id"]}


def answer(event: dict[str, Any]) -> dict[str, Any]:
    return asking.answer(bootstrap.cloud_desk(), event)


_TASKS = {task.__name__: task for task in (run_step, fail_step, answer)}
