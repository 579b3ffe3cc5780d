"""One chart as an index of a Helm repository lists it, and the quickest safe way to a chart's description.

Owns the shape of an entry: the fields of ``Chart.yaml`` that Helm knows, each of the type that Helm reads it
as, for one entry of a wrong type makes Helm refuse the whole index.  Never judges a chart (the format's lint
does), never unpacks more of an archive than it takes to find ``Chart.yaml``, and trusts no size it reads.

Sources: Helm's documentation of ``Chart.yaml`` and of the index file of chart repositories; the tar headers
of POSIX.1-2001 (pax) and GNU tar.  Next: `chart_index` writes a whole index, `pitrix.catalog.charts` reads
one that is kept up to date.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pitrix.clock import rfc3339

#: The longest ``Chart.yaml`` that is read, in bytes; a description with a long list of changes has 20 KB.
MAX_CHART_YAML: Final = 512 * 1024
#: How far into the unpacked archive it is looked for: Helm writes it first, others put files before it.
MAX_SEARCHED: Final = 64 * 1024 * 1024
#: Headers looked at before giving up.
MAX_ENTRIES: Final = 4000
#: Entries are kept as items of a table (400 KB at most, several copies in a transaction of 4 MB).
MAX_ENTRY_CHARS: Final = 64 * 1024

_BLOCK: Final = 512
_CHUNK: Final = 16 * 1024
_MAX_NAME: Final = 4096
_MAX_EXTENDED: Final = 64 * 1024
#: Types of tar entries: plain files, and what only describes the entry after it (pax and GNU).
_PLAIN: Final = (b"0", b"\0", b"7")
_EXTENDED: Final = (b"x", b"g", b"L", b"K")
_NONE: Final = "the archive holds no Chart.yaml in the folder of the chart"
_TEXTS: Final = ("name", "version", "apiVersion", "appVersion", "description", "type", "kubeVersion", "home",
                 "icon", "condition", "tags")  # fmt: skip
_LISTS: Final = ("keywords", "sources")
_PAX_PATH: Final = re.compile(rb"(?:^|\n)[0-9]{1,6} path=([^\n]*)\n")
_TOP_LEVEL: Final = re.compile(r"(?:\./)?[^/]+/Chart\.yaml")


class ChartUnreadable(ValueError):
    """The archive holds no readable ``Chart.yaml``; the text says why."""


def read_chart(archive: bytes) -> dict[str, Any]:
    """Return the top-level ``Chart.yaml`` of a ``.tgz``, decoded; unpacks no more than it takes to get there.

    Raises:
        ChartUnreadable: There is none within the limits, or it is no mapping.
    """
    from pitrix.packages.text import yamltext

    try:
        found = yamltext.load(chart_yaml(archive))
    except ChartUnreadable:
        raise
    except ValueError as error:
        raise ChartUnreadable(f"Chart.yaml cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ChartUnreadable("Chart.yaml is no mapping")
    return found


def load_libraries() -> None:
    """Load what reading takes and what is otherwise loaded when it is first needed: before a fork, say."""
    from pitrix.packages.text import yamltext

    encode({"name": yamltext.load(b"name: x")["name"]})


def chart_yaml(archive: bytes) -> bytes:
    """Return the bytes of the top-level ``Chart.yaml`` of a ``.tgz``.

    Raises:
        ChartUnreadable: There is none within the limits.
    """
    stream = _Unpacking(archive)
    long_name = ""
    for _ in range(MAX_ENTRIES):
        header = stream.take(_BLOCK)
        if not header.strip(b"\0"):
            break
        size = _size(header)
        kind = header[156:157]
        if kind in _EXTENDED:
            if size > _MAX_EXTENDED:
                raise ChartUnreadable("the archive has names or attributes that are far too long")
            long_name = _long_name(kind, stream.take(size)) or long_name
            stream.skip(-size % _BLOCK)
            continue
        name, long_name = long_name or _name(header), ""
        if kind in _PLAIN and _TOP_LEVEL.fullmatch(name):
            if size > MAX_CHART_YAML:
                raise ChartUnreadable(f"Chart.yaml has {size} bytes; the limit is {MAX_CHART_YAML}")
            return stream.take(size)
        stream.skip(size + -size % _BLOCK)
    raise ChartUnreadable(_NONE)


def entry(
    metadata: Mapping[str, Any], *, digest: str, created: datetime | str, urls: list[str]
) -> dict[str, Any]:
    """Return the entry of an index for one version of a chart.

    What Helm does not know is left out, and what it reads as text is text (``appVersion: 1.16`` is a number
    in YAML).  Annotations are left out of an entry that would be longer than `MAX_ENTRY_CHARS` with them.

    Args:
        metadata: ``Chart.yaml``, decoded.
        digest: SHA-256 of the archive, with or without ``sha256:``.
        created: When this version was published; a text is taken as it is (RFC 3339).
        urls: Where the archive is, relative to the index or absolute.
    """
    found: dict[str, Any] = {}
    for name in _TEXTS:
        if (text := _text(metadata.get(name))) != "":
            found[name] = text
    for name in _LISTS:
        if listed := _texts(metadata.get(name)):
            found[name] = listed
    if maintainers := _objects(metadata.get("maintainers"), ("name", "email", "url")):
        found["maintainers"] = maintainers
    if dependencies := _dependencies(metadata.get("dependencies")):
        found["dependencies"] = dependencies
    if metadata.get("deprecated") is True:
        found["deprecated"] = True
    if annotations := _annotations(metadata.get("annotations")):
        found["annotations"] = annotations
    found["created"] = created if isinstance(created, str) else rfc3339(created)
    found["digest"] = digest.removeprefix("sha256:")
    found["urls"] = list(urls)
    return found


def filename(name: str, version: str) -> str:
    """The name that Helm gives to the archive of a version: ``shop-1.0.0.tgz``."""
    return f"{name}-{version}.tgz"


def encode(made: Mapping[str, Any]) -> bytes:
    """An entry as compact JSON, which is YAML too; without annotations where it would be too long."""
    import msgspec

    text = msgspec.json.encode(made)
    for dropped in ("annotations", "description", "keywords", "sources", "maintainers", "dependencies"):
        if len(text) <= MAX_ENTRY_CHARS:
            break
        made = {key: value for key, value in made.items() if key != dropped}
        text = msgspec.json.encode(made)
    return text


# --- tar ---------------------------------------------------------------------------------------------------


class _Unpacking:
    """The unpacked bytes of a ``.tgz`` from front to back, a piece at a time."""

    def __init__(self, archive: bytes) -> None:
        if archive[:2] != b"\x1f\x8b":
            raise ChartUnreadable("this is no .tgz archive")
        self._unpacker = zlib.decompressobj(wbits=31)
        self._archive = archive
        self._fed = 0
        self._pending = b""
        self._ready = b""
        self._place = 0
        self._seen = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes.

        Raises:
            ChartUnreadable: The archive ends before, or is damaged.
        """
        while len(self._ready) - self._place < size:
            self._more()
        taken = self._ready[self._place : self._place + size]
        self._place += size
        return taken

    def skip(self, size: int) -> None:
        while (ready := len(self._ready) - self._place) < size:
            size -= ready
            self._place = len(self._ready)
            self._more()
        self._place += size

    def _more(self) -> None:
        if self._unpacker.eof:
            # Another gzip member may follow; what is behind the last one is padding.
            self._fed -= len(self._unpacker.unused_data)
            if self._archive[self._fed : self._fed + 2] != b"\x1f\x8b":
                raise ChartUnreadable(_NONE)
            self._unpacker = zlib.decompressobj(wbits=31)
            self._pending = b""
        if not self._pending:
            self._pending = self._archive[self._fed : self._fed + _CHUNK]
            self._fed += len(self._pending)
            if not self._pending:
                raise ChartUnreadable("the archive ends too early")
        try:
            piece = self._unpacker.decompress(self._pending, _CHUNK)
        except zlib.error as error:
            raise ChartUnreadable(f"the archive is damaged: {error}") from None
        self._pending = self._unpacker.unconsumed_tail
        self._seen += len(piece)
        if self._seen > MAX_SEARCHED:
            raise ChartUnreadable(f"the archive holds no Chart.yaml within its first {MAX_SEARCHED} bytes")
        self._ready = self._ready[self._place :] + piece
        self._place = 0


