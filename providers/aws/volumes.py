"""EBS volumes: block storage of one availability zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.aws import mapping
from providers.aws.cloud import Cloud, with_id
from providers.base import Volumes, check_key
from providers.resources import Volume, VolumeSpec

DEFAULT_CLASS = "gp3"

_REPLAYED = timedelta(seconds=5)
"""A volume that is older than the answer to its creation by more than this was made by an earlier call."""

_TOKENS = 4
"""How often in a row a key may be used again while AWS still remembers what it made before."""


class AwsVolumes(Cloud, Volumes):
    """A client token makes creating idempotent; a volume that is deleted frees its key, not its token."""

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        key = check_key(idempotency_key)
        if found := self._volumes({mapping.TAG_KEY: key}):
            return mapping.volume(found[0])
        if spec.snapshot_id:
            with_id("snap-", spec.snapshot_id, "snapshot")
        for attempt in range(_TOKENS):
            made = self._cloud.call(
                "ec2",
                "CreateVolume",
                AvailabilityZone=self._cloud.zone,
                Size=spec.size_gib,
                VolumeType=spec.volume_class or DEFAULT_CLASS,
                SnapshotId=spec.snapshot_id,
                Encrypted=True,
                ClientToken=mapping.derived(key, str(attempt)),
                TagSpecifications=mapping.tagging("volume", spec.name, spec.tags, key),
            )
            if not _replayed(made):
                return mapping.volume(made)
            try:
                return self.get_volume(made["VolumeId"])
            except ResourceNotFound:
                continue
        raise Conflict("This key made several volumes that are gone; AWS remembers them for a while yet.")

    def get_volume(self, volume_id: str) -> Volume:
        return mapping.volume(self._volume(volume_id))

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return [mapping.volume(each) for each in self._volumes(tags)]

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        """Attaches at once when the machine runs or is stopped; while it is coming up, repeat."""
        volume = self._volume(volume_id)
        attached = mapping.attachment(volume)
        if attached is not None and attached["InstanceId"] == machine_id:
            return mapping.volume(volume)
        instance = self._instance(machine_id)
        if attached is not None:
            raise Conflict(f"The volume {volume_id} is attached to {attached['InstanceId']}.")
        if volume["State"] != "available" or instance["State"]["Name"] not in ("running", "stopped"):
            return mapping.volume(volume)
        self._attach(volume_id, instance)
        return self.get_volume(volume_id)

    def detach_volume(self, volume_id: str) -> Volume:
        volume = self._volume(volume_id)
        attached = mapping.attachment(volume)
        if attached is None or attached.get("State") == "detaching":
            return mapping.volume(volume)
        self._cloud.call("ec2", "DetachVolume", VolumeId=volume_id, InstanceId=attached["InstanceId"])
        return self.get_volume(volume_id)

    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        """The file system on it grows by the machine's own means; AWS allows one change in six hours."""
        volume = self._volume(volume_id)
        if size_gib < volume["Size"]:
            raise InvalidInput(f"The volume has {volume['Size']} GiB; it can grow, and never shrink.")
        if size_gib > volume["Size"]:
            self._cloud.call("ec2", "ModifyVolume", VolumeId=volume_id, Size=size_gib)
        return self.get_volume(volume_id)

    def delete_volume(self, volume_id: str) -> None:
        try:
            with_id("vol-", volume_id, "volume")
            self._cloud.call("ec2", "DeleteVolume", VolumeId=volume_id)
        except ResourceNotFound:
            return

    def _volumes(self, tags: Mapping[str, str]) -> list[Any]:
        found = self._cloud.pages("ec2", "DescribeVolumes", "Volumes", Filters=mapping.by_tags(tags))
        return [each for each in found if each["State"] not in ("deleting", "deleted")]


def _replayed(made: Mapping[str, Any]) -> bool:
    """Whether the answer is that of an earlier call with this token, by AWS's own clock."""
    told = made["ResponseMetadata"]["HTTPHeaders"].get("date")
    created: datetime = made["CreateTime"]
    return told is not None and parsedate_to_datetime(told) - created > _REPLAYED
