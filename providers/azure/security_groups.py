"""Network security groups of Azure; its default rules let in the same network, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from providers.azure import mapping, naming, network_mapping
from providers.azure.cloud import Cloud
from providers.base import SecurityGroups, check_key
from providers.resources import SecurityGroup, SecurityGroupSpec

KIND = "Microsoft.Network/networkSecurityGroups"


class AzureSecurityGroups(Cloud, SecurityGroups):
    """They stand beside networks at Azure; that of the spec must exist all the same."""

    def create_security_group(self, spec: SecurityGroupSpec, *, idempotency_key: str) -> SecurityGroup:
        name, group = naming.resource_name(check_key(idempotency_key)), naming.group_name(spec.tags)
        api = self._cloud.network
        if (made := self._cloud.find(api.network_security_groups.get, group, name)) is not None:
            return network_mapping.security_group(made)
        properties = {"securityRules": network_mapping.security_rules(spec.rules)}
        network = self._cloud.own(spec.network_id, "Microsoft.Network/virtualNetworks")
        self._cloud.ask(api.virtual_networks.get, network.group, *network.names)
        request = mapping.body(self._cloud.zone, idempotency_key, spec, properties)
        begin = api.network_security_groups.begin_create_or_update
        return network_mapping.security_group(self._cloud.create(begin, group, name, request))

    def get_security_group(self, security_group_id: str) -> SecurityGroup:
        found = self._cloud.own(security_group_id, KIND)
        get = self._cloud.network.network_security_groups.get
        return network_mapping.security_group(self._cloud.ask(get, found.group, *found.names))

    def list_security_groups(self, tags: Mapping[str, str]) -> list[SecurityGroup]:
        api = self._cloud.network.network_security_groups
        return [network_mapping.security_group(each) for each in self._held(tags, api.list, api.list_all)]

    def delete_security_group(self, security_group_id: str) -> None:
        begin = self._cloud.network.network_security_groups.begin_delete
        self._delete(begin, security_group_id, KIND)
