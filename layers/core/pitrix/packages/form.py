"""``config.json`` as a form: what to ask, what counts as an answer.

Owns building a `Form` in a language, and completing and checking answers against it.  Never reads files and
never renders: formats hand it decoded JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pitrix.errors import FieldError, InvalidInput
from pitrix.packages import pattern
from pitrix.packages.model import FieldCondition, FieldType, Form, FormField, FormGroup

#: Fields that name the network; the platform has one to offer when nothing is answered.
_NETWORKS = {"subnet", "vxnet"}
_TYPES = {each.value: each for each in FieldType}
_TEXT = {FieldType.STRING, FieldType.PASSWORD, FieldType.SERVICE, FieldType.SUBNET}
_NUMERIC = {FieldType.INTEGER, FieldType.NUMBER}
_UNITS = {"volume_size": "GiB", "memory": "MiB"}
MAX_TEXT = 65536


# --- building ----------------------------------------------------------------------------------------------


def build(config: Mapping[str, Any], messages: Mapping[str, str], locale: str) -> Form:
    """The form of a decoded (and schema-checked) ``config.json``.

    Args:
        messages: Text of the package to its translation; what is not in it stays as it is.
    """
    sizes, chosen = _sizes(config)
    groups: list[FormGroup] = []
    service_params: list[FormGroup] = []
    for top in config.get("properties", []):
        target = service_params if top.get("key") == "service_params" else groups
        target.extend(_groups(top, [], messages, sizes.index(chosen) if chosen in sizes else None))
    return Form(locale=locale, groups=groups, resource_groups=sizes, service_params=service_params)


def _sizes(config: Mapping[str, Any]) -> tuple[list[str], str]:
    for top in config.get("properties", []):
        for each in top.get("properties", []):
            if top.get("key") == "cluster" and each.get("key") == "resource_group":
                return [str(name) for name in each.get("range", [])], str(each.get("default", ""))
    return [], ""


def _groups(
    node: Mapping[str, Any], parent: list[str], messages: Mapping[str, str], size: int | None
) -> Iterator[FormGroup]:
    path = [*parent, str(node.get("key", ""))]
    children = node.get("properties", [])
    fields = [
        _field(each, path, messages, size)
        for each in children
        if each.get("type") != "array" and "properties" not in each
    ]
    if fields:
        yield FormGroup(
            key=".".join(path),
            path=path,
            label=_translate(node.get("label") or node.get("key", ""), messages),
            description=_translate(node.get("description", ""), messages),
            fields=fields,
        )
    for each in children:
        if each.get("type") == "array" or "properties" in each:
            yield from _groups(each, path, messages, size)


def _field(
    raw: Mapping[str, Any], group: list[str], messages: Mapping[str, str], size: int | None
) -> FormField:
    key = str(raw.get("key", ""))
    path = [*group, key]
    kind = _TYPES.get(str(raw.get("type", "string")), FieldType.STRING)
    if group == ["cluster"] and key in _NETWORKS and kind == FieldType.STRING:
        kind = FieldType.SUBNET
    multichoice = _flag(raw.get("multichoice"), False)
    separator = str(raw.get("separator") or ",")
    choices = raw.get("range")
    sizes = raw.get("resource_group") if isinstance(raw.get("resource_group"), list) else None
    default = raw.get("default")
    if size is not None and sizes and size < len(sizes):
        default = sizes[size]
    return FormField(
        key=".".join(path),
        path=path,
        label=_translate(raw.get("label") or key, messages),
        description=_translate(raw.get("description", ""), messages),
        type=kind,
        default=_lenient(kind, default, multichoice, separator),
        required=_flag(raw.get("required"), False),
        choices=[_lenient(kind, each) for each in choices] if isinstance(choices, list) and choices else None,
        minimum=_number(raw.get("min")),
        maximum=_number(raw.get("max")),
        step=_number(raw.get("step")),
        pattern=str(raw.get("pattern") or ""),
        unit=str(raw.get("unit") or (_UNITS.get(key, "") if group[0] == "cluster" else "")),
        multichoice=multichoice,
        separator=separator,
        changeable=_flag(raw.get("changeable"), True),
        platform_provided=kind in (FieldType.SUBNET, FieldType.LOADBALANCER),
        tags=_names(raw.get("tag")),
        limits={str(app): _names(versions) for app, versions in (raw.get("limits") or {}).items()},
        ports=[port for port in _list(raw.get("port")) if isinstance(port, int)],
        resource_group=[_lenient(kind, each) for each in sizes] if sizes else None,
        conditions=[_condition(each, group) for each in raw.get("dependencies") or []],
    )


def _condition(raw: Mapping[str, Any], group: list[str]) -> FieldCondition:
    return FieldCondition(
        path=[*group, str(raw.get("refkey", ""))],
        values=[_as_text(each) for each in raw.get("values", [])],
        negated=raw.get("operator", "in") != "in",
    )


def _translate(text: Any, messages: Mapping[str, str]) -> str:
    return str(messages.get(str(text), text))


def _flag(value: Any, default: bool) -> bool:
    return default if value is None else str(value).lower() in ("true", "yes")


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names(value: Any) -> list[str]:
    return [str(each) for each in _list(value)]


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lenient(kind: FieldType, value: Any, multichoice: bool = False, separator: str = ",") -> Any:
    """A value that the package itself gives, in the type that it should have had."""
    if value is None:
        return None
    if multichoice:
        parts = value if isinstance(value, list) else [each for each in str(value).split(separator) if each]
        return [_lenient(kind, each) for each in parts]
    try:
        return from_text(kind, value) if isinstance(value, str) else _typed(kind, value)
    except ValueError:
        return value


def _typed(kind: FieldType, value: Any) -> Any:
    if kind in _TEXT and isinstance(value, bool | int | float):
        return _as_text(value)
    if kind == FieldType.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


# --- answering ---------------------------------------------------------------------------------------------


def default_answers(form: Form) -> dict[str, Any]:
    """What a user gets who answers nothing: defaults, or the least value of the type; never fails."""
    answers: dict[str, Any] = {}
    for each in form.fields():
        _put(answers, each.path, _fallback(each))
    return answers


def complete(form: Form, answers: Any) -> dict[str, Any]:
    """Answers with the defaults filled in, all of them checked.

    Args:
        answers: Nested by the paths of the fields: ``{"cluster": {"web": {"count": 2}}, "env": {...}}``.

    Returns:
        A value for each field of the form.

    Raises:
        InvalidInput: One `FieldError` for each answer that is wrong, unknown or missing.
    """
    errors: list[FieldError] = []
    given = dict(_leaves(form, answers, errors))
    size = _chosen_size(form, given)
    result: dict[str, Any] = {}
    for each in form.fields():
        if each.key in given:
            value = given[each.key]
        elif size is not None and each.resource_group and size < len(each.resource_group):
            value = each.resource_group[size]
        else:
            value = each.default
        _put(result, each.path, _fallback(each) if value is None else value)
    for each in form.fields():
        value = _get(result, each.path)
        counts = all(_holds(condition, result) for condition in each.conditions)
        if counts and each.required and not each.platform_provided and value in ("", None, []):
            errors.append(FieldError(each.key, f"is required{_allowed(each, ': ')}"))
        elif each.key in given and (problem := check(each, value)):
            errors.append(FieldError(each.key, problem))
    if errors:
        names = ", ".join(error.field for error in errors[:5])
        raise InvalidInput(f"{len(errors)} answer(s) cannot be used: {names}", errors=errors)
    return result


def _chosen_size(form: Form, given: Mapping[str, Any]) -> int | None:
    if not form.resource_groups:
        return None
    chosen = given.get("cluster.resource_group")
    if chosen is None:
        chosen = next((each.default for each in form.fields() if each.key == "cluster.resource_group"), None)
    return form.resource_groups.index(chosen) if chosen in form.resource_groups else None


def _leaves(form: Form, answers: Any, errors: list[FieldError]) -> Iterator[tuple[str, Any]]:
    """(key, value) of each known answer; what belongs to no field becomes an error."""
    fields = {tuple(each.path): each for each in form.fields()}
    inner = {path[:end] for path in fields for end in range(len(path))}

    def walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if path in fields:
            if node is not None:
                yield fields[path].key, node
        elif path not in inner:
            errors.append(FieldError(".".join(path)[:200], "is not a field of this application"))
        elif not isinstance(node, Mapping):
            errors.append(FieldError(".".join(path) or "answers", "must be an object"))
        else:
            for key, value in node.items():
                yield from walk(value, (*path, str(key)))

    yield from walk({} if answers is None else answers, ())


def _holds(condition: FieldCondition, answers: Mapping[str, Any]) -> bool:
    return (_as_text(_get(answers, condition.path)) in condition.values) is not condition.negated


def _fallback(field: FormField) -> Any:
    if field.default is not None:
        return field.default
    if field.multichoice or field.type == FieldType.LOADBALANCER:
        return []
    if field.required and field.type not in (FieldType.SUBNET, FieldType.SERVICE):
        return None
    if field.type in _NUMERIC:
        return field.minimum if field.minimum is not None else (field.choices or [0])[0]
    return False if field.type == FieldType.BOOLEAN else ""


def check(field: FormField, value: Any) -> str:
    """What is wrong with an answer and what is allowed; empty when it is fine.

    The default of a field is always allowed, even where a package contradicts itself.
    """
    if value == field.default and type(value) is type(field.default):
        return ""
    if field.multichoice:
        if not isinstance(value, list):
            return f"must be a list{_allowed(field, ' of: ')}"
        bad = [each for each in value if _check_one(field, each)]
        return f"{_show(bad[0])}: {_check_one(field, bad[0])}" if bad else ""
    return _check_one(field, value)


def _check_one(field: FormField, value: Any) -> str:
    problem = _check_type(field, value)
    if problem:
        return problem
    if value == "" and not field.required:
        return ""
    if field.choices is not None:
        same = [each for each in field.choices if each == value and type(each) is type(value)]
        return "" if same else f"{_show(value)} is not allowed{_allowed(field, '; choose one of: ')}"
    if field.type in _NUMERIC:
        return _check_number(field, value)
    if field.pattern and field.type in _TEXT and (problem := pattern.mismatch(field.pattern, value)):
        return problem if field.type == FieldType.PASSWORD else f"{_show(value)} {problem}"
    return ""


def _check_type(field: FormField, value: Any) -> str:
    if field.type == FieldType.INTEGER:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif field.type == FieldType.NUMBER:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    elif field.type == FieldType.BOOLEAN:
        fits = isinstance(value, bool)
    elif field.type == FieldType.LOADBALANCER:
        fits = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    else:
        fits = isinstance(value, str)
        if fits and len(value) > MAX_TEXT:
            return f"has {len(value)} characters; the limit is {MAX_TEXT}"
    names = {
        FieldType.INTEGER: "a whole number",
        FieldType.NUMBER: "a number",
        FieldType.BOOLEAN: "true or false",
        FieldType.LOADBALANCER: "a list of listeners",
    }
    return "" if fits else f"must be {names.get(field.type, 'a text')}, not {_show(value)}"


def _check_number(field: FormField, value: int | float) -> str:
    low, high = field.minimum, field.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        return f"{value} is out of range{_allowed(field, '; allowed: ')}"
    if field.step:
        steps = (value - (low or 0)) / field.step
        if abs(steps - round(steps)) > 1e-9:
            return f"{value} is not a step{_allowed(field, '; allowed: ')}"
    return ""


def _allowed(field: FormField, lead: str) -> str:
    if field.choices is not None:
        shown = ", ".join(_show(each) for each in field.choices[:30])
        return f"{lead}{shown}" + (", ..." if len(field.choices) > 30 else "")
    unit = f" {field.unit}" if field.unit else ""
    low, high = field.minimum, field.maximum
    bounds = (
        f"{low} to {high}{unit}"
        if low is not None and high is not None
        else f"{low}{unit} or more"
        if low is not None
        else f"{high}{unit} or less"
        if high is not None
        else ""
    )
    if field.step:
        bounds += f"{' ' if bounds else ''}in steps of {field.step}"
    return f"{lead}{bounds}" if bounds else ""


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


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


def from_text(kind: FieldType, text: str) -> Any:
    """A text typed by a user as a value of a type.

    Raises:
        ValueError: It is none.
    """
    text = text if kind in _TEXT else text.strip()
    if kind == FieldType.INTEGER:
        return int(text)
    if kind == FieldType.NUMBER:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    if kind == FieldType.BOOLEAN:
        if text.lower() not in ("true", "false", "yes", "no", "on", "off"):
            raise ValueError("must be true or false")
        return text.lower() in ("true", "yes", "on")
    if kind == FieldType.LOADBALANCER:
        return json.loads(text) if text else []
    return text


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
            errors.append(FieldError(key[:200], "is not a field of this application"))
            continue
        texts = [text] if isinstance(text, str) else list(text)
        try:
            if field.multichoice:
                parts = [part for each in texts for part in each.split(field.separator) if part]
                _put(answers, field.path, [from_text(field.type, part) for part in parts])
            elif texts and (texts[-1] or field.type == FieldType.STRING):
                _put(answers, field.path, from_text(field.type, texts[-1]))
        except ValueError:
            errors.append(FieldError(key, _check_type(field, texts[-1]) or "cannot be read"))
    if errors:
        raise InvalidInput(f"{len(errors)} answer(s) cannot be used", errors=errors)
    return answers
