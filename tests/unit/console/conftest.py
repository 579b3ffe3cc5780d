"""The console on a platform in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The function's folder is the root of its imports, as in Lambda.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "functions/console"))

from functions.console.app import app
from tests.unit.console import world as worlds
from tests.unit.console.gateway import Gateway, Visitor


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[worlds.World]:
    for name in ("PUBLIC_URL", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with worlds.build().in_place() as built:
        yield built


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(app)


@pytest.fixture
def visitor(world: worlds.World, gateway: Gateway) -> Visitor:
    """Somebody who did not sign in."""
    return Visitor(gateway)


@pytest.fixture
def alice(visitor: Visitor) -> Visitor:
    """A user of the organisation ``:acme:``, signed in."""
    visitor.sign_in("alice", worlds.PASSWORD)
    return visitor
