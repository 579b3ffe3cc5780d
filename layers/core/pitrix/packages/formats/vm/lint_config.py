"""What is wrong inside of a ``config.json`` whose JSON and schema are right.

Owns what a schema cannot say of the questions: asked twice, a default which the field itself refuses, bounds
that exclude each other, conditions on fields that are not there, sizes without a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pitrix.packages.forms import check as form_check
from pitrix.packages.forms import config as form_config
from pitrix.packages.model import FormField, Problem, Severity
from pitrix.packages.text import pattern
from pitrix.packages.text.jsontext import Document


def lint(document: Document) -> list[Problem]:
    """Every problem of a schema-checked ``config.json``."""
    sizes = len(form_config.build(document.value, {}, "en").resource_groups)
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for key, raw, at, siblings in _entries(document.value, [], ""):
        dotted = ".".join(key)
        if dotted in seen:
            problems.append(
                document.problem(f"{at}/key", f"{dotted!r} is asked twice", f"see also {seen[dotted]}")
            )
        seen.setdefault(dotted, at)
        if "properties" not in raw and raw.get("type") != "array":
            problems.extend(_lint_field(document, raw, at))
            problems.extend(_lint_relations(document, raw, at, siblings, sizes))
    return problems


def unused_params(document: Document, used: set[str]) -> list[Problem]:
    """Parameters of custom services which no service takes.

    Args:
        used: Every key that the template refers to.
    """
    return [
        document.problem(
            at,
            f"{'.'.join(key)!r} is asked for, but no service takes it",
            f'add "<parameter>": "{{{{.{".".join(key)}}}}}" to the service_params of a service',
            Severity.WARNING,
        )
        for key, raw, at, _ in _entries(document.value, [], "")
        if key[0] == "service_params" and raw.get("type") != "array" and "properties" not in raw
        if ".".join(key) not in used
    ]


_Entry = tuple[list[str], Mapping[str, Any], str, set[str]]


def _entries(node: Mapping[str, Any], path: list[str], at: str) -> Iterator[_Entry]:
    """(keys from the top, entry, its pointer, keys beside it) of every entry, groups too."""
    children = node.get("properties") or []
    siblings = {each["key"] for each in children}
    for index, each in enumerate(children):
        here, key = f"{at}/properties/{index}", [*path, each["key"]]
        yield key, each, here, siblings
        yield from _entries(each, key, here)


def _lint_field(document: Document, raw: Mapping[str, Any], at: str) -> Iterator[Problem]:
    field = form_config.field_of(raw)
    if field.pattern:
        try:
            pattern.compile(field.pattern)
        except pattern.PatternRefused as error:
            yield document.problem(
                f"{at}/pattern", f"the pattern is not a regular expression to use: {error}"
            )
            return
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        yield document.problem(f"{at}/min", f"min {field.minimum} is larger than max {field.maximum}")
    if field.multichoice and not field.choices:
        yield document.problem(
            f"{at}/multichoice",
            "there is nothing to choose from",
            "list the choices in range",
            Severity.WARNING,
        )
    blank = field.default is None or field.default in ("", [])
    if not blank and (wrong := form_check.check(replace(field, default=None), field.default)):
        yield document.problem(
            f"{at}/default",
            f"the default {wrong}",
            "give a default that the field itself allows",
            Severity.ERROR if _is_of_another_type(field) else Severity.WARNING,
        )


def _is_of_another_type(field: FormField) -> bool:
    values = field.default if field.multichoice and isinstance(field.default, list) else [field.default]
    return any(form_check.check_type(field, each) for each in values)


def _lint_relations(
    document: Document, raw: Mapping[str, Any], at: str, siblings: set[str], sizes: int
) -> Iterator[Problem]:
    for index, each in enumerate(raw.get("dependencies") or []):
        if each["refkey"] not in siblings:
            yield document.problem(
                f"{at}/dependencies/{index}/refkey",
                f"there is no field {each['refkey']!r} beside this one",
                "name a field of the same group",
                Severity.WARNING,
            )
    given = raw.get("resource_group")
    if given is not None and len(given) != sizes:
        yield document.problem(
            f"{at}/resource_group",
            f"{len(given)} values are given for {sizes} sizes",
            "give one value for each entry in the range of cluster.resource_group",
            Severity.WARNING,
        )
