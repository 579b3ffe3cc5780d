"""The one way out to the network for all remote sources: an HTTP client that cannot be led astray or drowned.

Owns, for every request:

* where it goes: names are resolved here, each address is checked (`addresses.NetworkPolicy`), and the
  connection is made to the very address that was checked, so that a name which changes its mind between
  the check and the connection (DNS rebinding) gains nothing. TLS and ``Host`` still see the name.
* where it is led: redirects are followed by hand, each checked like the first, never from https to http, and
  a login stays with the origin that it was given for.
* how much it takes: time to connect, time between two bytes, time in all, bytes as sent and as unpacked,
  bytes of headers (`httpcore`: 100 KB).
* what it takes from this machine: no proxy, no certificate store, no cookie, nothing of the environment.

Never decides what an answer means: `answers.py` and the sources do. The resolver of the operating system is
bounded by its own limits (some 10 s), not by ours.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final
from urllib.parse import urljoin

import httpcore

from pitrix.addresses import NetworkPolicy, Resolver, Target, parse, resolve
from pitrix.errors import FieldError, InvalidInput, SourceUnavailable
from pitrix.repos.model import Credential
from pitrix.repos.sources.answers import Answer, read
from pitrix.repos.sources.sockets import GuardedBackend, deadline, tls

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_USER_AGENT: Final = "pitrix"
#: Seconds that an idle connection is kept: shorter than what servers do, so that they seldom close it first.
_KEEPALIVE_S: Final = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds to connect, between two bytes, and in all, redirects and unpacking included."""

    connect_s: float = 10.0
    read_s: float = 20.0
    total_s: float = 120.0


def login_of(credential: Credential) -> str:
    """The ``Authorization`` of a basic login (RFC 7617, in UTF-8).

    Raises:
        InvalidInput: the credential is another kind of one.
    """
    if not credential.username or ":" in credential.username:
        said = "This kind of repository takes a username, without a colon, and a password or token."
        raise InvalidInput(said, errors=[FieldError("credential", said)])
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


class GuardedClient:
    """Sends requests to the addresses that a policy lets through. Safe to use from several threads."""

    def __init__(
        self,
        policy: NetworkPolicy,
        *,
        limits: Limits | None = None,
        resolver: Resolver = resolve,
        ca_file: str | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            policy: Which addresses may be talked to.
            limits: Times; the defaults suit a repository on the Internet.
            resolver: Gives the addresses of a name; the operating system when not given.
            ca_file: Certificate authorities to trust instead of certifi's.
        """
        self._policy = policy
        self._limits = limits or Limits()
        self._resolver = resolver
        self._ca_file = ca_file
        self._pools: dict[tuple[bool, bool], httpcore.ConnectionPool] = {}
        self._lock = Lock()

    def send(
        self,
        method: str,
        url: str,
        *,
        at_most_bytes: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        follow: bool = True,
        unpack: bool = False,
        inside_only: bool = False,
        plain_login: bool = False,
    ) -> Answer:
        """Send one request and read its answer whole.

        Args:
            method: ``GET`` or ``HEAD``; with ``follow=False`` any other too.
            url: An http or https address.
            at_most_bytes: The largest body that is taken, as sent and as unpacked; of answers that are no
                success only `answers.MAX_ERROR_BYTES` are read, and the rest is dropped.
            headers: With an ``Authorization`` over plain http the server must lie in a network that the
                operator allowed: a login does not cross the Internet in the clear.
            body: What to send.
            follow: Follow redirects; otherwise they are answers like any other.
            unpack: Offer gzip, and unpack the body when it was sent so. Otherwise it is given as it came.
            inside_only: The server must lie in a network that the operator allowed.
            plain_login: What ``Authorization`` holds is no secret (a signature), and may cross any network.

        Raises:
            InvalidInput: the address, or one it redirects to, may not be used.
            TooLarge: the body is larger than ``at_most_bytes``.
            SourceUnavailable: nobody answers, not in time, or not in HTTP.
        """
        target = parse(url)
        wanted = {"user-agent": _USER_AGENT, "accept-encoding": "gzip" if unpack else "identity"}
        wanted |= {name.lower(): value for name, value in (headers or {}).items()}
        with deadline(self._limits.total_s):
            for _ in range(MAX_REDIRECTS + 1):
                exposed = target.scheme == "http" and "authorization" in wanted and not plain_login
                request = _request(method, target, wanted, body)
                answer = self._once(request, target, at_most_bytes, unpack, inside_only or exposed)
                location = answer.headers.get("location", "")
                if not follow or answer.status not in _REDIRECTS or not location:
                    return answer
                following = _next(target, location)
                if following.origin != target.origin:
                    wanted.pop("authorization", None)
                target = following
        raise InvalidInput(f"{target.host} redirects more than {MAX_REDIRECTS} times.")

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _once(
        self, request: httpcore.Request, target: Target, at_most_bytes: int, unpack: bool, inside_only: bool
    ) -> Answer:
        limits = self._limits
        request.extensions["timeout"] = {
            "connect": limits.connect_s,
            "read": limits.read_s,
            "write": limits.read_s,
        }
        try:
            response = self._pool(inside_only, target.scheme == "https").handle_request(request)
            try:
                return read(response, target, at_most_bytes, unpack, request.method == b"HEAD")
            finally:
                response.close()
        except httpcore.TimeoutException:
            raise SourceUnavailable(f"{target.host} did not answer in time.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise SourceUnavailable(_failure(target, error)) from None

    def _pool(self, inside_only: bool, sealed: bool) -> httpcore.ConnectionPool:
        """The connections; those that must stay in the operator's networks are kept apart."""
        with self._lock:
            if (inside_only, sealed) not in self._pools:
                backend = GuardedBackend(self._policy, self._resolver, inside_only)
                self._pools[inside_only, sealed] = httpcore.ConnectionPool(
                    ssl_context=tls(self._ca_file) if sealed else None,  # takes 20 ms to make
                    max_connections=None,
                    max_keepalive_connections=16,
                    keepalive_expiry=_KEEPALIVE_S,
                    network_backend=backend,
                )
            return self._pools[inside_only, sealed]


def _request(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> httpcore.Request:
    sent = {"host": target.authority, **{n: v for n, v in headers.items() if n not in ("host", "connection")}}
    if body:
        sent["content-length"] = str(len(body))
    return httpcore.Request(
        method,
        httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.target.encode(),
        ),
        headers=[
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in sent.items()
        ],
        content=body,
    )


def _next(target: Target, location: str) -> Target:
    """Where a redirect leads.

    Raises:
        InvalidInput: it may not be followed.
    """
    try:
        following = parse(urljoin(target.url, location))
    except (InvalidInput, ValueError):
        raise InvalidInput(f"{target.host} redirects to an address that cannot be used.") from None
    if target.scheme == "https" and following.scheme == "http":
        raise InvalidInput(f"{target.host} redirects from https to http, on {following.host}.")
    return following


def _failure(target: Target, error: Exception) -> str:
    """Why a connection failed, in our words."""
    if isinstance(error, httpcore.ConnectError):
        return f"{target.host} cannot be reached on port {target.port}."
    if isinstance(error, httpcore.ProtocolError):
        return f"{target.host} does not speak HTTP as it should on port {target.port}."
    return f"The connection to {target.host} broke off."
