"""Security groups: the common laws, and their rules."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import Capability, Provider
from providers.resources import SecurityGroup, SecurityRule
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.laws import CreationLaws


class TestSecurityGroups(CreationLaws):
    capability = Capability.SECURITY_GROUPS

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> SecurityGroup:
        return bench.security_group(key, provider)

    def read(self, provider: Provider, resource_id: str) -> SecurityGroup:
        return provider.security_groups.get_security_group(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[SecurityGroup]:
        return provider.security_groups.list_security_groups(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.security_groups.delete_security_group(resource_id)

    def id_of(self, resource: SecurityGroup) -> str:
        return resource.security_group_id

    def test_it_has_the_rules_that_were_wanted(self, bench: Bench) -> None:
        rules = (
            SecurityRule(protocol="tcp", port_from=80, port_to=80),
            SecurityRule(protocol="tcp", port_from=9000, port_to=9010, cidr="198.51.100.0/24"),
            SecurityRule(protocol="udp", port_from=53, port_to=53),
        )
        made = bench.security_group(rules=rules)
        read = self.read(bench.provider, made.security_group_id)
        assert set(read.rules) == set(made.rules) == set(rules)

    def test_one_without_rules_lets_nothing_in(self, bench: Bench) -> None:
        made = bench.security_group(rules=())
        assert self.read(bench.provider, made.security_group_id).rules == ()

    @pytest.mark.parametrize(
        "rule",
        [
            SecurityRule(protocol="carrier-pigeon", port_from=1, port_to=1),
            SecurityRule(protocol="tcp", port_from=0, port_to=70_000),
            SecurityRule(protocol="tcp", port_from=90, port_to=80),
            SecurityRule(protocol="tcp", port_from=80, port_to=80, cidr="everywhere"),
        ],
        ids=["protocol", "port", "range", "cidr"],
    )
    def test_a_rule_that_is_none_is_refused(self, bench: Bench, rule: SecurityRule) -> None:
        with pytest.raises(InvalidInput):
            bench.security_group(rules=(rule,))
        assert self.ids(bench) == []

    def test_a_machine_is_put_into_it_and_keeps_it(self, bench: Bench) -> None:
        made = bench.security_group().security_group_id
        machine = bench.running(security_group_ids=(made,))
        with pytest.raises(Conflict):
            self.delete(bench.provider, made)
        bench.provider.machines.delete_machine(machine.machine_id)
        eventually(lambda: bench.gone(machine.machine_id), bool)
        self.delete_and_wait(bench, made)

    def test_a_machine_wants_one_that_exists(self, bench: Bench) -> None:
        with pytest.raises(ResourceNotFound):
            bench.machine(security_group_ids=("nothing-0000",))
