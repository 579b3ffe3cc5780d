"""Whether a cluster fits where it is to run: what its cloud must offer, and what the account has room for.

Pure functions. What is missing is said before anything is made; who asks the cloud is ``service.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pitrix.clusters.model import Node
from pitrix.packages.model import ClusterSpec, Package
from providers.base import Capability
from providers.resources import Quota

#: What a package of each type becomes, and the capabilities without which it cannot.
_BECOMES = {
    "vm": ("machines", (Capability.MACHINES, Capability.NETWORKS)),
    "helm": ("a release on a Kubernetes cluster", (Capability.RELEASES,)),
    "serverless": ("functions", (Capability.FUNCTIONS,)),
}


def unfit(package: Package, cloud: str, offers: Collection[str], *, public: bool) -> str:
    """Say why a package cannot be deployed at a cloud; empty where it can.

    Args:
        cloud: The name by which people know the cloud.
        offers: Its capabilities.
        public: Whether machines are to have public addresses.
    """
    what, needs = _BECOMES[package.type]
    lacking = [need.replace("_", " ") for need in needs if need not in offers]
    if lacking:
        name = package.title or package.name
        return f"{name} becomes {what}, and {cloud} does not offer {' and '.join(lacking)}"
    if public and package.type == "vm" and Capability.ADDRESSES not in offers:
        return f"{cloud} does not offer public addresses; deploy it without them"
    return ""


def unkept(spec: ClusterSpec, cloud: str, offers: Collection[str]) -> str:
    """Say why a cloud could not keep the data of a cluster; empty where it can."""
    if Capability.VOLUMES not in offers and any(role.volumes for role in spec.roles):
        return f"its machines need volumes, which {cloud} does not offer"
    return ""


@dataclass(frozen=True)
class _Demand:
    """So much of something: ``words`` of its quota's name, and the unit in which that counts."""

    title: str
    amount: int
    unit: str
    words: tuple[str, ...]
    units: dict[str, int]


def shortfalls(nodes: Sequence[Node], quotas: Iterable[Quota]) -> list[str]:
    """Say, in sentences, for which of the account's quotas the machines of a cluster are too many.

    Clouds have names of their own for their quotas; one that says neither by its name nor by its unit what it
    counts is left to the cloud itself to hold.
    """
    demands = [
        _Demand("machines", len(nodes), "", ("machines", "instances", "virtualmachines", "servers"), {"": 1}),
        _Demand("cores", sum(n.cpu for n in nodes), "", ("core", "cpu"), {"": 1, "vcpu": 1, "core": 1}),
        _Demand("memory", sum(n.memory_mib for n in nodes), " MiB", ("mem", "ram"), {"mib": 1, "gib": 1024}),
        _Demand(
            "volumes", sum(n.volume_gib for n in nodes), " GiB", ("volume", "disk", "gigabytes"), {"gib": 1}
        ),
    ]
    found = []
    for quota in quotas:
        for demand in demands:
            if quota.limit is None or not _is_about(quota, demand):
                continue
            scale = demand.units[_unit(quota)]
            left = max(quota.limit - quota.used, 0) * scale
            if demand.amount > left:
                found.append(
                    f"It needs {demand.amount:,}{demand.unit} of {demand.title}, and the account has "
                    f"{left:,}{demand.unit} left ({quota.name}: {quota.used:,} of {quota.limit:,} are used)."
                )
    return found


def _is_about(quota: Quota, demand: _Demand) -> bool:
    name, unit = quota.name.lower(), _unit(quota)
    if demand.title == "machines":
        return unit == "" and name in demand.words
    return unit in demand.units and any(word in name for word in demand.words)


def _unit(quota: Quota) -> str:
    return quota.unit.lower().removesuffix("s")
