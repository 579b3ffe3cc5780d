"""Images: captured from stopped instances and shared with other users of QingCloud by their user id.

QingCloud's API has no call that copies an image to another zone; it is captured there again.
"""

from __future__ import annotations

from collections.abc import Mapping

from pitrix.errors import CapabilityMissing, Conflict
from providers.base import Images
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.errors import unless_busy
from providers.qingcloud.kinds import IMAGE, INSTANCE
from providers.resources import Image, MachineStatus


class QingCloudImages(Images):
    """Every promise is the base class's; what differs is said at the method."""

    _cloud: Client

    def capture_image(
        self, machine_id: str, *, name: str, tags: Mapping[str, str], idempotency_key: str
    ) -> Image:
        def make(cloud_name: str) -> str:
            machine = mapping.machine(self._cloud.row(INSTANCE, machine_id))
            if machine.status is not MachineStatus.STOPPED:
                raise Conflict(
                    f"The machine {machine_id} is {machine.status}; stop it before it is captured."
                )
            answer = self._cloud.call("CaptureInstance", instance=machine_id, image_name=cloud_name)
            return str(answer["image_id"])

        row = create_once(self._cloud, IMAGE, key=idempotency_key, name=name, tags=tags, make=make)
        return mapping.image(row)

    def get_image(self, image_id: str) -> Image:
        return mapping.image(self._cloud.row(IMAGE, image_id))

    def list_images(self, tags: Mapping[str, str]) -> list[Image]:
        return [mapping.image(row) for row in tagged(self._cloud, IMAGE, tags, provider="self")]

    def share_image(self, image_id: str, *, accounts: tuple[str, ...]) -> Image:
        """``accounts`` are user ids (``usr-…``)."""
        row = self._cloud.row(IMAGE, image_id)
        users = self._cloud.everything("DescribeImageUsers", "image_user_set", image_id=image_id)
        have = {each["user"]["user_id"] for each in users}
        missing = [account for account in accounts if account not in have]
        if missing:
            self._cloud.call("GrantImageToUsers", image=image_id, users=missing)
        return mapping.image(row)

    def copy_image(self, image_id: str, *, zone: str, idempotency_key: str) -> Image:
        """Only to the zone that it is in already."""
        image = self.get_image(image_id)
        if zone == self._cloud.zone:
            return image
        raise CapabilityMissing(f"QingCloud does not copy images to another zone; make one in {zone!r:.40}.")

    def delete_image(self, image_id: str) -> None:
        row = self._cloud.row_or_none(IMAGE, image_id)
        if row is not None and row.get("transition_status") != "deleting":
            with unless_busy():
                self._cloud.call("DeleteImages", images=[image_id])
