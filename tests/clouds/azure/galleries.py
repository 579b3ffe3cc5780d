"""Compute galleries of the fake Azure: images, their versions, and who else may use them."""

from __future__ import annotations

import re
from typing import Any

from tests.clouds.azure import catalogue
from tests.clouds.azure.world import ArmError, Held, Json, Kind, World, location_of, now, references, within

GALLERIES = "Microsoft.Compute/galleries"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.]{0,78}[A-Za-z0-9])?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Nested(Kind):
    """A gallery or an image definition; it stays while something is in it."""

    def may_delete(self, world: World, held: Held) -> None:
        if inside := list(world.under(held.id)):
            message = f"Cannot delete resource while nested resources exist: {inside[0].id}."
            raise ArmError(409, "CannotDeleteResource", message)


class Gallery(Nested):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if not _NAME.fullmatch(held.name):
            raise ArmError(400, "InvalidParameter", f"'{held.name}' is no name of a gallery.")
        unique = f"{held.id.split('/')[2]}-{held.name.upper()}"
        wanted.setdefault("properties", {}).setdefault("identifier", {})["uniqueName"] = unique

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        if groups := held.hidden.get("groups"):
            profile = body["properties"].setdefault("sharingProfile", {})
            profile["groups"] = [{"type": "Subscriptions", "ids": sorted(groups)}]

    def act(self, world: World, held: Held, action: str, body: Json) -> tuple[int, Any]:
        if action != "share":
            return super().act(world, held, action, body)
        if held.properties.get("sharingProfile", {}).get("permissions") != "Groups":
            raise ArmError(409, "OperationNotAllowed", f"The gallery {held.name} is private.")
        for group in body.get("groups", []):
            held.hidden.setdefault("groups", set()).update(each.lower() for each in group.get("ids", []))
        return 200, body


class Definition(Nested):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if not new and wanted["properties"]["osState"] != held.properties["osState"]:
            raise ArmError(409, "PropertyChangeNotAllowed", "osState does not change.")


class Version(Kind):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if not _VERSION.fullmatch(held.name):
            raise ArmError(400, "InvalidParameter", f"{held.name} is not of the form 1.2.3.")
        if not list(references(wanted["properties"]["storageProfile"])):
            raise ArmError(400, "InvalidParameter", "The image version has no source.")
        profile = wanted["properties"].setdefault("publishingProfile", {})
        home = {"name": wanted["location"], "regionalReplicaCount": 1}
        regions = profile.setdefault("targetRegions", [home])
        names = [location_of(region["name"]) for region in regions]
        if location_of(wanted["location"]) not in names:
            raise ArmError(400, "InvalidParameter", "The source region is one of targetRegions.")
        for name in names:
            if name not in catalogue.LOCATIONS:
                raise ArmError(400, "LocationNotAvailableForResourceType", f"There is no location {name}.")
        held.hidden.setdefault("ready", set())
        held.hidden["regions"] = set(names)
        held.hidden.setdefault("published", now())

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        properties = body["properties"]
        profile = dict(held.properties["publishingProfile"])
        properties["publishingProfile"] = profile | {"publishedDate": held.hidden["published"]}
        if "replicationstatus" in expand.lower():
            ready = _replicated(held)
            properties["replicationStatus"] = {
                "aggregatedState": "Completed" if ready == held.hidden["regions"] else "InProgress",
                "summary": [
                    {
                        "region": catalogue.LOCATIONS[region],
                        "state": "Completed" if region in ready else "Replicating",
                        "progress": 100 if region in ready else 10,
                    }
                    for region in sorted(held.hidden["regions"])
                ],
            }


def _replicated(version: Held) -> set[str]:
    """The locations in which a version can be booted from."""
    if not version.doing:
        version.hidden["ready"] = set(version.hidden["regions"])
    ready: set[str] = version.hidden["ready"]
    return ready


def shared(world: World, path: dict[str, str]) -> Json:
    """What another subscription sees of a shared image version."""
    location, subscription = location_of(path["location"]), path["subscriptionId"].lower()
    for held in world.held.values():
        if not isinstance(held.kind, Gallery) or subscription not in held.hidden.get("groups", ()):
            continue
        if held.properties["identifier"]["uniqueName"].lower() != path["galleryUniqueName"].lower():
            continue
        name = f"images/{path['galleryImageName']}/versions/{path['galleryImageVersionName']}"
        version = world.find(f"{held.id}/{name}")
        if version is not None and location in _replicated(version):
            unique = held.properties["identifier"]["uniqueName"]
            return {
                "name": version.name,
                "location": location,
                "identifier": {"uniqueId": f"/SharedGalleries/{unique}/{name}"},
                "properties": {"publishedDate": version.hidden["published"]},
            }
    raise ArmError(404, "NotFound", "The shared gallery image version was not found.")


def bootable(world: World, machine: Held, reference: Json, wanted: Json) -> None:
    """Refuse a machine whose image is none, or is not in its location."""
    location = location_of(wanted["location"])
    if "id" in reference:
        version = world.find(reference["id"])
        if version is None or location not in _replicated(version):
            code = "GalleryImageNotFound"
            raise ArmError(404, code, f"The gallery image {reference['id']} is not available in {location}.")
        if not within(version.id, f"/subscriptions/{machine.id.split('/')[2]}"):
            raise ArmError(403, "LinkedAuthorizationFailed", f"No permission on {version.id}.")
    elif "sharedGalleryImageId" in reference:
        parts = reference["sharedGalleryImageId"].split("/")
        if len(parts) != 7:
            raise ArmError(400, "InvalidParameter", "sharedGalleryImageId is none.")
        names = ("galleryUniqueName", "galleryImageName", "galleryImageVersionName")
        path = dict(zip(names, parts[2::2], strict=True))
        shared(world, path | {"location": location, "subscriptionId": machine.id.split("/")[2]})
    else:
        names = tuple(reference.get(each, "").lower() for each in ("publisher", "offer", "sku"))
        if names not in catalogue.IMAGES or not reference.get("version"):
            code = "PlatformImageNotFound"
            raise ArmError(404, code, f"The platform image {':'.join(names)} is not available.")


KINDS: dict[str, Kind] = {
    GALLERIES: Gallery(),
    f"{GALLERIES}/images": Definition(),
    f"{GALLERIES}/images/versions": Version(),
}
