"""The OpenStack provider: signing in, zones, and the capabilities of the modules beside it.

Prices are not offered: OpenStack has none. Where a cloud has no cinder, or no network with public
addresses, the calls that need them say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pitrix.errors import CredentialInvalid
from providers.base import Provider
from providers.openstack import mapping
from providers.openstack.addresses import OpenStackAddresses
from providers.openstack.client import Client
from providers.openstack.images import OpenStackImages
from providers.openstack.key_pairs import OpenStackKeyPairs
from providers.openstack.machines import OpenStackMachines
from providers.openstack.security_groups import OpenStackSecurityGroups
from providers.openstack.volumes import OpenStackSnapshots, OpenStackVolumes
from providers.resources import Connection, Zone


def _text(title: str, description: str = "", **more: Any) -> dict[str, Any]:
    """A field of the form; texts are 1 to 255 characters unless ``more`` says otherwise."""
    field = {"type": "string", "title": title, "minLength": 1, "maxLength": 255, **more}
    return field | ({"description": description} if description else {})


_PLACE = {
    "auth_url": _text(
        "Identity service", "auth_url of clouds.yaml, like https://cloud.example.com:5000/v3.", format="uri"
    ),
    "region_name": _text("Region", "Needed where the cloud has several."),
    "ca_certificate": _text(
        "Certificate authority",
        "In PEM, where the cloud's own authority signed its certificate.",
        maxLength=20_000,
        **{"x-multiline": True},
    ),
}


def _way(method: str, title: str, fields: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": {"method": {"const": method, "title": "Way to sign in"}, **_PLACE, **fields},
        "required": ["method", "auth_url", *required],
        "additionalProperties": False,
    }


class OpenStackProvider(
    Provider,
    OpenStackMachines,
    OpenStackVolumes,
    OpenStackSnapshots,
    OpenStackAddresses,
    OpenStackSecurityGroups,
    OpenStackImages,
    OpenStackKeyPairs,
):
    """One project of one cloud; a zone is an availability zone of nova's."""

    name = "openstack"
    title = "OpenStack"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [
            _way(
                "application_credential",
                "Application credential",
                {
                    "application_credential_id": _text("Id of the application credential"),
                    "application_credential_secret": _text("Its secret", writeOnly=True),
                },
                ("application_credential_id", "application_credential_secret"),
            ),
            _way(
                "password",
                "User name and password",
                {
                    "username": _text("User name"),
                    "password": _text("Password", writeOnly=True),
                    "project_name": _text("Project"),
                    "user_domain_name": _text("Domain of the user", "Default where it is left out."),
                    "project_domain_name": _text("Domain of the project", "The user's where it is left out."),
                },
                ("username", "password", "project_name"),
            ),
        ],
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._cloud = Client(connection)

    def validate_credential(self) -> None:
        """Signs in, asks each service for what every deployment asks it, and looks for the zone."""
        self._cloud.sign_in_again()
        zones = [zone.zone for zone in self.zones()]
        self._cloud.get("network", "/networks", {"limit": 1, "fields": "id"})
        self._cloud.get("image", "/images", {"limit": 1})
        if self._cloud.has("volume"):
            self._cloud.get("volume", "/volumes", {"limit": 1})
        if self.connection.zone not in zones:
            raise CredentialInvalid(
                f"There is no zone {self.connection.zone!r}; there are: {', '.join(zones)}."
            )

    def zones(self) -> list[Zone]:
        found = self._cloud.get("compute", "/os-availability-zone")["availabilityZoneInfo"]
        usable = [each for each in found if each["zoneState"]["available"]]
        return [mapping.zone(each) for each in sorted(usable, key=lambda each: str(each["zoneName"]))]
