"""Credentials in Secrets Manager, as moto plays it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pitrix.errors import NotFound
from pitrix.vault import REMEMBERED_S, SecretsManagerVault

NAME = "pitrix/runtimes/rt_1"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


class Stopwatch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_credential_is_kept_replaced_and_destroyed(client: Any) -> None:
    vault = SecretsManagerVault(lambda: client)
    with pytest.raises(NotFound):
        vault.get(NAME)
    vault.put(NAME, {"token": "a"})
    assert vault.get(NAME) == {"token": "a"}
    vault.put(NAME, {"token": "b", "user": "u"})
    assert vault.get(NAME) == {"token": "b", "user": "u"}
    vault.delete(NAME)
    vault.delete(NAME)
    with pytest.raises(NotFound):
        vault.get(NAME)
    vault.put(NAME, {"token": "c"})  # the name can be had again at once


def test_what_was_read_is_remembered_for_a_while(client: Any) -> None:
    stopwatch = Stopwatch()
    reader, writer = (
        SecretsManagerVault(lambda: client, stopwatch=stopwatch),
        SecretsManagerVault(lambda: client),
    )
    writer.put(NAME, {"token": "a"})
    assert reader.get(NAME) == {"token": "a"}
    writer.put(NAME, {"token": "b"})
    assert reader.get(NAME) == {"token": "a"}
    stopwatch.now += REMEMBERED_S
    assert reader.get(NAME) == {"token": "b"}


def test_one_marked_for_deletion_is_gone(client: Any) -> None:
    vault = SecretsManagerVault(lambda: client)
    vault.put(NAME, {"token": "a"})
    client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    with pytest.raises(NotFound):
        vault.get(NAME)


def test_nothing_is_connected_until_it_is_needed() -> None:
    SecretsManagerVault(lambda: pytest.fail("it connected"))
