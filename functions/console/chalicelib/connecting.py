"""The form of a cloud account: which fields, what was typed into them, what is wrong with each.

Owns reading and showing it, from the schema that the provider publishes. Never decides what a credential may
be (`pitrix.runtimes` does), and never gives a secret back to the page: whoever must correct something types
it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.visit import Visit
from pitrix.errors import FieldError
from pitrix.runtimes.model import ProviderInfo
from providers.base import ways

_PREFIX = "credential."


@dataclass
class Question:
    """One field as the page draws it; ``kind`` is ``text``, ``password``, ``lines`` or ``select``."""

    name: str
    title: str
    description: str
    kind: str
    required: bool
    value: str = ""
    options: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def html_id(self) -> str:
        return self.name.replace(".", "-")


@dataclass
class Form:
    """The form of one way to sign in; ``offered`` are all ways by name and title, none where there is one."""

    way: str
    description: str
    offered: dict[str, str]
    questions: list[Question]


def form(provider: ProviderInfo, way: str) -> Form:
    """The empty form of a way to sign in, of the first one if there is none of that name."""
    branches = ways(provider.credential_schema)
    named = {each["properties"]["method"]["const"]: each for each in branches} if len(branches) > 1 else {}
    chosen = way if way in named else next(iter(named), "")
    schema = named[chosen] if named else branches[0]
    return Form(
        way=chosen or _only_way(schema),
        description=str(schema.get("description", "")),
        offered={name: str(each.get("title", name)) for name, each in named.items()},
        questions=[
            _question(name, described, name in schema.get("required", ()))
            for name, described in schema["properties"].items()
            if name != "method"
        ],
    )


def read(visit: Visit, asked: Form) -> dict[str, str]:
    """The credential that was typed in; what was left empty is left out."""
    found = {"method": asked.way} if asked.way else {}
    for question in asked.questions:
        value = (visit.form.get(question.name) or [""])[0]
        # Browsers send lines with carriage returns, which no key file has.
        value = value.replace("\r\n", "\n") if question.kind == "lines" else value.strip()
        if value.strip():
            found[question.name.removeprefix(_PREFIX)] = value
        if question.kind not in ("password", "lines"):
            question.value = value
    return found


def blame(asked: Form, errors: Iterable[FieldError]) -> list[FieldError]:
    """Put each error at its question; returns those that have none."""
    left = []
    questions = {question.name: question for question in asked.questions}
    for error in errors:
        if error.field in questions:
            questions[error.field].error = error.message
        else:
            left.append(error)
    return left


def _only_way(schema: Mapping[str, Any]) -> str:
    return str(schema["properties"].get("method", {}).get("const", ""))


def _question(name: str, described: Mapping[str, Any], required: bool) -> Question:
    options = [str(each) for each in described.get("enum", ())]
    if options:
        kind = "select"
    elif described.get("x-multiline"):
        kind = "lines"
    else:
        kind = "password" if described.get("writeOnly") else "text"
    return Question(
        name=_PREFIX + name,
        title=str(described.get("title", name)),
        description=str(described.get("description", "")),
        kind=kind,
        required=required,
        value=str(described.get("default", "")),
        options=options if required or "default" in described else ["", *options],
    )
