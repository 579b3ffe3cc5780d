"""How the layers of a plan are put together: numbered, empty ones left out, with a digest of what they do.

Knows no operation: ``planning.py`` says what is in the layers, with ``service_layers.py`` and
``removal_layers.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pitrix.clusters.model import Cluster, Layer, Node, Plan, Step, StepKind


class Builder:
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
        """Return a step that is in no layer yet; ``params`` is what it needs to know beyond its node."""
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
        """Add steps that may go at the same time, after all that were added before."""
        layer = Layer(name=name, steps=list(steps))
        if layer.steps:
            number = len(self._layers)
            for position, step in enumerate(layer.steps):
                step.layer = number
                step.step_id = f"{self._prefix}{number:03}-{position:04}"
            self._layers.append(layer)

    def plan(self, cluster: Cluster) -> Plan:
        """Return the layers with their digest: two plans that do the same have the same one."""
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
