"""A package's form as a browser knows forms: how each question is drawn, and how an answer is read back.

Owns the way from `pitrix.packages.model.Form` to inputs and from posted fields to the nested answers which
the API takes. Never decides whether an answer is right: `pitrix.packages.service` does, and its words are put
beside the field they belong to. What cannot be read at all (``"two"`` where a number is asked) is passed on
as it was typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib.i18n import Texts
from pitrix.errors import FieldError
from pitrix.packages.model import FieldType, Form, FormField

Kind = Literal["radio", "select", "number", "text", "password", "checkboxes", "lines", "json"]
Posted = Mapping[str, Sequence[str]]

#: More choices than this are a drop-down list; up to here they are radio buttons.
MOST_RADIOS = 12
#: Groups of a VM package; those of a chart are all of one part.
_PARTS = ("cluster", "env")
#: Marks that a field was on the page, for inputs which say nothing when nothing is chosen.
PRESENT = "asked"
#: The size whose answers the page was filled with: what still equals them was not touched by the visitor.
SIZE_SHOWN = "size_shown"

_BLANK: Any = object()


@dataclass(frozen=True, kw_only=True)
class Option:
    """One choice of a field."""

    value: str
    text: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Question:
    """One field as the template draws it.

    Attributes:
        name: Name of the input: the field's path as a JSON pointer, because keys may hold dots.
        value: Text of an input that is typed into; that of a list or an object is JSON.
        sizes: Answers by size of deployment, as JSON text; empty when the field does not depend on it.
        is_size: The choice of the size itself.
        limits: How long a text, or a list, may be, in words; empty when the package does not say.
        when: The conditions under which it counts, as JSON text for the script that hides it otherwise.
    """

    asked: FormField
    name: str
    html_id: str
    kind: Kind
    options: list[Option] = field(default_factory=list)
    value: str = ""
    error: str = ""
    sizes: str = ""
    is_size: bool = False
    when: str = ""
    limits: str = ""

    @property
    def step(self) -> str:
        """What the browser lets a number go up by; bounds that are excluded are left to the platform."""
        return str(self.asked.step or ("1" if self.asked.type is FieldType.INTEGER else "any"))

    @property
    def rows(self) -> int:
        """Lines that a text of several lines shows at once."""
        return min(max(self.value.count("\n") + 2, 3), 16)

    @property
    def described_by(self) -> str:
        """Ids of the texts that explain the input, for screen readers."""
        ids = [f"{self.html_id}-help"] if self.asked.description else []
        ids += [f"{self.html_id}-limits"] if self.limits else []
        return " ".join([*ids, f"{self.html_id}-error"] if self.error else ids)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Questions that are drawn together; ``part`` is ``cluster`` (what it is made of) or ``env`` (its
    settings)."""

    part: str
    title: str
    description: str
    html_id: str
    questions: list[Question]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer in words, for the preview."""

    label: str
    text: str


def pointer(path: Iterable[str]) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def draw(
    form: Form,
    t: Texts,
    *,
    posted: Posted | None = None,
    errors: Sequence[FieldError] = (),
    linkable: Sequence[tuple[str, str]] = (),
) -> list[Section]:
    """The form as sections of questions, filled with what was posted, or with the package's defaults.

    Args:
        errors: Shown at the fields they name; see `strangers` for the others.
        linkable: Id and name of the clusters that a ``service`` field may be linked to.
    """
    sections: list[Section] = []
    for group in form.groups:
        questions = [
            _question(form, asked, t, posted, _message(asked, errors), linkable)
            for asked in group.fields
            if _is_asked(asked)
        ]
        if questions:
            sections.append(
                Section(
                    part=group.path[0] if group.path and group.path[0] in _PARTS else "",
                    title=group.label,
                    description=group.description,
                    html_id=_html_id(group.path),
                    questions=questions,
                )
            )
    return sections


def read(form: Form, posted: Posted) -> dict[str, Any]:
    """The nested answers in a posted form; a field that was left blank is left out, so that its default
    holds.

    So is one that still shows what belongs to the size which the page was drawn with, when another size was
    chosen since: the package says what belongs to that one.
    """
    answers: dict[str, Any] = {}
    for asked in form.fields():
        value = _value(asked, posted)
        if value is not _BLANK and not _left_to_size(form, asked, posted, value):
            inner = answers
            for key in asked.path[:-1]:
                inner = inner.setdefault(key, {})
            inner[asked.path[-1]] = value
    return answers


def in_words(form: Form, posted: Posted, t: Texts) -> list[tuple[str, list[Answered]]]:
    """What was answered, section by section, as a person reads it; passwords stay hidden."""
    told: list[tuple[str, list[Answered]]] = []
    for group in form.groups:
        lines: list[Answered] = []
        for asked in group.fields:
            value = _value(asked, posted)
            if not _is_asked(asked) or value is _BLANK or value in ("", [], {}):
                continue
            text = (
                "••••••"
                if asked.type is FieldType.PASSWORD
                else json.dumps(value, ensure_ascii=False)
                if asked.type is FieldType.JSON and not isinstance(value, str)
                else ", ".join(
                    _said(asked, each, t) for each in (value if isinstance(value, list) else [value])
                )
            )
            lines.append(Answered(label=asked.label, text=text))
        if lines:
            told.append((group.label, lines))
    return told


def strangers(form: Form, errors: Sequence[FieldError]) -> list[FieldError]:
    """The errors that belong to no field of the page, and so are shown above it."""
    return [
        error
        for error in errors
        if not any(_names(error, asked) for asked in form.fields() if _is_asked(asked))
    ]


def label(form: Form, error: FieldError) -> str:
    """What the page calls the field that an error names; the name itself when it is no field of the form."""
    return next((asked.label for asked in form.fields() if _names(error, asked)), error.field)


# --- drawing -----------------------------------------------------------------------------------------------


def _is_asked(asked: FormField) -> bool:
    """Networks and load balancers are the platform's business as long as the package does not insist."""
    return not (asked.platform_provided or (asked.type is FieldType.LOADBALANCER and not asked.required))


