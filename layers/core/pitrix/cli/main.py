"""The command ``pitrix``: global options, the groups of commands, and the one place where failures end.

Owns the shape of the command line; what a command does is in the module of its group.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pitrix.cli import (
    account,
    apps,
    bill,
    clusters,
    deploy,
    jobs,
    package,
    render,
    repo_index,
    repos,
    runtimes,
)
from pitrix.cli.api import installed_version, normalised
from pitrix.cli.context import Cli, Wiring
from pitrix.cli.failure import EXIT_FAILED, Failure
from pitrix.errors import PitrixError

#: Where ``./infra/up`` puts the platform on a laptop.
DEFAULT_URL = "http://127.0.0.1:4590"

_ANYWHERE = ("--output", "--url")


class OutputFormat(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class _Root(TyperGroup):
    """The root command: takes global options anywhere on the line, and ends a run that failed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Failure, PitrixError) as error:
            found = error if isinstance(error, Failure) else _translated(error)
            cli = ctx.find_root().obj
            machine = isinstance(cli, Cli) and cli.machine
            render.failure(render.console(stderr=True), found, machine=machine)
            raise typer.Exit(found.exit_code) from error


def hoisted(args: list[str]) -> list[str]:
    """The arguments with the global options moved to the front, so that they may stand anywhere."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(args)
    for arg in waiting:
        if arg == "--":
            rest += [arg, *waiting]
        elif arg in _ANYWHERE:
            front += [arg, *([value] if (value := next(waiting, None)) is not None else [])]
        elif arg.startswith(tuple(f"{name}=" for name in _ANYWHERE)):
            front.append(arg)
        else:
            rest.append(arg)
    return front + rest


app = typer.Typer(
    name="pitrix",
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="--output and --url may stand anywhere. Exit codes: 1 failed, 2 wrong usage, "
    "3 not signed in or not allowed, 4 the platform does not answer.",
)
account.register(app)
app.add_typer(package.app, name="package")
app.add_typer(apps.app, name="apps")
deploy.register(app)
app.add_typer(clusters.app, name="clusters")
app.add_typer(jobs.app, name="jobs")
app.add_typer(bill.app, name="bill")
app.add_typer(repos.app, name="repos")
repo_index.register(app)
app.add_typer(runtimes.app, name="runtimes")


def _print_version(asked: bool) -> None:
    if asked:
        render.console().print(f"pitrix {installed_version()}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    output: Annotated[
        OutputFormat, typer.Option(help="How to print results.", envvar="PITRIX_OUTPUT")
    ] = OutputFormat.TABLE,
    url: Annotated[
        str,
        typer.Option(
            help=f"Address of the platform; by default that of the last login, or {DEFAULT_URL}.",
            envvar="PITRIX_URL",
            show_default=False,
        ),
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version.")
    ] = False,
) -> None:
    """Package applications, publish them, run them on any cloud, and read the bill."""
    wiring = ctx.obj if isinstance(ctx.obj, Wiring) else Wiring()
    machine = output is OutputFormat.JSON
    # Set first with what is certain: the rest may fail, and the failure is printed by it.
    ctx.obj = Cli(url=DEFAULT_URL, machine=machine, wiring=wiring, token=os.environ.get("PITRIX_TOKEN"))
    ctx.obj.url = normalised(url or wiring.sessions.current_url() or DEFAULT_URL)


def _translated(error: PitrixError) -> Failure:
    """An error of the domain that was raised on this machine (a broken package, a bad answer)."""
    return Failure(error.detail, errors=error.errors, title=error.title)


def main() -> None:
    """Run the command line; ends the process."""
    try:
        app()
    except Exception as error:
        if os.environ.get("PITRIX_DEBUG"):
            raise
        found = Failure(
            f"{type(error).__name__}: {error}",
            title="This is a mistake in pitrix itself",
            hint="Set PITRIX_DEBUG=1 to see where it happened, and please report it.",
        )
        render.failure(render.console(stderr=True), found, machine=False)
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
