"""Who may reach the machines of a cluster: nobody, but at the endpoints of its package.

Pure functions; ``planning.py`` plans the groups, ``machine_steps.py`` makes them and puts machines in.
"""

from __future__ import annotations

from typing import Any

from pitrix.clusters.model import Cluster, Node

#: Machines that no rule lets anybody reach from outside of their network.
INSIDE = "inside"


def serves(cluster: Cluster, node: Node) -> bool:
    """Whether one of the application's endpoints is on that node."""
    return not node.frontgate and any(node.role in door["roles"] for door in cluster.endpoint_ports.values())


def groups(cluster: Cluster) -> dict[str, list[dict[str, Any]]]:
    """Return the security groups of a cluster with their rules: one for each role that serves an endpoint,
    and :data:`INSIDE` for all other machines, which nothing outside of their network reaches."""
    found: dict[str, list[dict[str, Any]]] = {INSIDE: []}
    for door in cluster.endpoint_ports.values():
        port = door["port"]
        if not isinstance(port, int):
            continue  # a reference that the answers left open: there is no port to let anybody in at
        rule = {"protocol": "udp" if door["protocol"] == "udp" else "tcp", "port": port}
        for role in door["roles"]:
            rules = found.setdefault(f"role {role}", [])
            if rule not in rules:
                rules.append(rule)
    return found


def group_of(cluster: Cluster, node: Node) -> str:
    """Return the name of the security group that a node is in."""
    name = f"role {node.role}"
    return name if not node.frontgate and name in groups(cluster) else INSIDE