def _question(
    form: Form,
    asked: FormField,
    t: Texts,
    posted: Posted | None,
    error: str,
    linkable: Sequence[tuple[str, str]],
) -> Question:
    name = pointer(asked.path)
    chosen = list(posted.get(name, ())) if posted is not None else _default(form, asked)
    choices = _choices(asked, t, linkable)
    options = [Option(value=value, text=text, chosen=value in chosen) for value, text in choices]
    return Question(
        asked=asked,
        name=name,
        html_id=_html_id(asked.path),
        kind=_kind(asked, len(options)),
        options=options,
        value=chosen[0] if chosen else "",
        limits=_limits(asked, t),
        error=error,
        sizes=json.dumps([_text(each) for each in asked.resource_group]) if asked.resource_group else "",
        is_size=_is_size(form, asked),
        when=_when(asked),
    )


def _is_size(form: Form, asked: FormField) -> bool:
    return bool(form.resource_groups) and asked.choices == form.resource_groups


def size_shown(form: Form, posted: Posted | None = None) -> str:
    """The size that the page is filled for: the one chosen, else the default; empty without sizes."""
    asked = next((each for each in form.fields() if _is_size(form, each)), None)
    if asked is None:
        return ""
    chosen = (posted or {}).get(pointer(asked.path)) or [str(asked.default)]
    return chosen[0]


def _of_size(form: Form, asked: FormField, size: str) -> Any:
    """The answer that belongs to a size, or `_BLANK`."""
    if not asked.resource_group or size not in form.resource_groups:
        return _BLANK
    place = form.resource_groups.index(size)
    return asked.resource_group[place] if place < len(asked.resource_group) else _BLANK


def _left_to_size(form: Form, asked: FormField, posted: Posted, value: Any) -> bool:
    drawn_for = (posted.get(SIZE_SHOWN) or [""])[0]
    return size_shown(form, posted) != drawn_for and value == _of_size(form, asked, drawn_for)


def _when(asked: FormField) -> str:
    if not asked.conditions:
        return ""
    return json.dumps(
        [
            {"name": pointer(each.path), "values": each.values, "negated": each.negated}
            for each in asked.conditions
        ]
    )


def _kind(asked: FormField, options: int) -> Kind:
    if asked.multichoice:
        return "checkboxes"
    if asked.type is FieldType.SERVICE or options > MOST_RADIOS:
        return "select"
    if options:
        return "radio"
    if asked.type is FieldType.JSON:
        return "json"
    if asked.multiline and asked.type is FieldType.STRING:
        return "lines"
    if asked.type in (FieldType.INTEGER, FieldType.NUMBER):
        return "number"
    return "password" if asked.type is FieldType.PASSWORD else "text"


