"""Signed calls of QingCloud's API through its SDK. Owns the connection and nothing of what is said over it.

The SDK signs, sends and reads; its own wrappers of single actions are not used, as they know fewer parameters
than the API does and ask for no answer's code.
"""

from __future__ import annotations

import http.client
import re
import ssl
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pitrix.errors import CredentialInvalid, PitrixError, ProviderError, ResourceNotFound
from providers.qingcloud import errors
from providers.qingcloud.kinds import Kind, Row, is_gone

ENDPOINT = "https://api.qingcloud.com"
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
PAGE = 100
"""Rows in one answer; the most that QingCloud gives."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Client:
    """One account in one zone; connects at its first call. Used by one thread."""

    def __init__(self, zone: str, credential: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self.zone = zone
        self._key = credential.get("access_key_id", "").strip()
        self._secret = credential.get("secret_access_key", "").strip()
        if not self._key or not self._secret:
            # Without them the SDK would ask this machine's metadata service for some.
            raise CredentialInvalid("QingCloud needs an access key ID and a secret access key; one is empty.")
        self._endpoint = settings.get("endpoint") or ENDPOINT
        self._ca_bundle = settings.get("ca_bundle", "")
        self._connection: Any = None

    def call(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        """Make one call and return its answer; parameters that are None are left out.

        What changes something is sent once; what only looks is sent again once if there was no answer.

        Raises:
            PitrixError: As ``errors`` translates.
        """
        if self._connection is None:
            self._connection, opened = _connect(
                self._endpoint, self._key, self._secret, self.zone, self._ca_bundle
            )
            weakref.finalize(self, _close, opened)
        self._connection.retry_time = 2 if action.startswith(("Describe", "Get")) else 1
        try:
            answer = self._connection.send_request(action, dict(parameters))
        except PitrixError:
            raise
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # AttributeError: what the SDK makes of an answer that is no JSON object.
            raise errors.from_network(action, error) from error
        if not isinstance(answer, dict):
            raise ProviderError(f"QingCloud answered {action} with something that is no object.")
        if answer.get("ret_code") != 0:
            raise errors.from_answer(action, answer)
        return answer

    def everything(self, action: str, rows: str, /, **parameters: Any) -> list[Row]:
        """All that a ``Describe…`` action tells in its field ``rows``, page after page."""
        found: list[Row] = []
        while True:
            answer = self.call(action, limit=PAGE, offset=len(found), **parameters)
            page = answer.get(rows) or []
            found += page
            if not page or len(found) >= int(answer.get("total_count", 0)):
                return found

    def rows(self, kind: Kind, **filters: Any) -> list[Row]:
        """All resources of a kind that the filters let through, without those that are gone."""
        found = self.everything(kind.describe, kind.rows, verbose=kind.verbose, **filters)
        return [row for row in found if not is_gone(row)]

    def row(self, kind: Kind, resource_id: str) -> Row:
        """One resource.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """
        found = self.rows(kind, **{kind.plural: [resource_id]}) if _ID.fullmatch(resource_id) else []
        for row in found:
            if kind.id_of(row) == resource_id:
                return row
        raise ResourceNotFound(f"There is no {kind.words} {resource_id!r:.80} in {self.zone}.")

    def row_or_none(self, kind: Kind, resource_id: str) -> Row | None:
        """One resource, or None where there is none: for deletions, which do not mind."""
        try:
            return self.row(kind, resource_id)
        except ResourceNotFound:
            return None


def _connect(
    endpoint: str, key: str, secret: str, zone: str, ca_bundle: str
) -> tuple[Any, list[http.client.HTTPConnection]]:
    """The SDK's connection, with timeouts and trust of our own; and what it opens, which it never closes."""
    from qingcloud.iaas.connection import APIConnection

    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ProviderError(f"The setting `endpoint` of QingCloud is no http(s) address: {endpoint!r:.100}")
    trust = _trust(ca_bundle) if url.scheme == "https" else None
    opened: list[http.client.HTTPConnection] = []

    class Connection(APIConnection):  # type: ignore[misc]
        """Says with which status an answer came that was not 200: the SDK would return None."""

        def send(self, method: str, path: str, params: dict[str, Any], **more: Any) -> Any:
            response = super().send(method, path, params, **more)
            if response.status != 200:
                response.read()
                raise errors.from_status(params["action"], response.status)
            return response

        def _new_conn(self, host: str, port: int) -> http.client.HTTPConnection:
            opened.append(_Https(host, port, context=trust) if trust else _Http(host, port))
            return opened[-1]

    connection = Connection(
        key,
        secret,
        zone,
        host=url.hostname,
        port=url.port or (443 if url.scheme == "https" else 80),
        protocol=url.scheme,
    )
    return connection, opened


def _close(opened: list[http.client.HTTPConnection]) -> None:
    for connection in opened:
        connection.close()


def _trust(ca_bundle: str) -> ssl.SSLContext:
    """What is trusted: the system's authorities, or those of a PEM (a path, or the text itself)."""
    if not ca_bundle:
        return ssl.create_default_context()
    if "-----BEGIN" in ca_bundle:
        return ssl.create_default_context(cadata=ca_bundle)
    return ssl.create_default_context(cafile=str(Path(ca_bundle)))


class _Http(http.client.HTTPConnection):
    """Short to connect, longer to answer: http.client knows one timeout for both."""

    def connect(self) -> None:
        self.timeout = CONNECT_TIMEOUT_S
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_S)


class _Https(http.client.HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        self.timeout = CONNECT_TIMEOUT_S
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_S)
