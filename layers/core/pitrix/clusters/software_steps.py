"""The steps that bring charts and functions to a cloud, and note what came of them.

The same call is made until the cloud says that it is done: by its key it finds the release or the functions
that the first one made. A chart's pods are its nodes, a Service or an Ingress is an endpoint, and so is the
address of a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pitrix.clusters.model import Cluster, Endpoint, Node, StepKind
from pitrix.clusters.scene import Outcome, Scene, namespace, resource_name, tags
from pitrix.errors import StepFailed
from pitrix.packages import service as packages
from pitrix.packages.model import Package
from providers.resources import (
    Function,
    FunctionSpec,
    FunctionStatus,
    ReleaseEndpoint,
    ReleaseSpec,
    ReleaseStatus,
    Workload,
)

#: A call to Helm ends before the function that makes it does, in seconds (template.yaml, Timeout).
HOOKS_TIMEOUT_S = 80
_WEB_PORTS = {"http": 80, "https": 443}


class SoftwareSteps:
    """See the module. ``package`` reads the package of a version, as the platform itself."""

    def __init__(self, package: Callable[[str], Package]) -> None:
        self._package = package
        self.carry_out: Mapping[StepKind, Callable[[Scene], Outcome]] = {
            StepKind.INSTALL_RELEASE: self._install_release,
            StepKind.DEPLOY_FUNCTION: self._deploy_function,
        }

    def _install_release(self, scene: Scene) -> Outcome:
        cluster, releases = scene.cluster, scene.provider.releases
        release = releases.install_release(self._release_spec(cluster), idempotency_key=cluster.cluster_id)
        _note_id(scene, release.release_id)
        if release.status is ReleaseStatus.FAILED:
            raise StepFailed(f"the chart does not run: {release.reason or 'the cluster gives no reason'}")
        if release.status is ReleaseStatus.PENDING:
            return Outcome(pending=True, result={"reason": release.reason})
        nodes = pods(cluster, releases.release_workloads(release.release_id))
        scene.store.replace_nodes(cluster.cluster_id, nodes)
        _note_doors(scene, [_door(each) for each in releases.release_endpoints(release.release_id)])
        return Outcome(result={"release_id": release.release_id, "pods": len(nodes)})

    def _release_spec(self, cluster: Cluster) -> ReleaseSpec:
        package = self._package(cluster.version_id)
        chart, values = packages.chart(package, _answers(package, cluster))
        return ReleaseSpec(
            name=packages.release_name(package),
            namespace=namespace(cluster),
            chart=chart,
            values=values,
            timeout_s=HOOKS_TIMEOUT_S,
            tags=tags(cluster),
        )

    def _deploy_function(self, scene: Scene) -> Outcome:
        cluster, functions = scene.cluster, scene.provider.functions
        function = functions.deploy_function(self._function_spec(cluster), idempotency_key=cluster.cluster_id)
        _note_id(scene, function.function_id)
        if function.status is FunctionStatus.FAILED:
            raise StepFailed(f"the functions do not run: {function.reason or 'the cloud gives no reason'}")
        if function.status is FunctionStatus.PENDING:
            return Outcome(pending=True, result={"reason": function.reason})
        _note_doors(scene, _addresses(function))
        return Outcome(result={"function_id": function.function_id, "version": function.version})

    def _function_spec(self, cluster: Cluster) -> FunctionSpec:
        package = self._package(cluster.version_id)
        name = resource_name(cluster, packages.release_name(package))
        made = packages.manifests(package, _answers(package, cluster), name=name)
        return FunctionSpec(
            name=name,
            manifests={each.path: each.text for each in made},
            code=packages.code_archive(package),
            tags=tags(cluster),
        )


def pods(cluster: Cluster, workloads: list[Workload]) -> list[Node]:
    """Return the pods of a release as nodes: the role of each is its workload."""
    return [
        Node(
            node_id=f"node_{pod.pod_id}",
            cluster_id=cluster.cluster_id,
            role=workload.name,
            index=index,
            name=pod.name,
            health="" if pod.ready or pod.status == "succeeded" else "unhealthy",
            private_ip=pod.private_ip,
            cpu=0,
            cpu_millis=pod.cpu_millis,
            memory_mib=pod.memory_mib,
            server_id=index + 1,
        )
        for workload in workloads
        for index, pod in enumerate(workload.pods)
    ]


def _answers(package: Package, cluster: Cluster) -> dict[str, Any]:
    return packages.complete_answers(packages.form(package), cluster.answers)


def _note_id(scene: Scene, cloud_id: str) -> None:
    if scene.cluster.cloud_id == cloud_id:
        return

    def note(cluster: Cluster) -> None:
        cluster.cloud_id = cloud_id

    scene.note_cluster(note)


def _note_doors(scene: Scene, doors: list[Endpoint]) -> None:
    def note(cluster: Cluster) -> None:
        cluster.endpoints = doors

    scene.note_cluster(note)


def _door(found: ReleaseEndpoint) -> Endpoint:
    scheme = found.protocol if found.protocol.isalnum() and found.protocol.isascii() else "tcp"
    usual = _WEB_PORTS.get(scheme)
    place = found.host if found.port == usual else f"{found.host}:{found.port}"
    return Endpoint(
        name=found.name,
        node_id="",
        role="",
        protocol=found.protocol,
        host=found.host,
        port=found.port,
        url=f"{scheme}://{place}" + ("/" if usual else ""),
    )


def _addresses(function: Function) -> list[Endpoint]:
    doors = []
    for name, url in sorted(function.urls.items()):
        parts = urlsplit(url)
        doors.append(
            Endpoint(
                name=name,
                node_id="",
                role="",
                protocol=parts.scheme or "https",
                host=parts.hostname or "",
                port=parts.port or _WEB_PORTS.get(parts.scheme, 443),
                url=url,
            )
        )
    return doors
