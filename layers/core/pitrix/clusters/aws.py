"""Clusters' way to Step Functions and SQS.

Owns the names of executions and the form of a usage message. Decides nothing; see ``service.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pitrix.billing.model import UsageEvent
from pitrix.clusters.model import Job, JobKind

#: SQS takes at most ten messages and 256 KB a batch.
_BATCH = 10


class StepFunctionsMachines:
    """:class:`pitrix.clusters.ports.StateMachines` over Step Functions.

    ``arns`` names the state machine of each kind of job; a kind that is not in it runs on ``operate``.
    """

    def __init__(self, connect: Callable[[], Any], arns: Mapping[JobKind, str], operate: str) -> None:
        self._connect = connect
        self._arns = arns
        self._operate = operate

    def start(self, job: Job) -> str:
        client = self._connect()
        # The name makes a second start of the same attempt harmless (within the 90 days that names are kept).
        name = f"{job.job_id}-{job.attempt}"
        arn = self._arns.get(job.kind, self._operate)
        try:
            started = client.start_execution(
                stateMachineArn=arn, name=name, input=json.dumps({"job_id": job.job_id})
            )
        except client.exceptions.ExecutionAlreadyExists:
            return f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
        return str(started["executionArn"])

    def running(self, execution: str) -> bool:
        client = self._connect()
        try:
            found = client.describe_execution(executionArn=execution)
        except client.exceptions.ExecutionDoesNotExist:
            return False
        return bool(found["status"] == "RUNNING")


class SqsMeter:
    """:class:`pitrix.clusters.ports.Meter` over the usage queue."""

    def __init__(self, connect: Callable[[], Any], queue_url: str) -> None:
        self._connect = connect
        self._queue_url = queue_url

    def send(self, events: Sequence[UsageEvent]) -> None:
        for start in range(0, len(events), _BATCH):
            batch = events[start : start + _BATCH]
            answer = self._connect().send_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "MessageBody": msgspec.json.encode(event).decode()}
                    for number, event in enumerate(batch)
                ],
            )
            if answer.get("Failed"):
                raise RuntimeError(f"usage events were refused: {answer['Failed'][0]['Message']}")
