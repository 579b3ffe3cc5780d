"""The machines that a package asks for, as the nodes of a new cluster, and the proxy of their network."""

from __future__ import annotations

from pitrix import ids
from pitrix.clusters.model import Cluster, Node
from pitrix.packages.model import RoleSpec

#: The proxy needs little: it relays frames and keeps none (see infra/agent).
FRONTGATE_CPU = 1
FRONTGATE_MEMORY_MIB = 512
FRONTGATE_ROLE = "frontgate"


def new_nodes(cluster: Cluster) -> list[Node]:
    """Return the nodes that a cluster's roles ask for, replicas under ``<role>-replica``, frontgate last."""
    nodes: list[Node] = []
    for role in cluster.roles:
        names = [(role.role, role.count)]
        if role.replicas:
            names.append((f"{role.role}-replica", role.count * role.replicas))
        for name, count in names:
            nodes += [_node(cluster, role, name, index, len(nodes) + index + 1) for index in range(count)]
    nodes.append(
        Node(
            node_id=ids.new("node"),
            cluster_id=cluster.cluster_id,
            role=FRONTGATE_ROLE,
            index=0,
            name=FRONTGATE_ROLE,
            frontgate=True,
            cpu=FRONTGATE_CPU,
            memory_mib=FRONTGATE_MEMORY_MIB,
            server_id=len(nodes) + 1,
        )
    )
    return nodes


def _node(cluster: Cluster, role: RoleSpec, name: str, index: int, server_id: int) -> Node:
    return Node(
        node_id=ids.new("node"),
        cluster_id=cluster.cluster_id,
        role=name,
        index=index,
        name=f"{name or 'node'}-{index + 1}",
        cpu=role.cpu,
        memory_mib=role.memory_mib,
        gpu=role.gpu,
        volume_gib=sum(volume.size_gib for volume in role.volumes),
        server_id=server_id,
    )
