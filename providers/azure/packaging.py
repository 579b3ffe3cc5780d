"""A serverless application as Azure's Consumption plan takes it: an archive, and what the app is set to.

Owns reading what ``pitrix.packages`` renders for Azure, and refusing what the plan would not run. Calls
nothing. Libraries beyond Azure's own are in the package (``.python_packages``): nothing is installed.

Sources: *Azure Functions*: "Consumption plan hosting" (the last versions of languages on Linux),
"Scale and hosting" (ten minutes, 1.5 GiB), "host.json reference", "HTTP trigger" (routes).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pitrix.errors import InvalidInput
from providers import archives
from providers.resources import FunctionSpec

HOST, SETTINGS, APP = "host.json", "app-settings.json", "function-app.json"
LAST_VERSIONS = {"python": (3, 12), "node": (22,)}
"""Consumption on Linux got no newer ones: they want another plan, for which there is no driver yet."""
LONGEST_S = 600
LARGEST_MIB = 2048
"""The size of an instance that a package is rendered for. Consumption's instances have 1.5 GiB."""

_TIMEOUT = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})")
_PLACE = re.compile(r"\{([^}:?=]+)[^}]*\}")
_OURS = ("AzureWebJobsStorage", "WEBSITE_RUN_FROM_PACKAGE")

Json = dict[str, Any]


@dataclass(frozen=True)
class Package:
    """What is stored of a version: the archive that the app runs from, and what the app is set to with it.

    ``manifest`` has ``runtime`` (``PYTHON|3.12``), ``settings`` by name, ``instances`` (at most so many, 0
    for Azure's own limit), ``functions``: by name the ``route`` and ``methods`` of those that HTTP calls and
    null for the others, and ``resources``: the ``type`` and ``name`` of what lies in the storage account.
    """

    archive: bytes = field(repr=False)
    manifest: Json = field(repr=False)


def packaged(spec: FunctionSpec) -> Package:
    """An application ready to be stored.

    Raises:
        InvalidInput: The manifests or the archive are none, or Consumption would not run them.
    """
    app, host = _read(spec, APP, dict), _read(spec, HOST, dict)
    settings = _read(spec, SETTINGS, list)
    files = archives.under(archives.files_of(spec.code), str(app.get("code", ".")))
    _may_run(app, host)
    try:
        scale = app.get("scaleAndConcurrency") or {}
        manifest: Json = {
            "runtime": _runtime(app["runtime"]),
            "settings": {str(each["name"]): str(each["value"]) for each in settings},
            "instances": int(scale.get("maximumInstanceCount") or 0),
            "functions": {each["name"]: _door(each, host) for each in app["functions"]},
            "resources": app.get("resources") or [],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{APP} or {SETTINGS} is not of the form that Pitrix renders: {error}.") from error
    if taken := sorted(set(manifest["settings"]) & set(_OURS)):
        raise InvalidInput(f"The setting {taken[0]} is the driver's own; the package cannot give it.")
    return Package(archives.packed({**files, HOST: spec.manifests[HOST].encode()}), manifest)


def request(door: Mapping[str, Any], payload: bytes) -> tuple[str, str, dict[str, str]]:
    """How a function is called over HTTP with a payload: method, path, and query.

    Places in a route (``/hello/{name}``) are filled by the payload's members of those names. A function that
    takes no body (GET) gets the payload's other members as its query.

    Raises:
        InvalidInput: The payload lacks a member, or is no JSON object where one is wanted.
    """
    from urllib.parse import quote

    method = _method(door["methods"])
    places = _PLACE.findall(door["route"])
    if not places and method in ("POST", "PUT", "PATCH"):
        return method, door["route"], {}
    try:
        told = json.loads(payload or b"{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise InvalidInput(
            "This function is called with a JSON object: its route and query are filled by it."
        )

    def fill(match: re.Match[str]) -> str:
        optional = "?" in match[0]
        if match[1] not in told and not optional:
            raise InvalidInput(f"The route {door['route']} wants {match[1]!r}, which the payload lacks.")
        return quote(str(told.get(match[1], "")), safe="")

    path = _PLACE.sub(fill, door["route"])
    if method in ("POST", "PUT", "PATCH"):
        return method, path, {}
    return method, path, {name: _text(each) for name, each in told.items() if name not in places}


# --- inside ------------------------------------------------------------------------------------------------


def _read(spec: FunctionSpec, path: str, kind: type) -> Any:
    if path not in spec.manifests:
        raise InvalidInput(f"An application of Azure has {HOST}, {SETTINGS} and {APP}; there is no {path}.")
    try:
        found = json.loads(spec.manifests[path])
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON: {error}.") from error
    if not isinstance(found, kind):
        raise InvalidInput(f"{path} is no JSON {'object' if kind is dict else 'array'}.")
    return found


def _runtime(runtime: Mapping[str, str]) -> str:
    name, version = runtime["name"], runtime["version"]
    last = LAST_VERSIONS.get(name)
    if last is None or tuple(int(part) for part in version.split(".")) > last:
        known = ", ".join(f"{each} {'.'.join(map(str, upto))}" for each, upto in LAST_VERSIONS.items())
        raise InvalidInput(
            f"Azure's Consumption plan on Linux has no {name} {version}; the newest that it has are {known}."
        )
    return f"{name.upper()}|{version}"


def _may_run(app: Json, host: Json) -> None:
    """Refuse what Consumption, or an application without more rights than Contributor, cannot do."""
    size = (app.get("scaleAndConcurrency") or {}).get("instanceMemoryMB") or 0
    if size > LARGEST_MIB:
        raise InvalidInput("A function on Azure's Consumption plan has at most 1.5 GiB of memory.")
    limit = host.get("functionTimeout")
    match = _TIMEOUT.fullmatch(str(limit))
    if limit is not None and (match is None or _seconds(match) > LONGEST_S):
        raise InvalidInput(f"A function on Azure's Consumption plan runs 10 minutes at most, not {limit}.")
    own = {f"{each.get('type')}:{each.get('name')}" for each in app.get("resources") or []}
    for each in app.get("roleAssignments") or []:  # its own resources it reaches with AzureWebJobsStorage
        if each.get("scope") not in own:
            raise InvalidInput(
                f"The application wants the role {each.get('role')} on {each.get('scope')}. Azure lets only "
                "owners give roles: give it by hand, and take the permission out of the package."
            )
    for each in app.get("functions") or []:
        if any(binding.get("type") == "eventGridTrigger" for binding in each.get("bindings") or []):
            raise InvalidInput(f"{each.get('name')} waits for events of Event Grid, which are not offered.")


def _seconds(match: re.Match[str]) -> int:
    hours, minutes, seconds = (int(part) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _door(function: Json, host: Json) -> Json | None:
    """Where HTTP reaches a function; None where it does not."""
    for binding in function["bindings"]:
        if binding["type"] == "httpTrigger":
            prefix = ((host.get("extensions") or {}).get("http") or {}).get("routePrefix", "api")
            route = binding.get("route") or function["name"]
            methods = [each.upper() for each in binding.get("methods") or []]
            return {"route": "/".join(filter(None, (prefix, route))), "methods": methods}
    return None


def _method(methods: list[str]) -> str:
    """POST where the function takes it, as it carries the payload as it is."""
    return "POST" if not methods or "POST" in methods else methods[0]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
