"""What each target wants of a package's functions: runtimes, handlers, names, limits, triggers it knows.

Owns the rules that differ from cloud to cloud.  Azure's own are
`serverless.azure_lint`'s, those that hold everywhere `serverless.lint`'s.

Sources: *Lambda Developer Guide*: handlers, reserved environment variables, quotas.  *API Gateway*: an answer
within 29 s.  Knative: ``config-defaults`` (``max-revision-timeout-seconds`` is 600).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from pitrix.clock import SystemClock
from pitrix.packages.formats.serverless import azure_lint, cfn, cfn_lint, knative, python, schedule
from pitrix.packages.formats.serverless.manifest import AWS, AZURE, KNATIVE, METADATA, Manifest
from pitrix.packages.formats.serverless.runtimes import LIFECYCLES
from pitrix.packages.model import Problem, Severity
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext
from pitrix.packages.text.jsontext import Document

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LAMBDA_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_RESERVED: dict[str, Callable[[str], bool]] = {
    AWS: lambda name: name.startswith(("AWS_", "LAMBDA_", "_HANDLER", "_X_AMZN")) or name == "TZ",
    AZURE: lambda name: name.upper().startswith(("FUNCTIONS_", "AZUREWEBJOBS", "WEBSITE_")),
    KNATIVE: lambda name: name in knative.RESERVED,
}
_GATEWAY_S = 29
_KNATIVE_S = 600
#: Files from which a buildpack, or a build of an image, knows what to do.
_BUILDABLE = ("Dockerfile", "Containerfile", "Procfile", "project.toml", "requirements.txt", "pyproject.toml",
              "package.json", "go.mod", "pom.xml")  # fmt: skip
_MODULE_ENDINGS = {"nodejs": (".js", ".mjs", ".cjs")}


def is_variable(name: str) -> bool:
    """Whether a name can be that of an environment variable."""
    return _VARIABLE.fullmatch(name) is not None


def lint(document: Document, manifest: Manifest, files: Files, keys: Iterable[str]) -> list[Problem]:
    """What is wrong with plain code for each of the targets that it names.

    Args:
        keys: Those of config.json's env.
    """
    rules = {AWS: _lint_aws, AZURE: azure_lint.lint, KNATIVE: _lint_knative}
    problems: list[Problem] = []
    for index, function in enumerate(manifest.functions):
        if function.code and not any(path.startswith(function.code) for path in files):
            at = f"/functions/{index}/code"
            problems.append(document.problem(at, f"there is no folder {function.code!r} in the package"))
    for target in manifest.targets:
        problems += _lint_runtimes(document, manifest, target)
        problems += _lint_variables(document, manifest, target, list(keys))
        problems += _lint_schedules(document, manifest, target)
        problems += rules[target](document, manifest, files)
    # Targets often say the same of one place.
    return list(dict.fromkeys(problems))


def _lint_runtimes(document: Document, manifest: Manifest, target: str) -> Iterator[Problem]:
    for index, function in enumerate(manifest.functions):
        at = f"/functions/{index}/runtime"
        for message, hint, severity in runtime_problems(target, function.runtime):
            yield document.problem(at, message, hint, severity)


def runtime_problems(
    target: str, runtime: str, today: date | None = None
) -> Iterator[tuple[str, str, Severity]]:
    """(message, hint, severity) of what is wrong with a runtime at a target on a day (today)."""
    table = LIFECYCLES.get(target)
    if table is None:
        return
    life = table.get(runtime)
    if life is None:
        yield f"{target} has no runtime {runtime!r}", f"known: {', '.join(table)}", Severity.ERROR
        return
    day = today or SystemClock().now().date()
    hint = f"use {life.successor}" if life.successor else ""
    if life.blocked and day >= life.blocked:
        message = f"{target} makes no functions with {runtime} any more since {life.blocked}"
        yield message, hint, Severity.ERROR
    elif day >= life.deprecated:
        message = f"{target} gives {runtime} no more updates since {life.deprecated}"
        yield message, hint, Severity.WARNING


def _lint_variables(
    document: Document, manifest: Manifest, target: str, keys: list[str]
) -> Iterator[Problem]:
    for index, function in enumerate(manifest.functions):
        places = [(f"/functions/{index}/variables/{name}", name) for name in function.variables]
        if function.env is None:
            places += [(f"/functions/{index}", name) for name in keys]
        else:
            places += [(f"/functions/{index}/env/{at}", name) for at, name in enumerate(function.env)]
        for at, name in places:
            if _RESERVED[target](name):
                message = f"{name} is set by {target} itself"
                yield document.problem(at, message, "choose another name")
            elif target == AWS and not _LAMBDA_VARIABLE.fullmatch(name):
                message = f"{name!r} is no name of a variable on AWS Lambda"
                yield document.problem(at, message, "begin with a letter; two characters or more")


def _lint_schedules(document: Document, manifest: Manifest, target: str) -> Iterator[Problem]:
    for trigger in manifest.triggers:
        if trigger.type == "schedule":
            at = f"/triggers/{trigger.index}/{'cron' if 'cron' in trigger.raw else 'rate'}"
            try:
                schedule.read(trigger.raw).for_target(target)
            except ValueError as error:
                yield document.problem(at, f"not a schedule: {error}")


# --- AWS Lambda --------------------------------------------------------------------------------------------


def _lint_aws(document: Document, manifest: Manifest, files: Files) -> Iterator[Problem]:
    for index, function in enumerate(manifest.functions):
        at = f"/functions/{index}"
        if not function.handler:
            hint = "name what is called, as module.function: app.handler"
            yield document.problem(at, "the function has no handler, which AWS Lambda needs", hint)
        else:
            runtime, code = function.runtime, function.code
            for problem in handler_problems(files, code, function.handler, runtime):
                yield _placed(document, f"{at}/handler", problem)
        called = any(each.type == "http" for each in manifest.triggers_of(function.name))
        if called and function.timeout_s > _GATEWAY_S:
            message = f"HTTP calls are answered within {_GATEWAY_S} s on AWS; the function may take longer"
            yield document.problem(f"{at}/timeout_s", message, "", Severity.WARNING)


def _placed(document: Document, at: str, problem: Problem) -> Problem:
    """A problem of another file stays where it is; one without a file belongs to the manifest."""
    if problem.file:
        return problem
    return document.problem(at, problem.message, problem.hint, problem.severity)


def handler_problems(files: Files, code: str, handler: str, runtime: str) -> Iterator[Problem]:
    """What is wrong with a handler: its file is missing, is broken, or does not define it.

    Args:
        code: Folder of the code, with a ``/`` behind it; empty for the root.
        runtime: ``python3.13``, ``nodejs24``, ...; others are not looked into.
    """
    module, _, name = handler.rpartition(".")
    if runtime.startswith("nodejs"):
        paths = [f"{code}{module}{ending}" for ending in _MODULE_ENDINGS["nodejs"]]
        if not any(path in files for path in paths):
            message = f"there is no {paths[0]!r} in the package (nor {', '.join(paths[1:])})"
            yield Problem(
                file="", message=message, hint="the handler is FILE.FUNCTION below the code's folder"
            )
        return
    if not runtime.startswith("python"):
        return
    if not module or not name.isidentifier():
        message = f"{handler!r} is not FILE.FUNCTION"
        yield Problem(file="", message=message, hint="app.handler is the function handler of app.py")
        return
    path = next((each for each in _python_paths(code, module) if each in files), "")
    if not path:
        message = f"there is no {_python_paths(code, module)[0]!r} in the package"
        yield Problem(file="", message=message, hint="the handler is FILE.FUNCTION below the code's folder")
        return
    try:
        names = python.defined(python.parse(files[path]))
    except python.NotPython as error:
        yield Problem(file=path, line=error.line, message=str(error))
        return
    if name not in names:
        if "*" not in names:
            close = ", ".join(sorted(each for each, count in names.items() if count is not None)[:8])
            message = f"{path} does not define {name!r}"
            yield Problem(file="", message=message, hint=f"it defines {close}" if close else "")
    elif names[name] not in (None, 2):
        message = f"{name} of {path} takes {names[name]} arguments; Lambda gives it two: event and context"
        yield Problem(file="", message=message, severity=Severity.WARNING)


def _python_paths(code: str, module: str) -> list[str]:
    below = module.replace(".", "/")
    return [f"{code}{below}.py", f"{code}{below}/__init__.py"]


def lint_template(document: Document, files: Files) -> list[Problem]:
    """Runtimes and handlers of the functions of a SAM or CloudFormation template."""
    template = document.value
    shared = cfn.section(template, "Globals").get("Function", {})
    problems: list[Problem] = []
    for name, resource in cfn.section(template, "Resources").items():
        kind, own = resource.get("Type"), resource.get("Properties")
        if kind not in ("AWS::Serverless::Function", "AWS::Lambda::Function") or not isinstance(own, Mapping):
            continue
        properties = {**shared, **own} if kind == "AWS::Serverless::Function" else own
        if properties.get("PackageType") == "Image" or "InlineCode" in properties:
            continue
        problems += _lint_template_function(document, name, properties, files)
    return problems


def _lint_template_function(
    document: Document, name: str, properties: Mapping[str, Any], files: Files
) -> Iterator[Problem]:
    at = jsontext.pointer_of(["Resources", name, "Properties"])
    runtime, handler = properties.get("Runtime"), properties.get("Handler")
    if isinstance(runtime, str):
        for message, hint, severity in runtime_problems(AWS, runtime.removesuffix(".x")):
            # The clouds add runtimes faster than we do; cfn-lint knows them all.
            weight = Severity.WARNING if "has no runtime" in message else severity
            yield document.problem(f"{at}/Runtime", message, hint, weight)
    code = properties.get("CodeUri")
    if isinstance(code, str) and isinstance(handler, str) and isinstance(runtime, str) and "://" not in code:
        path = cfn_lint.local_path(document.file, code)
        if path is not None and f"{path}" not in files:
            for problem in handler_problems(files, f"{path}/" if path else "", handler, runtime):
                yield _placed(document, f"{at}/Handler", problem)


# --- Knative -----------------------------------------------------------------------------------------------


def _lint_knative(document: Document, manifest: Manifest, files: Files) -> Iterator[Problem]:
    for index, function in enumerate(manifest.functions):
        at = f"/functions/{index}"
        # At the root of the package, package.json is the manifest.
        names = [each for each in _BUILDABLE if function.code or each != METADATA]
        buildable = any(f"{function.code}{name}" in files for name in names)
        if not function.image and not buildable:
            message = "there is neither an image nor a Dockerfile to build one from"
            hint = f"name the image, or add {function.code}Dockerfile or {function.code}requirements.txt"
            yield document.problem(at, message, hint)
        if function.timeout_s > _KNATIVE_S:
            message = f"Knative ends requests after {_KNATIVE_S} s unless the cluster is set up otherwise"
            yield document.problem(f"{at}/timeout_s", message, "", Severity.WARNING)
    for trigger in manifest.triggers:
        if trigger.type == "object_created":
            message = "Knative has no storage of its own that could call a function"
            hint = "use an event trigger with the type that the storage's event source sends"
            yield document.problem(f"/triggers/{trigger.index}/type", message, hint)
    for name, kind in manifest.resources.items():
        if kind != "queue":
            message = f"Knative has nothing to make a {kind} of"
            yield document.problem(f"/resources/{name}", message, "ask for one that exists in config.json")
    if manifest.permissions:
        message = "Knative grants no permissions; they hold on the other targets alone"
        hint = "ask for credentials in config.json"
        yield document.problem("/permissions", message, hint, Severity.WARNING)
