"""``pitrix package render``: what answers become, without a platform.

Owns where manifests go: to standard output as one stream, or to a folder.  Answers are taken as `deploy`
takes them (`questions`); what they become is decided by `pitrix.packages.service`.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
import typer

from pitrix.cli import package_build, questions
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure
from pitrix.cli.package_lint import existing, refuse_broken
from pitrix.errors import ServiceUnavailable
from pitrix.packages import service as packages
from pitrix.packages.model import Manifest, Package


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``pitrix package``."""
    app.command()(render)


def render(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory or archive.")] = Path(),
    settings: questions.Settings = None,
    answers: questions.Answers = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the cluster, release or function; the package's by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory to write files to; by default they are printed.")
    ] = None,
) -> None:
    """Show what answers become: cluster.json, manifests, a template. Defaults need not be given."""
    cli = Cli.of(ctx)
    package = _open(cli, path)
    form = packages.form(package)
    given = questions.gather(cli, form, settings=settings or [], file=answers, ask_all=False)
    complete = packages.complete_answers(form, given)
    try:
        made = packages.manifests(package, complete, name=name or packages.release_name(package))
    except ServiceUnavailable as error:
        raise Failure(error.detail, title="This machine cannot render it") from error
    if out is not None:
        _write(cli, made, out)
        return
    cli.result({"manifests": msgspec.to_builtins(made)}, lambda: _print(cli, made))


def _open(cli: Cli, path: Path) -> Package:
    if existing(path).is_dir():
        return package_build.archive(cli, path)[1]
    data = path.read_bytes()
    refuse_broken(cli, data)
    return packages.open_package(data)


def _print(cli: Cli, made: list[Manifest]) -> None:
    """One document as it is; several as a stream of YAML that says where each comes from."""
    for manifest in made:
        if len(made) > 1:
            cli.out.print(f"---\n# Source: {manifest.path}", markup=False, soft_wrap=True)
        cli.out.print(manifest.text.rstrip("\n"), markup=False, soft_wrap=True)
    if not made:
        cli.note("It becomes nothing: no manifest is left with these answers.")


def _write(cli: Cli, made: list[Manifest], out: Path) -> None:
    files = []
    for manifest in made:
        inside = PurePosixPath(manifest.path)
        if inside.is_absolute() or ".." in inside.parts or not inside.parts:
            raise Failure(f"{manifest.path!r} would be written outside of {out}.")
        target = out / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(manifest.text, encoding="utf-8")
        files.append(str(target))

    def as_text() -> None:
        for file in files:
            cli.out.print(f"Wrote {file}", markup=False, soft_wrap=True)

    cli.result({"directory": str(out), "files": files}, as_text)
