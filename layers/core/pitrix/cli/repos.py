"""``pitrix repos``: where packages come from.

Owns the commands of repositories. A secret is read from the environment or asked for, never taken from the
command line, where others could see it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pitrix.cli import render
from pitrix.cli.api import Api, segment
from pitrix.cli.context import Cli
from pitrix.cli.failure import EXIT_FAILED, Failure, WrongUsage

app = typer.Typer(no_args_is_help=True, help="See and manage where packages come from.")

#: Where the secret half of a credential is taken from when nobody can be asked.
SECRET_VARIABLE = "PITRIX_REPO_SECRET"  # noqa: S105 - the name of a variable

Name = Annotated[str, typer.Argument(metavar="REPO", help="Its name or id.")]


class RepoKind(StrEnum):
    """What a repository is at its source."""

    PLATFORM = "platform"
    S3 = "s3"
    AZURE = "azure"
    HTTP = "http"
    OCI = "oci"


Kind = Annotated[RepoKind, typer.Option(help="platform takes uploads; the others are read from.")]
#: Not ``--url``: that is the platform's own, wherever it stands on the line.
Url = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="https://host/charts, s3://bucket/prefix, azure://account/container, oci://host/path.",
    ),
]
Endpoint = Annotated[str | None, typer.Option(help="Address of a store that is not AWS's or Azure's own.")]
Region = Annotated[str | None, typer.Option(help="Region of an S3 bucket.")]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        help="Username, access key id of S3, or sas for a shared access signature of Azure; "
        f"the secret is asked for, or taken from ${SECRET_VARIABLE}.",
    ),
]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Public = Annotated[bool | None, typer.Option("--public/--private", help="Who may use it.")]
Providers = Annotated[
    list[str] | None, typer.Option("--provider", help="A cloud its apps may run on; repeat.", metavar="NAME")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="To find it by; repeat.", metavar="KEY=VALUE")
]
Selectors = Annotated[
    list[str] | None,
    typer.Option("--selector", help="What a runtime must be labelled with; repeat.", metavar="KEY=VALUE"),
]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="File of an armored OpenPGP public key; repeat.", metavar="FILE"),
]
Signed = Annotated[
    bool | None,
    typer.Option(
        "--require-signature/--no-require-signature",
        help="From now on refuse what no --key signed.",
    ),
]
Released = Annotated[
    bool | None, typer.Option("--auto-release/--no-auto-release", help="Publish without a review.")
]
Interval = Annotated[
    int | None,
    typer.Option(
        "--every", help="Seconds between two syncs: 300 or more, or 0 for never.", metavar="SECONDS"
    ),
]


@app.command("list")
def list_repos(ctx: typer.Context) -> None:
    """List the repositories that you may use."""
    cli = Cli.of(ctx)
    found = list(cli.api.items("/repos"))
    columns = {
        "NAME": lambda r: r["name"],
        "KIND": lambda r: r["kind"],
        "VISIBILITY": lambda r: r["visibility"],
        "ADDRESS": lambda r: r["url"],
        "ID": lambda r: r["repo_id"],
    }
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="There are no repositories."),
    )


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    kind: Kind = RepoKind.HTTP,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    user: User = None,
    description: Description = None,
    public: Public = None,
    provider: Providers = None,
    label: Labels = None,
    selector: Selectors = None,
    key: Keys = None,
    require_signature: Signed = None,
    auto_release: Released = None,
    every: Interval = None,
) -> None:
    """Add a repository; a remote one is tried first and then synced."""
    cli = Cli.of(ctx)
    _need_address(kind, url)
    described = _described(
        url=url, endpoint=endpoint, region=region, description=description, public=public,
        providers=provider, labels=label, selectors=selector, keys=key,
        require_signature=require_signature, auto_release=auto_release, sync_interval_s=every,
    )  # fmt: skip
    body = {"name": name, "kind": kind, **described, **_credential(cli, kind, user)}
    repo = cli.api.post("/repos", body)

    def as_text() -> None:
        cli.out.print(f"{repo['name']} is {repo['repo_id']}.", markup=False)
        if repo["kind"] != RepoKind.PLATFORM:
            cli.note(f"Its first sync is under way; see: pitrix repos statistics {repo['repo_id']}")

    cli.result(repo, as_text)


@app.command()
def edit(
    ctx: typer.Context,
    name: Name,
    rename: Annotated[str | None, typer.Option(help="A new name.")] = None,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    user: User = None,
    no_credential: Annotated[bool, typer.Option("--no-credential", help="Forget the credential.")] = False,
    description: Description = None,
    public: Public = None,
    provider: Providers = None,
    label: Labels = None,
    selector: Selectors = None,
    key: Keys = None,
    require_signature: Signed = None,
    auto_release: Released = None,
    every: Interval = None,
) -> None:
    """Change a repository; lists are replaced as a whole. A new address or credential is tried first."""
    cli = Cli.of(ctx)
    repo = resolve(cli.api, name)
    described = _described(
        name=rename, url=url, endpoint=endpoint, region=region, description=description, public=public,
        providers=provider, labels=label, selectors=selector, keys=key,
        require_signature=require_signature, auto_release=auto_release, sync_interval_s=every,
    )  # fmt: skip
    credential = {"credential": {}} if no_credential else _credential(cli, repo["kind"], user)
    if not described and not credential:
        raise WrongUsage("There is nothing to change.", hint="See: pitrix repos edit --help")
    changed = cli.api.patch(f"/repos/{segment(repo['repo_id'])}", {**described, **credential})
    cli.result(changed, lambda: cli.out.print(f"{changed['name']} was changed.", markup=False))


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show one repository and how its last sync went."""
    cli = Cli.of(ctx)
    repo = resolve(cli.api, name)
    figures = cli.api.get(f"/repos/{segment(repo['repo_id'])}/statistics")

    def as_text() -> None:
        render.as_facts(
            cli.out,
            {
                "name": repo["name"],
                "id": repo["repo_id"],
                "description": repo["description"],
                "kind": repo["kind"],
                "address": repo["url"],
                "endpoint": repo["endpoint"],
                "region": repo["region"],
                "credential": "kept" if repo["has_credential"] else "",
                "visibility": repo["visibility"],
                "providers": ", ".join(repo["providers"]),
                "labels": _pairs_text(repo["labels"]),
                "selectors": _pairs_text(repo["selectors"]),
                "keys": f"{len(repo['keys'])}" if repo["keys"] else "",
                "signature": "required" if repo["require_signature"] else "",
                "releases": "at once" if repo["auto_release"] else "after a review",
                "for helm": f"{cli.url}/v1/repos/{repo['repo_id']}/charts",
            },
        )
        _show_figures(cli, figures)

    cli.result({**repo, "statistics": figures}, as_text)


