"""The ways to sign in, on moto's own IAM and STS behind the front that checks signatures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pitrix.errors import CredentialInvalid
from providers.aws.client import Client
from providers.aws.driver import AwsProvider
from providers.resources import Connection
from tests.contract.providers.targets.aws import ZONE, cloud


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with cloud(tmp_path_factory.mktemp("aws")) as told:
        yield told


@pytest.fixture
def role(told: dict[str, Any], tmp_path: Path) -> Connection:
    """A tenant's role, and the file in which the deployment keeps the platform's own keys."""
    keys = tmp_path / "credentials"
    lines = [f"aws_{name} = {value}" for name, value in told["keys"]["platform"].items()]
    keys.write_text("\n".join(["[default]", *lines]))
    credential = {"method": "assume-role", "role_arn": told["role"], "external_id": told["external_id"]}
    settings = {"endpoint": f"http://127.0.0.1:{told['port']}", "credentials_file": str(keys)}
    return Connection(zone=ZONE, credential=credential, settings=settings)


def keys(told: dict[str, Any], name: str) -> Connection:
    endpoint = f"http://127.0.0.1:{told['port']}"
    return Connection(zone=ZONE, credential=told["keys"][name], settings={"endpoint": endpoint})


def test_a_role_is_assumed_with_its_external_id(role: Connection) -> None:
    AwsProvider(role).validate_credential()


@pytest.mark.parametrize("wrong", [{"external_id": "of-somebody-else"}, {"role_arn": "none"}])
def test_a_role_that_does_not_trust_us_is_refused(role: Connection, wrong: dict[str, str]) -> None:
    arn = role.credential["role_arn"].replace("tenant", "nobody")
    changed = {name: arn if value == "none" else value for name, value in wrong.items()}
    with pytest.raises(CredentialInvalid, match="trust policy") as refused:
        AwsProvider(replace(role, credential={**role.credential, **changed})).validate_credential()
    assert not any(value in refused.value.detail for value in changed.values())


def test_the_permissions_that_lack_are_all_named(told: dict[str, Any]) -> None:
    with pytest.raises(CredentialInvalid) as refused:
        AwsProvider(keys(told, "looker")).validate_credential()
    for permission in ("ec2:RunInstances", "ec2:CreateVolume", "ec2:CreateVpc", "ec2:AllocateAddress"):
        assert permission in refused.value.detail


def test_the_platforms_own_identity_never_stands_in_for_a_tenants(
    told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told["keys"]["account"].items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    empty = replace(keys(told, "account"), credential={"access_key_id": "", "secret_access_key": ""})
    with pytest.raises(CredentialInvalid):
        AwsProvider(empty).validate_credential()


def test_what_the_platform_calls_aws_by_is_not_where_tenants_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    keys = {"access_key_id": "AKIA", "secret_access_key": "s"}
    client = Client(Connection(zone=ZONE, credential=keys))._client("ec2", "us-east-1", 5)
    assert client.meta.endpoint_url == "https://ec2.us-east-1.amazonaws.com"
