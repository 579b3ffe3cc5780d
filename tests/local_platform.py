"""Starts and stops platforms for tests, by the same command that people use.

Owns no fixture (see `conftest.py`); never reaches into a running platform except through its addresses and
files.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.paths import ROOT
from infra.local.processes import free_port

UP = ROOT / "infra" / "up"
_START_WITHIN_S = 180
_STOP_WITHIN_S = 90


class DidNotStart(Exception):
    """`infra/up` ended with an error; the text is what it printed."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """A seeded account."""

    role: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class LocalPlatform:
    """A platform that runs on this machine, in processes of its own."""

    data: Path
    port: int
    output: str
    logins: dict[str, Login]
    """Seeded accounts by role: operator, vendor, developer, user."""

    @classmethod
    def running(cls, data: Path) -> LocalPlatform:
        """The platform that runs in a data directory."""
        port = json.loads((data / "run.json").read_text())["port"]
        return cls(data=data, port=port, output="", logins=_logins(data))

    @property
    def console_url(self) -> str:
        """Where the console answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """Where the API answers: ``…/v1``."""
        return f"{self.console_url}/v1"

    @property
    def passwords(self) -> dict[str, str]:
        """Passwords of the seeded accounts by username."""
        return {login.username: login.password for login in self.logins.values()}

    def log(self, function: str) -> str:
        """What a function printed, by the beginning of its name in template.yaml."""
        return "".join(path.read_text() for path in (self.data / "logs").glob(f"*{function}*.log"))

    def stop(self) -> str:
        """Stop it, keep its data, return what `infra/up` printed."""
        return up("--stop", "--data", str(self.data), timeout_s=_STOP_WITHIN_S).stdout


def start(
    data: Path, *, port: int | None = None, template: Path | None = None, options: Sequence[str] = ()
) -> LocalPlatform:
    """Start a platform, with further ``options`` of ``infra/up``, and wait until it is ready.

    Raises:
        DidNotStart: With everything `infra/up` printed.
    """
    port = port or free_port()
    # Tests serve repositories of their own on the loopback.
    arguments = ["--detach", "--data", str(data), "--port", str(port), "--allow-network", "127.0.0.0/8"]
    if template is not None:
        arguments += ["--template", str(template)]
    done = up(*arguments, *options, timeout_s=_START_WITHIN_S)
    if done.returncode:
        raise DidNotStart(done.stdout)
    return LocalPlatform(data=data, port=port, output=done.stdout, logins=_logins(data))


def _logins(data: Path) -> dict[str, Login]:
    file = data / "logins.json"
    found = json.loads(file.read_text()) if file.exists() else []  # a template of a test's own seeds nobody
    return {login["role"]: Login(**login) for login in found}


def up(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `infra/up`; standard error is part of its ``stdout``."""
    return subprocess.run(
        [UP, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
