"""Where the secret of a repository could still get to."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from pitrix import bootstrap
from pitrix.repos.model import Credential
from pitrix.repos.sources import index
from pitrix.repos.vault import RepoVault


def test_a_replaced_credential_is_not_used_by_a_process_that_read_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The address is replaced together with it, and a sync in a warm process reads that at once."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")

    def process() -> RepoVault:
        with bootstrap.override("nothing", None):  # what is built inside is forgotten behind it
            return bootstrap._repo_vault()

    with mock_aws(), bootstrap.override("client", secrets_manager(), "secretsmanager"):
        syncing, editing = process(), process()
        assert syncing is not editing
        old, new = Credential(username="u", password="old"), Credential(username="u", password="new")
        editing.put("repo_1", old)
        assert syncing.get("repo_1") == old
        editing.put("repo_1", new)
        assert syncing.get("repo_1") == new
        editing.delete("repo_1")
        assert syncing.get("repo_1") is None


def secrets_manager() -> Any:
    return boto3.client("secretsmanager", region_name="us-east-1")


@pytest.mark.parametrize(
    ("reference", "resolved"),
    [
        ("shop-1.0.0.tgz", "https://charts.test/stable/shop-1.0.0.tgz?token=t"),
        ("/other/shop-1.0.0.tgz", "https://charts.test/other/shop-1.0.0.tgz?token=t"),
        ("//thief.test/shop-1.0.0.tgz", "https://thief.test/shop-1.0.0.tgz"),
        ("//charts.test:8443/shop-1.0.0.tgz", "https://charts.test:8443/shop-1.0.0.tgz"),
        ("//charts.test@thief.test/shop-1.0.0.tgz", "https://charts.test@thief.test/shop-1.0.0.tgz"),
    ],
)
def test_a_token_in_the_query_stays_with_its_server(reference: str, resolved: str) -> None:
    assert index.resolve_url("https://charts.test/stable?token=t", reference) == resolved
