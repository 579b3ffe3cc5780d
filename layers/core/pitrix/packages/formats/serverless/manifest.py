"""The manifest of a serverless package as objects: functions, triggers, resources, permissions.

Owns the names of the package's files, the defaults of what a manifest leaves out, and references
(``${env.KEY}``, ``${resource.NAME}``).  Never judges: ``schemas/serverless.json`` says what may stand where,
`serverless.lint` what is wrong.  Everything here expects a manifest that passed its schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pitrix.packages.formats.shared import METADATA as METADATA
from pitrix.packages.text import jsontext

CONFIG = "config.json"
AWS, AZURE, KNATIVE = "aws-lambda", "azure-functions", "knative"
#: Kinds of runtimes (`pitrix.runtimes`) that can run each target.
RUNTIMES = {AWS: "AWS", AZURE: "Azure", KNATIVE: "Kubernetes with Knative"}

REFERENCE = re.compile(r"\$\{(env|resource)\.([^${}]{1,200})\}")
_TYPE = re.compile(rb'"type"\s*:\s*"serverless"')


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function; ``env`` is ``None`` where it is told every answer.

    Attributes:
        code: Folder below the package's root with a ``/`` behind it; empty for the root.
        concurrency: 0 for no bound of its own.
    """

    name: str
    runtime: str
    description: str = ""
    handler: str = ""
    code: str = ""
    image: str = ""
    memory_mib: int = 256
    timeout_s: int = 29
    concurrency: int = 0
    env: list[str] | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def language(self) -> str:
        """``python`` or ``nodejs``: the runtime without its version."""
        return self.runtime.rstrip("x.0123456789")

    @property
    def language_version(self) -> str:
        """``3.13``, ``24``: the version as the language writes it."""
        return self.runtime[len(self.language) :].removesuffix(".x")


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What calls a function; ``index`` is its place in the manifest."""

    index: int
    type: str
    function: str
    raw: Mapping[str, Any]

    @property
    def methods(self) -> list[str]:
        return list(self.raw.get("methods", ["GET"]))

    @property
    def public(self) -> bool:
        return bool(self.raw.get("access", "private") == "public")

    @property
    def asynchronous(self) -> bool:
        """Nobody waits for the answer: what fails has to be kept somewhere."""
        return self.type in ("schedule", "object_created", "event")

    def text(self, key: str, default: str = "") -> str:
        return str(self.raw.get(key, default))


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What functions may do; ``iam`` is a native statement in place of the other two."""

    index: int
    action: str = ""
    kind: str = ""
    name: str = ""
    keys: str = ""
    functions: list[str] | None = None
    iam: Mapping[str, Any] | None = None

    def concerns(self, function: str) -> bool:
        return self.functions is None or function in self.functions


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A serverless package's ``package.json``, read."""

    targets: list[str]
    template: str = ""
    functions: list[Function] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    resources: dict[str, str] = field(default_factory=dict)
    permissions: list[Permission] = field(default_factory=list)

    def triggers_of(self, function: str) -> list[Trigger]:
        return [each for each in self.triggers if each.function == function]


def is_serverless(files: Mapping[str, bytes]) -> bool:
    """Whether ``package.json`` says that this is a serverless package, even if it is broken elsewhere."""
    data = files.get(METADATA, b"")
    if not _TYPE.search(data):
        return False
    try:
        value = jsontext.read(METADATA, data).value
    except jsontext.JsonRefused:
        return True
    return isinstance(value, dict) and value.get("type") == "serverless"


def read(raw: Mapping[str, Any]) -> Manifest:
    """The manifest of a decoded and schema-checked ``package.json``."""
    return Manifest(
        targets=list(raw.get("targets") or [raw["target"]]),
        template=raw.get("template", ""),
        functions=[_function(each) for each in raw.get("functions", [])],
        triggers=[
            Trigger(index=index, type=each["type"], function=each["function"], raw=each)
            for index, each in enumerate(raw.get("triggers", []))
        ],
        resources={name: each["type"] for name, each in raw.get("resources", {}).items()},
        permissions=[_permission(index, each) for index, each in enumerate(raw.get("permissions", []))],
    )


def _function(raw: Mapping[str, Any]) -> Function:
    known = {
        key: raw[key]
        for key in ("name", "description", "handler", "image", "memory_mib", "timeout_s", "concurrency",
                    "env", "variables")
        if key in raw
    }  # fmt: skip
    # nodejs24.x is how Lambda writes what everybody else calls Node.js 24.
    code = folder(str(raw.get("code", "")))
    return Function(runtime=str(raw["runtime"]).removesuffix(".x"), code=code, **known)


def _permission(index: int, raw: Mapping[str, Any]) -> Permission:
    kind, _, rest = str(raw.get("resource", "")).partition(":")
    # The slash of a key follows the name, which is a reference or has none.
    name, _, keys = rest.partition("/")
    return Permission(
        index=index,
        action=raw.get("action", ""),
        kind=kind,
        name=name,
        keys=keys,
        functions=raw.get("functions"),
        iam=raw.get("iam"),
    )


def folder(path: str) -> str:
    """A folder as the lead of paths below it: ``src/``, or nothing for the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "".join(f"{part}/" for part in parts)


def references(text: str) -> Iterator[tuple[str, str]]:
    """(``env`` or ``resource``, name) of each reference of a text."""
    for found in REFERENCE.finditer(text):
        yield found[1], found[2]


def resolve(text: str, value: Callable[[str, str], str]) -> str:
    """A text whose references are replaced by ``value(kind, name)``."""
    return REFERENCE.sub(lambda found: value(found[1], found[2]), text)
