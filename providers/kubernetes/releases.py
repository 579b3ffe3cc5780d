"""Charts installed by Helm: the capability RELEASES.

Owns the order of things: the namespace, a record of what is begun (``records``), then Helm (``helm``), and
the same backwards. What a release is and how it goes is read from what Helm stored and from the objects
themselves, never from memory. What runs in a release is told by ``observing``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from contextlib import suppress

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    InvalidInput,
    PitrixError,
    ProviderThrottled,
    ProviderUnavailable,
    ResourceNotFound,
)
from providers.base import check_key
from providers.kubernetes import errors, helm, mapping, tenancy
from providers.kubernetes.mapping import Stored
from providers.kubernetes.observing import Observing
from providers.kubernetes.records import Record, new_token, split
from providers.resources import Release, ReleaseRevision, ReleaseSpec, ReleaseStatus

_FAREWELL = {"pre-delete", "post-delete"}
_NOTHING_RUNS_S = 60
"""Seconds granted to Helm where no hook is expected to run."""


class HelmReleases(Observing):
    """Every promise is the base class's; what differs is said at the method."""

    def install_release(self, spec: ReleaseSpec, *, idempotency_key: str) -> Release:
        """The chart has the rights that ``tenancy`` grants; a confined credential's go to its namespace."""
        key = mapping.label(check_key(idempotency_key))
        mapping.check_name(spec.name, release=True)
        mapping.labels(spec.tags)
        namespace = self._tenancy.namespace(spec.namespace)
        token = self._tenancy.prepare(namespace, made_for=f"release/{spec.name}", tags=spec.tags)
        record = self._records.make(
            Record(
                kind="release",
                namespace=namespace,
                name=spec.name,
                key=key,
                token=token or new_token(),
                tags=spec.tags,
            )
        )
        if record.key != key:
            raise Conflict(f"There is a release {spec.name!r} in the namespace {namespace} already.")
        with self._records.claimed(record, spec.timeout_s) as held:
            if held is not None:
                self._install(held, spec)
        return self._told(self._records.find(namespace, spec.name))

    def _install(self, record: Record, spec: ReleaseSpec) -> None:
        """Have Helm install it, unless it is installed; what an interrupted call left is removed first."""
        newest = next(iter(self._stored(record)), None)
        if newest is not None and not _is_interrupted(newest):
            return
        if newest is not None:
            self._helm(record, ["uninstall", record.name, "--no-hooks"], _NOTHING_RUNS_S)
        command = ["install", record.name, "{chart}", f"--server-side={self._applies()}", *_timeout(spec)]
        try:
            ran = self._helm(record, command, spec.timeout_s, spec)
        except InvalidInput:
            self._undo(record)
            raise
        if ran.good or errors.is_taken(ran.stderr) or errors.is_hook(ran.stderr):
            return
        why = errors.from_helm(ran.stderr)
        if not isinstance(why, (ProviderThrottled, ProviderUnavailable)):
            self._undo(record)
        raise why

    def _applies(self) -> str:
        """Whether the server is to merge what Helm sends: before 1.22 it stumbles over what charts leave out
        (kubernetes issue 92332: a service's port without its protocol)."""
        told = self._cloud.get("/version")
        version = [
            int(re.sub(r"\D.*", "", str(told.get(each, "")) or "0") or 0) for each in ("major", "minor")
        ]
        return "true" if version >= [1, 22] else "false"

    def _undo(self, record: Record) -> None:
        """Remove what a refused installation left, so that nothing of it is found."""
        if self._stored(record):
            self._helm(record, ["uninstall", record.name, "--no-hooks"], _NOTHING_RUNS_S)
        self._records.delete(record)
        self._leave(record.namespace)

    def get_release(self, release_id: str) -> Release:
        return self._told(self._held(release_id))

    def list_releases(self, tags: Mapping[str, str]) -> list[Release]:
        """Those that Pitrix installed; what was begun, or is on its way out, too."""
        records = self._records.list(self._tenancy.where(), tags)
        found = {}
        for record in records:
            with suppress(ResourceNotFound):  # gone meanwhile
                found[record.id] = self._told(record)
        for each in self._tenancy.list(tags):
            half = tenancy.half_made(each, "release")
            if half is not None:
                found.setdefault(half.id, self._pending(half, half.leaving))
        return list(found.values())

    def diff_release(self, release_id: str, spec: ReleaseSpec) -> str:
        """What is secret is not shown, only that it changes."""
        record = self._held(release_id)
        command = [
            "upgrade",
            record.name,
            "{chart}",
            "--dry-run=server",
            "--output",
            "json",
            "--reset-values",
        ]
        ran = self._helm(record, command, _NOTHING_RUNS_S, spec)
        if not ran.good:
            raise errors.from_helm(ran.stderr)
        present = next(iter(self._stored(record)), None)
        texts = (present.manifest if present else "", str(json.loads(ran.stdout).get("manifest") or ""))
        before, after = (mapping.without_secrets(each).splitlines(keepends=True) for each in texts)
        return "".join(difflib.unified_diff(before, after, "present", "wanted"))

    def upgrade_release(self, release_id: str, spec: ReleaseSpec, *, idempotency_key: str) -> Release:
        """Values are those of ``spec`` alone; nothing of the release's earlier ones is kept."""
        command = ["upgrade", "{name}", "{chart}", "--reset-values", f"--history-max={helm.HISTORY}"]
        return self._change(release_id, idempotency_key, [*command, *_timeout(spec)], spec.timeout_s, spec)

    def rollback_release(self, release_id: str, *, revision: int, idempotency_key: str) -> Release:
        record = self._held(release_id)
        known = [each.revision for each in self._stored(record)]
        done = mapping.label(check_key(idempotency_key)) in record.changes
        if revision not in known and not done:
            raise ResourceNotFound(f"The release {record.name} has no revision {revision} to go back to.")
        seconds = ReleaseSpec.timeout_s
        command = [
            "rollback",
            "{name}",
            str(revision),
            f"--history-max={helm.HISTORY}",
            f"--timeout={seconds}s",
        ]
        return self._change(release_id, idempotency_key, command, seconds)

    def _change(
        self, release_id: str, idempotency_key: str, command: list[str], seconds: int,
        spec: ReleaseSpec | None = None,
    ) -> Release:  # fmt: skip
        """Bring a release to its next revision, once for a key."""
        key, record = mapping.label(check_key(idempotency_key)), self._held(release_id)
        if _is_done(record, key, self._stored(record)):
            return self._told(record)
        begun = self._newest_revision(record)
        with self._records.claimed(record, seconds, change=(key, record.changes.get(key, begun))) as held:
            if held is not None and not _is_done(held, key, self._stored(held)):
                args = [record.name if each == "{name}" else each for each in command]
                ran = self._helm(held, args, seconds, spec)
                if not ran.good and not errors.is_hook(ran.stderr):
                    raise errors.from_helm(ran.stderr)
            elif held is None and key not in self._held(release_id).changes:
                raise ProviderUnavailable("Another change of this release is going on.")
        return self._told(self._held(release_id))

    def release_history(self, release_id: str) -> list[ReleaseRevision]:
        return [mapping.revision(each) for each in self._stored(self._held(release_id))]

    def uninstall_release(self, release_id: str) -> None:
        """Definitions of resources (``crds/``) stay, as with Helm: what others keep in them would go too."""
        namespace = ""
        try:
            record = self._held(release_id)
            namespace = record.namespace
            self._remove(record)
        except ResourceNotFound:
            return
        except CredentialInvalid:
            with suppress(ResourceNotFound):
                if not namespace or not self._tenancy.is_going(namespace):
                    raise

    def _remove(self, record: Record) -> None:
        """Do the next thing on its way out."""
        if not record.version:  # nothing but its namespace is left of it
            self._leave(record.namespace)
            return
        with self._records.claimed(record, ReleaseSpec.timeout_s, leaving=True) as held:
            if held is not None and self._uninstalled(held):
                self._records.delete(held)
                self._leave(held.namespace)

    def _uninstalled(self, record: Record) -> bool:
        """Do the next thing there is to do; whether all was done already."""
        newest = next(iter(self._stored(record)), None)
        managed = tenancy.is_managed(self._tenancy.find(record.namespace))
        if newest is None or (
            managed and not self._tenancy.whole_cluster and not newest.hook_events & _FAREWELL
        ):
            return True  # what is left of it goes with its namespace
        if newest.status != "uninstalled":
            seconds = ReleaseSpec.timeout_s
            command = ["uninstall", record.name, "--keep-history", f"--timeout={seconds}s"]
            ran = self._helm(record, command, seconds)
            retried = isinstance(errors.from_helm(ran.stderr), (ProviderThrottled, ProviderUnavailable))
            if not ran.good and not retried and newest.hook_events & _FAREWELL:
                # A hook must not keep what is to go.
                ran = self._helm(record, [*command, "--no-hooks"], _NOTHING_RUNS_S)
            if not ran.good and "already deleted" not in ran.stderr:
                raise errors.from_helm(ran.stderr)
        if not managed:
            self._clear(record, newest)
        query = {"labelSelector": f"owner=helm,name={record.name}"}
        account = self._tenancy.account(record.namespace)
        self._cloud.delete(f"/api/v1/namespaces/{record.namespace}/secrets", query, account=account)
        return True

    # --- what is known about a release ---------------------------------------------------------------

    def _held(self, release_id: str) -> Record:
        """The record of a release; without a version where only its namespace is left.

        Raises:
            ResourceNotFound: It never was, or is gone.
        """
        namespace, name, token = split(release_id)
        if self._tenancy.confined and namespace != self._tenancy.confined:
            raise ResourceNotFound(f"There is no release {release_id!r} in {self._tenancy.confined}.")
        space = self._tenancy.find(namespace)
        half = tenancy.half_made(space, "release")
        if half is not None and half.token == token and tenancy.is_leaving(space):
            return half
        try:
            record = self._records.find(namespace, name)
        except (ResourceNotFound, PitrixError) as error:
            if half is not None and half.token == token:
                return half
            if tenancy.is_managed(space) or isinstance(error, ResourceNotFound):
                raise ResourceNotFound(f"There is no release {release_id!r}.") from None
            raise
        if record.token != token:
            raise ResourceNotFound(f"There is no release {release_id!r}; another has its name.")
        return record

    def _leave(self, namespace: str) -> None:
        try:
            space = self._tenancy.find(namespace)
        except ResourceNotFound:
            return
        if tenancy.is_leaving(space):
            return
        self._tenancy.leave(namespace, space)

    def _told(self, record: Record) -> Release:
        """A release as it is now.

        Raises:
            ResourceNotFound: It went away meanwhile.
        """
        if not record.version:
            return self._pending(record, record.leaving)
        try:
            return self._present(record)
        except (CredentialInvalid, ResourceNotFound):
            if not self._tenancy.is_going(record.namespace):
                raise
            return self._pending(record, leaving=True)

    def _present(self, record: Record) -> Release:
        revisions = self._stored(record)
        if record.leaving or not revisions:
            return self._pending(record, record.leaving)
        newest = revisions[0]
        status, reason = self._status(record, newest)
        return Release(
            release_id=record.id,
            name=record.name,
            namespace=record.namespace,
            status=status,
            revision=newest.revision,
            chart_version=newest.chart_version,
            reason=reason,
            tags=record.tags,
        )

    def _status(self, record: Record, newest: Stored) -> tuple[ReleaseStatus, str]:
        if _is_interrupted(newest) or newest.status == "uninstalling":
            busy = "Helm is at work" if record.is_busy else "Helm was interrupted; ask for it again"
            return ReleaseStatus.PENDING, busy
        if newest.status != "deployed":
            return ReleaseStatus.FAILED, newest.description or newest.status
        live = self._workloads(record, newest)
        failed = [why for each in live if (why := mapping.failure_of(each))]
        if failed:
            return ReleaseStatus.FAILED, "; ".join(failed)
        waiting = [why for each in live if (why := mapping.waiting_for(each))]
        return (ReleaseStatus.PENDING, "; ".join(waiting)) if waiting else (ReleaseStatus.DEPLOYED, "")

    @staticmethod
    def _pending(record: Record, leaving: bool) -> Release:
        return Release(
            release_id=record.id,
            name=record.name,
            namespace=record.namespace,
            status=ReleaseStatus.PENDING,
            revision=0,
            chart_version="",
            reason="it is being removed" if leaving else "its installation has begun; ask for it again",
            tags=record.tags,
        )

    def _newest_revision(self, record: Record) -> int:
        return max((each.revision for each in self._stored(record)), default=0)

    def _helm(
        self, record: Record, args: list[str], timeout_s: int, spec: ReleaseSpec | None = None
    ) -> helm.Ran:  # fmt: skip
        if spec is not None and not self._tenancy.whole_cluster and args[0] == "install":
            args = [*args, "--skip-crds"] if self._has_definitions(spec) else args
        return helm.run(
            self._cloud, args, namespace=record.namespace, account=self._tenancy.account(record.namespace),
            timeout_s=timeout_s, chart=spec.chart if spec else None, values=spec.values if spec else None,
        )  # fmt: skip


def _is_done(record: Record, key: str, revisions: list[Stored]) -> bool:
    """Whether a change of that key has made its revision."""
    made = key in record.changes and any(each.revision > record.changes[key] for each in revisions)
    return made and not _is_interrupted(revisions[0])


def _is_interrupted(newest: Stored) -> bool:
    """Whether Helm never came to its end with it, by no fault of the chart."""
    return newest.is_unfinished or (newest.status == "failed" and errors.is_transient(newest.description))


def _timeout(spec: ReleaseSpec) -> list[str]:
    return [f"--timeout={spec.timeout_s}s"]
