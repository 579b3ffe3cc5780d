"""The runtimes in memory, and put behind the handler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pitrix import bootstrap
from tests.unit.runtimes.paper import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def deployed(world: World) -> Iterator[World]:
    """The world behind the handler, as ``pitrix.bootstrap`` would build it."""
    with (
        bootstrap.override("runtimes", world.runtimes),
        bootstrap.override("table", world.table, "runtimes"),
    ):
        yield world
