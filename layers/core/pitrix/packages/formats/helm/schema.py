"""``values.schema.json``: whether it is a JSON Schema, and whether the chart's own values keep to it.

Owns validating with a stranger's schema in bounded time, and without anything from elsewhere: Helm fetches
what ``$ref`` and ``$schema`` name over the network, or from the disk, and neither happens here.  Never makes
a form of a schema: that is `pitrix.packages.forms.values`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.model import Problem, Severity
from pitrix.packages.text import pattern
from pitrix.packages.text.jsontext import Document, pointer_of

#: Schemas can be made to take for ever (references that double at each step): checking ends after so long.
SECONDS = 2.0
MAX_PROBLEMS = 50
MAX_MESSAGE = 300
_DRAFTS = re.compile(r"https?://json-schema\.org/draft(-0[3-7]|/20(19-09|20-12))/schema#?")
#: What Go's expressions have not, and Helm therefore refuses.
_NOT_IN_GO = re.compile(r"(?<!\\)\(\?(?:=|!|<=|<!|>)|(?<!\\)\\[1-9]")


class _OutOfTime(Exception):
    pass


def remote(schema: Any, *, bundled: bool = True) -> list[tuple[str, str]]:
    """(JSON pointer, address) of everything that a schema takes from elsewhere.

    Args:
        bundled: Take what has its own ``$id`` somewhere in the document for a part of it. Good for a hint
            and no more: whether an ``$id`` counts depends on its place and on the draft.
    """
    own = {each.rstrip("#") for _, key, each in _texts(schema) if bundled and key in ("$id", "id")}
    return [
        (pointer_of(path), each)
        for path, key, each in _texts(schema)
        if (key == "$schema" and not _DRAFTS.fullmatch(each))
        or (
            key in ("$ref", "$dynamicRef", "$recursiveRef")
            and not each.startswith("#")
            and each.partition("#")[0] not in own
            and not _DRAFTS.fullmatch(each.partition("#")[0])
        )
    ]


def offline(schema: Any, *, drafts: bool = True, bundled: bool = True) -> Any:
    """A copy of a schema that takes nothing from elsewhere: such references allow anything.

    Args:
        drafts: Keep ``$schema`` where it names one of the published drafts.
        bundled: Keep references to an ``$id`` of the document; never for a reader that would fetch them.
    """
    gone = {pointer for pointer, _ in remote(schema, bundled=bundled)}

    def copied(value: Any, at: str) -> Any:
        if isinstance(value, Mapping):
            return {
                key: copied(each, here)
                for key, each in value.items()
                if (here := at + pointer_of([key])) not in gone
                and (drafts or key != "$schema" or not isinstance(each, str))
            }
        if isinstance(value, list):
            return [copied(each, f"{at}/{index}") for index, each in enumerate(value)]
        return value

    return copied(schema, "")


def lint(document: Document, values: Document | None, effective: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a schema, and where the values of the chart break it.

    Args:
        values: The chart's ``values.yaml``, for the lines of what is wrong in it.
        effective: The values that Helm checks: those of the chart with those of its subcharts.
    """
    schema = document.value
    if not isinstance(schema, bool | Mapping):
        yield document.problem("", "the schema is neither an object nor true or false")
        return
    for pointer, address in remote(schema):
        yield document.problem(
            pointer,
            f"{address[:200]!r} is elsewhere: it is not fetched here, and Helm fetches it on every use",
            "copy what is needed into $defs and refer to it by #/$defs/…",
            Severity.WARNING,
        )
    problems = list(_schema_problems(document))
    yield from problems
    if not any(each.severity == Severity.ERROR for each in problems):
        yield from _value_problems(document, values, effective)


def _schema_problems(document: Document) -> Iterator[Problem]:
    deadline = time.monotonic() + SECONDS
    for path, key, text in _texts(document.value):
        if time.monotonic() > deadline:
            break
        if key == "pattern" and path[-2:-1] != ["properties"]:
            yield from _expression(document, path, text)
    schema = offline(document.value, drafts=False)
    kind = _kind(document.value)
    for error in _errors(kind, kind.META_SCHEMA, schema):
        if isinstance(error, str):
            yield document.problem("", f"the schema could not be checked: {error}", severity=Severity.WARNING)
        else:
            yield document.problem(
                pointer_of(error.absolute_path),
                f"this is no JSON Schema: {_short(error)}",
                "see json-schema.org for what may stand here",
            )


