"""Snapshots: QingCloud's backups, each a full one, so that deleting one takes no other with it."""

from __future__ import annotations

from collections.abc import Mapping

from providers.base import Snapshots
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.errors import unless_busy
from providers.qingcloud.kinds import SNAPSHOT, VOLUME
from providers.resources import Snapshot, SnapshotSpec


class QingCloudSnapshots(Snapshots):
    """Every promise is the base class's."""

    _cloud: Client

    def create_snapshot(self, spec: SnapshotSpec, *, idempotency_key: str) -> Snapshot:
        volume = self._cloud.row_or_none(VOLUME, spec.volume_id)

        def make(name: str) -> str:
            of = volume or self._cloud.row(VOLUME, spec.volume_id)
            answer = self._cloud.call(
                "CreateSnapshots", resources=[of["volume_id"]], snapshot_name=name, is_full=1
            )
            return str(answer["snapshots"][0])

        row = create_once(
            self._cloud,
            SNAPSHOT,
            key=idempotency_key,
            name=spec.name,
            tags=spec.tags,
            make=make,
            extra={"size_gib": int(volume["size"])} if volume else {},
        )
        return mapping.snapshot(row)

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        return mapping.snapshot(self._cloud.row(SNAPSHOT, snapshot_id))

    def list_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        return [mapping.snapshot(row) for row in tagged(self._cloud, SNAPSHOT, tags)]

    def delete_snapshot(self, snapshot_id: str) -> None:
        row = self._cloud.row_or_none(SNAPSHOT, snapshot_id)
        if row is not None and row.get("transition_status") != "deleting":
            with unless_busy():
                self._cloud.call("DeleteSnapshots", snapshots=[snapshot_id])
