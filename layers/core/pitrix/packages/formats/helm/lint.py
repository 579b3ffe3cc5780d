"""Everything that is wrong with a Helm chart, at once: file, line, key, what and how to mend it.

Owns the order of the checks and those of ``Chart.yaml``; the other files' stand in `helm.dependencies`,
`helm.schema` and `helm.templates`.  Runs nothing: what only Helm itself finds is `helm.render.lint_deeply`'s.
Charts that a chart carries are its author's as little as ours: of them only errors are told, and their
schemas are Helm's to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pitrix.packages import schema
from pitrix.packages.formats.helm import chart as helm_chart
from pitrix.packages.formats.helm import dependencies, templates
from pitrix.packages.formats.helm import schema as helm_schema
from pitrix.packages.formats.helm import version as helm_version
from pitrix.packages.formats.helm.chart import METADATA, SCHEMA, VALUES, Chart
from pitrix.packages.model import Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text.jsontext import Document

#: Helm itself refuses larger files in an archive.
MAX_FILE_BYTES = 5 * 1024 * 1024
#: What Kubernetes and the names of releases can bear.
_PLAIN_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_URL = re.compile(r"(https?|data|oci):", re.IGNORECASE)


def lint(files: Files) -> list[Problem]:
    """Every problem of a chart; never raises over what it holds."""
    root = helm_chart.read(files)
    problems = list(_chart(root))
    for below in root.walk():
        problems += below.problems
        if below is not root:
            problems += [each for each in _chart(below) if each.severity == Severity.ERROR]
    return problems


def _chart(chart: Chart) -> Iterator[Problem]:
    for document in chart.documents.values():
        yield from document.warnings
    metadata = chart.documents.get(METADATA)
    if metadata is not None:
        broken = schema.check(metadata, "chart")
        yield from broken
        if isinstance(metadata.value, Mapping):
            yield from _metadata(chart, metadata)
    elif METADATA not in chart.files:
        yield Problem(
            file=chart.place + METADATA,
            message=f"{METADATA} is missing",
            hint="add it to the root of the chart, spelled like this",
        )
    yield from dependencies.lint(chart)
    yield from _values(chart)
    yield from templates.lint(chart.files, chart.place)
    yield from _files(chart)


def _metadata(chart: Chart, document: Document) -> Iterator[Problem]:
    def warn(key: str, message: str, hint: str = "") -> Problem:
        return document.problem(f"/{key}", message, hint, Severity.WARNING)

    raw = document.value
    name, version = raw.get("name"), raw.get("version")
    if isinstance(name, str) and name and not _PLAIN_NAME.fullmatch(name):
        yield warn(
            "name", f"{name[:60]!r} is unusual", "lower-case letters, digits and dashes are the custom"
        )
    if isinstance(version, str):
        yield from _version(document, version)
    if isinstance(raw.get("appVersion"), int | float):
        shown = helm_chart.text(raw["appVersion"])
        yield warn("appVersion", f"YAML reads this as the number {shown}", f'write appVersion: "{shown}"')
    if isinstance(raw.get("kubeVersion"), str):
        try:
            helm_version.Range(raw["kubeVersion"])
        except ValueError as error:
            yield document.problem(
                "/kubeVersion", f"no range of versions: {error}", 'such as ">=1.28.0-0" or "1.28 - 1.33"'
            )
    if chart.generation == "v1" and raw.get("type"):
        yield warn("type", "charts of apiVersion v1 have no type", "say apiVersion: v2")
    if raw.get("deprecated") is True:
        yield warn("deprecated", "the chart is marked as deprecated")
    icon = raw.get("icon")
    if isinstance(icon, str) and icon and not _URL.match(icon) and icon not in chart.files:
        yield warn("icon", f"there is no file {icon[:100]!r}", "add it, or give a URL")


def _version(document: Document, version: str) -> Iterator[Problem]:
    if helm_version.parse(version) is None:
        yield document.problem(
            "/version",
            f"{version[:60]!r} is not a semantic version",
            "write MAJOR.MINOR.PATCH, such as 1.0.0 or 1.2.0-beta.1",
        )
    elif not helm_version.is_strict(version):
        yield document.problem(
            "/version",
            f"{version[:60]!r} is not a semantic version to the letter; Helm takes it all the same",
            "write MAJOR.MINOR.PATCH without a v in front",
            Severity.WARNING,
        )


def _values(chart: Chart) -> Iterator[Problem]:
    values, described = chart.documents.get(VALUES), chart.documents.get(SCHEMA)
    if values is not None and values.value is not None and not isinstance(values.value, Mapping):
        yield values.problem("", "values.yaml must be a mapping at its top", "write `key: value` lines")
        return
    if described is not None and not chart.place:
        yield from helm_schema.lint(described, values, dependencies.effective_values(chart))


def _files(chart: Chart) -> Iterator[Problem]:
    for path, data in chart.files.items():
        if len(data) > MAX_FILE_BYTES:
            message = f"has {len(data)} bytes; Helm refuses files of more than {MAX_FILE_BYTES}"
            yield Problem(file=chart.place + path, message=message)
        if path.startswith("crds/") and b"{{" in data and path.endswith((".yaml", ".yml")):
            yield Problem(
                file=chart.place + path,
                line=data.count(b"\n", 0, data.index(b"{{")) + 1,
                severity=Severity.WARNING,
                message="files in crds/ are no templates: {{ stays as it is",
                hint="move it to templates/, or write it out",
            )
    makes_something = any(path.startswith(("templates/", "crds/")) for path in chart.files)
    if not makes_something and not chart.charts and not chart.dependencies():
        yield Problem(
            file=f"{chart.place}templates/",
            severity=Severity.WARNING,
            message="there are no templates: the chart installs nothing",
            hint="add manifests to templates/",
        )


def blocking(chart: Chart) -> list[Problem]:
    """Why a chart that is otherwise sound cannot be rendered: it is a library, or lacks what it needs."""
    document = chart.documents[METADATA]
    if chart.is_library:
        message = "a library chart is a part of other charts: it cannot be deployed by itself"
        return [document.problem("/type", message, "deploy a chart that uses it")]
    document = chart.documents.get(helm_chart.REQUIREMENTS[chart.generation], document)
    names = [each.get("name") for each in chart.dependencies()]
    return [
        document.problem(
            f"/dependencies/{names.index(name)}",
            f"the chart {name!r} is needed but not in charts/, and nothing is fetched here",
            "run `helm dependency update` and publish the chart with what it puts into charts/",
        )
        for name in dependencies.missing(chart)
    ]
