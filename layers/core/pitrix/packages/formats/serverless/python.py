"""What Python code defines, found out without running any of it.

Owns two questions that lint asks of a file: does it define this name, and which functions does it register
with Azure's v2 programming model (decorators of a ``FunctionApp`` or ``Blueprint``).  Reads syntax trees
alone: what only running the code would tell is `serverless.tools`' business, on the author's machine.

Source of the decorators: the reference of the PyPI package ``azure-functions``
(``azure.functions.decorators``).
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Larger files are not parsed: a syntax tree takes some hundred times the memory of its text.
MAX_BYTES = 256 * 1024

#: Decorators of azure-functions that say what calls a function, and the trigger of ours that is the same.
AZURE_TRIGGERS = {
    "route": "http",
    "schedule": "schedule",
    "timer_trigger": "schedule",
    "queue_trigger": "queue",
    "service_bus_queue_trigger": "queue",
    "blob_trigger": "object_created",
    "event_grid_trigger": "event",
    "service_bus_topic_trigger": "event",
    "event_hub_message_trigger": "event",
    "kafka_trigger": "event",
    "cosmos_db_trigger": "event",
}


class NotPython(Exception):
    """The file cannot be parsed; ``line`` is 0 where there is none to name."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class AzureFunction:
    """A function that is registered by decorators.

    Attributes:
        triggers: Decorators that say what calls it, with those of their arguments that are constants.
    """

    name: str
    line: int
    triggers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def parse(data: bytes) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        NotPython: Too large, or not Python of this interpreter's version or before.
    """
    if len(data) > MAX_BYTES:
        raise NotPython(f"the file has {len(data)} bytes; more than {MAX_BYTES} are not looked into")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as those of odd escapes in texts
            return ast.parse(data)
    except SyntaxError as error:
        raise NotPython(f"not valid Python: {error.msg}", error.lineno or 0) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotPython(f"cannot be parsed: {error or type(error).__name__}") from None


def defined(tree: ast.Module) -> dict[str, int | None]:
    """Names that a module defines at its top level; how many arguments a call may give, where that is known.

    A module with ``import *`` may define anything: it has the name ``*``.
    """
    names: dict[str, int | None] = {}
    for node in _top_level(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = None if node.decorator_list else _positional(node.args)
        elif isinstance(node, ast.ClassDef):
            names[node.name] = None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                names[(alias.asname or alias.name).partition(".")[0]] = None
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for each in (name for target in targets for name in ast.walk(target)):
                if isinstance(each, ast.Name):
                    names[each.id] = None
    return names


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those in its branches and handlers too; not those inside of functions."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                waiting.extend(reversed(getattr(node, name, None) or []))
            for handler in getattr(node, "handlers", []):
                waiting.extend(reversed(handler.body))


def _positional(arguments: ast.arguments) -> int | None:
    """How many positional arguments a call must be able to give; ``None`` when it takes any number."""
    if arguments.vararg:
        return None
    return len(arguments.posonlyargs) + len(arguments.args)


def azure_apps(tree: ast.Module) -> dict[str, int]:
    """Variables of the module that hold a ``FunctionApp`` (of any kind), and their lines."""
    found = {}
    for node in _top_level(tree.body):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called = _last_name(node.value.func)
            if called.endswith("FunctionApp") or called == "DFApp":
                found.update({each.id: node.lineno for each in node.targets if isinstance(each, ast.Name)})
    return found


def azure_functions(tree: ast.Module) -> list[AzureFunction]:
    """Functions of the module that decorators register, in their order.

    A name that is no constant is left out, and what loops or calls register is not seen: only running the
    module tells that.
    """
    found = []
    for node in _top_level(tree.body):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        name, triggers = node.name, []
        for decorator in node.decorator_list:
            if not (isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)):
                continue
            arguments = _constants(decorator)
            if decorator.func.attr == "function_name":
                name = str(arguments.get("name", arguments.get("0", name)))
            elif decorator.func.attr in AZURE_TRIGGERS or decorator.func.attr.endswith("_trigger"):
                triggers.append((decorator.func.attr, arguments))
        if triggers:
            found.append(AzureFunction(name=name, line=node.lineno, triggers=triggers))
    return found


def registers_blueprints(tree: ast.Module) -> bool:
    """Whether functions of other modules may be registered too."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("register_functions", "register_blueprint")
        for node in ast.walk(tree)
    )


def _constants(call: ast.Call) -> dict[str, Any]:
    """Arguments of a call that are constants or lists of them; positional ones by their number."""
    pairs = [(str(at), each) for at, each in enumerate(call.args)]
    pairs += [(each.arg, each.value) for each in call.keywords if each.arg]
    result: dict[str, Any] = {}
    for key, value in pairs:
        if isinstance(value, ast.Constant):
            result[key] = value.value
        elif isinstance(value, ast.List | ast.Tuple):
            items = [
                each.value if isinstance(each, ast.Constant) else _last_name(each) for each in value.elts
            ]
            result[key] = items
        elif isinstance(value, ast.Attribute):
            result[key] = value.attr
    return result


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
