"""What a chart says it needs, what it carries, and what its lock says: whether the three agree.

Owns the rules of Helm about dependencies (which names count, when a lock is out of date, which subcharts are
switched off) and the values that subcharts bring along.  Never fetches anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pitrix.packages.formats.helm import version as helm_version
from pitrix.packages.formats.helm.chart import (
    LOCKS,
    MAX_DEPENDENCIES,
    METADATA,
    REQUIREMENTS,
    Chart,
    text,
)
from pitrix.packages.model import Problem, Severity
from pitrix.packages.text.jsontext import Document

#: Where Helm takes charts from; ``@name`` and ``alias:name`` stand for repositories that a user has added.
_SCHEMES = {"http", "https", "oci", "file", "alias"}
#: Values of a chart and its subcharts that are looked at together.
MAX_VALUES = 20_000
_UPDATE = "run `helm dependency update` and add what it puts into charts/"


def missing(chart: Chart) -> list[str]:
    """Names of the charts that it needs and does not carry: without them Helm renders nothing."""
    carried = {each.name for each in chart.charts}
    return [name for name in dict.fromkeys(_names(chart)) if name not in carried]


def lint(chart: Chart) -> Iterator[Problem]:
    """What is wrong with a chart's dependencies; not those of the charts that it carries."""
    yield from _wrong_generation(chart)
    document = chart.documents.get(REQUIREMENTS[chart.generation])
    if document is not None:
        raw = document.value.get("dependencies") if isinstance(document.value, Mapping) else None
        entries = raw[:MAX_DEPENDENCIES] if isinstance(raw, list) else []
        for index, each in enumerate(entries):
            if isinstance(each, Mapping):
                yield from _entry(chart, document, each, f"/dependencies/{index}")
        yield from _twice(document, entries)
        yield from _lock(chart, document)
    declared = set(_names(chart))
    for each in chart.charts:
        if each.name and each.name not in declared and document is not None:
            yield Problem(
                file=(each.place or chart.place).rstrip("/"),
                severity=Severity.WARNING,
                message=f"the chart {each.name!r} is carried but not named among the dependencies",
                hint=f"add it to the dependencies in {document.file}, or remove it",
            )


def effective_values(chart: Chart) -> dict[str, Any]:
    """The chart's values with those of its subcharts below their names, as Helm puts them together.

    Subcharts that a condition switches off bring none; neither do any when all would be more than
    `MAX_VALUES`: by aliases of aliases, a small package could have them without end.
    """
    if _size(chart, MAX_VALUES) > MAX_VALUES:
        return dict(chart.values)
    values = dict(chart.values)
    for each, name in _mounted(chart):
        given = values.get(name)
        if given is None or isinstance(given, Mapping):
            below = _merged(effective_values(each), given or {})
            shared = values.get("global")
            globals_ = below.get("global")
            below["global"] = _merged(
                globals_ if isinstance(globals_, Mapping) else {},
                shared if isinstance(shared, Mapping) else {},
            )
            values[name] = below
    return values


def _size(chart: Chart, enough: int) -> int:
    """How many values a chart and its subcharts have, counted no further than ``enough``."""
    count = 0
    waiting: list[Any] = [chart.values]
    while waiting and count <= enough:
        value = waiting.pop()
        children = value.values() if isinstance(value, Mapping) else value
        if isinstance(value, Mapping | list):
            count += len(value)
            waiting.extend(each for each in children if isinstance(each, Mapping | list))
    for each, _ in _mounted(chart):
        if count > enough:
            break
        count += 1 + _size(each, enough - count)
    return count


def _names(chart: Chart) -> list[str]:
    return [name for each in chart.dependencies() if isinstance(name := each.get("name"), str)]


def _mounted(chart: Chart) -> Iterator[tuple[Chart, str]]:
    """The subcharts that are switched on, each by the name under which its values stand."""
    for each in chart.charts:
        entries = [entry for entry in chart.dependencies() if entry.get("name") == each.name]
        if not entries and each.name:
            yield each, each.name
        for entry in entries:
            alias = entry.get("alias")
            if _enabled(entry, chart.values):
                yield each, alias if isinstance(alias, str) and alias else each.name


