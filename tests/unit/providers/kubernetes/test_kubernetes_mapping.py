"""Kubernetes' JSON in the platform's words: sizes, states, failures, endpoints, secrets kept."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from pitrix.errors import InvalidInput, ProviderError
from providers.kubernetes import mapping


@pytest.mark.parametrize("raw", [gzip.compress(bytes(80 * 2**20)), b"\x1f\x8bnot zipped"])
def test_what_a_cluster_says_that_helm_stored_may_be_anything(raw: bytes) -> None:
    data = base64.b64encode(base64.b64encode(raw)).decode()
    with pytest.raises(ProviderError, match="What Helm stored"):
        mapping.stored({"data": {"release": data}})


@pytest.mark.parametrize(
    ("text", "times", "wanted"),
    [
        ("250m", 1000, 250), ("2", 1000, 2000), ("0.1", 1000, 100), ("1n", 1000, 1), (None, 1000, 0),
        ("1Gi", 1, 2**30), ("1G", 1, 10**9), ("128974848", 1, 128974848), ("", 1, 0),
    ],
)  # fmt: skip
def test_quantities(text: Any, times: int, wanted: int) -> None:
    assert mapping.quantity(text, times) == wanted


def test_a_pod_requests_what_its_containers_do_together_or_the_first_alone() -> None:
    def container(cpu: str, memory: str, kind: str = "requests") -> dict[str, Any]:
        return {"resources": {kind: {"cpu": cpu, "memory": memory}}}

    spec = {
        "containers": [container("100m", "64Mi"), container("200m", "64Mi", "limits"), {}],
        "initContainers": [container("1", "32Mi"), container("1", "100Mi")],
    }
    assert mapping.requests(spec) == (1000, 128)


def live(kind: str, spec: Any, status: Any, generation: int = 1) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "a", "generation": generation}, "spec": spec, "status": status}


def test_what_a_workload_waits_for() -> None:
    seen = {"observedGeneration": 1}
    waiting = mapping.waiting_for
    assert waiting(live("Deployment", {"replicas": 2}, {})) == "Deployment a was not looked at yet"
    behind = {**seen, "updatedReplicas": 1, "readyReplicas": 2}
    assert waiting(live("Deployment", {"replicas": 2}, behind)) == "Deployment a: 1 of 2 updated"
    unready = {**seen, "updatedReplicas": 2, "readyReplicas": 1}
    assert waiting(live("Deployment", {"replicas": 2}, unready)) == "Deployment a: 1 of 2 ready"
    good = {**seen, "updatedReplicas": 2, "readyReplicas": 2}
    assert waiting(live("Deployment", {"replicas": 2}, good)) == ""
    by_hand = {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}
    assert waiting(live("StatefulSet", by_hand, {**seen, "readyReplicas": 2})) == ""
    assert waiting(live("Deployment", {"replicas": 0}, seen)) == ""
    assert waiting(live("Job", {"completions": 3}, {"succeeded": 1})) == "Job a: 1 of 3 done"
    assert waiting(live("CronJob", {}, {})) == ""
    daemons = {**seen, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 2}
    assert waiting(live("DaemonSet", {}, daemons)) == "DaemonSet a: 2 of 3 ready"


def test_what_will_not_mend_by_itself() -> None:
    def condition(**each: str) -> Any:
        return mapping.failure_of(live("Deployment", {}, {"conditions": [each]}))

    assert (
        condition(type="Progressing", reason="ProgressDeadlineExceeded", message="slow")
        == "Deployment a: slow"
    )
    assert condition(type="ReplicaFailure", status="True", message="exceeded quota")
    assert condition(type="Available", status="False", message="not yet") == ""


def test_why_a_pod_is_not_ready() -> None:
    def pod(**status: Any) -> Any:
        return mapping.pod({"metadata": {"name": "a"}, "spec": {"containers": [{}]}, "status": status})

    pulling = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    assert pod(phase="Pending", containerStatuses=[pulling]).reason == "ErrImagePull: no such image"
    crashed = {"state": {"terminated": {"reason": "OOMKilled"}}}
    assert pod(phase="Failed", containerStatuses=[crashed]).reason == "OOMKilled"
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    assert pod(phase="Pending", conditions=[unplaced]).reason == "Unschedulable: no node"
    assert pod(phase="Succeeded").reason == ""


def test_where_a_service_answers() -> None:
    def service(spec: Any, status: Any = None) -> list[tuple[str, str, int]]:
        found = {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec, "status": status or {}}
        return [(e.protocol, e.host, e.port) for e in mapping.service_endpoints(found)]

    ports = [{"name": "https-main", "port": 443}, {"port": 53, "protocol": "UDP"}]
    assert service({"ports": ports}) == [("https", "web.shop.svc", 443), ("udp", "web.shop.svc", 53)]
    given = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
    assert service({"type": "LoadBalancer", "ports": ports[:1]}, given) == [("https", "203.0.113.9", 443)]


def test_secrets_are_not_shown_but_their_change_is() -> None:
    def manifest(password: str) -> str:
        return (
            "---\n# Source: a/templates/c.yaml\nkind: ConfigMap\napiVersion: v1\ndata: {a: Secret}\n"
            f"---\nkind: Secret\napiVersion: v1\nstringData:\n  password: {password}\n"
        )

    first, second = (mapping.without_secrets(manifest(each)) for each in ("hunter2", "hunter3"))
    assert "hunter" not in first + second
    assert first != second
    assert first == mapping.without_secrets(manifest("hunter2"))
    assert "data: {a: Secret}" in first


def test_tags_that_can_be_no_labels_are_refused() -> None:
    assert mapping.selector({"pitrix-cluster": "cl-1"}) == "pitrix-cluster=cl-1"
    for tags in ({"a": "two words"}, {"a,b": "c"}, {"a": "c,d=e"}, {"a": "x" * 64}):
        with pytest.raises(InvalidInput):
            mapping.labels(tags)


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a/b", "../x", "a" * 64, "a_b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidInput):
        mapping.check_name(name)


def test_times_with_nanoseconds() -> None:
    assert mapping.time("2026-11-23T06:17:55.123456789Z").microsecond == 123456
    assert mapping.time(None).year == 1970
