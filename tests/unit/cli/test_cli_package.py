"""Packages from a template to the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pysequoia import Tsk

from pitrix.identity.model import SYSTEM
from pitrix.packages import provenance
from pitrix.repos.model import RepoPatch
from tests.unit.cli.conftest import GUESTBOOK, Line
from tests.unit.cli.platform import Platform


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GUESTBOOK, tmp_path / "guestbook"))


@pytest.fixture
def broken(folder: Path) -> Path:
    (folder / "package.json").write_text('{"name": "guestbook",\n "version": "one"}')
    (folder / "config.json").write_text('{"type": "array",\n "properties": [,]}')
    return folder


def test_a_new_package_passes_its_own_check(pitrix: Line, tmp_path: Path) -> None:
    target = tmp_path / "shop"
    made = pitrix.json("package", "create", "shop", "--dir", str(target))
    assert {"package.json", "config.json", "cluster.json.tmpl"} <= set(made["files"])
    assert pitrix.json("package", "lint", str(target)) == {"valid": True, "problems": []}
    result = pitrix("package", "create", "shop", "--dir", str(target))
    assert result.exit_code == 1
    assert "not empty" in result.stderr


def test_a_bad_name_is_refused_with_the_rule(pitrix: Line) -> None:
    result = pitrix("package", "create", "Bad Name")
    assert result.exit_code == 1
    assert "name: must be 1 to 63" in result.stderr


def test_lint_shows_all_problems_at_once_with_file_line_and_cure(pitrix: Line, broken: Path) -> None:
    report = pitrix.json("package", "lint", str(broken), exit_code=1)
    assert {problem["file"] for problem in report["problems"]} >= {"package.json", "config.json"}
    result = pitrix("package", "lint", str(broken))
    assert result.exit_code == 1
    assert any(line.startswith("config.json:2: error: ") for line in result.stdout.splitlines())
    assert "errors" in result.stderr


def test_lint_takes_archives_and_names_what_is_not_there(
    pitrix: Line, tmp_path: Path, guestbook: bytes
) -> None:
    archive = tmp_path / "g.tgz"
    archive.write_bytes(guestbook)
    assert pitrix("package", "lint", str(archive)).exit_code == 0
    archive.write_bytes(guestbook[:200])
    assert pitrix("package", "lint", str(archive)).exit_code == 1
    assert pitrix("package", "lint", str(tmp_path / "none")).exit_code == 2


def test_building_twice_gives_the_same_bytes(pitrix: Line, folder: Path, tmp_path: Path) -> None:
    first = pitrix.json("package", "build", str(folder), "--to", str(tmp_path))
    assert first["file"] == str(tmp_path / f"guestbook-{first['version']}.tgz")
    (folder / "README.md").touch()
    second = pitrix.json("package", "build", str(folder), "--to", str(tmp_path / "b" / "x.tgz"))
    assert second["digest"] == first["digest"]
    assert Path(second["file"]).read_bytes() == Path(first["file"]).read_bytes()


def test_a_broken_package_is_not_built(pitrix: Line, broken: Path, tmp_path: Path) -> None:
    result = pitrix("package", "build", str(broken), "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "config.json" in result.stdout
    assert not list(tmp_path.glob("*.tgz"))


def test_push_ends_when_it_is_in_the_store(vera: Line, folder: Path, platform: Platform) -> None:
    event = vera.json("package", "push", str(folder))
    assert (event["outcome"], event["name"]) == ("indexed", "guestbook")
    result = vera("package", "push", str(folder))
    assert result.exit_code == 0
    assert "nothing changed" in result.stdout
    assert "Uploading guestbook-" in result.stderr
    assert [app["name"] for app in vera.json("apps", "list")["items"]] == ["guestbook"]


def test_push_takes_an_archive(vera: Line, tmp_path: Path, guestbook: bytes) -> None:
    archive = tmp_path / "guestbook-1.0.0.tgz"
    archive.write_bytes(guestbook)
    result = vera("package", "push", str(archive))
    assert result.exit_code == 0
    assert "is in the store as app_" in result.stdout


def test_a_package_that_the_platform_refuses_ends_with_the_reasons(
    vera: Line, tmp_path: Path, guestbook: bytes
) -> None:
    archive = tmp_path / "guestbook-1.0.0.tgz"
    archive.write_bytes(guestbook[: len(guestbook) // 2])
    assert vera("package", "push", str(archive)).exit_code == 1  # found on this machine
    result = vera("package", "push", str(archive), "--no-check")
    assert result.exit_code == 1
    assert result.stdout.startswith("Refused: ")
    event = vera.json("package", "push", str(archive), "--no-check", exit_code=1)
    assert event["outcome"] == "refused"
    assert event["problems"]


def test_nothing_is_uploaded_of_a_broken_package(vera: Line, broken: Path, platform: Platform) -> None:
    platform.requests.clear()
    assert vera("package", "push", str(broken)).exit_code == 1
    assert platform.requests == []


def test_push_need_not_wait_and_does_not_wait_for_ever(vera: Line, folder: Path, platform: Platform) -> None:
    platform.deaf = True
    assert vera.json("package", "push", str(folder), "--no-wait")["uploaded"] is True
    result = vera("package", "push", str(folder), "--timeout", "1")
    assert result.exit_code == 1
    assert "nothing became of it within 1 s" in result.stderr


def test_a_user_may_not_push(alice: Line, folder: Path) -> None:
    result = alice("package", "push", str(folder))
    assert result.exit_code == 3
    assert "may not push" in result.stderr


KEY = Tsk.generate("Vera <vera@example.com>")


@pytest.fixture
def signed(tmp_path: Path, guestbook: bytes) -> Path:
    """An archive with its provenance beside it."""
    archive = tmp_path / "guestbook-1.0.0.tgz"
    archive.write_bytes(guestbook)
    made = provenance.sign(guestbook, archive.name, "name: guestbook\n", key=bytes(KEY))
    Path(f"{archive}.prov").write_bytes(made)
    return archive


def _uploads(platform: Platform) -> list[str]:
    return [line.rpartition("/")[2] for line in platform.requests if line.startswith("PUT ")]


def test_a_signature_goes_up_before_its_archive(vera: Line, signed: Path, platform: Platform) -> None:
    event = vera.json("package", "push", str(signed))
    assert event["outcome"] == "indexed"
    assert _uploads(platform) == ["guestbook-1.0.0.tgz.prov", "guestbook-1.0.0.tgz"]
    assert event["signature"]["status"] == "unknown_key"
    result = vera("package", "push", str(signed))
    assert result.exit_code == 0
    assert "which is not known" in result.stdout
    assert "Ask the repository's owner to add your public key." in result.stdout


def test_the_signer_is_named_where_the_repository_knows_the_key(
    vera: Line, signed: Path, platform: Platform
) -> None:
    patch = RepoPatch(keys=[str(KEY.extract_certificate())], require_signature=True)
    platform.world.repos.edit_repo(SYSTEM, "repo_platform", patch)
    result = vera("package", "push", str(signed), "--no-signature")
    assert result.exit_code == 1
    assert "Refused: This repository takes only packages signed by one of its keys" in result.stdout
    result = vera("package", "push", str(signed))
    assert result.exit_code == 0, result.output
    assert "Signed by Vera <vera@example.com>" in result.stdout


def test_a_signature_of_another_archive_is_found_here(vera: Line, signed: Path, platform: Platform) -> None:
    Path(f"{signed}.prov").write_bytes(provenance.sign(b"other", signed.name, "a: b\n", key=bytes(KEY)))
    platform.requests.clear()
    result = vera("package", "push", str(signed))
    assert result.exit_code == 1
    assert "is not the archive that was signed" in result.stderr
    assert "--no-signature" in result.stderr
    assert platform.requests == []
    assert vera("package", "push", str(signed), "--no-signature").exit_code == 0
    assert _uploads(platform) == ["guestbook-1.0.0.tgz"]
