"""Answers to an application's form, on a command line: given by options and files, or asked for one by one.

Owns the talk. What an answer may be is decided by `pitrix.packages.service`, as on the platform.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pitrix.cli.clusters import pairs
from pitrix.cli.context import Cli
from pitrix.cli.failure import Failure, WrongUsage
from pitrix.errors import FieldError, InvalidInput
from pitrix.packages import service as packages
from pitrix.packages.model import FieldType, Form, FormField, FormGroup

#: The options that answers come by, for every command that takes some.
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="An answer, such as cluster.web.count=2; repeatable.", metavar="KEY=VALUE"),
]
Answers = Annotated[
    Path | None,
    typer.Option(help="JSON or YAML file with answers; - reads standard input.", metavar="FILE"),
]
#: Keys of a form that a hint lists.
_KEYS_TOLD = 20


def gather(
    cli: Cli, form: Form, *, settings: Sequence[str], file: Path | None, ask_all: bool
) -> dict[str, Any]:
    """The answers to send: those of the file, over them those of ``--set``, and what had to be asked.

    Only what is required, has no default and was not given is asked, and only where somebody can answer;
    ``ask_all`` asks everything else too. Defaults are left to the platform.

    Raises:
        WrongUsage: The file or an option cannot be read.
        Failure: An answer is wrong, unknown or missing; names each of them.
    """
    given = _from_file(file) if file is not None else {}
    given, errors = _with_settings(form, given, pairs(list(settings), "--set"))
    if cli.interactive:
        for group in form.groups:
            open_fields = [field for field in group.fields if _asked(form, field, given, ask_all=ask_all)]
            if open_fields:
                cli.err.print(f"\n[bold]{escape(group.label)}[/]")
            for field in open_fields:
                given = merged(given, _ask(cli, field))
    _check(form, given, errors)
    return given


def _with_settings(
    form: Form, given: Mapping[str, Any], settings: Mapping[str, str]
) -> tuple[dict[str, Any], list[FieldError]]:
    """Answers with those of ``--set`` over them, and what is wrong with the latter."""
    answers = dict(given)
    errors: list[FieldError] = []
    for key, text in settings.items():
        try:
            answers = merged(answers, packages.parse_answers(form, {key: text}))
        except InvalidInput as error:
            errors += error.errors
    return answers, errors


def _check(form: Form, given: Mapping[str, Any], errors: list[FieldError]) -> None:
    """Raises `Failure` with everything that is wrong, at once."""
    try:
        packages.complete_answers(form, given)
    except InvalidInput as error:
        known = {each.field for each in errors}
        errors = errors + [each for each in error.errors if each.field not in known]
    if errors:
        names = ", ".join(error.field for error in errors[:5])
        raise Failure(
            f"{len(errors)} answer(s) cannot be used: {names}",
            errors=errors,
            title=InvalidInput.title,
            hint=_what_is_asked(form, errors),
        )


def _what_is_asked(form: Form, errors: Sequence[FieldError]) -> str:
    """The keys that a form knows, when one was given that it does not know; those alike come first."""
    keys = [field.key for field in form.fields()]
    strangers = [error.field for error in errors if error.field not in keys]
    if not strangers:
        return ""
    near = [key for each in strangers for key in difflib.get_close_matches(each, keys, n=3)]
    told = list(dict.fromkeys([*near, *keys]))
    more = f", … ({len(told) - _KEYS_TOLD} more)" if len(told) > _KEYS_TOLD else ""
    return f"It asks for: {', '.join(told[:_KEYS_TOLD])}{more}"


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested dictionaries as one; where both have a value, that of ``above``."""
    result = dict(below)
    for key, value in above.items():
        present = result.get(key)
        both = isinstance(present, Mapping) and isinstance(value, Mapping)
        result[key] = merged(present, value) if both else value  # type: ignore[arg-type]
    return result


def given_at(answers: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path; None where there is none."""
    value: Any = answers
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _asked(form: Form, field: FormField, given: Mapping[str, Any], *, ask_all: bool) -> bool:
    if given_at(given, field.path) is not None or field.platform_provided:
        return False
    if ask_all:
        return True
    if not field.required or field.default not in (None, "", []):
        return False
    # Whether a required question counts can hang on other answers: the form knows.
    try:
        packages.complete_answers(form, given)
    except InvalidInput as error:
        return any(wrong.field == field.key for wrong in error.errors)
    return False


def _ask(cli: Cli, field: FormField) -> dict[str, Any]:
    """Ask until the answer is right; nothing at all takes the default."""
    alone = Form(groups=[FormGroup(key="", path=[], label="", fields=[_unconditional(field)])])
    cli.err.print(_question(field))
    if field.description:
        cli.err.print(f"  {field.description}", style="dim", markup=False)
    for number, choice in enumerate(field.choices or (), start=1):
        cli.err.print(f"  {number}) {choice}", markup=False)
    while True:
        text = typer.prompt(
            ">",
            default=_default_text(field),
            show_default=field.type is not FieldType.PASSWORD,
            hide_input=field.type is FieldType.PASSWORD,
            prompt_suffix=" ",
            err=True,
        )
        try:
            answer = packages.parse_answers(alone, {field.key: _chosen(field, str(text).strip())})
            packages.complete_answers(alone, answer)
        except InvalidInput as error:
            for wrong in error.errors:
                cli.err.print(f"  {wrong.message}", style="red", markup=False)
        else:
            return answer


def _unconditional(field: FormField) -> FormField:
    from dataclasses import replace

    return replace(field, conditions=[])


def _question(field: FormField) -> str:
    span = ""
    if field.minimum is not None or field.maximum is not None:
        low = "" if field.minimum is None else str(field.minimum)
        high = "" if field.maximum is None else str(field.maximum)
        span = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    notes = ", ".join(filter(None, [span, field.unit, "required" if field.required else ""]))
    return escape(field.label) + (f" [dim]({escape(notes)})[/]" if notes else "")


def _default_text(field: FormField) -> str:
    if field.default is None:
        return ""
    if isinstance(field.default, list):
        return field.separator.join(str(value) for value in field.default)
    if isinstance(field.default, bool):
        return "true" if field.default else "false"
    return str(field.default)


def _chosen(field: FormField, text: str) -> str:
    """The value of a choice that was named by its number, unless the number is a choice itself."""
    values = [str(choice) for choice in field.choices or ()]
    if text in values or not text.isdigit() or not 1 <= int(text) <= len(values):
        return text
    return values[int(text) - 1]


def _from_file(file: Path) -> dict[str, Any]:
    """Answers of a JSON or YAML file; JSON is YAML."""
    from pitrix.packages.text import yamltext
    from pitrix.packages.text.jsontext import JsonRefused

    try:
        data = sys.stdin.read().encode() if str(file) == "-" else file.read_bytes()
        answers = yamltext.read(str(file), data).value
    except OSError as error:
        raise WrongUsage(f"The answers in {file} cannot be read: {error.strerror}.") from error
    except JsonRefused as error:
        problem = error.problem
        place = f" at line {problem.line}" if problem.line else ""
        raise WrongUsage(
            f"{file} is not JSON or YAML: {problem.message}{place}.", hint=problem.hint
        ) from error
    if not isinstance(answers, dict):
        raise WrongUsage(
            f"{file} must hold a JSON object.", hint='Such as {"cluster": {"web": {"count": 2}}}'
        )
    return answers
