"""Azure's JSON as ``providers.resources``, and specs as its JSON. No calls, no decisions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pitrix.errors import ResourceNotFound
from providers import checks
from providers.azure.naming import TAG_KEY, TAG_NAME, tags_of
from providers.resources import (
    Image,
    ImageStatus,
    KeyPair,
    Machine,
    MachineSpec,
    MachineStatus,
    MachineType,
    Quota,
    Snapshot,
    SnapshotStatus,
    Volume,
    VolumeStatus,
)

Json = Mapping[str, Any]

SUBNET = "machines"
"""The name of the one subnet of a network."""
ADMINISTRATOR = "pitrix"
DEFAULT_CLASS = "StandardSSD_LRS"
_URN = re.compile(r"[\w.-]+(:[\w.-]+){3}")
_SHARED = re.compile(r"/SharedGalleries/[^/]+/Images/[^/]+/Versions/[^/]+", re.IGNORECASE)
_VERSION = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/[^/]+/providers/Microsoft\.Compute/galleries/([^/]+)"
    r"/images/([^/]+)/versions/([^/]+)",
    re.IGNORECASE,
)
_POWER = {
    "running": MachineStatus.RUNNING,
    "deallocated": MachineStatus.STOPPED,
    "stopped": MachineStatus.STOPPED,
}
_PASSING = ("Creating", "Updating", "Deleting", "Migrating")

# --- what all resources have -------------------------------------------------------------------------------


def location(name: str) -> str:
    """``eastus`` of ``East US``."""
    return name.replace(" ", "").lower()


def carries(told: Json, tags: Mapping[str, str]) -> bool:
    """Whether Pitrix made it, with all of these tags."""
    own = told.get("tags") or {}
    return TAG_KEY in own and all(own.get(name) == value for name, value in tags.items())


def named(told: Json) -> str:
    return str((told.get("tags") or {}).get(TAG_NAME, told.get("name", "")))


def tags(told: Json) -> dict[str, str]:
    """The tags it was made with."""
    return {k: v for k, v in (told.get("tags") or {}).items() if k not in (TAG_KEY, TAG_NAME)}


def state(told: Json) -> str:
    return str(told.get("properties", {}).get("provisioningState", ""))


def body(zone: str, key: str, spec: Any, properties: Json, **more: Any) -> dict[str, Any]:
    """A request to make something for ``spec``, which has a name and tags."""
    tagged = tags_of(key, spec.name, spec.tags)
    return {"location": zone, "tags": tagged, **more, "properties": dict(properties)}


def same(one: str, other: str) -> bool:
    """Whether two ids are one: Azure does not tell capital letters apart."""
    return one.lower() == other.lower()


def _time(told: Json) -> datetime:
    text = told.get("properties", {}).get("timeCreated")
    return datetime.fromisoformat(text) if text else datetime.now(UTC)


# --- machines ----------------------------------------------------------------------------------------------


def image_reference(image: str, subscription: str) -> dict[str, str]:
    """What Azure calls an image of ours: ``publisher:offer:sku:version``, or a gallery's image version.

    Raises:
        ResourceNotFound: It is neither.
    """
    if _URN.fullmatch(image):
        return dict(zip(("publisher", "offer", "sku", "version"), image.split(":"), strict=True))
    if _SHARED.fullmatch(image):
        return {"sharedGalleryImageId": image}
    if version := _VERSION.fullmatch(image):
        if same(version[1], subscription):
            return {"id": image}
        return {
            "sharedGalleryImageId": "/SharedGalleries/{}/Images/{}/Versions/{}".format(*shared_name(image))
        }
    raise ResourceNotFound(f"{image!r} is no image of Azure: publisher:offer:sku:version, or a version's id.")


def shared_name(image: str) -> tuple[str, str, str]:
    """A shared image version as other subscriptions know it: gallery's unique name, image, version.

    Raises:
        ResourceNotFound: It is no version of a gallery.
    """
    version = _VERSION.fullmatch(image)
    if version is None:
        raise ResourceNotFound(f"{image!r} is no image version of a Compute Gallery.")
    return f"{version[1]}-{version[2].upper()}", version[3], version[4]


def _image(reference: Json) -> str:
    """The inverse of :func:`image_reference`, but for another subscription's."""
    if image := reference.get("id") or reference.get("sharedGalleryImageId"):
        return str(image)
    return ":".join(str(reference.get(each, "")) for each in ("publisher", "offer", "sku", "version"))


