"""A chart given to the real Helm: what it renders to, and what `helm lint` finds in it.

Owns writing the chart where Helm reads it, and turning what Helm says into manifests and problems.  A chart
is a stranger's: Helm gets no network, no cluster, no environment and nothing but its own files (`helm.binary`
bounds it); schemas are written without their references to elsewhere, since Helm would follow them.  Charts
inside of archives are written unpacked for the same reason.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pitrix.errors import FieldError, InvalidInput, PackageInvalid, ServiceUnavailable
from pitrix.packages.formats.helm import binary as helm_binary
from pitrix.packages.formats.helm import chart as helm_chart
from pitrix.packages.formats.helm import lint as helm_lint
from pitrix.packages.formats.helm import schema as helm_schema
from pitrix.packages.formats.helm import version as helm_version
from pitrix.packages.formats.helm.chart import SCHEMA, Chart
from pitrix.packages.model import Manifest, Problem, Severity
from pitrix.packages.ports import Files

TIMEOUT_S = 20.0
#: `helm template` on names of releases (Kubernetes labels set the length).
_RELEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
MAX_RELEASE = 53
#: Beside the chart's folder, which has its name: no name of a chart begins like this.
_VALUES = "_values.json"
#: Characters of an error of Helm that are looked at, from its beginning and from its end.
MAX_SAID = 4000
#: The versions of Kubernetes tried for a chart that does not run on the one that Helm takes for granted.
_KUBERNETES = [f"1.{minor}.0" for minor in range(35, 15, -1)]

_SOURCE = re.compile(r"^---\n# Source: (.*)\n", re.MULTILINE)
#: Where Helm names the line of a template in its errors: ``demo/templates/a.yaml:3:14``.
_PLACE = re.compile(r"([\w.+@-]{1,250}(?:/[\w.+@ -]{1,200}){1,20}?):(\d{1,9})(?::\d+)?")
_FILE = re.compile(r"(?: on | in )([\w.+@-]{1,250}(?:/[\w.+@ -]{1,200}){1,20}?)(?=[:\s])")
_FINDING = re.compile(r"^\[(INFO|WARNING|ERROR)\] ([^:\n]*): ?(.*)$")


def manifests(files: Files, values: Mapping[str, Any], name: str) -> list[Manifest]:
    """What the chart becomes with these values, one manifest for each template that says anything.

    Raises:
        InvalidInput: ``name`` is no name of a release.
        PackageInvalid: The chart is a library, lacks a dependency, refuses the values, or cannot be rendered
            (within the limits).
        ServiceUnavailable: There is no Helm on this machine.
    """
    if len(name) > MAX_RELEASE or not _RELEASE.fullmatch(name):
        text = f"must be 1 to {MAX_RELEASE} lower-case letters, digits, dashes and dots"
        raise InvalidInput(f"{name[:60]!r} is no name of a release", errors=[FieldError("name", text)])
    chart = helm_chart.read(files)
    if blocking := helm_lint.blocking(chart):
        raise _invalid(blocking)
    with tempfile.TemporaryDirectory(prefix="chart-") as folder:
        _write(chart, Path(folder, chart.name))
        Path(folder, _VALUES).write_text(json.dumps(values), "utf-8")
        args = ["template", name, f"./{chart.name}", "--values", _VALUES, "--include-crds"]
        done = _run(chart, [*args, *_kube_version(chart)], folder)
    if done.returncode:
        raise _invalid([_problem(chart, done.stderr)])
    return _split(chart, done.stdout.decode("utf-8", "replace"))


def lint_deeply(files: Files) -> list[Problem]:
    """What `helm lint` finds beyond `helm.lint.lint`; that Helm is missing is a warning."""
    chart = helm_chart.read(files)
    known = helm_lint.lint(files)
    if any(each.severity == Severity.ERROR for each in known) or not chart.name:
        return []  # Helm would say the same again, and nothing of what stands behind it
    with tempfile.TemporaryDirectory(prefix="chart-") as folder:
        _write(chart, Path(folder, chart.name))
        try:
            done = _run(chart, ["lint", f"./{chart.name}", "--strict=false"], folder)
        except PackageInvalid as error:
            return list(error.problems)
        except ServiceUnavailable as error:
            return [
                Problem(
                    file="", severity=Severity.WARNING, message=f"`helm lint` was not run: {error.detail}"
                )
            ]
    findings = _findings(chart, done.stdout.decode("utf-8", "replace"))
    return [each for each in findings if not _is_known(each, known)]


def unpack(files: Files, folder: Path) -> Path:
    """Write a chart into ``folder`` for Helm to install; the folder of the chart in it.

    Raises:
        PackageInvalid: Helm could not install it: it is a library, or lacks a dependency.
    """
    chart = helm_chart.read(files)
    if blocking := helm_lint.blocking(chart):
        raise _invalid(blocking)
    _write(chart, folder / chart.name)
    return folder / chart.name


def _write(chart: Chart, folder: Path) -> None:
    """Write a chart and all below it as folders; the paths were checked when the archive was read."""
    for path, data in chart.files.items():
        if path == ".helmignore":
            continue  # of folders that are packed, and this one was: Helm would apply it again
        if path == SCHEMA and path in chart.documents:
            data = json.dumps(helm_schema.offline(chart.documents[SCHEMA].value, bundled=False)).encode()
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(chart.charts):
        _write(each, folder / "charts" / f"chart-{number}")


def _run(chart: Chart, args: list[str], folder: str) -> helm_binary.Finished:
    try:
        return helm_binary.run(args, cwd=folder, timeout_s=TIMEOUT_S)
    except helm_binary.HelmStopped as stopped:
        hint = "look for templates that call themselves, or that repeat without end"
        raise _invalid([Problem(file=chart.place, message=stopped.detail, hint=hint)]) from None


def _kube_version(chart: Chart) -> list[str]:
    """The newest version of Kubernetes that the chart allows, where it does not allow Helm's own."""
    wanted = helm_chart.text(chart.metadata.get("kubeVersion"))
    try:
        allowed = helm_version.Range(wanted)
    except ValueError:
        return []
    fitting = [each for each in _KUBERNETES if (at := helm_version.parse(each)) and at in allowed]
    return ["--kube-version", fitting[0]] if fitting and fitting[0] != _KUBERNETES[0] else []


