"""``pitrix package``: create, check, build and publish a package.

Owns the way from a directory to the store. Checks run on this machine with the code that the platform runs
(`pitrix.packages.service`), so what passes here passes there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pitrix.cli import render
from pitrix.cli.api import segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import EXIT_FAILED, Failure, WrongUsage
from pitrix.packages import service as packages
from pitrix.packages.model import Problem, Severity

app = typer.Typer(no_args_is_help=True, help="Make packages and publish them.")

#: The repository that everybody signed in may see: the platform's own.
PLATFORM_REPO = "repo_platform"
_CHUNK_BYTES = 64 * 1024


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the app: lower-case letters, digits and dashes.")],
    kind: Annotated[str, typer.Option("--type", help="Kind of package.")] = "vm",
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to put it; by default a directory of that name.")
    ] = None,
) -> None:
    """Start a new package that works as it is."""
    cli = Cli.of(ctx)
    files = packages.scaffold(name, kind)
    target = directory or Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Failure(f"{target} exists already and is not empty.", hint="Give another place with --dir.")
    for path, content in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)

    def as_text() -> None:
        cli.out.print(f"Created {target} with {len(files)} files:", markup=False)
        for path in sorted(files):
            cli.out.print(f"  {path}", markup=False)
        cli.out.print(f"Next: pitrix package lint {target} && pitrix package push {target}", markup=False)

    cli.result({"directory": str(target), "files": sorted(files)}, as_text)


@app.command()
def lint(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory or archive.")] = Path(),
) -> None:
    """Check a package: every problem at once, with how to mend it. Ends with 1 if there are errors."""
    cli = Cli.of(ctx)
    found = packages.lint(_existing(path))
    errors = _report(cli, found)
    if errors:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def build(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory.")] = Path(),
    to: Annotated[
        Path | None, typer.Option(help="File or directory to write to; by default <name>-<version>.tgz here.")
    ] = None,
) -> None:
    """Make the archive. The same files give the same bytes, wherever and whenever it is built."""
    cli = Cli.of(ctx)
    data, package = _archive(cli, path)
    name = f"{package.name}-{package.version}.tgz"
    target = Path(name) if to is None else to / name if to.is_dir() else to
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    facts = {"file": str(target), "name": package.name, "version": package.version,
             "size_bytes": len(data), "digest": package.digest}  # fmt: skip
    cli.result(
        facts,
        lambda: cli.out.print(
            f"Built {target} ({render.size(len(data))}, {package.digest})", markup=False, soft_wrap=True
        ),
    )


@app.command()
def push(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory or archive.")] = Path(),
    repo: Annotated[str, typer.Option(help="Id of the repository.")] = PLATFORM_REPO,
    wait: Annotated[bool, typer.Option(help="Wait until it is in the store, or refused.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for that.")] = 120,
    check: Annotated[bool, typer.Option(help="Check it on this machine first.")] = True,
) -> None:
    """Publish a package: check, upload, and wait until it is in the store. Ends with 1 if it is refused."""
    cli = Cli.of(ctx)
    data, filename = _to_upload(cli, path, check=check)
    events = f"/repos/{segment(repo)}/events"
    # An upload leaves one new event; what is there by now is not it.
    known = {event["event_id"] for event in cli.api.items(events, at_most=50)}
    ticket = cli.api.post(f"/repos/{segment(repo)}/packages", {"filename": filename, "size_bytes": len(data)})
    _upload(cli, ticket, data, filename)
    if not wait:
        cli.result({"key": ticket["key"], "uploaded": True}, lambda: cli.note(f"Uploaded {filename}."))
        return
    event = _outcome(cli, events, ticket["key"], known, timeout)
    cli.result(event, lambda: _show_outcome(cli, event))
    if event["outcome"] == "refused":
        raise typer.Exit(EXIT_FAILED)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise WrongUsage(f"There is no {path}.", hint="Give a package's directory or its .tgz file.")
    return path


def _report(cli: Cli, found: list[Problem]) -> int:
    """Print what lint found; returns the number of errors."""
    rows = [msgspec.to_builtins(problem) for problem in found]
    errors = sum(problem.severity is Severity.ERROR for problem in found)

    def as_text() -> None:
        render.problems(cli.out, rows)
        if rows:
            cli.note(f"{errors} error(s), {len(rows) - errors} warning(s).")

    cli.result({"valid": not errors, "problems": rows}, as_text)
    return errors


def _archive(cli: Cli, path: Path) -> tuple[bytes, Any]:
    """Build a directory; a broken package is reported whole before the run ends."""
    if not _existing(path).is_dir():
        raise WrongUsage(
            f"{path} is not a directory.", hint="Give the directory that the package is made from."
        )
    found = packages.lint(path)
    if any(problem.severity is Severity.ERROR for problem in found):
        _report(cli, found)
        raise typer.Exit(EXIT_FAILED)
    data = packages.build(path)
    return data, packages.open_package(data)


def _to_upload(cli: Cli, path: Path, *, check: bool) -> tuple[bytes, str]:
    """The bytes to upload and the name they go by."""
    if _existing(path).is_dir():
        data, package = _archive(cli, path)
        return data, f"{package.name}-{package.version}.tgz"
    data = path.read_bytes()
    if check:
        found = packages.lint(data)
        if any(problem.severity is Severity.ERROR for problem in found):
            _report(cli, found)
            raise typer.Exit(EXIT_FAILED)
    return data, path.name


def _upload(cli: Cli, ticket: dict[str, Any], data: bytes, filename: str) -> None:
    cli.note(
        f"Uploading {filename} ({render.size(len(data))}, sha256:{hashlib.sha256(data).hexdigest()[:12]}…)"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    shown = cli.err.is_terminal and not cli.machine
    with Progress(*columns, console=cli.err, transient=True, disable=not shown) as progress:
        task = progress.add_task(filename, total=len(data))

        def chunks() -> Iterator[bytes]:
            for start in range(0, len(data), _CHUNK_BYTES):
                piece = data[start : start + _CHUNK_BYTES]
                yield piece
                progress.advance(task, len(piece))

        cli.api.upload(ticket["upload_url"], ticket["method"], ticket["headers"], chunks(), len(data))


def _outcome(cli: Cli, events: str, key: str, known: set[str], timeout_s: float) -> dict[str, Any]:
    """The event that the upload left."""
    deadline = time.monotonic() + timeout_s
    with cli.waiting("Waiting for the store…"):
        while True:
            for event in cli.api.items(events, at_most=50):
                if event["key"] == key and event["event_id"] not in known:
                    return dict(event)
            if time.monotonic() >= deadline:
                raise Failure(
                    f"It was uploaded, but nothing became of it within {timeout_s:.0f} s.",
                    hint="It may be taken up yet: see pitrix apps list, or push it again.",
                )
            time.sleep(cli.poll_s)


def _show_outcome(cli: Cli, event: dict[str, Any]) -> None:
    what = f"{event['name']} {event['version']}".strip() or event["key"]
    if event["outcome"] == "refused":
        cli.out.print(f"Refused: {event['message']}", markup=False, soft_wrap=True)
        render.problems(cli.out, event["problems"])
    elif event["outcome"] == "unchanged":
        cli.out.print(f"{what} was in the store already: nothing changed.", markup=False, soft_wrap=True)
    else:
        cli.out.print(f"{what} is in the store as {event['app_id']}.", markup=False, soft_wrap=True)
