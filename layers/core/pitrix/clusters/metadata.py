"""What a node can read about itself and its cluster: the tree under ``/self`` of its metadata server.

The paths are those of the AppCenter metadata service (``/self/hosts/<role>/<node>/ip``, ``/self/cluster/…``,
``/self/env/…``), so that confd templates of existing images keep working. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pitrix.clusters.model import Cluster, Node


def document(cluster: Cluster, nodes: Sequence[Node], node: Node) -> dict[str, Any]:
    """Return what is served under ``/self`` on ``node``; ``nodes`` are all of the cluster's."""
    members = [each for each in nodes if not each.frontgate]
    hosts: dict[str, Any] = {}
    for each in members:
        # A package with a single role that has no name puts its nodes right under hosts.
        group = hosts.setdefault(each.role, {}) if each.role else hosts
        group[each.node_id] = _host(cluster, each)
    return {
        "hosts": hosts,
        "host": {**_host(cluster, node), "role": node.role},
        "cluster": {
            "cluster_id": cluster.cluster_id,
            "name": cluster.name,
            "app_id": cluster.app_id,
            "app_version": cluster.version_id,
            "user_id": cluster.owner_id,
            "endpoints": {
                name: {"port": door["port"], "protocol": door["protocol"]}
                for name, door in cluster.endpoint_ports.items()
            },
        },
        "env": {**cluster.env, **(cluster.role(node.role).env if not node.frontgate else {})},
    }


def _host(cluster: Cluster, node: Node) -> dict[str, Any]:
    return {
        "ip": node.private_ip or "",
        "sid": node.server_id,
        "node_id": node.node_id,
        "cpu": node.cpu,
        "memory": node.memory_mib,
        "volume_size": node.volume_gib,
    }
