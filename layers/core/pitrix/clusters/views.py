"""Clusters, plans and steps as they may leave the platform: without what people typed into password fields.

Answers, parameters of nodes and parameters of services may all hold secrets; whoever gave them knows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pitrix.clusters.model import Cluster, Plan, Step


def without_secrets(cluster: Cluster) -> Cluster:
    """Return a cluster without answers and parameters."""
    return replace(cluster, answers={}, env={}, roles=[replace(role, env={}) for role in cluster.roles])


def plan_without_secrets(plan: Plan) -> Plan:
    """Return a plan without the parameters of services."""
    return replace(
        plan, layers=[replace(layer, steps=steps_without_secrets(layer.steps)) for layer in plan.layers]
    )


def steps_without_secrets(steps: Iterable[Step]) -> list[Step]:
    """Return steps without the parameters of services."""
    return [
        replace(step, params={name: value for name, value in step.params.items() if name != "params"})
        for step in steps
    ]
