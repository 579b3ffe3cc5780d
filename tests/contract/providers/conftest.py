"""Runs every suite class against every registered provider that offers the class's capability."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import providers
from tests.contract.providers.bench import Bench
from tests.contract.providers.targets import TARGETS, Target


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        capability = getattr(metafunc.cls, "capability", None)
        names = [
            name
            for name in providers.names()
            if capability is None or capability in providers.get(name).capabilities()
        ]
        metafunc.parametrize("target", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if request.param not in TARGETS:
        pytest.fail(f"the provider {request.param!r} is registered, but targets.py has nothing to test it on")
    with TARGETS[request.param](tmp_path_factory.mktemp(request.param)) as target:
        yield target


@pytest.fixture
def bench(target: Target) -> Iterator[Bench]:
    bench = Bench(target)
    yield bench
    bench.sweep()
