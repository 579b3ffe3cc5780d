"""What is written upon a QingCloud resource, and what is read from one."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import TAG_CLUSTER
from providers.qingcloud import mapping
from providers.qingcloud.kinds import INSTANCE, VOLUME
from providers.resources import MachineStatus, SecurityRule, VolumeStatus

TAGS = {TAG_CLUSTER: "cl_01", "pitrix-node": "node_01"}


def instance(**changes: Any) -> dict[str, Any]:
    row = {
        "instance_id": "i-1",
        "instance_name": mapping.cloud_name("web", "key.1", TAGS),
        "description": mapping.description("web", TAGS, {}),
        "status": "running",
        "vcpus_current": 1,
        "memory_current": 1024,
        "create_time": "2026-11-23T06:00:00Z",
    }
    return row | changes


def volume(**changes: Any) -> dict[str, Any]:
    row = {
        "volume_id": "vol-1",
        "volume_name": mapping.cloud_name("data", "key.1", TAGS),
        "description": mapping.description("data", TAGS, {"size_gib": 20}),
        "status": "available",
        "size": 20,
        "create_time": "2026-11-23T06:00:00Z",
    }
    return row | changes


@pytest.mark.parametrize("name", ["web", "", "web [1]", "узел 一", "n" * 300, "a\nb", "x [pitrix other]"])
def test_a_name_carries_its_key_and_comes_back(name: str) -> None:
    written = mapping.cloud_name(name, "key.1:a", TAGS)
    assert len(written) <= mapping.NAME_LENGTH
    said = mapping.mark(
        INSTANCE, instance(instance_name=written, description=mapping.description(name, TAGS, {}))
    )
    assert (said.name, said.key, said.tags, said.complete) == (name, "key.1:a", TAGS, True)


@pytest.mark.parametrize("description", ["", None, "somebody's note", '{"name": 1}', "[]", '{"tags": 5}'])
def test_what_is_half_made_is_found_by_its_cluster(description: str | None) -> None:
    row = instance(description=description)
    assert not mapping.mark(INSTANCE, row).complete
    assert mapping.carries(INSTANCE, row, {TAG_CLUSTER: "cl_01"})
    assert not mapping.carries(INSTANCE, row, TAGS)


@pytest.mark.parametrize("name", ["web-1", "web [prod]", ""])
def test_what_is_not_ours_carries_nothing(name: str) -> None:
    row = instance(instance_name=name, description="")
    assert not mapping.carries(INSTANCE, row, {})
    assert mapping.mark(INSTANCE, row).name == name


@pytest.mark.parametrize("cluster", ["c" * 41, "a cluster", "a]cluster", ""])
def test_a_cluster_that_no_name_can_hold_is_not_searched_by_name(cluster: str) -> None:
    tags = {TAG_CLUSTER: cluster}
    assert mapping.searchable(tags) == ""
    row = instance(
        instance_name=mapping.cloud_name("web", "k", tags), description=mapping.description("web", tags, {})
    )
    assert mapping.carries(INSTANCE, row, tags)


@pytest.mark.parametrize(
    ("status", "transition", "told"),
    [
        ("pending", "creating", MachineStatus.PENDING),
        ("running", "", MachineStatus.RUNNING),
        ("running", "stopping", MachineStatus.PENDING),
        ("stopped", "starting", MachineStatus.PENDING),
        ("stopped", "", MachineStatus.STOPPED),
        ("suspended", "", MachineStatus.ERROR),
        ("ceased", "", MachineStatus.TERMINATED),
    ],
)
def test_a_machine_on_its_way_is_pending(status: str, transition: str, told: MachineStatus) -> None:
    machine = mapping.machine(instance(status=status, transition_status=transition))
    assert machine.status is told
    assert bool(machine.reason) is (told is MachineStatus.ERROR)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (volume(), VolumeStatus.AVAILABLE),
        (volume(status="pending"), VolumeStatus.PENDING),
        (volume(status="in-use"), VolumeStatus.IN_USE),
        (volume(transition_status="attaching"), VolumeStatus.PENDING),
        (volume(size=10), VolumeStatus.PENDING),  # it is to grow to 20 yet
        (volume(status="suspended"), VolumeStatus.ERROR),
    ],
)
def test_a_volume_is_available_when_it_has_its_size(row: dict[str, Any], told: VolumeStatus) -> None:
    assert mapping.volume(row).status is told
    assert mapping.mark(VOLUME, row).extra == {"size_gib": 20}


def test_a_state_without_a_word_of_ours_is_waited_for() -> None:
    assert mapping.machine(instance(status="rescuing")).status is MachineStatus.PENDING


def test_machines_of_the_network_come_in_whatever_the_rules() -> None:
    wanted = (SecurityRule(protocol="tcp", port_from=80, port_to=81),)
    rules = mapping.rules_request(wanted, "192.168.7.0/24")
    own = [rule for rule in rules if rule["val3"] == "192.168.7.0/24"]
    assert [(rule["protocol"], rule.get("val1"), rule.get("val2")) for rule in own] == [
        ("tcp", "1", "65535"),
        ("udp", "1", "65535"),
        ("icmp", None, None),
    ]
    told = mapping.security_group({"security_group_id": "sg-1"}, [{"val3": ""} | rule for rule in rules])
    assert told.rules == wanted
