"""What the fake Azure offers and to whom: locations, sizes, images, applications, subscriptions, limits.

The sizes are real ones with their real cores and memory; the choice is small, as a region's may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOCATIONS = {"eastus": "East US", "westeurope": "West Europe"}
NAMESPACES = {
    "Microsoft.Compute": ("virtualMachines", "disks", "snapshots", "galleries", "sshPublicKeys"),
    "Microsoft.Network": (
        "virtualNetworks",
        "networkInterfaces",
        "networkSecurityGroups",
        "publicIPAddresses",
    ),
    "Microsoft.Storage": ("storageAccounts",),
    "Microsoft.Web": ("serverfarms", "sites"),
}


@dataclass(frozen=True)
class Size:
    """A size of machines; ``memory_mib`` in MiB. ``family`` is that of its quota."""

    name: str
    cores: int
    memory_mib: int
    family: str

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "numberOfCores": self.cores,
            "memoryInMB": self.memory_mib,
            "osDiskSizeInMB": 1_047_552,
            "resourceDiskSizeInMB": 0,
            "maxDataDiskCount": 4 * self.cores,
        }


SIZES = {
    size.name.lower(): size
    for size in (
        Size("Standard_NC4as_T4_v3", 4, 28 * 1024, "Standard NCASv3_T4 Family"),
        Size("Standard_D4s_v5", 4, 16 * 1024, "standardDSv5Family"),
        Size("Standard_D2s_v5", 2, 8 * 1024, "standardDSv5Family"),
        Size("Standard_B2s", 2, 4 * 1024, "standardBSFamily"),
        Size("Standard_A1s_v2", 1, 256, "standardAv2Family"),
        Size("Standard_E1s_v9", 1, 384, "standardEv9Family"),
        Size("Standard_B1s", 1, 1024, "standardBSFamily"),
        Size("Standard_B1ls", 1, 512, "standardBSFamily"),
    )
}

NOT_SOLD = {"Standard_A1s_v2", "Standard_E1s_v9"}
"""Sizes that a location lists and no subscription here may have, as happens at Azure."""

IMAGES = {
    ("canonical", "ubuntu-24_04-lts", "server"),
    ("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    ("debian", "debian-12", "12-gen2"),
}


@dataclass(frozen=True)
class Limits:
    """What a subscription may have; Azure counts gigabytes of some kinds of disk only, this one of all."""

    cores: int = 500
    machines: int = 25_000
    disk_gib: int = 1_000_000


@dataclass(frozen=True)
class Subscription:
    """A subscription of a tenant; ``unregistered`` are the resource providers it has not registered."""

    subscription_id: str
    tenant_id: str
    limits: Limits = field(default_factory=Limits)
    unregistered: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Application:
    """A service principal; ``roles`` by subscription: ``Contributor`` or ``Reader``."""

    client_id: str
    secret: str
    tenant_id: str
    roles: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""
    """The thumbprint (SHA-256, base64url) of a certificate that signs instead of the secret."""
