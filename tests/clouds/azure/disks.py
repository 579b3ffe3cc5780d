"""Managed disks, snapshots and SSH keys of the fake Azure."""

from __future__ import annotations

from tests.clouds.azure.world import ArmError, Held, Json, Kind, World, now, shouted

DISKS = "Microsoft.Compute/disks"


class Disk(Kind):
    """``held.hidden["machine"]`` is the machine that has it."""

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        data, properties = wanted["properties"]["creationData"], wanted["properties"]
        source = data.get("sourceResourceId", "")
        if data["createOption"] == "Copy":
            least = _ready(world, source).facts["diskSizeGB"]
            properties.setdefault("diskSizeGB", least)
        elif data["createOption"] == "Empty" and "diskSizeGB" not in properties:
            raise ArmError(400, "InvalidParameter", "Required parameter 'disk.diskSizeGB' is missing (null).")
        else:
            least = 1
        if properties["diskSizeGB"] < max(least, held.facts.get("diskSizeGB", 1)):
            code = "ResizeDiskError"
            raise ArmError(409, code, f"A disk cannot be made smaller than {least} GB, which it has.")
        _within_limit(world, held, properties["diskSizeGB"])
        held.facts |= {"diskSizeGB": properties["diskSizeGB"], "uniqueId": held.hidden["guid"]}
        held.facts.setdefault("timeCreated", now())

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        machine = world.find(held.hidden.get("machine", "/"))
        body["properties"]["diskState"] = "Unattached"
        if machine is not None:
            body["managedBy"] = shouted(machine.id)
            running = machine.hidden["power"] == "running"
            body["properties"]["diskState"] = "Attached" if running else "Reserved"

    def may_delete(self, world: World, held: Held) -> None:
        if "machine" in held.hidden:
            message = f"Disk {held.name} is attached to VM {held.hidden['machine']}."
            raise ArmError(409, "OperationNotAllowed", message)


class Snapshot(Kind):
    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        data = wanted["properties"]["creationData"]
        if data["createOption"] != "Copy":
            raise ArmError(400, "InvalidParameter", "Only copies of disks are modelled here.")
        if new:
            size = _ready(world, data["sourceResourceId"]).facts["diskSizeGB"]
            held.facts |= {"diskSizeGB": size, "timeCreated": now(), "uniqueId": held.hidden["guid"]}


class SshKey(Kind):
    slow_to_make = slow_to_delete = False

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        if not wanted.get("properties", {}).get("publicKey", "ssh-").startswith("ssh-"):
            raise ArmError(400, "InvalidParameter", "properties.publicKey is no SSH public key.")

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        del body["properties"]["provisioningState"]


def _ready(world: World, resource_id: str) -> Held:
    source = world.get(resource_id)
    if source.doing in ("Creating", "Deleting"):
        raise ArmError(409, "OperationNotAllowed", f"{resource_id} is {source.doing}.")
    return source


def _within_limit(world: World, disk: Held, size_gib: int) -> None:
    from tests.clouds.azure.machines import subscription

    limit = subscription(world, disk.id).limits.disk_gib
    others = world.under("/".join(disk.id.split("/")[:3]), DISKS)
    used = sum(o.facts["diskSizeGB"] for o in others if o.id != disk.id and "image" not in o.hidden)
    if used + size_gib > limit:
        code = "OperationNotAllowed"
        message = f"exceeding approved disk size quota. Current Limit: {limit}, Current Usage: {used}."
        raise ArmError(409, code, f"Operation could not be completed as it results in {message}")


KINDS: dict[str, Kind] = {
    DISKS: Disk(),
    "Microsoft.Compute/snapshots": Snapshot(),
    "Microsoft.Compute/sshPublicKeys": SshKey(),
}
