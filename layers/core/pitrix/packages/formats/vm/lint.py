"""Everything that is wrong with a VM package, at once: file, line, key, what and how to mend it.

Owns the order of the checks: each file by itself (JSON, then its schema, then what a schema cannot say), then
the template filled in with the defaults.  A file that is broken does not hide what is wrong with another: of
a ``config.json`` with faults, what can be read of it is taken, and what only comes of its faults is not told.
What is wrong inside of ``config.json`` is told by `vm.lint_config`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pitrix.packages import schema
from pitrix.packages.formats.vm import lint_config, template
from pitrix.packages.formats.vm.render import CONFIG, METADATA, RESERVED, TEMPLATES, fill_in, lookup
from pitrix.packages.formats.vm.template import Lookup
from pitrix.packages.forms import answers as form
from pitrix.packages.forms import config as form_config
from pitrix.packages.model import Form, Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext
from pitrix.packages.text.jsontext import Document, JsonRefused

#: Stands for a value that ``config.json`` should give but cannot; no text of a package holds such a
#: character.
_UNKNOWN = "\U0010fffd"
_PARAMS = "service_params."


def lint(files: Files) -> list[Problem]:
    """Every problem of a VM package; never raises over what it holds."""
    problems: list[Problem] = []
    metadata = _document(files, METADATA, "package", problems)
    config = _document(files, CONFIG, "config", problems)
    parsed, name = _template(files, problems)
    for path in sorted(files):
        if path.startswith("locale/") and path.endswith(".json"):
            _document(files, path, "locale", problems)
    if "replace_policy.json" in files:
        _document(files, "replace_policy.json", "replace_policy", problems)
    if metadata and _sound(problems, METADATA):
        problems += _lint_metadata(metadata, files)
    sound = config is not None and _sound(problems, CONFIG)
    if config and sound:
        problems += lint_config.lint(config)
    if parsed and name:
        asked = form_config.build(config.value if config else None, {}, "en")
        problems += _lint_filled_in(parsed, name, asked, complete=sound)
        if config and sound:
            problems += _lint_references(parsed, name, asked)
            problems += lint_config.unused_params(config, {each.key for each in parsed.references})
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


def _lint_filled_in(parsed: template.Template, name: str, asked: Form, *, complete: bool) -> list[Problem]:
    """What is wrong with the template when everything is left at its default.

    Args:
        complete: ``asked`` holds everything that config.json asks.  Otherwise a value that is missing stands
            for one that could not be read, and nothing is said of it.
    """
    answer = lookup(asked, form.default_answers(asked))
    document, problems = fill_in(parsed, name, answer if complete else _or_unknown(answer))
    if complete or document is None:
        return problems
    return [each for each in problems if not _depends_on_unknown(document, each)]


def _or_unknown(answer: Lookup) -> Lookup:
    def value(key: str) -> Any:
        found = answer(key)
        return _UNKNOWN if found is None else found

    return value


def _depends_on_unknown(document: Document, problem: Problem) -> bool:
    """Whether the value that a problem is about holds one that is not known."""
    node: Any = document.value
    for part in problem.key.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(key)] if key.isdigit() and int(key) < len(node) else None
        elif isinstance(node, dict):
            node = node.get(key)
    return isinstance(node, str) and _UNKNOWN in node


def _lint_references(parsed: template.Template, name: str, asked: Form) -> list[Problem]:
    known = {each.key for each in asked.fields()}
    known |= {each.key for group in asked.service_params for each in group.fields}
    return [
        replace(_missing(each, name), hint=_closest(each.key, known))
        for each in parsed.references
        if each.key not in known and each.key not in RESERVED and not _is_group(each.key, known)
    ]


def _is_group(key: str, known: set[str]) -> bool:
    return any(each.startswith(f"{key}.") for each in known)


def _missing(reference: template.Reference, name: str) -> Problem:
    what = "a custom service would get nothing for it" if _is_param(reference.key) else "it becomes null"
    return Problem(
        file=name,
        line=reference.line,
        severity=Severity.WARNING,
        message=f"{{{{{reference.key}}}}} is not asked for in config.json; {what}",
    )


def _is_param(key: str) -> bool:
    return key.startswith(_PARAMS)


def _closest(key: str, known: set[str]) -> str:
    """How to mend a reference that leads nowhere: by the field that was probably meant, if there is one."""
    import difflib

    close = difflib.get_close_matches(key, sorted(known)[:2000], n=1, cutoff=0.8)
    if close:
        return f"did you mean {{{{{close[0]}}}}}? Otherwise add the field to config.json"
    return "add the field to config.json, or check the spelling"
