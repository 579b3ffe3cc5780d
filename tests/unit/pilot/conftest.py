"""The world that Pilot's unit tests begin with."""

from __future__ import annotations

import pytest

from tests.unit.pilot.fakes import World


@pytest.fixture
def world() -> World:
    return World()