@app.command()
def statistics(ctx: typer.Context, name: Name) -> None:
    """Show what a repository holds, and how its last sync went."""
    cli = Cli.of(ctx)
    figures = cli.api.get(f"/repos/{segment(resolve(cli.api, name)['repo_id'])}/statistics")
    cli.result(figures, lambda: _show_figures(cli, figures))


@app.command()
def events(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
) -> None:
    """Show what became of uploads and syncs, newest first."""
    cli = Cli.of(ctx)
    repo = resolve(cli.api, name)
    found = list(cli.api.items(f"/repos/{segment(repo['repo_id'])}/events", at_most=limit))
    columns = {
        "WHEN": lambda e: render.when(e["at"]),
        "OUTCOME": lambda e: e["outcome"],
        "PACKAGE": lambda e: f"{e['name']} {e['version']}".strip() or e["key"] or "(sync)",
        "MESSAGE": lambda e: e["message"],
    }
    cli.result(
        {"items": found, "next_cursor": None},
        lambda: render.as_table(cli.out, columns, found, empty="Nothing has happened yet."),
    )


@app.command()
def validate(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[REPO]", help="A repository there is.")] = None,
    kind: Kind = RepoKind.HTTP,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    user: User = None,
) -> None:
    """Try the address of a repository, or one that is to become one (--address)."""
    cli = Cli.of(ctx)
    if (name is None) == (url is None):
        raise WrongUsage(
            "Give either a repository or an address.", hint="Such as: --address https://host/charts"
        )
    if kind is RepoKind.PLATFORM and url is not None:
        raise WrongUsage("A repository of the kind platform has no address: packages are uploaded to it.")
    if name is not None:
        path = f"/repos/{segment(resolve(cli.api, name)['repo_id'])}/actions/validate"
        found = cli.api.post(path)["check"]
    else:
        address = _described(url=url, endpoint=endpoint, region=region)
        found = cli.api.post("/repos/validate", {"kind": kind, **address, **_credential(cli, kind, user)})
    some = f": {', '.join(found['sample'])}" if found["sample"] else ""
    more = ", …" if found["packages"] > len(found["sample"]) else ""
    count = found["packages"]
    text = f"It holds {count or 'no'} package{'s' * (count != 1)}{some}{more}."
    cli.result(found, lambda: cli.out.print(text, markup=False, soft_wrap=True))


