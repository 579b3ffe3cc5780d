"""Making values out of the events of a YAML parser, counting what they cost.

Owns limits on depth, values and aliases, duplicate and merge keys, tags, and the line of each value.  Never
recurses, whatever the depth of a document.  The rules of reading are at the head of `text.yamltext`, which
is the door; what a scalar stands for is `text.yamlscalars`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pitrix.packages.model import Problem, Severity, printable
from pitrix.packages.text import yamlscalars
from pitrix.packages.text.jsontext import LEAF, JsonRefused, Place
from pitrix.packages.text.yamlscalars import Tags

MAX_DEPTH = 100
#: Warnings kept of one file.
MAX_WARNINGS = 50

_CORE = "tag:yaml.org,2002:"


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end was not seen yet."""

    value: Any
    line: int
    children: dict[str, Place]
    tag: str | None
    anchor: str | None
    nodes: int
    characters: int
    key: str | None = None
    key_line: int = 0
    merging: bool = False
    height: int = 1


@dataclass(slots=True, frozen=True)
class _Anchored:
    """A value that aliases may repeat, and what it weighs each time."""

    value: Any
    place: Place
    nodes: int
    characters: int
    height: int


@dataclass
class Reader:
    """Makes values out of the parser's events.

    Attributes:
        max_nodes: Most values and keys, with every alias written out.
        max_characters: The most that all texts together may have, with every alias written out.
        lines: Whether to keep lines and warnings.
    """

    file: str
    tags: Tags
    max_nodes: int
    max_characters: int
    lines: bool = True
    warnings: list[Problem] = field(default_factory=list)
    _nodes: int = 0
    _characters: int = 0
    _stack: list[_Open] = field(default_factory=list)
    _anchors: dict[str, _Anchored | None] = field(default_factory=dict)
    _root: tuple[Any, Place] = (None, (1, LEAF))

    def documents(self, data: bytes) -> Iterator[tuple[Any, Place]]:
        """The value of each document, and where its parts are."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        scalar, sequence, mapping = yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent
        start, end = yaml.DocumentStartEvent, yaml.DocumentEndEvent
        closing = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
        try:
            for event in yaml.parse(data, Loader=loader):
                kind = type(event)
                if kind is scalar:
                    self._scalar(event)
                elif kind in closing:
                    self._close()
                elif kind is mapping:
                    self._open(event, {})
                elif kind is sequence:
                    self._open(event, [])
                elif kind is yaml.AliasEvent:
                    self._alias(event)
                elif kind is start:
                    self._anchors.clear()
                    self._check_version(event)
                elif kind is end:
                    if loader is yaml.SafeLoader and b"\\" in data:  # libyaml refuses these itself
                        self._check_surrogates()
                    yield self._root
        except yaml.YAMLError as error:
            raise self._refused_by_parser(error, data) from None

    # Events

    def _scalar(self, event: Any) -> None:
        text, line = event.value, event.start_mark.line + 1
        self._count(1, len(text), line)
        top = self._stack[-1] if self._stack else None
        plain = event.tag is None and event.implicit[0]
        if top is not None and top.key is None and not top.merging and type(top.value) is dict:
            if plain and text == "<<":
                top.merging, top.key_line = True, line
            else:
                value = self._resolve(text, line, key=True) if plain else self._tagged(event, line)
                self._key(top, value, text, line)
            if event.anchor:
                self._anchors[event.anchor] = _Anchored(text, (line, LEAF), 1, len(text), 0)
            return
        value = self._resolve(text, line) if plain else self._tagged(event, line)
        place: Place = (line, LEAF)
        if event.tag in self.tags:
            value, place = self._wrapped(value, event.tag, place)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, place, 1, len(text), 0)
        self._add(value, place, line)

    def _open(self, event: Any, value: Any) -> None:
        line = event.start_mark.line + 1
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and not top.merging and type(top.value) is dict:
            raise self._refused("a list or a mapping is used as a key", line, "keys are texts")
        if len(self._stack) >= MAX_DEPTH:
            raise self._refused(f"values are nested deeper than {MAX_DEPTH} levels", line)
        tag = event.tag
        if tag is not None and tag not in self.tags:
            wanted = (f"{_CORE}map", f"{_CORE}set") if type(value) is dict else (f"{_CORE}seq",)
            if tag not in (*wanted, "!"):
                raise self._refused_tag(tag, line)
        before = self._nodes, self._characters
        self._count(1, 0, line)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(value, line, {}, tag, event.anchor, *before))

    def _close(self) -> None:
        top = self._stack.pop()
        place: Place = (top.line, top.children or LEAF)
        value = top.value
        if top.tag in self.tags:
            value, place = self._wrapped(value, str(top.tag), place)
            top.height += 1
        if top.anchor:
            self._anchors[top.anchor] = _Anchored(
                value, place, self._nodes - top.nodes, self._characters - top.characters, top.height
            )
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, top.height + 1)
        self._add(value, place, top.line)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        name = printable(event.anchor)
        if event.anchor not in self._anchors:
            raise self._refused(f"the alias *{name} has no anchor &{name} before it", line)
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise self._refused(f"the anchor &{name} contains itself", line)
        self._count(anchored.nodes, anchored.characters, line)
        if len(self._stack) + anchored.height > MAX_DEPTH:
            raise self._refused(f"values are nested deeper than {MAX_DEPTH} levels", line)
        if not self._stack:
            raise self._refused(f"the alias *{name} stands alone", line)
        top = self._stack[-1]
        if top.key is None and not top.merging and type(top.value) is dict:
            if isinstance(anchored.value, (dict, list)):
                raise self._refused("a list or a mapping is used as a key", line, "keys are texts")
            self._key(top, anchored.value, str(anchored.value), line)
            return
        top.height = max(top.height, anchored.height + 1)
        self._add(anchored.value, anchored.place, line)

    def _check_version(self, event: Any) -> None:
        if event.version and tuple(event.version) != (1, 1):
            self._warn(
                f"Helm does not read a file that says %YAML {event.version[0]}.{event.version[1]}",
                event.start_mark.line + 1,
                "remove that line",
            )

    # Building

    def _add(self, value: Any, place: Place, line: int) -> None:
        if not self._stack:
            self._root = (value, place)
            return
        top = self._stack[-1]
        if type(top.value) is list:
            if self.lines:
                top.children[str(len(top.value))] = place
            top.value.append(value)
        elif top.merging:
            top.merging = False
            self._merge(top, value, place, line)
        else:
            if self.lines:
                top.children[str(top.key)] = (top.key_line, place[1])
            top.value[top.key] = value
            top.key = None

    def _key(self, top: _Open, value: Any, text: str, line: int) -> None:
        if value is None:
            raise self._refused("nothing (null) is used as a key", line, "put the key in quotes")
        if not isinstance(value, str):
            key = yamlscalars.key_text(value)
            self._warn(
                f"the key {printable(text)} is not a text; it is read as {printable(key)!r}",
                line,
                "put it in quotes",
            )
        else:
            key = value
        if key in top.value and len(self.warnings) < MAX_WARNINGS:
            first = top.children[key][0] if key in top.children else 0
            self._warn(
                f"the key {printable(key)!r} is given more than once in one mapping"
                f" (lines {first} and {line}); the last one counts",
                line,
                "remove the others",
            )
        top.key, top.key_line = key, line

    def _merge(self, top: _Open, value: Any, place: Place, line: int) -> None:
        merged: list[tuple[Any, dict[str, Place]]]
        if isinstance(value, list):
            merged = [(each, place[1].get(str(index), (0, LEAF))[1]) for index, each in enumerate(value)]
        else:
            merged = [(value, place[1])]
        for mapping, children in reversed(merged):  # the first of a list wins
            if not isinstance(mapping, dict):
                raise self._refused("<< takes a mapping or a list of mappings", line)
            self._count(len(mapping), 0, line)
            replaced = next((key for key in mapping if key in top.value), None) if self.lines else None
            if replaced is not None and len(merged) == 1:
                self._warn(
                    f"<< replaces the key {printable(replaced)!r}, which is given before it",
                    line,
                    "write << first",
                )
            top.value.update(mapping)
            top.children.update(children)

    def _wrapped(self, value: Any, tag: str, place: Place) -> tuple[Any, Place]:
        made = self.tags[tag](value)
        if isinstance(made, dict):  # {"Ref": value}: what is inside keeps its lines
            return made, (place[0], dict.fromkeys(made, place))
        return made, place

    def _tagged(self, event: Any, line: int) -> Any:
        """The value of a scalar in quotes or with a tag."""
        tag, text = event.tag, event.value
        if tag is None or tag == "!" or tag in self.tags or tag in (f"{_CORE}str", f"{_CORE}timestamp"):
            return text
        name = tag.removeprefix(_CORE)
        if name == "binary" and tag != name:
            try:
                return base64.b64decode(text, validate=False).decode("utf-8")
            except (binascii.Error, ValueError):
                raise self._refused("what is tagged !!binary is not text in base64", line) from None
        kinds: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        if tag == name or name not in kinds:
            raise self._refused_tag(tag, line)
        value = self._resolve(text, line)
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and name != "bool"):
            raise self._refused(f"{printable(text)!r} is not what its tag !!{name} says", line)
        return float(value) if name == "float" else value

    def _resolve(self, text: str, line: int, *, key: bool = False) -> Any:
        """What a plain scalar is; see the head of this module."""
        value = yamlscalars.plain(text)
        if type(value) is float and not math.isfinite(value):
            if key:
                return text
            raise self._refused(f"{text} is no number that JSON can hold", line, "put it in quotes")
        return value

    # Limits and messages

    def _check_surrogates(self) -> None:
        try:
            json.dumps(self._root[0], ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise self._refused("a text holds half of a surrogate pair", self._root[1][0]) from None

    def _count(self, nodes: int, characters: int, line: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > self.max_nodes:
            raise self._refused(
                f"the file holds more than {self.max_nodes} values, aliases written out", line
            )
        if self._characters > self.max_characters:
            raise self._refused(
                f"the file holds more than {self.max_characters} characters, aliases written out", line
            )

    def _warn(self, message: str, line: int, hint: str = "") -> None:
        if self.lines and len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(
                Problem(file=self.file, line=line, severity=Severity.WARNING, message=message, hint=hint)
            )

    def _refused(self, message: str, line: int, hint: str = "") -> JsonRefused:
        return JsonRefused(Problem(file=self.file, line=line, message=message, hint=hint))

    def _refused_tag(self, tag: str, line: int) -> JsonRefused:
        shown = f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag
        return self._refused(
            f"the tag {printable(shown)} is not one that is read here", line, "write the value without it"
        )

    def _refused_by_parser(self, error: Any, data: bytes) -> JsonRefused:
        import yaml

        if isinstance(error, yaml.reader.ReaderError):
            position = error.position if isinstance(error.position, int) else 0
            line = data.count(b"\n", 0, position) + 1
            return self._refused(f"not valid YAML: {printable(str(error.reason))}", line)
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = " ".join(
            str(part) for part in (getattr(error, "context", ""), getattr(error, "problem", "")) if part
        )
        line = mark.line + 1 if mark else 0
        return self._refused(
            f"not valid YAML: {printable(said or str(error))}", line, _hint(said, data, line)
        )


def _hint(said: str, data: bytes, line: int) -> str:
    lines = data.split(b"\n", line)[:line]
    shown = lines[-1] if lines else b""
    if b"\t" in shown[: len(shown) - len(shown.lstrip())]:
        return "indent with spaces: YAML allows no tabs there"
    if b"{{" in shown:
        return "put a text that starts with {{ in quotes"
    if "mapping values are not allowed" in said:
        return "check the indentation, and put a text that holds ': ' in quotes"
    if "cannot start any token" in said:
        return "put a text that starts with such a character in quotes"
    return ""
