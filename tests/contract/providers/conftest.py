"""Runs every suite class against every registered provider that offers the class's capability.

At the end of the run a table tells what was proven on what: provider, capability, kind of target, and how
many tests passed, failed or were skipped, and why.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table: provider × capability × target."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, set[str]] = defaultdict(set)
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == "cloud":
                    counts[value][outcome] += 1
                    if outcome == "skipped" and isinstance(report.longrepr, tuple):
                        reasons[value].add(report.longrepr[2].removeprefix("Skipped: "))
    if not counts:
        return
    terminalreporter.section("clouds")
    for value in sorted(counts):
        name, capability, kind = value.split("|")
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts[value].items())
        why = f" ({'; '.join(sorted(reasons[value]))})" if reasons[value] else ""
        terminalreporter.write_line(f"{name:<12}{capability:<17}{kind:<14}{told}{why}")