def machine_request(
    spec: MachineSpec, key: str, *, zone: str, name: str, size: str, image: Json, ssh_key: str, user_data: str
) -> dict[str, Any]:
    """A machine with its network interface and system disk, which go with it; its volumes do not."""
    interface: dict[str, Any] = {
        "primary": True,
        "deleteOption": "Delete",
        "ipConfigurations": [
            {"name": "main", "properties": {"subnet": {"id": f"{spec.network_id}/subnets/{SUBNET}"}}}
        ],
    }
    if spec.security_group_ids:
        interface["networkSecurityGroup"] = {"id": spec.security_group_ids[0]}
    profile: dict[str, Any] = {
        "computerName": re.sub(r"[^A-Za-z0-9-]+", "-", spec.name)[:63].strip("-") or "machine",
        "adminUsername": ADMINISTRATOR,
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {
                "publicKeys": [{"path": f"/home/{ADMINISTRATOR}/.ssh/authorized_keys", "keyData": ssh_key}]
            },
        },
    }
    if user_data:
        profile["customData"] = user_data
    properties = {
        "hardwareProfile": {"vmSize": size},
        "storageProfile": {
            "imageReference": dict(image),
            "osDisk": {
                "createOption": "FromImage",
                "deleteOption": "Delete",
                "managedDisk": {"storageAccountType": DEFAULT_CLASS},
            },
            "dataDisks": data_disks(dict(enumerate(spec.volume_ids))),
        },
        "osProfile": profile,
        "networkProfile": {
            "networkApiVersion": "2020-11-01",
            "networkInterfaceConfigurations": [{"name": name, "properties": interface}],
        },
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
    }
    return body(zone, key, spec, properties)


def data_disks(volume_ids: Mapping[int, str]) -> list[dict[str, Any]]:
    """The data disks of a machine by their numbers; they outlive it."""
    return [
        {"lun": lun, "createOption": "Attach", "deleteOption": "Detach", "managedDisk": {"id": volume_id}}
        for lun, volume_id in sorted(volume_ids.items())
    ]


def volumes_of(told: Json) -> dict[int, str]:
    """The volumes of a machine by their numbers."""
    disks = told["properties"].get("storageProfile", {}).get("dataDisks") or []
    return {disk["lun"]: disk["managedDisk"]["id"] for disk in disks if not disk.get("toBeDetached")}


def interface_of(told: Json) -> str:
    """The id of a machine's network interface; "" before it has one."""
    interfaces = told["properties"].get("networkProfile", {}).get("networkInterfaces") or []
    return str(interfaces[0]["id"]) if interfaces else ""


def network_of(interface: Json) -> str:
    """The network that an interface is in."""
    return str(_main(interface)["subnet"]["id"].rsplit("/", 2)[0])


def address_of(interface: Json) -> str:
    """The id of an interface's public address; "" where it has none."""
    return str((_main(interface).get("publicIPAddress") or {}).get("id", ""))


def _main(interface: Json) -> Json:
    main: Json = interface["properties"]["ipConfigurations"][0]["properties"]
    return main


def machine(
    told: Json,
    interface: Json | None,
    public_ip: str | None,
    sizes: Iterable[MachineType],
    network_id: str = "",
) -> Machine:
    """A machine; ``told`` with its ``instanceView`` where that is known."""
    properties = told["properties"]
    name = properties["hardwareProfile"]["vmSize"]
    size = next((each for each in sizes if same(each.machine_type, name)), None)
    status = machine_status(told)
    return Machine(
        machine_id=told["id"],
        name=named(told),
        status=status,
        cpu=size.cpu if size else 0,
        memory_mib=size.memory_mib if size else 0,
        image=_image(properties.get("storageProfile", {}).get("imageReference") or {}),
        network_id=network_of(interface) if interface else network_id,
        created_at=_time(told),
        machine_type=name,
        private_ip=_main(interface).get("privateIPAddress") if interface else None,
        public_ip=public_ip,
        volume_ids=tuple(volume_id for _, volume_id in sorted(volumes_of(told).items())),
        reason=_reason(told) if status is MachineStatus.ERROR else "",
        tags=tags(told),
    )


