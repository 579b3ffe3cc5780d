"""What a rendered package would do to a cloud: the plan of its deployment, without a platform around it."""

from __future__ import annotations

from datetime import UTC, datetime

from pitrix.clusters import planning
from pitrix.clusters.members import new_nodes
from pitrix.clusters.model import Cluster, Plan
from pitrix.packages.model import ClusterSpec

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def plan_of(spec: ClusterSpec) -> Plan:
    """The plan of deploying what a package became."""
    cluster = Cluster(
        cluster_id="cl_1",
        name=spec.name or "cluster",
        owner_id="usr_1",
        owner_path=":usr_1:",
        account=":usr_1:",
        app_id="app_1",
        app_name="app",
        version_id="ver_1",
        version="1.0.0",
        runtime_id="rt_1",
        roles=spec.roles,
        env=spec.env,
        created_at=NOW,
        status_at=NOW,
    )
    return planning.deploy(cluster, new_nodes(cluster), agent_deadline_s=60, payload=False)
