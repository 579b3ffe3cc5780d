"""``config.json`` as a form, in a language.

Owns the meaning of each key of the AppCenter and OpenPitrix specifications of ``config.json``; the table of
all of them is ``SPECIFICATION.md`` one folder up.  Never judges: what is wrong is told by lint, and what
cannot be understood here is passed over, so that a form can be drawn of a file that has faults.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.forms import messages as words
from pitrix.packages.forms.answers import as_text, from_text
from pitrix.packages.forms.check import TEXT
from pitrix.packages.model import FieldCondition, FieldType, Form, FormField, FormGroup

#: Fields that name the network; the platform has one to offer when nothing is answered.
_NETWORKS = {"subnet", "vxnet"}
_TYPES = {each.value: each for each in FieldType}
#: Types of the specification for texts that name something in the user's account.
_RESOURCES = {"accesskey", "vxnet", "eip"}
_UNITS = {"volume_size": "GiB", "memory": "MiB"}
_GROUPS = {"cluster", "env", "service_params"}
_DEEPEST = 16
_KNOWN = {
    "key", "label", "description", "type", "properties", "default", "required", "changeable", "multichoice",
    "expanded", "multiline", "changeable_when_create", "range", "min", "max", "step", "auto_scale_step",
    "pattern", "separator", "unit", "tag", "limits", "allowed_operations", "port", "resource_group",
    "dependencies", "customizable", "system",
}  # fmt: skip

Texts = Mapping[str, str]


def build(config: Any, messages: Texts, locale: str) -> Form:
    """The form of a decoded ``config.json``.

    Args:
        messages: Text of the package to its translation; what is not in it stays as it is.
        locale: Language of the words which the package leaves to us, and of messages about answers.
    """
    sizes, chosen = _sizes(config)
    groups: list[FormGroup] = []
    service_params: list[FormGroup] = []
    size = sizes.index(chosen) if chosen in sizes else None
    for top in _properties(config):
        target = service_params if top["key"] == "service_params" else groups
        target.extend(_groups(top, [], messages, locale, size))
    return Form(locale=locale, groups=groups, resource_groups=sizes, service_params=service_params)


def field_of(raw: Mapping[str, Any]) -> FormField:
    """The field of one entry of ``config.json``, looked at by itself."""
    return _field(raw, ["env"], {}, words.DEFAULT, None)


def _properties(node: Any) -> Iterator[Mapping[str, Any]]:
    """The entries of a group that have a key; anything else is lint's to tell."""
    children = node.get("properties") if isinstance(node, Mapping) else None
    for each in children if isinstance(children, list) else []:
        if isinstance(each, Mapping) and isinstance(each.get("key"), str):
            yield each


def _is_group(node: Mapping[str, Any]) -> bool:
    return node.get("type") == "array" or "properties" in node


def _sizes(config: Any) -> tuple[list[str], str]:
    for top in _properties(config):
        for each in _properties(top):
            if top["key"] == "cluster" and each["key"] == "resource_group":
                return [as_text(name) for name in _list(each.get("range"))], as_text(each.get("default", ""))
    return [], ""


def _groups(
    node: Mapping[str, Any], parent: list[str], messages: Texts, locale: str, size: int | None
) -> Iterator[FormGroup]:
    path = [*parent, node["key"]]
    children = list(_properties(node))
    fields = [_field(each, path, messages, locale, size) for each in children if not _is_group(each)]
    if fields:
        yield FormGroup(
            key=".".join(path),
            path=path,
            label=_label(node, messages, locale, reserved=not parent and node["key"] in _GROUPS),
            description=_translate(node.get("description"), messages),
            fields=fields,
        )
    for each in children:
        if _is_group(each) and len(path) < _DEEPEST:
            yield from _groups(each, path, messages, locale, size)


