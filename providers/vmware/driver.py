"""The provider for VMware vSphere: a cluster of hosts of one vCenter, version 6.5 or later.

Offers machines (clones of templates), volumes (disks), networks (port groups of a distributed switch) and
images (templates). vSphere has neither key pairs nor prices; what may come in to a machine is NSX's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pitrix.errors import CredentialInvalid
from providers.base import Provider
from providers.resources import Connection, Zone
from providers.vmware.client import Client
from providers.vmware.images import VmwareImages
from providers.vmware.inventory import Inventory
from providers.vmware.machines import VmwareMachines
from providers.vmware.networks import RANGE
from providers.vmware.volumes import VmwareVolumes

PRIVILEGES = (
    "Datastore.AllocateSpace",
    "DVPortgroup.Create",
    "DVPortgroup.Delete",
    "Datacenter.IpPoolConfig",
    "Datacenter.IpPoolReleaseIp",
    "Folder.Create",
    "Network.Assign",
    "Resource.AssignVMToPool",
    "VirtualMachine.Config.AddExistingDisk",
    "VirtualMachine.Config.AddNewDisk",
    "VirtualMachine.Config.AddRemoveDevice",
    "VirtualMachine.Config.AdvancedConfig",
    "VirtualMachine.Config.CPUCount",
    "VirtualMachine.Config.DiskExtend",
    "VirtualMachine.Config.EditDevice",
    "VirtualMachine.Config.Memory",
    "VirtualMachine.Config.RemoveDisk",
    "VirtualMachine.Config.Settings",
    "VirtualMachine.Interact.PowerOff",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.Inventory.Create",
    "VirtualMachine.Inventory.CreateFromExisting",
    "VirtualMachine.Inventory.Delete",
    "VirtualMachine.Provisioning.Clone",
    "VirtualMachine.Provisioning.CloneTemplate",
    "VirtualMachine.Provisioning.CreateTemplateFromVM",
    "VirtualMachine.Provisioning.DeployTemplate",
)
"""What the user must be allowed in the datacenter (names of vSphere's privileges)."""


def _text(title: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "title": title, "description": description, "maxLength": 200, **more}


class VmwareProvider(Provider, VmwareMachines, VmwareVolumes, VmwareImages):
    """One cluster of one vCenter. Every promise is the base classes'; what differs is said at the method."""

    name = "vmware"
    title = "VMware vSphere"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "endpoint": _text(
                "Address of the vCenter",
                "https://vcenter.example.com; a private one only where the platform's operator allows it.",
                format="uri",
                minLength=9,
            ),
            "username": _text("User name", "With its domain: pitrix@vsphere.local.", minLength=1),
            "password": _text("Password", "The user's.", writeOnly=True, minLength=1),
            "ca_certificate": _text(
                "Certificate authority",
                "The authority of the vCenter's certificate in PEM form, when it is one of your own.",
                maxLength=20_000,
                **{"x-multiline": True},
            ),
            "datastore": _text("Datastore", "Where disks lie; the emptiest of the zone when left out."),
            "switch": _text(
                "Distributed switch", "Where networks are made; the first of the zone when left out."
            ),
            "address_range": _text("Address range", f"What networks are cut from; {RANGE} when left out."),
        },
        "required": ["endpoint", "username", "password"],
        "additionalProperties": False,
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._inventory = Inventory(Client(connection), connection)

    def validate_credential(self) -> None:
        place = self._inventory.place
        client = self._inventory.client
        session = client.ask(lambda: client.content.sessionManager.currentSession)
        granted = client.ask(
            client.content.authorizationManager.HasPrivilegeOnEntity,
            place.datacenter,
            session.key,
            list(PRIVILEGES),
        )
        lacking = [name for name, has in zip(PRIVILEGES, granted, strict=True) if not has]
        if lacking:
            raise CredentialInvalid(f"The user lacks privileges in this datacenter: {', '.join(lacking)}.")

    def zones(self) -> list[Zone]:
        return [Zone(zone=zone, title=f"Cluster {zone}") for zone in self._inventory.places]
