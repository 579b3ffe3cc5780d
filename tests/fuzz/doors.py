"""A package pushed through every door of the packages context, and what must hold whatever it is made of.

Owns the invariants.  `hostile` says what exactly one input is told; the fuzz targets, that nothing breaks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from pitrix.errors import CapabilityMissing, InvalidInput, PackageInvalid, PitrixError, ServiceUnavailable
from pitrix.packages import service
from pitrix.packages.model import FieldType, Form, FormField, Package, Problem, Severity

#: What one answer of the API may weigh, with room to spare: Lambda hands out 6 MB.
MAX_ANSWER = 2 * 1024 * 1024


class Broken(AssertionError):
    """An invariant does not hold."""


def push(source: bytes | Path, *, tools: bool = True) -> list[str]:
    """Push a package through all doors as far as it gets, and return what it was told.

    Args:
        tools: Also make manifests, which may start programs.

    Raises:
        Broken: An invariant does not hold.  Anything else that is raised breaks one too.
    """
    problems = service.lint(source)
    check(problems)
    errors = [each for each in problems if each.severity == Severity.ERROR]
    if isinstance(source, Path):
        return _told(errors or problems)
    try:
        package = service.open_package(source)
    except PackageInvalid as refused:
        check(refused.problems)
        _check_text(refused.detail)
        if not errors:
            raise Broken(f"lint finds no error but the package is not opened: {refused}") from None
        return _told(errors)
    if errors:
        raise Broken(f"the package is opened in spite of {errors[0]}")
    if len(json.dumps(package.metadata).encode()) > MAX_ANSWER:
        raise Broken("the metadata is larger than an answer may be")
    return [*_told(problems), *_use(package, tools)]


def check(problems: Iterable[Problem]) -> None:
    """What holds for every problem: it can be shown, stored and sent."""
    size = 0
    for each in problems:
        for text in (each.file, each.key, each.message, each.hint):
            _check_text(text)
            size += len(text.encode())
        if not each.message or each.line < 0:
            raise Broken(f"a problem without a message or with a line below nought: {each!r}")
    if size > MAX_ANSWER:
        raise Broken(f"the problems of one package have {size} bytes")


def _check_text(text: str) -> None:
    if not text.isprintable() or len(text) > 2500:
        raise Broken(f"a text that cannot be shown: {text[:300]!r}")


def _told(problems: list[Problem]) -> list[str]:
    shown = [str(each) for each in problems[:3]]
    return [*shown, f"… and {len(problems) - 3} more"] if len(problems) > 3 else shown


def _use(package: Package, tools: bool) -> list[str]:
    told = []
    for locale in ("en", "zh-cn"):
        form = service.form(package, locale)
        if len(msgspec.json.encode(form)) > 2 * MAX_ANSWER:
            raise Broken("the form is larger than an answer may be")
    answers = _answers(form)
    try:
        answers = service.complete_answers(form, answers)
    except InvalidInput as refused:
        told += [f"answers: {each.field}: {each.message}" for each in refused.errors[:2]]
    try:
        service.render(package, answers)
    except (PackageInvalid, CapabilityMissing) as refused:
        if isinstance(refused, PackageInvalid):
            check(refused.problems)
            told.append(f"render: {refused.detail}")
    if tools:
        try:
            service.manifests(package, answers, name="hostile")
        except (PackageInvalid, ServiceUnavailable) as refused:
            told.append(f"manifests: {refused.detail}")
    for text in told:
        if not text.isprintable():
            raise Broken(f"a text that cannot be shown: {text[:300]!r}")
    return told


def _answers(form: Form) -> dict[str, Any]:
    """The defaults, and something for each question that has none and needs one."""
    answers = service.default_answers(form)
    for field in form.fields():
        if field.required and not field.conditions and field.default in (None, ""):
            _put(answers, field.path, _something(field))
    return answers


def _something(field: FormField) -> Any:
    if field.choices:
        return field.choices[0]
    return {FieldType.INTEGER: field.minimum or 1, FieldType.NUMBER: field.minimum or 1}.get(field.type, "x")


def _put(answers: dict[str, Any], path: list[str], value: Any) -> None:
    here = answers
    for key in path[:-1]:
        below = here.setdefault(key, {})
        if not isinstance(below, dict):
            return
        here = below
    if path:
        here[path[-1]] = value


__all__ = ["Broken", "PitrixError", "check", "push"]
