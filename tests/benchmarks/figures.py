"""What a benchmark measures: `bench_*.py` has a function ``run() -> list[Figure]``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        name: What was measured ("cold import of functions/catalog").
        value: The number, in ``unit``.
        unit: "s", "ms", "1/s", "× import boto3", ….
        aim: What it should be, for people ("≤ 0.4"); empty when there is no aim.
        note: How it was measured, when the name does not say.
    """

    name: str
    value: float
    unit: str
    aim: str = ""
    note: str = ""
