"""``pitrix clusters``: the applications that were deployed, and what can be done with them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pitrix.billing.model import format_money
from pitrix.cli import jobs, render
from pitrix.cli.api import Api, segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure, WrongUsage
from pitrix.errors import FieldError

app = typer.Typer(no_args_is_help=True, help="See and operate what was deployed.")

Name = Annotated[str, typer.Argument(metavar="CLUSTER", help="Its name or id.")]
Wait = Annotated[bool, typer.Option(help="Wait until it is done.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


@app.command("list")
def list_clusters(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are gone.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Look at most at so many.")] = 200,
) -> None:
    """List your clusters, newest first."""
    cli = Cli.of(ctx)
    found = [c for c in cli.api.items("/clusters", at_most=limit) if everything or c["status"] != "ceased"]
    columns = {
        "NAME": lambda c: c["name"],
        "APP": lambda c: f"{c['app_name']} {c['version']}",
        "STATUS": state,
        "NODES": _nodes,
        "AN HOUR": lambda c: format_money(c["micros_per_hour"], c["currency"]),
        "CREATED": lambda c: render.when(c["created_at"]),
        "ID": lambda c: c["cluster_id"],
    }
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="You have no clusters."),
    )


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show one cluster."""
    cli = Cli.of(ctx)
    cluster = resolve(cli.api, name)

    def as_text() -> None:
        render.as_facts(
            cli.out,
            {
                "name": cluster["name"],
                "id": cluster["cluster_id"],
                "description": cluster["description"],
                "app": f"{cluster['app_name']} {cluster['version']}",
                "runtime": cluster["runtime_id"],
                "status": state(cluster),
                "job": cluster["job_id"],
                "price": f"{format_money(cluster['micros_per_hour'], cluster['currency'])} an hour",
                "created": render.when(cluster["created_at"]),
            },
        )
        for role in cluster["roles"]:
            what = f"{role['cpu']} CPU, {role['memory_mib']} MiB"
            cli.out.print(f"{role['role'] or 'nodes'}: {role['count']} × {what}", markup=False)
        for each in cluster["workloads"]:
            what = f"{each['cpu_millis'] / 1000:g} CPU, {each['memory_mib']} MiB"
            if each["volume_gib"]:
                what += f", {each['volume_gib']} GiB"
            cli.out.print(f"{each['kind']} {each['name']}: {each['copies']} × {what}", markup=False)
        for door in cluster["endpoints"]:
            cli.out.print(f"{door['name']}: {door['url']}", markup=False, soft_wrap=True)

    cli.result(cluster, as_text)


@app.command()
def nodes(ctx: typer.Context, name: Name) -> None:
    """List the machines of a cluster, or the pods of a chart."""
    columns = {
        "NAME": lambda n: n["name"],
        "ROLE": lambda n: n["role"],
        "STATUS": lambda n: n["status"],
        "HEALTH": lambda n: n["health"],
        "ADDRESS": lambda n: n["public_ip"] or n["private_ip"],
        "CPU": lambda n: n["cpu"] or f"{n['cpu_millis'] / 1000:g}",
        "MEMORY MiB": lambda n: n["memory_mib"],
        "DISK GiB": lambda n: n["volume_gib"],
        "ID": lambda n: n["node_id"],
    }
    _list_of(Cli.of(ctx), name, "nodes", columns, empty="It has no nodes.")


@app.command()
def endpoints(ctx: typer.Context, name: Name) -> None:
    """List where the application answers."""
    columns = {
        "NAME": lambda e: e["name"],
        "ROLE": lambda e: e["role"],
        "URL": lambda e: e["url"],
        "PROTOCOL": lambda e: e["protocol"],
    }
    _list_of(Cli.of(ctx), name, "endpoints", columns, empty="It answers nowhere now.")


@app.command()
def start(ctx: typer.Context, name: Name, wait: Wait = True, dry_run: DryRun = False) -> None:
    """Start a stopped cluster."""
    _act(Cli.of(ctx), name, "start", {}, wait=wait, dry_run=dry_run)


@app.command()
def stop(ctx: typer.Context, name: Name, wait: Wait = True, dry_run: DryRun = False) -> None:
    """Stop a cluster; its data stays."""
    _act(Cli.of(ctx), name, "stop", {}, wait=wait, dry_run=dry_run)


@app.command()
def cease(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = True,
    dry_run: DryRun = False,
) -> None:
    """Remove a cluster and its data, for good."""
    cli = Cli.of(ctx)
    if not yes and not dry_run:
        if not cli.interactive:
            raise WrongUsage("This removes the cluster and its data for good.", hint="Give --yes to mean it.")
        typer.confirm(f"Remove {name} and its data for good?", abort=True, err=True)
    _act(cli, name, "cease", {}, wait=wait, dry_run=dry_run)


