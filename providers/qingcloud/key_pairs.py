"""Key pairs: public keys that QingCloud writes into new instances."""

from __future__ import annotations

from collections.abc import Mapping

from pitrix.errors import Conflict
from providers import checks
from providers.base import KeyPairs
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.kinds import KEY_PAIR
from providers.resources import KeyPair, KeyPairSpec


class QingCloudKeyPairs(KeyPairs):
    """Every promise is the base class's."""

    _cloud: Client

    def import_key_pair(self, spec: KeyPairSpec, *, idempotency_key: str) -> KeyPair:
        """QingCloud's documentation names RSA and DSS keys; others it takes or refuses by itself."""
        public_key = checks.public_key(spec.public_key)

        def make(name: str) -> str:
            answer = self._cloud.call("CreateKeyPair", keypair_name=name, mode="user", public_key=public_key)
            return str(answer["keypair_id"])

        row = create_once(
            self._cloud, KEY_PAIR, key=idempotency_key, name=spec.name, tags=spec.tags, make=make
        )
        return mapping.key_pair(row)

    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        return mapping.key_pair(self._cloud.row(KEY_PAIR, key_pair_id))

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        return [mapping.key_pair(row) for row in tagged(self._cloud, KEY_PAIR, tags)]

    def delete_key_pair(self, key_pair_id: str) -> None:
        """One that machines have stays: QingCloud would take it out of them first.

        Raises:
            Conflict: Machines have it.
        """
        row = self._cloud.row_or_none(KEY_PAIR, key_pair_id)
        if row is None:
            return
        if row.get("instance_ids"):
            raise Conflict(f"Machines still have the key pair {key_pair_id}; delete them first.")
        self._cloud.call("DeleteKeyPairs", keypairs=[key_pair_id])
