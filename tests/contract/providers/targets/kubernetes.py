"""A real control plane of Kubernetes, with RBAC on and a stand-in for the node: tests/clouds/kubernetes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from providers.resources import Connection, FunctionSpec
from tests.clouds import cache
from tests.clouds.kubernetes.plane import Plane, control_plane
from tests.contract.providers.targets import ROOT, Target
from tests.contract.providers.targets.interposer import Answer, Asked

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SETTINGS = {"allowed_networks": "127.0.0.0/8"}
_TOO_MANY = {
    "kind": "Status",
    "status": "Failure",
    "reason": "TooManyRequests",
    "message": "slow down",
    "code": 429,
}


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    with control_plane(folder, cache.built("kubernetes")) as plane:
        _grant(plane)

        def connection(user: str, **more: str) -> Connection:
            credential = {
                "method": "token",
                "server": plane.url,
                "ca": plane.ca,
                "token": plane.tokens.get(user, user),
            }
            return Connection(zone="cluster", credential={**credential, **more}, settings=SETTINGS)

        account = connection("runtime")
        yield Target(
            name="kubernetes",
            kind="real",
            account=account,
            small=connection("confined", namespace="small"),
            refused={
                "a wrong token": connection("0123456789abcdef"),
                "an account that may do nothing": connection("powerless"),
            },
            privileged=connection("admin", cluster_scope="allowed"),
            upstream=plane.url,
            through=lambda url: replace(account, credential={**account.credential, "server": url}),
            throttle=_throttle,
            tls=(plane.certificate, plane.key),
            applications=application,
        )


def application(word: str) -> FunctionSpec:
    """One Knative service; what answers in its place is the stand-in of ``tests/clouds/kubernetes/node``."""
    variables = [{"name": "WORD", "value": word}]
    container = {"image": "echo:1", "env": variables}
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "echo"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    return FunctionSpec(name="echo", manifests={"knative.yaml": yaml.safe_dump(service)}, code=b"")


def _throttle(asked: Asked) -> Answer:
    """What the API server says when its queues are full (API priority and fairness)."""
    headers = {"Content-Type": "application/json", "Retry-After": "1"}
    return Answer(429, headers, json.dumps(_TOO_MANY).encode())


def _grant(plane: Plane) -> None:
    """Grant the accounts what the provider documents, and make a namespace with a small quota."""
    for role in yaml.safe_load_all((ROOT / "providers/kubernetes/rbac.yaml").read_text()):
        plane.apply(f"{RBAC}/clusterroles/{role['metadata']['name']}", role)
    plane.apply(f"{RBAC}/clusterrolebindings/runtime", _binding("ClusterRoleBinding", "runtime", "pitrix"))
    plane.apply(
        "/api/v1/namespaces/small", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "small"}}
    )
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    path = "/api/v1/namespaces/small/resourcequotas/small"
    plane.apply(path, {**quota, "spec": {"hard": {"services": "1"}}})
    plane.apply(
        f"{RBAC}/namespaces/small/rolebindings/confined", _binding("RoleBinding", "confined", "admin")
    )


def _binding(kind: str, user: str, role: str) -> dict[str, object]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": user},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
