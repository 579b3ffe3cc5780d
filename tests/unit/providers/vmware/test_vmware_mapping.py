"""What vSphere's objects become, and what a machine is told at boot."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from pyVmomi import vim

from pitrix.errors import InvalidInput
from providers.resources import MachineStatus
from providers.vmware import devices, guest, mapping
from providers.vmware.mapping import Kept, Kind

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def properties(noted: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What vCenter tells of a machine that was made with a record."""
    told = {
        "name": "any",
        "config.extraConfig": mapping.options({mapping.RECORD: json.dumps(noted)}),
        "config.instanceUuid": noted["uuid"],
        "config.hardware": vim.vm.VirtualHardware(numCPU=1, memoryMB=512),
        "runtime.powerState": "poweredOff",
    }
    return told | more


def machine(age: timedelta = timedelta(0), **more: Any) -> Kept:
    noted = mapping.record(Kind.MACHINE, "key", "web", {"a": "b"})
    noted["created_at"] = (NOW - age).isoformat()
    seen = mapping.kept(vim.VirtualMachine("vm-1"), properties(noted, **more))
    assert seen is not None
    return seen


def test_what_was_made_is_known_by_its_record() -> None:
    seen = machine()
    assert (seen.kind, seen.moid, seen.record["name"], seen.record["tags"]) == (
        Kind.MACHINE,
        "vm-1",
        "web",
        {"a": "b"},
    )


def test_a_copy_that_somebody_made_is_theirs() -> None:
    noted = mapping.record(Kind.MACHINE, "key", "web", {})
    copied = properties(noted, **{"config.instanceUuid": "another"})
    assert mapping.kept(vim.VirtualMachine("vm-2"), copied) is None


@pytest.mark.parametrize("value", ["", "no JSON", "[]", '{"kind": "castle"}'])
def test_what_carries_no_record_is_somebody_elses(value: str) -> None:
    told = {
        "name": "any",
        "config.extraConfig": mapping.options({mapping.RECORD: value}),
        "config.hardware": 1,
    }
    assert mapping.kept(vim.VirtualMachine("vm-3"), told) is None


def test_a_copy_in_the_making_is_pending() -> None:
    seen = mapping.kept(vim.VirtualMachine("vm-4"), {"name": mapping.name_for(Kind.MACHINE, "a-b.c")})
    assert seen is not None
    assert (seen.kind, seen.record["key"]) == (Kind.MACHINE, "a-b.c")
    assert mapping.power(seen, [], NOW) == (MachineStatus.PENDING, "")
    assert mapping.kept(vim.VirtualMachine("vm-5"), {"name": "somebody-else"}) is None


def test_names_in_vcenter_fit_the_longest_key() -> None:
    assert all(len(mapping.name_for(kind, "k" * 64)) <= 80 for kind in Kind)


OFF = vim.event.VmPoweredOffEvent()
FAILED = vim.event.VmFailedToPowerOnEvent(fullFormattedMessage="no host has that much memory")


@pytest.mark.parametrize(
    ("age", "events", "status", "word"),
    [
        (timedelta(seconds=5), [], MachineStatus.PENDING, ""),
        (timedelta(seconds=5), [OFF], MachineStatus.STOPPED, ""),
        (timedelta(seconds=5), [FAILED], MachineStatus.ERROR, "that much memory"),
        (timedelta(minutes=11), [], MachineStatus.ERROR, "not switched it on"),
        (timedelta(days=2), [], MachineStatus.STOPPED, ""),
    ],
    ids=["about to boot", "switched off", "failed to start", "never started", "old"],
)
def test_why_a_machine_is_off(age: timedelta, events: list[Any], status: MachineStatus, word: str) -> None:
    told, reason = mapping.power(machine(age), events, NOW)
    assert told is status
    assert word in reason


def test_volumes_are_put_at_free_places_of_the_controller() -> None:
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="[store] a.vmdk", diskMode="persistent")
    disk = vim.vm.device.VirtualDisk(
        key=2000, controllerKey=1000, unitNumber=0, backing=backing, capacityInKB=4
    )
    controller = vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing")
    changes = devices.attached([controller, disk], [disk] * 14)
    assert [change.device.unitNumber for change in changes] == [1, 2, 3, 4, 5, 6, *range(8, 16)]
    assert all(change.fileOperation is None for change in changes), "a file that is there is not made"
    with pytest.raises(InvalidInput):
        devices.attached([controller, disk], [disk] * 15)


def test_a_machine_without_a_controller_gets_one() -> None:
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="[store] a.vmdk", diskMode="persistent")
    disk = vim.vm.device.VirtualDisk(key=2000, backing=backing, capacityInKB=4)
    controller, added = devices.attached([], [disk])
    assert added.device.controllerKey == controller.device.key


def decoded(settings: dict[str, str], name: str) -> str:
    assert settings[f"{name}.encoding"] == "base64"
    return base64.b64decode(settings[name]).decode()


def test_the_script_is_a_file_that_runs_at_every_boot() -> None:
    told = guest.settings("echo hello", address="", cidr="", host_name="web-1")
    written = decoded(told, guest.USER_DATA)
    assert written.startswith("#cloud-config\n")
    [file] = yaml.safe_load(written)["write_files"]
    assert file["path"].startswith("/var/lib/cloud/scripts/per-boot/")
    assert base64.b64decode(file["content"]) == b"#!/bin/sh\necho hello"
    assert "network" not in json.loads(decoded(told, guest.METADATA))


def test_the_address_is_set_with_its_router() -> None:
    told = guest.settings("", address="10.80.1.7", cidr="10.80.1.0/24", host_name="web-1")
    metadata = json.loads(decoded(told, guest.METADATA))
    [nic] = metadata["network"]["ethernets"].values()
    assert (nic["addresses"], nic["gateway4"]) == (["10.80.1.7/24"], "10.80.1.1")
    assert metadata["local-hostname"] == "web-1"


def test_no_two_machines_are_the_same_instance() -> None:
    first, second = (
        json.loads(decoded(guest.settings("", address="", cidr="", host_name="a"), guest.METADATA))
        for _ in range(2)
    )
    assert first["instance-id"] != second["instance-id"]


@pytest.mark.parametrize(
    ("name", "host"), [("web_1", "web-1"), ("数据库", "node"), ("a" * 70, "a" * 63), ("-a-", "a")]
)
def test_names_become_host_names(name: str, host: str) -> None:
    assert guest.host_name(name) == host
