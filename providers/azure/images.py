"""Images of one's own in Azure Compute Gallery: one gallery an image, as a gallery is what Azure shares.

An image is a gallery with one definition and one version, which is made of the machine's system disk. The
machine itself is not generalised at Azure and may be started again; whoever prepares it for capture
(``cloud-init clean``, ``waagent -deprovision``) does so in the machine. Each of the three is made, and
deleted, by a call of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from pitrix.errors import Conflict, ResourceNotFound
from providers.azure import mapping, naming
from providers.azure.client import Json
from providers.azure.cloud import Cloud
from providers.azure.naming import COMMON_GROUP
from providers.base import Images, check_key
from providers.resources import Image, ImageStatus, MachineStatus

KIND = "Microsoft.Compute/galleries/images/versions"
_DEFINITION, _VERSION = "image", "1.0.0"
_STATUS = {"expand": "ReplicationStatus"}


class AzureImages(Cloud, Images):
    """Accounts to share with are subscriptions; copies are replicas of the same version, with the same id."""

    def capture_image(
        self, machine_id: str, *, name: str, tags: Mapping[str, str], idempotency_key: str
    ) -> Image:
        """A call makes the gallery, the next the definition, the one after that the version."""
        gallery = naming.resource_name(check_key(idempotency_key)).replace("-", "_")
        told = self._cloud.find(
            self._galleries_api.gallery_image_versions.get, *self._version_path(gallery), **_STATUS
        )
        if told is not None:
            return mapping.image(told, self._cloud.zone)
        disk = self._system_disk(machine_id)
        common = {
            "location": self._cloud.zone,
            "tags": {**tags, naming.TAG_KEY: idempotency_key, naming.TAG_NAME: name},
        }
        pending = Image(
            image_id=self._image_id(gallery), name=name, status=ImageStatus.PENDING, tags=dict(tags)
        )
        try:
            self._make_next(gallery, common, disk)
        except Conflict:  # what it is made in is not ready yet
            return pending
        return pending

    def get_image(self, image_id: str) -> Image:
        """Pending as long as there is a gallery without a version: half made, or half deleted."""
        found = naming.split(image_id, KIND)
        if not mapping.same(found.subscription, self._cloud.subscription_id):
            return self._shared_image(image_id)
        told = self._cloud.find(
            self._galleries_api.gallery_image_versions.get, found.group, *found.names, **_STATUS
        )
        if told is None:
            gallery = self._cloud.ask(self._galleries_api.galleries.get, found.group, found.names[0])
            return self._image_pending(gallery)
        if not self._image_is_here(told):
            raise ResourceNotFound(f"The image is not in {self._cloud.zone}; copy it there first.")
        return mapping.image(told, self._cloud.zone)

    def list_images(self, tags: Mapping[str, str]) -> list[Image]:
        """One request, and one an image."""
        listed = []
        for gallery in self._in(COMMON_GROUP, self._galleries_api.galleries.list_by_resource_group):
            if mapping.carries(gallery, tags):
                get = self._galleries_api.gallery_image_versions.get
                told = self._cloud.find(get, *self._version_path(gallery["name"]), **_STATUS)
                if told is not None and self._image_is_here(told):
                    listed.append(mapping.image(told, self._cloud.zone))
                elif told is None and self._here(gallery):
                    listed.append(self._image_pending(gallery))
        return listed

    def share_image(self, image_id: str, *, accounts: tuple[str, ...]) -> Image:
        """Wants the subscription's feature *direct sharing* of galleries; accounts are subscriptions' ids."""
        image = self.get_image(image_id)
        found = self._cloud.own(image_id, KIND)
        ids = [_subscription(each) for each in accounts]
        gallery = self._cloud.ask(self._galleries_api.galleries.get, found.group, found.names[0])
        profile = gallery["properties"].get("sharingProfile") or {}
        if profile.get("permissions") != "Groups":
            change = {"properties": {"sharingProfile": {"permissions": "Groups"}}}
            self._cloud.send(self._galleries_api.galleries.begin_update, found.group, found.names[0], change)
        group = {"type": "Subscriptions", "ids": ids}
        update = {"operationType": "Add", "groups": [group]}
        begin = self._galleries_api.gallery_sharing_profile.begin_update
        self._cloud.send(begin, found.group, found.names[0], update)
        return image

    def copy_image(self, image_id: str, *, zone: str, idempotency_key: str) -> Image:
        """A replica of the version in another location."""
        check_key(idempotency_key)
        if mapping.location(zone) not in [each.zone for each in self._locations()]:
            raise ResourceNotFound(f"The subscription has no location {zone!r}.")
        found = self._cloud.own(image_id, KIND)
        get = self._galleries_api.gallery_image_versions.get
        told = self._cloud.ask(get, found.group, *found.names, **_STATUS)
        regions = mapping.regions_of(told)
        if any(mapping.location(each["name"]) == mapping.location(zone) for each in regions):
            return mapping.image(told, zone)
        wanted = {
            "location": told["location"],
            "tags": dict(told["tags"]),
            "properties": {
                "storageProfile": told["properties"]["storageProfile"],
                "publishingProfile": {"targetRegions": [*regions, {"name": zone, "regionalReplicaCount": 1}]},
            },
        }
        begin = self._galleries_api.gallery_image_versions.begin_create_or_update
        made = self._cloud.send(begin, found.group, *found.names, wanted)
        return replace(mapping.image(made, zone), status=ImageStatus.PENDING)

    def delete_image(self, image_id: str) -> None:
        """A call deletes the version, the next the definition, the one after that the gallery."""
        try:
            found = self._cloud.own(image_id, KIND)
        except ResourceNotFound:
            return
        api, gallery, definition = self._galleries_api, found.names[:1], found.names[:2]
        for get, delete, names in (
            (api.gallery_image_versions.get, api.gallery_image_versions.begin_delete, found.names),
            (api.gallery_images.get, api.gallery_images.begin_delete, definition),
            (api.galleries.get, api.galleries.begin_delete, gallery),
        ):
            told = self._cloud.find(get, found.group, *names)
            if told is not None:
                if mapping.state(told) != "Deleting":
                    self._cloud.find(self._begin(delete), found.group, *names)
                return

    # --- inside ----------------------------------------------------------------------------------------

    @property
    def _galleries_api(self) -> Any:
        return self._cloud.galleries

    def _begin(self, delete: Any) -> Any:
        return lambda *args: self._cloud.send(delete, *args)

    def _version_path(self, gallery: str) -> tuple[str, str, str, str]:
        return COMMON_GROUP, gallery, _DEFINITION, _VERSION

    def _image_id(self, gallery: str) -> str:
        here = f"/subscriptions/{self._cloud.subscription_id}/resourceGroups/{COMMON_GROUP}"
        return (
            f"{here}/providers/Microsoft.Compute/galleries/{gallery}/images/{_DEFINITION}/versions/{_VERSION}"
        )

    def _image_pending(self, gallery: Json) -> Image:
        return Image(
            image_id=self._image_id(gallery["name"]),
            name=mapping.named(gallery),
            status=ImageStatus.PENDING,
            tags=mapping.tags(gallery),
        )

    def _image_is_here(self, told: Json) -> bool:
        regions = [mapping.location(each["name"]) for each in mapping.regions_of(told)]
        return mapping.location(self._cloud.zone) in regions

    def _system_disk(self, machine_id: str) -> str:
        """The id of the disk that a stopped machine boots from."""
        found = self._cloud.own(machine_id, "Microsoft.Compute/virtualMachines")
        get = self._cloud.compute.virtual_machines.get
        told = self._cloud.ask(get, found.group, *found.names, expand="instanceView")
        if mapping.machine_status(told) is not MachineStatus.STOPPED:
            raise Conflict("Only a stopped machine is captured; stop it first.")
        return str(told["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"])

    def _make_next(self, gallery: str, common: Json, disk: str) -> None:
        """Make the first of the three that is not there."""
        api = self._galleries_api
        if (there := self._cloud.find(api.galleries.get, COMMON_GROUP, gallery)) is None:
            self._cloud.create(
                api.galleries.begin_create_or_update, COMMON_GROUP, gallery, {**common, "properties": {}}
            )
            return
        if mapping.state(there) != "Succeeded":
            return
        there = self._cloud.find(api.gallery_images.get, COMMON_GROUP, gallery, _DEFINITION)
        if there is None:
            identifier = {"publisher": "pitrix", "offer": gallery, "sku": _DEFINITION}
            properties: dict[str, Any] = {
                "osType": "Linux",
                "osState": "Generalized",
                "hyperVGeneration": "V2",
                "architecture": "x64",
                "identifier": identifier,
            }
            begin = api.gallery_images.begin_create_or_update
            self._cloud.send(begin, COMMON_GROUP, gallery, _DEFINITION, {**common, "properties": properties})
            return
        if mapping.state(there) != "Succeeded":
            return
        properties = {"storageProfile": {"osDiskImage": {"source": {"id": disk}}}}
        begin = api.gallery_image_versions.begin_create_or_update
        self._cloud.send(begin, *self._version_path(gallery), {**common, "properties": properties})

    def _shared_image(self, image_id: str) -> Image:
        """An image of another subscription that shares it with ours."""
        get = self._galleries_api.shared_gallery_image_versions.get
        told = self._cloud.ask(get, self._cloud.zone, *mapping.shared_name(image_id))
        return Image(image_id=image_id, name=str(told.get("name", "")))


def _subscription(account: str) -> str:
    try:
        return str(UUID(account))
    except ValueError as error:
        raise ResourceNotFound(f"{account!r} is no subscription; its id is a GUID.") from error
