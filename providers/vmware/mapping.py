"""vSphere's objects as ``providers.resources``, and specs as vSphere's. No calls, no decisions.

What Pitrix makes carries a record in its extra configuration: kind, key, name, tags and when it was made, set
by the very call that makes it. Its name in vCenter is of kind and key, so that vCenter refuses a second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from providers.resources import (
    Image,
    ImageStatus,
    Machine,
    MachineStatus,
    Network,
    NetworkStatus,
    Volume,
    VolumeStatus,
)
from providers.vmware.devices import VOLUME_MODE
from providers.vmware.sdk import vim

if TYPE_CHECKING:
    from providers.vmware.inventory import Place

PATHS = (
    "name",
    "config.extraConfig",
    "config.instanceUuid",
    "config.template",
    "config.hardware",
    "runtime.powerState",
    "guest.ipAddress",
    "guest.toolsRunningStatus",
)
"""What is read of a virtual machine or template."""

RECORD = "pitrix.record"
SIZE = "pitrix.size_gib"

SWITCHED_OFF = "vim.event.VmPoweredOffEvent"
FAILED_TO_START = "vim.event.VmFailedToPowerOnEvent"

BOOT_WITHIN = timedelta(minutes=10)
"""A clone that is off after so long is not about to boot any more."""

FORGOTTEN_AFTER = timedelta(days=1)
"""Events older than this are not asked for: vCenter forgets them some day, and then a machine is just off."""

MIB_PER_STEP = 4
"""vSphere's step of memory sizes, in MiB."""