def _size(header: bytes) -> int:
    """The size of what follows a header: octal digits, or GNU's binary form for what is too long for them."""
    field = header[124:136]
    if field[0] & 0x80:
        size = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    else:
        digits = field.strip(b" \0") or b"0"
        size = int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else -1
    if size < 0:
        raise ChartUnreadable("the archive is damaged: a file has no size")
    return size


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and (prefix := header[345:500].split(b"\0", 1)[0]):
        name = prefix + b"/" + name
    return name.decode("utf-8", "replace")


def _long_name(kind: bytes, data: bytes) -> str:
    """The name that an extended header gives to the file after it; empty where it gives none."""
    if kind == b"L":
        return data.split(b"\0", 1)[0][:_MAX_NAME].decode("utf-8", "replace")
    named = _PAX_PATH.search(data) if kind == b"x" else None
    return named[1][:_MAX_NAME].decode("utf-8", "replace") if named else ""


# --- values as Helm reads them -----------------------------------------------------------------------------


def _text(value: Any) -> str:
    """A scalar as text, the way a YAML number becomes a Go string; anything else is no text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return value.isoformat() if hasattr(value, "isoformat") else ""


def _texts(value: Any) -> list[str]:
    return [text for each in value if (text := _text(each))] if isinstance(value, list) else []


def _objects(value: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A list of objects with those texts, without empty ones."""
    if not isinstance(value, list):
        return []
    made = [
        {name: text for name in names if (text := _text(each.get(name)))}
        for each in value
        if isinstance(each, dict)
    ]
    return [each for each in made if each]


def _dependencies(value: Any) -> list[dict[str, Any]]:
    """What the chart needs; Helm wants a name and a repository of each, though they be empty."""
    if not isinstance(value, list):
        return []
    made: list[dict[str, Any]] = []
    for each in value:
        if not isinstance(each, dict) or not (name := _text(each.get("name"))):
            continue
        kept: dict[str, Any] = {"name": name}
        for key in ("version", "repository", "condition", "alias"):
            if text := _text(each.get(key)):
                kept[key] = text
        if tags := _texts(each.get("tags")):
            kept["tags"] = tags
        if each.get("enabled") is True:
            kept["enabled"] = True
        if isinstance(values := each.get("import-values"), list) and values:
            kept["import-values"] = values
        kept.setdefault("repository", "")
        made.append(kept)
    return made


def _annotations(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {_text(key): _text(text) for key, text in value.items() if _text(key)}
