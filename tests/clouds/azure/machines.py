"""Virtual machines of the fake Azure: what they are made of, their power, their limits."""

from __future__ import annotations

import base64
import time
from collections import Counter
from typing import Any
from uuid import uuid4

from tests.clouds.azure import catalogue
from tests.clouds.azure.catalogue import Size, Subscription
from tests.clouds.azure.disks import DISKS
from tests.clouds.azure.galleries import bootable
from tests.clouds.azure.world import SETTLES_S, ArmError, Held, Json, Kind, World, group_of, location_of, now

MACHINES = "Microsoft.Compute/virtualMachines"
_SECRET = ("customData", "adminPassword")
_CUSTOM_DATA = 65_535


class Machine(Kind):
    """``held.hidden``: ``power`` now, and ``becomes`` at ``power_at``; ``custom_data`` as it was sent."""

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        size = _size(wanted["properties"])
        if size.name in catalogue.NOT_SOLD:
            message = f"The requested VM size '{size.name}' is currently not available in the location."
            raise ArmError(409, "SkuNotAvailable", message)
        _within_limits(world, held, size, location_of(wanted["location"]))
        if not new:
            self._change(world, held, wanted)
            return
        self._check(world, held, wanted)
        self._attach(world, held, _disks(wanted), location_of(wanted["location"]))
        nic = self._interfaces(world, held, wanted)
        held.facts |= {
            "vmId": str(uuid4()),
            "timeCreated": now(),
            "networkProfile": {"networkInterfaces": nic},
        }
        held.hidden |= {
            "custom_data": wanted["properties"]["osProfile"].get("customData", ""),
            "os_disk": self._os_disk(world, held, wanted),
        }
        power(held, "creating", "running")

    def _check(self, world: World, held: Held, wanted: Json) -> None:
        profile = wanted["properties"].get("osProfile", {})
        for needed in ("computerName", "adminUsername"):
            if needed not in profile:
                message = f"Required parameter 'osProfile.{needed}' is missing (null)."
                raise ArmError(400, "InvalidParameter", message)
        linux = profile.get("linuxConfiguration", {})
        if not linux.get("disablePasswordAuthentication") and "adminPassword" not in profile:
            raise ArmError(400, "InvalidParameter", "Authentication using password needs adminPassword.")
        if linux.get("disablePasswordAuthentication") and not linux.get("ssh", {}).get("publicKeys"):
            raise ArmError(400, "InvalidParameter", "Authentication using SSH needs linuxConfiguration.ssh.")
        try:
            data = base64.b64decode(profile.get("customData", ""), validate=True)
        except ValueError as error:
            raise ArmError(400, "InvalidParameter", "Custom data must be in Base64.") from error
        if len(data) > _CUSTOM_DATA:
            raise ArmError(400, "InvalidParameter", "Custom data in OSProfile is too long.")
        bootable(world, held, wanted["properties"]["storageProfile"].get("imageReference", {}), wanted)

    def _interfaces(self, world: World, held: Held, wanted: Json) -> list[Json]:
        """Those that are there already, and those that are made with the machine."""
        profile = wanted["properties"].get("networkProfile", {})
        wanted_here = profile.pop("networkInterfaceConfigurations", [])
        if wanted_here and not profile.get("networkApiVersion"):
            raise ArmError(400, "InvalidParameter", "networkInterfaceConfigurations needs networkApiVersion.")
        found = list(profile.get("networkInterfaces", []))
        for each in wanted_here:
            nic = {"location": wanted["location"], "properties": _nic(each["properties"])}
            nic_id = f"{group_of(held.id)}/providers/Microsoft.Network/networkInterfaces/{each['name']}"
            made, _ = world.put(nic_id, nic)
            made.hidden["with_machine"] = each["properties"].get("deleteOption") == "Delete"
            found.append({"id": nic_id})
        if not found:
            raise ArmError(400, "InvalidParameter", "A virtual machine has a network interface.")
        for each in found:
            world.get(each["id"]).hidden["machine"] = held.id
        return found

    def _os_disk(self, world: World, held: Held, wanted: Json) -> str:
        disk = wanted["properties"]["storageProfile"]["osDisk"]
        name = disk.setdefault("name", f"{held.name}_OsDisk_1_{held.hidden['guid'].replace('-', '')}")
        disk_id = f"{group_of(held.id)}/providers/{DISKS}/{name}"
        disk.setdefault("managedDisk", {})["id"] = disk_id
        body = {
            "location": wanted["location"],
            "properties": {
                "creationData": {"createOption": "FromImage"},
                "diskSizeGB": 30,
                "osType": "Linux",
            },
        }
        made = Held(disk_id, body, world.kinds[DISKS.lower()], {"diskSizeGB": 30, "timeCreated": now()})
        made.hidden |= {"machine": held.id, "image": True, "guid": str(uuid4())}
        made.hidden["with_machine"] = disk.get("deleteOption") == "Delete"
        world.held[disk_id.lower()] = made
        return disk_id

    def _change(self, world: World, held: Held, wanted: Json) -> None:
        """Another size or other data disks; nothing else of a machine changes."""
        profile = wanted["properties"].get("osProfile", {})
        before = held.properties.get("osProfile", {})
        for name in ("computerName", "adminUsername", "linuxConfiguration", *_SECRET):
            if name in profile and profile[name] != before.get(name):
                code = "PropertyChangeNotAllowed"
                raise ArmError(409, code, f"Changing property 'osProfile.{name}' is not allowed.")
        wanted["properties"].get("networkProfile", {}).pop("networkInterfaceConfigurations", None)
        were, are = _disks(held.wanted), _disks(wanted)
        wanted["properties"]["storageProfile"]["osDisk"] = held.properties["storageProfile"]["osDisk"]
        self._attach(world, held, {k: v for k, v in are.items() if k not in were}, held.location)
        for disk_id in set(were) - set(are):
            if (disk := world.find(disk_id)) is not None:
                disk.hidden.pop("machine", None)

    @staticmethod
    def _attach(world: World, held: Held, disks: dict[str, Json], location: str) -> None:
        for disk_id, each in disks.items():
            disk = world.get(disk_id)
            if each["createOption"] != "Attach":
                raise ArmError(400, "InvalidParameter", "An existing disk has the createOption Attach.")
            if "machine" in disk.hidden:
                message = f"Disk '{disk.name}' is already attached to VM {disk.hidden['machine']}."
                raise ArmError(409, "ConflictingUserInput", message)
            if disk.doing == "Creating":
                raise ArmError(409, "OperationNotAllowed", f"Disk '{disk.name}' is not ready.")
            if disk.location != location:
                raise ArmError(400, "BadRequest", f"Disk '{disk.name}' is in another location.")
        for disk_id in disks:
            world.get(disk_id).hidden["machine"] = held.id

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        properties = body["properties"]
        for secret in _SECRET:
            properties["osProfile"].pop(secret, None)
        if "instanceview" in expand.lower():
            properties["instanceView"] = instance_view(held)

    def gone(self, world: World, held: Held) -> None:
        for each in list(world.held.values()):
            if each.hidden.get("machine") == held.id:
                del each.hidden["machine"]
                if each.hidden.get("with_machine"):
                    del world.held[each.id.lower()]

    def act(self, world: World, held: Held, action: str, body: Json) -> tuple[int, Any]:
        state = power(held)
        if held.deleting:
            raise ArmError(409, "OperationNotAllowed", f"{held.name} is being deleted.")
        if action in ("start", "restart"):
            if state != "running":
                power(held, "starting", "running")
        elif action == "deallocate":
            if state != "deallocated":
                power(held, "deallocating", "deallocated")
        elif action == "poweroff":
            if state == "running":
                power(held, "stopping", "stopped")
        elif action == "retrievebootdiagnosticsdata":
            if not held.properties.get("diagnosticsProfile", {}).get("bootDiagnostics", {}).get("enabled"):
                raise ArmError(409, "OperationNotAllowed", "Boot diagnostics is not enabled.")
            return 200, {"serialConsoleLogBlobUri": f"{body['storage']}/{held.hidden['guid']}/serial.log"}
        else:
            return super().act(world, held, action, body)
        return 202, None


