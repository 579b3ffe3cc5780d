"""The definitions of Knative's objects, as far as the API server needs them to keep such objects.

Owns names and versions; what is in the objects is not checked, as that is done by Knative's own webhooks.
Source: Knative's API reference (serving, eventing, messaging, sources).
"""

from __future__ import annotations

from typing import Any

_KINDS = (
    ("serving.knative.dev", "Service", "services"),
    ("serving.knative.dev", "Revision", "revisions"),
    ("messaging.knative.dev", "Channel", "channels"),
    ("messaging.knative.dev", "Subscription", "subscriptions"),
    ("sources.knative.dev", "PingSource", "pingsources"),
    ("eventing.knative.dev", "Trigger", "triggers"),
)


def definitions() -> list[dict[str, Any]]:
    """One definition a kind, each with the version v1 and a status that is written apart."""
    return [_definition(*kind) for kind in _KINDS]


def _definition(group: str, kind: str, plural: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
