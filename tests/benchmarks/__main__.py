"""Run benchmarks and print one table: ``python -m tests.benchmarks [NAME…]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main(wanted: list[str]) -> int:
    """Run the named benchmarks, or all; the exit status is 1 when a name is unknown."""
    names = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    if unknown := set(wanted) - set(names):
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names)}",
            file=sys.stderr,
        )
        return 1
    table = Table("measured", "figure", "unit", "aim", "note")
    console = Console()
    for name in wanted or names:
        with console.status(f"measuring {name}"):
            figures = importlib.import_module(f"tests.benchmarks.bench_{name}").run()
        for figure in figures:
            table.add_row(figure.name, f"{figure.value:,.3g}", figure.unit, figure.aim, figure.note)
        table.add_section()
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
