"""A network is a VPC with one subnet in the connection's zone, and a way out to the internet.

Owns which range a network gets. Each call does whatever of it is still to be done; a tag says when all is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from typing import Any

from pitrix.errors import Conflict, InvalidInput, QuotaExceeded, ResourceNotFound
from providers.aws import errors, mapping
from providers.aws.cloud import Cloud, made_order, one, only_one, with_id
from providers.base import Networks, check_key
from providers.resources import Network, NetworkSpec

_RANGES = IPv4Network("10.0.0.0/8")
_PREFIX = 20
"""Networks that the provider chooses are /20s (4,091 machines) of 10.0.0.0/8."""

_PRIVATE = [IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
_ANYWHERE = "0.0.0.0/0"


class AwsNetworks(Cloud, Networks):
    """EC2 has no client token for VPCs: they are found by their key."""

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        """Machines get public addresses of their own to reach out with: a NAT gateway costs more than they
        do. Nothing comes in by them but what security groups let in."""
        key = check_key(idempotency_key)
        wanted = _checked(spec.cidr) if spec.cidr is not None else None
        vpc = only_one(
            lambda: self._vpcs({mapping.TAG_KEY: key}),
            lambda: self._make_vpc(spec, wanted, key),
            self._demolish,
            made_order("VpcId"),
        )
        if mapping.TAG_READY not in mapping.all_tags(vpc):
            try:
                self._complete(vpc, spec, key)
            except ResourceNotFound:  # what was made a moment ago is not seen by every call yet
                return mapping.network(vpc)
            vpc = self._vpc(vpc["VpcId"])
        return mapping.network(vpc)

    def get_network(self, network_id: str) -> Network:
        return mapping.network(self._vpc(network_id))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return [mapping.network(each) for each in self._vpcs(tags)]

    def delete_network(self, network_id: str) -> None:
        """Only networks that were made here: what else is in another's VPC, nobody knows."""
        try:
            vpc = self._vpc(network_id)
        except ResourceNotFound:
            return
        if mapping.TAG_KEY not in mapping.all_tags(vpc):
            raise Conflict(f"The VPC {network_id} was not made by Pitrix; delete it where it was made.")
        for gateway_id in self._unattached_gateways(mapping.all_tags(vpc)[mapping.TAG_KEY]):
            self._gone("DeleteInternetGateway", InternetGatewayId=gateway_id)
        self._demolish(vpc)

    # --- steps ---------------------------------------------------------------------------------------

    def _make_vpc(self, spec: NetworkSpec, wanted: IPv4Network | None, key: str) -> Any:
        taken = [ip_network(each["CidrBlock"]) for each in self._vpcs({})]
        cidr = wanted or _free(taken, key)
        if any(cidr.overlaps(other) for other in taken):
            raise Conflict(f"The range {cidr} overlaps that of another network of this account.")
        tags = mapping.tagging("vpc", spec.name, spec.tags, key, **{mapping.TAG_MADE: mapping.made_now()})
        return self._cloud.call("ec2", "CreateVpc", CidrBlock=str(cidr), TagSpecifications=tags)["Vpc"]

    def _complete(self, vpc: Any, spec: NetworkSpec, key: str) -> None:
        vpc_id = vpc["VpcId"]
        subnet_id = self._ensure_subnet(vpc, spec, key)
        gateway_id = self._ensure_gateway(vpc_id, spec, key)
        tables = self._cloud.call(
            "ec2",
            "DescribeRouteTables",
            Filters=[*mapping.where(vpc_id=vpc_id), {"Name": "association.main", "Values": ["true"]}],
        )["RouteTables"]
        table = one(tables, "route table of the network", vpc_id)
        if not any(route.get("DestinationCidrBlock") == _ANYWHERE for route in table["Routes"]):
            self._add_way_out(table["RouteTableId"], gateway_id)
        self._cloud.call(
            "ec2", "ModifySubnetAttribute", SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True}
        )
        ready = [{"Key": mapping.TAG_READY, "Value": "yes"}]
        self._cloud.call("ec2", "CreateTags", Resources=[vpc_id], Tags=ready)

    def _add_way_out(self, table_id: str, gateway_id: str) -> None:
        try:
            self._cloud.call(
                "ec2",
                "CreateRoute",
                RouteTableId=table_id,
                DestinationCidrBlock=_ANYWHERE,
                GatewayId=gateway_id,
            )
        except Conflict as error:  # another call added it at the same moment
            if errors.code_of(error) != "RouteAlreadyExists":
                raise

    def _ensure_subnet(self, vpc: Any, spec: NetworkSpec, key: str) -> str:
        found = self._subnets(vpc["VpcId"])
        if not found:
            try:
                made = self._cloud.call(
                    "ec2",
                    "CreateSubnet",
                    VpcId=vpc["VpcId"],
                    CidrBlock=vpc["CidrBlock"],
                    AvailabilityZone=self._cloud.zone,
                    TagSpecifications=mapping.tagging("subnet", spec.name, spec.tags, key),
                )
                return str(made["Subnet"]["SubnetId"])
            except Conflict:  # another call made it at the same moment
                found = self._subnets(vpc["VpcId"])
        return str(one(found, "subnet of the network", vpc["VpcId"])["SubnetId"])

    def _ensure_gateway(self, vpc_id: str, spec: NetworkSpec, key: str) -> str:
        if attached := self._gateways(vpc_id):
            return attached[0]
        tags = mapping.tagging("internet-gateway", spec.name, spec.tags, key)
        lost = self._unattached_gateways(key)
        if lost:
            gateway_id = lost[0]
        else:
            made = self._cloud.call("ec2", "CreateInternetGateway", TagSpecifications=tags)
            gateway_id = made["InternetGateway"]["InternetGatewayId"]
        try:
            self._cloud.call("ec2", "AttachInternetGateway", InternetGatewayId=gateway_id, VpcId=vpc_id)
        except (Conflict, InvalidInput):  # another call attached one at the same moment
            attached = self._gateways(vpc_id)
            if not attached:
                raise
            if gateway_id not in attached:
                self._gone("DeleteInternetGateway", InternetGatewayId=gateway_id)
            return attached[0]
        return str(gateway_id)

    def _demolish(self, vpc: Any) -> None:
        """Take a network down, the subnets first: while machines are in them, nothing else is touched."""
        vpc_id = vpc["VpcId"]
        if self._instances(vpc_id=vpc_id):
            raise Conflict(f"Machines are still in the network {vpc_id}.")
        for subnet in self._subnets(vpc_id, everywhere=True):
            self._gone("DeleteSubnet", SubnetId=subnet["SubnetId"])
        for gateway_id in self._gateways(vpc_id):
            self._gone("DetachInternetGateway", InternetGatewayId=gateway_id, VpcId=vpc_id)
            self._gone("DeleteInternetGateway", InternetGatewayId=gateway_id)
        self._gone("DeleteVpc", VpcId=vpc_id)

    def _gone(self, operation: str, **parameters: Any) -> None:
        try:
            self._cloud.call("ec2", operation, **parameters)
        except ResourceNotFound:
            return
        except Conflict as error:
            if errors.code_of(error) != "DependencyViolation":
                raise
            raise Conflict(
                "Something is still in the network: machines, or their security groups."
            ) from error

    # --- looking -------------------------------------------------------------------------------------

    def _vpc(self, network_id: str) -> Any:
        with_id("vpc-", network_id, "network")
        found = self._cloud.call("ec2", "DescribeVpcs", VpcIds=[network_id])["Vpcs"]
        return one(found, "network", network_id)

    def _vpcs(self, tags: Mapping[str, str]) -> list[Any]:
        return list(self._cloud.pages("ec2", "DescribeVpcs", "Vpcs", Filters=mapping.by_tags(tags)))

    def _subnets(self, vpc_id: str, *, everywhere: bool = False) -> list[Any]:
        filters = mapping.where(vpc_id=vpc_id)
        if not everywhere:
            filters += mapping.where(availability_zone=self._cloud.zone)
        return list(self._cloud.pages("ec2", "DescribeSubnets", "Subnets", Filters=filters))

    def _gateways(self, vpc_id: str) -> list[str]:
        filters = [{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
        return self._gateway_ids(filters)

    def _unattached_gateways(self, key: str) -> list[str]:
        filters = mapping.by_tags({mapping.TAG_KEY: key})
        found = self._cloud.call("ec2", "DescribeInternetGateways", Filters=filters)["InternetGateways"]
        return [each["InternetGatewayId"] for each in found if not each.get("Attachments")]

    def _gateway_ids(self, filters: list[dict[str, Any]]) -> list[str]:
        found = self._cloud.call("ec2", "DescribeInternetGateways", Filters=filters)["InternetGateways"]
        return [each["InternetGatewayId"] for each in found]


def _checked(cidr: str) -> IPv4Network:
    """A range that a VPC can have.

    Raises:
        InvalidInput: It is none; says which are.
    """
    try:
        network = IPv4Network(cidr)
    except ValueError:
        network = None
    if (
        network is None
        or not 16 <= network.prefixlen <= 28
        or not any(network.subnet_of(each) for each in _PRIVATE)
    ):
        raise InvalidInput(f"{cidr!r} is no range of a VPC: a private one like 10.0.0.0/20, of /16 to /28.")
    return network


def _free(taken: list[Any], key: str) -> IPv4Network:
    """A range that no other network has. Where it is looked for first depends on the key, so that calls at
    the same time choose different ones."""
    count = 1 << (_PREFIX - _RANGES.prefixlen)
    first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    for offset in range(count):
        place = int(_RANGES.network_address) + ((first + offset) % count << (32 - _PREFIX))
        candidate = IPv4Network((place, _PREFIX))
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise QuotaExceeded(f"All of {_RANGES} is taken by networks of this account.")
