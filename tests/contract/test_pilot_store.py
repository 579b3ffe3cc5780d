"""The life of a command once more, with DynamoDB (moto) in the place of the memory table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from pitrix.table_dynamo import DynamoTable
from tests.contract.test_table import create_dynamo_table
from tests.unit.pilot.fakes import World
from tests.unit.pilot.test_pilot_commands import *  # noqa: F403 - the very tests, on another table


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        create_dynamo_table("pilot")
        yield World(DynamoTable("pilot", region="us-east-1"))
