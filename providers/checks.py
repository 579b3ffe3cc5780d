"""What every cloud asks of a security rule and of a public key, and what is said of one that is none.

Owns no cloud's own limits: a driver refuses beyond this what its cloud does not take. No calls.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_network

from pitrix.errors import InvalidInput
from providers.resources import SecurityRule


def rule_range(rule: SecurityRule) -> IPv4Network | IPv6Network:
    """Whom a security rule lets in, if it is one.

    Raises:
        InvalidInput: Another protocol than tcp and udp, no range of ports, no range of addresses.
    """
    if rule.protocol not in ("tcp", "udp"):
        raise InvalidInput(f"A security rule is for tcp or udp, not {rule.protocol!r}.")
    if not 1 <= rule.port_from <= rule.port_to <= 65_535:
        raise InvalidInput(f"{rule.port_from} to {rule.port_to} is no range of ports between 1 and 65535.")
    try:
        return ip_network(rule.cidr)
    except ValueError as error:
        raise InvalidInput(f"{rule.cidr!r} is no range of addresses: {error}.") from error


def public_key(text: str, *, kinds: Collection[str] = ()) -> str:
    """A public key in OpenSSH's one-line form, without what is around it (RFC 4253, section 6.6, in Base64).

    Args:
        kinds: Those that the cloud takes (``ssh-ed25519``); any when left out.

    Raises:
        InvalidInput: It is something else.
    """
    line = text.strip()
    kind, blob = line.split(" ")[0], _blob(line)
    named = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    one_line = len(line.splitlines()) == 1
    if not one_line or len(blob) <= 4 + len(named) or named != kind.encode() or (kinds and kind not in kinds):
        wanted = " or ".join(kinds) or "such as ssh-ed25519 AAAA… comment"
        raise InvalidInput(f"That is not a public key in OpenSSH's form, on one line: {wanted}.")
    return line


def fingerprint(text: str) -> str:
    """The fingerprint that ``ssh-keygen -l`` shows of a key in OpenSSH's form; "" of anything else."""
    if not (blob := _blob(text)):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _blob(text: str) -> bytes:
    """The key itself, without its kind and comment; nothing where there is none."""
    try:
        return base64.b64decode(text.split()[1], validate=True)
    except (IndexError, ValueError):
        return b""
