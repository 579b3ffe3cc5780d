"""Public addresses: the common laws, and who has them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pitrix.errors import Conflict, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import Address
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestAddresses(CreationLaws):
    capability = Capability.ADDRESSES

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Address:
        return bench.address(key, provider)

    def read(self, provider: Provider, resource_id: str) -> Address:
        return provider.addresses.get_address(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Address]:
        return provider.addresses.list_addresses(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.addresses.release_address(resource_id)

    def id_of(self, resource: Address) -> str:
        return resource.address_id

    def given(self, bench: Bench, address_id: str) -> Address:
        return eventually(lambda: self.read(bench.provider, address_id), lambda each: each.ip is not None)

    def test_two_are_two(self, bench: Bench) -> None:
        first, second = (self.given(bench, bench.address(key).address_id) for key in "ab")
        assert first.ip != second.ip

    def test_one_machine_has_it_at_a_time(self, bench: Bench) -> None:
        addresses, made = bench.provider.addresses, self.given(bench, bench.address().address_id)
        first, second = bench.running("a"), bench.running("b")
        had = eventually(  # repeated until it is done; what is done already has no effect
            lambda: addresses.associate_address(made.address_id, first.machine_id),
            lambda address: address.machine_id == first.machine_id,
        )
        assert addresses.associate_address(made.address_id, first.machine_id) == had
        eventually(
            lambda: bench.provider.machines.get_machine(first.machine_id),
            lambda machine: machine.public_ip == made.ip,
        )
        with pytest.raises(Conflict):
            addresses.associate_address(made.address_id, second.machine_id)
        eventually(
            lambda: addresses.disassociate_address(made.address_id),
            lambda address: address.machine_id is None,
        )
        assert addresses.disassociate_address(made.address_id).machine_id is None

    def test_neither_end_may_be_missing(self, bench: Bench) -> None:
        made = self.given(bench, bench.address().address_id)
        with pytest.raises(ResourceNotFound):
            bench.provider.addresses.associate_address(made.address_id, "nothing-0000")
        with pytest.raises(ResourceNotFound):
            bench.provider.addresses.associate_address("nothing-0000", "nothing-0000")
        with pytest.raises(ResourceNotFound):
            bench.provider.addresses.disassociate_address("nothing-0000")
