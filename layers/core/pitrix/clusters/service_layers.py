"""The layers of a plan in which the services of a package run on its nodes, and their health is asked for.

Owns the order of services: roles by their services' ``order``, as many nodes of each as the service says. The
life cycle of services is that of the AppCenter cluster specification (``cluster.json``: services, order,
nodes_to_execute_on, post_start_service, health_check).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from pitrix.clusters.layers import Builder
from pitrix.clusters.model import Cluster, Node, Step, StepKind
from pitrix.packages.model import RoleSpec, ServiceSpec

#: Bound of what the platform itself asks of an agent about health, in seconds.
WATCH_TIMEOUT_S = 60
#: A fresh application may need some time until it answers: the health check is asked this often, a second
#: apart, before the deployment counts as failed.
HEALTH_ATTEMPTS = 30


def services(
    build: Builder,
    cluster: Cluster,
    members: Sequence[Node],
    name: str,
    wanted: Callable[[ServiceSpec], bool] = lambda _: True,
    *,
    optional: bool = False,
) -> None:
    """Add a layer for each ``order`` of the service ``name``, smallest first."""
    by_order: dict[int, list[Step]] = defaultdict(list)
    for role in cluster.roles:
        service = role.services.get(name)
        if service is None or not service.cmd or not wanted(service):
            continue
        by_order[service.order] += [
            build.step(
                StepKind.RUN_SERVICE,
                f"Run {name!r} on {node.name}",
                node,
                timeout_s=service.timeout_s,
                params={"service": name},
                optional=optional,
            )
            for node in executing(role, service, members)
        ]
    for order in sorted(by_order):
        build.layer(name if len(by_order) == 1 else f"{name} (order {order})", by_order[order])


def executing(role: RoleSpec, service: ServiceSpec, nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes that run a service of their role: as many as the service says."""
    own = [node for node in nodes if node.role in (role.role, f"{role.role}-replica")]
    return sorted(own, key=lambda node: node.server_id)[: service.nodes_to_execute_on]


def health(build: Builder, cluster: Cluster, members: Sequence[Node]) -> None:
    """Add a layer that waits until the application answers, and one in which agents begin to watch it."""
    watched = _watched(cluster, members)
    build.layer(
        "health",
        [
            build.step(
                StepKind.CHECK_HEALTH,
                f"Check the health of {node.name}",
                node,
                timeout_s=HEALTH_ATTEMPTS * 2 + _check_timeout_s(cluster, node),
            )
            for node in watched
        ],
    )
    build.layer(
        "watch",
        [
            build.step(
                StepKind.WATCH_HEALTH, f"Watch the health of {node.name}", node, timeout_s=WATCH_TIMEOUT_S
            )
            for node in watched
        ],
    )


def stop_watching(build: Builder, cluster: Cluster, members: Sequence[Node]) -> None:
    """Add a layer in which the agents no longer restart what stops."""
    build.layer(
        "stop watching",
        [
            build.step(
                StepKind.STOP_WATCHING,
                f"Stop watching the health of {node.name}",
                node,
                timeout_s=WATCH_TIMEOUT_S,
                optional=True,
            )
            for node in _watched(cluster, members)
        ],
    )


def _watched(cluster: Cluster, members: Sequence[Node]) -> list[Node]:
    return [
        node
        for node in members
        if (check := cluster.role(node.role).health_check) is not None and check.enable and check.check_cmd
    ]


def _check_timeout_s(cluster: Cluster, node: Node) -> int:
    check = cluster.role(node.role).health_check
    return check.timeout_s if check else 0
