"""Calls to one cluster's API server, as JSON. Owns the connection; knows no kind of object.

The server's address is a tenant's: its name is resolved once, the address found is checked against the
deployment's ``allowed_networks``, and only that one is connected to, whatever the server answers (no
redirection is followed). ``as_account`` makes the same calls on behalf of a service account.
"""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pitrix.addresses import NetworkPolicy, Target, parse
from pitrix.errors import CredentialInvalid, InvalidInput, ProviderError, ProviderUnavailable
from providers.kubernetes import access as ways
from providers.kubernetes import errors
from providers.kubernetes.access import Access
from providers.resources import Connection

TIMEOUT_S = (5, 30)
"""Seconds to connect, and to wait for an answer."""

MOST_BYTES = 64 * 2**20
"""The longest answer that is taken; the server is a tenant's, and may never come to an end."""

PAGE = 500
"""Objects asked for in one call of a list."""

Json = dict[str, Any]


class Client:
    """One cluster, by one credential; connects with its first call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._access: Access | None = None
        self._pinned: tuple[str, int] | None = None
        self._api: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def access(self) -> Access:
        """How to sign in; what gives out tokens is asked once.

        Raises:
            CredentialInvalid: The credential is none.
            ProviderUnavailable: What gives out tokens does not answer.
        """
        if self._access is None:
            self._access = ways.read(self._connection.credential, self._connection.settings)
        return self._access

    @property
    def target(self) -> Target:
        """The server's address, taken apart."""
        return parse(self.access.server)

    @property
    def pinned(self) -> tuple[str, int]:
        """The checked address that alone is connected to, and its port.

        Raises:
            CredentialInvalid: There is no such host, or it may not be talked to.
        """
        if self._pinned is None:
            networks = self._connection.settings.get("allowed_networks", "")
            self._pinned = checked_address(
                self.target, [each for each in networks.split(",") if each.strip()]
            )
        return self._pinned

    def get(self, path: str, query: Mapping[str, str] | None = None, *, account: str = "") -> Json:
        """One object. ``account`` is ``namespace/name`` of the service account on whose behalf it is asked.

        Raises:
            PitrixError: As ``errors`` translates; ``ProviderUnavailable`` also when the answer was lost, and
                then nobody knows whether the call took effect.
        """
        return self._call("GET", path, query, account=account)

    def list(self, path: str, query: Mapping[str, str] | None = None, *, account: str = "") -> Iterator[Json]:
        """All objects of a collection, page by page; those that another page brings are asked for late."""
        page: dict[str, str] = {**(query or {}), "limit": str(PAGE)}
        while True:
            answer = self._call("GET", path, page, account=account)
            yield from answer.get("items") or []
            going_on = (answer.get("metadata") or {}).get("continue")
            if not going_on:
                return
            page["continue"] = going_on

    def post(self, path: str, body: Mapping[str, Any], *, account: str = "") -> Json:
        return self._call("POST", path, body=body, account=account)

    def merge(self, path: str, body: Mapping[str, Any], *, account: str = "") -> Json:
        """Change parts of an object; ``Conflict`` when a ``resourceVersion`` in it is not the present one."""
        return self._call("PATCH", path, body=body, account=account, kind="application/merge-patch+json")

    def apply(self, path: str, body: Mapping[str, Any], *, account: str = "") -> Json:
        """Bring an object to ``body`` (server-side apply): made where there is none, never twice."""
        query = {"fieldManager": "pitrix", "force": "true"}
        # JSON is YAML: the type of server-side apply is the YAML one on all versions.
        return self._call(
            "PATCH", path, query, body=body, account=account, kind="application/apply-patch+yaml"
        )

    def delete(self, path: str, query: Mapping[str, str] | None = None, *, account: str = "") -> None:
        """Delete an object, or all of a collection that ``query`` selects."""
        body = {"propagationPolicy": "Background"}
        self._call("DELETE", path, query, body=body, account=account)

    def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, *,
        body: Mapping[str, Any] | None = None, account: str = "", kind: str = "application/json",
    ) -> Json:  # fmt: skip
        from urllib3.exceptions import HTTPError

        host, port = self.pinned
        at = f"[{host}]" if ":" in host else host
        prefix = self.target.target.rstrip("/")
        url = f"https://{at}:{port}{prefix}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        headers = self._headers(account)
        if body is not None:
            headers["Content-Type"] = kind
        try:
            answer = self._rest().request(method, url, headers=headers, body=body, _request_timeout=TIMEOUT_S)
            status, data = answer.status, answer.response.read(MOST_BYTES + 1)
        except HTTPError as error:
            raise errors.from_network(error) from None
        except Exception as error:  # the client's own, which repeats what it was told
            raise errors.from_network(error) from None
        if len(data) > MOST_BYTES:
            answer.response.close()
            raise ProviderError(f"The API server answered more than {MOST_BYTES >> 20} MiB.")
        if not 200 <= status < 300:
            raise errors.from_answer(status, data)
        try:
            found: Json = json.loads(data or b"{}")
        except ValueError:
            raise ProviderUnavailable("The API server answered with something that is not JSON.") from None
        return found

    def _headers(self, account: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Host": self.target.authority, "User-Agent": "pitrix"}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        if account:
            namespace, _, name = account.partition("/")
            headers["Impersonate-User"] = f"system:serviceaccount:{namespace}:{name}"
        return headers

    def _rest(self) -> Any:
        if self._api is None:
            import urllib3
            from kubernetes.client import Configuration
            from kubernetes.client.rest import RESTClientObject

            configuration = Configuration()
            configuration.proxy = None
            configuration.verify_ssl = True
            configuration.tls_server_name = self.access.server_name or self.target.host
            if ca := self.authority:
                configuration.ca_cert_data = ca
            if self.access.certificate:
                configuration.cert_file, configuration.key_file = self._files()
            configuration.retries = urllib3.Retry(
                total=1, connect=1, read=0, status=0, other=0, redirect=False,
                respect_retry_after_header=False,
            )  # fmt: skip
            self._api = RESTClientObject(configuration)
        return self._api

    @property
    def authority(self) -> str:
        """Who vouches for the server, as PEM; "" for the authorities that all the world trusts."""
        bundle = self._connection.settings.get("ca_bundle", "")
        if self.access.ca:
            return self.access.ca
        return bundle if "BEGIN CERTIFICATE" in bundle or not bundle else Path(bundle).read_text()

    def _files(self) -> tuple[str, str]:
        """The client certificate and its key as files of this user alone, gone with this object."""
        self._folder = tempfile.TemporaryDirectory(prefix="kubernetes-")
        paths = Path(self._folder.name, "certificate"), Path(self._folder.name, "key")
        for path, text in zip(paths, (self.access.certificate, self.access.key), strict=True):
            path.write_text(text)
        return str(paths[0]), str(paths[1])


def checked_address(target: Target, allowed_networks: list[str]) -> tuple[str, int]:
    """An address of the host that may be talked to, and the port.

    Raises:
        CredentialInvalid: There is none.
    """
    try:
        policy = NetworkPolicy(allowed_networks)
        found = {info[4][0] for info in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise CredentialInvalid(
            f"There is no host {target.host}, where the cluster's server should be."
        ) from None
    except InvalidInput as error:
        raise ProviderUnavailable(f"The setting allowed_networks is wrong: {error.detail}") from None
    refusal = "it has no address"
    for text in sorted(str(each) for each in found):
        refusal = policy.refusal(ip_address(text), target.port)
        if not refusal:
            return text, target.port
    raise CredentialInvalid(f"The cluster's server may not be talked to: it is {refusal}.")
