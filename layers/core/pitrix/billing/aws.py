"""Billing's way to Step Functions.

Owns one call. The client is made on first use. Next: ``stepfunctions/aggregate_billing.asl.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pitrix.clock import rfc3339


class StepFunctionsAggregation:
    """:class:`pitrix.billing.ports.Aggregation` over the state machine ``aggregate_billing``."""

    def __init__(self, connect: Callable[[], Any], machine_arn: str) -> None:
        self._connect = connect
        self._machine_arn = machine_arn

    def start(self, hour: datetime, *, rebuild: bool) -> str:
        given = json.dumps({"hour": rfc3339(hour), "rebuild": rebuild})
        answer = self._connect().start_execution(stateMachineArn=self._machine_arn, input=given)
        return str(answer["executionArn"]).rpartition(":")[2]
