"""Changes of a virtual machine's devices: network cards and disks. No calls.

Negative keys name new devices within one change; vCenter gives them others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pitrix.errors import InvalidInput
from providers.vmware.sdk import vim

VOLUME_MODE = "independent_persistent"
"""How volumes are attached: snapshots of the machine leave them out, and they are told from its own disks,
whatever became of their files' names (storage vMotion gives them others)."""


def nic(backing: Any) -> Any:
    """A new network card, as a change of a machine's devices."""
    device = vim().vm.device
    card = device.VirtualVmxnet3(key=-1, backing=backing)
    card.connectable = device.VirtualDevice.ConnectInfo(
        startConnected=True, allowGuestControl=True, connected=True
    )
    return device.VirtualDeviceSpec(operation="add", device=card)


def removed(device: Any) -> Any:
    """Taking a device away, and leaving its file where it is."""
    return vim().vm.device.VirtualDeviceSpec(operation="remove", device=device)


def without_nics(devices: Iterable[Any]) -> list[Any]:
    """Taking all network cards away."""
    card = vim().vm.device.VirtualEthernetCard
    return [removed(device) for device in devices if isinstance(device, card)]


def disk_of(size_gib: int) -> list[Any]:
    """A controller and a new thin disk on it."""
    device = vim().vm.device
    controller = device.ParaVirtualSCSIController(key=-101, busNumber=0, sharedBus="noSharing")
    backing = device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", thinProvisioned=True, fileName="")
    disk = device.VirtualDisk(
        key=-102, controllerKey=-101, unitNumber=0, capacityInKB=size_gib << 20, backing=backing
    )
    return [
        device.VirtualDeviceSpec(operation="add", device=controller),
        device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk),
    ]


def grown(disk: Any, size_gib: int) -> Any:
    """Making a disk larger."""
    disk.capacityInKB = size_gib << 20
    disk.capacityInBytes = size_gib << 30
    return vim().vm.device.VirtualDeviceSpec(operation="edit", device=disk)


_SCSI_UNITS = tuple(unit for unit in range(16) if unit != 7)
"""Places on a SCSI controller; 7 is its own."""


def attached(devices: Iterable[Any], disks: Iterable[Any]) -> list[Any]:
    """Attaching disks that lie in files already, at free places of a SCSI controller, or of a new one."""
    device = vim().vm.device
    present = list(devices)
    controllers = [each for each in present if isinstance(each, device.VirtualSCSIController)]
    changes = []
    if controllers:
        key = controllers[0].key
    else:
        key = -201
        controller = device.ParaVirtualSCSIController(key=key, busNumber=0, sharedBus="noSharing")
        changes.append(device.VirtualDeviceSpec(operation="add", device=controller))
    taken = {each.unitNumber for each in present if each.controllerKey == key}
    free = iter(unit for unit in _SCSI_UNITS if unit not in taken)
    for number, disk in enumerate(disks):
        unit = next(free, None)
        if unit is None:
            raise InvalidInput(f"A machine holds {len(_SCSI_UNITS)} disks, and this one has that many.")
        backing = device.VirtualDisk.FlatVer2BackingInfo(
            diskMode=VOLUME_MODE, fileName=disk.backing.fileName, datastore=disk.backing.datastore
        )
        added = device.VirtualDisk(
            key=-210 - number,
            controllerKey=key,
            unitNumber=unit,
            capacityInKB=disk.capacityInKB,
            backing=backing,
        )
        changes.append(device.VirtualDeviceSpec(operation="add", device=added))
    return changes
