"""The linter and the type checker find nothing, with the very configuration that editors use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--no-cache", "--quiet", "."), ("mypy", "--no-incremental")],
    ids=lambda command: command[0],
)
def test_nothing_to_complain_about(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
