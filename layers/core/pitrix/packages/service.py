"""What can be done with packages: open, lint, ask, answer, render, build, start a new one.

The only door of this context.  Everything here is pure (bytes and values in, values out) but `lint` and
`build`, which read what a path names.  Heavy libraries are imported when they are first needed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pitrix.errors import FieldError, InvalidInput, NotFound, PackageInvalid
from pitrix.packages import archive, ports
from pitrix.packages import form as forms
from pitrix.packages.model import (
    ClusterSpec,
    Form,
    FormGroup,
    Manifest,
    Package,
    Problem,
    ServiceSpec,
    Severity,
)

__all__ = [
    "build",
    "complete_answers",
    "complete_service_params",
    "default_answers",
    "form",
    "lint",
    "manifests",
    "open_package",
    "parse_answers",
    "payload_archive",
    "render",
    "scaffold",
    "service_command",
    "service_form",
]


def lint(source: Path | str | bytes, *, deeply: bool = False) -> list[Problem]:
    """Everything wrong with a package: an archive (bytes, or the path of one) or a directory.

    Never raises over what a package holds.  Errors come first, then by file and line.

    Args:
        deeply: Run other tools and the package's own code too.  Only where it is trusted: on the machine
            of its author, never on the platform.

    Raises:
        NotFound: There is nothing at that path.
    """
    files, problems = _read(source)
    problems = problems + _lint_files(files)
    found = ports.detect(files)
    if deeply and found is not None:
        problems = problems + found.lint_deeply(files)
    return sorted(problems, key=lambda each: (each.severity != Severity.ERROR, each.file, each.line))


def open_package(data: bytes) -> Package:
    """Open an archive.

    Raises:
        PackageInvalid: With every problem of the weight of an error.
    """
    files, problems = archive.read(data)
    problems = problems + _lint_files(files)
    errors = [each for each in problems if each.severity == Severity.ERROR]
    found = ports.detect(files)
    if errors or found is None:
        raise _invalid(errors)
    return Package(
        **found.metadata(files),
        files=files,
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        warnings=[each for each in problems if each.severity == Severity.WARNING],
    )


def build(directory: Path | str) -> bytes:
    """The ``.tgz`` of a package's directory; the same files give the same bytes.

    Raises:
        NotFound: There is no such directory.
        PackageInvalid: With every problem of the weight of an error.
    """
    files, problems = _read(Path(directory))
    errors = [each for each in problems + _lint_files(files) if each.severity == Severity.ERROR]
    found = ports.detect(files)
    if errors or found is None:
        raise _invalid(errors)
    return archive.write(files, found.metadata(files)["name"])


def payload_archive(package: Package) -> bytes | None:
    """The ``.tgz`` that a machine unpacks as its application's folder; ``None`` when there is no payload.

    Only what is below ``payload/``: templates and forms are nothing that a machine should see.
    """
    return archive.write(package.payload, ".") if package.payload else None


def scaffold(name: str, type: str = "vm") -> dict[str, bytes]:
    """The files of a new package, by path: valid as they are, and small enough to be read.

    Raises:
        InvalidInput: The name or the type is not allowed.
    """
    errors = []
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        errors.append(FieldError("name", "must be 1 to 63 lower-case letters, digits and dashes"))
    if type not in ports.types():
        errors.append(FieldError("type", f"must be one of: {', '.join(ports.types())}"))
    if errors:
        raise InvalidInput("the package cannot be created", errors=errors)
    return ports.get(type).scaffold(name)


def form(package: Package, locale: str = "en") -> Form:
    """What the package asks, in a language (``en``, ``zh-cn``, ...); untranslated texts as they are."""
    return ports.get(package.type).form(package, locale)


def default_answers(form: Form) -> dict[str, Any]:
    """The answers of someone who answers nothing.  Not checked: something required may be empty."""
    return forms.default_answers(form)


def complete_answers(form: Form, answers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Answers with defaults filled in, all of them checked; see `pitrix.packages.form.complete`.

    Raises:
        InvalidInput: One `FieldError` (named by the key of its field) for each answer that is wrong,
            unknown or missing.
    """
    return forms.complete(form, answers)


