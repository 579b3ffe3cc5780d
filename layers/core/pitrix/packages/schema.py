"""Checking decoded JSON against our JSON Schemas (2020-12), as problems with lines and hints.

Owns the schemas below ``schemas/`` and two keywords of ours, since the wild is wide and what we do not know
must not stop a package: ``warnUnknown`` warns of keys that ``properties`` does not name, ``suggested`` of
values other than those it lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from pitrix.packages.model import Problem, Severity
from pitrix.packages.text.jsontext import Document, pointer_of

#: More problems than this in one file say nothing new.
MAX_PROBLEMS = 100


def check(document: Document, schema: str) -> list[Problem]:
    """Every violation of ``schemas/<schema>.json``; unknown keys as warnings."""
    problems: list[Problem] = []
    for error in _validator(schema).iter_errors(document.value):
        if len(problems) == MAX_PROBLEMS:
            problems.append(Problem(file=document.file, message="there are more problems; mend these first"))
            break
        at = pointer_of(error.absolute_path)
        if error.validator in ("warnUnknown", "suggested"):
            hint = "check the spelling, or leave it: it is kept but not acted on"
            problems.append(document.problem(at, error.message, hint, Severity.WARNING))
        else:
            problems.append(document.problem(at, _message(error), _hint(error)))
    return sorted(problems, key=lambda each: (each.line, each.key, each.message))  # whatever order sets have


def _message(error: Any) -> str:
    value = json.dumps(error.instance, ensure_ascii=False)
    shown = value if len(value) <= 60 else value[:57] + "..."
    if error.validator == "type":
        wanted = error.validator_value
        names = wanted if isinstance(wanted, str) else " or ".join(wanted)
        return f"{shown} is not of type {names}"
    if error.validator == "required":
        return str(error.message).replace("is a required property", "is missing")
    if error.validator == "pattern":
        return f"{shown} does not have the form that is asked for"
    return str(error.message) if len(error.message) <= 300 else f"{shown} is not allowed here"


def _hint(error: Any) -> str:
    return str(error.schema.get("description", "")) if isinstance(error.schema, dict) else ""


def _warn_unknown(validator: Any, enabled: bool, instance: Any, schema: dict[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if enabled and isinstance(instance, dict):
        for key in sorted(instance.keys() - schema.get("properties", {}).keys()):
            yield ValidationError(f"the key {str(key)[:80]!r} is not known", path=[key])


def _warn_other(validator: Any, known: list[str], instance: Any, schema: dict[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and instance not in known:
        shown = ", ".join(each for each in known if each)
        yield ValidationError(f"{instance[:80]!r} is none of the values that are known: {shown}")


def names() -> list[str]:
    """The schemas there are, by the name of their file without its ending."""
    folder = resources.files("pitrix.packages").joinpath("schemas")
    return sorted(each.name.removesuffix(".json") for each in folder.iterdir() if each.name.endswith(".json"))


def load(name: str) -> dict[str, Any]:
    """One schema, decoded; a copy that the caller may change.

    Raises:
        KeyError: There is no such schema.
    """
    if name not in names():
        raise KeyError(name)
    text = resources.files("pitrix.packages").joinpath("schemas", f"{name}.json").read_text("utf-8")
    decoded: dict[str, Any] = json.loads(text)
    return decoded


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry, Resource

    def sibling(uri: str) -> Any:
        """Another schema of ours that this one refers to by its ``$id``."""
        return Resource.from_contents(load(uri.removeprefix("urn:pitrix:schema:")))

    ours = extend(Draft202012Validator, {"warnUnknown": _warn_unknown, "suggested": _warn_other})
    return ours(load(name), registry=Registry(retrieve=sibling))  # type: ignore[call-arg]
