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

from pitrix.errors import CapabilityMissing, FieldError, InvalidInput, NotFound, PackageInvalid, TooLarge
from pitrix.packages import archive, ports
from pitrix.packages.formats.helm import ignore as helm_ignore
from pitrix.packages.forms import answers as forms
from pitrix.packages.model import (
    ClusterSpec,
    Form,
    FormGroup,
    Manifest,
    Package,
    Problem,
    ServiceSpec,
    Severity,
    printable,
)

__all__ = [
    "aimed",
    "becomes",
    "build",
    "chart",
    "code_archive",
    "complete_answers",
    "complete_service_params",
    "default_answers",
    "demand",
    "form",
    "lint",
    "manifests",
    "open_package",
    "parse_answers",
    "payload_archive",
    "preview",
    "release_name",
    "render",
    "scaffold",
    "schema",
    "schema_names",
    "service_command",
    "service_form",
    "types",
]

#: What a preview may weigh in an answer of the API: Lambda carries 6 MB, with all that is around it.
PREVIEW_BYTES = 5_000_000


def types() -> list[str]:
    """The kinds of packages there are."""
    return ports.types()


def becomes(type: str) -> str:
    """What packages of a kind are at a cloud: machines (``vm``), a release (``helm``), or functions
    (``serverless``).

    Raises:
        CapabilityMissing: There is no such kind.
    """
    return ports.get(type).becomes


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
    if files or not problems:  # of what cannot even be read nothing else is worth saying
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
    metadata = found.metadata(files)
    if not _is_web(metadata.get("home")):
        metadata["home"] = ""  # a page would make a link of it; lint has warned
    return Package(
        **metadata,
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
    """Answers with defaults filled in, all of them checked; see `forms.answers.complete`.

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


def demand(package: Package, answers: Mapping[str, Any], *, name: str = "") -> ClusterSpec:
    """What complete answers ask of a cloud: machines, workloads of a chart, or what is not metered here.

    Args:
        name: Of the cluster, release or function; the package's own when it is empty.

    Raises:
        PackageInvalid: The filled-in template is not valid.
        ServiceUnavailable: A tool that it takes is missing on this machine.
    """
    return ports.get(package.type).demand(package, answers, name or release_name(package))


def aimed(package: Package, answers: Mapping[str, Any], *, provider: str) -> Mapping[str, Any]:
    """Answers (not complete ones) with what the cloud settles filled in: a package may be for several.

    Raises:
        CapabilityMissing: The package has nothing for that cloud.
        InvalidInput: An answer is for another one.
    """
    return ports.get(package.type).aimed(package, answers, provider)


def chart(package: Package, answers: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """What Helm installs for complete answers: the chart's ``.tgz``, and the values that differ from its own.

    Raises:
        CapabilityMissing: The package is no chart.
    """
    from pitrix.packages.formats.helm.format import HelmFormat

    found = ports.get(package.type)
    if not isinstance(found, HelmFormat):
        raise CapabilityMissing(f"{package.name} is no Helm chart.")
    return archive.write(package.files, package.name), found.values(package, answers)


def code_archive(package: Package) -> bytes:
    """The files of a package as a zip archive, which clouds take code in; the same files, the same bytes."""
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as files:
        for path in sorted(package.files):
            member = zipfile.ZipInfo(path)  # of 1980: no clock gets into the bytes
            member.external_attr, member.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            files.writestr(member, package.files[path])
    return packed.getvalue()


def manifests(package: Package, answers: Mapping[str, Any], *, name: str) -> list[Manifest]:
    """What complete answers become, as files to look at: ``cluster.json``, manifests, a template.

    Raises:
        PackageInvalid: The filled-in template is not valid.
        ServiceUnavailable: A tool that it takes is missing on this machine.
    """
    return ports.get(package.type).manifests(package, answers, name)


def release_name(package: Package) -> str:
    """A name for what a package becomes, made of its own: at most 53 characters, as Helm's releases have."""
    return re.sub(r"[^a-z0-9-]+", "-", package.name.lower())[:53].strip("-") or "preview"


def preview(package: Package, answers: Mapping[str, Any] | None, *, name: str = "") -> list[Manifest]:
    """What a package becomes with these answers, small enough to be sent as one answer of the API.

    Args:
        answers: Not complete ones: what is missing is filled in.
        name: Of the cluster, release or function; the package's own when it is empty.

    Raises:
        InvalidInput: An answer is wrong, unknown or missing; or the name cannot be used.
        PackageInvalid: The filled-in template is not valid.
        ServiceUnavailable: A tool that it takes is missing on this machine.
        TooLarge: It would have more than `PREVIEW_BYTES`.
    """
    made = manifests(package, complete_answers(form(package), answers), name=name or release_name(package))
    # Lambda sends an answer as JSON inside of JSON, where a new line has three characters and a quote four.
    shown = json.dumps(json.dumps([{"path": each.path, "text": each.text} for each in made]))
    if len(shown) > PREVIEW_BYTES:
        raise TooLarge(
            f"what {package.name} {package.version} becomes has more than {PREVIEW_BYTES} bytes; "
            "render it on your own machine: pitrix package render"
        )
    return made


def service_form(package: Package, role: str, service: str, locale: str = "en") -> FormGroup:
    """What a custom service of a role asks its caller; no fields when it takes no parameters.

    Raises:
        NotFound: The package has no such role or service.
    """
    try:
        return ports.get(package.type).service_form(package, role, service, locale)
    except KeyError:
        raise NotFound(f"{package.name} has no service {service!r} in role {role!r}") from None


def complete_service_params(
    group: FormGroup, params: Mapping[str, Any] | None, *, locale: str = "en"
) -> dict[str, Any]:
    """Parameters of a custom service, by name, with defaults filled in, all of them checked.

    Args:
        locale: Language in which wrong parameters are told.

    Raises:
        InvalidInput: One `FieldError` for each parameter that is wrong, unknown or missing.
    """
    return forms.complete(Form(locale=locale, groups=[group]), params)


def service_command(service: ServiceSpec, params: Mapping[str, Any] | None = None) -> str:
    """The shell command that calls a service; its parameters follow as one JSON argument.

    Args:
        params: From `complete_service_params`; without them the service is called as it is.
    """
    if not params:
        return service.cmd
    return f"{service.cmd} {shlex.quote(json.dumps(dict(params), ensure_ascii=False))}"


def schema_names() -> list[str]:
    """The JSON Schemas (2020-12) of the files of packages, by name: ``cluster``, ``config``, ..."""
    from pitrix.packages import schema as schemas

    return schemas.names()


def schema(name: str) -> dict[str, Any]:
    """One of `schema_names`, decoded.

    Raises:
        NotFound: There is no such schema.
    """
    from pitrix.packages import schema as schemas

    try:
        return schemas.load(name)
    except KeyError:
        raise NotFound(f"there is no schema {name!r}; there is: {', '.join(schemas.names())}") from None


def _read(source: Path | str | bytes) -> tuple[dict[str, bytes], list[Problem]]:
    if isinstance(source, bytes):
        return archive.read(source)
    path = Path(source)
    if path.is_dir():
        return helm_ignore.applied(*archive.read_directory(path))
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
                hint="a VM package has package.json, config.json and cluster.json.tmpl at its root, "
                "a Helm chart Chart.yaml, a serverless package a package.json of that type",
            )
        ]
    problems = found.lint(files)
    if any(each.severity == Severity.ERROR for each in problems):
        return problems
    home = found.metadata(files).get("home")
    if home and not _is_web(home):
        message = f"the home page {printable(home, 80)!r} is no address of the web; it is left out"
        note = Problem(
            file="", key="/home", severity=Severity.WARNING, message=message, hint="write https://…"
        )
        problems = [*problems, note]
    return problems


def _is_web(address: Any) -> bool:
    """Whether an address can be linked to: ``javascript:`` and its like run in the page that does."""
    return isinstance(address, str) and re.match(r"(?i)https?://[^\s/]", address) is not None


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
