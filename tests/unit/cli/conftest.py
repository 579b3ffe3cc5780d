"""A platform in memory and a command line that talks to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pitrix import bootstrap
from pitrix.cli.context import Wiring
from pitrix.cli.main import app
from pitrix.cli.sessions import Sessions
from pitrix.packages import service as packages
from pitrix.table import MemoryTable
from tests.unit.cli.platform import URL, Platform
from tests.unit.console.world import DEMO, PASSWORD, build

GUESTBOOK = DEMO / "guestbook"


@dataclass
class Line:
    """Runs ``pitrix`` with arguments, in this process."""

    platform: Platform
    sessions: Sessions
    interactive: bool = False

    def __call__(self, *args: str, input: str | None = None, url: str = URL) -> Result:
        wiring = Wiring(
            transport=self.platform, sessions=self.sessions, interactive=self.interactive, poll_s=0
        )
        return CliRunner().invoke(app, ["--url", url, *args], obj=wiring, input=input)

    def json(self, *args: str, exit_code: int = 0) -> Any:
        """The JSON that a command prints to standard output; it must end with that code."""
        result = self("--output", "json", *args)
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)

    def sign_in(self, username: str) -> None:
        result = self("login", "--username", username, "--password-stdin", input=PASSWORD + "\n")
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def guestbook() -> bytes:
    return packages.build(GUESTBOOK)


@pytest.fixture
def platform() -> Iterator[Platform]:
    with ExitStack() as stack:
        for context in ("billing", "catalog", "clusters", "repos", "runtimes"):
            # where answers to an Idempotency-Key are kept
            stack.enter_context(bootstrap.override("table", MemoryTable(), context))
        yield Platform(stack.enter_context(build(demo=False).in_place()))


@pytest.fixture
def pitrix(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    for name in ("PITRIX_URL", "PITRIX_TOKEN", "PITRIX_USERNAME", "PITRIX_PASSWORD", "PITRIX_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    return Line(platform=platform, sessions=Sessions(tmp_path / "config"))


@pytest.fixture
def alice(pitrix: Line) -> Line:
    """The command line of a user with the guestbook in the store."""
    pitrix.sign_in("alice")
    return pitrix


@pytest.fixture
def vera(pitrix: Line) -> Line:
    """The command line of a vendor."""
    pitrix.sign_in("vera")
    return pitrix


@pytest.fixture
def store(platform: Platform, guestbook: bytes) -> Platform:
    """The platform with the guestbook in the store."""
    platform.world.push("guestbook-1.0.0", guestbook)
    return platform
