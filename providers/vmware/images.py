"""Images: templates that are clones of stopped machines, without their network cards and volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.base import Images, check_key
from providers.resources import Image
from providers.vmware import devices, guest, mapping
from providers.vmware.inventory import Inventory, Place
from providers.vmware.mapping import Kind
from providers.vmware.sdk import vim

ROLE = "Pitrix image user"
PRIVILEGES = ("VirtualMachine.Provisioning.DeployTemplate", "VirtualMachine.Provisioning.Clone")
"""What it takes to make machines from somebody else's template."""


class VmwareImages(Images):
    """``Images`` over ``self._inventory``."""

    _inventory: Inventory

    def capture_image(
        self, machine_id: str, *, name: str, tags: Mapping[str, str], idempotency_key: str
    ) -> Image:
        key = check_key(idempotency_key)
        made = self._inventory.by_key(Kind.IMAGE, key)
        if made is None:
            machine = self._inventory.get(Kind.MACHINE, machine_id)
            if not machine.is_complete or machine.is_on:
                raise Conflict(f"The machine {machine_id} is not stopped; stop it first.")
            dropped = [devices.removed(disk) for disk in machine.volume_disks]
            changes = [*devices.without_nics(machine.devices), *dropped]
            self._make_template(machine.ref, key, name, tags, self._inventory.place, changes)
            made = self._inventory.made(Kind.IMAGE, key)
        return mapping.image(made.ref, made.properties)

    def _make_template(
        self, source: Any, key: str, name: str, tags: Mapping[str, str], place: Place, changes: list[Any]
    ) -> None:
        """Clone into a template; what the machine was told at boot does not go with it."""
        v = vim()
        noted = mapping.record(Kind.IMAGE, key, name, tags)
        own = place.zone == self._inventory.place.zone
        store = self._inventory.datastore() if own else max(place.datastores, key=lambda each: each.free_gib)
        wish = v.vm.CloneSpec(
            location=v.vm.RelocateSpec(pool=place.pool, datastore=store.ref),
            powerOn=False,
            template=True,
            config=v.vm.ConfigSpec(
                instanceUuid=noted["uuid"],
                extraConfig=mapping.options({mapping.RECORD: json.dumps(noted)} | guest.forgotten()),
                deviceChange=changes,
            ),
        )
        folder = self._inventory.made_folder(place)
        try:
            self._inventory.client.send(source.CloneVM_Task, folder, mapping.name_for(Kind.IMAGE, key), wish)
        except Conflict:
            return  # somebody made it meanwhile, or is making it

    def get_image(self, image_id: str) -> Image:
        """Pitrix's own, and other people's templates as well."""
        found = self._inventory.properties(image_id)
        seen = found and mapping.kept(*found)
        if not found or not (found[1].get("config.template") or (seen and seen.kind is Kind.IMAGE)):
            raise ResourceNotFound(f"There is no image {image_id}, or it is gone.")
        return mapping.image(*found)

    def list_images(self, tags: Mapping[str, str]) -> list[Image]:
        return [
            mapping.image(each.ref, each.properties)
            for each in self._inventory.all(Kind.IMAGE)
            if mapping.carries(each.record["tags"], tags)
        ]

    def share_image(self, image_id: str, *, accounts: tuple[str, ...]) -> Image:
        """Accounts are users of this vCenter, such as ``VSPHERE.LOCAL\\builder``."""
        image = self.get_image(image_id)
        client = self._inventory.client
        manager = client.content.authorizationManager
        role = self._role(manager)
        grants = [
            vim().AuthorizationManager.Permission(principal=name, group=False, propagate=False, roleId=role)
            for name in accounts
        ]
        client.ask(manager.SetEntityPermissions, client.of("VirtualMachine", image_id), grants)
        return image

    def _role(self, manager: Any) -> int:
        """The role of those who may use an image."""
        client = self._inventory.client
        for attempt in ("find", "make", "find again"):
            if attempt == "make":
                try:
                    return int(client.ask(manager.AddAuthorizationRole, ROLE, list(PRIVILEGES)))
                except Conflict:
                    continue
            for role in client.ask(lambda: manager.roleList):
                if role.name == ROLE:
                    return int(role.roleId)
        raise ResourceNotFound(f"vCenter has no role {ROLE!r} and did not make it.")

    def copy_image(self, image_id: str, *, zone: str, idempotency_key: str) -> Image:
        key = check_key(idempotency_key)
        if zone not in self._inventory.places:
            raise ResourceNotFound(f"There is no zone {zone} in this vCenter.")
        place = self._inventory.places[zone]
        made = self._inventory.by_key(Kind.IMAGE, key, place)
        if made is None:
            image = self.get_image(image_id)
            source = self._inventory.client.of("VirtualMachine", image_id)
            self._make_template(source, key, image.name, image.tags, place, [])
            made = self._inventory.made(Kind.IMAGE, key, place)
        return mapping.image(made.ref, made.properties)

    def delete_image(self, image_id: str) -> None:
        """Other people's templates are not Pitrix's to delete: for it they are gone already."""
        try:
            seen = self._inventory.get(Kind.IMAGE, image_id)
            self._inventory.client.send(seen.ref.Destroy_Task)
        except ResourceNotFound:
            return
