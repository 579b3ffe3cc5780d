"""Plans: which steps an operation takes, in which layers, and what they touch.

Owns the order of things: networks before machines, frontgate before drones, ``init`` before ``start``
(after it where the package says ``post_start_service``), roles by their services' ``order``, stopping in
the order of ``stop``. Pure functions of a cluster and its nodes; nothing is called and nothing is stored.
The life cycle of services is that of the AppCenter cluster specification (``cluster.json``: services,
order, nodes_to_execute_on, post_start_service).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pitrix.clusters.model import Cluster, JobKind, Layer, Node, Plan, Step, StepKind
from pitrix.packages.model import RoleSpec, ServiceSpec

#: The proxy needs little: it relays frames and keeps none (see infra/agent).
FRONTGATE_CPU = 1
FRONTGATE_MEMORY_MIB = 512
FRONTGATE_ROLE = "frontgate"

#: Bounds of what the platform itself does on a node, in seconds.
INSTALL_TIMEOUT_S = 300
WATCH_TIMEOUT_S = 60
#: A fresh application may need some time until it answers: the health check is asked this often, a second
#: apart, before the deployment counts as failed.
HEALTH_ATTEMPTS = 30


def deploy(cluster: Cluster, nodes: Sequence[Node], *, agent_deadline_s: int, payload: bool) -> Plan:
    """Return how ``cluster`` comes to life.

    Args:
        nodes: Its nodes, the frontgate among them.
        agent_deadline_s: How long a machine may take from its creation until its agent has registered.
        payload: Whether the package carries files for the machines.
    """
    members = [node for node in nodes if not node.frontgate]
    frontgates = [node for node in nodes if node.frontgate]
    build = _Builder()
    build.layer("network", [build.step(StepKind.CREATE_NETWORK, f"Create the network of {cluster.name}")])
    build.layer(
        "storage and proxy",
        [
            *_create_volumes(build, cluster, members),
            *(
                build.step(
                    StepKind.CREATE_FRONTGATE, f"Create the machine {node.name}, the network's proxy", node
                )
                for node in frontgates
            ),
        ],
    )
    build.layer("proxy online", _await_agents(build, frontgates, agent_deadline_s))
    build.layer(
        "machines",
        [
            build.step(StepKind.CREATE_MACHINE, f"Create the machine {node.name} ({_size(node)})", node)
            for node in members
        ],
    )
    build.layer("agents online", _await_agents(build, members, agent_deadline_s))
    build.layer("metadata", [build.step(StepKind.PUBLISH_METADATA, "Tell every node about the cluster")])
    if payload:
        build.layer(
            "application files",
            [
                build.step(
                    StepKind.INSTALL_PAYLOAD,
                    f"Install the application's files on {node.name}",
                    node,
                    timeout_s=INSTALL_TIMEOUT_S,
                )
                for node in members
            ],
        )
    _services(build, cluster, members, "init", lambda service: not service.post_start_service)
    _services(build, cluster, members, "start")
    _services(build, cluster, members, "init", lambda service: service.post_start_service)
    _health(build, cluster, members)
    return build.plan(cluster)


def start(cluster: Cluster, nodes: Sequence[Node], *, agent_deadline_s: int) -> Plan:
    """Return how a stopped cluster is started again: machines, agents, then services by their order."""
    members = [node for node in nodes if not node.frontgate]
    frontgates = [node for node in nodes if node.frontgate]
    build = _Builder()
    for name, group in (("proxy", frontgates), ("machines", members)):
        build.layer(
            name,
            [build.step(StepKind.START_MACHINE, f"Start the machine {node.name}", node) for node in group],
        )
        build.layer(f"{name} online", _await_agents(build, group, agent_deadline_s))
    build.layer("metadata", [build.step(StepKind.PUBLISH_METADATA, "Tell every node about the cluster")])
    _services(build, cluster, members, "start")
    _health(build, cluster, members)
    return build.plan(cluster)


def stop(cluster: Cluster, nodes: Sequence[Node]) -> Plan:
    """Return how a running cluster is stopped: services by their order, then the machines."""
    members = [node for node in nodes if not node.frontgate]
    build = _Builder()
    _stop_watching(build, cluster, members)
    _services(build, cluster, members, "stop")
    _power_off(build, nodes)
    return build.plan(cluster)


def run_service(
    cluster: Cluster, nodes: Sequence[Node], name: str, params_by_role: Mapping[str, Mapping[str, Any]]
) -> Plan:
    """Return how the custom service ``name`` is run.

    Args:
        params_by_role: The roles whose nodes run it, each with the complete parameters of its service.
    """
    build = _Builder()
    build.layer(
        name,
        [
            build.step(
                StepKind.RUN_SERVICE,
                f"Run {name!r} on {node.name}",
                node,
                timeout_s=cluster.role(role).services[name].timeout_s,
                params={"service": name, "params": dict(params)},
            )
            for role, params in params_by_role.items()
            for node in _executing(cluster.role(role), cluster.role(role).services[name], nodes)
        ],
    )
    return build.plan(cluster)


def cease(cluster: Cluster, nodes: Sequence[Node], *, running: bool) -> Plan:
    """Return how everything of a cluster is removed; stopping its services may fail without harm."""
    members = [node for node in nodes if not node.frontgate]
    build = _Builder()
    if running:
        _stop_watching(build, cluster, members)
        _services(build, cluster, members, "stop", optional=True)
        _services(build, cluster, members, "destroy", optional=True)
    if cluster.holds_resources:
        _release(build, cluster, nodes)
    return build.plan(cluster)


def undo(kind: JobKind, cluster: Cluster, nodes: Sequence[Node]) -> Plan:
    """Return how a job that failed is taken back.

    What a deployment made is removed; the machines of a cluster that did not start are stopped again.
    """
    build = _Builder(prefix="undo-")
    if kind is JobKind.START:
        _power_off(build, nodes)
    else:
        _release(build, cluster, nodes)
    return build.plan(cluster)


class _Builder:
    """Numbers steps in the order in which layers are added and leaves empty layers out."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._layers: list[Layer] = []

    def step(
        self,
        kind: StepKind,
        title: str,
        node: Node | None = None,
        *,
        timeout_s: int = 600,
        params: Mapping[str, Any] | None = None,
        optional: bool = False,
    ) -> Step:
        return Step(
            step_id="",
            layer=0,
            kind=kind,
            title=title,
            node_id=node.node_id if node else None,
            node_name=node.name if node else "",
            params=dict(params or {}),
            timeout_s=timeout_s,
            optional=optional,
        )

    def layer(self, name: str, steps: Iterable[Step]) -> None:
        layer = Layer(name=name, steps=list(steps))
        if layer.steps:
            number = len(self._layers)
            for position, step in enumerate(layer.steps):
                step.layer = number
                step.step_id = f"{self._prefix}{number:03}-{position:04}"
            self._layers.append(layer)

    def plan(self, cluster: Cluster) -> Plan:
        facts = [
            (s.step_id, s.kind, s.node_id, s.params, s.timeout_s) for la in self._layers for s in la.steps
        ]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
        return Plan(
            layers=self._layers,
            digest=f"sha256:{digest}",
            currency=cluster.currency,
            micros_per_hour=cluster.micros_per_hour,
        )


