"""Calls to AWS by botocore. Owns sessions, signing in and timeouts, and nothing of what is said.

Where next: ``errors.py`` (what a refusal means).
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pitrix.errors import CredentialInvalid
from providers.aws import errors
from providers.resources import Connection

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30

ACCESS_KEYS = "access-keys"
ASSUME_ROLE = "assume-role"
"""The ways to sign in, as ``method`` of a credential says."""

SESSION_S = 3600
"""How long an assumed role is good for, in seconds: the longest that role chaining allows."""

_ZONE = re.compile(r"([a-z]{2}(?:-[a-z]+)+-\d+)[a-z]")
_DEFAULT_REGION = "us-east-1"
_PREFIXES = {"service-quotas": "servicequotas"}
"""What permissions begin with, where that is not botocore's name of the service."""

_making = threading.Lock()


@cache
def _session() -> Any:
    """botocore's loader of service models: read once a process, and without anybody's credentials."""
    import botocore.session

    return botocore.session.Session()


def region_of(zone: str) -> str:
    """The region of an availability zone: ``eu-west-1`` of ``eu-west-1a``.

    Raises:
        CredentialInvalid: That is not the name of a zone.
    """
    found = _ZONE.fullmatch(zone)
    if found is None:
        raise CredentialInvalid(f"{zone!r} is not an availability zone of AWS; they look like eu-west-1a.")
    return found[1]


class Client:
    """One account in one availability zone; connects on the first call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._keys: dict[str, str] | None = None

    @property
    def zone(self) -> str:
        return self._connection.zone

    @property
    def region(self) -> str:
        """The zone's region; the one where AWS keeps its global things while no zone is chosen."""
        return region_of(self.zone) if self.zone else _DEFAULT_REGION

    @property
    def endpoint(self) -> str | None:
        return self._connection.settings.get("endpoint")

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str = "",
        timeout_s: int = READ_TIMEOUT_S,
        **parameters: Any,
    ) -> Any:
        """Make one call and return AWS's answer.

        Args:
            service: botocore's name of the service; ``operation`` AWS's name of the operation.
            region: Another one than the zone's.
            timeout_s: How long an answer may take, in seconds.
            parameters: As AWS names them; those that are None are left out.

        Raises:
            PitrixError: As ``errors`` translates; ``ProviderUnavailable`` also when the answer was lost, and
                then nobody knows whether the call took effect.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            client = self._client(service, region or self.region, timeout_s)
            return client._make_api_call(operation, given)
        except (BotoCoreError, ClientError) as error:
            prefix = _PREFIXES.get(service, service)
            raise errors.from_sdk(error, service=prefix, operation=operation) from error

    def read(self, stream: Any) -> bytes:
        """The rest of an answer that comes as a stream.

        Raises:
            ProviderUnavailable: It ended early.
        """
        from botocore.exceptions import BotoCoreError

        try:
            found: bytes = stream.read()
        except BotoCoreError as error:
            raise errors.from_network(error, operation="answer") from error
        return found

    def pages(
        self, service: str, operation: str, member: str, *, region: str = "", **parameters: Any
    ) -> Iterator[Any]:
        """Everything under ``member`` of all pages of a listing."""
        token: str | None = None
        while True:
            answer = self.call(service, operation, region=region, NextToken=token, **parameters)
            yield from answer.get(member, [])
            token = answer.get("NextToken")
            if not token:
                return

    def account(self) -> str:
        """The account's number.

        Raises:
            CredentialInvalid: AWS does not know the credential.
        """
        number: str = self.call("sts", "GetCallerIdentity")["Account"]
        return number

    def _client(self, service: str, region: str, timeout_s: int) -> Any:
        wanted = service, region, timeout_s
        if wanted not in self._clients:
            self._clients[wanted] = self._connect(service, region, self._signing(), timeout_s)
        return self._clients[wanted]

    def _signing(self) -> dict[str, str]:
        """The keys to sign with: those given, or temporary ones of the role."""
        if self._keys is None:
            credential = self._connection.credential
            if credential.get("method", ACCESS_KEYS) == ASSUME_ROLE:
                self._keys = self._assume(credential.get("role_arn", ""), credential.get("external_id", ""))
            else:
                self._keys = _given(credential)
        return self._keys

    def _assume(self, role_arn: str, external_id: str) -> dict[str, str]:
        """Temporary keys of a tenant's role, asked for with the platform's own identity.

        Raises:
            CredentialInvalid: The role does not trust the platform with that external id, or is none.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            sts = self._connect("sts", self.region, self._own_identity())
            answer = sts.assume_role(
                RoleArn=role_arn,
                RoleSessionName="pitrix",
                ExternalId=external_id,
                DurationSeconds=SESSION_S,
            )["Credentials"]
        except (BotoCoreError, ClientError) as error:
            refused = errors.from_sdk(error, service="sts", operation="AssumeRole")
            if errors.code_of_sdk(error) in ("AccessDenied", "ValidationError", "NoSuchEntity"):
                refused = CredentialInvalid(
                    "AWS does not let Pitrix assume the role: its trust policy must name the platform's "
                    "account and the external id, and the role must exist."
                )
            raise refused from error
        return {
            "aws_access_key_id": answer["AccessKeyId"],
            "aws_secret_access_key": answer["SecretAccessKey"],
            "aws_session_token": answer["SessionToken"],
        }

    def _own_identity(self) -> dict[str, str]:
        """Who the platform is at AWS: the file its deployment names, or what botocore finds itself."""
        import botocore.session

        session = botocore.session.Session()
        if file := self._connection.settings.get("credentials_file"):
            session.set_config_variable("credentials_file", file)
            # Only that file: what is in the environment may be another cloud's.
            session.set_config_variable("profile", self._connection.settings.get("profile", "default"))
        found = session.get_credentials()
        if found is None:
            raise CredentialInvalid("The platform itself has no AWS identity with which to assume a role.")
        frozen = found.get_frozen_credentials()
        keys = {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
        return keys | ({"aws_session_token": frozen.token} if frozen.token else {})

    def _connect(
        self, service: str, region: str, keys: dict[str, str], timeout_s: int = READ_TIMEOUT_S
    ) -> Any:
        from botocore.config import Config

        # A repeat by the SDK would make a second of what has no client token: the state machines repeat.
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
            # AWS_ENDPOINT_URL is the platform's own cloud (on a laptop its emulator), never a tenant's.
            ignore_configured_endpoint_urls=True,
            s3={"addressing_style": "path" if self.endpoint else "auto"},
        )
        with _making:  # botocore's sessions are for one thread at a time
            return _session().create_client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                verify=_bundle(self._connection.settings.get("ca_bundle", "")) or None,
                config=config,
                **keys,
            )


def _given(credential: Mapping[str, str]) -> dict[str, str]:
    """A tenant's own keys, or none at all: botocore must never look for the platform's in their place."""
    names = ("access_key_id", "secret_access_key")
    if not all(credential.get(name) for name in names):
        raise CredentialInvalid("The credential has no access key id or no secret access key.")
    return {f"aws_{name}": credential[name] for name in names}


@cache
def _bundle(ca_bundle: str) -> str:
    """The path of a CA bundle that is given as a path or as PEM."""
    if not ca_bundle.lstrip().startswith("-----BEGIN"):
        return ca_bundle
    with tempfile.NamedTemporaryFile("w", suffix=".pem", prefix="pitrix-ca-", delete=False) as file:
        file.write(ca_bundle)
    return str(Path(file.name))
