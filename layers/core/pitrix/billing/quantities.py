"""What a machine or a workload is metered by: one place for quotes, usage events and so for bills.

Pure functions of what a package asks for.  The dimensions are those of ``model.NODE_METER``.
"""

from __future__ import annotations

from pitrix.packages.model import RoleSpec, WorkloadSpec


def node_quantities(role: RoleSpec) -> dict[str, int]:
    """What one machine of ``role`` is metered by while it runs."""
    quantities = {"node": 1, "vcpu": role.cpu, "memory_mib": role.memory_mib}
    return quantities | stored_quantities(role) | ({"gpu": role.gpu} if role.gpu else {})


def stored_quantities(role: RoleSpec) -> dict[str, int]:
    """What is metered of one machine of ``role`` for as long as it exists; nothing without volumes."""
    volumes = sum(volume.size_gib for volume in role.volumes)
    return {"volume_gib": volumes} if volumes else {}


def workload_quantities(workload: WorkloadSpec) -> dict[str, int]:
    """What all copies of a workload are metered by: what they request, whether they use it or not.

    Pods are no nodes: what counts nodes counts machines.
    """
    each = {
        "vcpu_millis": workload.cpu_millis,
        "memory_mib": workload.memory_mib,
        "volume_gib": workload.volume_gib,
    }
    return {"node": 0} | {name: amount * workload.copies for name, amount in each.items() if amount}
