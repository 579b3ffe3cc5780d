"""The file that machines fetch: complete in itself, and the same whenever nothing changed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from infra.agent.build import build


def test_the_same_sources_give_the_same_bytes(tmp_path: Path, bundle: Path) -> None:
    assert build(tmp_path / "again.pyz").read_bytes() == bundle.read_bytes()


def test_it_needs_nothing_but_the_standard_library(bundle: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(bundle)!r})\n"
        "import pitrix_agent.drone, pitrix_agent.frontgate, pitrix_agent.__main__, websockets\n"
        f"assert websockets.__file__.startswith({str(bundle)!r}), websockets.__file__"
    )
    # -I -S: no site-packages, no environment.
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_holds_python_only_and_is_small(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".py", ".pyc"}
    assert bundle.stat().st_size < 500_000


def test_an_agent_without_a_configuration_says_so(tmp_path: Path, bundle: Path) -> None:
    command = [sys.executable, str(bundle), "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "agent/config.json" in done.stderr
    assert "Traceback" not in done.stderr
