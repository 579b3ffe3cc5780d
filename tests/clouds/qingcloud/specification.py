"""QingCloud's API specification: what each action's request and answer look like.

Owns the reading of the published Swagger 2.0 files, and the checks against them. Knows no state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

ROOT = Path(__file__).parents[3]
FOLDER = ROOT.parent / "shared" / "data" / "specs" / "qingcloud" / "2013-08-30" / "swagger"
"""Where the specification lies: beside the project, as it is QingCloud's and not ours."""

Json = dict[str, Any]


class Refused(Exception):
    """What QingCloud answers instead of doing something: a ``ret_code`` and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Specification:
    """All actions of the API. ``actions`` maps each to its request's schema and its answer's validator."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
        self._definitions = {
            name: self._closed(schema) for name, schema in self._files["definitions.json"].items()
        }

    @cached_property
    def actions(self) -> Mapping[str, tuple[Json, Draft4Validator]]:
        found = {}
        for path, item in self._files["api_v2.0.json"]["paths"].items():
            file, _, pointer = item["$ref"].partition("#/")
            described = self._files[Path(file).name][pointer]
            operation = described.get("get") or described["post"]
            bodies = [each["schema"] for each in operation.get("parameters", []) if each.get("in") == "body"]
            request = self._closed(bodies[0] if bodies else {"type": "object", "properties": {}})
            answer = self._closed(operation["responses"]["200"]["schema"])
            # Every answer may say what went wrong; the specification describes successes only.
            answer["properties"]["message"] = {"type": "string"}
            answer["required"] = ["action", "ret_code"]
            found[path.strip("/")] = request, Draft4Validator(answer | {"definitions": self._definitions})
        return found

    def _closed(self, schema: Any) -> Any:
        """The schema with its references in one place and without room for members that it does not name."""
        if isinstance(schema, list):
            return [self._closed(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        closed = {name: self._closed(value) for name, value in schema.items()}
        if "$ref" in closed:
            return {"$ref": "#/definitions/" + closed["$ref"].rpartition("/")[2]}
        if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
            closed["additionalProperties"] = False
        return closed

    def request(self, action: str, query: Mapping[str, str]) -> Json:
        """The parameters of a request as typed JSON, defaults filled in.

        ``query`` has lists flattened as QingCloud wants them: ``instances.1``, ``rules.1.protocol``.

        Raises:
            Refused: 1100, with what is wrong.
        """
        if action not in self.actions:
            raise Refused(1100, f"InvalidAction, there is no action [{action}]")
        schema, _ = self.actions[action]
        return self._object(_nested(query), schema, action)

    def _object(self, value: Any, schema: Json, where: str) -> Json:
        if not isinstance(value, dict):
            raise Refused(1100, f"InvalidParameterFormat, [{where}] should be an object")
        known = schema.get("properties", {})
        if unknown := [name for name in value if name not in known]:
            raise Refused(1100, f"InvalidParameter, [{where}] has no parameter {unknown}")
        if missing := [name for name in schema.get("required", []) if name not in value]:
            raise Refused(1100, f"MissingParameter, {missing} not specified for [{where}]")
        given = {name: self._value(each, known[name], name) for name, each in value.items()}
        return {name: each["default"] for name, each in known.items() if "default" in each} | given

    def _value(self, value: Any, schema: Json, where: str) -> Any:
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        kind = schema.get("type")
        if kind == "array":
            if not isinstance(value, dict) or sorted(value, key=int) != [
                str(n + 1) for n in range(len(value))
            ]:
                raise Refused(1100, f"InvalidParameterFormat, [{where}] should be a list [{where}.1], …")
            return [self._value(value[n], schema["items"], f"{where}.{n}") for n in sorted(value, key=int)]
        if kind == "object":
            return self._object(value, schema, where)
        if kind == "integer":
            try:
                value = int(value)
            except (TypeError, ValueError):
                raise Refused(1100, f"InvalidParameterFormat, [{where}] should be integer") from None
        elif not isinstance(value, str):
            raise Refused(1100, f"InvalidParameterFormat, [{where}] should be string")
        if "enum" in schema and value not in schema["enum"]:
            raise Refused(1100, f"InvalidParameterValue, [{where}] should be one of {schema['enum']}")
        return value

    def problems(self, action: str, answer: Json) -> list[str]:
        """What the specification has against an answer; empty if nothing."""
        _, validator = self.actions[action]
        return [f"{action}{error.json_path[1:]}: {error.message}" for error in validator.iter_errors(answer)]


def _nested(query: Mapping[str, str]) -> Json:
    """``a.1.b=c`` as ``{"a": {"1": {"b": "c"}}}``."""
    nested: Json = {}
    for name, value in query.items():
        *path, last = name.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise Refused(1100, f"InvalidParameterFormat, [{name}] is given twice")
        inner[last] = value
    return nested
