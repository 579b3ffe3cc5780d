"""``pitrix package push``: from a package on this machine to the store.

Owns the order of uploads and the wait for what becomes of them.  A provenance goes up before its archive: the
platform looks for it when the archive arrives, under the archive's key with ``.prov`` behind it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pitrix.cli import package_build, problems, render, repos
from pitrix.cli.api import segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import EXIT_FAILED, Failure
from pitrix.cli.package_lint import existing, refuse_broken
from pitrix.cli.package_sign import read_provenance
from pitrix.packages import provenance
from pitrix.packages.model import SignatureStatus

#: The repository that everybody signed in may see: the platform's own.
PLATFORM_REPO = "repo_platform"
_CHUNK_BYTES = 64 * 1024


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``pitrix package``."""
    app.command()(push)


def push(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory or archive.")] = Path(),
    repo: Annotated[str, typer.Option(help="Name or id of the repository.")] = PLATFORM_REPO,
    wait: Annotated[bool, typer.Option(help="Wait until it is in the store, or refused.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for that.")] = 120,
    check: Annotated[bool, typer.Option(help="Check it on this machine first.")] = True,
    signature: Annotated[
        bool, typer.Option(help="Upload the signature beside an archive (ARCHIVE.prov) too.")
    ] = True,
) -> None:
    """Publish a package: check, upload, and wait until it is in the store. Ends with 1 if it is refused."""
    cli = Cli.of(ctx)
    data, filename = _to_upload(cli, path, check=check)
    if not repo.startswith("repo_"):
        repo = str(repos.resolve(cli.api, repo)["repo_id"])
    signed = read_provenance(path) if signature and path.is_file() else None
    if signed is not None:
        _check_provenance(path, data, signed)
    events = f"/repos/{segment(repo)}/events"
    # An upload leaves one new event; what is there by now is not it.
    known = {event["event_id"] for event in cli.api.items(events, at_most=50)}
    beside = _upload(cli, repo, signed, filename + provenance.SUFFIX) if signed is not None else None
    key = _upload(cli, repo, data, filename)
    if beside is not None and beside != key + provenance.SUFFIX:
        cli.note("Careful: the platform may not find the signature, as it put it somewhere else.")
    if not wait:
        facts = {"key": key, "uploaded": True, "signed": signed is not None}
        cli.result(facts, lambda: cli.note(f"Uploaded {filename}."))
        return
    event = _outcome(cli, events, key, data, known, timeout)
    if signed is not None:
        event = {**event, "signature": _signature(cli, event)}
    cli.result(event, lambda: _show_outcome(cli, event))
    if event["outcome"] == "refused":
        raise typer.Exit(EXIT_FAILED)


def _to_upload(cli: Cli, path: Path, *, check: bool) -> tuple[bytes, str]:
    """The bytes to upload and the name they go by."""
    if existing(path).is_dir():
        data, package = package_build.archive(cli, path)
        return data, package_build.filename(package)
    data = path.read_bytes()
    if check:
        refuse_broken(cli, data)
    return data, path.name


def _check_provenance(path: Path, data: bytes, signed: bytes) -> None:
    """Whether it belongs to the archive; by whose key it is signed is for the platform to judge."""
    found = provenance.verify(data, path.name, signed, [])
    if found.status is SignatureStatus.INVALID:
        raise Failure(
            f"{path}{provenance.SUFFIX}: {found.message}",
            hint="Sign the archive again, or push it with --no-signature.",
            title="The signature beside the archive does not fit",
        )


def _upload(cli: Cli, repo: str, data: bytes, filename: str) -> str:
    """Send one file; returns the key that the platform keeps it under."""
    request = {"filename": filename, "size_bytes": len(data)}
    ticket = cli.api.post(f"/repos/{segment(repo)}/packages", request)
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
    return str(ticket["key"])


def _outcome(
    cli: Cli, events: str, key: str, data: bytes, known: set[str], timeout_s: float
) -> dict[str, Any]:
    """The event that the upload left.

    A provenance has an archive that lies there already looked at again: what comes of that one is told apart
    by its digest.
    """
    mine = ("", f"sha256:{hashlib.sha256(data).hexdigest()}")
    deadline = time.monotonic() + timeout_s
    with cli.waiting("Waiting for the store…"):
        while True:
            for event in cli.api.items(events, at_most=50):
                new = event["key"] == key and event["event_id"] not in known
                if new and event["outcome"] != "removed" and event.get("digest", "") in mine:
                    return dict(event)
            if time.monotonic() >= deadline:
                raise Failure(
                    f"It was uploaded, but nothing became of it within {timeout_s:.0f} s.",
                    hint="It may be taken up yet: see pitrix apps list, or push it again.",
                )
            time.sleep(cli.poll_s)


def _signature(cli: Cli, event: dict[str, Any]) -> dict[str, Any] | None:
    """What the platform found of the signature; ``None`` when there is no version to ask for it."""
    if not event.get("version_id"):
        return None
    path = f"/apps/{segment(event['app_id'])}/versions/{segment(event['version_id'])}"
    found: dict[str, Any] | None = cli.api.get(path).get("signature")
    return found


def _show_outcome(cli: Cli, event: dict[str, Any]) -> None:
    what = f"{event['name']} {event['version']}".strip() or event["key"]
    if event["outcome"] == "refused":
        cli.out.print(f"Refused: {event['message']}", markup=False, soft_wrap=True)
        problems.show(cli.out, event["problems"])
    elif event["outcome"] == "unchanged":
        cli.out.print(f"{what} was in the store already: nothing changed.", markup=False, soft_wrap=True)
    else:
        cli.out.print(f"{what} is in the store as {event['app_id']}.", markup=False, soft_wrap=True)
    if event.get("signature"):
        cli.out.print(_about(event["signature"]), markup=False, soft_wrap=True)


def _about(signature: dict[str, Any]) -> str:
    """What a signature means to people who look at the store."""
    if signature.get("status") == SignatureStatus.UNKNOWN_KEY:
        return f"{signature.get('message')} Ask the repository's owner to add your public key."
    return str(signature.get("message", ""))
