"""The table at the end of a run: what was proven of which cloud, on what, and what was not, and why.

Called by ``tests/conftest.py``: with several workers only the root's hooks see the whole run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any


def summarize(terminalreporter: Any) -> None:
    """Print the table: provider × capability × target."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, set[str]] = defaultdict(set)
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == "cloud":
                    counts[value][outcome] += 1
                    if outcome == "skipped" and isinstance(report.longrepr, tuple):
                        reasons[value].add(report.longrepr[2].removeprefix("Skipped: "))
    if not counts:
        return
    terminalreporter.section("clouds")
    for value in sorted(counts):
        name, capability, kind = value.split("|")
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts[value].items())
        why = f" ({'; '.join(sorted(reasons[value]))})" if reasons[value] else ""
        terminalreporter.write_line(f"{name:<12}{capability:<17}{kind:<14}{told}{why}")
