"""``pitrix deploy``: from an app of the store to a running cluster.

Owns the choice of version and runtime, and the order of things: answers, preview or deployment, the job, the
endpoints. The answers themselves are `questions`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from pitrix.cli import apps, clusters, jobs, questions, render, runtimes
from pitrix.cli.api import Api, segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure, WrongUsage
from pitrix.packages.model import Form


def register(app: typer.Typer) -> None:
    """Add the command of this module to the root."""
    app.command()(deploy)


def deploy(
    ctx: typer.Context,
    app: Annotated[str, typer.Argument(help="Name or id of the app.")],
    version: Annotated[
        str | None, typer.Option(help="Name or id of a version; the latest by default.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Name or id of the runtime; may be left out where there is one only.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the cluster.")] = None,
    settings: questions.Settings = None,
    answers: questions.Answers = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for everything, not only what is missing.")] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Give the machines behind its endpoints public addresses.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the steps and the price an hour.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it runs.")] = True,
) -> None:
    """Deploy an app. What has a default need not be given; what must be known is asked for."""
    cli = Cli.of(ctx)
    if ask and not cli.interactive:
        raise WrongUsage("--ask needs a terminal.", hint="Give answers with --set or --answers.")
    found = apps.resolve(cli.api, app)
    version_id = _version(cli.api, found, version)
    runtime_id = _runtime(cli, runtime)
    path = f"/apps/{segment(found['app_id'])}/versions/{segment(version_id)}/form"
    form = msgspec.convert(cli.api.get(path), Form)
    request: dict[str, Any] = {
        "app_id": found["app_id"],
        "version_id": version_id,
        "runtime_id": runtime_id,
        "answers": questions.gather(cli, form, settings=settings or [], file=answers, ask_all=ask),
    }
    if name is not None:
        request["name"] = name
    if public:
        request["public"] = True
    if dry_run:
        view = cli.api.post("/clusters:plan", request)
        cli.result(view, lambda: clusters.show_plan(cli, view))
        return
    _begin(cli, request, wait=wait)


def _begin(cli: Cli, request: dict[str, Any], *, wait: bool) -> None:
    begun = cli.api.post("/clusters", request)
    cluster_id, job_id = begun["cluster"]["cluster_id"], begun["job"]["job_id"]
    cli.note(f"Deploying {begun['cluster']['name']} ({cluster_id}), job {job_id}.")
    if not wait:
        cli.result(begun, lambda: cli.note(f"Follow it with: pitrix jobs watch {job_id}"))
        return
    view = jobs.follow(cli, job_id)
    cluster = cli.api.get(f"/clusters/{segment(cluster_id)}")

    def as_text() -> None:
        jobs.tell(cli, view)
        if cluster["endpoints"]:
            columns = {"NAME": lambda e: e["name"], "ROLE": lambda e: e["role"], "URL": lambda e: e["url"]}
            render.as_table(cli.out, columns, cluster["endpoints"], empty="")

    cli.result({"cluster": cluster, **view}, as_text)
    jobs.check(view)


def _version(api: Api, app: Any, wanted: str | None) -> str:
    """The id of the version to deploy."""
    if wanted is None:
        if not app["latest_version_id"]:
            raise Failure(f"{app['name']} has no released version.")
        return str(app["latest_version_id"])
    versions = list(api.items(f"/apps/{segment(app['app_id'])}/versions"))
    for version in versions:
        if wanted in (version["name"], version["version_id"]):
            return str(version["version_id"])
    known = ", ".join(version["name"] for version in versions) or "none"
    raise Failure(f"{app['name']} has no version {wanted!r}; there are: {known}.")


def _runtime(cli: Cli, wanted: str | None) -> str:
    """The id of the runtime to deploy to; chosen by the user where several could be meant."""
    found = runtimes.resolve(cli.api, wanted)
    if len(found) == 1:
        return str(found[0]["runtime_id"])
    if not cli.interactive:
        names = ", ".join(f"{runtime['name']} ({runtime['runtime_id']})" for runtime in found)
        raise WrongUsage("Which runtime?", hint=f"Give --runtime with one of: {names}")
    for number, runtime in enumerate(found, start=1):
        cli.err.print(
            f"  {number}) {runtime['name']} ({runtime['provider']}, {runtime['zone']})", markup=False
        )
    number = typer.prompt("Runtime", default=1, type=int, err=True)
    if not 1 <= number <= len(found):
        raise WrongUsage(f"There is no runtime number {number}.")
    return str(found[number - 1]["runtime_id"])
