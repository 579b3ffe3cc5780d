"""Machines: clones of templates.

One task clones the template, sets size, network card, volumes, user data and record, and switches it on.
vSphere has no sizes of its own: a machine has exactly what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ProviderUnavailable, ResourceNotFound
from providers.base import Machines, check_key
from providers.resources import Image, Machine, MachineSpec, MachineType, Quota
from providers.vmware import devices, guest, mapping
from providers.vmware.inventory import Inventory
from providers.vmware.mapping import Kept, Kind
from providers.vmware.networks import VmwareNetworks
from providers.vmware.sdk import vim

SIZES = tuple(
    (cpu, cpu * 1024 * ratio // 2) for cpu in (1, 2, 4, 8, 16, 32, 64) for ratio in (1, 2, 4, 8, 16)
)
"""Cores and MiB that are offered for choice: half a GiB to eight GiB a core."""


class VmwareMachines(VmwareNetworks, Machines):
    """``Machines`` over ``self._inventory``."""

    _inventory: Inventory

    def machine_types(self) -> list[MachineType]:
        """Common sizes up to the largest host; any other size may be asked for as well."""
        place = self._inventory.place
        return [
            MachineType(machine_type=f"{cpu}x{memory}", cpu=cpu, memory_mib=memory)
            for cpu, memory in sorted(SIZES)
            if cpu <= place.cpu and memory <= place.memory_mib
        ]

    def machine_images(self) -> list[Image]:
        """All templates of the datacenter that this user may see, Pitrix's own last."""
        v = vim()
        # Little of each: a datacenter has thousands of machines, whose extra configurations are long.
        found = self._inventory.client.read(
            self._inventory.place.machine_folder,
            {v.VirtualMachine: ["name", "config.template"]},
            [(v.Folder, "childEntity")],
        )
        names = {ref._moId: seen["name"] for ref, seen in found if seen.get("config.template")}
        own = [mapping.image(each.ref, each.properties) for each in self._inventory.all(Kind.IMAGE)]
        others = [
            Image(image_id=moid, name=name)
            for moid, name in names.items()
            if moid not in {image.image_id for image in own}
        ]
        ready = [image for image in own if image.image_id in names]
        return [*sorted(others, key=lambda image: image.name), *sorted(ready, key=lambda image: image.name)]

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        key = check_key(idempotency_key)
        seen = self._inventory.by_key(Kind.MACHINE, key)
        if seen is None:
            self._clone(spec, key)
            seen = self._inventory.made(Kind.MACHINE, key)
        return self._machine(seen)

    def _clone(self, spec: MachineSpec, key: str) -> None:
        inventory = self._inventory
        self._check_size(spec.cpu, spec.memory_mib)
        if spec.gpu:
            raise InvalidInput("Pitrix gives no GPUs to machines of VMware vSphere.")
        if spec.key_pair:
            raise ResourceNotFound(f"VMware vSphere knows no key pairs, so none {spec.key_pair}.")
        template, present = self._template(spec.image)
        volumes = self._free_volumes(spec.volume_ids)
        card = devices.nic(self.backing(spec.network_id))
        cidr = self.get_network(spec.network_id).cidr
        address = self.take_address(spec.network_id, key)
        noted = mapping.record(
            Kind.MACHINE,
            key,
            spec.name,
            spec.tags,
            image=spec.image,
            network=spec.network_id,
            address=address,
        )
        disks = [disk for volume in volumes for disk in volume.disks]
        told = guest.settings(
            spec.user_data, address=address, cidr=cidr, host_name=guest.host_name(spec.name)
        )
        v = vim()
        wish = v.vm.CloneSpec(
            location=v.vm.RelocateSpec(pool=inventory.place.pool, datastore=inventory.datastore().ref),
            powerOn=True,
            template=False,
            config=v.vm.ConfigSpec(
                instanceUuid=noted["uuid"],
                numCPUs=spec.cpu,
                numCoresPerSocket=1,
                memoryMB=_stepped(spec.memory_mib),
                extraConfig=mapping.options({mapping.RECORD: json.dumps(noted)} | told),
                deviceChange=[*devices.without_nics(present), card, *devices.attached(present, disks)],
            ),
        )
        folder = inventory.made_folder(inventory.place)
        try:
            inventory.client.send(template.CloneVM_Task, folder, mapping.name_for(Kind.MACHINE, key), wish)
        except Conflict:
            return  # somebody made it meanwhile, or is making it

    def _free_volumes(self, volume_ids: tuple[str, ...]) -> list[Kept]:
        volumes = [self._inventory.get(Kind.VOLUME, volume_id) for volume_id in volume_ids]
        holders = self._inventory.holders() if volumes else {}
        for volume in volumes:
            if other := volume.holder(holders):
                raise Conflict(f"The volume {volume.moid} is attached to the machine {other.moid}.")
        return volumes

    def _template(self, image: str) -> tuple[Any, list[Any]]:
        found = self._inventory.properties(image)
        if found is None or not found[1].get("config.template"):
            raise ResourceNotFound(f"There is no template {image}.")
        return found[0], list(found[1]["config.hardware"].device)

    def _check_size(self, cpu: int, memory_mib: int) -> None:
        place = self._inventory.place
        if cpu > place.cpu or memory_mib > place.memory_mib:
            raise InvalidInput(
                f"No host of this zone holds {cpu} CPU, {memory_mib} MiB; "
                f"the largest has {place.cpu} CPU, {place.memory_mib} MiB."
            )

    def get_machine(self, machine_id: str) -> Machine:
        return self._machine(self._inventory.get(Kind.MACHINE, machine_id))

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        everything = self._inventory.all(Kind.MACHINE, Kind.VOLUME)
        by_file = {file: each.moid for each in everything if each.kind is Kind.VOLUME for file in each.files}
        return [
            self._told_machine(each, [by_file[file] for file in each.files if file in by_file])
            for each in everything
            if each.kind is Kind.MACHINE and mapping.carries(each.record["tags"], tags)
        ]

    def start_machine(self, machine_id: str) -> Machine:
        seen = self._inventory.get(Kind.MACHINE, machine_id)
        if seen.is_complete and not seen.is_on:
            self._unless_done(seen.ref.PowerOnVM_Task)
        return self.get_machine(machine_id)

    def stop_machine(self, machine_id: str) -> Machine:
        """Asks the guest to shut down where VMware Tools run in it; otherwise it is switched off."""
        seen = self._inventory.get(Kind.MACHINE, machine_id)
        if seen.is_complete and seen.is_on:
            if seen.properties.get("guest.toolsRunningStatus") == "guestToolsRunning":
                self._inventory.client.ask(seen.ref.ShutdownGuest)
            else:
                self._unless_done(seen.ref.PowerOffVM_Task)
        return self.get_machine(machine_id)

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        seen = self._inventory.get(Kind.MACHINE, machine_id)
        hardware = seen.properties.get("config.hardware")
        if hardware and (hardware.numCPU, hardware.memoryMB) == (cpu, _stepped(memory_mib)):
            return self._machine(seen)
        if not seen.is_complete or seen.is_on:
            raise Conflict(f"The machine {machine_id} is not stopped; stop it first.")
        self._check_size(cpu, memory_mib)
        wish = vim().vm.ConfigSpec(numCPUs=cpu, numCoresPerSocket=1, memoryMB=_stepped(memory_mib))
        self._inventory.client.send(seen.ref.ReconfigVM_Task, wish)
        return self.get_machine(machine_id)

    def delete_machine(self, machine_id: str) -> None:
        """Switches it off, takes its volumes out, gives its address back and destroys it: as far as it goes.

        Destroying deletes every disk that a machine has, so nothing of this may be left out.
        """
        inventory = self._inventory
        try:
            seen = inventory.get(Kind.MACHINE, machine_id)
            if not seen.is_complete:
                raise ProviderUnavailable(f"vCenter is still making the machine {machine_id}; ask again.")
            if seen.is_on and not self._unless_done(seen.ref.PowerOffVM_Task):
                return
            if seen.volume_disks and not inventory.detach(seen, seen.volume_disks):
                return
            self.give_address_back(seen.record["network"], seen.record["key"])
            self._unless_done(seen.ref.Destroy_Task)  # not while it is booting, after all
        except ResourceNotFound:
            return

    def quotas(self) -> list[Quota]:
        """What Pitrix's machines use, which vCenter does not limit, and the datastores' room, which ends."""
        machines = [each for each in self._inventory.all(Kind.MACHINE) if each.is_complete]
        hardware = [each.properties["config.hardware"] for each in machines]
        stores = self._inventory.place.datastores
        capacity = sum(store.capacity_gib for store in stores)
        used = capacity - sum(store.free_gib for store in stores)
        return [
            Quota(name="machines", used=len(machines), limit=None, counts="machines"),
            Quota(name="cpu", used=sum(each.numCPU for each in hardware), limit=None, counts="cpu"),
            Quota(
                name="memory",
                used=sum(each.memoryMB for each in hardware),
                limit=None,
                unit="MiB",
                counts="memory_mib",
            ),
            Quota(name="storage", used=used, limit=capacity, unit="GiB", counts="volume_gib"),
        ]

    def console_output(self, machine_id: str) -> str:
        """vSphere keeps pictures of consoles and no text, so there is none."""
        self._inventory.get(Kind.MACHINE, machine_id)
        return ""

    # --- what a machine is ---------------------------------------------------------------------------

    def _machine(self, seen: Kept) -> Machine:
        return self._told_machine(seen, [volume.moid for volume in self._inventory.volumes_of(seen)])

    def _told_machine(self, seen: Kept, volume_ids: list[str]) -> Machine:
        status, reason = mapping.power(seen, self._power_events(seen), datetime.now(UTC))
        return mapping.machine(seen, status=status, reason=reason, volume_ids=tuple(volume_ids))

    def _power_events(self, seen: Kept) -> list[Any]:
        """How often a young machine that is off was switched off, or failed to start."""
        age = datetime.now(UTC) - datetime.fromisoformat(seen.created)
        if not seen.is_complete or seen.is_on or age > mapping.FORGOTTEN_AFTER:
            return []
        events = vim().event.EventFilterSpec
        wish = events(
            entity=events.ByEntity(entity=seen.ref, recursion="self"),
            eventTypeId=[name.rpartition(".")[2] for name in (mapping.SWITCHED_OFF, mapping.FAILED_TO_START)],
        )
        client = self._inventory.client
        return list(client.ask(client.content.eventManager.QueryEvents, wish) or ())

    def _unless_done(self, call: Any) -> bool:
        """Send a task unless the machine's power does not allow it now; whether it is done already."""
        try:
            return self._inventory.client.send(call)
        except Conflict:
            return False


def _stepped(memory_mib: int) -> int:
    """Memory in the steps that vSphere knows, not less than asked for."""
    return -(-memory_mib // mapping.MIB_PER_STEP) * mapping.MIB_PER_STEP
