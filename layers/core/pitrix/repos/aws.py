"""The repositories' way to Step Functions.

Owns the names of executions and their input. Decides nothing; see ``syncing.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pitrix.repos.model import Sync


class StepFunctionsSyncs:
    """`ports.SyncMachine` over Step Functions."""

    def __init__(self, connect: Callable[[], Any], arn: str) -> None:
        self._connect = connect
        self._arn = arn

    def start(self, sync: Sync) -> None:
        client = self._connect()
        given = json.dumps({"repo_id": sync.repo_id, "sync_id": sync.sync_id})
        try:
            # The name makes a second start harmless (within the 90 days that names are kept).
            client.start_execution(stateMachineArn=self._arn, name=sync.sync_id, input=given)
        except client.exceptions.ExecutionAlreadyExists:
            return
