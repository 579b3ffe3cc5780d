from __future__ import annotations

from pathlib import Path

import pytest

from pitrix.packages import service as packages
from tests.unit.clusters.world import World

GUESTBOOK = Path(__file__).resolve().parents[3] / "infra" / "demo" / "guestbook"


@pytest.fixture(scope="session")
def guestbook() -> bytes:
    return packages.build(GUESTBOOK)


@pytest.fixture
def world(guestbook: bytes) -> World:
    return World(guestbook)
