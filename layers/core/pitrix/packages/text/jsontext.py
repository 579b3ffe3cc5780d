"""Reading JSON that nobody vouches for, so that whatever is wrong can be shown by its line.

Owns decoding, limits (depth, size) and finding the line of a JSON pointer.  Never judges what the
document means: that is `schema` and the formats.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pitrix.packages.model import Problem, Severity, printable

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
#: Values and keys of one file; a large package of the wild has about 2,000.
MAX_VALUES = 20_000
#: Keys given twice that are warned of, of one file.
MAX_DUPLICATES = 20

_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
# A string that never ends is taken to the end of the text: otherwise each of its quotes would be tried as a
# beginning, in quadratic time.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)', re.DOTALL)


class JsonRefused(Exception):
    """The text is not JSON that we read; ``problem`` says why and where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


#: Where a value is: its 1-based line and the places of its members, by key or by index as text.  A tree and
#: not a mapping of pointers: below one very long key those would take the square of the file's size.
Place = tuple[int, dict[str, Any]]
#: The members of a value that has none.  Never to be written to.
LEAF: dict[str, Any] = {}


@dataclass(frozen=True)
class Document:
    """A decoded JSON or YAML file which still knows its lines.

    Attributes:
        place: Where the values are, when whoever decoded the file knows; otherwise it is found in a JSON
            ``text`` when it is first asked for.
    """

    file: str
    text: str
    value: Any
    warnings: tuple[Problem, ...] = ()
    place: Place | None = field(default=None, repr=False, compare=False)

    @cached_property
    def _place(self) -> Place:
        return self.place or _locate(self.text)

    def line(self, pointer: str) -> int:
        """The 1-based line of the value at a JSON pointer, or of its nearest parent that is there."""
        line, members = self._place
        for part in pointer.split("/")[1:]:
            below = members.get(part.replace("~1", "/").replace("~0", "~"))
            if below is None:
                break
            line, members = below
        return line

    def problem(
        self, pointer: str, message: str, hint: str = "", severity: Severity = Severity.ERROR
    ) -> Problem:
        """A problem with the value at ``pointer``, with its line filled in."""
        return Problem(
            file=self.file,
            line=self.line(pointer),
            key=pointer,
            severity=severity,
            message=message,
            hint=hint,
        )


