"""A whole provider in one file, in a distribution of its own: racks, which hand out networks.

Owns the calls to a rack's API, the translation of its answers and of its errors; larger ones have a file for
each (``providers/local`` of Pitrix). Every promise is that of ``providers.base``; ``pitrix_rack_target.py``
is what they are proven on.

The API, JSON over HTTP with a bearer token: ``GET /rows`` (zones), ``PUT /rows/{row}/networks/{key}`` (made
once, whatever comes later), ``GET`` and ``DELETE /networks/{id}``, ``GET /rows/{row}/networks``.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from pitrix import errors
from pitrix.addresses import NetworkPolicy, check_url
from providers.base import Networks, Provider, check_key
from providers.resources import Network, NetworkSpec, Zone

_TIMEOUT_S = 10

#: What a status means; anything else that is no success is a ProviderError.
_ERRORS: Mapping[int, type[errors.PitrixError]] = {
    400: errors.InvalidInput,
    401: errors.CredentialInvalid,
    404: errors.ResourceNotFound,
    409: errors.Conflict,
    429: errors.ProviderThrottled,
    503: errors.ProviderUnavailable,
}


class RackProvider(Provider, Networks):
    """One rack. It offers networks, because it inherits ``Networks``, and nothing else."""

    name = "rack"
    title = "Rack"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "endpoint": {
                "type": "string",
                "title": "Address of the rack",
                "description": "Such as https://rack.example.com",
                "maxLength": 200,
            },
            "token": {
                "type": "string",
                "title": "Token",
                "writeOnly": True,
                "minLength": 1,
                "maxLength": 200,
            },
        },
        "required": ["endpoint", "token"],
        "additionalProperties": False,
    }

    def validate_credential(self) -> None:
        rows = [zone.zone for zone in self.zones()]
        if self.connection.zone not in rows:
            raise errors.CredentialInvalid(f"The rack has no row {self.connection.zone!r}, only {rows}.")

    def zones(self) -> list[Zone]:
        return [Zone(zone=row, title=f"Row {row}") for row in self._call("GET", "/rows")]

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        wanted = {"name": spec.name, "cidr": spec.cidr, "tags": dict(spec.tags)}
        return _network(self._call("PUT", f"{self._row}/networks/{check_key(idempotency_key)}", wanted))

    def get_network(self, network_id: str) -> Network:
        return _network(self._call("GET", f"/networks/{quote(network_id, safe='')}"))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        found = [_network(each) for each in self._call("GET", f"{self._row}/networks")]
        return [network for network in found if tags.items() <= network.tags.items()]

    def delete_network(self, network_id: str) -> None:
        try:
            self._call("DELETE", f"/networks/{quote(network_id, safe='')}")
        except errors.ResourceNotFound:
            return

    @property
    def _row(self) -> str:
        return f"/rows/{quote(self.connection.zone, safe='')}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """What the rack answers.

        Raises:
            PitrixError: as ``_ERRORS`` has it; ``ProviderUnavailable`` where it cannot be reached.
        """
        credential, settings = self.connection.credential, self.connection.settings
        # A tenant gave that address: it must not lead into the network that the platform itself is in.
        policy = NetworkPolicy.from_text(settings.get("allowed_networks", ""))
        check_url(credential["endpoint"], policy)
        parts = urlsplit(credential["endpoint"])
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {credential['token']}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            status, told = answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise errors.ProviderUnavailable(f"The rack does not answer ({type(error).__name__}).") from None
        finally:
            connection.close()
        if status >= 400:
            raise _ERRORS.get(status, errors.ProviderError)(str(told))
        return told


def _network(told: Mapping[str, Any]) -> Network:
    created_at = datetime.fromisoformat(told["created_at"])
    return Network(
        network_id=told["id"], name=told["name"], cidr=told["cidr"], created_at=created_at, tags=told["tags"]
    )
