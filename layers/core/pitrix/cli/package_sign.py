"""``pitrix package sign`` and ``verify``: who vouches for an archive.

Owns reading keys and passwords on this machine.  The format is `pitrix.packages.provenance`: that of Helm,
for packages of every kind.  A secret key is read, used and forgotten; it is never sent anywhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pitrix.cli.context import Cli
from pitrix.cli.failure import EXIT_FAILED, Failure, WrongUsage
from pitrix.errors import FieldError, InvalidInput
from pitrix.packages import provenance
from pitrix.packages import service as packages
from pitrix.packages.model import Package, Signature, SignatureStatus

_MAX_KEY_FILE_BYTES = 8 * 1024 * 1024

SecretKey = Annotated[
    Path | None,
    typer.Option(
        "--key",
        envvar="PITRIX_SIGNING_KEY",
        help="File with an OpenPGP secret key (gpg --armor --export-secret-keys NAME).",
        metavar="FILE",
    ),
]
PasswordVariable = Annotated[
    str | None,
    typer.Option(
        "--password-env",
        help="Environment variable with the key's password; asked for on a terminal if not given.",
        metavar="VARIABLE",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``pitrix package``."""
    app.command()(sign)
    app.command()(verify)


def sign(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(help="A package's .tgz file.")],
    key: SecretKey = None,
    password_env: PasswordVariable = None,
) -> None:
    """Sign an archive: writes ARCHIVE.prov beside it, as `helm package --sign` does."""
    cli = Cli.of(ctx)
    if key is None:
        raise WrongUsage("Which key?", hint="Give --key FILE, or set PITRIX_SIGNING_KEY.")
    data = _archive(archive)
    signed = make(cli, data, archive.name, packages.open_package(data), key, password_env)
    target = signed.write(archive)

    def as_text() -> None:
        cli.out.print(f"Wrote {target}.", markup=False, soft_wrap=True)
        cli.out.print(signed.signature.message, markup=False, soft_wrap=True)

    cli.result({"file": str(target), "signature": signed.facts()}, as_text)


def verify(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(help="A package's .tgz file.")],
    key: Annotated[
        list[Path],
        typer.Option("--key", help="File with public keys that you trust; repeatable.", metavar="FILE"),
    ],
    beside: Annotated[
        Path | None, typer.Option("--provenance", help="By default ARCHIVE.prov.", metavar="FILE")
    ] = None,
) -> None:
    """Say who signed an archive. Ends with 1 unless it was signed by one of the keys."""
    cli = Cli.of(ctx)
    data = _archive(archive)
    keys = [_read(each, "key") for each in key]
    _check(key, keys)
    found = provenance.verify(data, archive.name, read_provenance(archive, beside), keys)

    def as_text() -> None:
        if found.status is SignatureStatus.UNSIGNED:
            cli.out.print(f"Not signed: there is no {_beside(archive)}.", markup=False, soft_wrap=True)
        else:
            cli.out.print(found.message, markup=False, soft_wrap=True)

    cli.result({"file": str(archive), **msgspec.to_builtins(found)}, as_text)
    if found.status is not SignatureStatus.VERIFIED:
        raise typer.Exit(EXIT_FAILED)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A new provenance, and what it says."""

    provenance: bytes = field(repr=False)
    signature: Signature

    def write(self, archive: Path) -> Path:
        """Write it beside its archive; returns where."""
        target = _beside(archive)
        target.write_bytes(self.provenance)
        return target

    def facts(self) -> dict[str, Any]:
        """Who signed, for a machine."""
        return {"signer": self.signature.signer, "fingerprint": self.signature.fingerprint}


def make(
    cli: Cli, data: bytes, filename: str, package: Package, key: Path, password_env: str | None
) -> Signed:
    """Sign an archive under a name; asks for the key's password where it is needed and can be given.

    Raises:
        WrongUsage: The key or the variable cannot be read.
        InvalidInput: The key cannot sign.
    """
    secret = _read(key, "key")
    password = _password(password_env)
    metadata = provenance.metadata_yaml(package)
    try:
        made = provenance.sign(data, filename, metadata, key=secret, password=password)
    except InvalidInput as error:
        if password is not None or error.errors[0].field != "password":
            raise
        if not cli.interactive:
            raise WrongUsage(
                f"The key in {key} is protected by a password.",
                hint="Put the password into an environment variable and name it with --password-env.",
            ) from error
        password = typer.prompt(f"Password of the key in {key}", hide_input=True, err=True)
        made = provenance.sign(data, filename, metadata, key=secret, password=password)
    # What a stranger will see is said, not what was meant.
    return Signed(
        provenance=made,
        signature=provenance.verify(data, filename, made, [provenance.public_key(secret)]),
    )


def read_provenance(archive: Path, beside: Path | None = None) -> bytes | None:
    """The provenance of an archive; ``None`` when there is no such file and none was named."""
    if beside is not None:
        return _read(beside, "provenance")
    return _read(_beside(archive), "provenance") if _beside(archive).is_file() else None


def _beside(archive: Path) -> Path:
    return archive.with_name(archive.name + provenance.SUFFIX)


def _archive(path: Path) -> bytes:
    if path.is_dir():
        raise WrongUsage(
            f"{path} is a directory; an archive is what is signed.",
            hint=f"Build it: pitrix package build {path}",
        )
    if not path.exists():
        raise WrongUsage(f"There is no {path}.", hint="Give a package's .tgz file.")
    return path.read_bytes()


def _read(path: Path, what: str) -> bytes:
    try:
        if path.stat().st_size > _MAX_KEY_FILE_BYTES:
            raise WrongUsage(f"{path} is too large for a {what}.")
        return path.read_bytes()
    except OSError as error:
        raise WrongUsage(f"The {what} in {path} cannot be read: {error.strerror}.") from error


def _password(variable: str | None) -> str | None:
    if variable is None:
        return None
    if variable not in os.environ:
        raise WrongUsage(
            f"There is no environment variable {variable}.",
            hint="--password-env takes its name, not the password.",
        )
    return os.environ[variable]


def _check(files: list[Path], keys: list[bytes]) -> None:
    """Raises `Failure` with each file that holds no public key."""
    wrong = []
    for path, data in zip(files, keys, strict=True):
        try:
            provenance.check_keys([data])
        except InvalidInput as error:
            wrong.append(FieldError(str(path), error.errors[0].message))
    if wrong:
        raise Failure("There is nothing to verify with.", errors=wrong, title="These keys cannot be used")