def pointer_of(parts: Any) -> str:
    """The JSON pointer (RFC 6901) of keys and indexes, from the root down."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def decode_text(file: str, data: bytes, limit: int = MAX_BYTES) -> tuple[str, list[Problem]]:
    """UTF-8 bytes to text; a byte order mark is dropped with a warning.

    Raises:
        JsonRefused: The file is too large or not UTF-8.
    """
    if len(data) > limit:
        raise JsonRefused(Problem(file=file, message=f"the file has {len(data)} bytes; the limit is {limit}"))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise JsonRefused(
            Problem(
                file=file, line=1, message="the file is UTF-16 or UTF-32", hint="save it as UTF-8 without BOM"
            )
        )
    warnings = []
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
        warnings.append(
            Problem(
                file=file,
                line=1,
                severity=Severity.WARNING,
                message="the file starts with a byte order mark",
                hint="save it as UTF-8 without BOM",
            )
        )
    try:
        return data.decode("utf-8"), warnings
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JsonRefused(
            Problem(
                file=file,
                line=line,
                message=f"byte 0x{data[error.start]:02x} is not UTF-8",
                hint="save the file as UTF-8 without BOM",
            )
        ) from None


def read(file: str, data: bytes) -> Document:
    """Decode the bytes of a JSON file.

    Raises:
        JsonRefused: Not UTF-8, too large, too deep, or not JSON.
    """
    text, warnings = decode_text(file, data)
    return parse(file, text, tuple(warnings))


def parse(file: str, text: str, warnings: tuple[Problem, ...] = ()) -> Document:
    """Decode a JSON text.  NaN, infinities and lone surrogates are refused: no JSON may hold them.

    Raises:
        JsonRefused: Too deep, too much, or not JSON.
    """
    _check_size(file, text)
    duplicates: list[str] = []

    def keep_last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            seen: set[str] = set()
            duplicates.extend(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return result

    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_whole,
            parse_float=_inexact,
            object_pairs_hook=keep_last,
        )
        if "\\u" in text or "\\U" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise JsonRefused(
            Problem(
                file=file,
                line=error.lineno,
                message=f"not valid JSON: {error.msg} (column {error.colno})",
                hint=_hint(text, error.pos),
            )
        ) from None
    except UnicodeEncodeError:
        raise JsonRefused(Problem(file=file, message="a string holds half of a surrogate pair")) from None
    except ValueError as error:  # NaN and friends
        raise JsonRefused(Problem(file=file, message=f"not valid JSON: {error}")) from None
    notes = [
        Problem(
            file=file,
            line=_line_of_last(text, key),
            severity=Severity.WARNING,
            message=f"the key {printable(key)!r} is given more than once in one object; the last one counts",
            hint="remove the others",
        )
        for key in list(dict.fromkeys(duplicates))[:MAX_DUPLICATES]
    ]
    return Document(file=file, text=text, value=value, warnings=(*warnings, *notes))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _whole(digits: str) -> int:
    # What is larger loses digits in most other readers, and overflows where it becomes a float.
    if len(digits) > 20 or not -(2**63) <= (value := int(digits)) < 2**64:
        raise ValueError(f"the number {printable(digits, 20)} does not fit into 64 bits")
    return value


def _inexact(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {printable(digits, 20)} is too large")
    return value


def _line_of_last(text: str, key: str) -> int:
    return text.count("\n", 0, max(text.rfind(json.dumps(key, ensure_ascii=False)), 0)) + 1


def _hint(text: str, position: int) -> str:
    before = text[:position].rstrip()
    if before.endswith(",") and text[position : position + 1] in ("}", "]", '"', ""):
        return "remove the comma before it" if text[position : position + 1] != '"' else ""
    if text[position : position + 2] in ("//", "/*") or text[position : position + 1] == "#":
        return "JSON has no comments"
    if text[position : position + 1] == "'":
        return "JSON strings are written in double quotes"
    return ""


def _check_size(file: str, text: str) -> None:
    """Refuse what is too deep or too much before anything recursive or slow is done with it."""
    depth = count = 0
    for match in re.finditer(r"[{}\[\],:]", _STRING.sub("", text)):
        if match[0] in "{[":
            depth += 1
        elif match[0] in "}]":
            depth -= 1
        else:
            count += 1
        if depth > MAX_DEPTH:
            raise JsonRefused(Problem(file=file, message=f"values are nested deeper than {MAX_DEPTH} levels"))
        if count > MAX_VALUES:
            raise JsonRefused(Problem(file=file, message=f"the file holds more than {MAX_VALUES} values"))


def _locate(text: str) -> Place:
    """Where every value of a valid JSON text is (a member's line is its key's)."""
    newlines = [match.start() for match in re.finditer("\n", text)]
    root: Place = (1, LEAF)
    stack: list[list[Any]] = []  # [members, next index or current key, line of that key]
    for match in _MARK.finditer(text):
        mark, line = match[0], bisect.bisect_left(newlines, match.start()) + 1
        if mark in "}]":
            stack.pop()
            continue
        if mark == ",":
            if isinstance(stack[-1][1], int):
                stack[-1][1] += 1
            else:
                stack[-1][1] = None
            continue
        if mark == ":":
            continue
        if stack:
            parent = stack[-1]
            if parent[1] is None:  # an object waiting for a key
                parent[1], parent[2] = str(json.loads(mark)), line
                continue
            line = parent[2] or line
        place: Place = (line, {} if mark in "{[" else LEAF)
        if stack:
            stack[-1][0][str(stack[-1][1])] = place
        else:
            root = place
        if mark in "{[":
            stack.append([place[1], None if mark == "{" else 0, 0])
    return root
