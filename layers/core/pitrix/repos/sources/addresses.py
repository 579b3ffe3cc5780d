"""Which addresses a repository may have, and which machines the platform may talk to for it.

Owns the strict reading of URLs and the policy over IP addresses; `guarded.py` applies both to every
connection and every redirect. Never resolves a name and never opens a socket.

The addresses that are refused follow the IANA special-purpose registries (RFC 6890 and its updates): whatever
is not globally reachable. An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is
as good as the one that it carries.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from pitrix.errors import FieldError, InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS: Final = {"http": 80, "https": 443}
_MAX_URL: Final = 4096
_MAX_HOST: Final = 253

#: Metadata services of clouds hand out the platform's own credentials: not even the operator opens them.
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, OpenStack, Google
        "169.254.170.2",  # AWS ECS and Lambda-like task roles
        "169.254.170.23",  # AWS EKS pod identity
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",
        "fd20:ce::254",  # Google over IPv6
        "168.63.129.16",  # Azure's host agent; a public address
        "100.100.100.200",  # Alibaba Cloud
    )
)
#: Beyond what `ipaddress` calls not global, in words for the message; the first that fits is told.
_NAMED: Final = tuple(
    (ipaddress.ip_network(network), words)
    for network, words in (
        ("127.0.0.0/8", "a loopback address"),
        ("::1/128", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("fe80::/10", "a link-local address"),
        ("10.0.0.0/8", "a private address"),
        ("172.16.0.0/12", "a private address"),
        ("192.168.0.0/16", "a private address"),
        ("fc00::/7", "a private address"),
        ("fec0::/10", "a private address"),
        ("100.64.0.0/10", "an address of carrier-grade NAT"),
        ("0.0.0.0/8", "an unspecified address"),
        ("::/128", "an unspecified address"),
        ("::/96", "a reserved address"),  # IPv4-compatible addresses, given up by RFC 4291
        ("224.0.0.0/4", "a multicast address"),
        ("ff00::/8", "a multicast address"),
        ("192.88.99.0/24", "a reserved address"),  # 6to4 relays, given up by RFC 7526
        ("240.0.0.0/4", "a reserved address"),
        ("192.0.0.0/24", "a reserved address"),
        ("2001::/23", "a reserved address"),  # Teredo, ORCHID and other protocols' own
        ("3fff::/20", "a reserved address"),
        ("5f00::/16", "a reserved address"),
        ("64:ff9b:1::/48", "an address of a local NAT64"),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_NAME: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?"
)
_NUMERIC: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_SAFE: Final = "/%:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart: ``host`` in lower case and without brackets, ``target`` as it is sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials belong to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address again."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(url: str) -> Target:
    """Take an ``http`` or ``https`` address apart, refusing every spelling that two readers may understand
    differently: user names, backslashes, control characters, hosts written as bare numbers.

    Raises:
        InvalidInput: says what is wrong with it.
    """
    if len(url) > _MAX_URL:
        raise InvalidInput(f"An address may have at most {_MAX_URL} characters; this one has {len(url)}.")
    if any(char <= " " or char == "\\" or char == "\x7f" for char in url):
        raise InvalidInput(f"{_shown(url)} holds spaces, backslashes or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{_shown(url)} is not a valid address: {error}.") from None
    if parts.scheme not in _PORTS:
        raise InvalidInput(f"{_shown(url)} must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise InvalidInput(
            f"{_shown(url)} holds a user name; give it as the repository's credential instead."
        )
    host = _host(parts.hostname or "", url)
    if port is None and parts.netloc.endswith(":"):
        raise InvalidInput(f"{_shown(url)} ends its host with a colon but names no port.")
    if port == 0:
        raise InvalidInput(f"{_shown(url)} names port 0.")
    path = quote(parts.path or "/", safe=_SAFE)
    query = f"?{quote(parts.query, safe=_SAFE + '?[]')}" if parts.query else ""
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path + query)


@contextmanager
def blaming(field: str) -> Iterator[None]:
    """Let a refusal inside name the field of the repository that it is about."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(error.detail, errors=error.errors or [FieldError(field, error.detail)]) from None


def _host(host: str, url: str) -> str:
    """A host in the one spelling that there is for it.

    Raises:
        InvalidInput: it is none, or written in a way that resolvers read as they like.
    """
    host = host.lower()
    if ":" in host or "[" in url.split("://", 1)[-1].split("/", 1)[0]:
        try:
            return str(ipaddress.IPv6Address(host if "%" not in host else "zone"))
        except ValueError:
            raise InvalidInput(f"{_shown(url)}: {host!r} is not an IPv6 address.") from None
    if _NUMERIC.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise InvalidInput(
                f"{_shown(url)}: write the IPv4 address {host!r} as four decimal numbers."
            ) from None
    if len(host) > _MAX_HOST or not _NAME.fullmatch(host):
        hint = "" if host.isascii() else "; write international names in their xn-- form"
        raise InvalidInput(f"{_shown(url)}: {host[:80]!r} is not a host name{hint}.")
    return host


def _shown(url: str) -> str:
    """An address for a message: without a password that somebody wrote into it, and not endless."""
    clean = re.sub(r"//[^/?#]*@", "//…@", url)
    return repr(clean if len(clean) <= 120 else clean[:119] + "…")


class NetworkPolicy:
    """Which addresses may be talked to: the public ones, and the networks that the operator allowed."""

    def __init__(self, allowed_networks: Sequence[str] = ()) -> None:
        """Read the operator's list.

        Args:
            allowed_networks: Networks in CIDR notation (``10.20.0.0/16``, ``fd12::/48``).

        Raises:
            InvalidInput: one of them is no network.
        """
        self._allowed: list[Network] = []
        for text in allowed_networks:
            try:
                self._allowed.append(ipaddress.ip_network(text.strip()))
            except ValueError as error:
                raise InvalidInput(f"Allowed network {text!r} is not in CIDR notation: {error}.") from None

    def is_inside(self, address: Address) -> bool:
        """Whether the operator's list has it, as itself or as what it embeds, and nothing forbids it."""
        seen = [address, *_embedded(address)]
        if any(one in _METADATA for one in seen):
            return False
        return any(net.version == seen[-1].version and seen[-1] in net for net in self._allowed)

    def refusal(self, address: Address, port: int) -> str:
        """Why a connection may not be made, as the rest of "host is at 10.0.0.1, ..."; empty when it may.

        Ports below 1024 other than 80 and 443 belong to other protocols (mail, names, files), which a request
        could be smuggled into; only the operator's own networks may serve packages on them.
        """
        if self.is_inside(address):
            return ""
        for one in (address, *_embedded(address)):
            if one in _METADATA:
                return "the metadata service of a cloud, out of bounds for all"
            if what := _special(one):
                return f"{what}, out of bounds unless the platform's operator allows that network"
        if port < 1024 and port not in (80, 443):
            return f"on port {port}, which is not for HTTP; 80, 443 and those from 1024 on may be used"
        return ""


def _embedded(address: Address) -> list[Address]:
    """The IPv4 address that an IPv6 address carries, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return []


def _special(address: Address) -> str:
    """What is special about an address, in words; empty for a public one."""
    for network, words in _NAMED:
        if address.version == network.version and address in network:
            return words
    if _embedded(address):
        # The one it carries is looked at on its own; Python calls some of these not global, others so.
        return ""
    return "" if address.is_global else "a reserved address"
