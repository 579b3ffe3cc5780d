"""Specs as EC2's parameters and its answers as resources, where the contract's target cannot show it."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime
from email import message_from_bytes

import pytest

from pitrix.errors import CredentialInvalid, InvalidInput
from providers.aws import mapping, userdata
from providers.aws.client import region_of
from providers.resources import MachineStatus, MachineType, SecurityRule

SIZE = MachineType(machine_type="t3.micro", cpu=2, memory_mib=1024)


def instance(state: str = "running", **more: object) -> dict[str, object]:
    root = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-root"}}
    return {
        "InstanceId": "i-1",
        "ImageId": "ami-1",
        "State": {"Name": state},
        "LaunchTime": datetime(2026, 11, 23, tzinfo=UTC),
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [root],
        **more,
    }


def test_a_machine_is_pending_until_its_volumes_are_attached() -> None:
    waiting = instance(Tags=[{"Key": mapping.TAG_VOLUMES, "Value": "vol-1"}])
    assert mapping.machine(waiting, SIZE).status is MachineStatus.PENDING
    waiting["BlockDeviceMappings"] = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeId": "vol-1"}}]
    machine = mapping.machine(waiting, SIZE)
    assert (machine.status, machine.volume_ids, machine.tags) == (MachineStatus.RUNNING, ("vol-1",), {})


def test_the_disk_it_boots_from_is_no_volume_of_its() -> None:
    assert mapping.machine(instance(), SIZE).volume_ids == ()


def test_wildcards_in_tags_are_only_letters() -> None:
    [found] = mapping.by_tags({"a": "x*?\\"})
    assert found == {"Name": "tag:a", "Values": ["x\\*\\?\\\\"]}


def test_names_made_of_keys_differ_by_key_and_run() -> None:
    assert len({mapping.derived("a"), mapping.derived("b"), mapping.derived("a", "1")}) == 3
    assert len(mapping.derived("k" * 64, "9")) <= 64


def test_a_rule_for_ipv6_is_one_too() -> None:
    rule = SecurityRule(protocol="tcp", port_from=443, port_to=443, cidr="2001:db8::/32")
    [permission] = mapping.permissions([rule])
    answer = {"GroupId": "sg-1", "IpPermissions": [permission]}
    assert mapping.security_group(answer).rules == (rule,)


def test_a_zone_has_a_region() -> None:
    assert region_of("ap-southeast-2c") == "ap-southeast-2"
    assert region_of("us-gov-west-1a") == "us-gov-west-1"
    for other in ("us-east-1", "nowhere", ""):
        with pytest.raises(CredentialInvalid):
            region_of(other)


def test_user_data_runs_at_every_boot_after_the_volumes_came() -> None:
    parts = message_from_bytes(userdata.wrapped("#!/bin/sh\necho hello", ["vol-0abc"])).get_payload()
    kinds = [part.get_content_type() for part in parts]
    assert kinds == ["text/cloud-config", "text/x-shellscript", "text/x-shellscript"]
    config, wait, script = (part.get_payload(decode=True).decode() for part in parts)
    assert "[scripts-user, always]" in config
    assert "vol0abc" in wait
    assert script.startswith("#!/bin/sh\necho hello")


def test_large_user_data_is_compressed_and_too_large_is_refused() -> None:
    data = userdata.wrapped("echo hello\n" * 5000, [])
    assert len(data) < userdata.MAX_BYTES
    assert b"x-shellscript" in gzip.decompress(data)
    noise = random.Random(7).randbytes(40_000).hex()
    with pytest.raises(InvalidInput, match="user data"):
        userdata.wrapped(noise, [])
    assert userdata.wrapped("", ["vol-1"]) == b""
