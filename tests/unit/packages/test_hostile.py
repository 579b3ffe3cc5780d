"""Each hostile input is refused with its reason, in bounded time and memory, as HOSTILE.md says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz import bounded, hostile
from tests.fuzz.case import HARMLESS


@pytest.fixture(scope="module")
def server() -> Iterator[bounded.Server]:
    started = bounded.Server()
    yield started
    started.close()


@pytest.mark.parametrize("name", hostile.CASES)
def test_a_hostile_input_is_told_why_in_bounded_time_and_memory(name: str, server: bounded.Server) -> None:
    found = server.push(name)
    assert found["broke"] == ""
    assert found["cpu_s"] < bounded.CPU_S
    assert found["peak_mib"] < bounded.MEMORY_MIB
    assert hostile.CASES[name].told in " ".join(found["told"])
    assert bool(found["told"]) != (name in HARMLESS), found["told"]
    assert hostile.row(name, found["told"]) in hostile.REPORT.read_text().splitlines(), (
        "write it anew: python -m tests.fuzz --report"
    )


def test_the_report_names_every_input_and_no_other() -> None:
    lines = hostile.REPORT.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| Input |", "| --- |"))]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == _in_order()
    assert f"{len(hostile.CASES)} inputs, {len(HARMLESS)} of them harmless" in "\n".join(lines)


def _in_order() -> list[str]:
    groups = dict.fromkeys(case.group for case in hostile.CASES.values())
    return [name for group in groups for name, case in hostile.CASES.items() if case.group == group]
