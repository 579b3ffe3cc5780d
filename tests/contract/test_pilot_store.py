"""The life of a command once more, with DynamoDB (moto) in the place of the memory table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dynamo import dynamo_table
from tests.unit.pilot.fakes import World
from tests.unit.pilot.test_pilot_commands import *  # noqa: F403 - the very tests, on another table


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with dynamo_table("pilot", monkeypatch) as table:
        yield World(table)
