"""``pitrix runtimes``: the cloud accounts that applications run in.

Owns the commands of runtimes; what a cloud wants to know is asked in `connecting.py`, by the form that its
provider publishes.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pitrix.cli import connecting, render
from pitrix.cli.api import Api, segment
from pitrix.cli.clusters import pairs
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure, WrongUsage

app = typer.Typer(no_args_is_help=True, help="Connect clouds that applications can run on.")

Name = Annotated[str, typer.Argument(metavar="RUNTIME", help="Its name or id.")]
Credential = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="What the cloud asks; repeat. @FILE reads a file, and $NAME a variable, where secrets belong.",
        metavar="FIELD=VALUE",
    ),
]
Way = Annotated[str | None, typer.Option(help="The way to sign in, where the cloud has several.")]
Zone = Annotated[
    str | None, typer.Option(help="Where to run applications; the account's default if left out.")
]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Public = Annotated[bool | None, typer.Option("--public/--private", help="Who may deploy to it.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="Repeat.", metavar="KEY=VALUE")]


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


@app.command()
def providers(ctx: typer.Context) -> None:
    """List the clouds that can be connected, and what each offers."""
    cli = Cli.of(ctx)
    found = list(cli.api.items("/providers"))
    columns = {
        "PROVIDER": lambda p: p["name"],
        "CLOUD": lambda p: p["title"],
        "WAYS": lambda p: ", ".join(connecting.ways(p)) or "-",
        "OFFERS": lambda p: ", ".join(each.replace("_", " ") for each in p["capabilities"]),
    }
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="There are no clouds."),
    )


@app.command()
def connect(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    provider: Annotated[str | None, typer.Option(help="The cloud; see: pitrix runtimes providers")] = None,
    way: Way = None,
    settings: Credential = None,
    zone: Zone = None,
    description: Description = None,
    public: Public = None,
    label: Labels = None,
) -> None:
    """Connect a cloud account. What is not given is asked for; the cloud is asked before anything is kept."""
    cli = Cli.of(ctx)
    cloud = connecting.choose_provider(cli, provider)
    credential = connecting.credential(cli, cloud, way, pairs(settings or [], "--set"))
    tried = {"provider": cloud["name"], "credential": credential} | ({"zone": zone} if zone else {})
    with cli.waiting("Asking the cloud"):
        checked = cli.api.post("/runtimes/validate", tried)
    chosen = zone or connecting.choose_zone(cli, checked)
    body = {**tried, "name": name, "zone": chosen, **_described(description, public, label)}
    with cli.waiting("Connecting"):
        runtime = cli.api.post("/runtimes", body)
    cli.result(runtime, lambda: _show(cli, runtime))


@app.command()
def check(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="The cloud; see: pitrix runtimes providers")] = None,
    way: Way = None,
    settings: Credential = None,
    zone: Zone = None,
) -> None:
    """Ask a cloud whether it accepts a credential, and keep nothing."""
    cli = Cli.of(ctx)
    cloud = connecting.choose_provider(cli, provider)
    credential = connecting.credential(cli, cloud, way, pairs(settings or [], "--set"))
    body = {"provider": cloud["name"], "credential": credential} | ({"zone": zone} if zone else {})
    with cli.waiting("Asking the cloud"):
        checked = cli.api.post("/runtimes/validate", body)
    zones = ", ".join(each["zone"] for each in checked["zones"])
    cli.result(checked, lambda: cli.note(f"{cloud['title']} accepts it. Zones: {zones}"))


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show one runtime."""
    cli = Cli.of(ctx)
    runtime = _one(cli.api, name)
    cli.result(runtime, lambda: _show(cli, runtime))


