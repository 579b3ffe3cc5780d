"""Volumes and snapshots: cinder's volumes.

A snapshot is a clone of a volume, marked as one in its metadata: cinder's own snapshots are parts of their
volume, which cannot be deleted before them, while ours outlive it. A clone counts against the quota of
volumes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import Snapshots, Volumes, check_key
from providers.openstack import mapping, once
from providers.openstack.client import Client, known
from providers.openstack.mapping import Json
from providers.resources import Connection, Snapshot, SnapshotSpec, Volume, VolumeSpec

_DELETABLE = ("available", "error")
_BY_NOVA = ("reserved", "attaching", "detaching", "in-use")


class _CinderVolumes:
    """What volumes and snapshots have in common."""

    connection: Connection
    _cloud: Client

    def _make_once(self, kind: str, key: str, name: str, body: Json, noted: Mapping[str, str]) -> Json:
        def make() -> Json:
            wanted = {"name": name, "metadata": dict(noted), **body}
            made: Json = self._cloud.call("volume", "POST", "/volumes", body={"volume": wanted})["volume"]
            return made

        return once.once(
            self._cloud,
            kind,
            key,
            find=lambda: [
                each
                for each in self._volumes({mapping.KEY: key})
                if _is_snapshot(each) == (kind == "snapshot")
            ],
            make=make,
            read=self._volume,
            discard=self._lose,
        )

    def _volumes(self, noted: Mapping[str, str]) -> list[Any]:
        """Volumes whose metadata has all that; cinder compares it as Python writes a dict."""
        query = {"metadata": repr(dict(noted))} if noted else None
        found = self._cloud.pages("volume", "/volumes/detail", "volumes", query)
        ours = [each for each in found if mapping.carries(each["metadata"], noted)]
        for each in ours:
            if mapping.LOST in each["metadata"]:
                self._discard(each["id"])
        return [each for each in ours if mapping.LOST not in each["metadata"]]

    def _volume(self, volume_id: str) -> Json:
        found: Json = self._cloud.get("volume", f"/volumes/{volume_id}")["volume"]
        return found

    def _lose(self, volume_id: str) -> None:
        """Delete one that was made at once with another.

        Cinder cannot while it is being made: so it is marked, is told to nobody, and goes at the next look.
        """
        path = f"/volumes/{volume_id}/metadata"
        self._cloud.call("volume", "POST", path, body={"metadata": {mapping.LOST: "yes"}})
        self._discard(volume_id)

    def _discard(self, volume_id: str) -> None:
        """Delete as soon as it can be; what is busy stays for the next call."""
        with suppress(ResourceNotFound, InvalidInput):  # gone, or busy again
            if self._volume(volume_id)["status"].startswith(_DELETABLE):
                self._cloud.call("volume", "DELETE", f"/volumes/{volume_id}")


class OpenStackVolumes(_CinderVolumes, Volumes):
    """Volumes of cinder's; a class is a volume type."""

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        key = check_key(idempotency_key)
        body: dict[str, Any] = {"size": spec.size_gib}
        if spec.volume_class:
            body["volume_type"] = spec.volume_class
        if spec.snapshot_id:
            body["source_volid"] = self._snapshot_volume(spec.snapshot_id)["id"]
        noted = mapping.metadata(key, spec.tags)
        try:
            return mapping.volume(self._make_once("volume", key, spec.name, body, noted))
        except ResourceNotFound as error:
            if spec.volume_class:
                raise InvalidInput(f"There is no class of volumes {spec.volume_class!r}.") from error
            raise

    def get_volume(self, volume_id: str) -> Volume:
        return mapping.volume(self._known_volume(volume_id))

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return [mapping.volume(each) for each in self._volumes(tags) if not _is_snapshot(each)]

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        """Nova attaches; until it has, the volume is pending."""
        volume = self._known_volume(volume_id)
        server = self._cloud.get("compute", f"/servers/{known(machine_id, 'machine')}")["server"]
        held = [each["id"] for each in server.get("os-extended-volumes:volumes_attached", ())]
        if volume_id in held:
            return mapping.volume(volume)
        if volume["status"] in _BY_NOVA:
            raise Conflict("The volume is attached to another machine, or just about to be.")
        if volume["status"] == "available":
            path = f"/servers/{machine_id}/os-volume_attachments"
            wanted = {"volumeAttachment": {"volumeId": volume_id}}
            self._cloud.call("compute", "POST", path, body=wanted)
        return self.get_volume(volume_id)

    def detach_volume(self, volume_id: str) -> Volume:
        volume = self._known_volume(volume_id)
        for each in volume.get("attachments") or ():
            if volume["status"] == "in-use":
                path = f"/servers/{each['server_id']}/os-volume_attachments/{volume_id}"
                with suppress(ResourceNotFound):  # the machine went meanwhile
                    self._cloud.call("compute", "DELETE", path)
        return self.get_volume(volume_id)

    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        volume = self._known_volume(volume_id)
        if size_gib < volume["size"]:
            raise InvalidInput(f"The volume has {volume['size']} GiB and cannot become smaller.")
        if size_gib > volume["size"] and volume["status"] in ("available", "in-use"):
            path, wanted = f"/volumes/{volume_id}/action", {"os-extend": {"new_size": size_gib}}
            self._cloud.call("volume", "POST", path, body=wanted)
        return self.get_volume(volume_id)

    def delete_volume(self, volume_id: str) -> None:
        try:
            volume = self._known_volume(volume_id)
        except ResourceNotFound:
            return
        if volume["status"] in ("in-use", "reserved", "attaching"):
            raise Conflict("The volume is attached to a machine; detach it first.")
        self._discard(volume_id)
        once.forget(self._cloud, volume_id)

    def _known_volume(self, volume_id: str) -> Json:
        found = self._volume(known(volume_id, "volume"))
        if _is_snapshot(found):
            raise ResourceNotFound(f"There is no volume {volume_id!r}.")
        return found

    def _snapshot_volume(self, snapshot_id: str) -> Json:
        found = self._volume(known(snapshot_id, "snapshot"))
        if not _is_snapshot(found):
            raise ResourceNotFound(f"There is no snapshot {snapshot_id!r}.")
        return found


class OpenStackSnapshots(_CinderVolumes, Snapshots):
    """Clones of volumes, attached or not."""

    def create_snapshot(self, spec: SnapshotSpec, *, idempotency_key: str) -> Snapshot:
        key = check_key(idempotency_key)
        noted = mapping.metadata(key, spec.tags, snapshot_of=known(spec.volume_id, "volume"))
        body = {"source_volid": spec.volume_id}
        return mapping.snapshot(self._make_once("snapshot", key, spec.name, body, noted))

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        found = self._volume(known(snapshot_id, "snapshot"))
        if not _is_snapshot(found):
            raise ResourceNotFound(f"There is no snapshot {snapshot_id!r}.")
        return mapping.snapshot(found)

    def list_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        return [mapping.snapshot(each) for each in self._volumes(tags) if _is_snapshot(each)]

    def delete_snapshot(self, snapshot_id: str) -> None:
        try:
            self.get_snapshot(snapshot_id)
        except ResourceNotFound:
            return
        self._discard(snapshot_id)
        once.forget(self._cloud, snapshot_id)


def _is_snapshot(volume: Json) -> bool:
    return mapping.SNAPSHOT_OF in volume.get("metadata", {})