def parse_answers(form: Form, flat: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Nested answers from texts by field key, as a command line or an HTML form gives them.

    Raises:
        InvalidInput: One `FieldError` for each key that is unknown and each text of the wrong type.
    """
    return forms.parse_answers(form, flat)


def render(
    package: Package, answers: Mapping[str, Any], *, links: Mapping[str, str] | None = None
) -> ClusterSpec:
    """What to build.

    Args:
        answers: Complete ones, from `complete_answers`.
        links: Name of a link to the id of the cluster it leads to; wins over the answers.

    Raises:
        PackageInvalid: The filled-in template is not valid.
    """
    return ports.get(package.type).render(package, answers, links or {})


def manifests(package: Package, answers: Mapping[str, Any], *, name: str) -> list[Manifest]:
    """What complete answers become, as files to look at: ``cluster.json``, manifests, a template.

    Raises:
        PackageInvalid: The filled-in template is not valid.
        ServiceUnavailable: A tool that it takes is missing on this machine.
    """
    return ports.get(package.type).manifests(package, answers, name)


def service_form(package: Package, role: str, service: str, locale: str = "en") -> FormGroup:
    """What a custom service of a role asks its caller; no fields when it takes no parameters.

    Raises:
        NotFound: The package has no such role or service.
    """
    try:
        return ports.get(package.type).service_form(package, role, service, locale)
    except KeyError:
        raise NotFound(f"{package.name} has no service {service!r} in role {role!r}") from None


def complete_service_params(group: FormGroup, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters of a custom service, by name, with defaults filled in, all of them checked.

    Raises:
        InvalidInput: One `FieldError` for each parameter that is wrong, unknown or missing.
    """
    return forms.complete(Form(groups=[group]), params)


def service_command(service: ServiceSpec, params: Mapping[str, Any] | None = None) -> str:
    """The shell command that calls a service; its parameters follow as one JSON argument.

    Args:
        params: From `complete_service_params`; without them the service is called as it is.
    """
    if not params:
        return service.cmd
    return f"{service.cmd} {shlex.quote(json.dumps(dict(params), ensure_ascii=False))}"


def _read(source: Path | str | bytes) -> tuple[dict[str, bytes], list[Problem]]:
    if isinstance(source, bytes):
        return archive.read(source)
    path = Path(source)
    if path.is_dir():
        return archive.read_directory(path)
    if not path.is_file():
        raise NotFound(f"there is no package at {path}")
    if path.stat().st_size > archive.LIMITS.packed:
        message = f"the archive has {path.stat().st_size} bytes; the limit is {archive.LIMITS.packed}"
        return {}, [Problem(file="", message=message)]
    return archive.read(path.read_bytes())


def _lint_files(files: Mapping[str, bytes]) -> list[Problem]:
    found = ports.detect(files)
    if found is None:
        return [
            Problem(
                file="",
                message="this is no kind of package that is known",
                hint="a VM package has package.json, config.json and cluster.json.tmpl at its root",
            )
        ]
    return found.lint(files)


def _invalid(errors: list[Problem]) -> PackageInvalid:
    first = errors[0] if errors else Problem(file="", message="the package is empty")
    where = f" in {first.file}" + (f" line {first.line}" if first.line else "") if first.file else ""
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return PackageInvalid(
        f"{first.message}{where}{more}",
        errors or [first],
        errors=[FieldError(_place(each), _sentence(each)) for each in errors or [first]],
    )


def _place(problem: Problem) -> str:
    line = f":{problem.line}" if problem.line else ""
    return f"{problem.file or 'package'}{line}{'#' + problem.key if problem.key else ''}"


def _sentence(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
