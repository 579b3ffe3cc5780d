"""Key pairs: the common laws, and what is a public key. That machines accept them: ``test_machines``."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pitrix.errors import InvalidInput
from providers.base import Capability, Provider
from providers.resources import KeyPair, KeyPairSpec
from tests.contract.providers.bench import PUBLIC_KEY, Bench
from tests.contract.providers.laws import CreationLaws

FINGERPRINT = "SHA256:0wJzYETS4vtRP9+bMMymLIsRVk39Qw9MeQ9EzuIWxO4"  # as ssh-keygen -l says


class TestKeyPairs(CreationLaws):
    capability = Capability.KEY_PAIRS

    def create(self, bench: Bench, key: str, provider: Provider | None = None) -> KeyPair:
        return bench.key_pair(key, provider)

    def read(self, provider: Provider, resource_id: str) -> KeyPair:
        return provider.key_pairs.get_key_pair(resource_id)

    def listed(self, provider: Provider, tags: Mapping[str, str]) -> list[KeyPair]:
        return provider.key_pairs.list_key_pairs(tags)

    def delete(self, provider: Provider, resource_id: str) -> None:
        provider.key_pairs.delete_key_pair(resource_id)

    def id_of(self, resource: KeyPair) -> str:
        return resource.key_pair_id

    def test_its_fingerprint_is_that_of_ssh_keygen(self, bench: Bench) -> None:
        assert bench.key_pair().fingerprint == FINGERPRINT

    @pytest.mark.parametrize(
        "public_key",
        [
            "",
            "hello",
            "ssh-ed25519 not-base64!",
            PUBLIC_KEY.replace("ssh-ed25519", "ssh-rsa", 1),
            f"{PUBLIC_KEY}\n{PUBLIC_KEY}",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
        ],
        ids=["nothing", "a word", "not base64", "another kind", "two", "a private key"],
    )
    def test_what_is_no_public_key_is_refused(self, bench: Bench, public_key: str) -> None:
        spec = KeyPairSpec(name="a", public_key=public_key, tags=bench.tags)
        with pytest.raises(InvalidInput):
            bench.provider.key_pairs.import_key_pair(spec, idempotency_key=bench.key("a"))
