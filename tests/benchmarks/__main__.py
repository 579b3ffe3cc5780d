"""Runs benchmarks, all or those named (``imports``), and prints what they measured.

A name may be followed by what that benchmark is to measure: ``charts:100,1000``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Figure


def main(wanted: list[str]) -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    asked = [name.partition(":") for name in wanted or known]
    unknown = sorted({name for name, _, _ in asked} - set(known))
    if unknown:
        console.print(f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(known)}.")
        return 1
    figures: list[Figure] = []
    for name, _, options in asked:
        console.print(f"Measuring {name} …")
        run = importlib.import_module(f"tests.benchmarks.bench_{name}").run
        figures += run(options) if options else run()
    table = Table("what", "measured", "reference", "ratio", "aim")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.value:,.3g} {figure.unit}",
            f"{figure.reference_name}: {figure.reference:,.3g} {figure.unit}",
            f"{figure.ratio:.2f}",
            figure.aim,
        )
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
