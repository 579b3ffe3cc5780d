"""``pitrix package lint``: every problem of a package at once, as text, JSON or SARIF.

Owns the report of a check, which building and publishing print too.  What is a problem is decided by
`pitrix.packages.service`.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pitrix.cli import problems, render
from pitrix.cli.api import installed_version
from pitrix.cli.context import Cli
from pitrix.cli.failure import EXIT_FAILED, WrongUsage
from pitrix.errors import ServiceUnavailable
from pitrix.packages import sarif
from pitrix.packages import service as packages
from pitrix.packages.model import Problem, Severity


class LintFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``pitrix package``."""
    app.command()(lint)


def lint(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory or archive.")] = Path(),
    format: Annotated[
        LintFormat, typer.Option("--format", help="How to print what is found.")
    ] = LintFormat.TEXT,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep/--no-deep",
            help="Also run tools (helm, cfn-lint) and the package's own code. Not for packages of strangers.",
        ),
    ] = True,
) -> None:
    """Check a package: every problem at once, with how to mend it. Ends with 1 if there are errors."""
    cli = Cli.of(ctx)
    found = check(cli, existing(path), deep=deep)
    if format is LintFormat.SARIF:
        log = sarif.report(
            found, path=_from_here(path), archive=path.is_file(), tool_version=installed_version()
        )
        render.as_json(cli.out, log)
    else:
        report(cli, found, machine=format is LintFormat.JSON)
    stop_if_broken(found)


def check(cli: Cli, source: Path | bytes, *, deep: bool) -> list[Problem]:
    """What lint finds; where a tool of the deep check is missing, what it finds without, and a note."""
    if not deep:
        return packages.lint(source)
    try:
        return packages.lint(source, deeply=True)
    except ServiceUnavailable as error:
        cli.note(f"Checked less deeply: {error.detail}")
        return packages.lint(source)


def report(cli: Cli, found: list[Problem], *, machine: bool = False) -> None:
    """Print what lint found."""
    rows = [msgspec.to_builtins(problem) for problem in found]
    if machine or cli.machine:
        render.as_json(cli.out, {"valid": not _errors(found), "problems": rows})
        return
    problems.show(cli.out, rows)
    if rows:
        cli.note(f"{problems.count(rows)}.")


def stop_if_broken(found: list[Problem]) -> None:
    """End the run when there are errors."""
    if _errors(found):
        raise typer.Exit(EXIT_FAILED)


def refuse_broken(cli: Cli, source: Path | bytes) -> None:
    """Check what is to be built or published; a broken package is reported whole and ends the run."""
    found = packages.lint(source)
    if _errors(found):
        report(cli, found)
    stop_if_broken(found)


def existing(path: Path) -> Path:
    """The path, if there is something.

    Raises:
        WrongUsage: There is nothing.
    """
    if not path.exists():
        raise WrongUsage(f"There is no {path}.", hint="Give a package's directory or its .tgz file.")
    return path


def _errors(found: list[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in found)


def _from_here(path: Path) -> str:
    """The path as seen from the working directory, which for a pipeline is the root of the sources."""
    relative = Path(os.path.relpath(path.resolve()))
    return path.resolve().as_posix() if ".." in relative.parts else relative.as_posix()
