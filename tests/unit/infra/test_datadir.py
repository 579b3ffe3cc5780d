"""Who may use a data directory, and what it remembers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.datadir import FORMAT, DataDir, read_json, write_private
from infra.local.processes import identify
from infra.local.progress import UserError

PIN = "ministack==1.5.33"


@pytest.fixture
def open_dir() -> Iterator[Callable[[Path], DataDir]]:
    """Opens data directories and lets go of them at the end of the test."""
    opened: list[DataDir] = []

    def opener(path: Path) -> DataDir:
        opened.append(DataDir(path))
        return opened[-1]

    yield opener
    for data in opened:
        data.release()


def test_a_new_directory_is_made_for_its_owner_alone(
    tmp_path: Path, open_dir: Callable[[Path], DataDir]
) -> None:
    data = open_dir(tmp_path / "new" / "data")
    data.claim(emulator=PIN)
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700
    assert data.is_ours


def test_a_claimed_directory_is_refused_and_says_who_has_it(
    tmp_path: Path, open_dir: Callable[[Path], DataDir]
) -> None:
    holder = open_dir(tmp_path)
    holder.claim(emulator=PIN)
    holder.record(port=4590, supervisor=identify(os.getpid()))
    for attempt in (open_dir(tmp_path).check, open_dir(tmp_path).claim):
        with pytest.raises(UserError, match=f"port 4590.*process {os.getpid()}.*--stop"):
            attempt(emulator=PIN)
    with pytest.raises(UserError, match="already runs"):
        open_dir(tmp_path).check(emulator=PIN, reset=True)


def test_the_claim_ends_with_the_process_that_made_it(
    tmp_path: Path, open_dir: Callable[[Path], DataDir]
) -> None:
    claim = "import sys; from pathlib import Path; from infra.local.datadir import DataDir;"
    claim += f"d = DataDir(Path(sys.argv[1])); d.claim(emulator={PIN!r}); print(d.is_claimed(), flush=True);"
    claim += "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    held = subprocess.run(
        [sys.executable, "-c", claim, tmp_path], capture_output=True, text=True, check=False
    )
    assert held.stdout.strip() == "True"
    assert not open_dir(tmp_path).is_claimed()
    open_dir(tmp_path).claim(emulator=PIN)


@pytest.mark.parametrize(
    "made_by", [{"format": FORMAT + 1, "emulator": PIN}, {"format": FORMAT, "emulator": "ministack==9"}, {}]
)
def test_a_directory_of_another_version_is_refused_and_reset_makes_it_usable(
    tmp_path: Path, open_dir: Callable[[Path], DataDir], made_by: dict[str, object]
) -> None:
    (tmp_path / "version.json").write_text(json.dumps(made_by))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "old.json").write_text("{}")
    for attempt in (open_dir(tmp_path).check, open_dir(tmp_path).claim):
        with pytest.raises(UserError, match=r"another version.*--reset"):
            attempt(emulator=PIN)
    assert (tmp_path / "state" / "old.json").exists()
    data = open_dir(tmp_path)
    data.check(emulator=PIN, reset=True)
    data.claim(emulator=PIN, reset=True)
    assert not (tmp_path / "state" / "old.json").exists()


def test_somebody_elses_directory_is_never_emptied(
    tmp_path: Path, open_dir: Callable[[Path], DataDir]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not made by Pitrix"):
        open_dir(tmp_path).claim(emulator=PIN, reset=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a directory"):
        DataDir(tmp_path / "file").check(emulator=PIN)


def test_only_processes_that_still_are_what_they_were_count_as_left_over(
    tmp_path: Path, open_dir: Callable[[Path], DataDir]
) -> None:
    data = open_dir(tmp_path)
    data.claim(emulator=PIN)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        identity = identify(sleeper.pid)
        assert identity is not None
        reused = type(identity)(pid=sleeper.pid, started="some other time")
        data.record(emulator=identity, hypervisor=reused, supervisor=identify(os.getpid()), port=1)
        assert data.leftovers() == [identity]
    finally:
        sleeper.kill()
        sleeper.wait()
    assert data.leftovers() == []


def test_what_is_kept_stays_the_same_and_is_for_the_owner_alone(
    tmp_path: Path, open_dir: Callable[[Path], DataDir]
) -> None:
    data = open_dir(tmp_path)
    data.claim(emulator=PIN)
    token = data.secret("control")
    assert open_dir(tmp_path).secret("control") == token
    assert data.secret("other") != token
    assert data.keep("port", "1") == "1"
    assert data.keep("port", "2") == "1"
    assert data.keep("port", "2", anew=True) == "2"
    assert stat.S_IMODE((tmp_path / "kept.json").stat().st_mode) == 0o600


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    path.write_text("{broken")
    assert read_json(path, "default") == "default"
    write_private(path, [1])
    assert read_json(path, None) == [1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["logins.json"]
