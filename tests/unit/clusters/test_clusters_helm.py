"""A Helm chart: installed as a release, its pods are its nodes, its requests its bill, and it goes again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.clusters.app import app
from pitrix import bootstrap
from pitrix.billing.quantities import workload_quantities
from pitrix.clusters.model import ClusterStatus, JobStatus, NodeStatus
from pitrix.clusters.requests import ActionParams, DeployRequest
from pitrix.errors import Unprocessable
from pitrix.packages import archive
from pitrix.packages import service as packages
from pitrix.packages.model import WorkloadSpec
from providers.base import TAG_CLUSTER
from providers.resources import ReleaseEndpoint, Workload
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.clusters.memory_cloud import pod
from tests.unit.clusters.world import UMA, World

CHART = packages.scaffold("site", "helm")


@pytest.fixture
def world() -> World:
    """A Kubernetes cluster as the cloud."""
    world = World(archive.write(CHART, "site"))
    world.cloud.offers = frozenset({"releases", "functions"})
    world.clouds.named = "kubernetes"
    world.cloud.workloads = [
        Workload(kind="Deployment", name="site", wanted=2, ready=1, pods=(pod("a"), pod("b", ready=False)))
    ]
    world.cloud.doors = [
        ReleaseEndpoint(name="web", protocol="http", host="site.example.org", port=80),
        ReleaseEndpoint(name="raw", protocol="tcp", host="10.0.0.7", port=5432),
    ]
    return world


@pytest.mark.parametrize("route", ["/v1/clusters", "/v1/clusters:plan"])
@pytest.mark.parametrize("answers", [{}, {"replicas": 2}])
def test_a_chart_is_refused_where_there_are_no_releases(
    world: World, route: str, answers: dict[str, Any]
) -> None:
    world.cloud.offers = frozenset({"machines", "networks", "volumes"})
    status, problem = _post(world, route, answers)
    assert (status, problem["code"]) == (422, "capability_missing")
    assert "Kubernetes" in problem["detail"]
    assert "Memory does not offer releases" in problem["detail"]
    assert world.store.clusters(UMA.owner_path, limit=10, cursor=None)[0] == []
    assert world.machines.started == []


def test_wrong_answers_for_a_chart_are_told_first(world: World) -> None:
    world.cloud.offers = frozenset()
    status, problem = _post(world, "/v1/clusters:plan", {"replicas": 0})
    assert (status, [each["field"] for each in problem["errors"]]) == (400, ["replicas"])


def _post(world: World, route: str, answers: dict[str, Any]) -> tuple[int, Any]:
    request = {"app_id": "app_1", "runtime_id": "rt_1", "answers": answers}
    event = proxy_event("POST", route, body=request, authorizer=authorizer_context(UMA))
    with bootstrap.override("clusters", world.service):
        answer = app(event, None)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_chart_becomes_a_release_with_its_pods_as_nodes(world: World) -> None:
    begun = world.deploy(replicas=2)
    cluster = world.service.get(UMA, begun.cluster.cluster_id)
    assert (cluster.status, cluster.package_type) == (ClusterStatus.ACTIVE, "helm")
    spec = world.cloud.release_specs[0]
    assert spec.namespace == f"pitrix-{cluster.cluster_id.lower().replace('_', '-')}"
    assert (spec.values, spec.tags) == ({"replicas": 2}, {TAG_CLUSTER: cluster.cluster_id})
    assert packages.open_package(spec.chart).files == CHART
    nodes = world.service.nodes(UMA, cluster.cluster_id)
    assert [(n.name, n.role, n.health, n.cpu_millis, n.memory_mib) for n in nodes] == [
        ("a", "site", "", 100, 64),
        ("b", "site", "unhealthy", 100, 64),
    ]
    assert {node.status for node in nodes} == {NodeStatus.ACTIVE}
    urls = [(door.name, door.url) for door in world.service.endpoints(UMA, cluster.cluster_id)]
    assert urls == [("web", "http://site.example.org/"), ("raw", "tcp://10.0.0.7:5432")]
    assert world.agents.ran == []


def test_what_is_quoted_for_a_chart_is_what_is_metered(world: World) -> None:
    begun = world.deploy(replicas=3)
    quoted = [workload_quantities(each) for each in world.quoted[0].workloads]
    assert quoted
    assert [event.quantities for event in world.meter.events] == quoted
    assert {event.kind for event in world.meter.events} == {"start"}
    world.meter.events.clear()
    world.run(world.service.act(UMA, begun.cluster.cluster_id, "cease", ActionParams()).job_id)
    assert [event.kind for event in world.meter.events] == ["stop"] * len(quoted)


@pytest.mark.parametrize("slow", [False, True])
def test_a_chart_that_is_ceased_leaves_nothing(world: World, slow: bool) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    if slow:
        world.cloud.slow.add("release")
    world.run(world.service.act(UMA, cluster_id, "cease", ActionParams()).job_id)
    assert world.cloud.everything == []
    cluster = world.service.get(UMA, cluster_id)
    assert (cluster.status, cluster.cloud_id, cluster.endpoints) == (ClusterStatus.CEASED, None, [])
    assert {node.status for node in world.service.nodes(UMA, cluster_id)} == {NodeStatus.CEASED}
    assert not world.service.runtime_in_use("rt_1")


@pytest.mark.parametrize("fault", ["broken", "lose_answer_of"])
def test_a_chart_that_does_not_come_up_is_taken_back(world: World, fault: str) -> None:
    getattr(world.cloud, fault).add("release")
    begun = world.deploy()
    view = world.service.job(UMA, begun.job.job_id)
    assert view.job.status is JobStatus.FAILED
    assert view.job.error is not None
    assert ("ImagePullBackOff" if fault == "broken" else "answer was lost") in view.job.error.message
    assert world.cloud.everything == []
    assert world.meter.events == []
    assert world.service.get(UMA, begun.cluster.cluster_id).status is ClusterStatus.FAILED


@pytest.mark.parametrize("action", ["start", "stop", "run-service"])
def test_what_needs_machines_is_not_offered(world: World, action: str) -> None:
    cluster = world.service.get(UMA, world.deploy().cluster.cluster_id)
    with pytest.raises(Unprocessable, match="it can cease"):
        world.service.act(UMA, cluster.cluster_id, action, ActionParams(service="x"))
    assert [kind.value for kind in cluster.actions] == ["cease"]


@pytest.mark.parametrize("layers", range(2))
def test_a_crash_changes_nothing(world: World, layers: int) -> None:
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    world.run(begun.job.job_id, layers=layers)
    world.run(begun.job.job_id)
    assert len(world.cloud.releases_by_key) == 1
    assert len(world.service.nodes(UMA, begun.cluster.cluster_id)) == 2


# --- how much a chart asks for -----------------------------------------------------------------------------

TEMPLATES = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  template:
    spec:
      initContainers:
        - {name: once, resources: {requests: {cpu: "2", memory: 16Mi}}}
      containers:
        - {name: main, resources: {requests: {cpu: 250m, memory: 1Gi}}}
        - {name: side, resources: {limits: {cpu: 0.5, memory: 128974848}}}
  volumeClaimTemplates:
    - {spec: {resources: {requests: {storage: 1500Mi}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec: {resources: {requests: {storage: 10G}}}
---
apiVersion: v1
kind: List
items:
  - {kind: DaemonSet, metadata: {name: log}, spec: {template: {spec: {containers: [{name: a}]}}}}
  - {kind: Deployment, metadata: {name: off}, spec: {replicas: 0}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
---
apiVersion: v1
kind: Pod
metadata: {name: test, annotations: {"helm.sh/hook": test}}
"""


def test_requests_are_added_up_as_kubernetes_does() -> None:
    package = packages.open_package(
        archive.write(
            {
                "Chart.yaml": b"apiVersion: v2\nname: many\nversion: 1.0.0\n",
                "templates/all.yaml": TEMPLATES.encode(),
            },
            "many",
        )
    )
    spec = packages.demand(package, {})
    by_name = {each.name: each for each in spec.workloads}
    assert by_name == {
        "db": WorkloadSpec(
            kind="StatefulSet", name="db", copies=3, cpu_millis=2000, memory_mib=1147, volume_gib=2
        ),
        "files": WorkloadSpec(kind="PersistentVolumeClaim", name="files", volume_gib=10),
        "log": WorkloadSpec(kind="DaemonSet", name="log"),
    }
    assert spec.copies == 4
    told = " ".join(spec.unmetered)
    assert "Job once" in told
    assert "DaemonSet log" in told
    assert "does not say how much" in told
    assert "test" not in told
