"""HTTP to the hypervisor. Owns the connection and nothing of what is said over it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from pitrix.errors import CredentialInvalid
from providers.local import errors

TIMEOUT_S = 15
"""Every call of the hypervisor only notes what is wanted, so that a slow one is a broken one."""


class Client:
    """One hypervisor; each call has a connection of its own."""

    def __init__(self, endpoint: str, token: str) -> None:
        self._endpoint = endpoint
        self._host, self._port = _loopback(endpoint)
        self._token = token

    def get(self, *path: str, tags: Mapping[str, str] | None = None) -> Any:
        query = "?" + urlencode({f"tag.{name}": value for name, value in tags.items()}) if tags else ""
        return self._call("GET", path, query=query)

    def post(self, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("POST", path, body=body)

    def delete(self, *path: str) -> None:
        self._call("DELETE", path)

    def _call(
        self, method: str, path: tuple[str, ...], *, query: str = "", body: Mapping[str, Any] | None = None
    ) -> Any:
        """Make one call and return its JSON.

        Raises:
            PitrixError: As ``errors`` translates; ``ProviderUnavailable`` also when the answer was lost,
                and then nobody knows whether the call took effect.
        """
        target = "/v1/" + "/".join(quote(part, safe="") for part in path) + query
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise errors.from_network(self._endpoint, error) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise errors.from_answer(response.status, answer)
        return answer


def _loopback(endpoint: str) -> tuple[str, int]:
    """The host and port of a hypervisor, which is on this machine or is none.

    Raises:
        CredentialInvalid: The endpoint is something else. Whoever may connect a runtime must not get the
            platform to call other machines of its network.
    """
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port or 80
        local = url.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        local = False
    if not local:
        raise CredentialInvalid(f"The local cloud's endpoint is http://127.0.0.1:PORT, not {endpoint!r}.")
    return host, port