def _expression(document: Document, path: list[Any], text: str) -> Iterator[Problem]:
    try:
        pattern.compile(text)
    except pattern.PatternRefused as error:
        yield document.problem(pointer_of(path), f"the pattern is not a regular expression to use: {error}")
        return
    if _NOT_IN_GO.search(text):
        yield document.problem(
            pointer_of(path),
            "the pattern looks ahead, behind or back, which expressions of Helm cannot",
            "write it with what RE2 knows",
        )


def _value_problems(
    document: Document, values: Document | None, effective: Mapping[str, Any]
) -> Iterator[Problem]:
    schema = offline(document.value, drafts=False)
    for error in _errors(_kind(document.value), schema, effective):
        if isinstance(error, str):
            yield document.problem("", f"the values could not be checked: {error}", severity=Severity.WARNING)
            continue
        pointer = pointer_of(error.absolute_path)
        message = f"the chart's own value breaks values.schema.json: {_short(error)}"
        hint = "give a default that the schema allows; without, whoever installs the chart has to answer"
        if values is not None:
            yield values.problem(pointer, message, hint, Severity.WARNING)
        else:
            yield document.problem("", message, hint, Severity.WARNING)


def _short(error: Any) -> str:
    return str(error.message) if len(error.message) <= 200 else f"{error.message[:120]}… ({error.validator})"


def _kind(schema: Any) -> Any:
    """The validator of the draft that a schema names; that of 2020-12, as Helm has it, if it names none."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    named = schema.get("$schema") if isinstance(schema, Mapping) else None
    if not isinstance(named, str) or not _DRAFTS.fullmatch(named):
        return Draft202012Validator
    return validator_for({"$schema": named}, default=Draft202012Validator)


def _errors(kind: Any, schema: Any, instance: Any) -> Iterator[Any]:
    """The first violations; a text in the place of one when the schema cannot be followed to its end."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

    try:
        validator = _bounded(kind)(schema, registry=REGISTRY)
        for count, error in enumerate(validator.iter_errors(instance)):
            if count == MAX_PROBLEMS:
                return
            yield error
    except _OutOfTime:
        yield f"it takes longer than {SECONDS:g} s"
    except RecursionError:
        yield "it refers to itself without end"
    except Exception as error:  # the library was given what it was not made for
        yield str(error)[:200] or type(error).__name__


def _bounded(kind: Any) -> Any:
    """A validator that watches the clock, and matches a stranger's expressions with `text.pattern` alone."""
    from jsonschema import validators

    deadline = time.monotonic() + SECONDS

    def timed(check: Any) -> Any:
        def run(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
            if time.monotonic() > deadline:
                raise _OutOfTime
            for error in check(validator, rule, instance, schema) or ():
                # It holds the instance written out, and `anyOf` collects the errors of all its branches.
                error.message = error.message[:MAX_MESSAGE]
                error.args = (error.message,)
                yield error

        return run

    ours = {
        "pattern": _check_pattern,
        "patternProperties": _check_pattern_properties,
        "additionalProperties": _check_additional,
        "uniqueItems": _check_unique,
        "unevaluatedProperties": lambda *_: None,
        "format": lambda *_: None,
    }
    rules = {key: timed(ours.get(key, check)) for key, check in kind.VALIDATORS.items()}
    return validators.extend(kind, rules)


def _check_pattern(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and isinstance(rule, str) and (wrong := pattern.mismatch(rule, instance)):
        yield ValidationError(f"{instance[:60]!r} {wrong}")


def _check_pattern_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, Mapping):
        for expression, below in rule.items():
            for key, value in instance.items():
                if not pattern.mismatch(expression, key):
                    yield from validator.descend(value, below, path=key, schema_path=expression)


def _check_additional(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(instance, Mapping):
        return
    named, expressions = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in named or any(not pattern.mismatch(each, key) for each in expressions):
            continue
        if rule is False:
            yield ValidationError(f"{key!r} is not among the properties that are allowed", path=[key])
        elif isinstance(rule, Mapping):
            yield from validator.descend(value, rule, path=key)


def _check_unique(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if rule and isinstance(instance, list) and len({repr(each) for each in instance}) < len(instance):
        yield ValidationError("its entries are not unique")


def _texts(schema: Any) -> Iterator[tuple[list[Any], Any, str]]:
    """(path, key, text) of every text in a document."""
    waiting: list[tuple[list[Any], Any]] = [([], schema)]
    while waiting:
        path, value = waiting.pop()
        if not isinstance(value, Mapping | list):
            continue
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(each, str):
                yield [*path, key], key, each
            elif isinstance(each, Mapping | list):
                waiting.append(([*path, key], each))
