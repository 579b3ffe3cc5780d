"""Volumes: disks that outlive machines.

A volume is the disk of a virtual machine that is never switched on, which gives it a name that vCenter keeps
unique, a record, and a file of its own; OpenStack's driver for vSphere does the same. Attaching adds that
file to a machine, detaching takes it out again. Classes are the names of datastores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import Volumes, check_key
from providers.resources import Volume, VolumeSpec
from providers.vmware import devices, mapping
from providers.vmware.inventory import Inventory
from providers.vmware.mapping import Kept, Kind
from providers.vmware.sdk import vim

MAX_GIB = 62 * 1024
"""The largest virtual disk, in GiB (vSphere's configuration maximum of 62 TB)."""


class VmwareVolumes(Volumes):
    """``Volumes`` over ``self._inventory``."""

    _inventory: Inventory

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        key = check_key(idempotency_key)
        seen = self._inventory.by_key(Kind.VOLUME, key)
        if seen is None:
            self._make_volume(spec, key)
            seen = self._inventory.made(Kind.VOLUME, key)
        return mapping.volume(seen, self._holder(seen))

    def _make_volume(self, spec: VolumeSpec, key: str) -> None:
        if not 1 <= spec.size_gib <= MAX_GIB:
            raise InvalidInput(f"A volume has 1 to {MAX_GIB} GiB, not {spec.size_gib}.")
        if spec.snapshot_id is not None:
            raise ResourceNotFound("VMware vSphere offers no snapshots of volumes.")
        store = self._inventory.datastore(spec.volume_class)
        noted = mapping.record(
            Kind.VOLUME, key, spec.name, spec.tags, size_gib=spec.size_gib, volume_class=spec.volume_class
        )
        v = vim()
        wish = v.vm.ConfigSpec(
            name=mapping.name_for(Kind.VOLUME, key),
            instanceUuid=noted["uuid"],
            annotation=f"The volume {spec.name} of Pitrix. Do not switch it on, and do not delete it here.",
            guestId="otherGuest",
            numCPUs=1,
            memoryMB=mapping.MIB_PER_STEP,
            files=v.vm.FileInfo(vmPathName=f"[{store.name}]"),
            extraConfig=mapping.options({mapping.RECORD: json.dumps(noted)}),
            deviceChange=devices.disk_of(spec.size_gib),
        )
        place = self._inventory.place
        folder = self._inventory.made_folder(place)
        try:
            self._inventory.client.send(folder.CreateVM_Task, wish, place.pool)
        except Conflict:
            return  # somebody made it meanwhile, or is making it

    def get_volume(self, volume_id: str) -> Volume:
        seen = self._inventory.get(Kind.VOLUME, volume_id)
        return mapping.volume(seen, self._holder(seen))

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        everything = self._inventory.all(Kind.VOLUME, Kind.MACHINE)
        holders = {file: each for each in everything if each.kind is Kind.MACHINE for file in each.files}
        return [
            mapping.volume(each, each.holder(holders))
            for each in everything
            if each.kind is Kind.VOLUME and mapping.carries(each.record["tags"], tags)
        ]

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        seen = self._inventory.get(Kind.VOLUME, volume_id)
        machine = self._inventory.get(Kind.MACHINE, machine_id)
        other = self._holder(seen)
        if other is not None and other.moid != machine_id:
            raise Conflict(f"The volume {volume_id} is attached to the machine {other.moid}.")
        if other is None:
            wish = vim().vm.ConfigSpec(deviceChange=devices.attached(machine.devices, seen.disks))
            self._inventory.client.send(machine.ref.ReconfigVM_Task, wish)
        return self.get_volume(volume_id)

    def detach_volume(self, volume_id: str) -> Volume:
        seen = self._inventory.get(Kind.VOLUME, volume_id)
        machine = self._holder(seen)
        if machine is not None:
            disks = [disk for disk in machine.disks if disk.backing.fileName in seen.files]
            self._inventory.detach(machine, disks)
        return self.get_volume(volume_id)

    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        """The disk grows at the machine that has it, as that one holds its file."""
        seen = self._inventory.get(Kind.VOLUME, volume_id)
        size = seen.record["size_gib"]
        if size_gib < size:
            raise InvalidInput(f"The volume has {size} GiB and cannot shrink to {size_gib}.")
        if size_gib > MAX_GIB:
            raise InvalidInput(f"A volume has at most {MAX_GIB} GiB, not {size_gib}.")
        if size_gib > size:
            client, change = self._inventory.client, vim().vm.ConfigSpec
            machine = self._holder(seen)
            noted = mapping.options({mapping.SIZE: str(size_gib)})
            if machine is not None:
                [disk] = [disk for disk in machine.disks if disk.backing.fileName in seen.files]
                client.send(machine.ref.ReconfigVM_Task, change(deviceChange=[devices.grown(disk, size_gib)]))
                client.send(seen.ref.ReconfigVM_Task, change(extraConfig=noted))
            else:
                grown = [devices.grown(disk, size_gib) for disk in seen.disks]
                client.send(seen.ref.ReconfigVM_Task, change(deviceChange=grown, extraConfig=noted))
        return self.get_volume(volume_id)

    def delete_volume(self, volume_id: str) -> None:
        try:
            seen = self._inventory.get(Kind.VOLUME, volume_id)
            if machine := self._holder(seen):
                raise Conflict(f"The volume {volume_id} is attached to {machine.moid}; detach it first.")
            self._inventory.client.send(seen.ref.Destroy_Task)
        except ResourceNotFound:
            return

    def _holder(self, seen: Kept) -> Kept | None:
        return seen.holder(self._inventory.holders())
