"""About a minute of Hypothesis breaking packages, in every test run; longer: see `tests.fuzz`."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pitrix.errors import PackageInvalid
from pitrix.packages import service
from tests.fuzz import doors, mutations, targets, valid
from tests.fuzz.bounded import ROOT

#: Inputs a target, some six seconds of each on a laptop; on a slower machine what comes later is let through.
EXAMPLES = {
    "archive": 150, "bytes": 1500, "yaml": 2500, "json": 3000,
    "config": 200, "template": 200, "chart": 150, "serverless": 150,
}  # fmt: skip
SECONDS = 7.0


@pytest.mark.parametrize("name", targets.TARGETS)
def test_nothing_that_a_package_holds_breaks_an_invariant(name: str) -> None:
    pieces = st.one_of(st.binary(max_size=30), st.sampled_from([each.encode() for each in mutations.WORDS]))
    started, tried, failed = time.process_time(), 0, False

    @settings(
        max_examples=EXAMPLES[name],
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(pieces, max_size=12).map(b"".join))
    def attempt(data: bytes) -> None:
        nonlocal tried, failed
        if time.process_time() - started > SECONDS and not failed:
            return
        tried += 1
        try:
            targets.run(name, data)
        except BaseException:
            failed = True  # it is made smaller now, however long that takes
            raise

    attempt()
    assert tried > 20


@pytest.mark.parametrize("name", valid.packages())
def test_the_packages_to_be_broken_are_whole(name: str) -> None:
    package = service.open_package(valid.archives()[name])
    assert package.name
    assert [each for each in doors.push(valid.archives()[name], tools=False) if "error" in each] == []


def test_what_breaks_an_invariant_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def lint(source: bytes) -> list[object]:
        raise KeyError("a bug")

    monkeypatch.setattr(service, "lint", lint)
    with pytest.raises(KeyError):
        targets.run("bytes", b"")
    monkeypatch.undo()

    def refuse(data: bytes) -> object:
        raise PackageInvalid("\x1b[2J")

    monkeypatch.setattr(service, "open_package", refuse)
    with pytest.raises(doors.Broken, match="cannot be shown"):
        targets.run("bytes", b"")


def test_the_command_line_tries_an_input_again() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--target", "yaml", "--again", "requirements.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
