"""Everything that is wrong with a VM package, at once: file, line, key, what and how to mend it.

Owns the order of the checks: each file by itself (JSON, then its schema, then what a schema cannot say), then
the template filled in with the defaults.  A file that is broken does not hide what is wrong with another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pitrix.packages import form, jsontext, pattern, schema, template
from pitrix.packages.formats.vm_render import CONFIG, METADATA, RESERVED, TEMPLATES, fill_in, lookup
from pitrix.packages.jsontext import Document, JsonRefused
from pitrix.packages.model import Form, Problem, Severity
from pitrix.packages.ports import Files


def lint(files: Files) -> list[Problem]:
    """Every problem of a VM package; never raises over what it holds."""
    problems: list[Problem] = []
    metadata = _document(files, METADATA, "package", problems)
    config = _document(files, CONFIG, "config", problems)
    parsed, name = _template(files, problems)
    locales = [path for path in sorted(files) if path.startswith("locale/") and path.endswith(".json")]
    for path in locales:
        _document(files, path, "locale", problems)
    if metadata and _sound(problems, METADATA):
        problems += _lint_metadata(metadata, files)
    if config and _sound(problems, CONFIG):
        problems += _lint_config(config)
        if parsed and name:
            asked = form.build(config.value, {}, "en")
            problems += _lint_references(parsed, name, asked)
            _, found = fill_in(parsed, name, lookup(asked, form.default_answers(asked)))
            problems += found
    return problems


def _document(files: Files, path: str, kind: str, problems: list[Problem]) -> Document | None:
    if path not in files:
        problems.append(
            Problem(file=path, message=f"{path} is missing", hint="add it to the root of the package")
        )
        return None
    try:
        document = jsontext.read(path, files[path])
    except JsonRefused as error:
        problems.append(error.problem)
        return None
    problems.extend(document.warnings)
    problems.extend(schema.check(document, kind))
    return document


def _template(files: Files, problems: list[Problem]) -> tuple[template.Template | None, str]:
    names = [each for each in TEMPLATES if each in files]
    if not names:
        problems.append(
            Problem(
                file=TEMPLATES[0],
                message=f"neither {' nor '.join(TEMPLATES)} is there",
                hint="add one of them to the root of the package",
            )
        )
        return None, ""
    if len(names) > 1:
        problems.append(
            Problem(
                file=names[1],
                severity=Severity.WARNING,
                message=f"{names[0]} is there too and is the one that counts",
                hint="remove one of them",
            )
        )
    try:
        text, warnings = jsontext.decode_text(names[0], files[names[0]])
        problems.extend(warnings)
        return template.parse(text), names[0]
    except JsonRefused as error:
        problems.append(error.problem)
    except template.TemplateBroken as error:
        problems.extend(
            Problem(file=names[0], line=line, message=f"the template does not parse: {message}", hint=hint)
            for line, message, hint in error.faults
        )
    return None, names[0]


def _sound(problems: list[Problem], path: str) -> bool:
    return not any(each.file == path and each.severity == Severity.ERROR for each in problems)


def _lint_metadata(document: Document, files: Files) -> list[Problem]:
    icon = document.value.get("icon", "")
    if icon and "://" not in icon and icon not in files:
        return [
            document.problem("/icon", f"there is no file {icon!r}", "add it, or give a URL", Severity.WARNING)
        ]
    return []


def _lint_config(document: Document) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, str] = {}

    def walk(node: Mapping[str, Any], path: list[str], at: str) -> None:
        for index, each in enumerate(node.get("properties", [])):
            here, key = f"{at}/properties/{index}", [*path, each["key"]]
            dotted = ".".join(key)
            if dotted in seen:
                problems.append(
                    document.problem(f"{here}/key", f"{dotted!r} is asked twice", f"see also {seen[dotted]}")
                )
            seen.setdefault(dotted, here)
            if "properties" in each or each.get("type") == "array":
                walk(each, key, here)
            else:
                problems.extend(_lint_field(document, each, here))

    walk(document.value, [], "")
    return problems


def _lint_field(document: Document, raw: Mapping[str, Any], at: str) -> list[Problem]:
    problems: list[Problem] = []
    wrapped = {"properties": [{"key": "env", "type": "array", "properties": [raw]}]}
    field = form.build(wrapped, {}, "en").fields()[0]
    if field.pattern:
        try:
            pattern.compile(field.pattern)
        except pattern.PatternRefused as error:
            return [
                document.problem(f"{at}/pattern", f"the pattern is not a regular expression to use: {error}")
            ]
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        problems.append(
            document.problem(f"{at}/min", f"min {field.minimum} is larger than max {field.maximum}")
        )
    blank = field.default is None or field.default in ("", [])
    if not blank and (wrong := form.check(replace(field, default=None), field.default)):
        fatal = bool(
            form.check(
                replace(field, default=None, choices=None, minimum=None, maximum=None, step=None, pattern=""),
                field.default,
            )
        )
        problems.append(
            document.problem(
                f"{at}/default",
                f"the default {wrong}",
                "give a default that the field itself allows",
                Severity.ERROR if fatal else Severity.WARNING,
            )
        )
    return problems


def _lint_references(parsed: template.Template, name: str, asked: Form) -> list[Problem]:
    known = {each.key for each in asked.fields()}
    known |= {each.key for group in asked.service_params for each in group.fields}
    return [
        Problem(
            file=name,
            line=each.line,
            severity=Severity.WARNING,
            message=f"{{{{{each.key}}}}} is not asked for in config.json; it becomes null",
            hint="add the field to config.json, or check the spelling",
        )
        for each in parsed.references
        if each.key not in known and each.key not in RESERVED
    ]
