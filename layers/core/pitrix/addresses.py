"""Which addresses a tenant may give (a repository's, a cloud's), and which machines the platform talks to.

Owns the strict reading of URLs and the policy over IP addresses: `repos/sources/guarded.py` applies both to
every connection and every redirect, a cloud's driver to the address in a credential (:func:`check_url`).
Only :func:`check_host` resolves a name, and nothing here opens a socket.

The addresses that are refused follow the IANA special-purpose registries (RFC 6890 and its updates): whatever
is not globally reachable. An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is
as good as the one that it carries.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from pitrix.errors import FieldError, InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Iterable[str]]

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
        raise InvalidInput(f"{_shown(url)} holds a user name; give it in the credential instead.")
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
    """Let a refusal inside name the field that it is about."""
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

    @classmethod
    def from_text(cls, networks: str) -> NetworkPolicy:
        """The policy of a setting: networks with commas between them, none where it is empty.

        Raises:
            InvalidInput: one of them is no network.
        """
        return cls([text for text in networks.split(",") if text.strip()])

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


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name as the machine's resolver gives them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def check_host(host: str, port: int, policy: NetworkPolicy, *, resolver: Resolver = resolve) -> None:
    """Refuse a host that a tenant named if any of its addresses is out of bounds.

    For SDKs, which resolve names by themselves: every address counts, because they may take any of them, and
    a driver asks each time that it connects. A name that changes its address between the two can still lead
    elsewhere; where that matters, let the network that the function runs in have no way there.

    Args:
        host: A name or an address, without brackets.

    Raises:
        InvalidInput: It has no address, or one that may not be talked to; says which and why.
    """
    try:
        found = [ipaddress.ip_address(text) for text in resolver(host, port)]
    except (OSError, UnicodeError):
        raise InvalidInput(f"There is no host {host}, or its name server does not answer.") from None
    if not found:
        raise InvalidInput(f"{host} has no address.")
    for address in found:
        if reason := policy.refusal(address, port):
            place = host if host == str(address) else f"{host} ({address})"
            raise InvalidInput(f"{place} may not be used: it is {reason}.")


def check_url(url: str, policy: NetworkPolicy, *, resolver: Resolver = resolve) -> Target:
    """Take an address that a tenant gave apart, refusing one that leads where tenants have no business.

    Raises:
        InvalidInput: It is no ``http`` or ``https`` address, or :func:`check_host` refuses its host.
    """
    target = parse(url)
    check_host(target.host, target.port, policy, resolver=resolver)
    return target


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
