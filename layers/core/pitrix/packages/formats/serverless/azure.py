"""Plain code for Azure Functions: what a driver needs to make one function app of it.

Owns ``host.json`` (the package's own, or one made here), ``app-settings.json`` (answers and what the platform
itself wants set), and ``function-app.json``: runtime, size, functions with their bindings in the shape of
``function.json``, containers and queues to make, roles for the app's identity.  What needs the account
(``AzureWebJobsStorage``, the plan) is the driver's to add.

Sources: *Azure Functions*: ``host.json`` reference, app settings reference, Flex Consumption plan (sizes of
instances), triggers and bindings.
"""

from __future__ import annotations

import json
from typing import Any

from pitrix.packages.formats.serverless import schedule
from pitrix.packages.formats.serverless.answers import Answers
from pitrix.packages.formats.serverless.manifest import Function, Trigger, resolve
from pitrix.packages.formats.serverless.permissions import ACTIONS
from pitrix.packages.ports import Files

HOST = "host.json"
APP = "function_app.py"
_STORAGE = "AzureWebJobsStorage"
_SIZES_MIB = (512, 2048, 4096)


def host(answers: Answers, files: Files) -> str:
    """The text of ``host.json``."""
    path = f"{answers.manifest.functions[0].code}{HOST}"
    if path in files:
        return files[path].decode("utf-8-sig")
    limit = max(each.timeout_s for each in answers.manifest.functions)
    made = {
        "version": "2.0",
        "functionTimeout": f"{limit // 3600:02d}:{limit // 60 % 60:02d}:{limit % 60:02d}",
        # Without it every path would begin with /api, here as nowhere else.
        "extensions": {"http": {"routePrefix": ""}},
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
    }
    return _json(made)


def app_settings(answers: Answers) -> str:
    """The app settings, as ``az functionapp config appsettings set`` takes them; secrets are marked."""
    first = answers.manifest.functions[0]
    fixed = {
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "FUNCTIONS_WORKER_RUNTIME": {"nodejs": "node"}.get(first.language, first.language),
    }
    settings = [{"name": name, "value": value, "slotSetting": False} for name, value in fixed.items()]
    variables: dict[str, str] = {}
    for function in answers.manifest.functions:
        variables |= answers.environment(function)
    for name, text in variables.items():
        value = resolve(text, lambda kind, key: _value(answers, kind, key))
        secret = any(answers.secret(key) for key in answers.env_keys() if f"${{env.{key}}}" in text)
        settings.append({"name": name, "value": value, "slotSetting": False} | _mark(secret))
    return _json(settings)


def function_app(answers: Answers) -> str:
    """Everything else that a driver needs to know."""
    manifest = answers.manifest
    first = manifest.functions[0]
    wanted = max(each.memory_mib for each in manifest.functions)
    bounds = [each.concurrency for each in manifest.functions if each.concurrency]
    scale: dict[str, Any] = {"instanceMemoryMB": next((size for size in _SIZES_MIB if size >= wanted), 4096)}
    if len(bounds) == len(manifest.functions):
        scale["maximumInstanceCount"] = max(bounds)
    made = {
        "runtime": {"name": {"nodejs": "node"}.get(first.language, first.language),
                    "version": first.language_version},
        "code": first.code.rstrip("/") or ".",
        "scaleAndConcurrency": scale,
        "functions": [_function(answers, each) for each in manifest.functions],
        "resources": [{"type": kind, "name": resource_name(name, kind)}
                      for name, kind in manifest.resources.items()],
        "roleAssignments": _roles(answers),
    }  # fmt: skip
    return _json(made)


def resource_name(name: str, kind: str) -> str:
    """The name of a container, a queue or a table in the app's storage account (tables take no dashes)."""
    return name.replace("-", "") if kind == "table" else name


def _mark(secret: bool) -> dict[str, bool]:
    return {"secret": True} if secret else {}


def _value(answers: Answers, kind: str, key: str) -> str:
    if kind == "env":
        return answers.text(key)
    return resource_name(key, answers.manifest.resources.get(key, ""))


def _function(answers: Answers, function: Function) -> dict[str, Any]:
    bindings = [
        binding
        for each in answers.manifest.triggers_of(function.name)
        for binding in _bindings(answers, each)
    ]
    return {"name": function.name, "scriptFile": APP, "bindings": bindings}


def _bindings(answers: Answers, trigger: Trigger) -> list[dict[str, Any]]:
    def text(key: str) -> str:
        return resolve(trigger.text(key), lambda kind, name: _value(answers, kind, name))

    def binding(kind: str, name: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "direction": "in", "name": name, **more}

    if trigger.type == "http":
        level = "anonymous" if trigger.public else "function"
        methods = [each.lower() for each in trigger.methods]
        request = binding(
            "httpTrigger", "req", authLevel=level, route=text("path").lstrip("/"), methods=methods
        )
        return [request, {"type": "http", "direction": "out", "name": "$return"}]
    if trigger.type == "schedule":
        when = schedule.read(trigger.raw).azure()
        return [binding("timerTrigger", "timer", schedule=when)]
    if trigger.type == "queue":
        return [binding("queueTrigger", "message", queueName=text("queue"), connection=_STORAGE)]
    if trigger.type == "object_created":
        path = f"{text('bucket')}/{trigger.text('prefix')}{{name}}{trigger.text('suffix')}"
        return [binding("blobTrigger", "blob", path=path, connection=_STORAGE)]
    return [binding("eventGridTrigger", "event")]


def _roles(answers: Answers) -> list[dict[str, str]]:
    """Roles for the identity of the app: Azure grants to the app, not to one of its functions."""
    found = {}
    for each in answers.manifest.permissions:
        if each.iam is None:
            name = resolve(each.name, lambda kind, key: _value(answers, kind, key))
            own = name in answers.manifest.resources
            scope = f"{each.kind}:{resource_name(name, each.kind) if own else name}"
            role = ACTIONS[each.action].azure_role
            found[role, scope] = {"role": role, "scope": scope}
    return list(found.values())


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
