"""``pitrix apps``: what the store offers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from pitrix.cli import render, repos
from pitrix.cli.api import Api, segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure

app = typer.Typer(no_args_is_help=True, help="Browse the store.")

_COLUMNS = {
    "NAME": lambda a: a["name"],
    "TITLE": lambda a: a["title"],
    "VERSION": lambda a: a["latest_version"],
    "DEPLOYED": lambda a: a["deploy_count"],
    "DESCRIPTION": lambda a: _shortened(a["description"]),
    "ID": lambda a: a["app_id"],
}


class Sort(StrEnum):
    """The order of a list of apps."""

    NEWEST = "newest"
    DEPLOYED = "deployed"
    NAME = "name"


Limit = Annotated[int, typer.Option(min=1, help="Show at most so many.")]


@app.command("list")
def list_apps(
    ctx: typer.Context,
    category: Annotated[str, typer.Option(help="Only of this category (its id).")] = "",
    repo: Annotated[str, typer.Option(help="Only of this repository (its name or id).")] = "",
    mine: Annotated[
        bool, typer.Option("--mine", help="Those of you and yours, private ones too, not the public store.")
    ] = False,
    sort: Annotated[Sort, typer.Option(help="In this order.")] = Sort.NEWEST,
    limit: Limit = 100,
) -> None:
    """List the apps of the store."""
    cli = Cli.of(ctx)
    repo_id = ""
    if repo:
        found = repos.resolve(cli.api, repo)
        repo_id = str(found["repo_id"])
        # What is private is in no store.
        mine = mine or found["visibility"] == "private"
    _show(cli, limit, category=category, repo=repo_id, sort=sort.value, scope="mine" if mine else "")


@app.command()
def search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(help="Words of the name, the title or the description.")],
    mine: Annotated[bool, typer.Option("--mine", help="Among those of you and yours.")] = False,
    limit: Limit = 100,
) -> None:
    """Search the store."""
    _show(Cli.of(ctx), limit, search=" ".join(words), scope="mine" if mine else "")


@app.command()
def show(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="APP", help="Its name or id.")]
) -> None:
    """Show one app and its versions."""
    cli = Cli.of(ctx)
    found = resolve(cli.api, name)
    versions = list(cli.api.items(f"/apps/{segment(found['app_id'])}/versions", at_most=100))

    def as_text() -> None:
        render.as_facts(
            cli.out,
            {
                "name": found["name"],
                "title": found["title"],
                "id": found["app_id"],
                "description": found["description"],
                "type": found["type"],
                "categories": ", ".join(found["categories"]),
                "home": found["home"],
                "deployed": f"{found['deploy_count']} times",
            },
        )
        cli.out.print()
        render.as_table(
            cli.out,
            {
                "VERSION": lambda v: v["name"],
                "STATUS": lambda v: v["status"],
                "RELEASED": lambda v: render.when(v["released_at"]),
                "SIZE": lambda v: render.size(v["size_bytes"]),
                "ID": lambda v: v["version_id"],
            },
            versions,
            empty="It has no versions.",
        )

    cli.result({**found, "versions": versions}, as_text)


def resolve(api: Api, name: str) -> Any:
    """The app of that id or name: of the store, or else of the caller's own, which may be private.

    Raises:
        Failure: There is none, or several of that name.
    """
    if name.startswith("app_"):
        return api.get(f"/apps/{segment(name)}")
    found = list(api.items("/apps", at_most=10, name=name))
    if not found and api.signed_in:
        found = list(api.items("/apps", at_most=10, name=name, scope="mine"))
        # What is left of a repository that was let go has no version any more.
        found = [app for app in found if app["latest_version_id"]] or found
    if not found:
        hint = "See: pitrix apps list, pitrix apps list --mine"
        raise Failure(f"The store has no app named {name!r}.", hint=hint)
    if len(found) > 1:
        ids = ", ".join(app["app_id"] for app in found)
        raise Failure(f"Several apps are named {name!r}.", hint=f"Give the id of one of them: {ids}")
    return found[0]


def _show(cli: Cli, limit: int, **params: str) -> None:
    found = list(cli.api.items("/apps", at_most=limit, **params))
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, _COLUMNS, found, empty="The store has no such apps."),
    )


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59].rstrip() + "…"
