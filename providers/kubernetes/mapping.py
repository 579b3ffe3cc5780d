"""Kubernetes' and Helm's JSON as ``providers.resources``. No calls, no decisions about what to do.

A release's revisions lie in Secrets as Helm stores them: JSON, zipped, base64 twice (Helm's storage driver
``secret``; the same since Helm 3).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pitrix.errors import InvalidInput, ProviderError
from providers.resources import Pod, ReleaseEndpoint, ReleaseEvent, ReleaseRevision, Workload

Json = Mapping[str, Any]

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MOST_STORED = 64 * 2**20
_RELEASE = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")

WORKLOADS = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "Job": "jobs",
    "CronJob": "cronjobs",
}
"""The kinds that run pods, and their names in paths."""


def label(key: str) -> str:
    """An idempotency key as a label's value: a digest, as a key may hold a colon."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def check_name(name: str, *, release: bool = False) -> str:
    """The name of a namespace, or of a release, if it is one.

    Raises:
        InvalidInput: It is none.
    """
    if not (_RELEASE if release else _NAME).fullmatch(name):
        what, most = ("release", 53) if release else ("namespace", 63)
        raise InvalidInput(f"{name[:80]!r} is no name of a {what}: 1 to {most} of a-z, 0-9 and '-' inside.")
    return name


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as labels.

    Raises:
        InvalidInput: One of them can be none.
    """
    for name, value in tags.items():
        if not _LABEL_NAME.fullmatch(name) or not _LABEL.fullmatch(value):
            raise InvalidInput(f"The tag {name}={value} can be no label of Kubernetes.")
    return dict(tags)


def selector(tags: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels(tags).items())


def time(text: str | None) -> datetime:
    """A time as Kubernetes or Helm writes it (nanoseconds are cut); the epoch where there is none."""
    if not text:
        return datetime.fromtimestamp(0, UTC)
    plain = re.sub(r"(\.\d{1,6})\d*", r"\1", text)
    found = datetime.fromisoformat(plain)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# --- what Helm stored --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A revision of a release; ``objects`` and ``hooks`` are the objects it consists of, as JSON."""

    revision: int
    status: str
    chart_version: str
    updated_at: datetime
    description: str
    manifest: str = field(repr=False)
    hook_manifests: tuple[str, ...] = field(default=(), repr=False)
    hook_events: frozenset[str] = frozenset()

    @property
    def is_unfinished(self) -> bool:
        return self.status.startswith("pending-")

    def objects(self) -> list[Json]:
        return list(documents(self.manifest))

    def hooks(self) -> list[Json]:
        return [each for text in self.hook_manifests for each in documents(text)]


def stored(secret: Json) -> Stored:
    raw = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    told = json.loads(_unzipped(raw) if raw[:2] == b"\x1f\x8b" else raw)
    info, metadata = told.get("info") or {}, (told.get("chart") or {}).get("metadata") or {}
    return Stored(
        revision=int(told.get("version") or 0),
        status=str(info.get("status") or "unknown"),
        chart_version=str(metadata.get("version") or ""),
        updated_at=time(info.get("last_deployed")),
        description=str(info.get("description") or ""),
        manifest=str(told.get("manifest") or ""),
        hook_manifests=tuple(str(each.get("manifest") or "") for each in told.get("hooks") or []),
        hook_events=frozenset(name for each in told.get("hooks") or [] for name in each.get("events") or []),
    )


