"""Everything that is wrong with a serverless package, at once: file, line, key, what and how to mend it.

Owns the order of the checks and those between the parts of a manifest: names that triggers, permissions and
references use.  Each target's own rules are in `serverless.targets`, those of templates in
`serverless.cfn_lint`.  Executes nothing: Python is looked at as a syntax tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages import schema
from pitrix.packages.formats.serverless import cfn, cfn_lint, knative, targets
from pitrix.packages.formats.serverless.answers import ENV
from pitrix.packages.formats.serverless.manifest import (
    AWS,
    CONFIG,
    KNATIVE,
    METADATA,
    Manifest,
    Permission,
    read,
    references,
)
from pitrix.packages.formats.serverless.permissions import ACTIONS
from pitrix.packages.formats.vm import lint_config
from pitrix.packages.model import FieldType, Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext
from pitrix.packages.text.jsontext import Document, JsonRefused

#: What a trigger names, by its type and key: the kind of resource that it may be.
_TRIGGER_RESOURCES = {("queue", "queue"): "queue", ("object_created", "bucket"): "bucket"}


def lint(files: Files) -> list[Problem]:
    """Every problem of a serverless package; never raises over what it holds."""
    problems: list[Problem] = []
    document = _document(files, METADATA, "serverless", problems)
    config = _document(files, CONFIG, "config", problems) if CONFIG in files else None
    for path in sorted(files):
        if path.startswith("locale/") and path.endswith(".json"):
            _document(files, path, "locale", problems)
    keys: dict[str, FieldType] | None = {}
    if config is not None:
        sound = _sound(problems, CONFIG)
        problems += _lint_config(config) if sound else []
        keys = _env_keys(config) if sound else None
    if document is None or not _sound(problems, METADATA):
        return problems
    problems += _lint_icon(document, files)
    manifest = read(document.value)
    if manifest.template:
        return problems + _lint_template(document, manifest, files, keys)
    problems += _lint_names(document, manifest)
    problems += _lint_references(document, manifest, keys)
    problems += _lint_permissions(document, manifest)
    return problems + targets.lint(document, manifest, files, keys or ())


def _document(files: Files, path: str, kind: str, problems: list[Problem]) -> Document | None:
    try:
        document = jsontext.read(path, files[path])
    except JsonRefused as refused:
        problems.append(refused.problem)
        return None
    problems += [*document.warnings, *schema.check(document, kind)]
    return document


def _sound(problems: list[Problem], path: str) -> bool:
    return not any(each.file == path and each.severity == Severity.ERROR for each in problems)


def _lint_icon(document: Document, files: Files) -> list[Problem]:
    icon = document.value.get("icon", "")
    if icon and "://" not in icon and icon not in files:
        hint = "add it, or give a URL"
        return [document.problem("/icon", f"there is no file {icon!r}", hint, Severity.WARNING)]
    return []


# --- config.json -------------------------------------------------------------------------------------------


def _lint_config(document: Document) -> list[Problem]:
    problems = list(lint_config.lint(document))
    for index, top in enumerate(document.value.get("properties") or []):
        at = f"/properties/{index}"
        if top.get("key") != ENV:
            message = f"{top.get('key')!r} has no meaning here: a serverless package has no machines"
            problems.append(document.problem(f"{at}/key", message, "ask in the section env"))
            continue
        for number, each in enumerate(top.get("properties") or []):
            where = f"{at}/properties/{number}"
            if "properties" in each or each.get("type") == "array":
                message = "the env of a serverless package has no groups: each key is an environment variable"
                problems.append(document.problem(where, message, "put its fields into env itself"))
            elif not targets.is_variable(str(each.get("key"))):
                message = f"{each.get('key')!r} cannot be an environment variable"
                hint = "letters, digits and _, not beginning with a digit"
                problems.append(document.problem(f"{where}/key", message, hint))
    return problems


def _env_keys(document: Document) -> dict[str, FieldType]:
    names = {each.value: each for each in FieldType}
    return {
        str(each.get("key")): names.get(str(each.get("type", "string")), FieldType.STRING)
        for top in document.value.get("properties") or []
        if top.get("key") == ENV
        for each in top.get("properties") or []
    }


# --- names and references ----------------------------------------------------------------------------------


def _lint_names(document: Document, manifest: Manifest) -> Iterator[Problem]:
    names = [each.name for each in manifest.functions]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield document.problem(f"/functions/{index}/name", f"there is a function {name!r} already")
    seen: dict[Any, int] = {}
    for trigger in manifest.triggers:
        at = f"/triggers/{trigger.index}"
        if trigger.function not in names:
            yield document.problem(
                f"{at}/function",
                f"there is no function {trigger.function!r}",
                f"functions: {', '.join(names)}",
            )
        for method in trigger.methods if trigger.type == "http" else []:
            route = (method, trigger.text("path"))
            if route in seen:
                message = f"{method} {trigger.text('path')} is taken by /triggers/{seen[route]}"
                yield document.problem(f"{at}/path", message)
            seen.setdefault(route, trigger.index)
    for permission in manifest.permissions:
        for index, name in enumerate(permission.functions or []):
            if name not in names:
                at = f"/permissions/{permission.index}/functions/{index}"
                yield document.problem(at, f"there is no function {name!r}", f"functions: {', '.join(names)}")


def _lint_references(
    document: Document, manifest: Manifest, keys: Mapping[str, FieldType] | None
) -> Iterator[Problem]:
    """``keys`` is ``None`` where config.json is too broken to know them."""
    used: set[str] = set()
    for at, text in _texts(document.value):
        for kind, name in references(text):
            if kind == "env":
                used.add(name)
                if keys is not None and name not in keys:
                    hint = "add the field to its env, or check the spelling"
                    yield document.problem(at, f"${{env.{name}}} is not asked for in config.json", hint)
            elif name not in manifest.resources:
                yield document.problem(
                    at, f"${{resource.{name}}} is none of resources", "add it there, or check the spelling"
                )
        rest = text
        for kind, name in references(text):
            rest = rest.replace(f"${{{kind}.{name}}}", "")
        if "${" in rest:
            message = "${ begins something that is no reference and stays as it is"
            hint = "references are ${env.KEY} and ${resource.NAME}"
            yield document.problem(at, message, hint, Severity.WARNING)
    for index, function in enumerate(manifest.functions):
        for number, key in enumerate(function.env or []):
            used.add(key)
            if keys is not None and key not in keys:
                at = f"/functions/{index}/env/{number}"
                hint = "add the field to its env, or check the spelling"
                yield document.problem(at, f"{key!r} is not asked for in config.json", hint)
    everything = any(function.env is None for function in manifest.functions)
    for key in [] if everything or keys is None else keys:
        if key not in used:
            message = f"{key!r} is asked for, but nothing is told the answer"
            hint = "name it in env of a function, or do not ask"
            yield Problem(file=CONFIG, message=message, hint=hint, severity=Severity.WARNING)
    for trigger in manifest.triggers:
        for (kind, key), wanted in _TRIGGER_RESOURCES.items():
            if trigger.type == kind:
                at = f"/triggers/{trigger.index}/{key}"
                yield from _named(document, at, trigger.text(key), wanted, manifest)


def _texts(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(pointer, text) of every place where references are read."""
    for index, each in enumerate(raw.get("functions", [])):
        if "image" in each:
            yield f"/functions/{index}/image", each["image"]
        for name, text in each.get("variables", {}).items():
            yield f"/functions/{index}/variables/{name}", text
    for index, each in enumerate(raw.get("triggers", [])):
        for key in ("queue", "bucket", "source", "bus"):
            if key in each:
                yield f"/triggers/{index}/{key}", each[key]
    for index, each in enumerate(raw.get("permissions", [])):
        if "resource" in each:
            yield f"/permissions/{index}/resource", each["resource"]


