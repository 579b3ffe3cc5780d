"""``pitrix package build``: from a directory to an archive, the same bytes from the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pitrix.cli import package_sign, render
from pitrix.cli.context import Cli
from pitrix.cli.failure import WrongUsage
from pitrix.cli.package_lint import existing, refuse_broken
from pitrix.packages import service as packages
from pitrix.packages.model import Package


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``pitrix package``."""
    app.command()(build)


def build(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A package's directory.")] = Path(),
    to: Annotated[
        Path | None, typer.Option(help="File or directory to write to; by default <name>-<version>.tgz here.")
    ] = None,
    sign: Annotated[bool, typer.Option("--sign", help="Sign it too; needs --key.")] = False,
    key: package_sign.SecretKey = None,
    password_env: package_sign.PasswordVariable = None,
) -> None:
    """Make the archive. The same files give the same bytes, wherever and whenever it is built."""
    cli = Cli.of(ctx)
    if sign and key is None:
        raise WrongUsage("--sign needs a key.", hint="Give --key with the file of a secret key.")
    data, package = archive(cli, path)
    name = filename(package)
    target = Path(name) if to is None else to / name if to.is_dir() else to
    target.parent.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"file": str(target), "name": package.name, "version": package.version,
                             "size_bytes": len(data), "digest": package.digest}  # fmt: skip
    signed = package_sign.make(cli, data, target.name, package, key, password_env) if sign and key else None
    target.write_bytes(data)
    if signed is not None:
        facts["provenance"] = str(signed.write(target))
        facts["signature"] = signed.facts()

    def as_text() -> None:
        size = render.size(len(data))
        cli.out.print(f"Built {target} ({size}, {package.digest})", markup=False, soft_wrap=True)
        if signed is not None:
            cli.out.print(signed.signature.message, markup=False, soft_wrap=True)

    cli.result(facts, as_text)


def archive(cli: Cli, path: Path) -> tuple[bytes, Package]:
    """Build a directory; a broken package is reported whole before the run ends."""
    if not existing(path).is_dir():
        raise WrongUsage(
            f"{path} is not a directory.", hint="Give the directory that the package is made from."
        )
    refuse_broken(cli, path)
    data = packages.build(path)
    return data, packages.open_package(data)


def filename(package: Package) -> str:
    """The name that an archive goes by."""
    return f"{package.name}-{package.version}.tgz"
