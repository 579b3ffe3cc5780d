"""How much a chart asks for: the requests of what its manifests run, and the storage that they claim.

Owns reading rendered manifests as workloads (`WorkloadSpec`), with the rules of Kubernetes: a container
without a request asks for its limit, and containers that run one after another ask for the largest.  Never
renders: that is `helm.render`.

Sources: Kubernetes' documentation, "Resource Management for Pods and Containers" (requests and limits,
units), "Init Containers" (effective requests of a pod).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pitrix.packages.model import ClusterSpec, Manifest, WorkloadSpec
from pitrix.packages.text import yamltext
from pitrix.packages.text.jsontext import JsonRefused

_RUNNING = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "DaemonSet", "Pod")
_ENDING = ("Job", "CronJob")
_CLAIM = "PersistentVolumeClaim"
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": "1e-9", "u": "1e-6", "m": "1e-3", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
_DECIMAL |= {"P": "1e15", "E": "1e18"}
_MIB, _GIB = 2**20, 2**30
#: No cloud has as much; beyond it a number is a mistake, or a way to break a sum.
_MOST = 10**9


def demand(manifests: Iterable[Manifest]) -> ClusterSpec:
    """The workloads of rendered manifests, and in words what of them is not metered."""
    found: list[WorkloadSpec] = []
    unmetered: list[str] = []
    for each in _objects(manifests):
        kind, name = str(each.get("kind")), str(_dig(each, "metadata", "name") or "")
        if kind in _ENDING:
            unmetered.append(f"{kind} {name} runs to an end; its time is not metered.")
        elif kind == _CLAIM:
            found.append(WorkloadSpec(kind=kind, name=name, volume_gib=_claimed(each)))
        elif kind in _RUNNING:
            workload = _workload(kind, name, each)
            found.append(workload)
            if kind == "DaemonSet":
                unmetered.append(f"DaemonSet {name} runs on every node of the cluster; one copy is metered.")
            if not workload.cpu_millis or not workload.memory_mib:
                unmetered.append(f"{kind} {name} does not say how much processor and memory it requests.")
    return ClusterSpec(workloads=[each for each in found if each.copies], unmetered=unmetered)


def _objects(manifests: Iterable[Manifest]) -> Iterator[Mapping[str, Any]]:
    """Every object that stays, also inside of lists: hooks, and so tests, come and go."""
    for manifest in manifests:
        try:
            documents = yamltext.read_all(manifest.path, manifest.text.encode())
        except JsonRefused:
            continue  # Kubernetes will say what is wrong with it, better than a price could
        for document in documents:
            for each in _flattened(document.value):
                annotations = _dig(each, "metadata", "annotations")
                if not (isinstance(annotations, Mapping) and "helm.sh/hook" in annotations):
                    yield each


def _flattened(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if value.get("kind") == "List" and isinstance(value.get("items"), list):
            yield from (each for each in value["items"] if isinstance(each, Mapping))
        else:
            yield value


def _workload(kind: str, name: str, manifest: Mapping[str, Any]) -> WorkloadSpec:
    spec = manifest.get("spec") or {}
    pod = spec if kind == "Pod" else _dig(spec, "template", "spec") or {}
    replicas = spec.get("replicas") if isinstance(spec, Mapping) else None
    fixed = kind in ("Pod", "DaemonSet")
    copies = 1 if fixed or not isinstance(replicas, int) else max(0, min(replicas, _MOST))
    claims = _dig(spec, "volumeClaimTemplates")
    return WorkloadSpec(
        kind=kind,
        name=name,
        copies=copies,
        cpu_millis=_requested(pod, "cpu", Decimal(1) / 1000),
        memory_mib=_requested(pod, "memory", Decimal(_MIB)),
        volume_gib=sum(_claimed(each) for each in claims) if isinstance(claims, list) else 0,
    )


def _requested(pod: Any, resource: str, unit: Decimal) -> int:
    """What one pod requests at its peak: while it runs, or while it is made ready by its largest step."""
    together = sum((_request(each, resource) for each in _listed(pod, "containers")), Decimal(0))
    one_by_one = [_request(each, resource) for each in _listed(pod, "initContainers")]
    return _whole(max([together, *one_by_one]), unit)


def _request(container: Any, resource: str) -> Decimal:
    for level in ("requests", "limits"):
        given = _dig(container, "resources", level, resource)
        if given is not None:
            return quantity(given)
    return Decimal(0)


def _claimed(claim: Any) -> int:
    return _whole(quantity(_dig(claim, "spec", "resources", "requests", "storage")), Decimal(_GIB))


def quantity(given: Any) -> Decimal:
    """A quantity of Kubernetes (``250m``, ``1.5Gi``, ``2``) as a number; 0 for what is none."""
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return Decimal(0)
    text = str(given).strip()
    scale = Decimal(1)
    if text[-2:] in _BINARY:
        text, scale = text[:-2], Decimal(_BINARY[text[-2:]])
    elif text[-1:] in _DECIMAL:
        text, scale = text[:-1], Decimal(_DECIMAL[text[-1:]])
    try:
        found = Decimal(text) * scale
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() and found > 0 else Decimal(0)


def _whole(amount: Decimal, unit: Decimal) -> int:
    """In whole units, rounded up as schedulers and disks do."""
    return min(math.ceil(min(amount / unit, Decimal(_MOST))), _MOST)


def _listed(value: Any, key: str) -> list[Any]:
    found = _dig(value, key)
    return found if isinstance(found, list) else []


def _dig(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
