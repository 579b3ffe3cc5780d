"""Connections to addresses that were checked, and to no name; each bounded by the time of its whole request.

Owns the resolving of names, the choice among addresses (`addresses.NetworkPolicy`), and the deadline of the
request that a thread is busy with. Never knows HTTP: `guarded.py` puts it on top.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpcore

from pitrix.addresses import Address, NetworkPolicy, Resolver
from pitrix.errors import InvalidInput, SourceUnavailable

#: Addresses of one name that are tried before giving up.
_MAX_ADDRESSES: Final = 4

#: When the request of this thread has to be over, on the monotonic clock.
_deadline: ContextVar[float] = ContextVar("pitrix_source_deadline")


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound everything that this thread sends and receives inside."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float:
    """Seconds left for the request of this thread.

    Raises:
        httpcore.ReadTimeout: none.
    """
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for the whole request is over")
    return left


def tls(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later, trusting certifi's authorities and none of the machine's."""
    if ca_file is None:
        import certifi

        ca_file = certifi.where()
    return ssl.create_default_context(cafile=ca_file)


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and to no name."""

    def __init__(self, policy: NetworkPolicy, resolver: Resolver, inside_only: bool) -> None:
        self._policy = policy
        self._resolver = resolver
        self._inside_only = inside_only
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception = httpcore.ConnectError()
        for address in self._checked(host, port)[:_MAX_ADDRESSES]:
            left = min(timeout or 10.0, seconds_left())
            try:
                return _TimedStream(self._sockets.connect_tcp(str(address), port, timeout=left))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def _checked(self, host: str, port: int) -> list[Address]:
        """The addresses of a host that may be connected to.

        Raises:
            InvalidInput: there are addresses, and none of them may be.
            SourceUnavailable: there is no such host.
        """
        try:
            found = [ipaddress.ip_address(text) for text in self._resolver(host, port)]
        except (OSError, UnicodeError):
            raise SourceUnavailable(f"There is no host {host}, or its name server does not answer.") from None
        good, refusal = [], f"{host} has no address."
        for address in found:
            reason = self._policy.refusal(address, port)
            if not reason and self._inside_only and not self._policy.is_inside(address):
                reason = "public, and a login or a plain registry needs https there"
            if not reason:
                good.append(address)
            else:
                place = host if host == str(address) else f"{host} ({address})"
                refusal = f"{place} may not be used: it is {reason}."
        if not good:
            raise InvalidInput(refusal)
        return good


class _TimedStream(httpcore.NetworkStream):
    """A connection on which every operation also ends with the time for the whole request."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=min(timeout or 20.0, seconds_left()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=min(timeout or 20.0, seconds_left()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = min(timeout or 10.0, seconds_left())
        try:
            return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout=left))
        except httpcore.ConnectError as error:
            raise SourceUnavailable(_tls_failure(server_hostname or "The host", error.__cause__)) from None

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _tls_failure(host: str, cause: BaseException | None) -> str:
    """Why no TLS came about, in our words."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"The certificate of {host} is not valid: {cause.verify_message}."
    if isinstance(cause, ssl.SSLError):
        return f"{host} does not speak TLS there, or an outdated version of it."
    return f"The connection to {host} broke off."
