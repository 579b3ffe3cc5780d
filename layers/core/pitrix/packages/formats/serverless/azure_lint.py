"""What Azure Functions wants of plain code: one app, one trigger a function, decorators that agree.

Owns the checks of ``host.json`` and ``function_app.py`` (the v2 programming model) against the manifest, by
syntax trees.  Importing the app is done on the author's machine alone: `serverless.tools`.

Sources: *Azure Functions*: Python developer guide (programming model v2), triggers and bindings (a function
has exactly one trigger), ``host.json`` reference; names of containers and queues have 3 to 63 characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.formats.serverless import python, schedule
from pitrix.packages.formats.serverless.azure import APP, HOST
from pitrix.packages.formats.serverless.manifest import Function, Manifest
from pitrix.packages.model import Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext
from pitrix.packages.text.jsontext import Document, JsonRefused

_SHORTEST_NAME = 3
#: Modules of an app that are looked into for functions.
_MAX_MODULES = 50


def lint(document: Document, manifest: Manifest, files: Files) -> Iterator[Problem]:
    """What is wrong with plain code for Azure."""
    first = manifest.functions[0]
    for index, function in enumerate(manifest.functions):
        at = f"/functions/{index}"
        if (function.code, function.runtime) != (first.code, first.runtime):
            message = "the functions of an app on Azure have one folder of code and one runtime"
            yield document.problem(f"{at}/code", message, f"as {first.name} has, or use two packages")
        triggers = manifest.triggers_of(function.name)
        if len(triggers) != 1:
            message = f"a function on Azure has exactly one trigger; {function.name} has {len(triggers)}"
            yield document.problem(f"{at}/name", message, "make one function for each trigger")
    for name, kind in manifest.resources.items():
        if len(name) < _SHORTEST_NAME:
            message = f"the name of a {kind} on Azure has at least {_SHORTEST_NAME} characters"
            yield document.problem(f"/resources/{name}", message)
    yield from _lint_host(document, manifest, first, files)
    if first.language == "python":
        yield from _lint_function_app(document, manifest, first, files)


def _lint_host(document: Document, manifest: Manifest, first: Function, files: Files) -> Iterator[Problem]:
    path = f"{first.code}{HOST}"
    if path not in files:
        return
    try:
        host = jsontext.read(path, files[path])
    except JsonRefused as refused:
        yield refused.problem
        return
    if not isinstance(host.value, Mapping) or host.value.get("version") != "2.0":
        yield host.problem("/version", "the version of host.json is 2.0", 'write "version": "2.0"')
        return
    node: Any = host.value
    for key in ("extensions", "http", "routePrefix"):
        node = node.get(key) if isinstance(node, Mapping) else None
    if node != "" and any(each.type == "http" for each in manifest.triggers):
        message = f"every path begins with /{node or 'api'} on Azure, unlike elsewhere"
        hint = 'write "extensions": {"http": {"routePrefix": ""}}'
        yield host.problem("/extensions", message, hint, Severity.WARNING)


def _lint_function_app(
    document: Document, manifest: Manifest, first: Function, files: Files
) -> Iterator[Problem]:
    path = f"{first.code}{APP}"
    if path not in files:
        hint = "it registers each function with the decorators of azure.functions.FunctionApp"
        yield document.problem("/functions/0/code", f"there is no {path!r}, which Azure loads", hint)
        return
    try:
        tree = python.parse(files[path])
    except python.NotPython as error:
        yield Problem(file=path, line=error.line, message=str(error))
        return
    if not python.azure_apps(tree):
        message = "there is no azure.functions.FunctionApp at the top level"
        yield Problem(file=path, message=message, hint="write app = azure.functions.FunctionApp()")
        return
    found = {each.name: each for each in python.azure_functions(tree)}
    blueprints = python.registers_blueprints(tree)
    if blueprints:
        found |= _blueprints(first.code, files)
    for index, function in enumerate(manifest.functions):
        registered = found.get(function.name)
        if registered is None:
            severity = Severity.WARNING if blueprints else Severity.ERROR
            message = f"{path} registers no function {function.name!r}"
            hint = f'decorate it with @app.function_name("{function.name}"); it registers: {", ".join(found)}'
            yield document.problem(f"/functions/{index}/name", message, hint, severity)
        else:
            yield from _lint_registered(path, registered, manifest)
    for name in found.keys() - {each.name for each in manifest.functions}:
        message = f"{name!r} is registered, but package.json does not name it"
        yield Problem(file=path, line=found[name].line, message=message, hint="add it to functions")


def _blueprints(code: str, files: Files) -> dict[str, python.AzureFunction]:
    found = {}
    for path in [each for each in sorted(files) if each.startswith(code) and each.endswith(".py")][
        :_MAX_MODULES
    ]:
        try:
            tree = python.parse(files[path])
        except python.NotPython:
            continue
        found.update({each.name: each for each in python.azure_functions(tree)})
    return found


def _lint_registered(path: str, found: python.AzureFunction, manifest: Manifest) -> Iterator[Problem]:
    """The decorators and the manifest say the same of what calls a function."""
    for trigger in manifest.triggers_of(found.name)[:1]:
        kinds = {name: python.AZURE_TRIGGERS.get(name) for name, _ in found.triggers}
        if trigger.type not in kinds.values():
            if None not in kinds.values():
                message = (
                    f"{found.name} is decorated with {', '.join(kinds)}, but its trigger is {trigger.type}"
                )
                yield Problem(file=path, line=found.line, message=message, hint="say the same in both")
            continue
        arguments = next(given for name, given in found.triggers if kinds[name] == trigger.type)
        for key, said, wanted in _differences(trigger.type, trigger.raw, arguments):
            message = f"{key} of {found.name} is {said!r}; package.json says {wanted!r}"
            hint = "say the same in both: Azure follows the code"
            yield Problem(file=path, line=found.line, message=message, hint=hint, severity=Severity.WARNING)


def _differences(
    kind: str, raw: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    if kind == "http":
        route, wanted = arguments.get("route", arguments.get("0")), str(raw["path"]).strip("/")
        if isinstance(route, str) and route.strip("/") != wanted:
            yield "route", route, wanted
    elif kind == "schedule":
        said = arguments.get("schedule")
        try:
            told = schedule.read(raw).azure()
        except ValueError:
            return
        if isinstance(said, str) and not said.startswith("%") and _spaced(said) != _spaced(told):
            yield "schedule", said, told
    elif kind == "queue":
        said = arguments.get("queue_name")
        if (
            isinstance(said, str)
            and not said.startswith("%")
            and "$" not in raw["queue"]
            and said != raw["queue"]
        ):
            yield "queue_name", said, raw["queue"]


def _spaced(text: str) -> str:
    return " ".join(text.split())
