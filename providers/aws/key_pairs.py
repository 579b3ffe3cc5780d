"""Key pairs of EC2, imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.aws import errors, mapping
from providers.aws.cloud import Cloud, one, with_id
from providers.base import KeyPairs, check_key
from providers.resources import KeyPair, KeyPairSpec


class AwsKeyPairs(Cloud, KeyPairs):
    """A pair's name is made of its key, and EC2 allows a name once in a region."""

    def import_key_pair(self, spec: KeyPairSpec, *, idempotency_key: str) -> KeyPair:
        key, material = check_key(idempotency_key), mapping.public_key(spec.public_key)
        wanted = {mapping.TAG_KEY: key}
        if found := self._pairs(mapping.by_tags(wanted)):
            return mapping.key_pair(found[0])
        try:
            self._cloud.call(
                "ec2",
                "ImportKeyPair",
                KeyName=mapping.derived(key),
                PublicKeyMaterial=material.encode(),
                TagSpecifications=mapping.tagging("key-pair", spec.name, spec.tags, key),
            )
        except Conflict as error:  # another call imported it at the same moment
            if errors.code_of(error) != "InvalidKeyPair.Duplicate":
                raise
        return mapping.key_pair(one(self._pairs(mapping.by_tags(wanted)), "key pair", spec.name))

    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        return mapping.key_pair(self._pair(key_pair_id))

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        return [mapping.key_pair(each) for each in self._pairs(mapping.by_tags(tags))]

    def delete_key_pair(self, key_pair_id: str) -> None:
        try:
            self._cloud.call("ec2", "DeleteKeyPair", KeyName=self._pair(key_pair_id)["KeyName"])
        except ResourceNotFound:
            return

    def _pair(self, key_pair_id: str) -> Any:
        with_id("key-", key_pair_id, "key pair")
        return one(self._pairs(mapping.where(key_pair_id=key_pair_id)), "key pair", key_pair_id)

    def _pairs(self, filters: list[dict[str, Any]]) -> list[Any]:
        found = self._cloud.call("ec2", "DescribeKeyPairs", Filters=filters, IncludePublicKey=True)
        return list(found["KeyPairs"])
