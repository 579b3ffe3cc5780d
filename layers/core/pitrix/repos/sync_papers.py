"""What a sync writes down: its plan, what became of each batch, and the snapshot that it leaves.

Owns the keys of these objects in the catalog's bucket, all of them gzipped JSON:

=====================================================  ======================================================
``syncs/<repo>/<sync>.json.gz``                        the snapshot, until the next sync's
``syncs/<repo>/<sync>/<plan>/plan.json.gz``            the plan
``…/fetch-0001.json.gz``, ``…/fetched-0001.json.gz``   a batch of packages, and what became of it
``…/tried-0001.json.gz``                               why the source gave none of a batch
``…/draft.json.gz``                                    the next snapshot, before anything is withdrawn
``…/withdraw-0001.json.gz``, ``…/withdrawn-0001…``     a batch of versions to withdraw, and what of it stayed
=====================================================  ======================================================

A repository's table holds but the key of the snapshot and the folder of the plan, so that a change costs its
changes and one object, not one write a package. Decides nothing; see `sync_steps.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pitrix import ids
from pitrix.errors import StepFailed
from pitrix.repos.differences import Draft, Plan, Result, Snapshot, Withdrawal, packed, unpacked
from pitrix.repos.model import SourceEntry, SyncState
from pitrix.repos.ports import SyncObjects

T = TypeVar("T")

#: Objects that are read at the same time.
_READERS: Final = 8

_log = logging.getLogger("pitrix")


class SyncPapers:
    """Reads and writes what syncs keep in objects."""

    def __init__(self, objects: SyncObjects) -> None:
        self._objects = objects

    def put_plan(self, state: SyncState, plan: Plan, batches: Sequence[Sequence[SourceEntry]]) -> str:
        """Write a plan and its batches; returns their folder, a new one every time."""
        assert state.running is not None
        folder = f"{_folder(state.repo_id)}{state.running.sync_id}/{ids.new('plan')}/"
        for number, batch in enumerate(batches, start=1):
            self._objects.write(_named(folder, "fetch", number), packed(batch))
        self._objects.write(f"{folder}plan.json.gz", packed(plan))
        return folder

    def plan(self, state: SyncState) -> Plan:
        return self._read(f"{state.plan}plan.json.gz", Plan)

    def is_done(self, state: SyncState, step: str, number: int) -> bool:
        """Whether a batch's result (``fetched``, ``withdrawn``) is written."""
        return self._objects.read(_named(state.plan, step, number)) is not None

    def batch(self, state: SyncState, step: str, number: int, kind: type[T]) -> T:
        """What a step wrote of a batch.

        Raises:
            StepFailed: nothing.
        """
        return self._read(_named(state.plan, step, number), kind)

    def put_batch(self, state: SyncState, step: str, number: int, value: object) -> None:
        self._objects.write(_named(state.plan, step, number), packed(value))

    def draft(self, state: SyncState) -> Draft:
        return self._read(f"{state.plan}draft.json.gz", Draft)

    def put_draft(self, state: SyncState, draft: Draft) -> None:
        self._objects.write(f"{state.plan}draft.json.gz", packed(draft))

    def snapshot(self, state: SyncState) -> Snapshot:
        """What the last sync left; empty before the first one, and where somebody deleted it."""
        data = self._objects.read(state.snapshot) if state.snapshot else None
        if data is None and state.snapshot:
            _log.error("the snapshot %s is gone: every package is looked at again", state.snapshot)
        return Snapshot() if data is None else unpacked(data, Snapshot)

    def put_snapshot(self, repo_id: str, sync_id: str, snapshot: Snapshot) -> str:
        """Write a snapshot; returns its key."""
        key = f"{_folder(repo_id)}{sync_id}.json.gz"
        self._objects.write(key, packed(snapshot))
        return key

    def left_over(self, state: SyncState) -> tuple[Plan | None, list[Result]]:
        """What an earlier sync that did not come to its end had planned, and what had become of it."""
        data = self._objects.read(f"{state.unfinished}plan.json.gz") if state.unfinished else None
        if data is None:
            return None, []
        plan = unpacked(data, Plan)
        return plan, self.results(state.unfinished, range(1, plan.batches + 1))

    def results(self, folder: str, numbers: Sequence[int]) -> list[Result]:
        """What became of the packages of some batches; a batch that broke off has left nothing."""

        def read(number: int) -> bytes | None:
            done = self._objects.read(_named(folder, "fetched", number))
            return done or self._objects.read(_named(folder, "tried", number))

        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(read, numbers))
        return [result for data in found if data is not None for result in unpacked(data, list[Result])]

    def withdrawals(self, state: SyncState, draft: Draft) -> tuple[list[Withdrawal], dict[str, str]]:
        """What was to be withdrawn, and what of it was not, and why."""
        wanted: list[Withdrawal] = []
        stayed: dict[str, str] = {}
        for number in range(1, draft.withdrawals + 1):
            batch = self.batch(state, "withdraw", number, list[Withdrawal])
            wanted += batch
            data = self._objects.read(_named(state.plan, "withdrawn", number))
            broken = {each.key: "The batch that it was in broke off." for each in batch}
            stayed |= broken if data is None else unpacked(data, dict[str, str])
        stayed |= {each.key: "It is withdrawn by the next sync." for each in draft.left}
        return wanted + draft.left, stayed

    def tidy(self, repo_id: str, *, keep: str) -> None:
        """Delete every object of the repository's syncs but the last snapshot."""
        old = [key for key in self._objects.keys(_folder(repo_id)) if key != keep]
        try:
            self._objects.delete(old)
        except Exception:
            # The next sync that finds a change deletes them, too: what was to be done is done.
            _log.exception("objects of old syncs of %s were not deleted", repo_id)

    def _read(self, key: str, kind: type[T]) -> T:
        data = self._objects.read(key)
        if data is None:
            raise StepFailed(f"The object {key} is gone.")
        return unpacked(data, kind)


def _folder(repo_id: str) -> str:
    return f"syncs/{repo_id}/"


def _named(folder: str, step: str, number: int) -> str:
    return f"{folder}{step}-{number:04d}.json.gz"
