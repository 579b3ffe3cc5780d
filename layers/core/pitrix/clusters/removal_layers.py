"""The layers of a plan in which everything that a cluster has at its cloud goes.

Owns the order: nothing goes before what hangs on it, and at the end is a search for what nobody wrote down.
``removal_steps.py`` carries them out.
"""

from __future__ import annotations

from collections.abc import Sequence

from pitrix.clusters.layers import Builder
from pitrix.clusters.model import Cluster, Node, StepKind

#: A chart or a template of functions is slower than one machine: images are pulled, gateways are made.
SOFTWARE_TIMEOUT_S = 1800


def remove(build: Builder, cluster: Cluster, nodes: Sequence[Node]) -> None:
    """Add what removes every resource that is known of, and then a search for those that are not."""
    if cluster.cloud_id and cluster.package_type == "helm":
        step = build.step(
            StepKind.UNINSTALL_RELEASE, f"Remove the chart of {cluster.name}", timeout_s=SOFTWARE_TIMEOUT_S
        )
        build.layer("release", [step])
    elif cluster.cloud_id:
        step = build.step(
            StepKind.REMOVE_FUNCTION, f"Remove the functions of {cluster.name}", timeout_s=SOFTWARE_TIMEOUT_S
        )
        build.layer("functions", [step])
    _remove_machines(build, cluster, nodes)
    build.layer(
        "search", [build.step(StepKind.SWEEP, "Look for anything of this cluster that is left at the cloud")]
    )


def _remove_machines(build: Builder, cluster: Cluster, nodes: Sequence[Node]) -> None:
    build.layer(
        "addresses",
        [
            build.step(StepKind.RELEASE_ADDRESS, f"Give back the address of {node.name}", node)
            for node in nodes
            if node.address_id
        ],
    )
    build.layer(
        "machines",
        [
            build.step(StepKind.DELETE_MACHINE, f"Delete the machine {node.name}", node)
            for node in nodes
            if node.machine_id
        ],
    )
    build.layer(
        "volumes",
        [
            build.step(
                StepKind.DELETE_VOLUME,
                f"Delete a volume of {node.name}",
                node,
                params={"volume_id": volume_id},
            )
            for node in nodes
            for volume_id in node.volume_ids
        ],
    )
    build.layer(
        "security groups",
        [
            build.step(
                StepKind.DELETE_SECURITY_GROUP,
                f"Delete the security group of {name}",
                params={"security_group_id": group_id},
            )
            for name, group_id in cluster.security_groups.items()
        ],
    )
    if cluster.network_id:
        step = build.step(
            StepKind.DELETE_NETWORK, "Delete the network", params={"network_id": cluster.network_id}
        )
        build.layer("network", [step])
