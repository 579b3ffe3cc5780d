"""The Azure provider: one subscription in one location, signed in as an application (service principal).

Owns what is said of the cloud as a whole: the form, the verdict on a credential, the locations. What is made
lies in resource groups of its own, one a cluster; see ``naming.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4

from pitrix.errors import Conflict, CredentialInvalid, InvalidInput, ResourceNotFound
from providers.azure.addresses import AzureAddresses
from providers.azure.client import CLOUDS, Client
from providers.azure.functions import AzureFunctions
from providers.azure.images import AzureImages
from providers.azure.key_pairs import AzureKeyPairs
from providers.azure.machines import AzureMachines
from providers.azure.networks import AzureNetworks
from providers.azure.security_groups import AzureSecurityGroups
from providers.azure.snapshots import AzureSnapshots
from providers.azure.volumes import AzureVolumes
from providers.base import Provider
from providers.resources import Connection, Zone

_GUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_COMMON: Mapping[str, Any] = {
    "tenant_id": {
        "type": "string",
        "title": "Tenant (directory) id",
        "description": "Microsoft Entra ID > Overview > Tenant ID.",
        "pattern": _GUID,
    },
    "subscription_id": {
        "type": "string",
        "title": "Subscription id",
        "description": "The application has the role Contributor in it.",
        "pattern": _GUID,
    },
    "client_id": {
        "type": "string",
        "title": "Application (client) id",
        "description": "Microsoft Entra ID > App registrations > the application > Overview.",
        "pattern": _GUID,
    },
    "cloud": {
        "type": "string",
        "title": "Cloud",
        "description": "Azure's own (public), the one in China, or the one of the US government.",
        "enum": list(CLOUDS),
        "default": "public",
    },
}


class AzureProvider(
    Provider,
    AzureMachines,
    AzureVolumes,
    AzureSnapshots,
    AzureNetworks,
    AzureSecurityGroups,
    AzureAddresses,
    AzureImages,
    AzureKeyPairs,
    AzureFunctions,
):
    """A subscription. Zones are Azure's locations (``eastus``)."""

    name = "azure"
    title = "Microsoft Azure"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [
            {
                "type": "object",
                "title": "Application with a client secret",
                "properties": {
                    "method": {"const": "client-secret", "title": "Way to sign in"},
                    **_COMMON,
                    "client_secret": {
                        "type": "string",
                        "title": "Client secret",
                        "description": "The secret's value, not its id.",
                        "writeOnly": True,
                        "minLength": 1,
                        "maxLength": 200,
                    },
                },
                "required": ["method", "tenant_id", "subscription_id", "client_id", "client_secret"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "title": "Application with a certificate",
                "properties": {
                    "method": {"const": "certificate", "title": "Way to sign in"},
                    **_COMMON,
                    "certificate": {
                        "type": "string",
                        "title": "Certificate with its private key",
                        "description": "PEM text of both; the key is not encrypted.",
                        "writeOnly": True,
                        "x-multiline": True,
                        "minLength": 1,
                        "maxLength": 20000,
                    },
                },
                "required": ["method", "tenant_id", "subscription_id", "client_id", "certificate"],
                "additionalProperties": False,
            },
        ],
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._cloud = Client(connection)

    def zones(self) -> list[Zone]:
        return self._locations()

    def validate_credential(self) -> None:
        """Signs in, looks at the location, and tries to write where nothing can be."""
        zones = [zone.zone for zone in self.zones()]
        if self.connection.zone not in zones:
            raise CredentialInvalid(
                f"The subscription has no location {self.connection.zone!r}; it has {', '.join(zones)}."
            )
        for namespace in ("Microsoft.Compute", "Microsoft.Network"):
            told = self._cloud.ask(self._cloud.resources.providers.get, namespace)
            if told.get("registrationState") != "Registered":
                raise CredentialInvalid(
                    f"The subscription has not registered the resource provider {namespace}; "
                    f"do: az provider register --namespace {namespace}"
                )
        self._may_write()

    def _may_write(self) -> None:
        """Whether the application may make what Pitrix makes.

        Azure has no dry run; but it looks at permissions before anything else. So each kind is sent into a
        resource group that does not exist: who may write is told so, who may not is told which permission
        lacks. Nothing can come of it.
        """
        nowhere, location = f"pitrix-check-{uuid4().hex}", {"location": self.connection.zone}
        compute, network = self._cloud.compute, self._cloud.network
        empty = {**location, "properties": {"creationData": {"createOption": "Empty"}}}
        for begin, body in (
            (compute.virtual_machines.begin_create_or_update, location),
            (self._cloud.disks.disks.begin_create_or_update, empty),
            (self._cloud.disks.snapshots.begin_create_or_update, empty),
            (self._cloud.galleries.galleries.begin_create_or_update, location),
            (network.virtual_networks.begin_create_or_update, location),
            (network.network_interfaces.begin_create_or_update, location),
            (network.network_security_groups.begin_create_or_update, location),
            (network.public_ip_addresses.begin_create_or_update, location),
        ):
            try:
                self._cloud.send(begin, nowhere, "check", body)
            except (ResourceNotFound, InvalidInput, Conflict):
                continue
        try:  # a group in a location that is none is refused as well, when one may make groups at all
            self._cloud.ask(
                self._cloud.resources.resource_groups.create_or_update, nowhere, {"location": "nowhere"}
            )
        except (ResourceNotFound, InvalidInput, Conflict):
            return
