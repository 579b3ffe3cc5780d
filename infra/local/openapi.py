"""Writes `layers/core/pitrix/openapi.json`, the OpenAPI 3.1 description that `GET /v1/openapi.json` serves.

    python -m infra.local.openapi

Everything in it is read off the code, so that it cannot say anything else than what runs: routes from the
Chalice apps, who may call them from `template.yaml`, bodies and parameters from what a view reads with
`body(app, …)` and `params(app, …)`, answers from the types that the services declare. The file is committed;
`tests/architecture/test_openapi.py` fails when it is not what this module would write. Never runs on AWS.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from infra.local import transform
from infra.local.paths import ROOT

TARGET = ROOT / "layers/core/pitrix/openapi.json"
_PREFIX = "/v1"
_REFS = "#/components/schemas/{name}"
_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457; `errors` names each bad field.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Items:
    """A page of a list: what `pitrix.http.page` sends."""

    of: Any


@dataclass(frozen=True, kw_only=True)
class Fields:
    """A JSON object that a view puts together itself."""

    by_name: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path, as far as its view's source tells."""

    path: str
    method: str
    context: str
    view: Callable[..., Any]
    body: Any
    body_optional: bool
    query: Any
    replayed: bool
    answers: dict[int, Any]


# --- reading the code --------------------------------------------------------------------------------------


