"""Volumes: QingCloud's disks. Their sizes come in steps (usually of 10 GiB), so that they are rounded up."""

from __future__ import annotations

from collections.abc import Mapping

from pitrix.errors import Conflict, InvalidInput
from providers.base import Volumes
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.errors import unless_busy
from providers.qingcloud.kinds import INSTANCE, SNAPSHOT, VOLUME, Row
from providers.resources import Volume, VolumeSpec, VolumeStatus


class QingCloudVolumes(Volumes):
    """Every promise is the base class's; what differs is said at the method."""

    _cloud: Client

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        """A class is the number of a QingCloud volume type. One made from a snapshot has the snapshot's size
        at first and is pending until a repeated call made it grow."""
        size_gib = self._size(spec.volume_class, spec.size_gib)
        row = create_once(
            self._cloud,
            VOLUME,
            key=idempotency_key,
            name=spec.name,
            tags=spec.tags,
            make=lambda name: self._make(spec, size_gib, name),
            extra={"size_gib": size_gib},
        )
        wanted = int(mapping.mark(VOLUME, row).extra.get("size_gib", 0))
        if row["status"] == "available" and int(row["size"]) < wanted:
            row = self._grow(row, wanted)
        return mapping.volume(row)

    def _make(self, spec: VolumeSpec, size_gib: int, name: str) -> str:
        if spec.snapshot_id is not None:
            snapshot = self._cloud.row(SNAPSHOT, spec.snapshot_id)
            answer = self._cloud.call(
                "CreateVolumeFromSnapshot", snapshot=snapshot["snapshot_id"], volume_name=name
            )
            return str(answer["volume_id"])
        answer = self._cloud.call(
            "CreateVolumes",
            size=size_gib,
            volume_name=name,
            volume_type=int(spec.volume_class) if spec.volume_class else None,
        )
        return str(answer["volumes"][0])

    def _size(self, volume_class: str, size_gib: int) -> int:
        """The smallest size on offer that is at least ``size_gib``, in GiB.

        Raises:
            InvalidInput: There is no such class, or none of that size.
        """
        if volume_class and not volume_class.isdecimal():
            raise InvalidInput(
                f"A volume class of QingCloud is a number such as 0 or 200, not {volume_class!r}."
            )
        limits = self._cloud.call("GetResourceLimit", volume_type=int(volume_class or 0))
        least, most, step = (int(limits[name]) for name in ("min-size", "max-size", "step"))
        rounded = max(least, -(-size_gib // step) * step)
        if rounded > most:
            raise InvalidInput(f"A volume of this class has at most {most} GiB, not {size_gib}.")
        return rounded

    def get_volume(self, volume_id: str) -> Volume:
        return mapping.volume(self._cloud.row(VOLUME, volume_id))

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return [mapping.volume(row) for row in tagged(self._cloud, VOLUME, tags)]

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        volume = self.get_volume(volume_id)
        self._cloud.row(INSTANCE, machine_id)
        if volume.machine_id not in (None, machine_id):
            raise Conflict(f"The volume {volume_id} is attached to {volume.machine_id}; detach it first.")
        if volume.status is VolumeStatus.AVAILABLE:
            with unless_busy():
                self._cloud.call("AttachVolumes", volumes=[volume_id], instance=machine_id)
        return self.get_volume(volume_id)

    def detach_volume(self, volume_id: str) -> Volume:
        volume = self.get_volume(volume_id)
        if volume.status is VolumeStatus.IN_USE:
            with unless_busy():
                self._cloud.call("DetachVolumes", volumes=[volume_id], instance=volume.machine_id)
            volume = self.get_volume(volume_id)
        return volume

    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        """Rounded up as in creating. QingCloud may want the volume detached first, and then says so."""
        row = self._cloud.row(VOLUME, volume_id)
        wanted = self._size(str(row.get("volume_type", 0)), size_gib)
        if wanted < int(row["size"]):
            raise InvalidInput(f"The volume {volume_id} has {row['size']} GiB already; it cannot shrink.")
        return mapping.volume(self._grow(row, wanted) if wanted > int(row["size"]) else row)

    def _grow(self, row: Row, size_gib: int) -> Row:
        """Resize a volume, if nothing else is being done to it."""
        volume_id = str(row["volume_id"])
        with unless_busy():
            self._cloud.call("ResizeVolumes", volumes=[volume_id], size=size_gib)
        return self._cloud.row(VOLUME, volume_id)

    def delete_volume(self, volume_id: str) -> None:
        row = self._cloud.row_or_none(VOLUME, volume_id)
        if row is None or row.get("transition_status") == "deleting":
            return
        if mapping.attached_to(row):
            raise Conflict(f"The volume {volume_id} is attached to a machine; detach it first.")
        with unless_busy():
            self._cloud.call("DeleteVolumes", volumes=[volume_id])
