"""Security groups of a VPC: what may come in. Everything may go out, as EC2 has it for new ones.

Machines of one network reach each other because each is in the VPC's default group as well (``machines``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.aws import errors, mapping
from providers.aws.cloud import Cloud, one, with_id
from providers.base import SecurityGroups, check_key
from providers.resources import SecurityGroup, SecurityGroupSpec


class AwsSecurityGroups(Cloud, SecurityGroups):
    """A group's name is made of its key, and EC2 allows a name once in a VPC."""

    def create_security_group(self, spec: SecurityGroupSpec, *, idempotency_key: str) -> SecurityGroup:
        key, rules = check_key(idempotency_key), mapping.permissions(spec.rules)
        found = self._groups({mapping.TAG_KEY: key}) or self._make(spec, key)
        group = found[0]
        if rules and not group.get("IpPermissions"):  # all or none: they are let in by one call
            self._let_in(group["GroupId"], rules)
            return self.get_security_group(group["GroupId"])
        return mapping.security_group(group)

    def get_security_group(self, security_group_id: str) -> SecurityGroup:
        with_id("sg-", security_group_id, "security group")
        found = self._cloud.call("ec2", "DescribeSecurityGroups", GroupIds=[security_group_id])
        return mapping.security_group(one(found["SecurityGroups"], "security group", security_group_id))

    def list_security_groups(self, tags: Mapping[str, str]) -> list[SecurityGroup]:
        return [mapping.security_group(each) for each in self._groups(tags)]

    def delete_security_group(self, security_group_id: str) -> None:
        try:
            with_id("sg-", security_group_id, "security group")
            self._cloud.call("ec2", "DeleteSecurityGroup", GroupId=security_group_id)
        except ResourceNotFound:
            return

    def _make(self, spec: SecurityGroupSpec, key: str) -> list[Any]:
        with_id("vpc-", spec.network_id, "network")
        try:
            made = self._cloud.call(
                "ec2",
                "CreateSecurityGroup",
                GroupName=mapping.derived(key),
                Description="Made by Pitrix from the endpoints of a package",
                VpcId=spec.network_id,
                TagSpecifications=mapping.tagging("security-group", spec.name, spec.tags, key),
            )
        except Conflict as error:  # another call made it at the same moment
            found = self._groups({mapping.TAG_KEY: key})
            if errors.code_of(error) != "InvalidGroup.Duplicate" or not found:
                raise
            return found
        answer = self._cloud.call("ec2", "DescribeSecurityGroups", GroupIds=[made["GroupId"]])
        return list(answer["SecurityGroups"])

    def _let_in(self, group_id: str, rules: list[dict[str, Any]]) -> None:
        try:
            self._cloud.call("ec2", "AuthorizeSecurityGroupIngress", GroupId=group_id, IpPermissions=rules)
        except Conflict as error:
            if errors.code_of(error) != "InvalidPermission.Duplicate":
                raise

    def _groups(self, tags: Mapping[str, str]) -> list[Any]:
        filters = mapping.by_tags(tags)
        return list(self._cloud.pages("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters))
