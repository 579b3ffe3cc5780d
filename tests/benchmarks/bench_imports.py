"""Cold import of each handler, next to ``import boto3`` in a fresh interpreter of the same run."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.figures import Figure, import_times_s

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 9


def run() -> list[Figure]:
    folders = (str(ROOT / "layers" / "core"), str(ROOT))
    handlers = {
        f"{path.parent.name}/{path.stem}": (f"import {path.stem}", (str(path.parent), *folders))
        for path in sorted((ROOT / "functions").glob("*/*.py"))
        if path.stem in ("app", "tasks", "authorizer", "sweep") or path.stem.startswith("on_")
    }
    times = import_times_s({"boto3": ("import boto3", ()), **handlers}, rounds=ROUNDS)
    reference = times.pop("boto3")
    return [
        Figure(
            name=f"import functions/{name}",
            value=seconds * 1000,
            unit="ms",
            reference_name="import boto3",
            reference=reference * 1000,
            aim="≤ 0.40",
        )
        for name, seconds in times.items()
    ]
