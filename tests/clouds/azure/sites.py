"""App Service plans and function apps of the fake Azure; the apps run in Microsoft's worker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.clouds.azure.storage import taken
from tests.clouds.azure.world import ArmError, Held, Json, Kind, World
from tests.clouds.azure_functions.front import App

PLANS, SITES = "Microsoft.Web/serverfarms", "Microsoft.Web/sites"
LAST_VERSIONS = {"PYTHON": (3, 12), "NODE": (22,)}
"""Of Consumption on Linux. Source: *Azure Functions Consumption plan hosting*, Microsoft Learn."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,58}[A-Za-z0-9])")
_NEEDED = ("AzureWebJobsStorage", "FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_RUNTIME")


class Plan(Kind):
    slow_to_make = slow_to_delete = False

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if wanted.get("sku", {}).get("name") != "Y1":
            raise ArmError(501, "NotModelled", "Only Consumption plans are modelled here.")

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        body["properties"]["numberOfSites"] = len(_apps_of(world, held))

    def may_delete(self, world: World, held: Held) -> None:
        if apps := _apps_of(world, held):
            message = (
                f"Server farm '{held.name}' cannot be deleted because it has web app(s) {apps} assigned."
            )
            raise ArmError(409, "Conflict", message)


class Site(Kind):
    """``held.hidden["app"]`` is what answers."""

    slow_to_make = slow_to_delete = False

    def __init__(self, tls: tuple[Path, Path]) -> None:
        self._tls = tls

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if not _NAME.fullmatch(held.name):
            raise ArmError(400, "BadRequest", f"{held.name} is no name of an app.")
        taken(world, held, "Conflict", f"Website with given name {held.name} already exists.")
        properties = wanted["properties"]
        plan = world.find(properties.get("serverFarmId", ""))
        if plan is None:
            raise ArmError(404, "NotFound", f"Cannot find serverFarm {properties.get('serverFarmId')}.")
        if not (wanted.get("kind") == "functionapp,linux" and properties.get("reserved")):
            raise ArmError(501, "NotModelled", "Only function apps on Linux are modelled here.")
        config = properties.get("siteConfig", {})
        settings = {each["name"]: each["value"] for each in config.get("appSettings", [])}
        if lacking := [name for name in _NEEDED if name not in settings]:
            raise ArmError(400, "BadRequest", f"The app setting {lacking[0]} is missing.")
        _check_runtime(config.get("linuxFxVersion", ""))
        if "app" not in held.hidden:
            held.hidden["app"] = App(self._tls)
        held.hidden["app"].set(settings)

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        properties, app = body["properties"], held.hidden["app"]
        del properties["provisioningState"]
        properties.get("siteConfig", {}).pop("appSettings", None)  # told by an operation of their own
        names = [app.host_name]
        properties |= {"state": "Running", "enabled": True, "availabilityState": "Normal"}
        properties |= {"hostNames": names, "enabledHostNames": names, "defaultHostName": app.host_name}

    def may_delete(self, world: World, held: Held) -> None:
        held.hidden["app"].close()

    def gone(self, world: World, held: Held) -> None:
        held.hidden["app"].close()

    def act(self, world: World, held: Held, action: str, body: Json) -> tuple[int, Any]:
        if action != "syncfunctiontriggers":
            return super().act(world, held, action, body)
        try:
            held.hidden["app"].fetch()
        except OSError as error:
            message = f"Encountered an error (ServiceUnavailable) from host runtime: {error}"
            raise ArmError(400, "BadRequest", message) from error
        return 204, None


def host_keys(held: Held) -> Json:
    """The keys that open all functions of an app."""
    key = held.hidden["app"].key
    return {"masterKey": f"master-{key}", "functionKeys": {"default": key}, "systemKeys": {}}


def close(world: World) -> None:
    """End what still runs."""
    for held in world.held.values():
        if isinstance(held.kind, Site):
            held.hidden["app"].close()


def _check_runtime(stack: str) -> None:
    language, _, version = stack.partition("|")
    last = LAST_VERSIONS.get(language.upper())
    if last is None or not version or tuple(int(part) for part in version.split(".")) > last:
        message = f"The parameter LinuxFxVersion has an invalid value: {stack!r}."
        raise ArmError(400, "BadRequest", message)


def _apps_of(world: World, plan: Held) -> list[str]:
    return [
        held.name
        for held in world.held.values()
        if isinstance(held.kind, Site) and held.properties["serverFarmId"].lower() == plan.id.lower()
    ]
