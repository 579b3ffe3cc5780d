"""CloudFormation and SAM templates of a package: reading them, and their parameters as a form.

Owns the short forms of YAML (``!Ref``, ``!Sub``) as data, what is mended by nobody (sections, parameters of
a wrong shape), the form of the parameters, and the file of their answers.  What a template may make in
somebody's account is `serverless.cfn_lint`; cfn-lint's own rules run on the author's machine
(`serverless.tools`).

Sources: *AWS CloudFormation User Guide*: template anatomy, parameters (types, constraints: a pattern has to
fit the whole value), ``AWS::CloudFormation::Interface`` (groups and labels of a form).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.forms import messages as words
from pitrix.packages.forms.answers import from_text
from pitrix.packages.forms.check import same
from pitrix.packages.model import FieldType, Form, FormField, FormGroup, Problem, Severity
from pitrix.packages.text import jsontext, yamltext
from pitrix.packages.text.jsontext import Document

#: The key of all answers to parameters.
PARAMETERS = "parameters"

_SECTIONS = {
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions",
    "Transform", "Globals", "Resources", "Outputs", "Hooks",
}  # fmt: skip
_MAX_RESOURCES = 500
_LISTS = ("CommaDelimitedList", "List<")
#: Beginnings of the ids that parameters of the cloud's own types take.
_IDS = {
    "AWS::EC2::VPC::Id": "vpc-",
    "AWS::EC2::Subnet::Id": "subnet-",
    "AWS::EC2::SecurityGroup::Id": "sg-",
    "AWS::EC2::Image::Id": "ami-",
    "AWS::EC2::Instance::Id": "i-",
    "AWS::EC2::Volume::Id": "vol-",
}


def read(file: str, data: bytes) -> Document:
    """A template, JSON or YAML, with CloudFormation's short forms written out.

    Raises:
        JsonRefused: Not YAML that is read here; too large, too deep, too much.
    """
    if data.lstrip()[:1] == b"{":
        return jsontext.read(file, data)
    return yamltext.read(file, data, tags=yamltext.CLOUDFORMATION)


def section(template: Any, name: str) -> dict[str, Any]:
    """A section of a template whose entries are mappings; what has another shape is left out."""
    found = template.get(name) if isinstance(template, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {str(key): dict(value) for key, value in found.items() if isinstance(value, Mapping)}


def walk(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of a value and of everything in it; without recursion, as templates are strangers'."""
    waiting: list[tuple[tuple[str, ...], Any]] = [(at, value)]
    while waiting:
        path, each = waiting.pop()
        yield path, each
        if isinstance(each, Mapping):
            waiting.extend(((*path, str(key)), inner) for key, inner in reversed(list(each.items())))
        elif isinstance(each, list):
            waiting.extend(((*path, str(index)), inner) for index, inner in reversed(list(enumerate(each))))


def lint(document: Document) -> list[Problem]:
    """What is wrong with the shape of a template and with its parameters."""
    template = document.value
    if not isinstance(template, Mapping):
        return [
            document.problem("", "a template is a mapping with Resources", "see AWS::Serverless::Function")
        ]
    problems = [
        document.problem(
            jsontext.pointer_of([name]),
            f"{str(name)[:80]!r} is no section of a template",
            f"sections are {', '.join(sorted(_SECTIONS))}",
        )
        for name in template
        if name not in _SECTIONS
    ]
    resources = template.get("Resources")
    if not isinstance(resources, Mapping) or not resources:
        problems.append(document.problem("/Resources", "the template makes nothing", "add Resources"))
    elif len(resources) > _MAX_RESOURCES:
        message = f"the template has {len(resources)} resources; CloudFormation's limit is {_MAX_RESOURCES}"
        problems.append(document.problem("/Resources", message))
    for name, each in resources.items() if isinstance(resources, Mapping) else ():
        if not str(name).startswith("Fn::ForEach") and not (
            isinstance(each, Mapping) and isinstance(each.get("Type"), str)
        ):
            at = jsontext.pointer_of(["Resources", name])
            problems.append(document.problem(at, "a resource is a mapping with a Type"))
    if "Globals" in template and not uses_sam(template):
        problems.append(document.problem("/Globals", "Globals needs the transform of SAM", _TRANSFORM_HINT))
    return problems + _lint_parameters(document)


