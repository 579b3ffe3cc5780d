"""HTTP connections for keystoneauth that lead only where a tenant may lead the platform.

A tenant names the identity service, and that service's catalog names all others. So every connection is
made to an address that was checked a moment ago (`pitrix.addresses.NetworkPolicy`), whoever named it; TLS
and ``Host`` still see the name. Nothing is taken from the environment: no proxy, no login, no certificates.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pitrix.addresses import NetworkPolicy, resolve
from pitrix.errors import CredentialInvalid, ProviderError

if TYPE_CHECKING:
    import requests

CONNECT_S = 5.0
READ_S = 30.0
MOST_BYTES = 64 * 2**20
"""The longest answer that is taken; the server is a tenant's, and may never come to an end."""

CONNECTIONS = 8
"""Kept open for the next call, to each host: as many threads may share a session."""


def session(
    policy: NetworkPolicy, *, endpoint: str = "", bundle: str = "", certificate: str = ""
) -> requests.Session:
    """A session of ``requests`` that is guarded so.

    Args:
        policy: Which addresses may be connected to.
        endpoint: Where the whole cloud is reached, instead of the hosts that it names itself ("" for none).
        bundle: Whom the deployment trusts besides the public authorities: PEM, or the path of a file.
        certificate: Whom a tenant trusts besides: PEM alone, for a path would name a file of the platform's.
    """
    import requests

    made = requests.Session()
    made.trust_env = False
    adapter = _adapter(policy, endpoint, _tls(bundle, certificate))
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    return made


def checked(policy: NetworkPolicy, host: str, port: int) -> list[str]:
    """The addresses of a host that may be connected to.

    Raises:
        CredentialInvalid: There is none; says why.
    """
    try:
        found = [ipaddress.ip_address(text) for text in resolve(host, port)]
    except (OSError, UnicodeError):
        raise CredentialInvalid(f"There is no host {host}, or its name server does not answer.") from None
    refusals = {str(address): policy.refusal(address, port) for address in found}
    good = [address for address, reason in refusals.items() if not reason]
    if not good:
        reason = next(iter(refusals.values()), "without an address")
        raise CredentialInvalid(f"The host {host} may not be used: it is {reason}.")
    return good


def _tls(bundle: str, certificate: str) -> ssl.SSLContext:
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    if bundle:
        context.load_verify_locations(cadata=bundle if "-----BEGIN" in bundle else Path(bundle).read_text())
    if certificate:
        try:
            context.load_verify_locations(cadata=certificate)
        except (ValueError, ssl.SSLError):
            raise CredentialInvalid("ca_certificate is not a certificate in PEM.") from None
    return context


def _adapter(policy: NetworkPolicy, endpoint: str, context: ssl.SSLContext) -> Any:
    from requests.adapters import HTTPAdapter
    from urllib3 import connection, connectionpool, poolmanager
    from urllib3.exceptions import NewConnectionError
    from urllib3.util.connection import create_connection

    def connect(self: Any) -> Any:
        """Connect to the first of the checked addresses that answers."""
        failed: Exception = OSError("no address")
        for address in checked(policy, self._dns_host.strip("[]"), self.port):
            try:
                made = create_connection((address, self.port), CONNECT_S, socket_options=self.socket_options)
            except OSError as error:
                failed = error
                continue
            made.settimeout(READ_S)
            return made
        raise NewConnectionError(self, f"no connection: {failed}")

    class Plain(connection.HTTPConnection):
        _new_conn = connect

    class Secure(connection.HTTPSConnection):
        _new_conn = connect

    class PlainPool(connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(connectionpool.HTTPSConnectionPool):
        ConnectionCls = Secure

    class Guarded(HTTPAdapter):
        def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
            self.poolmanager = poolmanager.PoolManager(
                num_pools=CONNECTIONS, maxsize=CONNECTIONS, block=block, ssl_context=context
            )
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

        def send(self, request: Any, *args: Any, **more: Any) -> Any:
            if endpoint:
                there, here = urlsplit(endpoint), urlsplit(request.url)
                request.url = here._replace(scheme=there.scheme, netloc=there.netloc).geturl()
            more |= {"timeout": (CONNECT_S, READ_S), "stream": True}
            answer = super().send(request, *args, **more)
            content = bytearray()
            for piece in answer.iter_content(1 << 16):  # also what was packed comes in pieces
                content += piece
                if len(content) > MOST_BYTES:
                    answer.close()
                    raise ProviderError(f"OpenStack answered more than {MOST_BYTES >> 20} MiB.")
            answer._content = bytes(content)  # where `requests` itself keeps it
            return answer

    return Guarded(max_retries=0)