@app.command()
def sync(
    ctx: typer.Context,
    name: Name,
    refused: Annotated[bool, typer.Option("--refused", help="Look again at what was refused.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for that.")] = 900,
) -> None:
    """Compare a repository with its source now. Ends with 1 if that fails."""
    cli = Cli.of(ctx)
    path = f"/repos/{segment(resolve(cli.api, name)['repo_id'])}"
    begun = cli.api.post(f"{path}/actions/index", {"refused": refused})["sync"]
    if not wait:
        cli.result(begun, lambda: cli.note(f"Sync {begun['sync_id']} is under way."))
        return
    done = _waited(cli, path, begun, timeout)
    cli.result(done, lambda: _show_sync(cli, done))
    if done["status"] == "failed":
        raise typer.Exit(EXIT_FAILED)


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let a repository go: its versions leave the store, what clusters run of them stays."""
    cli = Cli.of(ctx)
    repo = resolve(cli.api, name)
    if not yes:
        if not cli.interactive:
            raise WrongUsage(
                f"This removes {repo['name']} from the store.", hint="Say that you mean it: --yes"
            )
        typer.confirm(f"Remove {repo['name']} and all its apps from the store?", abort=True, err=True)
    cli.api.delete(f"/repos/{segment(repo['repo_id'])}")
    gone = {"repo_id": repo["repo_id"], "deleted": True}
    cli.result(gone, lambda: cli.out.print(f"{repo['name']} is deleted.", markup=False))


def resolve(api: Api, name: str) -> dict[str, Any]:
    """The repository that ``name`` (an id or a name) means.

    Raises:
        Failure: There is none, or several teams have one of that name.
    """
    if name.startswith("repo_"):
        return dict(api.get(f"/repos/{segment(name)}"))
    found = [repo for repo in api.items("/repos") if repo["name"] == name]
    if not found:
        raise Failure(f"There is no repository {name!r}.", hint="See: pitrix repos list")
    if len(found) > 1:
        ids = ", ".join(repo["repo_id"] for repo in found)
        raise Failure(f"Several repositories are named {name!r}.", hint=f"Give the id of one: {ids}")
    return dict(found[0])


def _need_address(kind: RepoKind, url: str | None) -> None:
    if kind is not RepoKind.PLATFORM and not url:
        examples = {
            "s3": "s3://bucket/prefix",
            "azure": "azure://account/container",
            "oci": "oci://host/path",
        }
        example = examples.get(kind, "https://host/charts")
        raise WrongUsage(
            f"A repository of the kind {kind} needs an address.", hint=f"Such as: --address {example}"
        )


def _described(**given: Any) -> dict[str, Any]:
    """The fields of a request, of options that were given."""
    named = {field: value for field, value in given.items() if value is not None and field != "public"}
    if given.get("public") is not None:
        named["visibility"] = "public" if given["public"] else "private"
    for field in ("labels", "selectors"):
        if field in named:
            named[field] = _pairs(field, named[field])
    if "keys" in named:
        named["keys"] = [_key(path) for path in named["keys"]]
    return named


def _pairs(field: str, given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise WrongUsage(f"--{field.removesuffix('s')} {text!r} is not KEY=VALUE.")
        pairs[key] = value
    return pairs


def _key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        hint = "Export one with: gpg --armor --export NAME"
        raise WrongUsage(f"{path} is no file of an armored OpenPGP certificate.", hint=hint) from None


def _credential(cli: Cli, kind: str, user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        if not cli.interactive:
            raise WrongUsage("The secret is missing.", hint=f"Set {SECRET_VARIABLE}.")
        secret = typer.prompt("Secret", hide_input=True, err=True)
    if kind == RepoKind.AZURE:
        return {"credential": {"password": secret}}
    names = ("access_key_id", "secret_access_key") if kind == "s3" else ("username", "password")
    return {"credential": dict(zip(names, (user, secret), strict=True))}


def _pairs_text(pairs: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(pairs.items()))


def _waited(cli: Cli, path: str, begun: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The sync once it has ended."""
    deadline = time.monotonic() + timeout_s
    with cli.waiting("Syncing…"):
        while True:
            last = cli.api.get(f"{path}/statistics")["last_sync"]
            # A later one answers too: this one ended before it.
            if last and last["sync_id"] >= begun["sync_id"]:
                return dict(last)
            if time.monotonic() >= deadline:
                hint = f"It goes on; see: pitrix repos statistics {path.rpartition('/')[2]}"
                raise Failure(f"It did not end within {timeout_s:.0f} s.", hint=hint)
            time.sleep(cli.poll_s)


def _show_figures(cli: Cli, figures: dict[str, Any]) -> None:
    totals = figures["totals"]
    render.as_facts(
        cli.out,
        {
            "apps": totals["apps"],
            "versions": totals["versions"],
            "refused": totals["refused"],
            "size": render.size(totals["size_bytes"]),
            "syncing": "now" if figures["running"] else "",
            "next sync": render.when(figures["next_sync_at"]),
        },
    )
    if figures["last_sync"]:
        _show_sync(cli, figures["last_sync"])


def _show_sync(cli: Cli, done: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in done["counts"].items() if count)
    said = done["message"] if done["status"] == "failed" else counts
    what = "why" if done["status"] == "failed" else "packages"
    facts = {"last sync": render.when(done["finished_at"]), "outcome": done["status"], what: said}
    render.as_facts(cli.out, facts)
    if done["failures"]:
        columns = {
            "PACKAGE": lambda f: f["key"],
            "OUTCOME": lambda f: f["outcome"],
            "WHY": lambda f: f["message"],
        }
        render.as_table(cli.out, columns, done["failures"], empty="")
