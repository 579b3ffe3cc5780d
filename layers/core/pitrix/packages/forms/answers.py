"""Answers to a form: completed with defaults, checked, read from texts, reduced to what differs.

Owns what belongs to several fields at once: sizes, conditions, what is unknown or missing.  Whether one
answer is right is told by `forms.check`.  Forms are built by `forms.config` (VM packages, serverless
packages) and by `forms.values` (Helm charts).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pitrix.errors import FieldError, InvalidInput
from pitrix.packages.forms.check import NUMERIC, TEXT, check, check_type, choices_text, same, show
from pitrix.packages.forms.messages import say
from pitrix.packages.model import FieldCondition, FieldType, Form, FormField

__all__ = ["as_text", "check", "complete", "default_answers", "from_text", "overrides", "parse_answers"]

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


def default_answers(form: Form) -> dict[str, Any]:
    """What a user gets who answers nothing: defaults, or the least value of the type; never fails."""
    answers: dict[str, Any] = {}
    for each in form.fields():
        value = each.default if form.sparse else _fallback(each)
        if value is not None or not form.sparse:
            _put(answers, each.path, value)
    return answers


def complete(form: Form, answers: Any) -> dict[str, Any]:
    """Answers with the defaults filled in, all of them checked.

    Args:
        answers: Nested by the paths of the fields: ``{"cluster": {"web": {"count": 2}}, "env": {...}}``.

    Returns:
        A value for each field of the form; of a sparse form, for each that has an answer or a default.

    Raises:
        InvalidInput: One `FieldError` for each answer that is wrong, unknown or missing; its message is in
            the form's language.
    """
    errors: list[FieldError] = []
    given = dict(_leaves(form, answers, errors))
    size = _chosen_size(form, given)
    result: dict[str, Any] = {}
    for each in form.fields():
        answer = given.get(tuple(each.path))
        value = _unanswered(form, each, size) if answer is None else answer
        if value is not None or not form.sparse:
            _put(result, each.path, value)
    for each in form.fields():
        asked = all(_holds(condition, result) for condition in each.conditions)
        answer = given.get(tuple(each.path))
        if asked and each.required and not each.platform_provided and _is_empty(_get(result, each.path)):
            errors.append(FieldError(each.key, _required(each, form.locale)))
        elif answer is not None:
            problem = check(each, answer, form.locale) or _check_fixed(form, each, answer, size)
            if problem and asked:
                errors.append(FieldError(each.key, problem))
            elif problem:  # what was typed before the question was hidden: nobody sees it, or could mend it
                _put(result, each.path, _unanswered(form, each, size))
    if errors:
        raise _refused(form, errors)
    return result


def overrides(form: Form, answers: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from a chart's own values in complete answers, nested as they are: what Helm is told.

    Helm merges objects key by key, so of an object only what was changed is given, and what was taken out of
    it becomes ``None``, which is how Helm is told to drop a key.  A default that only the schema has counts
    as an answer: Helm itself does not look at it.

    Args:
        own: The chart's ``values.yaml``.
    """
    result: dict[str, Any] = {}
    for each in form.fields():
        value, before = _get(answers, each.path), _get(own, each.path)
        if value is None or same(value, before) or (before is not None and same(value, each.default)):
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            value = _changes(before, value)
        _put(result, each.path, value)
    return result


