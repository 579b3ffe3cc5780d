"""VM packages: ``package.json``, ``config.json``, a template of ``cluster.json``, ``locale/*.json``.

Owns what these files mean together, in both dialects: OpenPitrix (``cluster.json.tmpl``) and AppCenter
(``cluster.json.mustache``).  The parts are elsewhere: `template` renders, `form` asks, `cluster_spec` gives
meaning to the result, ``schemas/`` says what each file may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from pitrix.errors import FieldError, PackageInvalid
from pitrix.packages import cluster_spec, form, jsontext, schema, template
from pitrix.packages.jsontext import Document, JsonRefused
from pitrix.packages.model import (
    ClusterSpec,
    FieldType,
    Form,
    FormField,
    FormGroup,
    Package,
    Problem,
    Severity,
)
from pitrix.packages.ports import Files

METADATA, CONFIG = "package.json", "config.json"
TEMPLATES = ("cluster.json.tmpl", "cluster.json.mustache")
#: Keys that the specification reserves: a template may use them without a field in config.json.
_RESERVED = {"cluster.name", "cluster.description", "cluster.subnet", "cluster.vxnet"}


class VmFormat:
    """The `PackageFormat` of virtual machines."""

    type = "vm"

    def matches(self, files: Files) -> bool:
        return any(path in files for path in (METADATA, CONFIG, *TEMPLATES))

    def lint(self, files: Files) -> list[Problem]:
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
                _, found = _render(parsed, name, _lookup(asked, form.default_answers(asked)))
                problems += found
        return problems

    def metadata(self, files: Files) -> dict[str, Any]:
        raw = jsontext.read(METADATA, files[METADATA]).value
        return {
            "name": raw["name"],
            "version": raw["version"],
            "type": self.type,
            "title": raw.get("title") or raw["name"],
            "description": raw.get("description", ""),
            "keywords": raw.get("keywords", []),
            "home": raw.get("home", ""),
            "icon": raw.get("icon", ""),
            "maintainers": raw.get("maintainers", []),
            "category": raw.get("category", ""),
        }

    def form(self, package: Package, locale: str) -> Form:
        return form.build(_config(package), _messages(package, locale), locale)

    def service_form(self, package: Package, role: str, service: str, locale: str) -> FormGroup:
        asked = self.form(package, locale)
        usual = form.default_answers(asked)
        lookup = _lookup(asked, usual)

        def trace(key: str) -> Any:
            return f"\0{key}" if key.startswith("service_params.") else lookup(key)

        spec = _spec(package, trace, {})
        params = spec.role(role).services[service].service_params
        fields = {each.key: each for group in asked.service_params for each in group.fields}
        messages = _messages(package, locale)
        return FormGroup(
            key=service,
            path=[],
            label=messages.get(service, service),
            fields=[_parameter(name, value, fields) for name, value in params.items()],
        )

    def render(self, package: Package, answers: Mapping[str, Any], links: Mapping[str, str]) -> ClusterSpec:
        return _spec(package, _lookup(self.form(package, "en"), answers), links)

    def scaffold(self, name: str) -> dict[str, bytes]:
        root = resources.files("pitrix.packages.formats").joinpath("scaffold", self.type)
        return {path: data.replace(b"my-app", name.encode()) for path, data in _resources(root)}


def _resources(folder: Traversable, lead: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _resources(entry, f"{lead}{entry.name}/")
        elif entry.is_file():
            yield lead + entry.name, entry.read_bytes()


def _parameter(name: str, value: Any, fields: Mapping[str, FormField]) -> FormField:
    """The field behind one entry of ``service_params``; the name of the parameter is its only path."""
    if isinstance(value, str) and value.startswith("\0"):
        found = fields.get(value[1:])
        if found:
            return replace(found, key=name, path=[name])
        return FormField(key=name, path=[name], label=name, required=True)
    kind = {bool: FieldType.BOOLEAN, int: FieldType.INTEGER, float: FieldType.NUMBER}
    return FormField(
        key=name, path=[name], label=name, type=kind.get(type(value), FieldType.STRING), default=value
    )


# --- reading -----------------------------------------------------------------------------------------------


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


def _messages(package: Package, locale: str) -> dict[str, str]:
    path = f"locale/{locale.lower().replace('_', '-')}.json"
    if path not in package.files:
        return {}
    raw = jsontext.read(path, package.files[path]).value
    return {key: text for key, text in raw.items() if isinstance(text, str) and text}


def _config(package: Package) -> dict[str, Any]:
    value: dict[str, Any] = jsontext.read(CONFIG, package.files[CONFIG]).value
    return value


# --- rendering ---------------------------------------------------------------------------------------------


def _lookup(asked: Form, answers: Mapping[str, Any]) -> Callable[[str], Any]:
    """Values of template keys: answers by the path of their field, so that a key may hold dots."""
    fields = {each.key: each for each in asked.fields()}
    params = {each.key: each for group in asked.service_params for each in group.fields}

    def value(key: str) -> Any:
        if key in params:
            return _joined(params[key], params[key].default)
        if key not in fields:
            return "" if key in _RESERVED else None
        node: Any = answers
        for part in fields[key].path:
            node = node.get(part) if isinstance(node, Mapping) else None
        return _joined(fields[key], fields[key].default if node is None else node)

    return value


def _joined(field: FormField, value: Any) -> Any:
    if field.multichoice and isinstance(value, list):
        return field.separator.join(str(each) for each in value)
    return value


def _render(
    parsed: template.Template, name: str, lookup: Callable[[str], Any]
) -> tuple[Document | None, list[Problem]]:
    """The filled-in template and what is wrong with it; lines are those of the template."""
    try:
        document = jsontext.parse(name, parsed.render(lookup))
    except JsonRefused as error:
        return None, [replace(error.problem, message=f"filled in, it is {error.problem.message}")]
    except ValueError as error:
        return None, [Problem(file=name, message=str(error))]
    problems = [*document.warnings, *schema.check(document, "cluster")]
    if not any(each.severity == Severity.ERROR for each in problems):
        problems.extend(cluster_spec.review(document))
    return document, problems


@lru_cache(maxsize=32)
def _parsed(text: str) -> template.Template:
    return template.parse(text)


def _spec(package: Package, lookup: Callable[[str], Any], links: Mapping[str, str]) -> ClusterSpec:
    name = next(each for each in TEMPLATES if each in package.files)
    text, _ = jsontext.decode_text(name, package.files[name])
    document, problems = _render(_parsed(text), name, lookup)
    errors = [each for each in problems if each.severity == Severity.ERROR]
    if document is not None and not errors:
        spec = cluster_spec.build(document.value, links)
        if any(each.count for each in spec.roles):
            return spec
        errors = [document.problem("/nodes", "the cluster would have no nodes at all", "ask for 1 or more")]
    raise PackageInvalid(
        f"{package.name} {package.version} cannot be deployed with these answers: {errors[0].message}",
        errors,
        errors=[FieldError(f"{each.file}:{each.line}{each.key}", each.message) for each in errors],
    )


# --- lint --------------------------------------------------------------------------------------------------


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
        import regex

        try:
            regex.compile(field.pattern)
        except regex.error as error:
            problems.append(
                document.problem(f"{at}/pattern", f"the pattern is not a regular expression: {error}")
            )
            return problems
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
        if each.key not in known and each.key not in _RESERVED
    ]