_ID = re.compile(r"vm-[0-9]{1,18}")
_NETWORK_ID = re.compile(r"(dvportgroup|network)-[0-9]{1,18}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).isoformat()


class Kind(StrEnum):
    """What an object that Pitrix made stands for."""

    MACHINE = "machine"
    VOLUME = "volume"
    IMAGE = "image"
    NETWORK = "network"


@dataclass(frozen=True)
class Kept:
    """A virtual machine or template that Pitrix made: its record, and vSphere's properties by path."""

    ref: Any
    kind: Kind
    record: Mapping[str, Any]
    properties: Mapping[str, Any]

    @property
    def moid(self) -> str:
        return str(self.ref._moId)

    @property
    def created(self) -> str:
        return str(self.record["created_at"])

    @property
    def is_complete(self) -> bool:
        """Whether vCenter has made it; a copy that is being made has a name and nothing else."""
        return "config.hardware" in self.properties

    @property
    def is_on(self) -> bool:
        return str(self.properties.get("runtime.powerState")) != "poweredOff"

    @property
    def devices(self) -> list[Any]:
        return list(self.properties["config.hardware"].device) if self.is_complete else []

    @property
    def disks(self) -> list[Any]:
        return [device for device in self.devices if isinstance(device, vim().vm.device.VirtualDisk)]

    @property
    def volume_disks(self) -> list[Any]:
        """Disks of volumes that are attached to it."""
        return [disk for disk in self.disks if disk.backing.diskMode == VOLUME_MODE]

    @property
    def files(self) -> list[str]:
        """Where its disks lie."""
        return [disk.backing.fileName for disk in self.disks]

    def holder(self, machines: Mapping[str, Kept]) -> Kept | None:
        """Of ``machines`` by the files of their disks, the one that has a disk of this volume."""
        return next((machines[file] for file in self.files if file in machines), None)


def is_machine_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def is_network_id(text: str) -> bool:
    return _NETWORK_ID.fullmatch(text) is not None


def name_for(kind: Kind, key: str) -> str:
    """The name in vCenter of what is made for a key: at most 79 of the 80 characters that vSphere allows."""
    return f"pitrix-{kind}-{key}"


def record(kind: Kind, key: str, name: str, tags: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """What Pitrix notes at a thing that it is making now.

    ``uuid`` becomes the instance's own in vCenter too. A copy that somebody makes there inherits the record
    but gets another one, and so is not taken for Pitrix's.
    """
    noted = {"kind": kind, "key": key, "name": name, "tags": dict(tags), **more}
    return noted | {"uuid": str(uuid4()), "created_at": datetime.now(UTC).isoformat()}


def options(values: Mapping[str, str]) -> list[Any]:
    """Extra configuration; an empty value takes a key away."""
    return [vim().option.OptionValue(key=key, value=value) for key, value in values.items()]


def kept(ref: Any, properties: Mapping[str, Any]) -> Kept | None:
    """What Pitrix made, or None for somebody else's."""
    values = {option.key: option.value for option in properties.get("config.extraConfig", ())}
    try:
        noted = json.loads(values.get(RECORD, "null"))
    except ValueError:
        return None
    if noted is None and "config.hardware" not in properties:
        noted = _unfinished(str(properties.get("name", "")))
    if not isinstance(noted, dict) or noted.get("kind") not in list(Kind):
        return None
    if noted.get("uuid") != properties.get("config.instanceUuid"):
        return None
    if SIZE in values:
        noted["size_gib"] = int(values[SIZE])
    return Kept(ref, Kind(noted["kind"]), noted, properties)


def _unfinished(name: str) -> dict[str, Any] | None:
    """What a copy's name tells while vCenter is making it."""
    prefix, _, rest = name.partition("-")
    kind, _, key = rest.partition("-")
    if prefix != "pitrix" or not key:
        return None
    return {"kind": kind, "key": key, "name": key, "tags": {}, "created_at": _EPOCH}


def carries(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(tags.get(name) == value for name, value in wanted.items())


def places(found: Iterable[tuple[Any, Mapping[str, Any]]], root: Any) -> dict[str, Place]:
    """The zones of a vCenter by name, from what was read of its whole inventory."""
    from providers.vmware.inventory import Datastore, Place

    v = vim()
    by_id = {ref._moId: (ref, properties) for ref, properties in found}

    def path(ref: Any) -> tuple[str, Any]:
        """The names from below the root, without the folders that hold hosts; and the datacenter."""
        _, properties = by_id[ref._moId]
        parent = properties.get("parent")
        if isinstance(ref, v.Datacenter):
            before = path(parent)[0] if parent and parent._moId != root._moId else ""
            return f"{before}{properties['name']}/", ref
        if parent is None or parent._moId not in by_id or ref._moId == root._moId:
            return "", None
        before, datacenter = path(parent)
        if datacenter is not None and by_id[datacenter._moId][1]["hostFolder"]._moId == ref._moId:
            return before, datacenter
        return f"{before}{properties['name']}/", datacenter

    result = {}
    for ref, properties in by_id.values():
        if not isinstance(ref, v.ComputeResource) or "resourcePool" not in properties:
            continue
        zone, datacenter = path(ref)
        if datacenter is None:
            continue
        hosts = [by_id[host._moId][1].get("summary.hardware") for host in properties.get("host", ())]
        stores = [by_id[store._moId] for store in properties.get("datastore", ()) if store._moId in by_id]
        result[zone.rstrip("/")] = Place(
            zone=zone.rstrip("/"),
            datacenter=datacenter,
            machine_folder=by_id[datacenter._moId][1]["vmFolder"],
            network_folder=by_id[datacenter._moId][1]["networkFolder"],
            pool=properties["resourcePool"],
            hosts=tuple(properties.get("host", ())),
            datastores=tuple(
                Datastore(store, told.name, told.capacity >> 30, told.freeSpace >> 30)
                for store, told in ((store, seen["summary"]) for store, seen in stores)
                if told.accessible
            ),
            cpu=max((hardware.numCpuThreads for hardware in hosts if hardware), default=0),
            memory_mib=max((hardware.memorySize >> 20 for hardware in hosts if hardware), default=0),
        )
    return dict(sorted(result.items()))


# --- machines ----------------------------------------------------------------------------------------


def power(seen: Kept, events: Iterable[Any], now: datetime) -> tuple[MachineStatus, str]:
    """A machine's status and its reason; ``events`` tell that it was switched off, or failed to start."""
    if not seen.is_complete:
        return MachineStatus.PENDING, ""
    if seen.is_on:
        return MachineStatus.RUNNING, ""
    told = {type(event).__name__: event for event in events}
    age = now - datetime.fromisoformat(seen.created)
    if SWITCHED_OFF in told or age > FORGOTTEN_AFTER:
        return MachineStatus.STOPPED, ""
    if failed := told.get(FAILED_TO_START):
        return (
            MachineStatus.ERROR,
            f"vCenter could not switch it on: {failed.fullFormattedMessage or 'no reason'}",
        )
    if age > BOOT_WITHIN:
        return MachineStatus.ERROR, "vCenter made it, but has not switched it on."
    return MachineStatus.PENDING, ""


def machine(
    seen: Kept, *, status: MachineStatus, reason: str = "", volume_ids: tuple[str, ...] = ()
) -> Machine:
    noted = seen.record
    hardware = seen.properties.get("config.hardware")
    return Machine(
        machine_id=seen.moid,
        name=noted["name"],
        status=status,
        cpu=hardware.numCPU if hardware else 0,
        memory_mib=hardware.memoryMB if hardware else 0,
        image=noted.get("image", ""),
        network_id=noted.get("network", ""),
        created_at=datetime.fromisoformat(noted["created_at"]),
        private_ip=noted.get("address") or seen.properties.get("guest.ipAddress"),
        volume_ids=volume_ids,
        reason=reason,
        tags=noted["tags"],
    )


# --- volumes, images, networks -----------------------------------------------------------------------


def volume(seen: Kept, machine: Kept | None) -> Volume:
    noted = seen.record
    status = VolumeStatus.AVAILABLE if machine is None else VolumeStatus.IN_USE
    return Volume(
        volume_id=seen.moid,
        name=noted["name"],
        status=status if seen.disks else VolumeStatus.PENDING,
        size_gib=noted.get("size_gib", 0),
        created_at=datetime.fromisoformat(noted["created_at"]),
        volume_class=noted.get("volume_class", ""),
        machine_id=machine.moid if machine else None,
        tags=noted["tags"],
    )


def image(ref: Any, properties: Mapping[str, Any]) -> Image:
    """A template, of Pitrix's or of anybody's."""
    seen = kept(ref, properties)
    return Image(
        image_id=ref._moId,
        name=seen.record["name"] if seen else properties["name"],
        status=ImageStatus.AVAILABLE if properties.get("config.template") else ImageStatus.PENDING,
        tags=seen.record["tags"] if seen else {},
    )


def network(ref: Any, properties: Mapping[str, Any], *, has_pool: bool) -> Network:
    """A port group, of Pitrix's (with a record in its description) or of anybody's."""
    noted = network_record(properties)
    pending = bool(noted) and not has_pool
    return Network(
        network_id=ref._moId,
        name=noted.get("name") or properties["name"],
        cidr=noted.get("cidr", ""),
        created_at=datetime.fromisoformat(noted["created_at"]) if noted else None,
        status=NetworkStatus.PENDING if pending else NetworkStatus.AVAILABLE,
        tags=noted.get("tags", {}),
    )


def network_record(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What Pitrix noted at a port group; empty for somebody else's."""
    description = getattr(properties.get("config"), "description", None) or ""
    try:
        noted = json.loads(description)
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) and noted.get("kind") == Kind.NETWORK else {}


def address_pool(name: str, within: IPv4Network, ref: Any) -> Any:
    """vCenter's pool of a network's addresses: all but the network's own, the router's and the broadcast."""
    manager = vim().vApp.IpPool
    return manager(
        name=name,
        ipv4Config=manager.IpPoolConfigInfo(
            subnetAddress=str(within.network_address),
            netmask=str(within.netmask),
            gateway=str(within[1]),
            range=f"{within[2]}#{within.num_addresses - 3}",
            dhcpServerAvailable=False,
            ipPoolEnabled=True,
        ),
        networkAssociation=[manager.Association(network=ref, networkName=name)],
    )
