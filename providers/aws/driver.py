"""The AWS provider: puts the capabilities together, and says how to sign in.

Owns the form of a credential, the verdict on one, and the zones. Everything else is in a module a capability.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from pitrix.errors import CredentialInvalid, PitrixError
from providers.aws import errors
from providers.aws.addresses import AwsAddresses
from providers.aws.client import ACCESS_KEYS, ASSUME_ROLE, Client
from providers.aws.functions import AwsFunctions
from providers.aws.images import AwsImages
from providers.aws.key_pairs import AwsKeyPairs
from providers.aws.machines import AwsMachines
from providers.aws.networks import AwsNetworks
from providers.aws.prices import AwsPrices
from providers.aws.security_groups import AwsSecurityGroups
from providers.aws.snapshots import AwsSnapshots
from providers.aws.volumes import AwsVolumes
from providers.base import Provider
from providers.resources import Connection, Zone

_REGIONS_AT_ONCE = 8

_DRY_RUNS: Mapping[str, Mapping[str, Any]] = {
    "AllocateAddress": {"Domain": "vpc"},
    "CreateSecurityGroup": {"GroupName": "pitrix", "Description": "pitrix"},
    "CreateVolume": {"Size": 1},
    "CreateVpc": {"CidrBlock": "10.0.0.0/20"},
    "RunInstances": {"ImageId": "ami-00000000000000000", "MinCount": 1, "MaxCount": 1},
}
"""Calls that say whether they would be allowed, without taking effect."""


class AwsProvider(
    Provider,
    AwsMachines,
    AwsVolumes,
    AwsSnapshots,
    AwsNetworks,
    AwsSecurityGroups,
    AwsAddresses,
    AwsImages,
    AwsKeyPairs,
    AwsFunctions,
    AwsPrices,
):
    """One account in one availability zone. Every promise is the base class's; what differs is said at the
    method."""

    name = "aws"
    title = "Amazon Web Services"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [
            {
                "title": "A role that Pitrix assumes",
                "type": "object",
                "properties": {
                    "method": {"const": ASSUME_ROLE, "title": "Way to sign in"},
                    "role_arn": {
                        "type": "string",
                        "title": "ARN of the role",
                        "description": "arn:aws:iam::…:role/pitrix; it trusts the platform's account.",
                        "pattern": "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\\w+=,.@/-]+$",
                        "maxLength": 2048,
                    },
                    "external_id": {
                        "type": "string",
                        "title": "External id",
                        "description": "What the role's trust policy wants as sts:ExternalId; a secret.",
                        "pattern": "^[\\w+=,.@:/-]+$",
                        "writeOnly": True,
                        "minLength": 8,
                        "maxLength": 1224,
                    },
                },
                "required": ["method", "role_arn", "external_id"],
                "additionalProperties": False,
            },
            {
                "title": "Access keys of a user",
                "type": "object",
                "properties": {
                    "method": {"const": ACCESS_KEYS, "title": "Way to sign in"},
                    "access_key_id": {
                        "type": "string",
                        "title": "Access key id",
                        "pattern": "^[A-Z0-9]+$",
                        "minLength": 16,
                        "maxLength": 128,
                    },
                    "secret_access_key": {
                        "type": "string",
                        "title": "Secret access key",
                        "writeOnly": True,
                        "minLength": 16,
                        "maxLength": 128,
                    },
                },
                "required": ["method", "access_key_id", "secret_access_key"],
                "additionalProperties": False,
            },
        ],
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._cloud = Client(connection)

    def validate_credential(self) -> None:
        """Asks who it is, whether the zone is one of its, and dry-runs the calls that make things."""
        self._cloud.account()
        zones = self._zones_of(self._cloud.region)
        if self.connection.zone not in [zone.zone for zone in zones]:
            names = ", ".join(zone.zone for zone in zones)
            raise CredentialInvalid(
                f"The account has no zone {self.connection.zone!r} in that region; it has {names}."
            )
        lacking = [f"ec2:{operation}" for operation in _DRY_RUNS if not self._may(operation)]
        if lacking:
            raise CredentialInvalid(
                f"The AWS credential may not do {', '.join(lacking)}; give them to its user or role."
            )

    def zones(self) -> list[Zone]:
        """Those of the connection's region first, then those of all others that the account may use.

        A region that an organization's policy closes is left out.
        """
        home = self._cloud.region
        answer = self._cloud.call("ec2", "DescribeRegions")["Regions"]
        others = sorted(each["RegionName"] for each in answer if each["RegionName"] != home)
        with ThreadPoolExecutor(_REGIONS_AT_ONCE) as callers:
            elsewhere = callers.map(self._open_zones_of, others)
            return [*self._zones_of(home), *(zone for zones in elsewhere for zone in zones)]

    def _open_zones_of(self, region: str) -> list[Zone]:
        try:
            return self._zones_of(region)
        except CredentialInvalid:
            return []

    def _zones_of(self, region: str) -> list[Zone]:
        found = self._cloud.call("ec2", "DescribeAvailabilityZones", region=region)["AvailabilityZones"]
        return [
            Zone(zone=each["ZoneName"], title=each.get("ZoneId", ""))
            for each in found
            if each["State"] == "available"
            and each.get("ZoneType", "availability-zone") == "availability-zone"
        ]

    def _may(self, operation: str) -> bool:
        """Whether AWS would allow a call; whatever else it says against it is not about permissions."""
        wanted = dict(_DRY_RUNS[operation])
        if operation == "CreateVolume":
            wanted["AvailabilityZone"] = self._cloud.zone
        try:
            self._cloud.call("ec2", operation, DryRun=True, **wanted)
        except PitrixError as error:
            return errors.code_of(error) != "UnauthorizedOperation"
        return True
