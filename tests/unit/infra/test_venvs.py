"""When an environment has to be made or mended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.local import paths, venvs


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.txt").write_text("six==1.17.0\n")
    (tmp_path / "all.txt").write_text("# why\n-r deep/base.txt\nidna==3.20\n")
    return tmp_path / "all.txt"


def test_the_digest_follows_included_files(requirements: Path) -> None:
    before = venvs.digest(requirements)
    assert venvs.digest(requirements) == before
    (requirements.parent / "deep" / "base.txt").write_text("six==1.16.0\n")
    assert venvs.digest(requirements) != before


def test_nothing_is_installed_twice(
    requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []

    def create(venv: Path) -> None:
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").touch()

    monkeypatch.setattr(venvs, "_create", create)
    monkeypatch.setattr(venvs, "install", lambda _python, *arguments, what: calls.append(arguments))
    venv, base = tmp_path / "venv", requirements.parent / "deep" / "base.txt"
    assert venvs.ensure(venv, requirements, base)
    assert not venvs.ensure(venv, requirements, base)
    assert not venvs.ensure(venv, base)  # covered by the larger set
    requirements.write_text("-r deep/base.txt\n")
    assert venvs.ensure(venv, requirements, base)
    assert len(calls) == 2
    # Files of one name in different folders are different files.
    namesake = requirements.parent / "deep" / requirements.name
    namesake.write_text("a==1\n")
    assert venvs.ensure(venv, requirements, namesake)
    assert not venvs.ensure(venv, requirements, namesake)


def test_every_requirement_file_pins_every_package_exactly() -> None:
    files = [
        paths.REQUIREMENTS_TEST,
        paths.REQUIREMENTS_PLATFORM,
        paths.REQUIREMENTS_EMULATOR,
        paths.REQUIREMENTS_LINT,
        paths.CORE_PROJECT / "requirements.txt",
    ]
    for file in files:
        for line in file.read_text().splitlines():
            assert re.fullmatch(r"#.*|-r \S+|[A-Za-z0-9_.-]+==[A-Za-z0-9.+]+(; .*)?", line), f"{file}: {line}"


def test_the_layer_and_the_platform_agree_on_every_version() -> None:
    """What functions import on AWS is what they import here, and what the tests import."""
    everything = venvs.requirement_files(paths.REQUIREMENTS_TEST)
    assert paths.CORE_PROJECT / "requirements.txt" in everything
    pins: dict[str, str] = {}
    for file in everything:
        for line in file.read_text().splitlines():
            if "==" in line:
                name, _, version = line.partition("==")
                assert pins.setdefault(name.lower(), version) == version, f"{file} pins {name} differently"


def test_the_emulator_is_pinned() -> None:
    assert venvs.pin(paths.REQUIREMENTS_EMULATOR, "ministack") == "ministack==1.5.33"
