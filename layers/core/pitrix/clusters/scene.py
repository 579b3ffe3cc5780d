"""What a step of a job acts in, what it comes to, and the names that things are given at a cloud.

Shared by ``execution.py``, which drives the steps, and by the modules that carry them out
(``machine_steps.py``, ``software_steps.py``, ``removal_steps.py``, ``agent_steps.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pitrix.clusters.model import Cluster, Job, Node, Step
from pitrix.clusters.ports import ClusterStore
from pitrix.errors import NotFound, StepFailed
from providers.base import TAG_CLUSTER, TAG_NODE, Provider


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step came to: ``pending`` means that it must be asked again."""

    pending: bool = False
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a step acts in."""

    job: Job
    cluster: Cluster
    step: Step
    store: ClusterStore
    connect: Callable[[str], Provider]

    @property
    def provider(self) -> Provider:
        """The cluster's cloud."""
        return self.connect(self.cluster.runtime_id)

    @property
    def node(self) -> Node:
        """The node that the step is about, as it is stored now.

        Raises:
            NotFound: it is about none.
        """
        node = self.store.node(self.cluster.cluster_id, self.step.node_id or "")
        if node is None:
            raise NotFound(f"The step {self.step.step_id} names no node of its cluster.")
        return node

    def note_cluster(self, change: Callable[[Cluster], None]) -> None:
        """Write something down about the cluster."""
        self.store.change_cluster(self.cluster.cluster_id, change)

    def note_node(self, node: Node, change: Callable[[Node], None]) -> None:
        """Write something down about a node."""
        self.store.change_node(node.cluster_id, node.node_id, change)


def machine_of(node: Node) -> str:
    """Return the id of a node's machine.

    Raises:
        StepFailed: it has none.
    """
    if node.machine_id is None:
        raise StepFailed(f"{node.name} has no machine")
    return node.machine_id


def tags(cluster: Cluster, node: Node | None = None) -> dict[str, str]:
    """Return what everything made for a cluster carries, so that a search finds it."""
    return {TAG_CLUSTER: cluster.cluster_id} | ({TAG_NODE: node.node_id} if node else {})


def resource_name(cluster: Cluster, what: str) -> str:
    """Return the name of something at a cloud, for people who look at their account there."""
    return f"pitrix-{cluster.cluster_id[-6:].lower()}-{what}"


def namespace(cluster: Cluster) -> str:
    """Return the namespace of a chart's cluster: its own, so that nothing else is in it."""
    return f"pitrix-{cluster.cluster_id.lower().replace('_', '-')}"
