"""One place of a JSON Schema, with its ``$ref``, ``allOf`` and single alternatives already taken together.

Owns the small part of JSON Schema (draft-04 to 2020-12) that a form can draw.  Never validates.  The schema
comes from a stranger: whatever has the wrong type counts as absent, references that go in circles end in a
place which says nothing, and the work is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote

_DEEPEST = 24
#: Places looked at in one schema.
_MOST = 50_000
_ALTERNATIVES = ("oneOf", "anyOf")
#: Of two bounds that both hold, which one counts.
_NARROWER: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}


class Resolver:
    """Finds the places of one schema."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema if isinstance(schema, Mapping) else {}
        self._left = _MOST

    def root(self) -> Node:
        """The place of the whole document."""
        return self.node(self._schema)

    def node(self, raw: Any, depth: int = 0) -> Node:
        """The place of a part of the schema; below ``depth`` alternatives of alternatives."""
        return Node(self, self._flat(raw, depth), depth)

    def _flat(self, raw: Any, depth: int) -> dict[str, Any]:
        """A schema with what it refers to laid under it; nearer keys win, ``properties`` are put together."""
        if not isinstance(raw, Mapping) or depth > _DEEPEST or self._left <= 0:
            return {}
        self._left -= 1
        result = {key: value for key, value in raw.items() if key not in ("$ref", "allOf")}
        parts = [self._target(raw["$ref"])] if isinstance(raw.get("$ref"), str) else []
        parts += _list(raw.get("allOf"))
        for part in parts:
            _lay_under(result, self._flat(part, depth + 1))
        for word in _ALTERNATIVES:
            offered = _list(result.get(word))
            one = [each for each in offered if not _is_null(each)]
            if len(one) == 1:  # something, or null
                del result[word]
                _lay_under(result, self._flat(one[0], depth + 1))
                if len(offered) > 1 and "type" in result:
                    result["type"] = [*_names(result["type"]), "null"]
        return result

    def _target(self, reference: str) -> Any:
        """What a JSON pointer within the document leads to; nothing for any other reference."""
        if not reference.startswith("#"):
            return None
        found: Any = self._schema
        for part in unquote(reference[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list):
                found = found[int(key)] if key.isdigit() and int(key) < len(found) else None
            else:
                found = found.get(key) if isinstance(found, Mapping) else None
        return found


class Node:
    """One place of a schema."""

    def __init__(self, resolver: Resolver, raw: Mapping[str, Any], depth: int) -> None:
        self._resolver = resolver
        self._raw = raw
        self._depth = depth  # alternatives of alternatives may go in circles: they end as `_DEEPEST` says

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        """The schemas of the members of an object, by key, in their order."""
        found = self._raw.get("properties")
        return found if isinstance(found, Mapping) else {}

    def member(self, key: str) -> Node:
        """The place of one member."""
        return self._resolver.node(self.properties.get(key))

    @cached_property
    def items(self) -> Node:
        """The place of the entries of a list."""
        return self._resolver.node(self._raw.get("items"))

    @cached_property
    def required(self) -> set[str]:
        """The members that an object must have."""
        return {each for each in _list(self._raw.get("required")) if isinstance(each, str)}

    @cached_property
    def types(self) -> set[str]:
        """The types that are allowed, ``null`` aside; empty when any is."""
        found = _names(self._raw.get("type"))
        if not found:
            for each in self._offered():
                found |= self._alternative(each).types
        return found - {"null"}

    @property
    def is_nullable(self) -> bool:
        """Whether a value may be there and be ``null``."""
        types, listed = _names(self._raw.get("type")), self._raw.get("enum")
        if types or isinstance(listed, list):
            return (not types or "null" in types) and (not isinstance(listed, list) or None in listed)
        offered = self._offered()
        return not offered or any(_is_null(each) or self._alternative(each).is_nullable for each in offered)

    def _offered(self) -> list[Any]:
        return [each for word in _ALTERNATIVES for each in _list(self._raw.get(word))]

    def _alternative(self, raw: Any) -> Node:
        return self._resolver.node(raw, self._depth + 1)

    def may_be(self, name: str) -> bool:
        """Whether a type is allowed."""
        return not self.types or name in self.types

    @property
    def is_free(self) -> bool:
        """An object whose members the schema leaves to the user."""
        more = self._raw.get("additionalProperties")
        return (isinstance(more, Mapping) or more is True) or isinstance(
            self._raw.get("patternProperties"), Mapping
        )

    @property
    def is_secret(self) -> bool:
        return self._raw.get("format") == "password" or self._raw.get("writeOnly") is True

    @property
    def unique(self) -> bool:
        return self._raw.get("uniqueItems") is True

    def choices(self) -> tuple[list[Any] | None, list[str]]:
        """(allowed values without ``null``, what each is called): of ``enum``, ``const``, or alternatives."""
        if isinstance(self._raw.get("enum"), list):
            return [each for each in self._raw["enum"] if each is not None] or None, []
        if self._raw.get("const") is not None:
            return [self._raw["const"]], []
        for word in _ALTERNATIVES:
            each = [one for one in _list(self._raw.get(word)) if not _is_null(one)]
            if each and all(isinstance(one, Mapping) and one.get("const") is not None for one in each):
                values = [one["const"] for one in each]
                return values, [str(one.get("title", one["const"])) for one in each]
        return None, []

    def types_of_choices(self) -> set[str]:
        """The types of the allowed values, for schemas that name no type."""
        names = {bool: "boolean", int: "integer", float: "number", str: "string"}
        return {names.get(type(each), "") for each in self.choices()[0] or []}

    def default(self) -> Any:
        """What the schema itself would use; ``None`` when it does not say."""
        found = self._raw.get("default")
        return self._raw.get("const") if found is None else found

    def text(self, key: str) -> str:
        found = self._raw.get(key)
        return found if isinstance(found, str) else ""

    def flag(self, key: str) -> bool:
        return self._raw.get(key) is True

    def number(self, key: str) -> float | int | None:
        found = self._raw.get(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            return None
        return int(found) if float(found).is_integer() else found

    def count(self, key: str) -> int | None:
        found = self.number(key)
        return found if isinstance(found, int) and found >= 0 else None

    def bound(self, key: str, exclusive: str, up: int, whole: bool) -> tuple[float | int | None, bool]:
        """(bound, whether it is itself excluded).  Of whole numbers, an excluded bound is moved by one.

        ``exclusiveMinimum`` is a number from draft-06 on, and a flag beside ``minimum`` before.
        """
        open_end, found = self.number(exclusive), self.number(key)
        excluded = self.flag(exclusive) and found is not None
        if open_end is not None and (found is None or (open_end - found) * up >= 0):
            found, excluded = open_end, True
        if found is None or not whole:
            return found, excluded
        if not isinstance(found, int):
            return (math.ceil(found) if up > 0 else math.floor(found)), False
        return (found + up if excluded else found), False


def _lay_under(above: dict[str, Any], below: Mapping[str, Any]) -> None:
    for key, value in below.items():
        if key == "properties" and isinstance(value, Mapping) and isinstance(above.get(key), Mapping):
            above[key] = {**value, **above[key]}
        elif key == "required":
            above[key] = [*_list(above.get(key)), *_list(value)]
        elif key in _NARROWER and _is_number(above.get(key)) and _is_number(value):
            above[key] = _NARROWER[key](above[key], value)
        else:
            above.setdefault(key, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_null(raw: Any) -> bool:
    return isinstance(raw, Mapping) and (raw.get("type") == "null" or raw.get("enum") == [None])


def _names(value: Any) -> set[str]:
    """The types that ``type`` names: one, or a list of them."""
    return {each for each in [value, *_list(value)] if isinstance(each, str)}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
