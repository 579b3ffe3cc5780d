"""Granting: Helm begins only when the API server knows what was granted."""

from __future__ import annotations

from typing import Any

import pytest

from pitrix.errors import Conflict, CredentialInvalid, ProviderUnavailable
from providers.kubernetes import tenancy
from providers.kubernetes.tenancy import Tenancy


class Cluster:
    """An API server where a grant is there already, and is known after some looks (or never)."""

    def __init__(self, looks: int, refusal: str = "services is forbidden") -> None:
        self.looks, self.refusal = looks, refusal

    def post(self, path: str, body: Any) -> Any:
        raise Conflict("it is there already")

    def get(self, path: str, query: Any = None, *, account: str = "") -> Any:
        assert account == "shop/pitrix-release"
        if self.looks:
            self.looks -= 1
            raise CredentialInvalid(f"The credential lacks a permission: {self.refusal}.")
        return {}


def prepare(cluster: Cluster) -> None:
    found: Any = cluster
    Tenancy(found, {"namespace": "shop"}).prepare("shop", made_for="release/web", tags={})


def test_a_grant_of_another_call_is_waited_for_too() -> None:
    cluster = Cluster(looks=2)
    prepare(cluster)
    assert cluster.looks == 0


def test_a_grant_that_is_not_known_in_time_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenancy, "_GRANT_S", 0.1)
    with pytest.raises(ProviderUnavailable, match="does not know yet"):
        prepare(Cluster(looks=1000))


def test_a_credential_that_may_not_act_for_the_account_is_told_at_once() -> None:
    cluster = Cluster(looks=1000, refusal="users is forbidden: cannot impersonate resource")
    with pytest.raises(CredentialInvalid):
        prepare(cluster)
    assert cluster.looks == 999