class View:
    """The source of a view, or of a helper it ends in, and the types of what it handles."""

    def __init__(self, function: Callable[..., Any], known: Mapping[str, Any] | None = None) -> None:
        self.function = inspect.unwrap(function)
        self.scope: dict[str, Any] = self.function.__globals__
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.tree = tree
        self.known = {**_hints(self.function), **(known or {})}
        self.assigned = dict(self._assignments())

    def _assignments(self) -> Iterator[tuple[str, ast.expr]]:
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    for name, value in zip(target.elts, node.value.elts, strict=True):
                        yield ast.unparse(name), value
                elif isinstance(target, ast.Tuple):
                    for place, name in enumerate(target.elts):
                        index = ast.Constant(place)
                        yield ast.unparse(name), ast.Subscript(node.value, index, ast.Load())

    def read_as(self, reader: str) -> Any:
        """The type that the view reads with ``reader(app, Type)``; None if it does not."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == reader and len(node.args) == 2:
                return self.scope.get(ast.unparse(node.args[1]))
        return None

    def answers(self) -> dict[int, Any]:
        """Status codes and types of what the view returns; None where the type is not known."""
        found: dict[int, Any] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
                found.update(self._answer(node.value))
        return found

    def _answer(self, call: ast.Call) -> dict[int, Any]:
        name = ast.unparse(call.func)
        if name == "no_content":
            return {204: None}
        if name == "page":
            return {200: Items(of=self._items(call.args[0]))}
        if name == "ok":
            return {self._status(call, 200): self.type_of(call.args[0])}
        if name == "Response":
            return {self._status(call, 200, place=2): None}
        helper = self.scope.get(name)
        if not inspect.isfunction(helper):
            return {200: None}
        return self._through(helper, call)

    def _through(self, helper: Callable[..., Any], call: ast.Call) -> dict[int, Any]:
        """What a helper of the module answers, given what this view passes to it."""
        names = list(inspect.signature(helper).parameters)
        passed = dict(zip(names, call.args, strict=False))
        passed |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        known = {name: self.type_of(value) for name, value in passed.items()}
        answers = View(helper, {name: kind for name, kind in known.items() if kind is not None}).answers()
        status = passed.get("status")
        if isinstance(status, ast.Constant) and set(answers) == {200}:
            return {int(str(status.value)): answers[200]}
        return answers

    def _status(self, call: ast.Call, default: int, *, place: int = 1) -> int:
        given = [word.value for word in call.keywords if word.arg in ("status", "status_code")]
        given += call.args[place : place + 1]
        first = given[0] if given else None
        return int(str(first.value)) if isinstance(first, ast.Constant) else default

    def _items(self, node: ast.expr) -> Any:
        kind = self.type_of(node.value if isinstance(node, ast.Starred) else node)
        if isinstance(node, ast.Starred):  # page(*service.list(…)): a tuple of items and cursor
            kind = next(iter(typing.get_args(kind)), None)
        return next(iter(typing.get_args(kind)), None)

    def type_of(self, node: ast.expr) -> Any:
        """The type of an expression; None if it cannot be told."""
        match node:
            case ast.Name(id=name):
                return self.type_of(self.assigned[name]) if name in self.assigned else self.known.get(name)
            case ast.Attribute(value=value, attr=name):
                return _hints(self.type_of(value)).get(name)
            case ast.Subscript(value=value, slice=ast.Constant(value=int(place))):
                parts = typing.get_args(self.type_of(value))
                return parts[place] if place < len(parts) else None
            case ast.ListComp(elt=element):
                kind = self.type_of(element)
                return list[kind] if kind is not None else None  # type: ignore[valid-type]
            case ast.Dict(keys=keys, values=values):
                named = [(key.value, value) for key, value in zip(keys, values, strict=True)
                         if isinstance(key, ast.Constant)]  # fmt: skip
                return Fields(by_name={str(key): self.type_of(value) for key, value in named})
            case ast.Constant(value=value):
                return type(value)
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                return _hints(getattr(self._service(value), name, None)).get("return")
            case ast.Call(func=ast.Name(id=name)):
                made = self.scope.get(name)
                return made if inspect.isclass(made) else _hints(made).get("return")
        return None

    def _service(self, node: ast.expr) -> Any:
        """The class of ``bootstrap.<context>()``, also through a variable."""
        if isinstance(node, ast.Name) and node.id in self.assigned:
            return self._service(self.assigned[node.id])
        found = re.fullmatch(r"bootstrap\.(\w+)\(\)", ast.unparse(node))
        if found is None:
            return None
        builder = getattr(importlib.import_module("pitrix.bootstrap"), found[1])
        name = inspect.unwrap(builder).__annotations__["return"]
        return getattr(importlib.import_module(f"pitrix.{found[1]}.service"), name, None)


def _hints(thing: Any) -> dict[str, Any]:
    """Types of the parameters and the return of a function, or of the fields of a class."""
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}


def routes(modules: Mapping[str, ModuleType]) -> Iterator[Route]:
    """The routes under /v1 of the apps of these modules (by context), in the order of their paths."""
    found = [
        (path, method, context, entry.view_function)
        for context, module in modules.items()
        for path, methods in module.app.routes.items()
        for method, entry in methods.items()
        if path.startswith(_PREFIX)
    ]
    for path, method, context, function in sorted(found, key=lambda each: each[:2]):
        view = View(function)
        yield Route(
            path=path,
            method=method,
            context=context,
            view=view.function,
            body=view.read_as("body"),
            body_optional="raw_body" in ast.unparse(view.tree),
            query=view.read_as("params"),
            replayed=method == "POST" and modules[context].app._replays is not None,
            answers=view.answers() or {200: None},
        )


# --- writing it down ---------------------------------------------------------------------------------------


class Schemas:
    """JSON schemas of the types met so far."""

    def __init__(self, wanted: list[Any]) -> None:
        usable = [kind for kind in wanted if self._can(kind)]
        schemas, self.components = msgspec.json.schema_components(usable, ref_template=_REFS)
        self._by_kind = list(zip(usable, schemas, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; the one that takes anything if it has none."""
        if isinstance(kind, Items):
            cursor = {"anyOf": [{"type": "string"}, {"type": "null"}]}
            items = {"type": "array", "items": self.of(kind.of)}
            return {"type": "object", "required": ["items", "next_cursor"],
                    "properties": {"items": items, "next_cursor": cursor}}  # fmt: skip
        if isinstance(kind, Fields):
            properties = {name: self.of(inner) for name, inner in kind.by_name.items()}
            return {"type": "object", "required": list(properties), "properties": properties}
        return next((dict(schema) for known, schema in self._by_kind if known is kind or known == kind), {})

    def properties(self, kind: Any) -> tuple[dict[str, Any], list[str]]:
        """Fields of a dataclass and which of them are required."""
        name = self.of(kind).get("$ref", "").rpartition("/")[2]
        component = self.components.get(name, {})
        return component.get("properties", {}), component.get("required", [])

    @staticmethod
    def _can(kind: Any) -> bool:
        try:
            msgspec.json.schema(kind)
        except (TypeError, ValueError):
            return False
        return True


