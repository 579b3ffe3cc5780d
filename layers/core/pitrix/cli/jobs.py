"""``pitrix jobs``: what is being done, and following it to its end.

Owns `follow`, which every command that begins a job uses.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pitrix.cli import render
from pitrix.cli.api import Api, segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import EXIT_FAILED, Refused, Unreachable

app = typer.Typer(no_args_is_help=True, help="Follow what is being done.")

_ENDED = ("succeeded", "failed", "cancelled")
#: How often in a row the platform may be away before watching gives up.
_PATIENCE = 15

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Option(help="Only of this cluster (its id).")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
) -> None:
    """List jobs, newest first."""
    cli = Cli.of(ctx)
    found = list(cli.api.items("/jobs", at_most=limit, cluster_id=cluster))
    columns = {
        "ID": lambda j: j["job_id"],
        "KIND": lambda j: j["kind"],
        "STATUS": lambda j: j["status"],
        "CLUSTER": lambda j: j["cluster_id"],
        "BEGAN": lambda j: render.when(j["created_at"]),
        "TOOK": lambda j: render.duration(j["created_at"], j["finished_at"]),
    }
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="There are no jobs."),
    )


@app.command()
def show(ctx: typer.Context, job_id: JobId) -> None:
    """Show a job and its steps."""
    cli = Cli.of(ctx)
    view = cli.api.get(f"/jobs/{segment(job_id)}")
    cli.result(view, lambda: _show(cli, view))


@app.command()
def watch(ctx: typer.Context, job_id: JobId) -> None:
    """Follow a job to its end. Ends with 1 if the job does not succeed."""
    cli = Cli.of(ctx)
    view = follow(cli, job_id)
    cli.result(view, lambda: tell(cli, view))
    check(view)


@app.command()
def cancel(ctx: typer.Context, job_id: JobId) -> None:
    """End a deployment early; what it made is removed again."""
    cli = Cli.of(ctx)
    answer = cli.api.post(f"/jobs/{segment(job_id)}/actions/cancel")
    cli.result(
        answer, lambda: cli.note("It ends after the steps that are under way: pitrix jobs watch " + job_id)
    )


def follow(cli: Cli, job_id: str) -> dict[str, Any]:
    """Show how a job goes, until it ends; returns its last view (``job``, ``progress``, ``steps``).

    On a terminal a bar with the steps under way, in a pipe a line for each step that ended, for a machine
    nothing. Leaving early (Ctrl-C) leaves the job alone.
    """
    with _display(cli) as show_view:
        try:
            for view in _views(cli.api, job_id, cli.poll_s):
                show_view(view)
                if view["job"]["status"] in _ENDED:
                    return view
        except KeyboardInterrupt:
            cli.note(f"The job goes on. Follow it again with: pitrix jobs watch {job_id}")
            raise
    raise AssertionError("views end with the job")


def tell(cli: Cli, view: dict[str, Any]) -> None:
    """Print how a job ended, with the reason if it failed."""
    job = view["job"]
    took = render.duration(job["created_at"], job["finished_at"])
    colour = "green" if job["status"] == "succeeded" else "red"
    cli.err.print(f"Job {job['job_id']} ({job['kind']}) {job['status']} after {took}.", style=colour)
    if job["error"]:
        cli.err.print(f"  {job['error']['message']}", markup=False, soft_wrap=True)


def check(view: dict[str, Any]) -> None:
    """End the run with 1 unless the job succeeded."""
    if view["job"]["status"] != "succeeded":
        raise typer.Exit(EXIT_FAILED)


def steps_table(cli: Cli, layers: list[str], steps: list[dict[str, Any]]) -> None:
    """Print steps with the layer that each belongs to."""
    columns = {
        "LAYER": lambda s: layers[s["layer"]] if s["layer"] < len(layers) else "",
        "STEP": lambda s: s["title"],
        "STATUS": lambda s: s["status"],
        "TOOK": lambda s: render.duration(s["started_at"], s["finished_at"]),
        "ERROR": lambda s: s["error"],
    }
    render.as_table(cli.out, columns, steps, empty="There is nothing to do.")


def _show(cli: Cli, view: dict[str, Any]) -> None:
    job, progress = view["job"], view["progress"]
    render.as_facts(
        cli.out,
        {
            "job": job["job_id"],
            "kind": job["kind"],
            "cluster": job["cluster_id"],
            "status": job["status"],
            "began": render.when(job["created_at"]),
            "took": render.duration(job["created_at"], job["finished_at"]),
            "steps": f"{progress['done']} of {progress['total']}",
            "error": job["error"]["message"] if job["error"] else "",
        },
    )
    cli.out.print()
    main, undo = parts(view["steps"])
    steps_table(cli, job["layers"], main)
    if undo:
        cli.out.print("\nCleaning up:")
        steps_table(cli, job["undo_layers"], undo)


def parts(steps: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The steps of the plan, and those that clean up after it failed: they follow and are numbered anew."""
    for index in range(1, len(steps)):
        if steps[index]["step_id"] <= steps[index - 1]["step_id"]:
            return steps[:index], steps[index:]
    return steps, []


def _views(api: Api, job_id: str, poll_s: float) -> Iterator[dict[str, Any]]:
    """The job again and again; a platform that is away for a moment is waited for."""
    away = 0
    while True:
        try:
            view = api.get(f"/jobs/{segment(job_id)}")
            away = 0
        except (Unreachable, Refused) as error:
            away += 1
            if (isinstance(error, Refused) and error.status < 500) or away > _PATIENCE:
                raise
        else:
            yield view
        time.sleep(poll_s)


@contextmanager
def _display(cli: Cli) -> Iterator[Any]:
    if cli.machine:
        yield lambda view: None
    elif cli.err.is_terminal:
        with _bar(cli) as show_view:
            yield show_view
    else:
        yield _Lines(cli)


@contextmanager
def _bar(cli: Cli) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=cli.err, transient=True) as progress:
        task = progress.add_task("Waiting…", total=None)

        def show_view(view: dict[str, Any]) -> None:
            running = [str(step["title"]) for step in view["steps"] if step["status"] == "running"]
            text = ", ".join(running[:2]) + (f" and {len(running) - 2} more" if len(running) > 2 else "")
            done, total = view["progress"]["done"], view["progress"]["total"]
            progress.update(task, description=text or "Working…", completed=done, total=total)

        yield show_view


class _Lines:
    """A line for each step that ended since the last look."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        self._told: set[int] = set()

    def __call__(self, view: dict[str, Any]) -> None:
        total = view["progress"]["total"]
        for place, step in enumerate(view["steps"]):
            if step["status"] in ("succeeded", "failed") and place not in self._told:
                self._told.add(place)
                failed = f" failed: {step['error']}" if step["status"] == "failed" else ""
                self._cli.note(f"[{len(self._told)}/{total}] {step['title']}{failed}")
