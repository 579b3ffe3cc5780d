"""Plans: which steps an operation takes, in which layers, and what they touch.

Owns the order of things: networks before machines, frontgate before drones, ``init`` before ``start``
(after it where the package says ``post_start_service``), stopping in the order of ``stop``. Pure functions of
a cluster and its nodes; nothing is called and nothing is stored.

Next: ``service_layers.py`` for services and health, ``removal_layers.py`` for what goes, ``doors.py`` for who
is let in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pitrix.clusters.doors import groups, serves
from pitrix.clusters.layers import Builder
from pitrix.clusters.model import Cluster, JobKind, Node, Plan, Step, StepKind
from pitrix.clusters.removal_layers import SOFTWARE_TIMEOUT_S, remove
from pitrix.clusters.service_layers import executing, health, services, stop_watching

#: Bound of what the platform itself does on a node, in seconds.
INSTALL_TIMEOUT_S = 300


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
    build = Builder()
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
    services(build, cluster, members, "init", lambda service: not service.post_start_service)
    services(build, cluster, members, "start")
    services(build, cluster, members, "init", lambda service: service.post_start_service)
    health(build, cluster, members)
    return build.plan(cluster)


def deploy_software(cluster: Cluster) -> Plan:
    """Return how a chart or a package of functions comes to life: the cloud does what agents do elsewhere."""
    build = Builder()
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
    build = Builder()
    for name, group in (("proxy", frontgates), ("machines", members)):
        build.layer(
            name,
            [build.step(StepKind.START_MACHINE, f"Start the machine {node.name}", node) for node in group],
        )
        build.layer(f"{name} online", _await_agents(build, group, agent_deadline_s))
    build.layer("metadata", [build.step(StepKind.PUBLISH_METADATA, "Tell every node about the cluster")])
    services(build, cluster, members, "start")
    health(build, cluster, members)
    return build.plan(cluster)


def stop(cluster: Cluster, nodes: Sequence[Node]) -> Plan:
    """Return how a running cluster is stopped: services by their order, then the machines."""
    members = [node for node in nodes if not node.frontgate]
    build = Builder()
    stop_watching(build, cluster, members)
    services(build, cluster, members, "stop")
    _power_off(build, nodes)
    return build.plan(cluster)


def run_service(
    cluster: Cluster, nodes: Sequence[Node], name: str, params_by_role: Mapping[str, Mapping[str, Any]]
) -> Plan:
    """Return how the custom service ``name`` is run.

    Args:
        params_by_role: The roles whose nodes run it, each with the complete parameters of its service.
    """
    build = Builder()
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
            for node in executing(cluster.role(role), cluster.role(role).services[name], nodes)
        ],
    )
    return build.plan(cluster)


def cease(cluster: Cluster, nodes: Sequence[Node], *, running: bool) -> Plan:
    """Return how everything of a cluster is removed; stopping its services may fail without harm."""
    members = [node for node in nodes if not node.frontgate]
    build = Builder()
    if running and cluster.of_machines:
        stop_watching(build, cluster, members)
        services(build, cluster, members, "stop", optional=True)
        services(build, cluster, members, "destroy", optional=True)
    if cluster.holds_resources:
        remove(build, cluster, nodes)
    return build.plan(cluster)


def undo(kind: JobKind, cluster: Cluster, nodes: Sequence[Node]) -> Plan:
    """Return how a job that failed is taken back.

    What a deployment made is removed; the machines of a cluster that did not start are stopped again.
    """
    build = Builder(prefix="undo-")
    if kind is JobKind.START:
        _power_off(build, nodes)
    else:
        remove(build, cluster, nodes)
    return build.plan(cluster)


def _create_volumes(build: Builder, cluster: Cluster, members: Sequence[Node]) -> list[Step]:
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


def _create_groups(build: Builder, cluster: Cluster) -> list[Step]:
    return [
        build.step(
            StepKind.CREATE_SECURITY_GROUP,
            f"Let in {', '.join(str(rule['port']) for rule in rules) or 'nobody'} ({name})",
            params={"group": name, "rules": rules, "number": number},
        )
        for number, (name, rules) in enumerate(groups(cluster).items())
    ]


def _give_addresses(build: Builder, nodes: Iterable[Node], *, optional: bool = False) -> list[Step]:
    return [
        build.step(StepKind.GIVE_ADDRESS, f"Give {node.name} a public address", node, optional=optional)
        for node in nodes
    ]


def _await_agents(build: Builder, nodes: Iterable[Node], deadline_s: int) -> list[Step]:
    return [
        build.step(StepKind.AWAIT_AGENT, f"Wait for the agent of {node.name}", node, timeout_s=deadline_s)
        for node in nodes
    ]


def _power_off(build: Builder, nodes: Sequence[Node]) -> None:
    build.layer(
        "machines",
        [build.step(StepKind.STOP_MACHINE, f"Stop the machine {node.name}", node) for node in nodes],
    )


def _size(node: Node) -> str:
    gpu = f", {node.gpu} GPU" if node.gpu else ""
    return f"{node.cpu} CPU, {node.memory_mib} MiB{gpu}"
