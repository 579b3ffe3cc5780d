"""Archives: the same bytes from the same files, whatever the machine; and ones that others can read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import pitrix
from pitrix.packages import service as packages
from pitrix.packages.formats.helm import binary as helm_binary
from tests.unit.cli.conftest import Line

CORE = Path(pitrix.__file__).parents[1]


def _scaffold(
    folder: Path, kind: str, *, backwards: bool = False, mode: int = 0o644, time: int = 10**9
) -> Path:
    """A new package, its files written in another order, with other modes and at another time."""
    for path, data in sorted(packages.scaffold("web", kind).items(), reverse=backwards):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
        os.utime(target, (time, time))
    return folder


def _build_elsewhere(folder: Path, to: Path, **env: str) -> None:
    """Build in a fresh process with another zone, language, umask and order of hashes."""
    code = "import os, sys; os.umask(int(os.environ['UMASK'], 8)); from pitrix.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "package", "build", str(folder), "--to", str(to)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CORE),
            "HOME": str(to.parent),
            "UMASK": "022",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", packages.types())
def test_the_same_files_give_the_same_bytes_anywhere(kind: str, tmp_path: Path) -> None:
    here = _scaffold(tmp_path / "here", kind)
    there = _scaffold(
        tmp_path / "far" / "away" / "other name", kind, backwards=True, mode=0o600, time=1_700_000_000
    )
    _build_elsewhere(here, tmp_path / "a.tgz", TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1")
    _build_elsewhere(
        there, tmp_path / "b.tgz", TZ="Asia/Shanghai", LC_ALL="C.UTF-8", PYTHONHASHSEED="2", UMASK="077"
    )
    assert (tmp_path / "a.tgz").read_bytes() == (tmp_path / "b.tgz").read_bytes()
    with tarfile.open(tmp_path / "a.tgz") as archive:
        members = archive.getmembers()
    assert {(each.uid, each.gid, each.uname, each.mtime) for each in members} == {(0, 0, "", 315532800)}
    assert {each.mode for each in members} <= {0o644, 0o755}


@pytest.mark.parametrize("kind", packages.types())
def test_what_is_built_passes_its_own_check(kind: str, pitrix: Line, tmp_path: Path) -> None:
    assert (
        pitrix.json("package", "create", "web", "--type", kind, "--dir", str(tmp_path / "web"))["type"]
        == kind
    )
    built = pitrix.json("package", "build", str(tmp_path / "web"), "--to", str(tmp_path))
    assert built["file"] == str(tmp_path / f"web-{built['version']}.tgz")
    report = pitrix.json("package", "lint", built["file"])
    assert [each for each in report["problems"] if each["severity"] == "error"] == []


def test_the_real_helm_takes_a_chart_that_was_built(pitrix: Line, tmp_path: Path) -> None:
    folder = _scaffold(tmp_path / "some folder", "helm")
    built = pitrix.json("package", "build", str(folder), "--to", str(tmp_path))["file"]
    with tarfile.open(fileobj=io.BytesIO(Path(built).read_bytes())) as archive:
        assert archive.getnames()[0] == "web/Chart.yaml"
        assert all(name.startswith("web/") for name in archive.getnames())
    shown = helm_binary.run(["show", "chart", built])
    assert (shown.returncode, b"name: web" in shown.stdout) == (0, True), shown.stderr
    rendered = helm_binary.run(["template", "mine", built])
    assert (rendered.returncode, b"kind: Deployment" in rendered.stdout) == (0, True), rendered.stderr


def test_what_helm_ignores_is_not_packed(pitrix: Line, tmp_path: Path) -> None:
    folder = _scaffold(tmp_path / "web", "helm")
    (folder / ".helmignore").write_text("*.pem\n/ci/\n")
    (folder / "ci").mkdir()
    for path in ("server.pem", "ci/values.yaml", "templates/kept.txt"):
        (folder / path).write_text("x")
    built = pitrix.json("package", "build", str(folder), "--to", str(tmp_path / "ours.tgz"))["file"]
    done = helm_binary.run(["package", str(folder), "--destination", str(tmp_path)])
    assert done.returncode == 0, done.stderr
    with tarfile.open(built) as ours, tarfile.open(next(tmp_path.glob("web-*.tgz"))) as helms:
        assert set(ours.getnames()) == set(helms.getnames())


def test_building_signs_when_asked(pitrix: Line, tmp_path: Path) -> None:
    folder = _scaffold(tmp_path / "web", "vm")
    result = pitrix("package", "build", str(folder), "--sign", "--to", str(tmp_path))
    assert result.exit_code == 2
    assert "--sign needs a key" in result.stderr
    assert list(tmp_path.glob("*.tgz")) == []