@app.command("run-service")
def run_service(
    ctx: typer.Context,
    name: Name,
    service: Annotated[str, typer.Argument(help="A custom service of the package.")],
    role: Annotated[str | None, typer.Option(help="Run it on this role's nodes.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="A parameter of it, as key=value; repeatable.")
    ] = None,
    wait: Wait = True,
    dry_run: DryRun = False,
) -> None:
    """Run a custom service of the application."""
    body: dict[str, Any] = {"service": service, "params": pairs(param or [], "--param")}
    if role is not None:
        body["role"] = role
    _act(Cli.of(ctx), name, "run-service", body, wait=wait, dry_run=dry_run)


def resolve(api: Api, name: str) -> Any:
    """The cluster of that id or name; ceased ones go by their id only.

    Raises:
        Failure: There is none, or several of that name.
    """
    if name.startswith("cl_"):
        return api.get(f"/clusters/{segment(name)}")
    found = [c for c in api.items("/clusters", at_most=1000) if c["name"] == name and c["status"] != "ceased"]
    if not found:
        raise Failure(f"You have no cluster named {name!r}.", hint="See: pitrix clusters list")
    if len(found) > 1:
        ids = ", ".join(cluster["cluster_id"] for cluster in found)
        raise Failure(f"Several clusters are named {name!r}.", hint=f"Give the id of one of them: {ids}")
    return found[0]


def state(cluster: Any) -> str:
    """What a cluster is doing, or else what it is."""
    return str(cluster["transition"] or cluster["status"])


def _nodes(cluster: Any) -> int:
    """How many machines, or pods that keep running, a cluster has."""
    counts = [role["count"] * (1 + role["replicas"]) for role in cluster["roles"]]
    counts += [w["copies"] for w in cluster["workloads"] if w["kind"] != "PersistentVolumeClaim"]
    return sum(counts)


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """``key=value`` texts as a dictionary; a key that comes twice keeps its last value.

    Raises:
        WrongUsage: One of them has no ``=`` or no key.
    """
    wrong = [text for text in texts if "=" not in text or text.startswith("=")]
    if wrong:
        errors = [FieldError(text, "must read key=value") for text in wrong]
        raise WrongUsage(f"{option} cannot be read.", errors=errors)
    return dict(text.split("=", 1) for text in texts)


def show_plan(cli: Cli, view: dict[str, Any]) -> None:
    """Print what would be done, and the price an hour before and after."""
    layers = view["plan"]["layers"]
    steps = [step for layer in layers for step in layer["steps"]]
    names = {step["step_id"]: layer["name"] for layer in layers for step in layer["steps"]}
    columns = {"LAYER": lambda s: names[s["step_id"]], "STEP": lambda s: s["title"]}
    render.as_table(cli.out, columns, steps, empty="There is nothing to do.")
    before = format_money(view["micros_per_hour_before"], view["currency"])
    after = format_money(view["micros_per_hour_after"], view["currency"])
    change = f"{after} an hour" if before == after else f"{before} → {after} an hour"
    cli.out.print(f"\nPrice: {change}. Nothing was done.", markup=False)
    for note in view["plan"]["notes"]:
        cli.out.print(f"Note: {note}", markup=False)


def _list_of(cli: Cli, name: str, what: str, columns: dict[str, Any], *, empty: str) -> None:
    cluster = resolve(cli.api, name)
    found = list(cli.api.items(f"/clusters/{segment(cluster['cluster_id'])}/{what}"))
    cli.result(
        {"items": found, "next_cursor": None}, lambda: render.as_table(cli.out, columns, found, empty=empty)
    )


def _act(cli: Cli, name: str, action: str, body: dict[str, Any], *, wait: bool, dry_run: bool) -> None:
    cluster = resolve(cli.api, name)
    path = f"/clusters/{segment(cluster['cluster_id'])}/actions/{action}"
    if dry_run:
        view = cli.api.post(f"{path}?dry_run=true", body)
        cli.result(view, lambda: show_plan(cli, view))
        return
    job = cli.api.post(path, body)["job"]
    if not wait:
        cli.result(
            {"job": job},
            lambda: cli.note(f"It goes on as {job['job_id']}: pitrix jobs watch {job['job_id']}"),
        )
        return
    ended = jobs.follow(cli, job["job_id"])
    cli.result(ended, lambda: jobs.tell(cli, ended))
    jobs.check(ended)
