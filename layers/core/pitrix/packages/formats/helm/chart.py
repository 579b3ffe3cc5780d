"""The files of a Helm chart as a tree: the chart itself, and the charts that it carries below ``charts/``.

Owns where each file of a chart stands, for both generations (``apiVersion`` v1: ``requirements.yaml``; v2:
``dependencies`` in ``Chart.yaml``), and the limits of charts inside of charts.  Never judges what a file
says: that is `helm.lint`; what could not be read at all is kept with the chart as its problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pitrix.packages import archive
from pitrix.packages.model import Problem
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext, yamltext
from pitrix.packages.text.jsontext import Document, JsonRefused

METADATA = "Chart.yaml"
VALUES = "values.yaml"
SCHEMA = "values.schema.json"
#: Where charts of each generation keep their dependencies and what was resolved for them.
REQUIREMENTS = {"v1": "requirements.yaml", "v2": METADATA}
LOCKS = {"v1": "requirements.lock", "v2": "Chart.lock"}
#: Charts carry charts, which carry charts; umbrellas of the wild are three deep.
MAX_DEPTH = 8
#: Charts in one package, and dependencies of one chart; the largest umbrellas of the wild have some fifty.
MAX_CHARTS = 300
MAX_DEPENDENCIES = 300
#: What all archives inside of one package may hold together.
NESTED_BYTES = archive.LIMITS.unpacked
NESTED_FILES = 10_000


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart.

    Attributes:
        place: Where it stands in the package, to be put before its files' paths: empty for the package
            itself, ``charts/db/``, ``charts/db-1.0.0.tgz/``.
        files: Its own files by path, without those of the charts below it.
        documents: What was read of `METADATA`, `VALUES`, `SCHEMA` and the dependencies' files; what is
            missing or broken is not in it.
        problems: What could not be read, here and below.
    """

    place: str
    files: dict[str, bytes]
    documents: dict[str, Document] = field(default_factory=dict)
    charts: list[Chart] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The decoded ``Chart.yaml``; empty when there is none that could be read."""
        return _mapping(self.documents.get(METADATA))

    @property
    def values(self) -> Mapping[str, Any]:
        """The decoded ``values.yaml``; empty when there is none that could be read."""
        return _mapping(self.documents.get(VALUES))

    @property
    def name(self) -> str:
        found = self.metadata.get("name")
        return found if isinstance(found, str) else ""

    @property
    def version(self) -> str:
        return text(self.metadata.get("version"))

    @property
    def generation(self) -> str:
        """``v1`` or ``v2``; what says neither is read as Helm does: without it, a chart is of the first."""
        return "v2" if self.metadata.get("apiVersion") == "v2" else "v1"

    @property
    def is_library(self) -> bool:
        return self.metadata.get("type") == "library"

    def dependencies(self) -> list[Mapping[str, Any]]:
        """What it says it needs: the first `MAX_DEPENDENCIES`, without those that are no mappings."""
        return _entries(self.documents.get(REQUIREMENTS[self.generation]))

    def locked(self) -> list[Mapping[str, Any]] | None:
        """What was resolved for its dependencies; ``None`` when it carries no lock that could be read."""
        lock = self.documents.get(LOCKS[self.generation])
        return None if lock is None else _entries(lock)

    def walk(self) -> Iterator[Chart]:
        """This chart and all that it carries."""
        yield self
        for each in self.charts:
            yield from each.walk()


def read(files: Files) -> Chart:
    """The chart that these files are; never raises over what they hold."""
    return _Reader().chart(dict(files), "", 0)


def text(value: Any) -> str:
    """A scalar of YAML as Helm makes it text; empty for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""


class _Reader:
    """Reads a tree of charts; what is left of the limits goes down with it."""

    def __init__(self) -> None:
        self._bytes = NESTED_BYTES
        self._files = NESTED_FILES
        self._charts = MAX_CHARTS

    def chart(self, files: dict[str, bytes], place: str, depth: int) -> Chart:
        own = {path: data for path, data in files.items() if not path.startswith("charts/")}
        documents: dict[str, Document] = {}
        problems: list[Problem] = []
        for path in dict.fromkeys((METADATA, VALUES, SCHEMA, *REQUIREMENTS.values(), *LOCKS.values())):
            if path in own:
                reader = jsontext.read if path == SCHEMA else yamltext.read
                try:
                    documents[path] = reader(place + path, own[path])
                except JsonRefused as refused:
                    problems.append(refused.problem)
        charts = list(self._below(files, place, depth, problems))
        return Chart(place=place, files=own, documents=documents, charts=charts, problems=problems)

    def _below(self, files: Files, place: str, depth: int, problems: list[Problem]) -> Iterator[Chart]:
        folders: dict[str, dict[str, bytes]] = {}
        for path, data in files.items():
            head, _, rest = path.removeprefix("charts/").partition("/")
            if path.startswith("charts/") and not head.startswith(("_", ".")):
                folders.setdefault(head, {})[rest] = data
        for head in sorted(folders):
            inner, where = folders[head], f"{place}charts/{head}"
            if self._charts == 0:
                problems.append(
                    Problem(file=where, message=f"the package holds more than {MAX_CHARTS} charts")
                )
                return
            self._charts -= 1
            if depth == MAX_DEPTH:
                problems.append(
                    Problem(file=where, message=f"charts are nested deeper than {MAX_DEPTH} levels")
                )
                return
            if "" not in inner:
                yield self.chart(inner, f"{where}/", depth + 1)
            elif head.endswith(".tgz"):
                packed, found = self._unpack(inner[""], where)
                problems.extend(found)
                if packed:
                    yield self.chart(packed, f"{where}/", depth + 1)
            elif not head.endswith(".prov"):
                hint = "charts/ holds charts alone, as folders or .tgz files: move it elsewhere"
                problems.append(Problem(file=where, message="Helm takes this file for a chart", hint=hint))

    def _unpack(self, data: bytes, where: str) -> tuple[dict[str, bytes], list[Problem]]:
        left = replace(
            archive.LIMITS,
            unpacked=min(archive.LIMITS.unpacked, self._bytes),
            files=min(archive.LIMITS.files, self._files),
        )
        if left.unpacked <= 0 or left.files <= 0:
            limits = f"{NESTED_FILES} files or {NESTED_BYTES} bytes"
            return {}, [
                Problem(file=where, message=f"the charts inside of the package have more than {limits}")
            ]
        files, found = archive.read(data, left)
        # What an archive that was refused had cost is not known: it is taken to be all that was allowed.
        self._bytes -= left.unpacked if found else sum(map(len, files.values()))
        self._files -= len(files)
        return files, [replace(each, file=f"{where}/{each.file}".rstrip("/")) for each in found]


def _mapping(document: Document | None) -> Mapping[str, Any]:
    value = None if document is None else document.value
    return value if isinstance(value, Mapping) else {}


def _entries(document: Document | None) -> list[Mapping[str, Any]]:
    found = _mapping(document).get("dependencies")
    entries = found[:MAX_DEPENDENCIES] if isinstance(found, list) else []
    return [each for each in entries if isinstance(each, Mapping)]
