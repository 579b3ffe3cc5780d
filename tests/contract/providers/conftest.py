"""Runs every suite class against every registered provider that offers the class's capability.

What each test is about is written down for the table at the end of the run, see ``report.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import providers
from tests.contract.providers import targets
from tests.contract.providers.bench import Bench
from tests.contract.providers.targets import Target, Unavailable


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        capability = getattr(metafunc.cls, "capability", None)
        names = [
            name
            for name in providers.names()
            if capability is None or capability in providers.get(name).capabilities()
        ]
        # One worker runs all tests of a cloud, so that a cloud is started once in a run.
        marked = [pytest.param(name, marks=pytest.mark.xdist_group(f"cloud-{name}")) for name in names]
        metafunc.parametrize("target", marked, indirect=True, scope="session", ids=names)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if request.param not in targets.names():
        pytest.fail(f"the provider {request.param!r} is registered, but there is nothing to test it on")
    with ExitStack() as running:
        try:
            found = running.enter_context(
                targets.start(request.param)(tmp_path_factory.mktemp(request.param))
            )
        except Unavailable as why:
            if os.environ.get("CI"):
                pytest.fail(f"{request.param}: {why}")
            pytest.skip(f"{request.param}: {why}")
        yield found


@pytest.fixture
def bench(request: pytest.FixtureRequest, target: Target) -> Iterator[Bench]:
    capability = getattr(request.cls, "capability", None)
    if capability is not None:
        target.need(capability)
    bench = Bench(target)
    yield bench
    bench.sweep()


@pytest.fixture
def small(request: pytest.FixtureRequest, target: Target) -> Iterator[Bench]:
    """An account that is nearly full."""
    target.need("quota", request.cls.capability)
    bench = Bench(target, target.connect(target.small))
    yield bench
    bench.sweep()


@pytest.fixture(autouse=True)
def _told(request: pytest.FixtureRequest, record_property: Any) -> None:
    """Write down what a test is about, for the table at the end of the run."""
    if "target" in request.fixturenames:
        target: Target = request.getfixturevalue("target")
        capability = getattr(request.cls, "capability", "account")
        record_property("cloud", f"{target.name}|{capability}|{target.kind}")
