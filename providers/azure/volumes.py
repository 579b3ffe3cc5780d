"""Managed disks of Azure as volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pitrix.errors import Conflict, InvalidInput
from providers.azure import mapping, naming
from providers.azure.client import Json
from providers.azure.cloud import Cloud
from providers.base import Volumes, check_key
from providers.resources import Volume, VolumeSpec, VolumeStatus

KIND = "Microsoft.Compute/disks"
_MACHINE = "Microsoft.Compute/virtualMachines"
_SNAPSHOT = "Microsoft.Compute/snapshots"
_MOST = 64
"""The most data disks that any size holds; Azure refuses sooner where a size holds fewer."""


class AzureVolumes(Cloud, Volumes):
    """A class is one of Azure's types of disk: ``StandardSSD_LRS`` by default, ``Premium_LRS`` and so on."""

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        name, group = naming.resource_name(check_key(idempotency_key)), naming.group_name(spec.tags)
        if (made := self._cloud.find(self._cloud.disks.disks.get, group, name)) is not None:
            return mapping.volume(made)
        data = {"createOption": "Empty"}
        if spec.snapshot_id is not None:
            self._cloud.own(spec.snapshot_id, _SNAPSHOT)
            data = {"createOption": "Copy", "sourceResourceId": spec.snapshot_id}
        properties = {"creationData": data, "diskSizeGB": spec.size_gib}
        sku = {"name": spec.volume_class or mapping.DEFAULT_CLASS}
        request = mapping.body(self._cloud.zone, idempotency_key, spec, properties, sku=sku)
        return mapping.volume(
            self._cloud.create(self._cloud.disks.disks.begin_create_or_update, group, name, request)
        )

    def get_volume(self, volume_id: str) -> Volume:
        return mapping.volume(self._disk(volume_id))

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        api = self._cloud.disks.disks
        return [mapping.volume(each) for each in self._held(tags, api.list_by_resource_group, api.list)]

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        """Azure takes all volumes of a machine at once: of two changes at the same moment one may get lost,
        and is made by the next call."""
        volume = self.get_volume(volume_id)
        machine = self._machine_of(machine_id)
        if volume.machine_id and not mapping.same(volume.machine_id, machine_id):
            raise Conflict(f"The volume is attached to another machine, {volume.machine_id}.")
        volumes = mapping.volumes_of(machine)
        if not any(mapping.same(volume_id, each) for each in volumes.values()):
            lun = next(number for number in range(_MOST + 1) if number not in volumes)
            self._set_volumes(machine_id, {**volumes, lun: volume_id})
        volume = self.get_volume(volume_id)
        return volume if volume.machine_id else replace(volume, status=VolumeStatus.PENDING)

    def detach_volume(self, volume_id: str) -> Volume:
        volume = self.get_volume(volume_id)
        if not volume.machine_id:
            return volume
        machine = self._cloud.find(self._cloud.compute.virtual_machines.get, *self._parts(volume.machine_id))
        volumes = mapping.volumes_of(machine) if machine is not None else {}
        kept = {lun: each for lun, each in volumes.items() if not mapping.same(volume_id, each)}
        if kept != volumes:
            self._set_volumes(volume.machine_id, kept)
        return self.get_volume(volume_id)

    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        """Possible while it is attached, too, for most types of disk."""
        volume = self.get_volume(volume_id)
        if size_gib < volume.size_gib:
            raise InvalidInput(f"A volume does not shrink: it has {volume.size_gib} GiB, not {size_gib}.")
        if size_gib == volume.size_gib:
            return volume
        change = {"properties": {"diskSizeGB": size_gib}}
        found = self._cloud.own(volume_id, KIND)
        self._cloud.send(self._cloud.disks.disks.begin_update, found.group, *found.names, change)
        return self.get_volume(volume_id)

    def delete_volume(self, volume_id: str) -> None:
        self._delete(self._cloud.disks.disks.begin_delete, volume_id, KIND)

    # --- inside ----------------------------------------------------------------------------------------

    def _parts(self, machine_id: str) -> tuple[str, str]:
        found = self._cloud.own(machine_id, _MACHINE)
        return found.group, found.names[0]

    def _disk(self, volume_id: str) -> Json:
        found = self._cloud.own(volume_id, KIND)
        return self._cloud.ask(self._cloud.disks.disks.get, found.group, *found.names)

    def _machine_of(self, machine_id: str) -> Json:
        return self._cloud.ask(self._cloud.compute.virtual_machines.get, *self._parts(machine_id))

    def _set_volumes(self, machine_id: str, volumes: Mapping[int, str]) -> None:
        change = {"properties": {"storageProfile": {"dataDisks": mapping.data_disks(volumes)}}}
        begin = self._cloud.compute.virtual_machines.begin_update
        self._cloud.send(begin, *self._parts(machine_id), change)
