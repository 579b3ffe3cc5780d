"""Networks: the common laws, and their address ranges."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from pitrix.errors import Conflict, InvalidInput
from providers.base import Capability, Provider
from providers.resources import Network, NetworkSpec
from tests.contract.providers.bench import Bench
from tests.contract.providers.laws import CreationLaws


class TestNetworks(CreationLaws):
    capability = Capability.NETWORKS

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> Network:
        return bench.network(key, provider)

    def read(self, provider: Provider, resource_id: str) -> Network:
        return provider.networks.get_network(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[Network]:
        return provider.networks.list_networks(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.networks.delete_network(resource_id)

    def id_of(self, resource: Network) -> str:
        return resource.network_id

    def test_ranges_that_the_provider_chooses_do_not_overlap(self, bench: Bench) -> None:
        first, second = ip_network(bench.network("a").cidr), ip_network(bench.network("b").cidr)
        assert not first.overlaps(second)

    def test_a_range_is_given_once(self, bench: Bench) -> None:
        taken = bench.network("a").cidr
        spec = NetworkSpec(name="b", cidr=taken, tags=bench.tags)
        with pytest.raises(Conflict):
            bench.provider.networks.create_network(spec, idempotency_key=bench.key("b"))

    @pytest.mark.parametrize("cidr", ["everything", "0.0.0.0/0", "300.1.2.0/24"])
    def test_what_is_no_private_range_is_refused(self, bench: Bench, cidr: str) -> None:
        spec = NetworkSpec(name="a", cidr=cidr, tags=bench.tags)
        with pytest.raises(InvalidInput):
            bench.provider.networks.create_network(spec, idempotency_key=bench.key("a"))
