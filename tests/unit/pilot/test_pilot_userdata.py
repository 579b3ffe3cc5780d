"""The script a machine boots with: whatever is in the configuration, it is data and never shell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pitrix.pilot import userdata

HOSTILE = 'it\'s $(touch pwned) `touch pwned` "$HOME" \\ \nPITRIX_CONFIG\ntouch pwned\n'


def boot(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    script = userdata.script({"bundle_url": url, "name": HOSTILE})
    environment = {
        "PATH": "/usr/bin:/bin",
        "PITRIX_MACHINE_DIR": str(folder),
        "PITRIX_PYTHON": sys.executable,
    }
    return subprocess.run(
        ["/bin/sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A program in the agent's place that shows what it was given."""
    path = tmp_path / "bundle.py"
    path.write_text("import pathlib, sys; print(pathlib.Path(sys.argv[2], 'agent/config.json').read_text())")
    return path


def test_the_configuration_reaches_the_agent_as_it_is(tmp_path: Path, bundle: Path) -> None:
    machine = tmp_path / "machine"
    machine.mkdir()
    done = boot(machine, bundle.as_uri())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == HOSTILE
    assert [path.name for path in machine.iterdir()] == ["agent"]
    assert (machine / "agent" / "config.json").stat().st_mode & 0o077 == 0


def test_a_later_boot_does_without_the_bundle(tmp_path: Path, bundle: Path) -> None:
    machine = tmp_path / "machine"
    machine.mkdir()
    boot(machine, bundle.as_uri())
    bundle.unlink()
    done = boot(machine, bundle.as_uri())
    assert done.returncode == 0
    assert "cannot be fetched" in done.stderr


def test_the_script_is_what_a_strict_shell_takes() -> None:
    script = userdata.script({"bundle_url": "https://bucket.example/agent.pyz?X-Amz-Signature=abc&b=%2F"})
    subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=True)
    assert len(script) < 16 * 1024, "EC2 takes 16 KB of user data"