def _named(document: Document, at: str, name: str, kind: str, manifest: Manifest) -> Iterator[Problem]:
    """A resource has to be the package's own, or to be named by the user."""
    own = manifest.resources.get(name)
    if own is not None and own != kind:
        yield document.problem(at, f"{name!r} is a {own}, not a {kind}")
    elif own is None and not any(reference[0] == "env" for reference in references(name)):
        message = f"{name!r} is none of this package's resources"
        hint = f'let the user name it: "${{env.{kind.upper()}}}"'
        if kind in ("bucket", "queue", "table"):
            hint = f"add it to resources, or {hint}"
        yield document.problem(at, message, hint)


def _lint_permissions(document: Document, manifest: Manifest) -> Iterator[Problem]:
    for permission in manifest.permissions:
        at = f"/permissions/{permission.index}"
        if permission.iam is not None:
            for key, message, hint, severity in cfn_lint.statement_problems(permission.iam):
                yield document.problem(f"{at}/iam/{key}", message, hint, severity)
            others = [each for each in manifest.targets if each != AWS]
            if others:
                message = f"a statement of IAM means nothing to {' and '.join(others)}"
                yield document.problem(f"{at}/iam", message, "say it as action and resource")
        else:
            yield from _lint_action(document, at, permission, manifest)


def _lint_action(
    document: Document, at: str, permission: Permission, manifest: Manifest
) -> Iterator[Problem]:
    action = ACTIONS[permission.action]
    if permission.kind != action.kind:
        message = f"{permission.action} works on a {action.kind}, not on a {permission.kind}"
        yield document.problem(f"{at}/resource", message, f"write {action.kind}:NAME")
        return
    if "*" in permission.name:
        hint = "name it; what a package may touch is what its owner has to be able to see"
        yield document.problem(f"{at}/resource", f"every {action.kind} of the account is too much", hint)
    elif permission.kind != "bus" or permission.name != "default":
        yield from _named(document, f"{at}/resource", permission.name, permission.kind, manifest)
    if permission.keys and not action.items:
        message = f"{permission.action} is allowed on the whole {action.kind}, whatever stands behind /"
        yield document.problem(f"{at}/resource", message, "", Severity.WARNING)


# --- templates ---------------------------------------------------------------------------------------------


def _lint_template(
    document: Document, manifest: Manifest, files: Files, keys: Mapping[str, FieldType] | None
) -> list[Problem]:
    problems = [
        document.problem(f"/{key}", f"{key} has no meaning beside a template", "say it in the template")
        for key in ("functions", "triggers", "resources", "permissions")
        if key in document.value
    ]
    target = manifest.targets[0]
    if len(manifest.targets) > 1 or target not in (AWS, KNATIVE):
        message = "a template is written for one target: aws-lambda or knative"
        hint = "plain code (functions instead of a template) can have several targets"
        problems.append(
            document.problem("/targets" if "targets" in document.value else "/target", message, hint)
        )
    path = manifest.template
    if path not in files:
        return [*problems, document.problem("/template", f"there is no file {path[:120]!r} in the package")]
    if target == KNATIVE:
        return problems + knative.lint(path, files[path], list(keys or {}))
    if CONFIG in files:
        message = "it is not asked: the parameters of the template are the form"
        problems.append(Problem(file=CONFIG, message=message, hint="remove it", severity=Severity.WARNING))
    try:
        template = cfn.read(path, files[path])
    except JsonRefused as refused:
        return [*problems, refused.problem]
    problems += [*template.warnings, *cfn.lint(template)]
    if not _sound(problems, path):
        return problems
    problems += cfn_lint.lint(template, files)
    return problems + targets.lint_template(template, files)