def _field(
    raw: Mapping[str, Any], group: list[str], messages: Texts, locale: str, size: int | None
) -> FormField:
    key = str(raw.get("key", ""))
    path = [*group, key]
    written = str(raw.get("type", "string"))
    kind = _TYPES.get(written, FieldType.STRING)
    if group == ["cluster"] and key in _NETWORKS and kind == FieldType.STRING:
        kind = FieldType.SUBNET
    multichoice = _flag(raw.get("multichoice"), False)
    separator = str(raw.get("separator") or ",")
    choices = [_lenient(kind, each) for each in _list(raw.get("range"))] or None
    sizes = raw["resource_group"] if isinstance(raw.get("resource_group"), list) else None
    default = raw.get("default")
    if size is not None and sizes and size < len(sizes):
        default = sizes[size]
    return FormField(
        key=".".join(path),
        path=path,
        label=_label(raw, messages, locale, reserved=group[0] == "cluster"),
        description=_translate(raw.get("description"), messages),
        type=kind,
        default=_lenient(kind, default, multichoice, separator),
        required=_flag(raw.get("required"), False),
        choices=choices,
        choice_labels=_choice_labels(choices, messages),
        minimum=_number(raw.get("min")),
        maximum=_number(raw.get("max")),
        step=_step(raw.get("step")),
        auto_scale_step=_step(raw.get("auto_scale_step")),
        pattern=str(raw.get("pattern") or ""),
        unit=str(raw.get("unit") or (_UNITS.get(key, "") if group[0] == "cluster" else "")),
        multichoice=multichoice,
        separator=separator,
        changeable=_flag(raw.get("changeable"), True),
        changeable_when_create=_flag(raw.get("changeable_when_create"), True),
        customizable=_flag(raw.get("customizable"), True),
        multiline=_flag(raw.get("multiline"), False),
        expanded=_flag(raw["expanded"], True) if raw.get("expanded") is not None else None,
        system=_flag(raw.get("system"), False),
        resource=written if written in _RESOURCES else "",
        platform_provided=kind in (FieldType.SUBNET, FieldType.LOADBALANCER),
        tags=_names(raw.get("tag")),
        limits=_limits(raw.get("limits")),
        allowed_operations=_names(raw.get("allowed_operations")),
        ports=[port for each in _list(raw.get("port")) if (port := _port(each)) is not None],
        resource_group=[_lenient(kind, each) for each in sizes] if sizes else None,
        conditions=[
            _condition(each, group) for each in _list(raw.get("dependencies")) if isinstance(each, Mapping)
        ],
        other={name: value for name, value in raw.items() if name not in _KNOWN},
    )


def _label(raw: Mapping[str, Any], messages: Texts, locale: str, *, reserved: bool) -> str:
    """The package's label, translated; without one the key, or our word for it where it is a reserved one."""
    key = str(raw.get("key", ""))
    if raw.get("label"):
        return _translate(raw["label"], messages)
    if key in messages or not reserved:
        return _translate(key, messages)
    return words.label(locale, key)


def _choice_labels(choices: list[Any] | None, messages: Texts) -> list[str]:
    """The choices in the user's words; empty when the package translates none of them."""
    texts = [as_text(each) for each in choices or []]
    if not any(each in messages for each in texts):
        return []
    return [_translate(each, messages) for each in texts]


def _condition(raw: Mapping[str, Any], group: list[str]) -> FieldCondition:
    return FieldCondition(
        path=[*group, str(raw.get("refkey", ""))],
        values=[as_text(each) for each in _list(raw.get("values"))],
        negated=raw.get("operator", "in") != "in",
    )


def _limits(raw: Any) -> dict[str, list[str]]:
    return {str(app): _names(versions) for app, versions in raw.items()} if isinstance(raw, Mapping) else {}


def _translate(text: Any, messages: Texts) -> str:
    return "" if text is None else str(messages.get(str(text), text))


def _flag(value: Any, default: bool) -> bool:
    """``true``, ``"yes"``, ``"True"``, ``1``: packages of the wild write it in each of these ways."""
    return (
        default if value is None or value == "" else str(value).strip().lower() in ("true", "yes", "on", "1")
    )


def _number(value: Any) -> int | float | None:
    """A bound; a number written as a text counts as one."""
    if isinstance(value, str):
        try:
            value = from_text(FieldType.NUMBER, value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _step(value: Any) -> int | float | None:
    found = _number(value)
    return found if found is not None and found > 0 else None


def _port(value: Any) -> int | None:
    found = _number(value)
    return found if isinstance(found, int) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names(value: Any) -> list[str]:
    return [str(each) for each in _list(value)]


def _lenient(kind: FieldType, value: Any, multichoice: bool = False, separator: str = ",") -> Any:
    """A value that the package itself gives, in the type that it should have had."""
    if value is None:
        return None
    if multichoice:
        parts = value if isinstance(value, list) else [each for each in str(value).split(separator) if each]
        return [_lenient(kind, each) for each in parts]
    if isinstance(value, str):
        try:
            return from_text(kind, value)
        except ValueError:
            return value
    if kind in TEXT and isinstance(value, bool | int | float):
        return as_text(value)
    if kind == FieldType.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == FieldType.BOOLEAN and not isinstance(value, bool) and value in (0, 1):
        return bool(value)
    return value
