"""``pitrix runtimes``: the clouds that were connected."""

from __future__ import annotations

from typing import Any

import typer

from pitrix.cli import render
from pitrix.cli.api import Api, segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure

app = typer.Typer(no_args_is_help=True, help="See the clouds that applications can run on.")


@app.command("list")
def list_runtimes(ctx: typer.Context) -> None:
    """List your runtimes."""
    cli = Cli.of(ctx)
    found = list(cli.api.items("/runtimes"))
    columns = {
        "NAME": lambda r: r["name"],
        "PROVIDER": lambda r: r["provider"],
        "ZONE": lambda r: r["zone"],
        "STATUS": lambda r: r["status"],
        "ID": lambda r: r["runtime_id"],
    }
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="No cloud is connected yet."),
    )


def resolve(api: Api, name: str | None) -> list[Any]:
    """The runtimes that ``name`` (an id or a name) can mean; all of them if it is None.

    Raises:
        Failure: There is none.
    """
    if name is not None and name.startswith("rt_"):
        return [api.get(f"/runtimes/{segment(name)}")]
    found = [runtime for runtime in api.items("/runtimes") if name is None or runtime["name"] == name]
    if not found:
        what = "No cloud is connected yet." if name is None else f"There is no runtime {name!r}."
        raise Failure(what, hint="See: pitrix runtimes list")
    return found
