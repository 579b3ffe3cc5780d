"""Every hostile input that is tried, by name, and what it is told.

Owns the table: `CASES` is put together from `hostile_archives`, `hostile_files`, `hostile_templates` and
`hostile_charts`, one line an input.  What each was told in full is in HOSTILE.md, which
``python -m tests.fuzz --report`` writes and tests/unit/packages/test_hostile.py holds to be fresh.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz import hostile_archives, hostile_charts, hostile_files, hostile_templates
from tests.fuzz.case import HARMLESS, Case

REPORT = Path(__file__).with_name("HOSTILE.md")
_HEAD = """# Hostile packages, and what each was told

{count} inputs, {silent} of them harmless for a reason that is given. Each goes through the real doors
(`pitrix.packages.service`: `lint`, `open_package`, `form`, `complete_answers`, `render`, `manifests`) in a
process of its own, within {cpu:g} s of processor time and {memory} MiB of memory, interpreter included.

Written by `python -m tests.fuzz --report`; `tests/unit/packages/test_hostile.py` fails when it is not fresh.
"""


def _table() -> dict[str, Case]:
    parts = (hostile_archives.CASES, hostile_files.CASES, hostile_templates.CASES, hostile_charts.CASES)
    made = {name: case for part in parts for name, case in part.items()}
    assert len(made) == sum(map(len, parts)), "two inputs have one name"
    return made


CASES: dict[str, Case] = _table()


def report(told: dict[str, list[str]]) -> str:
    """HOSTILE.md of what each input was told."""
    from tests.fuzz.bounded import CPU_S, MEMORY_MIB

    lines = [_HEAD.format(count=len(CASES), silent=len(HARMLESS), cpu=CPU_S, memory=MEMORY_MIB)]
    for group in dict.fromkeys(case.group for case in CASES.values()):
        lines += [f"\n## {group}\n", "| Input | What it was told |", "| --- | --- |"]
        lines += [row(name, told[name]) for name, case in CASES.items() if case.group == group]
    return "\n".join(lines) + "\n"


_STOPPED = re.compile(r"helm was stopped: it (?:needs more than \d+ MiB of memory|took longer than \d+ s)")


def row(name: str, told: list[str]) -> str:
    """The line of one input; of one that was told nothing, why that is well."""
    told = told or [f"nothing, it is harmless: {HARMLESS[name]}"]
    # Which limit a busy machine meets first is chance.
    told = [_STOPPED.sub("helm was stopped: it took too long, or too much memory", each) for each in told]
    shown = " <br> ".join(each if len(each) <= 400 else f"{each[:400]}…" for each in told)
    for mark in ("\\", "|", "<", "`", "*", "_"):
        if mark != "<":
            shown = shown.replace(mark, f"\\{mark}")
    return f"| {name} | {shown.replace('<', '&lt;').replace('&lt;br>', '<br>')} |"
