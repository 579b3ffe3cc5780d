"""Namespaces, and what a chart may do: whose rights Helm has, and where.

A release lives in a namespace of its own that its installation makes, or in one that the cluster's
administrator labelled ``pitrix-releases: allowed``. Helm acts as that namespace's service account
``pitrix-release``, which is granted the cluster role ``admin`` in it (by impersonation: no such account need
exist, and no token of it is made). So a chart reaches neither other namespaces nor what belongs to the whole
cluster, and cannot lift its own quota, unless the runtime's credential says ``cluster_scope: allowed``. Owns
this and nothing of releases.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pitrix.errors import Conflict, CredentialInvalid, InvalidInput, ProviderUnavailable, ResourceNotFound
from providers.base import TAG_CLUSTER
from providers.kubernetes import mapping
from providers.kubernetes.client import Client
from providers.kubernetes.records import KIND, Record, new_token

ACCOUNT = "pitrix-release"
ROLE = "admin"
MANAGED = "pitrix-managed"
"""Label of the namespaces that are made here, and removed with what they are for."""

ALLOWED = "pitrix-releases"
"""Label by which an administrator lets releases into a namespace; its value is ``allowed``."""

_GRANT_S = 5
"""Seconds that the API server's own caches are given to learn of a grant (usually a few milliseconds)."""

_PAUSE_S = 0.05

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


