"""What runs in a release, read from the cluster: workloads and their pods, events, endpoints.

Owns reading; of what is read, ``mapping`` makes the platform's words. Changes nothing but, in ``_clear``,
what Helm leaves behind. A mixin of ``releases``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.errors import InvalidInput, ResourceNotFound
from providers.base import Releases
from providers.kubernetes import helm, mapping
from providers.kubernetes.client import Client
from providers.kubernetes.mapping import WORKLOADS, Json, Stored
from providers.kubernetes.records import Record, Records
from providers.kubernetes.tenancy import Tenancy
from providers.resources import ReleaseEndpoint, ReleaseEvent, ReleaseSpec, Workload

MOST_EVENTS = 200


class Observing(Releases):
    """The reading half of RELEASES."""

    _cloud: Client
    _tenancy: Tenancy
    _records: Records

    def _held(self, release_id: str) -> Record:
        raise NotImplementedError

    def release_workloads(self, release_id: str) -> list[Workload]:
        record, newest = self._both(release_id)
        live = self._workloads(record, newest)
        owned = self._pods(record, live)
        found = [
            mapping.workload(each, [mapping.pod(pod) for pod in owned[each["metadata"]["uid"]]])
            for each in live
        ]
        return sorted(found, key=lambda each: (each.kind, each.name))

    def release_events(self, release_id: str) -> list[ReleaseEvent]:
        """Of the chart's objects, and of the pods and replica sets that they own."""
        record, newest = self._both(release_id)
        about = {(str(each["kind"]), _name(each)) for each in newest.objects() + newest.hooks()}
        workloads = self._workloads(record, newest)
        for pods in self._pods(record, workloads).values():
            for pod in pods:
                about.add(("Pod", _name(pod)))
                about |= {
                    (owner["kind"], owner["name"]) for owner in pod["metadata"].get("ownerReferences") or []
                }
        found = [
            mapping.event(each)
            for each in self._in(record, "/api/v1", "events")
            if (each["involvedObject"].get("kind"), each["involvedObject"].get("name")) in about
        ]
        return sorted(found, key=lambda each: each.at, reverse=True)[:MOST_EVENTS]

    def release_endpoints(self, release_id: str) -> list[ReleaseEndpoint]:
        record, newest = self._both(release_id)
        found: list[ReleaseEndpoint] = []
        for each in newest.objects():
            if each["kind"] == "Service" and each.get("apiVersion") == "v1":
                live = self._live(record, each, "services")
                found += mapping.service_endpoints(live) if live else []
            elif each["kind"] == "Ingress":
                live = self._live(record, each, "ingresses")
                found += mapping.ingress_endpoints(live) if live else []
        return sorted(found, key=lambda each: each.name)

    # --- what they are made of -----------------------------------------------------------------------

    def _both(self, release_id: str) -> tuple[Record, Stored]:
        record = self._held(release_id)
        for newest in self._stored(record) if record.version else []:
            return record, newest
        nothing = Stored(
            revision=0, status="", chart_version="", updated_at=mapping.time(""), description="", manifest=""
        )
        return record, nothing

    def _stored(self, record: Record) -> list[Stored]:
        """The revisions of a release, newest first."""
        query = {"labelSelector": f"owner=helm,name={record.name}"}
        found = [mapping.stored(each) for each in self._in(record, "/api/v1", "secrets", query)]
        return sorted(found, key=lambda each: each.revision, reverse=True)

    def _workloads(self, record: Record, newest: Stored) -> list[Json]:
        """The workloads of a release as they are now; those that are missing are left out."""
        wanted = [each for each in newest.objects() if each["kind"] in WORKLOADS]
        found = [self._live(record, each, WORKLOADS[each["kind"]]) for each in wanted]
        return [each for each in found if each]

    def _live(self, record: Record, wanted: Json, plural: str) -> Json:
        """An object of a chart as it is now; {} when there is none."""
        metadata = wanted.get("metadata") or {}
        namespace = str(metadata.get("namespace") or record.namespace)
        version = str(wanted.get("apiVersion", "v1"))
        base = "/api/v1" if version == "v1" else f"/apis/{version}"
        path = f"{base}/namespaces/{namespace}/{plural}/{metadata.get('name')}"
        try:
            live = self._cloud.get(path, account=self._tenancy.account(record.namespace))
        except ResourceNotFound:
            return {}
        return {**live, "kind": wanted["kind"]}

    def _in(
        self, record: Record, base: str, plural: str, query: Mapping[str, str] | None = None
    ) -> Iterator[Json]:
        path = f"{base}/namespaces/{record.namespace}/{plural}"
        return self._cloud.list(path, query, account=self._tenancy.account(record.namespace))

    def _pods(self, record: Record, workloads: list[Json]) -> dict[str, list[Json]]:
        """The pods of each workload, by the workload's uid; those of jobs and replica sets are its too."""
        owned: dict[str, list[Json]] = {each["metadata"]["uid"]: [] for each in workloads}
        kinds = {each["kind"] for each in workloads}
        between: dict[str, str] = {}
        for kind, base, plural in (
            ("Deployment", "/apis/apps/v1", "replicasets"),
            ("CronJob", "/apis/batch/v1", "jobs"),
        ):
            if kind in kinds:
                for each in self._in(record, base, plural):
                    between |= dict.fromkeys([each["metadata"]["uid"]], next(iter(_owners(each)), ""))
        if not workloads:
            return owned
        for pod in self._in(record, "/api/v1", "pods"):
            for owner in _owners(pod):
                top = between.get(owner, owner)
                if top in owned:
                    owned[top].append(pod)
        return owned

    # --- what a chart brings, and leaves -------------------------------------------------------------

    def _has_definitions(self, spec: ReleaseSpec) -> bool:
        """Whether the chart brings definitions of resources, which then are on the cluster already.

        Raises:
            InvalidInput: They are not, and the runtime may not add what belongs to the whole cluster.
        """
        missing, any_found = [], False
        for path, data in helm.files(spec.chart).items():
            if re.search(r"(^|/)crds/[^/]+\.(ya?ml|json)$", path) is None:
                continue
            for each in mapping.documents(data.decode("utf-8", "replace")):
                any_found = True
                name = _name(each)
                try:
                    self._cloud.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
                except ResourceNotFound:
                    missing.append(name)
        if missing:
            raise InvalidInput(
                f"The chart adds definitions to the whole cluster ({', '.join(sorted(missing))}), and this "
                "runtime may not: let an administrator install them, or allow it in the runtime's credential "
                "(cluster_scope: allowed)."
            )
        return any_found

    def _clear(self, record: Record, newest: Stored) -> None:
        """Delete what Helm leaves in a namespace that stays: objects of hooks, volumes of stateful sets."""
        account = self._tenancy.account(record.namespace)
        base = f"/api/v1/namespaces/{record.namespace}"
        claims = [
            f"{_name(template)}-{_name(each)}-"
            for each in newest.objects()
            if each["kind"] == "StatefulSet"
            for template in each["spec"].get("volumeClaimTemplates") or []
        ]
        paths = []
        if claims:
            for claim in self._in(record, "/api/v1", "persistentvolumeclaims"):
                name = _name(claim)
                if any(name.startswith(each) and name[len(each) :].isdigit() for each in claims):
                    paths.append(f"{base}/persistentvolumeclaims/{name}")
        plurals = {
            "Job": f"/apis/batch/v1/namespaces/{record.namespace}/jobs",
            "Pod": f"{base}/pods",
            "ConfigMap": f"{base}/configmaps",
            "Secret": f"{base}/secrets",
            "ServiceAccount": f"{base}/serviceaccounts",
        }
        paths += [
            f"{plurals[each['kind']]}/{_name(each)}" for each in newest.hooks() if each["kind"] in plurals
        ]
        for path in paths:
            try:
                self._cloud.delete(path, account=account)
            except ResourceNotFound:
                continue


def _name(found: Json) -> str:
    return str((found.get("metadata") or {}).get("name") or "")


def _owners(found: Json) -> list[Any]:
    return [each["uid"] for each in found["metadata"].get("ownerReferences") or [] if each.get("controller")]
