"""One bundle a session, one platform a test, and loopback addresses that no other test uses."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.agents.harness import Platform, build_bundle, platform

_numbers = itertools.count(2)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def world(tmp_path: Path, bundle: Path) -> Iterator[Platform]:
    with platform(tmp_path, bundle) as made:
        yield made


@pytest.fixture
def address() -> Callable[[], str]:
    """Return a function that gives a fresh address at each call."""

    def fresh() -> str:
        # Apart from 127.80.0.0/16, which is the local cloud's.
        number = next(_numbers)
        found = f"127.90.{number // 250}.{number % 250 + 1}"
        with socket.socket() as probe:
            try:
                probe.bind((found, 0))
            except OSError:
                pytest.skip("this system has one loopback address only")
        return found

    return fresh