@app.command()
def edit(
    ctx: typer.Context,
    name: Name,
    rename: Annotated[str | None, typer.Option(help="A new name.")] = None,
    new_credential: Annotated[bool, typer.Option("--credential", help="Replace the credential.")] = False,
    way: Way = None,
    settings: Credential = None,
    zone: Zone = None,
    description: Description = None,
    public: Public = None,
    label: Labels = None,
) -> None:
    """Change a runtime; a new zone or credential is tried first."""
    cli = Cli.of(ctx)
    runtime = _one(cli.api, name)
    patch: dict[str, Any] = _described(description, public, label)
    patch |= {key: value for key, value in (("name", rename), ("zone", zone)) if value is not None}
    if new_credential or settings:
        cloud = cli.api.get(f"/providers/{segment(runtime['provider'])}")
        patch["credential"] = connecting.credential(cli, cloud, way, pairs(settings or [], "--set"))
    if not patch:
        raise WrongUsage("There is nothing to change.", hint="See: pitrix runtimes edit --help")
    changed = cli.api.patch(f"/runtimes/{runtime['runtime_id']}", patch)
    cli.result(changed, lambda: _show(cli, changed))


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let an account go and destroy its credential; nothing in the account is touched."""
    cli = Cli.of(ctx)
    runtime = _one(cli.api, name)
    if not yes:
        if not cli.interactive:
            raise WrongUsage(f"Nobody can be asked whether to delete {runtime['name']!r}.", hint="Add --yes.")
        typer.confirm(f"Delete the runtime {runtime['name']!r} and its credential?", abort=True, err=True)
    cli.api.delete(f"/runtimes/{runtime['runtime_id']}")
    cli.result({"deleted": runtime["runtime_id"]}, lambda: cli.note(f"Deleted {runtime['name']}."))


@app.command()
def zones(ctx: typer.Context, name: Name) -> None:
    """List the zones of the account."""
    _list(ctx, name, "zones", {"ZONE": "zone", "NAME": "title"})


@app.command("machine-types")
def machine_types(ctx: typer.Context, name: Name) -> None:
    """List the machine sizes in the runtime's zone."""
    fields = {"TYPE": "machine_type", "CPU": "cpu", "MEMORY MiB": "memory_mib", "GPU": "gpu"}
    _list(ctx, name, "machine-types", fields)


@app.command()
def subnets(ctx: typer.Context, name: Name) -> None:
    """List the networks in the account."""
    _list(ctx, name, "subnets", {"NAME": "name", "RANGE": "cidr", "ID": "network_id"})


@app.command()
def images(ctx: typer.Context, name: Name) -> None:
    """List what machines may boot from, the default first."""
    _list(ctx, name, "images", {"NAME": "name", "ID": "image_id"})


@app.command()
def quotas(ctx: typer.Context, name: Name) -> None:
    """List the account's limits on machines, and what is used of them."""
    _list(ctx, name, "quotas", {"QUOTA": "name", "USED": "used", "LIMIT": "limit", "UNIT": "unit"})


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


def _one(api: Api, name: str) -> Any:
    found = resolve(api, name)
    if len(found) > 1:
        ids = ", ".join(each["runtime_id"] for each in found)
        raise Failure(f"There are {len(found)} runtimes named {name!r}: {ids}.", hint="Give the id.")
    return found[0]


def _list(ctx: typer.Context, name: str, what: str, fields: dict[str, str]) -> None:
    cli = Cli.of(ctx)
    found = list(cli.api.items(f"/runtimes/{_one(cli.api, name)['runtime_id']}/{what}"))
    columns = {title: lambda each, key=key: _shown(each[key]) for title, key in fields.items()}
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="There are none."),
    )


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _described(description: str | None, public: bool | None, labels: list[str] | None) -> dict[str, Any]:
    given: dict[str, Any] = {} if description is None else {"description": description}
    if public is not None:
        given["visibility"] = "public" if public else "private"
    return given | ({} if labels is None else {"labels": pairs(labels, "--label")})


def _show(cli: Cli, runtime: dict[str, Any]) -> None:
    names = {"Name": "name", "Provider": "provider", "Zone": "zone", "Status": "status", "Id": "runtime_id"}
    facts = {title: runtime[key] for title, key in names.items()}
    facts["May be used by"] = "everybody" if runtime["visibility"] == "public" else "its owner"
    if runtime["description"]:
        facts["Description"] = runtime["description"]
    if runtime["labels"]:
        facts["Labels"] = ", ".join(f"{key}={value}" for key, value in runtime["labels"].items())
    render.as_facts(cli.out, facts)