class Tenancy:
    """The namespaces of one runtime."""

    def __init__(self, cloud: Client, credential: Mapping[str, str]) -> None:
        self._cloud = cloud
        self.whole_cluster = credential.get("cluster_scope") == "allowed"
        self.confined = credential.get("namespace", "")
        """The one namespace that the credential is good for; "" when it may make namespaces."""

    def account(self, namespace: str) -> str:
        """On whose behalf things are done in a namespace; "" for the credential itself."""
        return "" if self.whole_cluster else f"{namespace}/{ACCOUNT}"

    def namespace(self, wanted: str) -> str:
        """Where something goes that is wanted in ``wanted``.

        Raises:
            InvalidInput: That is no name, or a namespace of the cluster itself.
        """
        name = mapping.check_name(self.confined or wanted)
        if name.startswith("kube-") and not self.confined:
            raise InvalidInput(f"The namespace {name!r} belongs to the cluster itself.")
        return name

    def where(self) -> str:
        """The path below which everything of this runtime lies."""
        return f"/api/v1/namespaces/{self.confined}" if self.confined else "/api/v1"

    def prepare(self, namespace: str, *, made_for: str, tags: Mapping[str, str]) -> str:
        """See to it that the namespace is there and what a chart needs is granted; its token.

        The token is good for whatever the namespace was made for (``made_for``, like ``release/web``), and ""
        for anything else.

        Raises:
            Conflict: The namespace belongs to something else.
            InvalidInput: The namespace was there before, and is not for releases.
            ProviderUnavailable: The namespace of that name is still being removed.
        """
        if self.confined:
            self._grant(namespace)
            return ""
        found: Mapping[str, Any]
        try:
            found = self._cloud.get(f"/api/v1/namespaces/{namespace}")
        except ResourceNotFound:
            found = self._make(namespace, made_for, tags)
        metadata = found["metadata"]
        if is_leaving(found):
            raise ProviderUnavailable(f"The namespace {namespace} of before is still being removed.")
        self._check(namespace, metadata.get("labels") or {}, tags)
        self._grant(namespace)
        annotations = metadata.get("annotations") or {}
        return str(annotations.get("pitrix-token", "")) if annotations.get("pitrix-for") == made_for else ""

    def find(self, namespace: str) -> Mapping[str, Any]:
        """The namespace, or {} where the credential is confined to it and it is no concern of ours.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """
        return {} if self.confined else self._cloud.get(f"/api/v1/namespaces/{namespace}")

    def list(self, tags: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """The namespaces that were made here with these tags."""
        if self.confined:
            return []
        query = {"labelSelector": mapping.selector({MANAGED: "true", **tags})}
        return list(self._cloud.list("/api/v1/namespaces", query))

    def leave(self, namespace: str, found: Mapping[str, Any]) -> None:
        """Take back what ``prepare`` did, unless something else of ours is still in the namespace."""
        if any(self._cloud.list(f"/api/v1/namespaces/{namespace}/configmaps", {"labelSelector": KIND})):
            return
        if is_managed(found):
            if not is_leaving(found):
                self._cloud.delete(f"/api/v1/namespaces/{namespace}")
        elif not self.whole_cluster:
            self._forget(f"{_BINDINGS.format(namespace)}/{ACCOUNT}")

    def is_going(self, namespace: str) -> bool:
        """Whether a namespace is on its way out: then what was granted in it may be gone already.

        Raises:
            ResourceNotFound: It is gone.
        """
        return is_leaving(self.find(namespace))

    def _forget(self, path: str) -> None:
        try:
            self._cloud.delete(path)
        except ResourceNotFound:
            return

    def _make(self, namespace: str, made_for: str, tags: Mapping[str, str]) -> Mapping[str, Any]:
        body = {
            "metadata": {
                "name": namespace,
                "labels": {**mapping.labels(tags), MANAGED: "true"},
                "annotations": {"pitrix-for": made_for, "pitrix-token": new_token()},
            }
        }
        try:
            return self._cloud.post("/api/v1/namespaces", body)
        except Conflict:  # made by another call meanwhile
            return self._cloud.get(f"/api/v1/namespaces/{namespace}")

    def _check(self, namespace: str, labels: Mapping[str, str], tags: Mapping[str, str]) -> None:
        if labels.get(MANAGED) == "true":
            if labels.get(TAG_CLUSTER) != tags.get(TAG_CLUSTER):
                raise Conflict(f"The namespace {namespace} belongs to another cluster of applications.")
        elif labels.get(ALLOWED) != "allowed" and not self.whole_cluster:
            raise InvalidInput(
                f"The namespace {namespace} was there before and is not for releases; choose another, or let "
                f"an administrator label it {ALLOWED}=allowed."
            )

    def _grant(self, namespace: str) -> None:
        """Let the namespace's account do in it what its administrator may."""
        if self.whole_cluster:
            return
        group = "rbac.authorization.k8s.io"
        body = {
            "metadata": {"name": ACCOUNT, "labels": {MANAGED: "true"}},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        }
        with suppress(Conflict):  # granted before, or by another call this very moment
            self._cloud.post(_BINDINGS.format(namespace), body)
        self._see(namespace)

    def _see(self, namespace: str) -> None:
        """Look until a grant is known to the server that answers: Helm would be refused before that.

        Raises:
            CredentialInvalid: The credential may not act for the account at all.
            ProviderUnavailable: The server does not know of the grant yet.
        """
        deadline = time.monotonic() + _GRANT_S
        while True:
            try:
                query = {"limit": "1"}
                self._cloud.get(
                    f"/api/v1/namespaces/{namespace}/services", query, account=self.account(namespace)
                )
                return
            except CredentialInvalid as error:
                if "impersonate" in error.detail:
                    raise
                if time.monotonic() > deadline:
                    raise ProviderUnavailable(
                        f"The cluster does not know yet what was granted in {namespace}; ask again."
                    ) from None
            time.sleep(_PAUSE_S)


def is_managed(found: Mapping[str, Any]) -> bool:
    return ((found.get("metadata") or {}).get("labels") or {}).get(MANAGED) == "true"


def is_leaving(found: Mapping[str, Any]) -> bool:
    return bool((found.get("metadata") or {}).get("deletionTimestamp"))


def half_made(found: Mapping[str, Any], kind: str) -> Record | None:
    """What a namespace was made for, when that is of this kind, as far as the namespace itself tells."""
    metadata = found.get("metadata") or {}
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    made_for, _, name = str(annotations.get("pitrix-for", "")).partition("/")
    if made_for != kind or not is_managed(found):
        return None
    return Record(
        kind=kind,
        namespace=str(metadata["name"]),
        name=name,
        key="",
        token=str(annotations.get("pitrix-token", "")),
        tags={key: text for key, text in labels.items() if key != MANAGED and "/" not in key},
        leaving=is_leaving(found),
    )
