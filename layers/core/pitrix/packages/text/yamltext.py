"""Reading YAML that nobody vouches for, as Helm reads it, so that whatever is wrong can be shown by its line.

Owns decoding, limits (size, depth, aliases) and the line of each value.  Never makes an object of anything
but text, numbers, booleans, nothing, lists and mappings by text: what JSON can hold.  Never judges what a
document means: that is `schema` and the formats.

What a plain scalar is follows the YAML library of Helm (``sigs.k8s.io/yaml``, measured with Helm 4.1), as a
chart must mean here what it means there:

- ``yes``, ``on``, ``y`` and their opposites are booleans, ``~`` and nothing are null, as in YAML 1.1;
- ``010`` and ``0o10`` are 8, ``0x1F``, ``0b11`` and ``1_000`` are numbers; ``1:20`` is text;
- dates and times stay text; infinities and NaN are refused, since JSON has none;
- keys that are numbers or booleans become text (with a warning), null as a key is refused;
- of two equal keys the last counts (with a warning); ``<<`` is applied where it stands: it replaces what
  came before it (with a warning) and gives way to what comes after it;
- a tag that is not one of YAML's own is refused by name, where Helm would ignore it: whoever wrote it meant
  something.  ``tags`` allows some, as `CLOUDFORMATION` does.

Aliases share one object: treat what is read as immutable.  The parser is libyaml's, driven event by event:
nothing here recurses, whatever the depth of a document.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pitrix.packages.model import Severity
from pitrix.packages.text.jsontext import LEAF, MAX_BYTES, Document, JsonRefused, decode_text
from pitrix.packages.text.yamlreader import MAX_DEPTH, Reader
from pitrix.packages.text.yamlscalars import CLOUDFORMATION, Tags

__all__ = ["CLOUDFORMATION", "Tags", "load", "read", "read_all"]

#: Values and keys of one file with every alias written out, and the characters of their texts.
MAX_NODES = 100_000
MAX_CHARACTERS = 8 * 1024 * 1024
#: The same of an index of a repository; that of 15,000 charts has about 1,000,000 values in 20 MB.
LOAD_BYTES = 64 * 1024 * 1024
LOAD_NODES = 4_000_000


def read(file: str, data: bytes, *, tags: Tags | None = None, limit: int = MAX_BYTES) -> Document:
    """Decode the first document of a YAML file; one of nothing is ``None``.

    Args:
        tags: What to make of values with tags that are not YAML's own.
        limit: Most bytes that the file may have.

    Raises:
        JsonRefused: Not UTF-8, too large, too deep, too much, or not YAML that is read here.
    """
    documents = read_all(file, data, tags=tags, limit=limit)
    if not documents:
        return Document(file=file, text="", value=None, place=(1, LEAF))
    first = documents[0]
    if len(documents) > 1:
        note = documents[1].problem(
            "", "the file holds more than one document; only the first is read", severity=Severity.WARNING
        )
        return replace(first, warnings=(*first.warnings, note))
    return first


def read_all(file: str, data: bytes, *, tags: Tags | None = None, limit: int = MAX_BYTES) -> list[Document]:
    """Decode every document of a YAML file; the limits are those of the whole file.

    Args:
        tags, limit: As for `read`.

    Raises:
        JsonRefused: As `read`.
    """
    text, warnings = decode_text(file, data, limit)
    reader = Reader(file, tags or {}, MAX_NODES, MAX_CHARACTERS)
    reader.warnings = warnings
    documents = []
    for value, place in reader.documents(text.encode("utf-8")):
        documents.append(
            Document(file=file, text=text, value=value, warnings=tuple(reader.warnings), place=place)
        )
        reader.warnings = []
    return documents


def load(data: bytes, *, limit: int = LOAD_BYTES) -> Any:
    """Decode a large file that a machine wrote (an index of a repository), without lines and warnings.

    JSON is tried first: it is read some twenty times as fast.

    Raises:
        ValueError: Too large, too deep, too much, or neither JSON nor YAML; the message says which and where.
    """
    if len(data) > limit:
        raise ValueError(f"it has {len(data)} bytes; the limit is {limit}")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data[:64].lstrip()[:1] in (b"{", b"["):
        import msgspec

        if sum(data.count(mark) for mark in (b",", b"[", b"{", b":")) > 2 * LOAD_NODES:
            raise ValueError(f"it holds more than {LOAD_NODES} values")
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # YAML in flow style, perhaps; its reader says what is wrong with it
        else:
            _check_depth(value)
            return value
    reader = Reader("", {}, LOAD_NODES, 2 * LOAD_BYTES, lines=False)
    try:
        return next((value for value, _ in reader.documents(data)), None)
    except JsonRefused as refused:
        line = f" (line {refused.problem.line})" if refused.problem.line else ""
        raise ValueError(f"{refused.problem.message}{line}") from None


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = (
            [
                child
                for each in level
                for child in (each.values() if isinstance(each, dict) else each)
                if isinstance(child, (dict, list))
            ]
            if level and isinstance(level[0], (dict, list))
            else []
        )
        if not level:
            return
    raise ValueError(f"values are nested deeper than {MAX_DEPTH} levels")
