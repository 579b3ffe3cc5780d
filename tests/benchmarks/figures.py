"""The form of a measurement: a figure stands beside a reference that was measured in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table: ``value / reference`` is what can be compared between machines."""

    name: str
    value: float
    unit: str
    reference_name: str
    reference: float
    aim: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.reference


def median_s(run: Callable[[], object], *, times: int) -> float:
    """Return the median duration of ``run`` in seconds."""
    durations = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        durations.append(time.perf_counter() - begun)
    return statistics.median(durations)


def import_times_s(statements: Mapping[str, tuple[str, Sequence[str]]], *, rounds: int) -> dict[str, float]:
    """Return the median time that each import takes in a fresh interpreter, in seconds.

    Args:
        statements: By name, a statement and the folders to be put on the path for it.
        rounds: How often each is measured; the rounds are interleaved, so that a busy moment of the
            machine falls on all of them.
    """
    found: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds):
        for name, (statement, folders) in statements.items():
            code = (
                f"import sys, time; sys.path[:0] = {list(folders)!r}; t = time.perf_counter(); "
                f"{statement}; print(time.perf_counter() - t)"
            )
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            found[name].append(float(done.stdout))
    return {name: statistics.median(times) for name, times in found.items()}
