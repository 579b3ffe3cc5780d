"""The index of a directory of charts, made from nothing: what ``helm repo index`` does, and quicker.

Owns reading many archives at once in bounded memory: of each only ``Chart.yaml`` is unpacked; entries go to a
file on disk as JSON text and are put together in the end without being decoded.  The index is written as
JSON, which is YAML, and which Helm 3.14 and later reads many times faster.  Never touches the archives, never
lints them (what is no chart is left out and named), and never keeps an index up to date: a repository of the
platform does (`pitrix.catalog.charts`).
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from pitrix.clock import rfc3339
from pitrix.errors import NotFound
from pitrix.packages import chart_entry
from pitrix.packages.formats.helm import version as helm_version

#: Archives that one process reads before it tells: long enough that talking costs nothing.
_CHUNK: Final = 50
#: Up to so many archives, other processes take longer to start than they would help.
_ALONE_UP_TO: Final = 200
#: The largest archive that is read; what the platform takes.
MAX_ARCHIVE_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file that looks like a chart's archive and is none; ``why`` is for a person."""

    file: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an index holds, and what it does not."""

    charts: int
    versions: int
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One version; ``text`` is its entry as JSON."""

    name: str
    version: str
    text: bytes


def build(directory: Path, url: str = "", *, into: IO[bytes], workers: int | None = None) -> Report:
    """Write the index of every ``*.tgz`` in a directory and in the directories right below it, as Helm does.

    Args:
        url: What the addresses of the archives begin with; without one they are relative to the index.
        into: A binary stream; nothing is read back from it.
        workers: Processes that read archives; by default one a processor.

    Raises:
        NotFound: There is no such directory.
    """
    if not directory.is_dir():
        raise NotFound(f"there is no directory {directory}")
    found = sorted(path.relative_to(directory).as_posix() for path in _archives(directory))
    generated = rfc3339(datetime.now(UTC))
    read = partial(_read_all, str(directory), url.rstrip("/"), generated)
    chunks = [found[start : start + _CHUNK] for start in range(0, len(found), _CHUNK)]
    with tempfile.TemporaryFile() as spilled:
        return _write(_results(read, chunks, len(found), workers), spilled, into, generated)


def _archives(directory: Path) -> Iterator[Path]:
    yield from directory.glob("*.tgz")
    yield from directory.glob("*/*.tgz")


def _results(
    read: Any, chunks: Sequence[list[str]], files: int, workers: int | None
) -> Iterator[tuple[list[_Entry], list[Skipped]]]:
    wanted = workers or os.cpu_count() or 1
    if files <= _ALONE_UP_TO or wanted == 1:
        yield from map(read, chunks)
        return
    import multiprocessing
    import threading

    # A fork is there at once and shares what is loaded, but would break the locks of other threads.
    alone = threading.active_count() == 1 and sys.platform == "linux"
    if alone:
        chart_entry.load_libraries()
    context = multiprocessing.get_context("fork" if alone else "spawn")
    # What is read holds no cycles, and the workers end soon.
    with ProcessPoolExecutor(wanted, mp_context=context, initializer=gc.disable) as pool:
        yield from pool.map(read, chunks)


def _read_all(
    directory: str, url: str, created: str, files: Iterable[str]
) -> tuple[list[_Entry], list[Skipped]]:
    entries, skipped = [], []
    for file in files:
        try:
            entries.append(_read(os.path.join(directory, file), file, url, created))
        except (chart_entry.ChartUnreadable, OSError) as error:
            skipped.append(Skipped(file=file, why=str(error)))
    return entries, skipped


def _read(path: str, file: str, url: str, created: str) -> _Entry:
    with open(path, "rb") as stream:
        archive = stream.read(MAX_ARCHIVE_BYTES + 1)
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise chart_entry.ChartUnreadable(f"the archive is larger than {MAX_ARCHIVE_BYTES:,} bytes")
    made = chart_entry.entry(
        chart_entry.read_chart(archive),
        digest=hashlib.sha256(archive).hexdigest(),
        created=created,
        urls=[f"{url}/{quote(file, safe='/+')}" if url else quote(file, safe="/+")],
    )
    name, version = made.get("name", ""), made.get("version", "")
    if not name or helm_version.parse(version) is None:
        raise chart_entry.ChartUnreadable("Chart.yaml has no name, or no version that Helm takes")
    return _Entry(name, version, chart_entry.encode(made))


def _write(
    results: Iterable[tuple[list[_Entry], list[Skipped]]], spilled: IO[bytes], into: IO[bytes], generated: str
) -> Report:
    places: dict[str, list[tuple[str, int, int]]] = {}
    skipped: list[Skipped] = []
    position = 0
    for entries, left_out in results:
        skipped += left_out
        for each in entries:
            spilled.write(each.text)
            places.setdefault(each.name, []).append((each.version, position, len(each.text)))
            position += len(each.text)
    spilled.flush()
    into.write(b'{"apiVersion":"v1","generated":' + json.dumps(generated).encode() + b',"entries":{')
    for number, name in enumerate(sorted(places)):
        into.write((b",\n" if number else b"\n") + json.dumps(name, ensure_ascii=False).encode() + b":[")
        # The highest first, as Helm has it.
        places[name].sort(key=lambda each: helm_version.parse(each[0]) or _LOWEST, reverse=True)
        for place, (_, offset, size) in enumerate(places[name]):
            spilled.seek(offset)
            into.write((b"," if place else b"") + spilled.read(size))
        into.write(b"]")
    into.write(b"\n}}\n")
    return Report(charts=len(places), versions=sum(map(len, places.values())), skipped=skipped)


_LOWEST: Final = helm_version.Version((0, 0, 0))
