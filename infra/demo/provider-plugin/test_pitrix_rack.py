"""What the contract suite does not know of the rack's provider. Run both with: pytest -k rack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pitrix_rack_target import start

import providers
from pitrix.errors import InvalidInput
from providers.resources import NetworkSpec


def test_a_rack_is_found_by_its_name_and_offers_networks() -> None:
    assert "rack" in providers.names()
    assert providers.get("rack").capabilities() == {"networks"}


def test_a_rack_is_not_looked_for_where_tenants_have_no_business(tmp_path: Path) -> None:
    with start(tmp_path) as target:
        inside = replace(target.account, settings={})
        with pytest.raises(InvalidInput, match="loopback address"):
            target.connect(inside).validate_credential()


def test_each_row_has_networks_of_its_own(tmp_path: Path) -> None:
    with start(tmp_path) as target:
        spec = NetworkSpec(name="n")
        target.connect().networks.create_network(spec, idempotency_key="k")
        other = target.connect(replace(target.account, zone="b"))
        assert other.networks.list_networks({}) == []
