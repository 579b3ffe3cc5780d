"""Breaking valid packages in a way that leaves most of them whole, driven by bytes.

Owns `Choices`, which makes decisions out of bytes, so that Hypothesis and Atheris can both steer them, and
the ways in which values, texts, files and archives are broken.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pitrix.packages.text import jsontext, yamltext

T = TypeVar("T")

#: Texts that somebody forgot to think of.
WORDS = (
    "", " ", "\0", "\n", "\u202e", "\x1b[2J", "\ufeff", "é", "中文", "𝕏", "..", "../../x",
    "/etc/passwd", "C:\\x", "a/b", "~", "~1", "-", "*", "&a", "*a", "<<", "{{", "}}", "{{ x }}",
    "{{.cluster.name}}", "{%", "${x}", "$(id)", "'", '"', "true", "yes", "null", "NaN", "1e999", "-1", "0",
    "1.0.0", "9" * 30, "name", "cluster", "env", "count", "type", "array", "integer", "__class__", "%s",
    "<script>", "javascript:x", "^(a+)+$", "(", "[a-", "a" * 300, "$ref", "#", "#/definitions/x",
    "http://169.254.169.254/", "properties", "required", "default", "enum", "range", "1970-01-01",
    "aws-lambda", "python3.13", "src", "app.main", "rate(1 minute)", "v2", "library", "object", "allOf",
    "if",
)  # fmt: skip
TEMPLATE_WORDS = (
    *WORDS, "{{if .env.tls}}", "{{end}}", "{{else}}", "{{range .env.modules}}", "{{with .env}}", "{{.}}",
    "{{$i}}", "{{range $i, $e := .env.modules}}", "{{#env.tls}}", "{{/env.tls}}", "{{^env.tls}}",
    "{{else if eq .env.port 1}}", "{{eq .env.port 80}}", "{{not .env.tls}}",
    "{{and .env.tls (or .env.tls .x)}}", "{{index .env.modules 0}}", '{{"x"}}', "{{len .env}}",
    "{{- .env.port -}}", "{{{env.port}}}", "{{!x}}", "{{/* x */}}", "{", "}", "[", "]", ",",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 10**18, 2**64 - 1, 0.5, 1e308, -0.0, [], {}, [[]], [{}], {"": ""}, [None],
)  # fmt: skip


class Choices:
    """Decisions made out of bytes, one after the other; when they are used up, the first of each."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, below: int) -> int:
        """A number from 0 to below ``below``."""
        width = 1 if below <= 256 else 2
        taken = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(taken) % max(below, 1)

    def one_of(self, options: Sequence[T]) -> T:
        """One of several."""
        return options[self.number(len(options))]

    def few(self) -> int:
        """One, or rarely some more: what is broken in many places is refused for the first of them."""
        return max(1, self.number(16) - 11)

    def rest(self) -> bytes:
        """What is left, a stretch of it at a time."""
        length = self.number(64)
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    @property
    def left(self) -> bool:
        """Whether anything is left to decide by."""
        return self._at < len(self._data)


