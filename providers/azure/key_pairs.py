"""SSH public keys of Azure. They lie in the common resource group, as they belong to no cluster."""

from __future__ import annotations

from collections.abc import Mapping

from pitrix.errors import ResourceNotFound
from providers import checks
from providers.azure import mapping, naming
from providers.azure.cloud import Cloud
from providers.base import KeyPairs, check_key
from providers.resources import KeyPair, KeyPairSpec

KIND = "Microsoft.Compute/sshPublicKeys"


class AzureKeyPairs(Cloud, KeyPairs):
    """A key pair's name is made of its key; it can be used in every location."""

    def import_key_pair(self, spec: KeyPairSpec, *, idempotency_key: str) -> KeyPair:
        name, group = naming.resource_name(check_key(idempotency_key)), naming.COMMON_GROUP
        api = self._cloud.compute.ssh_public_keys
        if (made := self._cloud.find(api.get, group, name)) is not None:
            return mapping.key_pair(made)
        properties = {"publicKey": checks.public_key(spec.public_key, kinds=("ssh-ed25519", "ssh-rsa"))}
        request = mapping.body(self._cloud.zone, idempotency_key, spec, properties)
        made = self._cloud.in_group(group, lambda: self._cloud.ask(api.create, group, name, request))
        return mapping.key_pair(made)

    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        found = self._cloud.own(key_pair_id, KIND)
        return mapping.key_pair(
            self._cloud.ask(self._cloud.compute.ssh_public_keys.get, found.group, *found.names)
        )

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        listing = self._cloud.compute.ssh_public_keys.list_by_resource_group
        found = self._in(naming.COMMON_GROUP, listing)
        return [mapping.key_pair(each) for each in found if mapping.carries(each, tags)]

    def delete_key_pair(self, key_pair_id: str) -> None:
        try:
            found = self._cloud.own(key_pair_id, KIND)
            self._cloud.ask(self._cloud.compute.ssh_public_keys.delete, found.group, *found.names)
        except ResourceNotFound:
            return
