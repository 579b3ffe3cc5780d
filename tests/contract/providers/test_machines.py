"""Machines: the common laws, and a machine's life."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from pitrix.errors import Conflict, InvalidInput, QuotaExceeded, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import COUNTED, Machine, MachineStatus, VolumeStatus
from tests.contract.providers.bench import PUBLIC_KEY, Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestMachines(CreationLaws):
    capability = Capability.MACHINES

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Machine:
        return bench.machine(key, provider)

    def read(self, provider: Provider, resource_id: str) -> Machine:
        machine = provider.machines.get_machine(resource_id)
        if machine.status is MachineStatus.TERMINATED:  # the other way a cloud may say that it is gone
            raise ResourceNotFound(resource_id)
        return machine

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Machine]:
        return provider.machines.list_machines(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.machines.delete_machine(resource_id)

    def id_of(self, resource: Machine) -> str:
        return resource.machine_id

    def test_types_and_images_are_on_offer(self, bench: Bench) -> None:
        types = bench.provider.machines.machine_types()
        assert types
        assert types == sorted(types, key=lambda size: (size.cpu, size.memory_mib))
        assert bench.provider.machines.machine_images()

    def test_it_comes_up_with_an_address_in_its_network(self, bench: Bench) -> None:
        machine = bench.running(cpu=2, memory_mib=1024)
        assert machine.cpu >= 2
        assert machine.memory_mib >= 1024
        assert machine.private_ip is not None
        assert ip_address(machine.private_ip) in ip_network(bench.network().cidr)
        assert machine.reason == ""

    def test_two_machines_have_two_addresses(self, bench: Bench) -> None:
        assert bench.running("a").private_ip != bench.running("b").private_ip

    def test_stopping_and_starting_keep_the_address(self, bench: Bench) -> None:
        machine = bench.running()
        machines = bench.provider.machines
        machines.stop_machine(machine.machine_id)
        stopped = bench.settled(machine.machine_id, MachineStatus.STOPPED)
        assert stopped.private_ip == machine.private_ip
        assert machines.stop_machine(machine.machine_id).status is MachineStatus.STOPPED
        machines.start_machine(machine.machine_id)
        assert bench.settled(machine.machine_id, MachineStatus.RUNNING).private_ip == machine.private_ip
        assert machines.start_machine(machine.machine_id).status is MachineStatus.RUNNING

    def test_only_a_stopped_one_is_resized(self, bench: Bench) -> None:
        machine = bench.running()
        machines = bench.provider.machines
        with pytest.raises(Conflict):
            machines.resize_machine(machine.machine_id, cpu=2, memory_mib=2048)
        machines.stop_machine(machine.machine_id)
        bench.settled(machine.machine_id, MachineStatus.STOPPED)
        eventually(
            lambda: machines.resize_machine(machine.machine_id, cpu=2, memory_mib=2048),
            lambda resized: resized.cpu >= 2 and resized.memory_mib >= 2048,
        )

    @pytest.mark.parametrize("lacking", ["image", "network_id", "key_pair"])
    def test_what_it_is_made_of_must_exist(self, bench: Bench, lacking: str) -> None:
        with pytest.raises(ResourceNotFound):
            bench.machine(**{lacking: "nothing-0000"})
        assert self.ids(bench) == []

    def test_no_type_is_as_large_as_that(self, bench: Bench) -> None:
        with pytest.raises(InvalidInput):
            bench.machine(cpu=100_000, memory_mib=1 << 40)

    def test_a_full_account_says_so(self, small: Bench) -> None:
        small.machine("a")
        with pytest.raises(QuotaExceeded):
            small.machine("b")
        assert len(self.ids(small)) == 1

    def test_too_little_memory_left_is_a_quota_too(self, small: Bench) -> None:
        with pytest.raises(QuotaExceeded):
            small.machine(memory_mib=2048)

    def test_the_accounts_limits_and_their_use_are_told(self, bench: Bench) -> None:
        quotas = bench.provider.machines.quotas()
        before = {quota.name: quota.used for quota in quotas}
        counts = {quota.counts for quota in quotas}
        assert counts & {"machines", "cpu", "memory_mib"}, (
            "no limit is told that a plan could be held against"
        )
        assert counts <= {*COUNTED, ""}
        bench.running()
        after = {quota.name: quota.used for quota in bench.provider.machines.quotas()}
        assert after.keys() == before.keys()
        assert any(after[name] > before[name] for name in after), "a machine more uses more of something"

    def test_its_volume_outlives_it(self, bench: Bench) -> None:
        bench.target.need(Capability.VOLUMES)
        volume = bench.volume()
        machine = bench.running(volume_ids=(volume.volume_id,))
        assert machine.volume_ids == (volume.volume_id,)
        attached = bench.provider.volumes.get_volume(volume.volume_id)
        assert (attached.status, attached.machine_id) == (VolumeStatus.IN_USE, machine.machine_id)
        self.delete_and_wait(bench, machine.machine_id)
        assert bench.available(volume.volume_id).machine_id is None

    def test_a_network_with_machines_stays(self, bench: Bench) -> None:
        machine = bench.running()
        with pytest.raises(Conflict):
            bench.provider.networks.delete_network(machine.network_id)

    @pytest.mark.parametrize("call", ["start_machine", "stop_machine", "console_output"])
    def test_nothing_can_be_done_to_what_never_was(self, bench: Bench, call: str) -> None:
        with pytest.raises(ResourceNotFound):
            getattr(bench.provider.machines, call)("nothing-0000")

    def test_user_data_runs_at_every_boot(self, bench: Bench) -> None:
        self.guests_only(bench)
        machine = bench.running(user_data="echo booted\nsleep 600")
        console = bench.provider.machines.console_output
        eventually(lambda: console(machine.machine_id), lambda text: text.count("booted") == 1)
        bench.provider.machines.stop_machine(machine.machine_id)
        bench.settled(machine.machine_id, MachineStatus.STOPPED)
        bench.provider.machines.start_machine(machine.machine_id)
        eventually(lambda: console(machine.machine_id), lambda text: text.count("booted") == 2)

    def test_user_data_that_fails_is_an_error_with_a_reason(self, bench: Bench) -> None:
        self.guests_only(bench)
        made = bench.machine(user_data="echo first; echo no such package >&2; exit 7")
        failed = eventually(
            lambda: bench.provider.machines.get_machine(made.machine_id),
            lambda machine: machine.status is MachineStatus.ERROR,
        )
        assert "7" in failed.reason
        assert "no such package" in failed.reason

    def test_it_accepts_its_key_pair(self, bench: Bench) -> None:
        self.guests_only(bench)
        pair = bench.key_pair()
        machine = bench.running(key_pair=pair.key_pair_id, user_data="cat ~/.ssh/authorized_keys")
        console = bench.provider.machines.console_output
        eventually(lambda: console(machine.machine_id), lambda text: PUBLIC_KEY in text)

    @staticmethod
    def guests_only(bench: Bench) -> None:
        if not bench.target.runs_guests:
            pytest.skip(f"nothing runs inside the machines of {bench.target.name}'s simulator")