def _choices(asked: FormField, t: Texts, linkable: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Value and text of each choice."""
    if asked.type is FieldType.SERVICE:
        return [("", t("wizard.no_link")), *linkable]
    if asked.choices is not None:
        return [(_text(each), _said(asked, each, t)) for each in asked.choices]
    if asked.type is FieldType.BOOLEAN:
        return [("true", t("wizard.yes")), ("false", t("wizard.no"))]
    return []


def _limits(asked: FormField, t: Texts) -> str:
    """``3 to 20 characters``, ``at most 5 entries``; empty for a number and for what has any length."""
    least, most = asked.min_length, asked.max_length
    between, to, start = "wizard.characters", "wizard.characters_to", "wizard.characters_from"
    if asked.multichoice or asked.type is FieldType.JSON:
        least, most = asked.min_items, asked.max_items
        between, to, start = "wizard.entries", "wizard.entries_to", "wizard.entries_from"
    if least and most is not None:
        return t(between, least=least, most=most)
    if most is not None:
        return t(to, most=most)
    return t(start, least=least) if least and least > 1 else ""


def _said(asked: FormField, value: Any, t: Texts) -> str:
    if asked.choices and len(asked.choice_labels) == len(asked.choices) and value in asked.choices:
        return asked.choice_labels[asked.choices.index(value)]
    if isinstance(value, bool):
        return t("wizard.yes" if value else "wizard.no")
    if value == "":
        return t("wizard.nothing")
    return t.amount(value, asked.unit)


def _default(form: Form, asked: FormField) -> list[str]:
    of_size = _of_size(form, asked, size_shown(form))
    if of_size is not _BLANK:
        return [_text(of_size)]
    if asked.default is None:
        return ["false"] if asked.type is FieldType.BOOLEAN else []
    if asked.type is FieldType.JSON and not asked.multichoice:
        return [json.dumps(asked.default, indent=2, ensure_ascii=False)]
    if isinstance(asked.default, list):
        return [_text(each) for each in asked.default]
    if asked.multichoice and isinstance(asked.default, str):
        return [each for each in asked.default.split(asked.separator) if each]
    return [_text(asked.default)]


def _text(value: Any) -> str:
    """A value as it stands in an input: ``true``, ``2``, ``0.5``, text as it is."""
    return value if isinstance(value, str) else json.dumps(value)


def _html_id(path: Iterable[str]) -> str:
    # Every other character is spelled out, so that two paths cannot share an id.
    return "f" + re.sub(
        r"[^A-Za-z0-9]", lambda char: f"-{ord(char[0]):x}-" if char[0] != "/" else "_", pointer(path)
    )


def _message(asked: FormField, errors: Sequence[FieldError]) -> str:
    return " ".join(error.message for error in errors if _names(error, asked))


def _names(error: FieldError, asked: FormField) -> bool:
    where = error.field.removeprefix("/answers").removeprefix("answers.")
    return where in (pointer(asked.path), asked.key, ".".join(asked.path))


# --- reading -----------------------------------------------------------------------------------------------


def _value(asked: FormField, posted: Posted) -> Any:
    """The answer to one question, or `_BLANK`."""
    name = pointer(asked.path)
    given = list(posted.get(name, ()))
    if asked.multichoice:
        if not given and f"{PRESENT}{name}" not in posted:
            return _BLANK
        return [_typed(asked, each) for each in given]
    text = given[0] if given else ""
    if asked.multiline and asked.type is FieldType.STRING:
        text = text.replace("\r\n", "\n")  # what a browser makes of new lines
    elif asked.type is not FieldType.PASSWORD:
        text = text.strip()
    if text == "":
        # An emptied text is an answer where the package has another one in mind; elsewhere the default holds.
        emptied = (
            bool(given) and asked.type is FieldType.STRING and asked.choices is None and bool(asked.default)
        )
        return "" if emptied or (given and asked.choices and "" in asked.choices) else _BLANK
    return _typed(asked, text)


def _typed(asked: FormField, text: str) -> Any:
    for choice in asked.choices or ():
        if _text(choice) == text:
            return choice
    if asked.type is FieldType.BOOLEAN:
        return {"true": True, "false": False}.get(text, text)
    if asked.type is FieldType.INTEGER and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if asked.type is FieldType.NUMBER and re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return float(text)
    if asked.type is FieldType.JSON and not asked.multichoice:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
