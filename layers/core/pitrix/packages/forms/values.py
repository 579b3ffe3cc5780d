"""A chart's ``values.yaml`` and ``values.schema.json`` as a form.

Owns which question becomes of which value: groups follow objects, in the order of ``values.yaml`` and then of
the schema; lists and free objects are fields of the type ``json``; without a schema, types are those of the
values.  JSON Schema is understood as far as a form can draw it (draft-04 to 2020-12, ``$ref`` within the
file).  What it says beyond that is not lost: Helm checks the values against it again.  Descriptions from
comments: `forms.comments`.

Answers of such a form are values: nested as ``values.yaml`` is.  A dot inside of a key is written ``\\.`` in
the key of a field, as on Helm's command line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pitrix.packages.forms import messages as words
from pitrix.packages.forms.comments import comments
from pitrix.packages.forms.schema_node import Node, Resolver
from pitrix.packages.model import FieldType, Form, FormField, FormGroup

__all__ = ["build", "comments"]

#: Fields of one form; what comes after is asked for as whole objects.
MAX_FIELDS = 2000
MAX_DEPTH = 16
_MAX_CHOICES = 1000
_MAX_DESCRIPTION = 1000
#: Names of values that nobody should read over somebody's shoulder.
_SECRET = re.compile(r"(?i)(^|[a-z_-])(password|passwd|passphrase)$")
_KINDS = {
    "boolean": FieldType.BOOLEAN,
    "integer": FieldType.INTEGER,
    "number": FieldType.NUMBER,
    "string": FieldType.STRING,
}

Texts = Mapping[str, str]


def build(
    values: Mapping[str, Any],
    schema: Mapping[str, Any] | None,
    comments: Texts,
    messages: Texts,
    locale: str,
) -> Form:
    """The form of a chart.

    Args:
        values: ``values.yaml``, decoded.
        schema: ``values.schema.json``, decoded; ``None`` when the chart has none.
        comments: Descriptions by dotted path, from :func:`comments`; those of the schema win.
        messages: Text of the chart to its translation; what is not in it stays as it is.
        locale: Language of the words which the chart leaves to us, and of messages about answers.
    """
    return _Builder(schema, comments, messages, locale).form(values)


class _TooMany(Exception):
    """An object is too large to be asked about part by part."""


class _Builder:
    """Walks over values and schema side by side."""

    def __init__(self, schema: Any, comments: Texts, messages: Texts, locale: str) -> None:
        self._resolver = Resolver(schema)
        self._comments = comments
        self._messages = messages
        self._locale = locale
        self._fields = 0
        self._reserved = 0  # fields kept back, so that each value at the top has one, if only as a whole

    def form(self, values: Mapping[str, Any]) -> Form:
        groups = self._groups([], self._resolver.root(), values, True)
        return Form(locale=self._locale, groups=groups, sparse=True)

    def _groups(self, path: list[str], node: Node, values: Mapping[str, Any], there: bool) -> list[FormGroup]:
        """The group of an object, then those of the objects in it.

        Args:
            there: The object is part of the values however the user answers, so that what its schema
                requires is required.

        Raises:
            _TooMany: It has more fields than are left; never for the values as a whole.
        """
        fields: list[FormField] = []
        inner: list[FormGroup] = []
        keys = list(dict.fromkeys([*map(str, values), *node.properties]))
        for place, key in enumerate(keys):
            if not path:
                self._reserved = len(keys) - place - 1
            at, below = [*path, key], node.member(key)
            value, required = values.get(key), there and key in node.required
            if self._is_group(at, below, value):
                before = self._fields
                try:
                    inner += self._groups(at, below, value or {}, required or (there and bool(value)))
                    continue
                except _TooMany:
                    self._fields = before
            self._fields += 1
            if path and self._fields + self._reserved > MAX_FIELDS:
                raise _TooMany
            if self._fields > MAX_FIELDS:
                continue  # at the top there is nothing to ask instead: the rest keeps the chart's own values
            fields.append(self._field(at, below, key in values, value, required))
        if not fields:
            return inner
        own = FormGroup(
            key=_key(path),
            path=path,
            label=self._translate(node.text("title") or ".".join(path))
            or words.label(self._locale, "general"),
            description=self._description(path, node),
            fields=fields,
        )
        return [own, *inner]

    def _is_group(self, path: list[str], node: Node, value: Any) -> bool:
        """Whether something is asked about part by part."""
        if len(path) >= MAX_DEPTH:
            return False
        if value is not None and not isinstance(value, Mapping):
            return False
        content = value or {}
        if not all(isinstance(key, str) for key in content):
            return False
        if node.properties:
            return node.may_be("object")
        return bool(content) and not node.is_free

    def _field(self, path: list[str], node: Node, given: bool, value: Any, required: bool) -> FormField:
        kind, shape = self._kind(path, node, value)
        if node.properties and kind == FieldType.JSON and not shape:
            shape = "object"
        choices, titles = node.choices()
        multichoice = False
        if kind == FieldType.JSON and shape == "array" and node.unique:
            several, titles = node.items.choices()
            multichoice, choices = bool(several), several or choices
        minimum, below = node.bound("minimum", "exclusiveMinimum", 1, kind == FieldType.INTEGER)
        maximum, above = node.bound("maximum", "exclusiveMaximum", -1, kind == FieldType.INTEGER)
        step = node.number("multipleOf")
        null_counts = given and node.is_nullable
        # Helm does not look at defaults of a schema: one counts only where Helm refuses the chart without it,
        # or who answers nothing would get another release than Helm gives.
        refused = not node.is_nullable if given else required
        default = node.default() if value is None and refused else value
        empty = (default is None and not null_counts) or (default == "" and bool(node.count("minLength")))
        return FormField(
            key=_key(path),
            path=path,
            label=self._translate(node.text("title") or path[-1]),
            description=self._description(path, node),
            type=_kind_of(choices) if multichoice else kind,
            shape="" if multichoice else shape,
            default=_whole(default) if kind == FieldType.INTEGER else default,
            required=required and empty,
            choices=choices[:_MAX_CHOICES] if choices else None,
            choice_labels=[self._translate(each) for each in titles],
            multichoice=multichoice,
            minimum=_next_step(minimum, step),
            maximum=maximum,
            exclusive_minimum=below,
            exclusive_maximum=above,
            step=step if step and step > 0 else None,
            min_length=node.count("minLength"),
            max_length=node.count("maxLength"),
            min_items=node.count("minItems") if shape != "object" else node.count("minProperties"),
            max_items=node.count("maxItems") if shape != "object" else node.count("maxProperties"),
            pattern=node.text("pattern"),
            multiline=isinstance(default, str) and "\n" in default,  # an input of one line would take it away
            changeable=not node.flag("readOnly"),
        )

    def _kind(self, path: list[str], node: Node, value: Any) -> tuple[FieldType, str]:
        """(type, shape for JSON): what the schema says, else what the value is."""
        types = node.types or _types_of(value) or node.types_of_choices()
        if isinstance(value, list | Mapping):
            return FieldType.JSON, "array" if isinstance(value, list) else "object"
        if types == {"integer", "number"}:
            types = {"number"}
        if len(types) != 1:
            return FieldType.JSON, ""
        (name,) = types
        if name in ("array", "object"):
            return FieldType.JSON, name
        kind = _KINDS.get(name)
        if kind is None:
            return FieldType.JSON, ""
        secret = node.is_secret or (kind == FieldType.STRING and _SECRET.search(path[-1]))
        return (FieldType.PASSWORD if secret and kind == FieldType.STRING else kind), ""

    def _description(self, path: list[str], node: Node) -> str:
        found = node.text("description") or self._comments.get(".".join(path), "")
        return self._translate(found.strip())[:_MAX_DESCRIPTION]

    def _translate(self, text: str) -> str:
        return str(self._messages.get(text, text))


def _key(path: list[str]) -> str:
    return ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in path)


def _types_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer"}
    if isinstance(value, float):
        return {"number"}
    if isinstance(value, str):
        return {"string"}
    return {"array"} if isinstance(value, list) else {"object"} if isinstance(value, Mapping) else set()


def _kind_of(choices: list[Any] | None) -> FieldType:
    """The type of several choices: that of all of them."""
    found = set().union(*(_types_of(each) for each in choices or []))
    return _KINDS[found.pop()] if len(found) == 1 and found <= set(_KINDS) else FieldType.STRING


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _next_step(minimum: float | int | None, step: float | int | None) -> float | int | None:
    """The least multiple of ``step`` that is allowed: steps of a field are counted from its minimum."""
    if minimum is None or not step or step <= 0:
        return minimum
    found = math.ceil(minimum / step - 1e-9) * step
    return int(found) if float(found).is_integer() else found
