"""Fixtures for all tests, and the order in which tests run.

`platform` is the whole platform on the local cloud, one for a test run. Everything that uses an emulator runs
in one worker of pytest-xdist (there is one machine under it), and first (it takes longest).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.check import find_browser
from tests.contract.providers import report
from tests.local_platform import DidNotStart, LocalPlatform, start

_BROWSER_FLAGS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE / "e2e"):
            item.add_marker("emulator")
        if item.get_closest_marker("emulator"):
            item.add_marker(pytest.mark.xdist_group("emulator"))
    items.sort(key=_turn)  # stable


def _turn(item: pytest.Item) -> int:
    """What takes longest goes first, so that no worker is left alone with it at the end."""
    group = item.get_closest_marker("xdist_group")
    return {"emulator": 0, "cloud-openstack": 1}.get(group.args[0] if group else "", 2)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    report.summarize(terminalreporter)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """The whole platform, seeded, on a free port and in a directory of its own.

    Set PITRIX_TEST_PLATFORM to a data directory to use the platform that runs there, and leave it running.
    """
    borrowed = os.environ.get("PITRIX_TEST_PLATFORM")
    if borrowed:
        yield LocalPlatform.running(Path(borrowed))
        return
    data = tmp_path_factory.mktemp("platform") / "data"
    try:
        running = start(data)
    except DidNotStart as error:
        logs = "\n".join(f"--- {log}\n{log.read_text()[-2000:]}" for log in sorted(data.glob("logs/*.log")))
        pytest.fail(f"./infra/up did not start:\n{error}\n{logs}", pytrace=False)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium, driven by Playwright. Not having one is a failure, unless PITRIX_NO_BROWSER=1 says
    otherwise.

    One a module and not one a run: while it is open, Playwright's event loop keeps others from running.
    """
    if os.environ.get("PITRIX_NO_BROWSER") == "1":
        pytest.skip("PITRIX_NO_BROWSER=1")
    path = find_browser()
    if path is None:
        pytest.fail(
            "There is no Chromium: install one (apt-get install chromium), name one with PITRIX_CHROMIUM, "
            "or skip these tests with PITRIX_NO_BROWSER=1.",
            pytrace=False,
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_BROWSER_FLAGS)
        yield started
        started.close()