def _create_volumes(build: _Builder, cluster: Cluster, members: Sequence[Node]) -> list[Step]:
    return [
        build.step(
            StepKind.CREATE_VOLUME,
            f"Create a volume of {volume.size_gib} GiB for {node.name}",
            node,
            params={"size_gib": volume.size_gib, "class": str(volume.class_ or ""), "number": number},
        )
        for node in members
        for number, volume in enumerate(cluster.role(node.role).volumes)
    ]


def _await_agents(build: _Builder, nodes: Iterable[Node], deadline_s: int) -> list[Step]:
    return [
        build.step(StepKind.AWAIT_AGENT, f"Wait for the agent of {node.name}", node, timeout_s=deadline_s)
        for node in nodes
    ]


def _services(
    build: _Builder,
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
            for node in _executing(role, service, members)
        ]
    for order in sorted(by_order):
        build.layer(name if len(by_order) == 1 else f"{name} (order {order})", by_order[order])


def _executing(role: RoleSpec, service: ServiceSpec, nodes: Sequence[Node]) -> list[Node]:
    own = [node for node in nodes if node.role in (role.role, f"{role.role}-replica")]
    return sorted(own, key=lambda node: node.server_id)[: service.nodes_to_execute_on]


def _health(build: _Builder, cluster: Cluster, members: Sequence[Node]) -> None:
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


def _stop_watching(build: _Builder, cluster: Cluster, members: Sequence[Node]) -> None:
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


def _power_off(build: _Builder, nodes: Sequence[Node]) -> None:
    build.layer(
        "machines",
        [build.step(StepKind.STOP_MACHINE, f"Stop the machine {node.name}", node) for node in nodes],
    )


def _release(build: _Builder, cluster: Cluster, nodes: Sequence[Node]) -> None:
    """Add what removes every resource that is known of, and then a search for those that are not."""
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
    if cluster.network_id:
        build.layer(
            "network",
            [
                build.step(
                    StepKind.DELETE_NETWORK, "Delete the network", params={"network_id": cluster.network_id}
                )
            ],
        )
    build.layer(
        "search", [build.step(StepKind.SWEEP, "Look for anything of this cluster that is left at the cloud")]
    )


def _size(node: Node) -> str:
    return f"{node.cpu} CPU, {node.memory_mib} MiB"
