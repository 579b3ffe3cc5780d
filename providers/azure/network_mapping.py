"""Azure's JSON of networks, security groups and addresses as ``providers.resources``, and specs as its JSON.

As ``mapping.py``: no calls, no decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network
from typing import Any

from pitrix.errors import InvalidInput
from providers import checks
from providers.azure.mapping import Json, named, state, tags
from providers.resources import (
    Address,
    Network,
    NetworkStatus,
    SecurityGroup,
    SecurityRule,
)


def private_range(cidr: str) -> IPv4Network:
    """A range that a network may have.

    Raises:
        InvalidInput: It is none, or not a private one, or too large or small for Azure (/8 to /29).
    """
    try:
        found = ip_network(cidr)
    except ValueError as error:
        raise InvalidInput(f"{cidr!r} is no range of addresses like 10.0.1.0/24: {error}.") from error
    if not isinstance(found, IPv4Network) or not found.is_private or not 8 <= found.prefixlen <= 29:
        raise InvalidInput(f"{cidr} is no private IPv4 range between /8 and /29.")
    return found


def ranges(told: Json) -> list[IPv4Network]:
    """The IPv4 ranges of a virtual network."""
    found = told["properties"].get("addressSpace", {}).get("addressPrefixes") or []
    return [each for each in map(ip_network, found) if isinstance(each, IPv4Network)]


def network(told: Json) -> Network:
    return Network(
        network_id=told["id"],
        name=named(told),
        cidr=str(next(iter(ranges(told)), "")),
        created_at=None,
        status=NetworkStatus.AVAILABLE if state(told) == "Succeeded" else NetworkStatus.PENDING,
        tags=tags(told),
    )


def security_rules(rules: Iterable[SecurityRule]) -> list[dict[str, Any]]:
    """Rules of a security group, each with a priority of its own.

    Raises:
        InvalidInput: One is none: another protocol than tcp and udp, no range of ports, no network.
    """
    return [_security_rule(number, rule) for number, rule in enumerate(rules)]


def _security_rule(number: int, rule: SecurityRule) -> dict[str, Any]:
    source = str(checks.rule_range(rule))
    one = rule.port_from == rule.port_to
    return {
        "name": f"rule-{number}",
        "properties": {
            "priority": 100 + number,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": rule.protocol.capitalize(),
            "sourceAddressPrefix": source,
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": str(rule.port_from) if one else f"{rule.port_from}-{rule.port_to}",
        },
    }


def security_group(told: Json) -> SecurityGroup:
    return SecurityGroup(
        security_group_id=told["id"],
        name=named(told),
        rules=tuple(_rule(each["properties"]) for each in told["properties"].get("securityRules") or []),
        tags=tags(told),
    )


def _rule(told: Json) -> SecurityRule:
    first, _, last = told["destinationPortRange"].partition("-")
    return SecurityRule(
        protocol=told["protocol"].lower(),
        port_from=int(first),
        port_to=int(last or first),
        cidr=told["sourceAddressPrefix"],
    )


def address(told: Json, machine_id: str | None) -> Address:
    return Address(
        address_id=told["id"],
        name=named(told),
        ip=told["properties"].get("ipAddress"),
        machine_id=machine_id,
        tags=tags(told),
    )
