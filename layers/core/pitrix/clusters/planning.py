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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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


#: A chart or a template of functions is slower than one machine: images are pulled, gateways are made.
SOFTWARE_TIMEOUT_S = 1800
#: Machines that no rule lets anybody reach from outside of their network.
INSIDE = "inside"


def deploy(
    cluster: Cluster,
    nodes: Sequence[Node],
    *,
    agent_deadline_s: int,
    payload: bool,
    offers: Collection[str] = (),
) -> Plan:
    """Return how a cluster of machines comes to life.

    Args:
        nodes: Its nodes, the frontgate among them.
        agent_deadline_s: How long a machine may take from its creation until its agent has registered.
        payload: Whether the package carries files for the machines.
        offers: The capabilities of the cloud: some things are made only where there are such.
    """
    members = [node for node in nodes if not node.frontgate]
    frontgates = [node for node in nodes if node.frontgate]
    addresses = "addresses" in offers
    build = _Builder()
    build.layer("network", [build.step(StepKind.CREATE_NETWORK, f"Create the network of {cluster.name}")])
    if "security_groups" in offers:
        build.layer("security groups", _create_groups(build, cluster))
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
    if addresses:
        # Only some clouds let a machine without a public address out; where the account has none left, the
        # proxy tries without.
        build.layer("proxy address", _give_addresses(build, frontgates, optional=True))
    build.layer("proxy online", _await_agents(build, frontgates, agent_deadline_s))
    build.layer(
        "machines",
        [
            build.step(StepKind.CREATE_MACHINE, f"Create the machine {node.name} ({_size(node)})", node)
            for node in members
        ],
    )
    if addresses and cluster.public:
        build.layer("addresses", _give_addresses(build, [n for n in members if serves(cluster, n)]))
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


def deploy_software(cluster: Cluster) -> Plan:
    """Return how a chart or a package of functions comes to life: the cloud does what agents do elsewhere."""
    build = _Builder()
    if cluster.package_type == "helm":
        step = build.step(
            StepKind.INSTALL_RELEASE, f"Install the chart of {cluster.name}", timeout_s=SOFTWARE_TIMEOUT_S
        )
        build.layer("release", [step])
    else:
        step = build.step(
            StepKind.DEPLOY_FUNCTION, f"Deploy the functions of {cluster.name}", timeout_s=SOFTWARE_TIMEOUT_S
        )
        build.layer("functions", [step])
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
    if running and cluster.package_type == "vm":
        _stop_watching(build, cluster, members)
        _services(build, cluster, members, "stop", optional=True)
        _services(build, cluster, members, "destroy", optional=True)
    if cluster.holds_resources:
        _remove(build, cluster, nodes)
    return build.plan(cluster)


def undo(kind: JobKind, cluster: Cluster, nodes: Sequence[Node]) -> Plan:
    """Return how a job that failed is taken back.

    What a deployment made is removed; the machines of a cluster that did not start are stopped again.
    """
    build = _Builder(prefix="undo-")
    if kind is JobKind.START:
        _power_off(build, nodes)
    else:
        _remove(build, cluster, nodes)
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
            params={
                "size_gib": volume.size_gib,
                "class": "" if volume.class_ is None else str(volume.class_),
                "number": number,
            },
        )
        for node in members
        for number, volume in enumerate(cluster.role(node.role).volumes)
    ]


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


def _create_groups(build: _Builder, cluster: Cluster) -> list[Step]:
    return [
        build.step(
            StepKind.CREATE_SECURITY_GROUP,
            f"Let in {', '.join(str(rule['port']) for rule in rules) or 'nobody'} ({name})",
            params={"group": name, "rules": rules, "number": number},
        )
        for number, (name, rules) in enumerate(groups(cluster).items())
    ]


def _give_addresses(build: _Builder, nodes: Iterable[Node], *, optional: bool = False) -> list[Step]:
    return [
        build.step(StepKind.GIVE_ADDRESS, f"Give {node.name} a public address", node, optional=optional)
        for node in nodes
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


def _remove(build: _Builder, cluster: Cluster, nodes: Sequence[Node]) -> None:
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


def _remove_machines(build: _Builder, cluster: Cluster, nodes: Sequence[Node]) -> None:
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


def _size(node: Node) -> str:
    gpu = f", {node.gpu} GPU" if node.gpu else ""
    return f"{node.cpu} CPU, {node.memory_mib} MiB{gpu}"
