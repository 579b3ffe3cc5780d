"""Prices: of every machine type that is on offer, and of volumes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pitrix.errors import ResourceNotFound
from providers.base import Capability
from tests.contract.providers.bench import Bench
from tests.contract.providers.laws import Suite


class TestPrices(Suite):
    capability = Capability.PRICES

    def test_a_machine_type_has_a_price_with_its_source(self, bench: Bench) -> None:
        priced = 0
        for size in bench.provider.machines.machine_types():
            try:
                price = bench.provider.prices.machine_price(size.machine_type)
            except ResourceNotFound:
                continue  # a type that the list does not know is not guessed
            priced += 1
            assert price.micros_per_hour > 0
            assert len(price.currency) == 3
            assert price.source
            assert price.as_of <= datetime.now(UTC).date()
        assert priced, "the list knows no type that is on offer"

    def test_more_machine_costs_more(self, bench: Bench) -> None:
        prices = []
        for size in bench.provider.machines.machine_types():
            try:
                prices.append(bench.provider.prices.machine_price(size.machine_type).micros_per_hour)
            except ResourceNotFound:
                continue
        assert max(prices) > min(prices)

    def test_a_gib_of_the_default_volume_has_a_price(self, bench: Bench) -> None:
        price = bench.provider.prices.volume_price("")
        assert 0 < price.micros_per_hour < 10_000

    def test_what_is_not_sold_has_none(self, bench: Bench) -> None:
        with pytest.raises(ResourceNotFound):
            bench.provider.prices.machine_price("nothing.0000")
        with pytest.raises(ResourceNotFound):
            bench.provider.prices.volume_price("nothing-0000")
