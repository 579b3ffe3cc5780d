"""Loopback addresses as a private network: 127.80.N.0/24 for each network, a host each machine.

Linux answers on all of 127.0.0.0/8. Where it does not (macOS, unless ``ifconfig lo0 alias`` was used),
every network is 127.0.0.1/32 and all machines share that one address: an application that listens on a
fixed port then runs on one machine at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from functools import cache
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path
from zlib import crc32

from .errors import Clash, Invalid, QuotaReached

RANGE = IPv4Network("127.80.0.0/16")
SHARED = IPv4Network("127.0.0.1/32")
MOST_NETWORKS = 254
_HOLD_PORT = 8079


@cache
def has_many_addresses() -> bool:
    """Whether this system lets a program listen on any loopback address."""
    with socket.socket() as probe:
        try:
            probe.bind((str(RANGE[-2]), 0))
        except OSError:
            return False
    return True


class Held:
    """The networks this process has for itself on the machine: two hypervisors never hand out the same.

    A network is held by a socket on its first address, so the hold ends with the process, however it ends.
    """

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}

    def take(self, cidr: str) -> bool:
        """Hold a network; False when another process has it. The one network of some systems is shared."""
        if cidr in self._sockets or IPv4Network(cidr) == SHARED:
            return True
        hold = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            hold.bind((str(IPv4Network(cidr)[1]), _HOLD_PORT))
        except OSError:
            hold.close()
            return False
        self._sockets[cidr] = hold
        return True

    def release(self, cidr: str) -> None:
        """Let others have a network; one that is not held is no error."""
        hold = self._sockets.pop(cidr, None)
        if hold is not None:
            hold.close()

    def release_all(self) -> None:
        """Let others have all networks."""
        for cidr in list(self._sockets):
            self.release(cidr)


def choose_network(
    wanted: str | None, taken: Iterable[str], data: Path, may_have: Callable[[str], bool] = lambda _: True
) -> str:
    """The CIDR of a new network: ``wanted`` if it may be had, the next free one otherwise.

    The search starts at a place of its own for each data folder; ``may_have`` says whether no other
    hypervisor on this machine has a network (see ``Held.take``).

    Raises:
        Invalid: ``wanted`` is no /24 inside 127.80.0.0/16.
        Clash: ``wanted`` is taken.
        QuotaReached: All are taken.
    """
    if not has_many_addresses():
        if wanted not in (None, str(SHARED)):
            raise Invalid(f"This system has one loopback address only; the one network is {SHARED}.")
        return str(SHARED)
    used = set(taken)
    if wanted is not None:
        try:
            network = IPv4Network(wanted)
        except (AddressValueError, NetmaskValueError, ValueError) as error:
            raise Invalid(f"{wanted!r} is not an IPv4 network: {error}.") from error
        if network.prefixlen != 24 or not network.subnet_of(RANGE) or network.network_address in (RANGE[0],):
            raise Invalid(f"{wanted} cannot be had here: ask for a /24 inside {RANGE} other than its first.")
        if str(network) in used or not may_have(str(network)):
            raise Clash(f"{wanted} is taken by another network.")
        return str(network)
    start = crc32(str(data.resolve()).encode())
    for step in range(MOST_NETWORKS):
        candidate = f"127.80.{(start + step) % MOST_NETWORKS + 1}.0/24"
        if candidate not in used and may_have(candidate):
            return candidate
    raise QuotaReached(f"All {MOST_NETWORKS} networks of {RANGE} are taken.")


def choose_address(cidr: str, taken: Iterable[str]) -> str:
    """A free address of a network.

    Raises:
        QuotaReached: None is free.
    """
    network = IPv4Network(cidr)
    if network == SHARED:
        return str(network[0])
    used = set(taken)
    for host in list(network.hosts())[1:]:  # .1 is where a network's gateway is elsewhere; keep it free
        if str(host) not in used:
            return str(host)
    raise QuotaReached(f"All addresses of {cidr} are taken.")
