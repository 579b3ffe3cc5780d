"""EBS snapshots: copies of volumes, kept by the region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import ResourceNotFound
from providers.aws import mapping
from providers.aws.cloud import Cloud, one, only_one, with_id
from providers.base import Snapshots, check_key
from providers.resources import Snapshot, SnapshotSpec


class AwsSnapshots(Cloud, Snapshots):
    """EC2 has no client token for snapshots: they are found by their key."""

    def create_snapshot(self, spec: SnapshotSpec, *, idempotency_key: str) -> Snapshot:
        key = check_key(idempotency_key)
        with_id("vol-", spec.volume_id, "volume")
        tags = mapping.tagging("snapshot", spec.name, spec.tags, key)
        made = only_one(
            lambda: self._snapshots({mapping.TAG_KEY: key}),
            lambda: self._cloud.call(
                "ec2", "CreateSnapshot", VolumeId=spec.volume_id, TagSpecifications=tags
            ),
            lambda each: self.delete_snapshot(each["SnapshotId"]),
            lambda each: (each["StartTime"], each["SnapshotId"]),
        )
        return mapping.snapshot(made)

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        with_id("snap-", snapshot_id, "snapshot")
        found = self._cloud.call("ec2", "DescribeSnapshots", SnapshotIds=[snapshot_id])["Snapshots"]
        return mapping.snapshot(one(found, "snapshot", snapshot_id))

    def list_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        return [mapping.snapshot(each) for each in self._snapshots(tags)]

    def delete_snapshot(self, snapshot_id: str) -> None:
        try:
            with_id("snap-", snapshot_id, "snapshot")
            self._cloud.call("ec2", "DeleteSnapshot", SnapshotId=snapshot_id)
        except ResourceNotFound:
            return

    def _snapshots(self, tags: Mapping[str, str]) -> list[Any]:
        filters = mapping.by_tags(tags)
        found = self._cloud.pages("ec2", "DescribeSnapshots", "Snapshots", OwnerIds=["self"], Filters=filters)
        return list(found)
