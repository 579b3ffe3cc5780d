"""Images of one's own: captured by nova, kept by glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.base import Images, check_key
from providers.openstack import mapping, once
from providers.openstack.client import Client, known
from providers.openstack.mapping import Json
from providers.resources import Connection, Image

_LOOKS = 40
"""As many as last longer than nova needs to note an image."""


class OpenStackImages(Images):
    """Images of a project; other projects are named by their id."""

    connection: Connection
    _cloud: Client

    def capture_image(
        self, machine_id: str, *, name: str, tags: Mapping[str, str], idempotency_key: str
    ) -> Image:
        key = check_key(idempotency_key)
        server = self._cloud.get("compute", f"/servers/{known(machine_id, 'machine')}")["server"]

        def make() -> Json:
            noted = {**mapping.metadata(key, tags), mapping.TAGS: ",".join(sorted(tags))}
            body = {"createImage": {"name": name, "metadata": noted}}
            made = self._cloud.call("compute", "POST", f"/servers/{machine_id}/action", body=body)
            return self._image(str(made["image_id"]))

        return mapping.image(
            once.once(
                self._cloud,
                "image",
                key,
                find=lambda: self._images({mapping.KEY: key}),
                make=lambda: self._one_at_a_time(server, key, make),
                read=self._image,
                discard=self._delete_image,
            )
        )

    def get_image(self, image_id: str) -> Image:
        return mapping.image(self._image(known(image_id, "image")))

    def list_images(self, tags: Mapping[str, str]) -> list[Image]:
        found = [mapping.image(each) for each in self._images(tags)]
        return [each for each in found if tags.items() <= each.tags.items()]

    def share_image(self, image_id: str, *, accounts: tuple[str, ...]) -> Image:
        """Whoever it is shared with can boot from it by its id, and accepts it to see it in lists."""
        image = self._image(known(image_id, "image"))
        if image["visibility"] == "private":  # as nova makes them
            change = [{"op": "replace", "path": "/visibility", "value": "shared"}]
            self._cloud.call("image", "PATCH", f"/images/{image_id}", body=change)
        for each in accounts:
            with suppress(Conflict):  # shared already
                self._cloud.call("image", "POST", f"/images/{image_id}/members", body={"member": each})
        return self.get_image(image_id)

    def copy_image(self, image_id: str, *, zone: str, idempotency_key: str) -> Image:
        """Every zone of a region boots from the same images: it is its own copy."""
        check_key(idempotency_key)
        found = self.get_image(image_id)
        zones = self._cloud.get("compute", "/os-availability-zone")["availabilityZoneInfo"]
        if zone not in [each["zoneName"] for each in zones]:
            raise ResourceNotFound(f"There is no zone {zone!r}.")
        return found

    def delete_image(self, image_id: str) -> None:
        try:
            self._delete_image(known(image_id, "image"))
        except ResourceNotFound:
            return
        once.forget(self._cloud, image_id)

    # --- calls -------------------------------------------------------------------------------------------

    def _one_at_a_time(self, server: Json, key: str, make: Callable[[], Json]) -> Json:
        """Let one call at a time capture: nova refuses the second, but leaves an image without content.

        The others look for what it makes; where it makes nothing it has died, and they go on without it.
        """
        if server["status"] != "SHUTOFF":
            raise Conflict("A machine is stopped before an image is made of it.")
        with once.alone(self._cloud, "capturing", key, server["id"]) as alone:
            for _ in range(1 if alone else _LOOKS):
                if found := self._images({mapping.KEY: key}):
                    return min(found, key=lambda each: str(each["id"]))
            return make()

    def _images(self, noted: Mapping[str, str]) -> list[Any]:
        query = {"owner": self._cloud.project_id, **noted}
        found = self._cloud.pages("image", "/images", "images", query)
        return [each for each in found if mapping.TAGS in each]

    def _image(self, image_id: str) -> Json:
        found: Json = self._cloud.get("image", f"/images/{image_id}")
        return found

    def _delete_image(self, image_id: str) -> None:
        self._cloud.call("image", "DELETE", f"/images/{image_id}")
