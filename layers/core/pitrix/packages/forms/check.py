"""Whether one answer is right, and if not, why: in the language of whoever gave it.

Owns the rules of each type of field.  Never looks at a second field (`forms.answers` does), never changes an
answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pitrix.packages.forms.messages import DEFAULT, say
from pitrix.packages.model import FieldType, FormField
from pitrix.packages.text import pattern

TEXT = {FieldType.STRING, FieldType.PASSWORD, FieldType.SERVICE, FieldType.SUBNET}
NUMERIC = {FieldType.INTEGER, FieldType.NUMBER}
#: Characters of a text, and of a list or object written as JSON.
MAX_TEXT = 65536
_SHOWN_CHOICES = 30


def check(field: FormField, value: Any, locale: str = DEFAULT) -> str:
    """What is wrong with an answer and what is allowed; empty when it is fine.

    The default of a field is always allowed, even where a package contradicts itself.
    """
    if same(value, field.default):
        return ""
    if not field.multichoice:
        return _check_one(field, value, locale)
    if not isinstance(value, list):
        choices = choices_text(field)
        return say(locale, "list.choices", allowed=choices) if choices else say(locale, "list")
    for each in value:
        if problem := _check_one(field, each, locale):
            return say(locale, "entry", value=show(each), problem=problem)
    return _check_items(field, value, locale)


def check_type(field: FormField, value: Any, locale: str = DEFAULT) -> str:
    """Why a value has another type than its field; empty when it has the right one."""
    wanted = "text"
    if field.type == FieldType.INTEGER:
        wanted, fits = "integer", isinstance(value, int) and not isinstance(value, bool)
    elif field.type == FieldType.NUMBER:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        wanted = "number"
    elif field.type == FieldType.BOOLEAN:
        wanted, fits = "boolean", isinstance(value, bool)
    elif field.type == FieldType.LOADBALANCER:
        wanted = "loadbalancer"
        fits = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    elif field.type == FieldType.JSON:
        wanted = field.shape
        fits = {"array": isinstance(value, list), "object": isinstance(value, dict)}.get(field.shape, True)
    else:
        fits = isinstance(value, str)
    if fits:
        return ""
    shown = "•••" if field.type == FieldType.PASSWORD else show(value)
    return say(locale, "type", wanted=say(locale, f"type.{wanted}"), value=shown)


def same(one: Any, other: Any) -> bool:
    """Equal and of one type, all the way down: ``1``, ``1.0`` and ``True`` are three."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(same(value, other[key]) for key, value in one.items())
    return not isinstance(one, list) or all(map(same, one, other))


def show(value: Any) -> str:
    """A value as a message shows it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def choices_text(field: FormField) -> str:
    """The choices of a field, the first of many; empty when it has none."""
    if field.choices is None:
        return ""
    shown = ", ".join(show(each) for each in field.choices[:_SHOWN_CHOICES])
    return f"{shown}, ..." if len(field.choices) > _SHOWN_CHOICES else shown


def bounds_text(field: FormField, locale: str = DEFAULT) -> str:
    """What a number may be: ``10 to 50 GiB in steps of 10``; empty when it may be anything."""
    unit = f" {field.unit}" if field.unit else ""
    low, high = field.minimum, field.maximum
    parts: list[str] = []
    if low is not None and high is not None and not (field.exclusive_minimum or field.exclusive_maximum):
        parts.append(say(locale, "bounds.between", low=low, high=f"{high}{unit}"))
    else:
        if low is not None:
            key = "bounds.above" if field.exclusive_minimum else "bounds.from"
            parts.append(say(locale, key, low=f"{low}{unit}"))
        if high is not None:
            key = "bounds.below" if field.exclusive_maximum else "bounds.to"
            parts.append(say(locale, key, high=f"{high}{unit}"))
    text = say(locale, "bounds.and", first=parts[0], second=parts[1]) if len(parts) == 2 else "".join(parts)
    if field.step:
        text = f"{text} {say(locale, 'bounds.step', step=field.step)}".strip()
    return text


def _check_one(field: FormField, value: Any, locale: str) -> str:
    if problem := check_type(field, value, locale):
        return problem
    if value == "" and not field.required and not field.min_length:
        return ""
    if field.choices is not None:
        if any(same(each, value) for each in field.choices):
            return ""
        return say(locale, "choice", value=show(value), allowed=choices_text(field))
    if field.type in NUMERIC:
        return _check_number(field, value, locale)
    if field.type in TEXT:
        return _check_text(field, value, locale)
    if field.type == FieldType.JSON:
        return _check_json(field, value, locale)
    return ""


def _check_number(field: FormField, value: int | float, locale: str) -> str:
    low, high = field.minimum, field.maximum
    below = low is not None and (value < low or (field.exclusive_minimum and value == low))
    above = high is not None and (value > high or (field.exclusive_maximum and value == high))
    if below or above:
        return say(locale, "range", value=value, allowed=bounds_text(field, locale))
    if field.step:
        steps = (value - (low or 0)) / field.step
        if abs(steps - round(steps)) > 1e-9:
            return say(locale, "step", value=value, allowed=bounds_text(field, locale))
    return ""


def _check_text(field: FormField, value: str, locale: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates: JSON can write it, nothing can store it
        return say(locale, "unreadable")
    if problem := _check_length(value, field.min_length, field.max_length, locale):
        return problem
    if not field.pattern:
        return ""
    if len(value) > pattern.MAX_TEXT:
        return say(locale, "too_long", count=len(value), limit=pattern.MAX_TEXT)
    try:
        found = pattern.compile(field.pattern).search(value, timeout=pattern.TIMEOUT_S)
    except pattern.PatternRefused:
        return ""  # its author's to mend (lint says so): users are not stopped by it
    except TimeoutError:
        return say(locale, "pattern.slow")
    if found:
        return ""
    if field.type == FieldType.PASSWORD:
        return say(locale, "pattern.secret", pattern=field.pattern)
    return say(locale, "pattern", value=show(value), pattern=field.pattern)


def _check_length(value: str, least: int | None, most: int | None, locale: str) -> str:
    limit = MAX_TEXT if most is None else min(most, MAX_TEXT)
    if len(value) > limit:
        return say(locale, "too_long", count=len(value), limit=limit)
    if least is not None and len(value) < least:
        return say(locale, "too_short", count=len(value), limit=least)
    return ""


def _check_json(field: FormField, value: Any, locale: str) -> str:
    if isinstance(value, list | dict) and (problem := _check_items(field, value, locale)):
        return problem
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return say(locale, "unreadable")
    size = len(text)
    return say(locale, "too_long", count=size, limit=MAX_TEXT) if size > MAX_TEXT else ""


def _check_items(field: FormField, value: Sequence[Any] | dict[str, Any], locale: str) -> str:
    if field.max_items is not None and len(value) > field.max_items:
        return say(locale, "too_many", count=len(value), limit=field.max_items)
    if field.min_items is not None and len(value) < field.min_items:
        return say(locale, "too_few", count=len(value), limit=field.min_items)
    return ""
