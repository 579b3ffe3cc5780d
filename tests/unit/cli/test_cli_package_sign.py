"""Signing and verifying on a command line: keys, passwords, what is printed, and how it ends."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from pysequoia import Tsk

from pitrix.packages import service as packages
from pitrix.packages.formats.helm import binary as helm_binary
from tests.unit.cli.conftest import Line
from tests.unit.packages.openpgp import secret_key

JANE = Tsk.generate("Jane <jane@example.com>")
BOB = Tsk.generate("Bob <bob@example.com>")
LOCKED = secret_key("Locked <locked@example.com>", password="open sesame")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    for name, key in (("jane", JANE), ("bob", BOB), ("locked", Tsk.from_bytes(LOCKED))):
        (folder / f"{name}.asc").write_text(str(key.extract_certificate()))
        (folder / f"{name}.gpg").write_bytes(bytes(key.extract_certificate()))
    (folder / "jane.secret").write_text(str(JANE))
    (folder / "locked.secret").write_bytes(LOCKED)
    return folder


@pytest.fixture
def archive(tmp_path: Path, guestbook: bytes) -> Path:
    path = tmp_path / "guestbook-1.0.0.tgz"
    path.write_bytes(guestbook)
    return path


def test_what_is_signed_can_be_verified_by_us_and_by_helm(pitrix: Line, archive: Path, keys: Path) -> None:
    result = pitrix("package", "sign", str(archive), "--key", str(keys / "jane.secret"))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"Wrote {archive}.prov."
    assert "Signed by Jane <jane@example.com> with key " in result.stdout
    result = pitrix(
        "package", "verify", str(archive), "--key", str(keys / "bob.asc"), "--key", str(keys / "jane.asc")
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Signed by Jane <jane@example.com> with key ")
    done = helm_binary.run(["verify", str(archive), "--keyring", str(keys / "jane.gpg")])
    assert done.returncode == 0, done.stderr


def test_a_machine_gets_the_same_in_json(pitrix: Line, archive: Path, keys: Path) -> None:
    made = pitrix.json("package", "sign", str(archive), "--key", str(keys / "jane.secret"))
    assert made["file"] == f"{archive}.prov"
    found = pitrix.json("package", "verify", str(archive), "--key", str(keys / "jane.asc"))
    assert found["status"] == "verified"
    assert made["signature"] == {"signer": found["signer"], "fingerprint": found["fingerprint"]}
    found = pitrix.json("package", "verify", str(archive), "--key", str(keys / "bob.asc"), exit_code=1)
    assert found["status"] == "unknown_key"


def test_every_other_answer_ends_with_1_and_its_reason(pitrix: Line, archive: Path, keys: Path) -> None:
    jane = ("--key", str(keys / "jane.asc"))
    result = pitrix("package", "verify", str(archive), *jane)
    assert (result.exit_code, result.stdout) == (1, f"Not signed: there is no {archive}.prov.\n")
    assert pitrix("package", "sign", str(archive), "--key", str(keys / "jane.secret")).exit_code == 0
    result = pitrix("package", "verify", str(archive), "--key", str(keys / "bob.asc"))
    assert result.exit_code == 1
    assert "which is not known: the one key given is another" in result.stdout
    archive.write_bytes(archive.read_bytes() + b"\0")
    result = pitrix("package", "verify", str(archive), *jane)
    assert result.exit_code == 1
    assert "guestbook-1.0.0.tgz is not the archive that was signed" in result.stdout


def test_a_provenance_may_lie_elsewhere(pitrix: Line, archive: Path, keys: Path, tmp_path: Path) -> None:
    assert pitrix("package", "sign", str(archive), "--key", str(keys / "jane.secret")).exit_code == 0
    moved = Path(f"{archive}.prov").rename(tmp_path / "moved")
    options = ("--key", str(keys / "jane.asc"), "--provenance")
    assert pitrix("package", "verify", str(archive), *options, str(moved)).exit_code == 0
    result = pitrix("package", "verify", str(archive), *options, str(tmp_path / "none"))
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_a_password_comes_from_a_variable_or_a_question(
    pitrix: Line, archive: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("package", "sign", str(archive), "--key", str(keys / "locked.secret"))
    result = pitrix(*command)
    assert result.exit_code == 2
    assert "protected by a password" in result.stderr
    assert "--password-env" in result.stderr
    result = pitrix(*command, "--password-env", "NOT_THERE")
    assert result.exit_code == 2
    assert "There is no environment variable NOT_THERE" in result.stderr
    monkeypatch.setenv("KEY_PASSWORD", "open sesame")
    assert pitrix(*command, "--password-env", "KEY_PASSWORD").exit_code == 0
    monkeypatch.setenv("KEY_PASSWORD", "wrong")
    result = pitrix(*command, "--password-env", "KEY_PASSWORD")
    assert result.exit_code == 1
    assert "password: does not open the key" in result.stderr
    asked = replace(pitrix, interactive=True)
    result = asked(*command, input="open sesame\n")
    assert result.exit_code == 0, result.stderr
    assert "open sesame" not in result.output
    assert "Signed by Locked" in result.stdout


def test_keys_that_cannot_be_used_are_named(pitrix: Line, archive: Path, keys: Path) -> None:
    result = pitrix("package", "sign", str(archive))
    assert (result.exit_code, "Give --key FILE" in result.stderr) == (2, True)
    result = pitrix("package", "sign", str(archive), "--key", str(keys / "jane.asc"))
    assert result.exit_code == 1
    assert "key: is a public key" in result.stderr
    result = pitrix("package", "sign", str(archive), "--key", str(keys / "none"))
    assert (result.exit_code, "No such file" in result.stderr) == (2, True)
    result = pitrix(
        "package", "verify", str(archive), "--key", str(keys / "jane.secret"), "--key", str(archive)
    )
    assert result.exit_code == 1
    assert f"{keys / 'jane.secret'}: is a SECRET key" in result.stderr
    assert f"{archive}: is not an OpenPGP public key" in result.stderr
    assert pitrix("package", "verify", str(archive)).exit_code == 2


def test_only_archives_are_signed(pitrix: Line, archive: Path, keys: Path, tmp_path: Path) -> None:
    key = ("--key", str(keys / "jane.secret"))
    result = pitrix("package", "sign", str(tmp_path), *key)
    assert (result.exit_code, "Build it: pitrix package build" in result.stderr) == (2, True)
    assert pitrix("package", "sign", str(tmp_path / "none.tgz"), *key).exit_code == 2
    archive.write_bytes(b"no archive")
    result = pitrix("package", "sign", str(archive), *key)
    assert result.exit_code == 1
    assert "neither a .tgz nor a .zip archive" in result.stderr
    assert not Path(f"{archive}.prov").exists()


@pytest.mark.parametrize("kind", packages.types())
def test_a_build_can_be_signed_at_once(kind: str, pitrix: Line, keys: Path, tmp_path: Path) -> None:
    assert pitrix("package", "create", "web", "--type", kind, "--dir", str(tmp_path / "web")).exit_code == 0
    options = ("--to", str(tmp_path), "--sign", "--key", str(keys / "jane.secret"))
    made = pitrix.json("package", "build", str(tmp_path / "web"), *options)
    assert made["provenance"] == f"{made['file']}.prov"
    assert made["signature"]["signer"] == "Jane <jane@example.com>"
    assert pitrix("package", "verify", made["file"], "--key", str(keys / "jane.asc")).exit_code == 0
    assert "name: web" in Path(made["provenance"]).read_text()
    assert not stat.S_IMODE(Path(made["provenance"]).stat().st_mode) & stat.S_IXUSR
    result = pitrix("package", "build", str(tmp_path / "web"), *options)
    assert "Signed by Jane" in result.stdout


def test_a_machine_learns_of_failures_in_json(pitrix: Line, archive: Path, keys: Path) -> None:
    result = pitrix("--output", "json", "package", "verify", str(archive), "--key", str(keys / "jane.secret"))
    problem = json.loads(result.stderr)
    assert problem["title"] == "These keys cannot be used"
    assert problem["errors"][0]["field"] == str(keys / "jane.secret")
