"""The calls to Azure: one sign-in, the management clients on first use, JSON out of the SDK's models.

Owns connections, timeouts, retries and the API versions, which are those that the tests check against
Azure's specifications. It never waits for an operation: pollers are dropped. It decides nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    ProviderError,
    ProviderUnavailable,
    ResourceNotFound,
)
from providers.azure import errors
from providers.azure.naming import Id, split, with_canonical_ids
from providers.resources import Connection, MachineType

Json = Mapping[str, Any]

COMPUTE = "2022-11-01"
DISKS = "2022-07-02"
GALLERIES = "2022-03-03"
NETWORK = "2022-09-01"
RESOURCES = "2022-09-01"
STORAGE = "2022-09-01"
WEB = "2022-09-01"

CLOUDS = {
    "public": ("https://login.microsoftonline.com", "https://management.azure.com"),
    "china": ("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
    "usgovernment": ("https://login.microsoftonline.us", "https://management.usgovcloudapi.net"),
}
"""Where one signs in, and where Azure Resource Manager is."""

_TIMEOUTS = {"connection_timeout": 5, "read_timeout": 30}
_RETRIES = {"retry_total": 1, "retry_status": 0, "retry_backoff_factor": 0.2}
"""A throttling answer is not retried: whoever called waits, as the state machines do."""
_CONSOLE_BYTES = 65_536
_ANSWER_BYTES = 6 * 1024 * 1024
"""The longest answer of a function: that of AWS Lambda."""


class Client:
    """One subscription in one location."""

    def __init__(self, connection: Connection) -> None:
        credential, settings = connection.credential, connection.settings
        authority, endpoint = CLOUDS.get(credential.get("cloud") or "public", CLOUDS["public"])
        self.zone = connection.zone
        self.sizes: list[MachineType] | None = None
        self.subscription_id = _guid(credential, "subscription_id", "The subscription's id")
        self._credential = credential
        self._authority = settings.get("authority") or settings.get("endpoint") or authority
        self._elsewhere = bool(settings.get("authority") or settings.get("endpoint"))
        self._endpoint = settings.get("endpoint") or endpoint
        self._audience = settings.get("audience") or self._endpoint
        self._ca_bundle = settings.get("ca_bundle", "")

    # --- asking --------------------------------------------------------------------------------------

    def ask(self, call: Callable[..., Any], *args: Any, **more: Any) -> Json:
        """Make one call; its answer as JSON.

        Raises:
            PitrixError: As ``errors`` translates.
        """
        with errors.translated():
            return _json(call(*args, **more))

    def find(self, call: Callable[..., Any], *args: Any, **more: Any) -> Json | None:
        """Make one call; None where there is no such thing."""
        try:
            return self.ask(call, *args, **more)
        except ResourceNotFound:
            return None

    def every(self, call: Callable[..., Any], *args: Any, **more: Any) -> list[Json]:
        """All pages of a listing; nothing where its resource group is not there."""
        try:
            with errors.translated():
                return [_json(each) for each in call(*args, **more)]
        except errors.GroupMissing:
            return []

    def send(self, begin: Callable[..., Any], *args: Any, **more: Any) -> Json:
        """Begin an operation that takes long, and do not wait for its end; what is told at first."""
        with errors.translated():
            begun = begin(*args, polling=False, **more)
            try:
                return _json(begun.result())
            except ValueError:  # it was accepted, and the answer has no body
                return {}

    def create(self, begin: Callable[..., Any], group: str, *args: Any, **more: Any) -> Json:
        """:meth:`send` into a resource group, which is made where it is not there yet."""
        return self.in_group(group, lambda: self.send(begin, group, *args, **more))

    def in_group(self, group: str, make: Callable[[], Json]) -> Json:
        """Make something in a resource group, which is made first where it is not there yet.

        Raises:
            ProviderUnavailable: The group is made, but that part of Azure has not heard of it yet.
        """
        try:
            return make()
        except errors.GroupMissing:
            self.make_group(group)
        try:
            return make()
        except errors.GroupMissing as error:
            raise ProviderUnavailable(
                f"Azure has made the resource group {group}, but does not find it yet; ask again."
            ) from error

    def make_group(self, group: str) -> None:
        """Make a resource group, in the connection's location unless it is there in another."""
        body = {"location": self.zone, "tags": {"pitrix": "true"}}
        try:
            self.ask(self.resources.resource_groups.create_or_update, group, body)
        except Conflict:  # it is there since, by a runtime of another location
            return

    def own(self, resource_id: str, kind: str) -> Id:
        """The parts of an id of this subscription.

        Raises:
            ResourceNotFound: It is no id of that kind, or another subscription's.
        """
        found = split(resource_id, kind)
        if found.subscription.lower() != self.subscription_id.lower():
            raise ResourceNotFound(f"{resource_id!r} is of another subscription.")
        return found

    def console(self, url: str) -> str:
        """The last 64 KiB of a machine's serial log, from the address that Azure gave, which is signed."""
        import requests

        try:
            with requests.get(url, timeout=(5, 30), verify=self._verify, stream=True) as answer:
                if answer.status_code != 200:
                    return ""
                tail = b""
                for chunk in answer.iter_content(_CONSOLE_BYTES):
                    tail = (tail + chunk)[-_CONSOLE_BYTES:]
        except requests.RequestException:
            return ""  # the log is there when the machine has written one
        return tail.decode(errors="replace")

    def keep(self, url: str, data: bytes) -> None:
        """Store a blob at an address that is signed for writing."""
        with errors.translated():
            self._blob(url).upload_blob(data, overwrite=True)

    def kept(self, url: str) -> bytes | None:
        """What a blob holds, from an address that is signed for reading; None where there is none."""
        try:
            with errors.translated():
                found: bytes = self._blob(url).download_blob().readall()
                return found
        except ResourceNotFound:
            return None

    def call(
        self, method: str, url: str, *, query: Mapping[str, str], body: bytes, key: str, timeout_s: int
    ) -> tuple[int, bytes]:
        """Call a function over HTTP with its app's key: the status and the body of its answer.

        Raises:
            ProviderUnavailable: It does not answer in time.
            ProviderError: Its answer is longer than 6 MiB.
        """
        import requests

        asked = requests.Request(
            method,
            url,
            params=query,
            data=body,
            headers={"x-functions-key": key, "Content-Type": "application/json"},
        )
        more: Any = {"timeout": (5, timeout_s), "verify": self._verify, "stream": True}
        try:
            with (
                requests.Session() as session,
                session.send(asked.prepare(), allow_redirects=False, **more) as answer,
            ):
                found = b""
                for chunk in answer.iter_content(65_536):
                    found += chunk
                    if len(found) > _ANSWER_BYTES:
                        raise ProviderError("The function's answer is longer than 6 MiB.")
                return answer.status_code, found
        except requests.RequestException as error:
            raise ProviderUnavailable(f"The function does not answer: {type(error).__name__}.") from error

    def _blob(self, url: str) -> Any:
        from azure.storage.blob import BlobClient

        more: Any = {"connection_verify": self._verify, **_TIMEOUTS, **_RETRIES}
        return BlobClient.from_blob_url(url, **more)

    # --- the management clients ------------------------------------------------------------------------

    @cached_property
    def compute(self) -> Any:
        return self._compute(COMPUTE)

    @cached_property
    def disks(self) -> Any:
        return self._compute(DISKS)

    @cached_property
    def galleries(self) -> Any:
        return self._compute(GALLERIES)

    @cached_property
    def network(self) -> Any:
        from azure.mgmt.network import NetworkManagementClient

        return NetworkManagementClient(**self._arguments(NETWORK))

    @cached_property
    def resources(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(**self._arguments(RESOURCES))

    @cached_property
    def storage(self) -> Any:
        from azure.mgmt.storage import StorageManagementClient

        return StorageManagementClient(**self._arguments(STORAGE))

    @cached_property
    def web(self) -> Any:
        from azure.mgmt.web import WebSiteManagementClient

        return WebSiteManagementClient(**self._arguments(WEB))

    def _compute(self, version: str) -> Any:
        from azure.mgmt.compute import ComputeManagementClient

        return ComputeManagementClient(**self._arguments(version))

    def _arguments(self, version: str) -> dict[str, Any]:
        """What every management client is made with.

        The policies are given one by one: those of the SDK would also register resource providers, and
        sleep until that is done, and log requests. The SDK has a version of its own at each operation, so
        that ours is put into each request.
        """
        from azure.core.pipeline import policies
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

        def pin(request: Any) -> None:
            url = request.http_request.url
            request.http_request.url = re.sub(r"(?<=[?&]api-version=)[^&]+", version, url)

        return {
            "credential": self._sign_in,
            "subscription_id": self.subscription_id,
            "base_url": self._endpoint,
            "policies": [
                policies.CustomHookPolicy(raw_request_hook=pin),
                policies.RequestIdPolicy(),
                policies.UserAgentPolicy("pitrix"),
                policies.ContentDecodePolicy(),
                policies.RetryPolicy(**_RETRIES),
                ARMChallengeAuthenticationPolicy(self._sign_in, f"{self._audience.rstrip('/')}/.default"),
            ],
            "connection_verify": self._verify,
            **_TIMEOUTS,
        }

    @cached_property
    def _sign_in(self) -> Any:
        from azure.identity import CertificateCredential, ClientSecretCredential

        tenant = _guid(self._credential, "tenant_id", "The tenant's id")
        client = _guid(self._credential, "client_id", "The application's (client) id")
        more: dict[str, Any] = {
            "authority": self._authority,
            "disable_instance_discovery": self._elsewhere,
            "connection_verify": self._verify,
            **_TIMEOUTS,
            **_RETRIES,
        }
        if certificate := self._credential.get("certificate"):
            try:
                return CertificateCredential(tenant, client, certificate_data=certificate.encode(), **more)
            except ValueError as error:
                raise CredentialInvalid(
                    "The certificate is no PEM text with both a certificate and its unencrypted private key."
                ) from error
        return ClientSecretCredential(tenant, client, self._credential.get("client_secret") or "none", **more)

    @cached_property
    def _verify(self) -> str | bool:
        """What certificates are checked by: a file, or True for those that the machine trusts."""
        if not self._ca_bundle.lstrip().startswith("-----BEGIN"):
            return self._ca_bundle or True
        digest = hashlib.sha256(self._ca_bundle.encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"pitrix-ca-{os.getuid()}-{digest}.pem"
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
                file.write(self._ca_bundle)
            Path(file.name).replace(path)
        return str(path)


def _guid(credential: Mapping[str, str], name: str, title: str) -> str:
    try:
        return str(UUID(credential.get(name, "")))
    except ValueError as error:
        raise CredentialInvalid(f"{title} is a GUID, like 00000000-0000-0000-0000-000000000000.") from error


def _json(answer: Any) -> Json:
    """A model of the SDK as the JSON that Azure answered, with ids in one spelling."""
    if answer is None:
        return {}
    told: Json = with_canonical_ids(answer.as_dict() if hasattr(answer, "as_dict") else answer)
    return told
