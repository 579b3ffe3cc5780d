"""The Kubernetes provider: any cluster whose API server answers, from 1.19 on.

Offers releases of charts and Knative applications; machines, volumes and networks are the cluster's own
matter. A cluster is one zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pitrix.errors import CredentialInvalid
from providers.base import Provider
from providers.kubernetes.client import Client
from providers.kubernetes.functions import KnativeFunctions
from providers.kubernetes.records import Records
from providers.kubernetes.releases import HelmReleases
from providers.kubernetes.tenancy import ACCOUNT, ROLE, Tenancy
from providers.resources import Connection, Zone

ZONE = "cluster"


def _text(title: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {
        "type": "string", "title": title, **({"description": description} if description else {}),
        "minLength": 1, "maxLength": 300, **more,
    }  # fmt: skip


_SECRET: Mapping[str, Any] = {"writeOnly": True, "maxLength": 10_000}
_PEM: Mapping[str, Any] = {"x-multiline": True, "maxLength": 20_000}
_COMMON: Mapping[str, Any] = {
    "namespace": _text(
        "The only namespace it may use",
        "Leave it out for an account that makes a namespace for each application.",
        pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    ),
    "cluster_scope": {
        "type": "string",
        "title": "May charts change the whole cluster?",
        "description": "With 'allowed', charts act with this credential's own rights: they may add "
        "definitions and roles, and reach every namespace. Otherwise a chart stays in its own namespace.",
        "enum": ["refused", "allowed"],
        "default": "refused",
    },
}
_CA = _text("Certificate authority", "PEM text; it vouches for the API server's certificate.", **_PEM)
_SERVER = _text("Address of the API server", "https://…", format="uri", pattern="^https://")


def _way(method: str, title: str, fields: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": title,
        "properties": {"method": {"const": method, "type": "string", "title": "Way"}, **fields, **_COMMON},
        "required": ["method", *required],
        "additionalProperties": False,
    }


class KubernetesProvider(Provider, HelmReleases, KnativeFunctions):
    """One cluster. Every promise is the base class's; what differs is said at the method."""

    name = "kubernetes"
    title = "Kubernetes"
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [
            _way(
                "kubeconfig",
                "A kubeconfig",
                {
                    "kubeconfig": _text(
                        "Kubeconfig",
                        "The whole file, with everything inside (kubectl config view --flatten --minify).",
                        **{**_SECRET, "x-multiline": True, "maxLength": 60_000},
                    ),
                    "context": _text("Context", "Leave it out for the file's current one."),
                },
                ["kubeconfig"],
            ),
            _way(
                "token",
                "The token of a service account",
                {"server": _SERVER, "ca": _CA, "token": _text("Token", **_SECRET)},
                ["server", "token"],
            ),
            _way(
                "eks",
                "A cluster of Amazon EKS",
                {
                    "region": _text("Region", pattern="^[a-z0-9-]+$"),
                    "cluster": _text("Name of the cluster"),
                    "access_key_id": _text("Access key ID"),
                    "secret_access_key": _text("Secret access key", **_SECRET),
                    "session_token": _text("Session token", "For temporary keys only.", **_SECRET),
                },
                ["region", "cluster", "access_key_id", "secret_access_key"],
            ),
            _way(
                "aks",
                "A cluster of Azure AKS",
                {
                    "server": _SERVER,
                    "ca": _CA,
                    "tenant_id": _text("Directory (tenant) ID", pattern="^[A-Za-z0-9.-]+$"),
                    "client_id": _text("Application (client) ID"),
                    "client_secret": _text("Client secret", **_SECRET),
                },
                ["server", "ca", "tenant_id", "client_id", "client_secret"],
            ),
        ],
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._cloud = Client(connection)
        self._tenancy = Tenancy(self._cloud, connection.credential)
        self._records = Records(self._cloud, "release", self._tenancy.account)
        self._applications = Records(self._cloud, "application", self._tenancy.account)

    def validate_credential(self) -> None:
        """Ask the API server itself whether each thing that installing takes would be allowed."""
        if self.connection.zone != ZONE:
            raise CredentialInvalid(
                f"A cluster has one zone, {ZONE!r}; there is no {self.connection.zone!r}."
            )
        refused = [words for words, asked in self._needs().items() if not self._may(asked)]
        if refused:
            raise CredentialInvalid(
                f"The cluster accepts the credential, but it may not {'; '.join(refused)}. An administrator "
                "grants it with the cluster role in providers/kubernetes/rbac.yaml."
            )

    def zones(self) -> list[Zone]:
        return [Zone(zone=ZONE, title="The cluster")]

    def _needs(self) -> dict[str, dict[str, str]]:
        space = self._tenancy.confined
        rbac = "rbac.authorization.k8s.io"
        needs: dict[str, dict[str, str]] = {}
        if not space:
            for verb in ("create", "get", "list", "delete"):
                needs[f"{verb} namespaces"] = {"verb": verb, "resource": "namespaces"}
        needs["list configmaps"] = {"verb": "list", "resource": "configmaps", "namespace": space}
        if not self._tenancy.whole_cluster:
            needs["create rolebindings"] = {
                "verb": "create", "group": rbac, "resource": "rolebindings", "namespace": space
            }  # fmt: skip
            if not space:
                needs[f"bind the cluster role {ROLE}"] = {
                    "verb": "bind", "group": rbac, "resource": "clusterroles", "name": ROLE
                }  # fmt: skip
            needs[f"impersonate the service account {ACCOUNT}"] = {
                "verb": "impersonate", "resource": "serviceaccounts", "name": ACCOUNT, "namespace": space
            }  # fmt: skip
        else:
            needs["do everything on the whole cluster"] = {"verb": "*", "group": "*", "resource": "*"}
        return needs

    def _may(self, asked: Mapping[str, str]) -> bool:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
        }
        answer = self._cloud.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        return bool((answer.get("status") or {}).get("allowed"))
