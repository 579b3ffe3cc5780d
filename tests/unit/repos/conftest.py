"""The repositories and the catalog in memory, and put behind the handlers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pitrix import bootstrap
from tests.unit.catalog.kit import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def deployed(world: World) -> Iterator[World]:
    """The world behind the handlers, as `pitrix.bootstrap` would build it."""
    with (
        bootstrap.override("catalog", world.catalog),
        bootstrap.override("repos", world.repos),
        bootstrap.override("table", world.catalog_table, "catalog"),
        bootstrap.override("table", world.repos_table, "repos"),
    ):
        yield world
