"""AMIs: captured from stopped machines, shared with accounts, copied between regions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, CredentialInvalid, InvalidInput, ResourceNotFound
from providers.aws import errors, mapping
from providers.aws.client import region_of
from providers.aws.cloud import Cloud, one, with_id
from providers.base import Images, check_key
from providers.resources import Image

_ACCOUNT = re.compile(r"\d{12}")


class AwsImages(Cloud, Images):
    """An AMI's name is made of its key, and EC2 allows a name once in an account's region."""

    def capture_image(
        self, machine_id: str, *, name: str, tags: Mapping[str, str], idempotency_key: str
    ) -> Image:
        """Only of the disk that the machine boots from: its volumes are not part of its image."""
        key = check_key(idempotency_key)
        if found := self._own({mapping.TAG_KEY: key}):
            return mapping.image(found[0])
        instance = self._instance(machine_id)
        if instance["State"]["Name"] in mapping.DEAD:
            raise ResourceNotFound(f"The machine {machine_id} is gone.")
        if instance["State"]["Name"] != "stopped":
            raise Conflict(f"The machine {machine_id} is not stopped; stop it before its image is captured.")
        left_out = [{"DeviceName": each, "NoDevice": ""} for each in mapping.data_devices(instance)]
        try:
            made = self._cloud.call(
                "ec2",
                "CreateImage",
                InstanceId=machine_id,
                Name=mapping.derived(key),
                BlockDeviceMappings=left_out or None,
                TagSpecifications=mapping.tagging("image", name, tags, key),
            )
        except Conflict as error:  # another call captured it at the same moment
            found = self._own({mapping.TAG_KEY: key})
            if errors.code_of(error) != "InvalidAMIName.Duplicate" or not found:
                raise
            return mapping.image(found[0])
        return self.get_image(made["ImageId"])

    def get_image(self, image_id: str) -> Image:
        return mapping.image(self._image(image_id))

    def list_images(self, tags: Mapping[str, str]) -> list[Image]:
        return [mapping.image(each) for each in self._own(tags)]

    def share_image(self, image_id: str, *, accounts: tuple[str, ...]) -> Image:
        """An account is its number of twelve digits."""
        image = self._image(image_id)
        for account in accounts:
            if not _ACCOUNT.fullmatch(account):
                raise ResourceNotFound(f"There is no AWS account {account!r}; they have twelve digits.")
        permission = {"Add": [{"UserId": account} for account in accounts]}
        try:
            self._cloud.call("ec2", "ModifyImageAttribute", ImageId=image_id, LaunchPermission=permission)
        except InvalidInput as error:
            if errors.code_of(error) != "InvalidAMIAttributeItemValue":
                raise
            raise ResourceNotFound(f"There is no such AWS account: {', '.join(accounts)}.") from error
        return mapping.image(image)

    def copy_image(self, image_id: str, *, zone: str, idempotency_key: str) -> Image:
        """AMIs are a region's: in a zone of the same region the image is its own copy."""
        key, image = check_key(idempotency_key), self._image(image_id)
        try:
            region = region_of(zone)
        except CredentialInvalid as error:
            raise ResourceNotFound(f"There is no zone {zone!r}.") from error
        if region == self._cloud.region:
            return mapping.image(image)
        if found := self._own({mapping.TAG_KEY: key}, region=region):
            return mapping.image(found[0])
        name = mapping.name_of(image, image.get("Name", ""))
        tags = mapping.tags_of(image)
        made = self._cloud.call(
            "ec2",
            "CopyImage",
            region=region,
            Name=mapping.derived(key),
            SourceImageId=image_id,
            SourceRegion=self._cloud.region,
            ClientToken=mapping.derived(key, image_id),
            TagSpecifications=mapping.tagging("image", name, tags, key),
        )
        return mapping.image(self._image(made["ImageId"], region=region))

    def delete_image(self, image_id: str) -> None:
        """With the snapshots that it was made of."""
        try:
            self._image(image_id)
            self._cloud.call("ec2", "DeregisterImage", ImageId=image_id, DeleteAssociatedSnapshots=True)
        except ResourceNotFound:
            return

    def _image(self, image_id: str, *, region: str = "") -> Any:
        with_id("ami-", image_id, "image")
        found = self._cloud.call("ec2", "DescribeImages", region=region, ImageIds=[image_id])["Images"]
        return one([each for each in found if each.get("State") != "deregistered"], "image", image_id)

    def _own(self, tags: Mapping[str, str], *, region: str = "") -> list[Any]:
        filters = mapping.by_tags(tags)
        return list(
            self._cloud.pages(
                "ec2", "DescribeImages", "Images", region=region, Owners=["self"], Filters=filters
            )
        )
