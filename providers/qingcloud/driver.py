"""The QingCloud provider: composes the capabilities, and says who may sign in and where.

Prices are not offered: QingCloud's API of 2013-08-30 does not tell them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pitrix.errors import CredentialInvalid
from providers.base import Provider
from providers.qingcloud import mapping
from providers.qingcloud.addresses import QingCloudAddresses
from providers.qingcloud.client import Client
from providers.qingcloud.images import QingCloudImages
from providers.qingcloud.key_pairs import QingCloudKeyPairs
from providers.qingcloud.machines import QingCloudMachines
from providers.qingcloud.networks import QingCloudNetworks
from providers.qingcloud.security_groups import QingCloudSecurityGroups
from providers.qingcloud.snapshots import QingCloudSnapshots
from providers.qingcloud.volumes import QingCloudVolumes
from providers.resources import Connection, Zone

_NEEDED = ("DescribeInstances", "DescribeVolumes", "DescribeVxnets", "DescribeRouters", "DescribeTags")
"""What every creation begins with; a sub-account may lack the permission for one of them."""


class QingCloudProvider(
    Provider,
    QingCloudMachines,
    QingCloudVolumes,
    QingCloudSnapshots,
    QingCloudNetworks,
    QingCloudSecurityGroups,
    QingCloudAddresses,
    QingCloudImages,
    QingCloudKeyPairs,
):
    """One QingCloud account in one zone. Every promise is the base class's."""

    name = "qingcloud"
    title = "QingCloud"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "access_key_id": {
                "type": "string",
                "title": "Access key ID",
                "description": "Made in QingCloud's console under API keys.",
                "minLength": 1,
                "maxLength": 100,
            },
            "secret_access_key": {
                "type": "string",
                "title": "Secret access key",
                "description": "Shown once, in the file that is downloaded with the key.",
                "writeOnly": True,
                "minLength": 1,
                "maxLength": 200,
            },
        },
        "required": ["access_key_id", "secret_access_key"],
        "additionalProperties": False,
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._cloud = Client(connection.zone, connection.credential, connection.settings)

    def validate_credential(self) -> None:
        """Reads one row of each kind that creating begins with; what may be changed only a change tells."""
        zones = [zone.zone for zone in self.zones()]
        if self.connection.zone not in zones:
            raise CredentialInvalid(
                f"There is no zone {self.connection.zone!r:.40} for this key; there are: {', '.join(zones)}."
            )
        for action in _NEEDED:
            self._cloud.call(action, limit=1)

    def zones(self) -> list[Zone]:
        """The zones that are up; asked of all, so that it works before a zone is chosen."""
        rows = self._cloud.call("DescribeZones", zone=None, status=["active"])["zone_set"]
        return sorted((mapping.zone(row) for row in rows), key=lambda zone: zone.zone)
