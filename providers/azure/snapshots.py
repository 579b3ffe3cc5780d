"""Snapshots of managed disks; incremental ones, which cost what has changed since the one before."""

from __future__ import annotations

from collections.abc import Mapping

from providers.azure import mapping, naming
from providers.azure.cloud import Cloud
from providers.base import Snapshots, check_key
from providers.resources import Snapshot, SnapshotSpec

KIND = "Microsoft.Compute/snapshots"


class AzureSnapshots(Cloud, Snapshots):
    """A snapshot's name is made of its key."""

    def create_snapshot(self, spec: SnapshotSpec, *, idempotency_key: str) -> Snapshot:
        name, group = naming.resource_name(check_key(idempotency_key)), naming.group_name(spec.tags)
        if (made := self._cloud.find(self._cloud.disks.snapshots.get, group, name)) is not None:
            return mapping.snapshot(made)
        self._cloud.own(spec.volume_id, "Microsoft.Compute/disks")
        data = {"createOption": "Copy", "sourceResourceId": spec.volume_id}
        properties = {"creationData": data, "incremental": True}
        request = mapping.body(self._cloud.zone, idempotency_key, spec, properties)
        begin = self._cloud.disks.snapshots.begin_create_or_update
        return mapping.snapshot(self._cloud.create(begin, group, name, request))

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        found = self._cloud.own(snapshot_id, KIND)
        return mapping.snapshot(self._cloud.ask(self._cloud.disks.snapshots.get, found.group, *found.names))

    def list_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        api = self._cloud.disks.snapshots
        return [mapping.snapshot(each) for each in self._held(tags, api.list_by_resource_group, api.list)]

    def delete_snapshot(self, snapshot_id: str) -> None:
        self._delete(self._cloud.disks.snapshots.begin_delete, snapshot_id, KIND)