def _unzipped(raw: bytes) -> bytes:
    """What Helm zipped; the cluster is a tenant's, so it may not grow without end.

    Raises:
        ProviderError: It is longer than any release, or not zipped after all.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(raw, _MOST_STORED)
    except zlib.error:
        raise ProviderError("What Helm stored about the release is damaged.") from None
    if unpacker.unconsumed_tail:
        raise ProviderError(f"What Helm stored about the release is more than {_MOST_STORED >> 20} MiB.")
    return plain


def revision(each: Stored) -> ReleaseRevision:
    return ReleaseRevision(
        revision=each.revision,
        chart_version=each.chart_version,
        status=each.status,
        updated_at=each.updated_at,
        description=each.description,
    )


def documents(text: str) -> Iterator[Json]:
    """The objects of a manifest, those in a ``List`` too."""
    import yaml

    for each in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(each, dict) and str(each.get("kind", "")).endswith("List") and "items" in each:
            yield from (item for item in each["items"] or [] if isinstance(item, dict))
        elif isinstance(each, dict) and each.get("kind"):
            yield each


def without_secrets(manifest: str) -> str:
    """A manifest to be shown: of what is secret, only whether it changes can be told."""
    shown = []
    for text in re.split(r"(?m)^---\s*$", manifest):
        kinds = [each.get("kind") for each in documents(text)] if "Secret" in text else []
        shown.append(_masked(text) if "Secret" in kinds else text.strip("\n"))
    return "\n---\n".join(each for each in shown if each.strip()) + "\n"


def _masked(text: str) -> str:
    import yaml

    def mask(found: Json) -> dict[str, Any]:
        changed = dict(found)
        for part in ("data", "stringData"):
            if isinstance(changed.get(part), dict):
                values = changed[part].items()
                changed[part] = {
                    key: f"(secret {hashlib.sha256(str(v).encode()).hexdigest()[:8]})" for key, v in values
                }
        return changed

    return "---\n".join(yaml.safe_dump(mask(each), sort_keys=True) for each in documents(text)).strip("\n")


# --- workloads ---------------------------------------------------------------------------------------


def workload(live: Json, pods: Iterable[Pod] = ()) -> Workload:
    spec, status = live.get("spec") or {}, live.get("status") or {}
    kind = str(live["kind"])
    if kind == "DaemonSet":
        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    elif kind == "Job":
        wanted, ready = spec.get("completions") or spec.get("parallelism", 1), status.get("succeeded", 0)
    elif kind == "CronJob":
        wanted, ready = 0, 0
    else:
        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    return Workload(
        kind=kind,
        name=str(live["metadata"]["name"]),
        wanted=int(wanted),
        ready=int(ready),
        pods=tuple(sorted(pods, key=lambda pod: pod.name)),
    )


def waiting_for(live: Json) -> str:
    """What a workload still lacks, in words; "" when it is as wanted."""
    status, found = live.get("status") or {}, workload(live)
    name = f"{found.kind} {found.name}"
    if found.kind == "CronJob":
        return ""
    if found.kind != "Job" and status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return f"{name} was not looked at yet"
    if found.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        updated = status.get("updatedNumberScheduled" if found.kind == "DaemonSet" else "updatedReplicas", 0)
        if updated < found.wanted and not _updates_by_hand(live):
            return f"{name}: {updated} of {found.wanted} updated"
    if found.ready < found.wanted:
        return f"{name}: {found.ready} of {found.wanted} {'done' if found.kind == 'Job' else 'ready'}"
    return ""


def _updates_by_hand(live: Json) -> bool:
    """Whether pods of an older revision are what is wanted (OnDelete, or a partition)."""
    strategy = (live.get("spec") or {}).get("updateStrategy") or {}
    return strategy.get("type") == "OnDelete" or bool((strategy.get("rollingUpdate") or {}).get("partition"))


def failure_of(live: Json) -> str:
    """Why a workload will not become as wanted by itself, in words; "" when it may."""
    name = f"{live['kind']} {live['metadata']['name']}"
    for each in (live.get("status") or {}).get("conditions") or []:
        said = each.get("message") or each.get("reason") or ""
        failed = (
            (each.get("type") == "Failed" and each.get("status") == "True")
            or (each.get("type") == "ReplicaFailure" and each.get("status") == "True")
            or (each.get("type") == "Progressing" and each.get("reason") == "ProgressDeadlineExceeded")
        )
        if failed:
            return f"{name}: {said}"
    return ""


# --- pods --------------------------------------------------------------------------------------------


def pod(live: Json) -> Pod:
    metadata, spec, status = live["metadata"], live.get("spec") or {}, live.get("status") or {}
    ready = any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in status.get("conditions") or []
    )
    phase = str(status.get("phase") or "Unknown").lower()
    cpu, memory = requests(spec)
    return Pod(
        pod_id=str(metadata.get("uid", "")),
        name=str(metadata["name"]),
        status=phase,
        ready=ready,
        private_ip=status.get("podIP") or None,
        cpu_millis=cpu,
        memory_mib=memory,
        reason="" if ready or phase == "succeeded" else _why(status),
    )


def _why(status: Json) -> str:
    """Why a pod is not ready: what a container waits for or ended with, or why it is not scheduled."""
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = each.get("state") or {}
        stuck = state.get("waiting") or (state.get("terminated") or {})
        if stuck.get("reason") and stuck.get("reason") != "Completed":
            return ": ".join(part for part in (str(stuck["reason"]), str(stuck.get("message") or "")) if part)
    for each in status.get("conditions") or []:
        if each.get("status") == "False" and each.get("message"):
            return f"{each.get('reason', '')}: {each['message']}"
    return str(status.get("message") or status.get("reason") or "starting")


def requests(spec: Json) -> tuple[int, int]:
    """What a pod requests: thousandths of a core, and MiB, each rounded up.

    Its containers run together, its init containers before them one after another (Kubernetes' rule for
    the effective request). A container without a request asks for its limit.
    """
    together = [_container(each) for each in spec.get("containers") or []]
    first = [_container(each) for each in spec.get("initContainers") or []]
    cpu = max([sum(each[0] for each in together), *(each[0] for each in first)])
    memory = max([sum(each[1] for each in together), *(each[1] for each in first)])
    return cpu, -(-memory // 2**20)


def _container(each: Json) -> tuple[int, int]:
    resources = each.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return quantity(wanted.get("cpu"), 1000), quantity(wanted.get("memory"), 1)


def quantity(text: Any, times: int) -> int:
    """A quantity of Kubernetes (``250m``, ``1Gi``) times ``times``, rounded up; 0 for none."""
    from kubernetes.utils import parse_quantity

    found = parse_quantity(str(text)) * times if text not in (None, "") else 0  # type: ignore[no-untyped-call]
    return math.ceil(found)


# --- events and endpoints ----------------------------------------------------------------------------


def event(live: Json) -> ReleaseEvent:
    about = live.get("involvedObject") or {}
    seen = live.get("lastTimestamp") or live.get("eventTime") or live["metadata"].get("creationTimestamp")
    return ReleaseEvent(
        at=time(seen),
        kind=str(live.get("type") or "Normal").lower(),
        reason=str(live.get("reason") or ""),
        message=str(live.get("message") or ""),
        about=f"{about.get('kind', '')} {about.get('name', '')}",
    )


def service_endpoints(live: Json) -> list[ReleaseEndpoint]:
    """Where a service answers: at its balancer's address, or inside the cluster by its name."""
    metadata, spec = live["metadata"], live.get("spec") or {}
    given = ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    hosts = [str(each.get("hostname") or each.get("ip")) for each in given]
    if spec.get("type") == "ExternalName":
        hosts = [str(spec.get("externalName"))]
    return [
        ReleaseEndpoint(
            name=f"{metadata['name']}-{port.get('name') or port['port']}",
            protocol=_protocol(port),
            host=host,
            port=int(port["port"]),
        )
        for host in hosts or [f"{metadata['name']}.{metadata['namespace']}.svc"]
        for port in spec.get("ports") or []
    ]


def ingress_endpoints(live: Json) -> list[ReleaseEndpoint]:
    """The hosts of an ingress; without one, the address that its controller gave it."""
    metadata, spec = live["metadata"], live.get("spec") or {}
    secured = {host for each in spec.get("tls") or [] for host in each.get("hosts") or []}
    given = ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    addresses = [str(each.get("hostname") or each.get("ip")) for each in given]
    hosts = {str(rule["host"]) for rule in spec.get("rules") or [] if rule.get("host")}
    return [
        ReleaseEndpoint(
            name=str(metadata["name"]),
            protocol="https" if host in secured else "http",
            host=host,
            port=443 if host in secured else 80,
        )
        for host in sorted(hosts) or addresses
    ]


def _protocol(port: Json) -> str:
    said = str(port.get("appProtocol") or port.get("name") or "").lower()
    for known in ("https", "http"):
        if said == known or said.startswith(f"{known}-"):
            return known
    return str(port.get("protocol") or "TCP").lower()
