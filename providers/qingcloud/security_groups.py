"""Security groups: what may come in to instances.

QingCloud drops what no rule accepts, also between machines of one network where its zone filters there; so a
group gets rules of its own for the machines of its network, which are not told.
"""

from __future__ import annotations

from collections.abc import Mapping

from pitrix.errors import Conflict
from providers import checks
from providers.base import SecurityGroups
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.kinds import SECURITY_GROUP, VXNET, Row
from providers.resources import SecurityGroup, SecurityGroupSpec


class QingCloudSecurityGroups(SecurityGroups):
    """Every promise is the base class's."""

    _cloud: Client

    def create_security_group(self, spec: SecurityGroupSpec, *, idempotency_key: str) -> SecurityGroup:
        for rule in spec.rules:
            checks.rule_range(rule)

        def finish(group_id: str) -> None:
            network = mapping.network(self._cloud.row(VXNET, spec.network_id))
            if not network.cidr:
                raise Conflict(f"The network {spec.network_id} is not ready yet.")
            if not self._rules(group_id):
                rules = mapping.rules_request(spec.rules, network.cidr)
                self._cloud.call("AddSecurityGroupRules", security_group=group_id, rules=rules)

        def make(name: str) -> str:
            self._cloud.row(VXNET, spec.network_id)
            answer = self._cloud.call("CreateSecurityGroup", security_group_name=name)
            return str(answer["security_group_id"])

        row = create_once(
            self._cloud,
            SECURITY_GROUP,
            key=idempotency_key,
            name=spec.name,
            tags=spec.tags,
            make=make,
            finish=finish,
        )
        return self._told(row)

    def get_security_group(self, security_group_id: str) -> SecurityGroup:
        return self._told(self._cloud.row(SECURITY_GROUP, security_group_id))

    def list_security_groups(self, tags: Mapping[str, str]) -> list[SecurityGroup]:
        return [self._told(row) for row in tagged(self._cloud, SECURITY_GROUP, tags)]

    def delete_security_group(self, security_group_id: str) -> None:
        row = self._cloud.row_or_none(SECURITY_GROUP, security_group_id)
        if row is None:
            return
        if row.get("resources"):
            raise Conflict(f"Machines are still in the security group {security_group_id}.")
        self._cloud.call("DeleteSecurityGroups", security_groups=[security_group_id])

    def _told(self, row: Row) -> SecurityGroup:
        return mapping.security_group(row, self._rules(str(row["security_group_id"])))

    def _rules(self, group_id: str) -> list[Row]:
        """What comes in."""
        return self._cloud.everything(
            "DescribeSecurityGroupRules", "security_group_rule_set", security_group=group_id, direction=0
        )