def machine_status(told: Json) -> MachineStatus:
    """By the power state; a machine that is being made or deleted has none that counts."""
    if state(told) in ("Creating", "Deleting"):
        return MachineStatus.PENDING
    if state(told) in ("Failed", "Canceled"):
        return MachineStatus.ERROR
    return _POWER.get(_power(told), MachineStatus.PENDING)


def holds_cores(told: Json) -> bool:
    """Whether a machine is off and paid for all the same: shut down from inside, and not deallocated."""
    return _power(told) == "stopped"


def _power(told: Json) -> str:
    for each in _statuses(told):
        kind, _, value = each.get("code", "").partition("/")
        if kind == "PowerState":
            return str(value)
    return ""


def _statuses(told: Json) -> list[Json]:
    return (told["properties"].get("instanceView") or {}).get("statuses") or []


def _reason(told: Json) -> str:
    failed = [each for each in _statuses(told) if each.get("code", "").startswith("ProvisioningState/failed")]
    said = "; ".join(str(each.get("message") or each.get("displayStatus", "")) for each in failed)
    return said or "Azure could not provision the machine."


_COUNTS = {"cores": "cpu", "virtualMachines": "machines"}
"""What limits machines of any size, by Azure's word for it; the others limit one family each."""


def quota(told: Json) -> Quota:
    name = told["name"]["value"]
    return Quota(name=name, used=told["currentValue"], limit=told["limit"], counts=_COUNTS.get(name, ""))


# --- volumes, snapshots ------------------------------------------------------------------------------------


def volume(told: Json) -> Volume:
    properties, machine_id = told["properties"], told.get("managedBy")
    if state(told) == "Failed":
        status = VolumeStatus.ERROR
    elif machine_id:
        status = VolumeStatus.IN_USE
    elif state(told) in _PASSING or properties.get("diskState", "Unattached") != "Unattached":
        status = VolumeStatus.PENDING
    else:
        status = VolumeStatus.AVAILABLE
    return Volume(
        volume_id=told["id"],
        name=named(told),
        status=status,
        size_gib=properties.get("diskSizeGB", 0),
        created_at=_time(told),
        volume_class=told.get("sku", {}).get("name", ""),
        machine_id=machine_id,
        tags=tags(told),
    )


def snapshot(told: Json) -> Snapshot:
    statuses = {"Succeeded": SnapshotStatus.AVAILABLE, "Failed": SnapshotStatus.ERROR}
    return Snapshot(
        snapshot_id=told["id"],
        name=named(told),
        status=statuses.get(state(told), SnapshotStatus.PENDING),
        volume_id=told["properties"]["creationData"].get("sourceResourceId", ""),
        size_gib=told["properties"].get("diskSizeGB", 0),
        created_at=_time(told),
        tags=tags(told),
    )


# --- images, key pairs -------------------------------------------------------------------------------------


def image(told: Json, zone: str) -> Image:
    """An image version as it is in ``zone``, told with its ``replicationStatus``."""
    replicas = (told["properties"].get("replicationStatus") or {}).get("summary") or []
    here: Json = next((each for each in replicas if location(each["region"]) == location(zone)), {})
    status = ImageStatus.PENDING
    if state(told) == "Failed" or here.get("state") == "Failed":
        status = ImageStatus.ERROR
    elif here.get("state") == "Completed" and state(told) != "Deleting":
        status = ImageStatus.AVAILABLE
    return Image(
        image_id=told["id"],
        name=named(told),
        status=status,
        reason=str(here.get("details", "")) if status is ImageStatus.ERROR else "",
        tags=tags(told),
    )


def regions_of(told: Json) -> list[dict[str, Any]]:
    """Where an image version is, or is on its way to."""
    found: list[dict[str, Any]] = told["properties"].get("publishingProfile", {}).get("targetRegions") or []
    return found


def key_pair(told: Json) -> KeyPair:
    return KeyPair(
        key_pair_id=told["id"],
        name=named(told),
        fingerprint=checks.fingerprint(told["properties"]["publicKey"]),
        tags=tags(told),
    )
