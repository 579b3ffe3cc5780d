"""``pitrix repo-index``: the index of a directory of charts, made without a platform.

Owns the command line of `pitrix.packages.chart_index`, which does the work.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pitrix.cli.context import Cli
from pitrix.packages import chart_index


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("repo-index")(repo_index)


def repo_index(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Where the .tgz archives are.", file_okay=False)],
    # Not --url: that is the platform's address, wherever it stands on the line.
    base_url: Annotated[str, typer.Option(help="What the addresses of the archives begin with.")] = "",
) -> None:
    """Write index.yaml for a directory of charts, as helm repo index does, several times as fast."""
    cli = Cli.of(ctx)
    target = directory / "index.yaml"
    report = _written(directory, base_url, target)

    def show() -> None:
        for each in report.skipped:
            cli.out.print(f"left out {each.file}: {each.why}", markup=False, soft_wrap=True)
        versions = f"{report.versions} version{'s' * (report.versions != 1)}"
        told = f"{target}: {versions} of {report.charts} chart{'s' * (report.charts != 1)}"
        cli.out.print(told, markup=False, soft_wrap=True)

    cli.result(asdict(report), show)


def _written(directory: Path, url: str, target: Path) -> chart_index.Report:
    """Write beside the old index first: whoever reads it meanwhile finds one that is whole."""
    with tempfile.NamedTemporaryFile(dir=directory if directory.is_dir() else None, delete=False) as into:
        try:
            report = chart_index.build(directory, url, into=into)
            into.flush()
            os.chmod(into.name, 0o644)
            os.replace(into.name, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(into.name)
            raise
    return report
