"""Whether a cluster fits where it is to run: what its cloud must offer, and what the account has room for.

Pure functions. What is missing is said before anything is made; who asks the cloud is ``drafting.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from pitrix.clusters.model import Node, Plan, StepKind
from pitrix.packages import service as packages
from pitrix.packages.model import ClusterSpec, Package
from providers.base import Capability
from providers.resources import Quota

#: What packages become (`packages.becomes`) in words, and the capabilities without which they cannot.
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
    kind = packages.becomes(package.type)
    what, needs = _BECOMES[kind]
    lacking = [need.replace("_", " ") for need in needs if need not in offers]
    if lacking:
        name = package.title or package.name
        return f"{name} becomes {what}, and {cloud} does not offer {' and '.join(lacking)}"
    if public and kind == "vm" and Capability.ADDRESSES not in offers:
        return f"{cloud} does not offer public addresses; deploy it without them"
    return ""


def unkept(spec: ClusterSpec, cloud: str, offers: Collection[str]) -> str:
    """Say why a cloud could not keep the data of a cluster; empty where it can."""
    if Capability.VOLUMES not in offers and any(role.volumes for role in spec.roles):
        return f"its machines need volumes, which {cloud} does not offer"
    return ""


#: What a plan needs of a quota, in words and with its unit.
_NEEDS = {
    "machines": ("machines", ""),
    "cpu": ("cores", ""),
    "memory_mib": ("memory", " MiB"),
    "volumes": ("volumes", ""),
    "volume_gib": ("storage", " GiB"),
    "networks": ("networks", ""),
    "addresses": ("public addresses", ""),
}


def shortfalls(nodes: Sequence[Node], plan: Plan, quotas: Iterable[Quota]) -> list[str]:
    """Say, in sentences, for which of the account's quotas a deployment is too much.

    A quota that does not say what it counts is left to the cloud itself to hold.
    """
    needed = _needed(nodes, plan)
    found = []
    for quota in quotas:
        if quota.limit is None or quota.counts not in needed:
            continue
        amount, left = needed[quota.counts], max(quota.limit - quota.used, 0)
        what, unit = _NEEDS[quota.counts]
        if amount > left:
            found.append(
                f"It needs {amount:,}{unit} of {what}, and the account has {left:,}{unit} left "
                f"({quota.name}: {quota.used:,} of {quota.limit:,} are used)."
            )
    return found


def _needed(nodes: Sequence[Node], plan: Plan) -> dict[str, int]:
    """What a deployment needs by the words of `providers.resources.COUNTED`, at the least.

    Clouds round machines up to their sizes, and count the cores of machines with GPUs apart.
    """
    made = Counter(step.kind for step in plan.steps if not step.optional)
    return {
        "machines": len(nodes),
        "cpu": sum(node.cpu for node in nodes if not node.gpu),
        "memory_mib": sum(node.memory_mib for node in nodes),
        "volumes": made[StepKind.CREATE_VOLUME],
        "volume_gib": sum(node.volume_gib for node in nodes),
        "networks": made[StepKind.CREATE_NETWORK],
        "addresses": made[StepKind.GIVE_ADDRESS],
    }
