"""When a repository is compared with its source: starting syncs, one at a time, and planning the next.

Owns the lease. A sync holds its repository by a conditional write of the repository's `SyncState`; every step
renews the lease, and one that outlived its last step by more than a function may run is taken over. So no two
syncs ever work on a repository, and a dead one keeps nobody waiting. What a sync does is in `sync_steps.py`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import Conflict
from pitrix.identity.model import Principal, require
from pitrix.repos.model import SCHEDULE, Repo, Sync, SyncState
from pitrix.repos.ports import RepoStore, SyncMachine

#: A lease outlives the function that took it: template.yaml lets a step run for 300 s at most.
LEASE_S: Final = 420
#: A step that begins with less than this renews the lease first.
RENEW_BELOW_S: Final = 360
#: After failures the schedule waits twice as long each time, from this on, at most for a day.
RETRY_AFTER_S: Final = 300
RETRY_AT_MOST_S: Final = 24 * 3600
#: Repositories that one run of the schedule starts.
DUE_AT_ONCE: Final = 100
ATTEMPTS: Final = 8

_log = logging.getLogger("pitrix")


class Syncs:
    """Starts syncs. Says nothing about who may: `service.py` does."""

    def __init__(self, *, repos: RepoStore, machine: SyncMachine, clock: Clock) -> None:
        self._repos = repos
        self._machine = machine
        self._clock = clock

    def start(self, repo: Repo, *, by: str = SCHEDULE, retry_refused: bool = False) -> Sync:
        """Start comparing a repository with its source, or answer with the sync that is under way.

        That one may have listed the source before what the caller knows of came into it: when it ends, the
        schedule starts the next.

        Args:
            retry_refused: Look at packages again that were refused and did not change.

        Raises:
            Conflict: the repository is started by so many at once that this call never got its turn.
        """
        for _ in range(ATTEMPTS):
            state = self._repos.sync_state(repo.repo_id) or SyncState(repo_id=repo.repo_id)
            now = self._clock.now()
            if state.running is not None and state.lease_until is not None and state.lease_until > now:
                if by == SCHEDULE or state.again:
                    return state.running
                try:
                    self._repos.save_sync_state(replace(state, again=True))
                except Conflict:
                    continue  # it went on, or ended: look again
                return state.running
            sync = Sync(sync_id=ids.new("sync"), repo_id=repo.repo_id, by=by, started_at=now)
            taken = replace(
                state,
                running=sync,
                lease_until=now + timedelta(seconds=LEASE_S),
                again=False,
                retry_refused=retry_refused,
                plan="",
                unfinished=unfinished_after(state),
            )
            try:
                taken = self._repos.save_sync_state(taken)
            except Conflict:
                continue  # somebody else starts it, too: look again
            self._run(repo, taken, sync)
            return sync
        raise Conflict(f"Repository {repo.repo_id} is synced by many at once; try again.")

    def start_due(self, who: Principal) -> int:
        """Start the sync of every repository whose time has come; returns how many were started.

        Raises:
            Exception: the first failure, after all others were tried.
        """
        require(who, "repos", "index")
        started, failures = 0, []
        for repo_id in self._repos.due(self._clock.now(), limit=DUE_AT_ONCE):
            try:
                repo = self._repos.repo(repo_id)
                if repo is None:
                    self._forget(repo_id)
                    continue
                self.start(repo)
                started += 1
            except Exception as error:
                _log.exception("the sync of %s did not start", repo_id)
                failures.append(error)
        if failures:
            raise failures[0]
        return started

    def state(self, repo_id: str) -> SyncState:
        """How a repository and its source stand to each other."""
        return self._repos.sync_state(repo_id) or SyncState(repo_id=repo_id)

    def look_at(self, repo: Repo, when: datetime | None) -> None:
        """Have the schedule look at a repository at a time; a sync that runs then decides anew."""
        for _ in range(ATTEMPTS):
            state = self.state(repo.repo_id)
            try:
                self._repos.save_sync_state(replace(state, next_at=when))
            except Conflict:
                continue
            return
        raise Conflict(f"Repository {repo.repo_id} is synced by many at once; try again.")

    def _forget(self, repo_id: str) -> None:
        """Never look again at a repository that was removed while somebody had it looked at."""
        _log.warning("repository %s is due, but does not exist", repo_id)
        self._repos.save_sync_state(SyncState(repo_id=repo_id, revision=self.state(repo_id).revision))

    def _run(self, repo: Repo, taken: SyncState, sync: Sync) -> None:
        try:
            self._machine.start(sync)
        except Exception:
            # Nobody will carry it out: give the repository back, and look again soon.
            soon = self._clock.now() + timedelta(seconds=RETRY_AFTER_S)
            again = soon if repo.is_remote or repo.status == "deleting" else None
            given_back = replace(taken, running=None, lease_until=None, next_at=again)
            self._repos.save_sync_state(given_back)
            raise


def unfinished_after(state: SyncState) -> str:
    """The plan whose results a new sync takes over, when the running one does not come to its end.

    One is enough: whoever plans takes the results of the one before into its own plan.
    """
    return state.plan or state.unfinished


def next_look(repo: Repo, now: datetime, failures: int = 0, *, answered: bool = False) -> datetime | None:
    """When the schedule looks at a repository next, after so many failures in a row; ``None`` for never.

    Args:
        answered: The source answered, and only some packages failed: those are tried again sooner than the
            interval says, but never later, for a package that is gone for good must not hold up the others.
    """
    if repo.status == "deleting":
        failures -= 1  # the first is that of the sync which the deletion came upon
    elif not repo.is_remote or not repo.sync_interval_s:
        return None
    if failures <= 0:
        return now + timedelta(seconds=repo.sync_interval_s if repo.status == "active" else 0)
    most = min(RETRY_AT_MOST_S, repo.sync_interval_s) if answered else RETRY_AT_MOST_S
    return now + timedelta(seconds=min(RETRY_AFTER_S * 2 ** min(failures - 1, 20), most))