_TRANSFORM_HINT = "add Transform: AWS::Serverless-2016-10-31"


def uses_sam(template: Mapping[str, Any]) -> bool:
    """Whether the template asks for SAM's transform."""
    return "AWS::Serverless-2016-10-31" in transforms(template)


def transforms(template: Mapping[str, Any]) -> list[Any]:
    """The transforms that a whole template asks for: names, or mappings with parameters."""
    found = template.get("Transform", [])
    return list(found) if isinstance(found, list) else [found]


def _lint_parameters(document: Document) -> list[Problem]:
    parameters = document.value.get("Parameters", {})
    if not isinstance(parameters, Mapping):
        return [document.problem("/Parameters", "Parameters is a mapping by name")]
    problems = []
    for name, raw in parameters.items():
        at = jsontext.pointer_of(["Parameters", name])
        if not isinstance(raw, Mapping) or not isinstance(raw.get("Type"), str):
            problems.append(document.problem(at, "a parameter is a mapping with a Type"))
            continue
        if not (str(name).isascii() and str(name).isalnum()):
            problems.append(document.problem(at, "the name of a parameter holds letters and digits alone"))
        if "Default" in raw and (raw["Default"] is None or isinstance(raw["Default"], list | Mapping)):
            hint = "lists are written with commas: 'a,b'"
            problems.append(document.problem(f"{at}/Default", "a default is a text or a number", hint))
        choices = raw.get("AllowedValues")
        if "AllowedValues" in raw and not (isinstance(choices, list) and choices):
            problems.append(document.problem(f"{at}/AllowedValues", "AllowedValues is a list with values"))
        elif choices and "Default" in raw and raw["Type"] in ("String", "Number"):
            allowed = [text_of(each) for each in choices]
            if text_of(raw["Default"]) not in allowed:
                problems.append(document.problem(f"{at}/Default", "the default is none of AllowedValues"))
        if raw.get("NoEcho") in (True, "true") and raw.get("Default") not in (None, ""):
            problems.append(
                document.problem(
                    f"{at}/Default",
                    "a secret has a default that everybody can read in the package",
                    "leave the default out, so that each user gives an own one",
                    Severity.WARNING,
                )
            )
    return problems


# --- the form ----------------------------------------------------------------------------------------------


def form(template: Mapping[str, Any], messages: Mapping[str, str], locale: str) -> Form:
    """The parameters of a template as a form: grouped, ordered and labelled as its Interface says.

    Args:
        messages: Text of the package to its translation; what is not in it stays as it is.
    """
    parameters = section(template, "Parameters")
    interface = section(template, "Metadata").get("AWS::CloudFormation::Interface", {})
    labels = section(interface, "ParameterLabels")
    groups: list[FormGroup] = []
    rest = messages.get("Parameters") or words.label(locale, PARAMETERS)
    left = dict(parameters)
    raw_groups = interface.get("ParameterGroups")
    for raw in raw_groups if isinstance(raw_groups, list) else []:
        names = raw.get("Parameters") if isinstance(raw, Mapping) else None
        listed = dict.fromkeys(map(str, names)) if isinstance(names, list) else {}
        wanted = [name for name in listed if name in left]
        if wanted:
            fields = [_field(name, left.pop(name), labels, messages) for name in wanted]
            label = _label(raw.get("Label"), "")
            groups.append(_group(len(groups), messages.get(label, label) or rest, fields))
    if left:
        fields = [_field(name, raw, labels, messages) for name, raw in left.items()]
        groups.append(_group(len(groups), rest, fields))
    return Form(locale=locale, groups=groups)


def _group(number: int, label: str, fields: list[FormField]) -> FormGroup:
    key = PARAMETERS if number == 0 else f"{PARAMETERS}.{number}"
    return FormGroup(key=key, path=[PARAMETERS], label=label, fields=fields)


