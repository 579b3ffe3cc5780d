"""What the contract does not see of the provider at a vCenter: sessions, secrets, other people's things."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

from pitrix.errors import Conflict, ResourceNotFound
from providers.resources import Volume
from providers.vmware import guest, mapping
from tests.contract.providers.bench import Bench
from tests.contract.providers.targets import Target, Unavailable, vmware

pytestmark = pytest.mark.xdist_group("cloud-vmware")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    try:
        with vmware.start(tmp_path_factory.mktemp("vmware")) as found:
            yield found
    except Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(str(why))
        pytest.skip(str(why))


@pytest.fixture
def bench(target: Target) -> Iterator[Bench]:
    bench = Bench(target)
    yield bench
    bench.sweep()


def configuration(bench: Bench, moid: str) -> dict[str, Any]:
    """The extra configuration of a machine or template, as vCenter tells it."""
    ref = bench.provider._inventory.client.of("VirtualMachine", moid)
    return {option.key: option.value for option in ref.config.extraConfig}


def test_later_instances_take_up_the_session(bench: Bench, target: Target) -> None:
    manager = bench.provider._inventory.client.content.sessionManager
    bench.provider.zones()
    others = [target.connect() for _ in range(3)]
    assert {each._inventory.client.content.sessionManager.currentSession.key for each in others} == {
        manager.currentSession.key
    }


def test_a_session_that_vcenter_ended_is_begun_anew(bench: Bench, target: Target) -> None:
    client = bench.provider._inventory.client
    ended = client.content.sessionManager.currentSession.key
    client.content.sessionManager.Logout()
    bench.provider = again = target.connect()
    assert again.zones()
    assert again._inventory.client.content.sessionManager.currentSession.key != ended


def test_an_image_does_not_carry_what_the_machine_was_told(bench: Bench) -> None:
    machine = bench.machine(user_data="echo a token that only this machine has")
    told = configuration(bench, machine.machine_id)
    written = base64.b64decode(told[guest.USER_DATA]).decode()
    assert base64.b64encode(b"#!/bin/sh\necho a token that only this machine has").decode() in written
    image = bench.image()
    assert not configuration(bench, image.image_id).get(guest.USER_DATA)


def test_a_copy_that_somebody_made_by_hand_is_theirs(bench: Bench) -> None:
    """It inherits the record in its configuration, and neither listing nor deleting may touch it."""
    machine = bench.running()
    client, place = bench.provider._inventory.client, bench.provider._inventory.place
    source = client.of("VirtualMachine", machine.machine_id)
    record = {mapping.RECORD: configuration(bench, machine.machine_id)[mapping.RECORD]}
    wish = vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(pool=place.pool),
        powerOn=False,
        template=False,
        config=vim.vm.ConfigSpec(extraConfig=mapping.options(record)),
    )
    copy = source.CloneVM_Task(bench.provider._inventory.folder(), "a copy by hand", wish).info.result
    try:
        assert [m.machine_id for m in bench.provider.machines.list_machines(bench.tags)] == [
            machine.machine_id
        ]
        with pytest.raises(ResourceNotFound):
            bench.provider.machines.get_machine(copy._moId)
        bench.provider.machines.delete_machine(copy._moId)
        assert copy.name == "a copy by hand"
    finally:
        copy.Destroy_Task()


def test_other_peoples_networks_are_used_and_not_deleted(bench: Bench) -> None:
    networks = bench.provider.networks
    [theirs, *_] = [network for network in networks.list_networks({}) if not network.tags]
    assert networks.get_network(theirs.network_id).cidr == ""
    machine = bench.running(network_id=theirs.network_id)
    assert machine.network_id == theirs.network_id
    with pytest.raises(Conflict):
        networks.delete_network(theirs.network_id)


def test_a_machine_gives_its_address_back(bench: Bench) -> None:
    first = bench.running("a")
    bench.provider.machines.delete_machine(first.machine_id)
    assert bench.gone(first.machine_id)
    assert bench.running("b").private_ip == first.private_ip


def test_a_grown_volume_keeps_its_size_while_it_is_attached(bench: Bench) -> None:
    volumes, machine = bench.provider.volumes, bench.running()
    volume: Volume = bench.volume()
    volumes.attach_volume(volume.volume_id, machine.machine_id)
    grown = volumes.extend_volume(volume.volume_id, size_gib=3)
    assert (grown.size_gib, grown.machine_id) == (3, machine.machine_id)
    assert volumes.detach_volume(volume.volume_id).size_gib == 3


def test_a_volume_is_not_given_to_a_second_machine(bench: Bench) -> None:
    volume = bench.volume()
    bench.running("a", volume_ids=(volume.volume_id,))
    with pytest.raises(Conflict):
        bench.machine("b", volume_ids=(volume.volume_id,))


def test_an_image_leaves_volumes_with_their_machine(bench: Bench) -> None:
    volume = bench.volume()
    bench.machine(volume_ids=(volume.volume_id,))
    image = bench.image()
    ref = bench.provider._inventory.client.of("VirtualMachine", image.image_id)
    disks = [each for each in ref.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk)]
    assert len(disks) == 1
    assert bench.provider.volumes.get_volume(volume.volume_id).machine_id is not None
