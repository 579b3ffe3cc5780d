"""Security groups: neutron's, which let nothing in and everything out unless a rule says so."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from pitrix.errors import Conflict, InvalidInput, ResourceNotFound
from providers.base import SecurityGroups, check_key
from providers.openstack import mapping, once
from providers.openstack.client import Client, known
from providers.openstack.mapping import Json
from providers.resources import SecurityGroup, SecurityGroupSpec, SecurityRule


class OpenStackSecurityGroups(SecurityGroups):
    """A group, its rules, and one more rule for the machines of its network."""

    _cloud: Client

    def create_security_group(self, spec: SecurityGroupSpec, *, idempotency_key: str) -> SecurityGroup:
        """The rules are made in one call: a group without any is one whose creation was cut short."""
        key = check_key(idempotency_key)
        rules = [_rule(rule) for rule in spec.rules]
        described = mapping.description(key, spec.tags)
        inside = self._range(spec.network_id)

        def make() -> Json:
            body = {"name": spec.name, "description": described}
            made: Json = self._cloud.call(
                "network", "POST", "/security-groups", body={"security_group": body}
            )["security_group"]
            return made

        made = once.once(
            self._cloud,
            "security group",
            key,
            find=lambda: [each for each in self._groups() if mapping.described(each)[mapping.KEY] == key],
            make=make,
            read=self._group,
            discard=self._delete_group,
        )
        if not any(each.get("description") == mapping.INSIDE for each in made["security_group_rules"]):
            made = self._add_rules(made["id"], [*rules, _inside(inside)])
        return mapping.security_group(made)

    def get_security_group(self, security_group_id: str) -> SecurityGroup:
        return mapping.security_group(self._group(known(security_group_id, "security group")))

    def list_security_groups(self, tags: Mapping[str, str]) -> list[SecurityGroup]:
        found = [each for each in self._groups() if mapping.carries(mapping.described(each), tags)]
        return [mapping.security_group(each) for each in found]

    def delete_security_group(self, security_group_id: str) -> None:
        try:
            self._delete_group(known(security_group_id, "security group"))
        except ResourceNotFound:
            return
        once.forget(self._cloud, security_group_id)

    # --- calls -------------------------------------------------------------------------------------------

    def _add_rules(self, group_id: str, rules: list[dict[str, Any]]) -> Json:
        """Add all rules; two calls at once add the same ones, of which neutron takes each but once."""
        wanted = [
            {"security_group_id": group_id, "direction": "ingress", "ethertype": "IPv4", **rule}
            for rule in rules
        ]
        try:
            body = {"security_group_rules": wanted}
            self._cloud.call("network", "POST", "/security-group-rules", body=body)
        except Conflict:  # SecurityGroupRuleExists
            pass
        return self._group(group_id)

    def _range(self, network_id: str) -> str:
        """The addresses of a network's machines."""
        network = self._cloud.get("network", f"/networks/{known(network_id, 'network')}")["network"]
        if cidr := mapping.described(network).get(mapping.CIDR):
            return cidr
        subnets = self._cloud.get("network", "/subnets", {"network_id": network_id})["subnets"]
        if not subnets:
            raise InvalidInput("The network has no addresses yet; ask for it until it is available.")
        return str(subnets[0]["cidr"])

    def _groups(self) -> list[Any]:
        query = {"project_id": self._cloud.project_id}
        found = self._cloud.pages("network", "/security-groups", "security_groups", query)
        return [each for each in found if mapping.described(each)]

    def _group(self, group_id: str) -> Json:
        found: Json = self._cloud.get("network", f"/security-groups/{group_id}")["security_group"]
        return found

    def _delete_group(self, group_id: str) -> None:
        self._cloud.call("network", "DELETE", f"/security-groups/{group_id}")


def _rule(rule: SecurityRule) -> dict[str, Any]:
    """A rule as neutron takes it.

    Raises:
        InvalidInput: It is none.
    """
    if rule.protocol not in ("tcp", "udp"):
        raise InvalidInput(f"A rule's protocol is tcp or udp, not {rule.protocol!r}.")
    if not 1 <= rule.port_from <= rule.port_to <= 65_535:
        raise InvalidInput(f"A rule's ports lie between 1 and 65535, not {rule.port_from} to {rule.port_to}.")
    try:
        IPv4Network(rule.cidr)
    except ValueError as error:
        raise InvalidInput(f"{rule.cidr!r} is not a range of addresses: {error}.") from None
    return {
        "protocol": rule.protocol,
        "port_range_min": rule.port_from,
        "port_range_max": rule.port_to,
        "remote_ip_prefix": rule.cidr,
        "description": "",
    }


def _inside(cidr: str) -> dict[str, Any]:
    """Machines of the network reach each other on every port. All rules of one call have the same fields."""
    open_ports = {"protocol": None, "port_range_min": None, "port_range_max": None}
    return {**open_ports, "remote_ip_prefix": cidr, "description": mapping.INSIDE}