def power(held: Held, during: str = "", then: str = "") -> str:
    """The power state, after changing it where told so."""
    if during:
        held.hidden |= {"power": during, "becomes": then, "power_at": time.monotonic() + SETTLES_S}
    elif "becomes" in held.hidden and held.hidden["power_at"] <= time.monotonic():
        held.hidden["power"] = held.hidden.pop("becomes")
    state: str = held.hidden["power"]
    return state


def instance_view(held: Held) -> Json:
    state, doing = power(held), (held.doing or "Succeeded").lower()
    statuses = [{"code": f"ProvisioningState/{doing}", "level": "Info", "displayStatus": doing.capitalize()}]
    if state != "creating":
        statuses.append({"code": f"PowerState/{state}", "level": "Info", "displayStatus": f"VM {state}"})
    return {"statuses": statuses}


def subscription(world: World, resource_id: str) -> Subscription:
    """The subscription that a resource is in."""
    return world.subscriptions[resource_id.split("/")[2].lower()]


def usages(world: World, owner: Subscription, location: str) -> list[Json]:
    """What the subscription uses of its limits in a location."""
    held = world.under(f"/subscriptions/{owner.subscription_id}", MACHINES)
    sizes = [_size(m.properties) for m in held if m.location == location]
    families = Counter[str]()
    for size in sizes:
        families[size.family] += size.cores
    told = [
        ("cores", "Total Regional vCPUs", sum(size.cores for size in sizes), owner.limits.cores),
        ("virtualMachines", "Virtual Machines", len(sizes), owner.limits.machines),
        *(
            (family, family, families[family], owner.limits.cores)
            for family in sorted({size.family for size in catalogue.SIZES.values()})
        ),
    ]
    return [
        {"name": {"value": n, "localizedValue": t}, "unit": "Count", "currentValue": used, "limit": limit}
        for n, t, used, limit in told
    ]