def _enabled(entry: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """The first path of a condition that leads to true or false decides; else one tag that is true."""
    for path in text(entry.get("condition")).split(","):
        found = _at(values, path.strip())
        if isinstance(found, bool):
            return found
    tags, switches = entry.get("tags"), values.get("tags")
    if isinstance(tags, list) and isinstance(switches, Mapping):
        said = [switches[tag] for tag in tags if isinstance(tag, str) and isinstance(switches.get(tag), bool)]
        return any(said) if said else True
    return True


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings in one; what is null above takes away what is below."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result


def _wrong_generation(chart: Chart) -> Iterator[Problem]:
    """Files of the one generation in a chart of the other: Helm does not read them."""
    other = "v1" if chart.generation == "v2" else "v2"
    if chart.generation == "v2":
        for path, instead in ((REQUIREMENTS[other], METADATA), (LOCKS[other], LOCKS["v2"])):
            if path in chart.files:
                yield Problem(
                    file=chart.place + path,
                    severity=Severity.WARNING,
                    message=f"Helm does not read {path} in a chart of apiVersion v2",
                    hint=f"move what it says to {instead}",
                )
    elif chart.metadata.get("dependencies") and (document := chart.documents.get(METADATA)):
        yield document.problem(
            "/dependencies",
            "dependencies stand in Chart.yaml from apiVersion v2 on",
            "say apiVersion: v2, or move them to requirements.yaml",
            Severity.WARNING,
        )


def _entry(chart: Chart, document: Document, entry: Mapping[str, Any], at: str) -> Iterator[Problem]:
    name, wanted = text(entry.get("name")), text(entry.get("version"))
    yield from _range(document, wanted, at)
    repository = text(entry.get("repository"))
    if repository and not repository.startswith("@") and urlsplit(repository).scheme not in _SCHEMES:
        yield document.problem(
            f"{at}/repository",
            f"{repository[:80]!r} is no place that Helm takes charts from",
            "give https://…, oci://…, file://../chart, or @name of a repository that was added",
        )
    for path in filter(None, (each.strip() for each in text(entry.get("condition")).split(","))):
        found = _at(chart.values, path)
        if found is not None and not isinstance(found, bool):
            yield document.problem(
                f"{at}/condition", f"{path} is {found!r:.40} in values.yaml, which is neither true nor false"
            )
    carried = [each for each in chart.charts if each.name == name]
    if name and not carried:
        message = f"the chart {name!r} is needed but not in charts/"
        yield document.problem(at, message, _UPDATE, Severity.WARNING)
    fitting = [each for each in carried if _fits(each.version, wanted)]
    if carried and not fitting:
        message = f"charts/ holds {name} {carried[0].version}, which is not in the range {wanted!r}"
        yield document.problem(f"{at}/version", message, _UPDATE, Severity.WARNING)


def _range(document: Document, wanted: str, at: str) -> Iterator[Problem]:
    try:
        helm_version.Range(wanted)
    except ValueError as error:
        hint = "give a version or a range, such as 1.2.3, ^1.2.0 or >=1.2 <2"
        yield document.problem(f"{at}/version", f"no range of versions: {error}", hint)


def _fits(version: str, wanted: str) -> bool:
    """Whether a version is in a range; what is no version or no range is told elsewhere."""
    found = helm_version.parse(version)
    try:
        return found is None or found in helm_version.Range(wanted)
    except ValueError:
        return True


def _twice(document: Document, entries: list[Any]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(entries):
        if not isinstance(each, Mapping):
            continue
        mounted = text(each.get("alias")) or text(each.get("name"))
        if mounted and mounted in seen:
            yield document.problem(
                f"/dependencies/{index}",
                f"two dependencies are called {mounted!r}: their values would be the same",
                "give one of them an alias",
            )
        seen.add(mounted)


def _lock(chart: Chart, document: Document) -> Iterator[Problem]:
    path = LOCKS[chart.generation]
    locked, lock = chart.locked(), chart.documents.get(path)
    if locked is None or lock is None:
        return
    why = _out_of_date(chart, locked, lock)
    if why:
        yield lock.problem(
            "", f"{path} is out of date: {why}", "run `helm dependency update`", Severity.WARNING
        )


def _out_of_date(chart: Chart, locked: list[Mapping[str, Any]], lock: Document) -> str:
    wanted = chart.dependencies()
    resolved = {text(each.get("name")): text(each.get("version")) for each in locked}
    for each in wanted:
        name, version = text(each.get("name")), text(each.get("version"))
        if name not in resolved:
            return f"it lacks {name}"
        if not _fits(resolved[name], version):
            return f"it has {name} {resolved[name]}, which is not in the range {version!r}"
    extra = sorted(set(resolved) - set(_names(chart)))
    if extra:
        return f"it has {extra[0]}, which is no longer needed"
    digest = lock.value.get("digest") if isinstance(lock.value, Mapping) else None
    if isinstance(digest, str) and wanted and digest not in _digests(wanted, locked):
        return "the dependencies were changed after it was written"
    return ""


def _digests(wanted: list[Mapping[str, Any]], locked: list[Mapping[str, Any]]) -> set[str]:
    """The digests that Helm gives a lock: of both lists as Go writes them in JSON; Helm 2's of one alone."""
    both = [[_as_go(each) for each in wanted], [_as_go(each) for each in locked]]
    return {_digest(both), _digest({"dependencies": both[0]})}


def _digest(value: Any) -> str:
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for each in "<>&":
        plain = plain.replace(each, f"\\u{ord(each):04x}")
    return f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}"


def _as_go(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One dependency with its fields in Helm's order, empty ones left out but for the repository."""
    fields = ("name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias")
    result: dict[str, Any] = {}
    for key in fields:
        value = entry.get(key)
        if key in ("name", "version", "repository", "condition", "alias"):
            value = text(value)
        if value or key in ("name", "repository"):
            result[key] = value
    return result
