"""OpenStack's JSON and ours: statuses, addresses, tags, sizes with GPUs, user data."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from pitrix.errors import InvalidInput
from providers.openstack import mapping
from providers.resources import MachineStatus, VolumeStatus

SERVER: dict[str, Any] = {
    "id": "d0c0ffee-0000-4000-8000-000000000001",
    "name": "web-1",
    "status": "ACTIVE",
    "created": "2026-11-23T06:00:00Z",
    "flavor": {"vcpus": 2, "ram": 2048, "original_name": "m1.small"},
    "image": {"id": "an-image"},
    "metadata": {"pitrix-key": "k", "pitrix-network": "a-network", "pitrix-cluster": "cl-1"},
    "addresses": {
        "inner": [
            {"version": 6, "addr": "fd00::5", "OS-EXT-IPS:type": "fixed"},
            {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed"},
            {"version": 4, "addr": "198.18.0.9", "OS-EXT-IPS:type": "floating"},
        ]
    },
}


@pytest.mark.parametrize(
    ("status", "task", "ours"),
    [
        ("BUILD", "spawning", MachineStatus.PENDING),
        ("ACTIVE", None, MachineStatus.RUNNING),
        ("ACTIVE", "powering-off", MachineStatus.PENDING),
        ("SHUTOFF", None, MachineStatus.STOPPED),
        ("SHUTOFF", "powering-on", MachineStatus.PENDING),
        ("SHUTOFF", "image_uploading", MachineStatus.STOPPED),
        ("VERIFY_RESIZE", None, MachineStatus.PENDING),
        ("SUSPENDED", None, MachineStatus.STOPPED),
        ("SOFT_DELETED", None, MachineStatus.TERMINATED),
        ("ERROR", None, MachineStatus.ERROR),
        ("A STATUS OF TOMORROW", None, MachineStatus.PENDING),
    ],
)
def test_a_server_with_a_task_is_pending(status: str, task: str | None, ours: MachineStatus) -> None:
    assert mapping.machine(SERVER | {"status": status, "OS-EXT-STS:task_state": task}).status is ours


def test_a_machine_has_its_addresses_and_only_its_tags() -> None:
    machine = mapping.machine(SERVER)
    assert (machine.private_ip, machine.public_ip) == ("10.0.0.5", "198.18.0.9")
    assert machine.network_id == "a-network"
    assert machine.tags == {"pitrix-cluster": "cl-1"}
    assert machine.reason == ""


def test_a_failed_machine_says_why() -> None:
    failed = SERVER | {"status": "ERROR", "fault": {"message": "No valid host was found."}}
    assert "No valid host" in mapping.machine(failed).reason


def test_a_volume_booted_server_has_no_image() -> None:
    assert mapping.machine(SERVER | {"image": ""}).image == ""


def test_descriptions_carry_what_tags_do_whatever_is_in_them() -> None:
    tags = {"pitrix-cluster": "cl-1", "owner": "a&b=c, ü"}
    answer = {"description": mapping.description("run.a:1", tags, name="an address")}
    assert mapping.tags(mapping.described(answer)) == tags
    assert mapping.described(answer)[mapping.KEY] == "run.a:1"
    more = {"description": mapping.description_with(answer, cidr="10.1.2.0/24")}
    assert mapping.described(more)[mapping.CIDR] == "10.1.2.0/24"
    assert mapping.tags(mapping.described(more)) == tags


@pytest.mark.parametrize("text", ["", None, "Default security group", "a=b&c=d"])
def test_descriptions_of_others_are_not_ours(text: str | None) -> None:
    assert mapping.described({"description": text}) == {}


def test_tags_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="255 characters"):
        mapping.description("k", {"pitrix-cluster": "x" * 255})


def test_tags_for_looking_up_have_the_form_that_nova_takes() -> None:
    tag = mapping.server_tag("a/name", "a,value" * 50)
    assert len(tag) <= 60
    assert not set(tag) & set(",/")
    assert tag != mapping.server_tag("a/name", "another")


def test_what_an_image_inherited_is_no_tag_of_its_own() -> None:
    answer = {
        "id": "i",
        "name": "n",
        "status": "active",
        "pitrix-tags": "a",
        "a": "1",
        "pitrix-node": "cln-1",
    }
    assert mapping.image(answer).tags == {"a": "1"}


@pytest.mark.parametrize(
    ("specs", "count"),
    [
        ({}, 0),
        ({"pci_passthrough:alias": "a100:2"}, 2),
        ({"resources:VGPU": "1"}, 1),
        ({"hw:cpu_policy": "x"}, 0),
    ],
)
def test_gpus_of_a_flavour(specs: dict[str, str], count: int) -> None:
    assert mapping.gpus(specs) == count


def test_user_data_runs_at_every_boot() -> None:
    script = "#!/bin/sh\necho 'ü: \"quoted\"'\n"
    text = base64.b64decode(mapping.user_data(script)).decode()
    assert text.startswith("#cloud-config\n")
    [file] = yaml.safe_load(text)["write_files"]
    assert file["path"].startswith("/var/lib/cloud/scripts/per-boot/")
    assert base64.b64decode(file["content"]).decode() == script


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("available", VolumeStatus.AVAILABLE),
        ("in-use", VolumeStatus.IN_USE),
        ("error_deleting", VolumeStatus.ERROR),
        ("reserved", VolumeStatus.PENDING),
    ],
)
def test_a_volume_is_in_use_when_it_is_attached(status: str, ours: VolumeStatus) -> None:
    answer = {
        "id": "v",
        "name": None,
        "status": status,
        "size": 1,
        "created_at": "2026-11-23T06:00:00.000000",
    }
    volume = mapping.volume(answer)
    assert volume.status is ours
    assert volume.created_at.utcoffset() is not None


def test_no_limit_is_none() -> None:
    limits = {"totalCoresUsed": 3, "maxTotalCores": -1, "totalInstancesUsed": 1, "maxTotalInstances": 10}
    assert [(quota.name, quota.used, quota.limit) for quota in mapping.quotas(limits)] == [
        ("instances", 1, 10),
        ("cores", 3, None),
    ]