def broken_files(taken: Choices, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A package's files with a few of them changed."""
    broken = dict(files)
    for _ in range(taken.few()):
        path = taken.one_of(sorted(broken))
        kind = taken.number(24)
        if kind == 0:
            del broken[path]
        elif kind == 1:
            broken[taken.one_of(WORDS) or "x"] = broken[path]
        elif kind == 2:
            broken[path] = taken.rest()
        elif kind <= 5 or not path.endswith((".json", ".yaml", ".yml")):
            broken[path] = broken_text(taken, broken[path])
        else:
            broken[path] = _broken_document(taken, path, broken[path])
        if not broken or not taken.left:
            break
    # What `archive.write` cannot write is for the other targets.
    return {path: data for path, data in broken.items() if "\0" not in path and path.isprintable()}


def broken_text(taken: Choices, text: bytes, words: Sequence[str] = WORDS) -> bytes:
    """A text with pieces put in, left out, repeated or moved."""
    for _ in range(taken.few()):
        at, length = taken.number(len(text) + 1), taken.number(40)
        kind = taken.number(8)
        if kind == 0:
            text = text[:at] + text[at + length :]
        elif kind == 1:
            text = text[:at] + text[at : at + length] * (1 + taken.number(20)) + text[at + length :]
        elif kind == 2:
            text = text[:at] + taken.rest().decode("utf-8", "ignore").encode() + text[at:]
        else:  # mostly between words, where it may mean something
            at = max(text.rfind(b" ", 0, at), text.rfind(b'"', 0, at)) + 1 if kind > 4 else at
            text = text[:at] + taken.one_of(words).encode() + text[at + (length if kind == 3 else 0) :]
    return text


def _broken_document(taken: Choices, path: str, data: bytes) -> bytes:
    """JSON or YAML with values changed, moved and left out; written as JSON, which is YAML."""
    try:
        read = jsontext.read if path.endswith(".json") else yamltext.read
        value = json.loads(json.dumps(read(path, data).value))
    except jsontext.JsonRefused:
        return broken_text(taken, data)
    for _ in range(taken.few()):
        value = _broken_value(taken, value)
    return json.dumps(value, ensure_ascii=False, indent=taken.one_of([1, None])).encode()


def _broken_value(taken: Choices, root: Any) -> Any:
    """Walk down to somewhere, and change what is there."""
    holder: dict[str, Any] = {"": root}
    parent: Any = holder
    key: Any = ""
    for depth in range(12):
        here = parent[key]
        if not isinstance(here, (dict, list)) or not here or taken.number(4 + 60 // (1 + depth)) == 0:
            break
        parent, key = here, taken.one_of(sorted(here) if isinstance(here, dict) else range(len(here)))
    kind = taken.number(8)
    here = parent[key]
    if kind == 0 and parent is not holder:
        del parent[key]
    elif kind == 1:
        parent[key] = taken.one_of(WORDS)
    elif kind == 2 and isinstance(here, dict):
        here[taken.one_of(WORDS)] = taken.one_of(VALUES)
    elif kind == 3 and isinstance(here, list):
        here.extend(json.loads(json.dumps(here[: 1 + taken.number(8)])))
    elif kind == 4:
        parent[key] = [here]
    elif kind == 5:
        parent[key] = {taken.one_of(WORDS): here}
    elif kind == 6 and isinstance(parent, dict) and parent is not holder:
        parent[taken.one_of(WORDS)] = parent.pop(key)
    else:
        parent[key] = taken.one_of(VALUES)
    return json.loads(json.dumps(holder[""]))


def broken_archive(taken: Choices, files: Mapping[str, bytes]) -> bytes:
    """An archive of these files that somebody put together by hand, and bytes of it changed."""
    zipped = taken.number(3) == 0
    made = _zip(taken, files) if zipped else _tar(taken, files)
    made = _broken_bytes(taken, made) if taken.number(2) else made
    if zipped:
        return made
    packed = gzip.compress(made, 1, mtime=0)
    return _broken_bytes(taken, packed) if taken.number(4) == 0 else packed


def _broken_bytes(taken: Choices, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(1 + taken.number(6)):
        at = taken.number(len(changed) + 1)
        at = (
            at
            if taken.number(3)
            else at // 512 * 512 + taken.one_of([0, 100, 124, 125, 148, 156, 157, 257, 345])
        )
        kind = taken.number(4)
        if kind == 0:
            del changed[at : at + taken.number(600)]
        elif kind == 1:
            changed[at:at] = changed[max(at - 512, 0) : at]
        else:
            new = taken.rest()
            changed[at : at + len(new)] = new
    return bytes(changed)


def _tar(taken: Choices, files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    style = taken.one_of([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=out, mode="w", format=style) as archive:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size = len(files[path])
            if taken.number(4) == 0:
                _odd_member(taken, member, style)
            try:
                archive.addfile(member, io.BytesIO(files[path] + b"\0" * max(member.size, 0)))
            except (ValueError, OverflowError, UnicodeError, OSError):
                continue  # this style cannot hold it
    return out.getvalue()


def _odd_member(taken: Choices, member: tarfile.TarInfo, style: int) -> None:
    kind = taken.number(5)
    if kind == 0:
        member.name = taken.one_of(WORDS)
    elif kind == 1:
        member.type = taken.one_of(
            [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"K", b"x", b"g", b"S", b"Z"]
        )
        member.linkname = taken.one_of(WORDS)
    elif kind == 2:
        member.size = taken.one_of([0, 1, 511, 512, 513, 4096])
    elif style == tarfile.PAX_FORMAT:
        key = taken.one_of(
            ["path", "size", "linkpath", "mtime", "GNU.sparse.major", "GNU.sparse.map", "hdrcharset"]
        )
        member.pax_headers = {key: taken.one_of(WORDS)}


def _zip(taken: Choices, files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(files):
            info = zipfile.ZipInfo(taken.one_of(WORDS) if taken.number(12) == 0 else path)
            info.compress_type = taken.one_of([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            info.external_attr = taken.number(256) << 24 if taken.number(12) == 0 else 0
            info.comment = taken.rest() if taken.number(12) == 0 else b""
            with contextlib.suppress(ValueError, IndexError), warnings.catch_warnings(action="ignore"):
                archive.writestr(info, files[path])
    return out.getvalue()
