"""Azure's REST specifications (Swagger 2.0) as something that requests and answers can be held against.

Owns reading the files, finding the operation that a request means, and telling what is wrong with a body.
It knows no resource and keeps no state. Schemas become closed JSON Schemas that ``jsonschema`` checks: a
member that the specification does not have is a mistake, as Azure itself says of unknown members.

Where next: ``world.py`` (what exists), ``server.py`` (who asks).
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "specs" / "azure" / "specification"
"""Where the specifications lie beside the repository."""

_COMPUTE = "compute/resource-manager/Microsoft.Compute"
_NETWORK = "network/resource-manager/Microsoft.Network/stable/2022-09-01"
_STORAGE = "storage/resource-manager/Microsoft.Storage/stable/2022-09-01"
_WEB = "web/resource-manager/Microsoft.Web/stable/2022-09-01"
FILES = (
    *(
        f"{_COMPUTE}/ComputeRP/stable/2022-11-01/{name}.json"
        for name in ("computeRPCommon", "virtualMachine", "sshPublicKey")
    ),
    *(f"{_COMPUTE}/DiskRP/stable/2022-07-02/{name}.json" for name in ("disk", "snapshot")),
    *(f"{_COMPUTE}/GalleryRP/stable/2022-03-03/{name}.json" for name in ("gallery", "sharedGallery")),
    *(
        f"{_NETWORK}/{name}.json"
        for name in ("virtualNetwork", "networkSecurityGroup", "networkInterface", "publicIpAddress")
    ),
    "resources/resource-manager/Microsoft.Resources/stable/2022-09-01/resources.json",
    *(f"{_STORAGE}/{name}.json" for name in ("storage", "blob", "queue", "table")),
    *(f"{_WEB}/{name}.json" for name in ("WebApps", "AppServicePlans")),
)

Json = Mapping[str, Any]
Place = tuple[Any, str]
"""A node of a file and the file it is in, from which its references are resolved."""

_METHODS = ("get", "put", "post", "delete", "patch", "head")
_KEPT = ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "format")
_OPEN = {"VirtualMachineSizeTypes"}
"""Lists that are not whole, as the specification says itself; the others are taken at their word."""


@cache
def _document(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8-sig"))


def resolve(node: Any, file: str) -> Place:
    """Follow references until there is none."""
    while isinstance(node, dict) and "$ref" in node:
        other, _, pointer = node["$ref"].partition("#")
        if other:
            file = os.path.normpath(os.path.join(os.path.dirname(file), other))
        node = _document(file)
        for part in filter(None, pointer.split("/")):
            node = node[part.replace("~1", "/").replace("~0", "~")]
    return node, file


def members(node: Any, file: str) -> tuple[dict[str, Place], set[str], Any]:
    """The properties of an object with those it inherits, which are required, and what others are."""
    node, file = resolve(node, file)
    found: dict[str, Place] = {}
    required: set[str] = set()
    others = node.get("additionalProperties")
    for parent in node.get("allOf", []):
        inherited, needed, more = members(parent, file)
        found |= inherited
        required |= needed
        others = more if others is None else others
    found |= {name: (each, file) for name, each in node.get("properties", {}).items()}
    return found, required | set(node.get("required", [])), others


def read_only(place: Place) -> bool:
    """Whether only the cloud sets it."""
    node, file = place
    return bool(node.get("readOnly") or resolve(node, file)[0].get("readOnly"))


class _Closed:
    """Swagger schemas as JSON Schemas, of requests or of answers; shared definitions are made once."""

    def __init__(self, *, request: bool) -> None:
        self._request = request
        self.definitions: dict[str, Any] = {}

    def of(self, node: Any, file: str) -> dict[str, Any]:
        if "$ref" in node:
            _, _, pointer = node["$ref"].partition("#")
            target, where = resolve(node, file)
            name = f"{where}#{pointer}".replace("/", "|").replace("~", "|")
            if name not in self.definitions:
                self.definitions[name] = {}
                self.definitions[name].update(self.of(target, where))
            return {"$ref": f"#/$defs/{name}"}
        schema = {key: node[key] for key in _KEPT if key in node}
        if node.get("x-ms-enum", {}).get("name") in _OPEN:
            del schema["enum"]
        if isinstance(node.get("type"), str):
            schema["type"] = node["type"]
        if node.get("type") == "array":
            schema["items"] = self.of(node.get("items", {}), file)
        if "properties" in node or "allOf" in node:
            schema |= self._object(node, file)
        elif isinstance(node.get("additionalProperties"), dict):
            schema["additionalProperties"] = self.of(node["additionalProperties"], file)
        return schema

    def _object(self, node: Any, file: str) -> dict[str, Any]:
        found, required, others = members(node, file)
        ignored = {name for name, place in found.items() if self._request and read_only(place)}
        properties = {name: {} if name in ignored else self.of(*place) for name, place in found.items()}
        closed = others is None and "discriminator" not in node
        return {
            "type": "object",
            "properties": properties,
            "required": sorted(required - ignored),
            "additionalProperties": self.of(others, file) if isinstance(others, dict) else not closed,
        }


@dataclass(frozen=True)
class Operation:
    """One operation of the specification.

    Attributes:
        template: Its path with the names of parameters in braces.
        version: The api-version that it is of.
        node: What the file says of it, and ``parameters``, resolved.
    """

    method: str
    template: str
    version: str
    node: Json
    parameters: tuple[Place, ...]
    file: str

    @property
    def name(self) -> str:
        return str(self.node["operationId"])

    @property
    def long_running(self) -> bool:
        return bool(self.node.get("x-ms-long-running-operation"))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{([^}]+)\}", self.template.rstrip("/"))
        pattern = "".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
        return re.compile(pattern, re.IGNORECASE)

    def statuses(self) -> list[int]:
        return [int(status) for status in self.node["responses"] if status.isdigit()]


class Specification:
    """All operations of :data:`FILES`."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._requests, self._answers = _Closed(request=True), _Closed(request=False)
        self._validators: dict[tuple[str, str, str, str], Draft202012Validator] = {}
        self._operations: dict[str, list[Operation]] = defaultdict(list)
        for name in FILES:
            self._read(str(folder / name))
        for method in self._operations:
            self._operations[method].sort(key=lambda operation: operation.template.count("{"))

    def _read(self, file: str) -> None:
        document = _document(file)
        for template, item in document["paths"].items():
            for method in set(_METHODS) & set(item):
                node = item[method]
                parameters = [
                    resolve(p, file) for p in item.get("parameters", []) + node.get("parameters", [])
                ]
                operation = Operation(
                    method.upper(), template, document["info"]["version"], node, tuple(parameters), file
                )
                self._operations[method.upper()].append(operation)

    def count(self) -> int:
        return sum(len(operations) for operations in self._operations.values())

    def named(self, name: str) -> Operation:
        """The operation of that ``operationId``."""
        return next(each for found in self._operations.values() for each in found if each.name == name)

    def find(self, method: str, path: str, version: str) -> tuple[Operation | None, dict[str, str], set[str]]:
        """The operation that a request means with its path's values, and the versions that know the path."""
        versions: set[str] = set()
        for operation in self._operations[method]:
            if match := operation.pattern.fullmatch(path):
                versions.add(operation.version)
                if operation.version == version:
                    return operation, match.groupdict(), versions
        return None, {}, versions

    def wrong_with_request(
        self, operation: Operation, path: Mapping[str, str], query: Mapping[str, str], body: Any
    ) -> list[str]:
        """What of a request breaks the specification; empty when nothing does."""
        wrong: list[str] = []
        for parameter, file in operation.parameters:
            name, place = parameter["name"], parameter["in"]
            if place == "body":
                if body is not None:
                    wrong += self._wrong("request", operation, "body", (parameter["schema"], file), body)
                elif parameter.get("required"):
                    wrong.append("the body is missing")
            elif place in ("path", "query"):
                given = (path if place == "path" else query).get(name)
                schema = {key: parameter[key] for key in _KEPT if key in parameter and key != "format"}
                if given is None:
                    wrong += [f"{name} is missing"] if parameter.get("required") else []
                elif parameter.get("type", "string") == "string":
                    wrong += [f"{name}: {e.message}" for e in Draft202012Validator(schema).iter_errors(given)]
        known = {parameter["name"] for parameter, _ in operation.parameters if parameter["in"] == "query"}
        return wrong + [f"there is no query parameter {name}" for name in sorted(set(query) - known)]

    def wrong_with_answer(self, operation: Operation, status: int, body: Any) -> list[str]:
        """What of an answer breaks the specification; empty when nothing does."""
        responses = operation.node["responses"]
        response = responses.get(str(status)) or (responses.get("default") if status >= 400 else None)
        if response is None:
            # DiskRP's files name no error at all, though every answer of ARM may be one.
            return [] if status >= 400 else [f"{operation.name} does not answer {status}"]
        if "schema" not in response:
            return ["there should be no body"] if body is not None and status < 400 else []
        if body is None:
            return ["the body is missing"]
        return self._wrong("answer", operation, str(status), (response["schema"], operation.file), body)

    def _wrong(self, kind: str, operation: Operation, part: str, place: Place, body: Any) -> list[str]:
        key = (kind, operation.name, operation.version, part)
        if key not in self._validators:
            closed = self._requests if kind == "request" else self._answers
            schema = closed.of(*place)
            self._validators[key] = Draft202012Validator({**schema, "$defs": closed.definitions})
        return [f"{e.json_path}: {e.message[:300]}" for e in self._validators[key].iter_errors(body)]

    def wanted(self, operation: Operation, body: Any) -> Any:
        """A request's body without what only the cloud sets, which Azure ignores when it is sent."""
        [place] = [(p["schema"], file) for p, file in operation.parameters if p["in"] == "body"]
        return _without_read_only(body, place)


def _without_read_only(value: Any, place: Place) -> Any:
    node, file = resolve(*place)
    if isinstance(value, list):
        return [_without_read_only(each, (node.get("items", {}), file)) for each in value]
    if not isinstance(value, dict):
        return value
    found, _, _ = members(node, file)
    return {
        name: _without_read_only(each, found[name]) if name in found else each
        for name, each in value.items()
        if not (name in found and read_only(found[name]))
    }