def _leaves(kind: Any) -> Iterator[Any]:
    if isinstance(kind, Items):
        yield from _leaves(kind.of)
    elif isinstance(kind, Fields):
        for inner in kind.by_name.values():
            yield from _leaves(inner)
    elif kind is not None:
        yield kind


def document(modules: Mapping[str, ModuleType], template: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The description of the API that these apps make and that this template deploys."""
    found = list(routes(modules))
    met = [kind for route in found for kind in (route.body, route.query, *route.answers.values())]
    schemas = Schemas([leaf for kind in met for leaf in _leaves(kind)])
    declared = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
    paths: dict[str, dict[str, Any]] = {}
    for route in found:
        operation = _operation(route, schemas)
        rules = declared.get(route.path, {}).get(route.method.lower(), {}).get("security", [])
        access = [name for rule in rules for name in rule]
        # An empty requirement means that it also goes without.
        operation["security"] = [*([] if "Login" in access else [{}]), *([{"bearer": []}] if access else [])]
        paths.setdefault(route.path.replace("+}", "}"), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pitrix",
            "version": version,
            "description": "Application management for many clouds. Lists answer with `items` and "
            "`next_cursor`; errors are problem documents (RFC 9457).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "From `POST /v1/tokens`."}
            },
            "schemas": {**dict(sorted(schemas.components.items())), "Problem": _PROBLEM},
        },
    }


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    title, description = _about(route.view)
    operation: dict[str, Any] = {
        "operationId": f"{route.context}.{route.view.__name__}",
        "tags": [route.context],
        "summary": title,
    }
    if description:
        operation["description"] = description
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\+?\}", route.path)
    ]
    fields, required = schemas.properties(route.query) if route.query else ({}, [])
    parameters += [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in fields.items()
    ]
    if route.replayed:
        key = {"type": "string", "maxLength": 200}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content = {"application/json": {"schema": schemas.of(route.body)}}
        operation["requestBody"] = {"required": not route.body_optional, "content": content}
    problem = {"application/problem+json": {"schema": {"$ref": _REFS.format(name="Problem")}}}
    operation["responses"] = {
        **{str(status): _response(status, kind, schemas) for status, kind in sorted(route.answers.items())},
        "default": {"description": "A problem document.", "content": problem},
    }
    return operation


def _response(status: int, kind: Any, schemas: Schemas) -> dict[str, Any]:
    if status == 204:
        return {"description": "Done; there is nothing to say."}
    if 300 <= status < 400:
        return {"description": "Elsewhere: follow Location."}
    response: dict[str, Any] = {"description": "Begun." if status == 202 else "Done."}
    if kind is not None:
        response["content"] = {"application/json": {"schema": schemas.of(kind)}}
    return response


def _about(view: Callable[..., Any]) -> tuple[str, str]:
    text = inspect.getdoc(view) or ""
    head, _, rest = text.partition("\n\n")
    title = " ".join(head.split()).rstrip(".") or view.__name__.strip("_").replace("_", " ").capitalize()
    return title, " ".join(rest.split())


def build() -> dict[str, Any]:
    """The description of this checkout."""
    contexts = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
    modules = {}
    for context in contexts:
        if context not in ("console", "pilot"):  # pages, and a WebSocket
            modules[context] = importlib.import_module(f"functions.{context}.app")
    modules["charts"] = importlib.import_module("functions.repos.charts")
    template = transform.load(ROOT / "template.yaml")
    return document(modules, template, _version())


def _version() -> str:
    import tomllib

    project = tomllib.loads((ROOT / "layers/core/pyproject.toml").read_text())
    return str(project["project"]["version"])


def text() -> str:
    """The very text of the file."""
    return json.dumps(build(), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def main(target: Path = TARGET) -> None:
    target.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
