"""The calls: signs in to keystone, finds services in its catalog, sends requests and reads JSON.

Built on ``keystoneauth1``, the layer of openstacksdk that signs in, renews tokens and reads catalogs. Its
resource classes are left out: they ask each service for its versions before the first call, and what we need
is plain JSON. Decides nothing about what an answer means but whether it is one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from pitrix.addresses import NetworkPolicy, parse
from pitrix.errors import CredentialInvalid, InvalidInput, ResourceNotFound
from providers.openstack import errors, transport
from providers.resources import Connection

COMPUTE_VERSION = "2.79"
"""Nova's API of Train (2019): tags at creation, sizes within servers, the id of a captured image."""

VOLUME_VERSION = "3.50"
"""Cinder's API of the release Queens (2018)."""

PAGE = 500
"""Items asked for at once; services may give fewer."""

_SERVICES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "compute": (("compute",), "/v2.1"),
    "network": (("network",), "/v2.0"),
    "image": (("image",), "/v2"),
    "volume": (("block-storage", "volumev3", "block-store"), "/v3/{project}"),
}
"""Types a service may have in the catalog, and the version that we speak."""

SESSIONS = 64
"""Signed-in sessions that this process keeps, of as many credentials: most steps of a job need no sign-in."""

_sessions: dict[str, Any] = {}
_lock = Lock()

_VERSION = re.compile(r"(?<=[^/:])/v\d[^/]*(?:/[^/]+)?/?$")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Client:
    """One project of one cloud. Touches nothing until its first call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._session: Any = None
        self._urls: dict[str, str] = {}
        self.register_network = ""
        """The id of the project's network of keys once it is known; see ``once``."""

    @property
    def project_id(self) -> str:
        """The project that the credential is of; signs in where that was not done yet."""
        try:
            return str(self._signed_in().get_project_id())
        except Exception as error:
            raise errors.from_failure(error) from error

    def has(self, service: str) -> bool:
        """Whether the cloud's catalog has a service."""
        try:
            self._url(service)
        except CredentialInvalid:
            return False
        return True

    def get(self, service: str, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self.call(service, "GET", path, query=query)

    def pages(self, service: str, path: str, name: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        """Everything of a list that is told in pages; ``name`` is its key in each."""
        found: list[Any] = []
        asked = {"limit": PAGE} | dict(query or {})
        while True:
            answer = self.get(service, path, asked)
            found += answer[name]
            more = answer.get(f"{name}_links") or answer.get("next")
            if not answer[name] or not more:
                return found
            asked |= {"marker": answer[name][-1]["id"]}

    def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """Make one call and return its JSON, None where it has none.

        Raises:
            PitrixError: As ``errors`` translates; ``ProviderUnavailable`` also when the answer was lost, and
                then nobody knows whether the call took effect.
        """
        answer = self._send(service, method, path, query, body)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise errors.from_failure(error) from error

    def _send(self, service: str, method: str, path: str, query: Mapping[str, Any] | None, body: Any) -> Any:
        from keystoneauth1 import exceptions

        url = self._url(service) + path
        headers = {"Accept": "application/json"}
        if service == "compute":
            headers["OpenStack-API-Version"] = f"compute {COMPUTE_VERSION}"
        elif service == "volume":
            headers["OpenStack-API-Version"] = f"volume {VOLUME_VERSION}"
        if method == "PATCH":
            headers["Content-Type"] = "application/openstack-images-v2.1-json-patch"
        try:
            answer = self._session.request(
                url, method, params=query, json=body, headers=headers, raise_exc=False, log=False
            )
        except (exceptions.ClientException, OSError, ValueError) as error:
            raise errors.from_failure(error) from error
        if answer.status_code >= 300:
            told = {name.lower(): value for name, value in answer.headers.items()}
            raise errors.from_answer(service, answer.status_code, told, answer.text)
        return answer

    def _url(self, service: str) -> str:
        """Where a service answers, with the version that we speak.

        Raises:
            CredentialInvalid: The catalog has no such service in the region.
        """
        if service not in self._urls:
            session = self._signed_in()
            types, version = _SERVICES[service]
            region = self._connection.credential.get("region_name") or None
            try:
                found = [
                    url
                    for kind in types
                    if (
                        url := session.get_endpoint(
                            service_type=kind, region_name=region, skip_discovery=True
                        )
                    )
                ]
            except Exception as error:
                raise errors.from_failure(error) from error
            if not found:
                where = f"its region {region}" if region else "it"
                raise CredentialInvalid(f"The cloud offers no {service} service, or not in {where}.")
            base = _VERSION.sub("", str(found[0]).rstrip("/"))
            self._urls[service] = base + version.format(project=self.project_id)
        return self._urls[service]

    def sign_in_again(self) -> None:
        """Forget the token of this credential that this process may have: the next call signs in."""
        with _lock:
            _sessions.pop(_same(self._connection), None)
        self._session = None

    def _signed_in(self) -> Any:
        if self._session is None:
            same = _same(self._connection)
            with _lock:
                self._session = _sessions.get(same) or _session(self._connection)
                _sessions[same] = self._session
                while len(_sessions) > SESSIONS:
                    del _sessions[next(iter(_sessions))]
        return self._session


def known(resource_id: str, what: str) -> str:
    """Return an id as it may stand in a path.

    Raises:
        ResourceNotFound: It is none of OpenStack's, so that there is no such thing.
    """
    if not _UUID.fullmatch(resource_id):
        raise ResourceNotFound(f"There is no {what} {resource_id!r}.")
    return resource_id


def _session(connection: Connection) -> Any:
    """What signs in at the first call, and keeps the token until shortly before it expires."""
    from keystoneauth1.session import Session

    credential, settings = connection.credential, connection.settings
    guarded = transport.session(
        NetworkPolicy.from_text(settings.get("allowed_networks", "")),
        endpoint=settings.get("endpoint", ""),
        bundle=settings.get("ca_bundle", ""),
        certificate=credential.get("ca_certificate", ""),
    )
    return Session(
        auth=_plugin(credential), session=guarded, verify=True, redirect=False, user_agent="pitrix"
    )


def _same(connection: Connection) -> str:
    """Equal for connections that may share a token: those with the same credential and settings."""
    given = json.dumps([dict(connection.credential), dict(connection.settings)], sort_keys=True)
    return hashlib.sha256(given.encode()).hexdigest()


def _plugin(credential: Mapping[str, str]) -> Any:
    """What signs in, by the way that the credential was given."""
    from keystoneauth1.identity import v3

    url = _identity(credential.get("auth_url", ""))
    if credential.get("method") == "application_credential":
        return v3.ApplicationCredential(
            auth_url=url,
            application_credential_id=credential.get("application_credential_id", ""),
            application_credential_secret=credential.get("application_credential_secret", ""),
        )
    domain = credential.get("user_domain_name") or "Default"
    return v3.Password(
        auth_url=url,
        username=credential.get("username", ""),
        password=credential.get("password", ""),
        user_domain_name=domain,
        project_name=credential.get("project_name", ""),
        project_domain_name=credential.get("project_domain_name") or domain,
    )


def _identity(auth_url: str) -> str:
    """Keystone's address of version 3, from what people write.

    Raises:
        CredentialInvalid: It is no http or https address.
    """
    try:
        target = parse(auth_url.strip())
    except InvalidInput:
        raise CredentialInvalid("auth_url is not an address that begins with https:// or http://.") from None
    path = re.sub(r"/v[23][^/]*$", "", urlsplit(target.url).path.rstrip("/"))
    return f"{target.scheme}://{target.authority}{path}/v3"
