"""Holding a repository for a sync, from its first step to its end.

Owns who may write: a step works on a repository only while its sync is the one that the repository's
`SyncState` names, and every write of that state is made on condition of the revision that was read. Ends a
sync, with its event, in one such write. Taking the lease is `syncing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import Conflict, StepFailed
from pitrix.events import EventBus, announce
from pitrix.repos.indexing import fitting
from pitrix.repos.model import Repo, RepoEvent, Sync, SyncCounts, SyncFailure, SyncState, SyncStatus
from pitrix.repos.ports import NOTHING, RepoStore
from pitrix.repos.syncing import ATTEMPTS, LEASE_S, RENEW_BELOW_S, next_look, unfinished_after


class SyncLease:
    """What the steps of a sync hold on to."""

    def __init__(
        self, *, repos: RepoStore, events: EventBus, clock: Clock, basis: Callable[[Repo], str]
    ) -> None:
        """``basis`` tells on what of a repository a sync's results hang."""
        self._repos = repos
        self._basis = basis
        self._events = events
        self._clock = clock

    def enter(self, repo_id: str, sync_id: str) -> tuple[Repo, SyncState]:
        """The repository and its state, held for long enough to carry out a step.

        Raises:
            StepFailed: the sync does not hold the repository.
        """
        for _ in range(ATTEMPTS):
            repo, state = self._repos.repo(repo_id), self._repos.sync_state(repo_id)
            if repo is None or state is None or state.running is None or state.running.sync_id != sync_id:
                raise StepFailed(f"Sync {sync_id} does not hold repository {repo_id} any more.")
            now = self._clock.now()
            if state.lease_until and state.lease_until - now >= timedelta(seconds=RENEW_BELOW_S):
                return repo, state
            try:
                renewed = replace(state, lease_until=now + timedelta(seconds=LEASE_S))
                return repo, self._repos.save_sync_state(renewed)
            except Conflict:
                continue
        raise Conflict(f"Repository {repo_id} is changed by many at once; try again.")

    def is_over(self, repo_id: str, sync_id: str) -> bool:
        """Whether the sync came to its end before: this step is called again."""
        state = self._repos.sync_state(repo_id)
        if state is None:
            return self._repos.repo(repo_id) is None  # deleted with its repository
        return state.last is not None and state.last.sync_id == sync_id

    def keep_plan(self, state: SyncState, folder: str) -> None:
        """Say where the plan is; where two plan at once, the first one wins.

        Raises:
            Conflict: there is another plan, or the state was changed otherwise; plan again.
        """
        self._repos.save_sync_state(replace(state, plan=folder))

    def conclude(
        self,
        repo: Repo,
        sync_id: str,
        status: SyncStatus,
        *,
        counts: SyncCounts | None = None,
        failures: Sequence[SyncFailure] = (),
        size_bytes: int = 0,
        message: str = "",
        **left: Any,
    ) -> None:
        """End a sync: its state with what it ``left``, and its event, in one write."""
        for _ in range(ATTEMPTS):
            state = self._repos.sync_state(repo.repo_id)
            if state is None or state.running is None or state.running.sync_id != sync_id:
                raise StepFailed(f"Sync {sync_id} does not hold repository {repo.repo_id} any more.")
            # Read after the state: one that was deleted since has its last sync at once (`service.py`).
            repo = self._repos.repo(repo.repo_id) or repo
            now = self._clock.now()
            known = state.totals if status == "unchanged" else NOTHING
            found = counts or SyncCounts(unchanged=known.versions, refused=known.refused)
            sync = replace(
                state.running,
                status=status,
                finished_at=now,
                counts=found,
                failures=fitting(failures),
                size_bytes=size_bytes,
                message=message or _sentence(status, found),
            )
            troubled = status == "failed" or found.failed > 0
            in_a_row = state.failures + 1 if troubled else 0
            after = replace(
                state,
                running=None,
                lease_until=None,
                retry_refused=False,
                plan="",
                unfinished=unfinished_after(state) if status == "failed" else "",
                last=sync,
                failures=in_a_row,
                again=False,
                next_at=now
                if state.again
                else self._next(repo, sync, in_a_row, left.get("basis", state.basis)),
                **left,
            )
            event = None if status == "unchanged" else _event(repo, sync)
            try:
                self._repos.save_sync_state(after, event)
            except Conflict:
                continue
            self._tell(sync)
            return
        raise Conflict(f"Repository {repo.repo_id} is changed by many at once; try again.")

    def _next(self, repo: Repo, sync: Sync, failures: int, basis: str) -> datetime | None:
        """When the schedule looks next: at once where there is more to do, or something else by now."""
        now = self._clock.now()
        moved = repo.is_remote and repo.status == "active" and self._basis(repo) != basis
        if sync.counts.pending or (moved and sync.status != "failed"):
            return now
        return next_look(repo, now, failures, answered=sync.status != "failed")

    def _tell(self, sync: Sync) -> None:
        if sync.status == "unchanged":
            return
        data = {"repo_id": sync.repo_id, "status": sync.status, **asdict(sync.counts)}
        announce(self._events, "RepoSynced", sync.sync_id, data)


def _event(repo: Repo, sync: Sync) -> RepoEvent:
    began = sync.started_at
    duration = (sync.finished_at or began) - began
    return RepoEvent(
        event_id=ids.new("rev"),
        repo_id=repo.repo_id,
        outcome="failed" if sync.status == "failed" else "synced",
        key="",
        message=sync.message,
        owner_path=repo.owner_path,
        uploaded_by=sync.by,
        size_bytes=sync.size_bytes,
        duration_ms=round(duration / timedelta(milliseconds=1)),
        sync_id=sync.sync_id,
        counts=sync.counts,
        failures=sync.failures,
        at=sync.finished_at or began,
    )


def _sentence(status: SyncStatus, counts: SyncCounts) -> str:
    if status == "unchanged":
        return "Nothing has changed."
    said = [f"{count} {name}" for name, count in asdict(counts).items() if count]
    return f"{', '.join(said)}." if said else "The repository is empty."