def _within_limits(world: World, held: Held, size: Size, location: str) -> None:
    owner = subscription(world, held.id)
    prefix = f"/subscriptions/{owner.subscription_id}"
    others = [m for m in world.under(prefix, MACHINES) if m.id != held.id and m.location == location]
    used = sum(_size(each.properties).cores for each in others)
    for name, limit, uses, more in (
        ("Total Regional Cores", owner.limits.cores, used, size.cores),
        ("Virtual Machines", owner.limits.machines, len(others), 1),
    ):
        if uses + more > limit:
            message = (
                f"Operation could not be completed as it results in exceeding approved {name} quota. "
                f"Location: {location}, Current Limit: {limit}, Current Usage: {uses}, "
                f"Additional Required: {more}."
            )
            raise ArmError(409, "OperationNotAllowed", message)


def _size(properties: Json) -> Size:
    name = properties.get("hardwareProfile", {}).get("vmSize", "")
    if (size := catalogue.SIZES.get(name.lower())) is None:
        raise ArmError(400, "InvalidParameter", f"The value '{name}' of parameter vmSize is invalid.")
    return size


def _disks(wanted: Json) -> dict[str, Json]:
    """The data disks of a machine by their ids."""
    disks = wanted.get("properties", {}).get("storageProfile", {}).get("dataDisks", [])
    luns = [each["lun"] for each in disks]
    if len(luns) != len(set(luns)):
        raise ArmError(400, "InvalidParameter", "Two data disks have the same lun.")
    return {each["managedDisk"]["id"].lower(): each for each in disks}


def _nic(properties: Json) -> Json:
    made = [
        {"name": each["name"], "properties": {"subnet": each["properties"]["subnet"], "primary": True}}
        for each in properties["ipConfigurations"]
    ]
    kept = {name: properties[name] for name in ("networkSecurityGroup",) if name in properties}
    return {"ipConfigurations": made} | kept


KINDS: dict[str, Kind] = {MACHINES: Machine()}