def _changes(usual: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {key: None for key in usual if key not in wanted}
    for key, value in wanted.items():
        before = usual.get(key)
        if key in usual and same(value, before):
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            value = _changes(before, value)
        changed[key] = value
    return changed


def _refused(form: Form, errors: list[FieldError]) -> InvalidInput:
    names = ", ".join(error.field for error in errors[:5])
    return InvalidInput(say(form.locale, "refused", count=len(errors), names=names), errors=errors)


def _required(field: FormField, locale: str) -> str:
    choices = choices_text(field)
    return say(locale, "required.choices", allowed=choices) if choices else say(locale, "required")


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _usual(field: FormField, size: int | None) -> Any:
    """What a field is when it is not answered: what belongs to the chosen size, or the default."""
    if size is not None and field.resource_group and size < len(field.resource_group):
        return field.resource_group[size]
    return field.default


def _unanswered(form: Form, field: FormField, size: int | None) -> Any:
    usual = _usual(field, size)
    return _fallback(field) if usual is None and not form.sparse else usual


def _check_fixed(form: Form, field: FormField, answer: Any, size: int | None) -> str:
    """Why an answer may not differ from what the package says; empty when it may, or does not."""
    usual = _usual(field, size)
    if usual is None or same(answer, usual):
        return ""
    if not field.changeable_when_create:
        return say(form.locale, "fixed", value=show(usual))
    chooser = _size_field(form)
    if field.resource_group and size is not None and chooser is not None and not chooser.customizable:
        return say(form.locale, "fixed.size", value=show(usual))
    return ""


def _size_field(form: Form) -> FormField | None:
    return next((each for each in form.fields() if each.key == "cluster.resource_group"), None)


def _chosen_size(form: Form, given: Mapping[tuple[str, ...], Any]) -> int | None:
    chooser = _size_field(form)
    if not form.resource_groups or chooser is None:
        return None
    chosen = given.get(tuple(chooser.path), chooser.default)
    return form.resource_groups.index(chosen) if chosen in form.resource_groups else None


def _leaves(form: Form, answers: Any, errors: list[FieldError]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of each known answer; what belongs to no field becomes an error."""
    fields = {tuple(each.path) for each in form.fields()}
    inner = {()} | {path[:end] for path in fields for end in range(len(path))}

    def walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if path in fields:
            if node is not None:
                yield path, node
        elif path not in inner:
            errors.append(FieldError(".".join(path)[:200], say(form.locale, "unknown")))
        elif not isinstance(node, Mapping):
            errors.append(FieldError(".".join(path) or "answers", say(form.locale, "object")))
        else:
            for key, value in node.items():
                yield from walk(value, (*path, str(key)))

    yield from walk({} if answers is None else answers, ())


def _holds(condition: FieldCondition, answers: Mapping[str, Any]) -> bool:
    return (as_text(_get(answers, condition.path)) in condition.values) is not condition.negated


def _fallback(field: FormField) -> Any:
    if field.default is not None:
        return field.default
    if field.multichoice or field.type == FieldType.LOADBALANCER:
        return []
    if field.required and field.type not in (FieldType.SUBNET, FieldType.SERVICE):
        return None
    if field.type in NUMERIC:
        return field.minimum if field.minimum is not None else (field.choices or [0])[0]
    if field.type == FieldType.JSON:
        return {"array": [], "object": {}}.get(field.shape)
    return False if field.type == FieldType.BOOLEAN else ""


def _put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value


def _get(source: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(key)
    return source


# --- text (command lines, HTML forms) -----------------------------------------------------------------------


def as_text(value: Any) -> str:
    """A value as packages and command lines write it: ``true``, ``2``, a text as it is."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_text(kind: FieldType, text: str, shape: str = "") -> Any:
    """A text typed by a user as a value of a type.

    Args:
        shape: That of a field of the type ``json``.  Without one, a text that is no JSON is a value too, so
            that nobody has to type quotes around a word.

    Raises:
        ValueError: It is none.
    """
    text = text if kind in TEXT else text.strip()
    if kind == FieldType.INTEGER:
        return int(text)
    if kind == FieldType.NUMBER:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    if kind == FieldType.BOOLEAN:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError("must be true or false")
        return text.lower() in _TRUE
    if kind == FieldType.LOADBALANCER:
        return _json(text) if text else []
    if kind == FieldType.JSON:
        try:
            return _json(text)
        except ValueError:
            if shape:
                raise
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def parse_answers(form: Form, flat: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Nested answers from texts by field key (``{"cluster.web.count": "2"}``).

    An empty text counts as no answer, except where the field holds a text that a user can see.

    Raises:
        InvalidInput: One `FieldError` for each key that is unknown and each text of the wrong type.
    """
    fields = {each.key: each for each in form.fields()}
    answers: dict[str, Any] = {}
    errors: list[FieldError] = []
    for key, text in flat.items():
        field = fields.get(key)
        if field is None:
            errors.append(FieldError(key[:200], say(form.locale, "unknown")))
            continue
        texts = [text] if isinstance(text, str) else list(text)
        try:
            if field.multichoice:
                parts = [part for each in texts for part in each.split(field.separator) if part]
                _put(answers, field.path, [from_text(field.type, part) for part in parts])
            elif texts and (texts[-1] or field.type == FieldType.STRING):
                _put(answers, field.path, from_text(field.type, texts[-1], field.shape))
        except ValueError:
            problem = check_type(field, texts[-1], form.locale) or say(form.locale, "unreadable")
            errors.append(FieldError(key, problem))
    if errors:
        raise _refused(form, errors)
    return answers