def _split(chart: Chart, text: str) -> list[Manifest]:
    """Helm's output by the files it came from, in the order in which they are first met.

    A template can write what looks like Helm's own mark: only what could be a file of the chart is one.
    """
    texts: dict[str, list[str]] = {}
    path = "templates/"
    position = 0
    for mark in _SOURCE.finditer(text):
        texts.setdefault(path, []).append(text[position : mark.start()])
        position = mark.end()
        path = _path(chart, mark[1]) or path
    texts.setdefault(path, []).append(text[position:])
    found = {path: [each.strip() for each in parts if each.strip()] for path, parts in texts.items()}
    return [Manifest(path=path, text="\n---\n".join(parts) + "\n") for path, parts in found.items() if parts]


def _path(chart: Chart, source: str) -> str:
    """A source as Helm names it (``demo/templates/a.yaml``) as a path in the chart; empty when it is none."""
    head, _, rest = source.partition("/")
    parts = rest.split("/")
    sound = head == chart.name and len(rest) < 1000 and all(part and part.strip(".") for part in parts)
    return rest if sound and rest.isprintable() and "\\" not in rest else ""


def _problem(chart: Chart, said: str) -> Problem:
    """An error of Helm with the file and the line that it names; the innermost place is the cause."""
    text = said.partition("\nUse --debug")[0].strip().removeprefix("Error: ")
    if len(text) > 2 * MAX_SAID:  # a template can make Helm say anything
        text = f"{text[:MAX_SAID]} … {text[-MAX_SAID:]}"
    if "fatal error:" in text or "goroutine " in text:
        return Problem(file="", message=f"Helm broke down on the chart: {text.splitlines()[0][:200]}")
    places = [(found[1], int(found[2])) for found in _PLACE.finditer(text) if _path(chart, found[1])]
    if not places:
        places = [(found[1], 0) for found in _FILE.finditer(text) if _path(chart, found[1])]
    file, line = places[-1] if places else (f"{chart.name}/", 0)
    return Problem(file=_path(chart, file), line=line, message=_short(text, chart.name))


def _short(text: str, name: str) -> str:
    """What Helm says, in one line; of a chain of includes the end counts, where the cause is."""
    plain = " ".join(text.split()).replace(f"{name}/", "")
    return plain if len(plain) <= 600 else f"{plain[:200]} … {plain[-380:]}"


def _findings(chart: Chart, said: str) -> Iterator[Problem]:
    """The findings of `helm lint`, which may go on over several lines."""
    entries: list[list[str]] = []
    for line in said.splitlines():
        if (found := _FINDING.match(line)) is not None:
            entries.append([found[1], found[2], found[3]])
        elif line.startswith("==>") or re.match(r"\d+ chart\(s\) linted", line):
            continue
        elif entries and line.strip():
            entries[-1][2] += f"\n{line}"
    for level, file, text in entries:
        if level == "INFO":
            continue
        severity = Severity.ERROR if level == "ERROR" else Severity.WARNING
        told = _problem(chart, text)
        place = told.file or (file if file in chart.files or file == "templates/" else "")
        hint = "this is what `helm lint` says"
        yield Problem(file=place, line=told.line, severity=severity, message=told.message, hint=hint)


def _is_known(finding: Problem, known: list[Problem]) -> bool:
    """Whether our own lint has told of it, in its own words."""
    if "missing these dependencies" in finding.message:
        return True
    same = [each for each in known if each.file == finding.file]
    if finding.file in ("Chart.yaml", "values.yaml"):
        return bool(same)
    # Values that break the schema are told twice by Helm: for values.yaml and, in full, for templates/.
    if "meet the specifications of the schema" in finding.message:
        return any("values.schema.json" in each.message for each in known)
    return any(each.line == finding.line for each in same)


def _invalid(problems: list[Problem]) -> PackageInvalid:
    first = problems[0]
    where = f" ({first.file}{f' line {first.line}' if first.line else ''})" if first.file else ""
    errors = [FieldError(each.file or "package", str(each)) for each in problems]
    return PackageInvalid(f"{first.message}{where}", problems, errors=errors)