def _label(raw: Any, default: str) -> str:
    found = raw.get("default") if isinstance(raw, Mapping) else None
    return found if isinstance(found, str) and found else default


def _field(
    name: str, raw: Mapping[str, Any], labels: Mapping[str, Any], messages: Mapping[str, str]
) -> FormField:
    cloud_type = str(raw.get("Type", "String"))
    several = cloud_type.startswith(_LISTS)
    kind = FieldType.NUMBER if cloud_type == "Number" else FieldType.STRING
    if raw.get("NoEcho") in (True, "true"):
        kind = FieldType.PASSWORD
    choices = raw.get("AllowedValues")
    label, description = _label(labels.get(name), name), str(raw.get("Description", ""))
    constraint = str(raw.get("ConstraintDescription", ""))
    notes = [messages.get(description, description), messages.get(constraint, constraint)]
    return FormField(
        key=f"{PARAMETERS}.{name}",
        path=[PARAMETERS, name],
        label=messages.get(label, label),
        description=" ".join(note for note in notes if note),
        type=kind,
        default=_default(raw, kind, several and bool(choices)),
        required="Default" not in raw,
        choices=[_typed(kind, each) for each in choices] if isinstance(choices, list) and choices else None,
        minimum=_number(raw.get("MinValue")),
        maximum=_number(raw.get("MaxValue")),
        min_length=_whole(raw.get("MinLength")),
        max_length=_whole(raw.get("MaxLength")),
        pattern=_pattern(raw, cloud_type),
        multichoice=several and bool(choices),
    )


def _default(raw: Mapping[str, Any], kind: FieldType, several: bool) -> Any:
    if "Default" not in raw:
        return None
    if several:
        return [part.strip() for part in text_of(raw["Default"]).split(",") if part.strip()]
    return _typed(kind, raw["Default"])


def _typed(kind: FieldType, value: Any) -> Any:
    number = _number(value) if kind == FieldType.NUMBER else None
    return text_of(value) if number is None else number


def _number(value: Any) -> int | float | None:
    """A number, also where it is written as a text, as CloudFormation allows; ``None`` when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = from_text(FieldType.NUMBER, value) if isinstance(value, str) else value
    except ValueError:
        return None
    if isinstance(found, int):
        return found
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() and abs(found) < 2**53 else float(found)


def _whole(value: Any) -> int | None:
    found = _number(value)
    return found if isinstance(found, int) else None


def _pattern(raw: Mapping[str, Any], cloud_type: str) -> str:
    pattern = raw.get("AllowedPattern")
    if isinstance(pattern, str) and pattern:
        whole = re.fullmatch(r"\^[^|]*[^|\\]\$", pattern)  # `^a|b$` is not: it fits whatever begins with a
        return pattern if whole else f"^(?:{pattern})$"
    lead = _IDS.get(cloud_type.removeprefix("List<").removesuffix(">"))
    if not lead:
        return ""
    one = f"{lead}[0-9a-f]+"
    return f"^{one}(,{one})*$" if cloud_type.startswith("List<") else f"^{one}$"


def text_of(value: Any) -> str:
    """A value as CloudFormation takes it: everything is a text there, a list its parts with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(text_of(each) for each in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def parameters_file(template: Mapping[str, Any], answers: Mapping[str, Any]) -> str:
    """Answers as the JSON that ``aws cloudformation`` takes: a list of keys and values, all of them texts.

    A default goes as the template writes it: the number ``"007"`` is one text, and 7 is another.
    """
    given = answers.get(PARAMETERS)
    raw = section(template, "Parameters")
    usual = {each.path[-1]: each.default for each in form(template, {}, words.DEFAULT).fields()}
    listed = []
    for name, value in given.items() if isinstance(given, Mapping) else ():
        kept = value is not None and same(value, usual.get(name))
        text = text_of(raw[name]["Default"] if kept else value)
        listed.append({"ParameterKey": name, "ParameterValue": text})
    return json.dumps(listed, indent=2, ensure_ascii=False) + "\n"
