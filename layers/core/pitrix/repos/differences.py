"""What has to be done so that the catalog holds what a source lists: the arithmetic of a sync.

Owns the shapes that a sync keeps in objects (`Record`, `Snapshot`, `Plan`, `Draft`) and how one follows from
another. Pure: reads and writes nothing; `syncing.py` does, and calls these in order:

    difference(listing, last snapshot)  ->  Plan       what to fetch, in batches
    merged(plan, last snapshot, results)  ->  Draft    the next snapshot, and which versions are to go
    settled(draft, versions that stayed)  ->  Snapshot
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar

import msgspec

from pitrix.repos.model import Listing, SourceEntry, SyncCounts, SyncFailure, Totals

T = TypeVar("T")

#: Packages in a batch: a Lambda function is to be done with one within its time.
BATCH: Final = 50
#: Batches in a sync. Each costs a state machine 7 events, or 30 with all its retries, of the 25,000 that one
#: execution may have (Step Functions quota); what is left over is for the next sync.
MAX_BATCHES: Final = 400
#: Few packages are spread over so many batches all the same, so that they are fetched side by side.
SPREAD: Final = 10
#: Failures that a sync lists by name; its counts tell of all.
FAILURES_KEPT: Final = 50
SKIPS_KEPT: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A package as the last sync left it.

    ``tag`` is its source's. ``refused`` packages keep the ``version_id`` that the key stood for before.
    A ``stale`` record has to be looked at again, whatever its tag says.
    """

    tag: str
    outcome: Literal["published", "refused"]
    name: str = ""
    version: str = ""
    app_id: str = ""
    version_id: str = ""
    size_bytes: int = 0
    message: str = ""
    stale: bool = False

    def answers(self, entry: SourceEntry, *, retry_refused: bool) -> bool:
        """Whether it says all about what the source lists now."""
        if self.stale or (retry_refused and self.outcome == "refused"):
            return False
        return self.tag == entry.tag


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Every package that the source listed and that was dealt with, by its key."""

    records: dict[str, Record] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of one package of a batch: a record, or why there is none (``failed``).

    ``unavailable`` tells that the source did not answer; ``size_bytes`` counts what was fetched.
    """

    key: str
    tag: str
    record: Record | None = None
    failed: str = ""
    unavailable: bool = False
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """One thing that has to leave the store: a version, or with ``version_id`` empty a whole app."""

    key: str
    app_id: str
    version_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a sync is about to do.

    ``listed`` are all keys of the source with their tags, ``kept`` the records that are good as they are,
    ``adopted`` (some of ``kept``) those that an unfinished sync left. ``strays`` are the versions that it
    published, by their ids: those that no key stands for in the end have to go. ``batches`` counts the
    objects of the batches, ``planned`` their packages; ``pending`` those that are more than one sync takes.
    ``skipped`` and ``skips`` are the listing's.
    """

    basis: str
    validator: str = ""
    size_bytes: int = 0
    closing: bool = False
    listed: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Record] = field(default_factory=dict)
    adopted: list[str] = field(default_factory=list)
    strays: dict[str, Withdrawal] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    skipped: int = 0
    skips: list[str] = field(default_factory=list)
    batches: int = 0

    @property
    def changes_nothing(self) -> bool:
        """Whether there is nothing to fetch, to withdraw, or to write down."""
        return not (self.planned or self.pending or self.gone or self.strays or self.adopted or self.closing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A snapshot that still waits for its withdrawals, and everything that the sync will tell.

    ``withdrawals`` counts their batches; ``left`` are those that are more than one sync takes.
    """

    records: dict[str, Record] = field(default_factory=dict)
    counts: SyncCounts = field(default_factory=SyncCounts)
    failures: list[SyncFailure] = field(default_factory=list)
    size_bytes: int = 0
    withdrawals: int = 0
    left: list[Withdrawal] = field(default_factory=list)


def difference(
    listing: Listing,
    last: Snapshot,
    *,
    basis: str,
    left: Plan | None = None,
    results: Iterable[Result] = (),
    afresh: bool = False,
    retry_refused: bool = False,
) -> tuple[Plan, list[list[SourceEntry]]]:
    """What a source lists now, against what is known of it; and the packages to fetch, in batches.

    Args:
        left, results: What an unfinished sync had planned, and what had become of it. Its records are good
            if its basis was the same.
        afresh: Trust no record of the last snapshot: the rules have changed since.
        retry_refused: Fetch what was refused before, although it did not change.
    """
    found_before = _left_over(left, results)
    adopted = found_before if left is not None and left.basis == basis else {}
    listed: dict[str, str] = {}
    kept: dict[str, Record] = {}
    taken_over: list[str] = []
    todo: list[SourceEntry] = []
    for entry in listing.entries:
        if entry.key in listed:
            continue  # listed twice: the first one counts
        listed[entry.key] = entry.tag
        known = None if afresh else last.records.get(entry.key)
        found = adopted.get(entry.key)
        if known is not None and known.answers(entry, retry_refused=retry_refused):
            kept[entry.key] = known
        elif found is not None and found.answers(entry, retry_refused=retry_refused):
            kept[entry.key] = found
            taken_over.append(entry.key)
        else:
            todo.append(entry)
    now, later = todo[: BATCH * MAX_BATCHES], todo[BATCH * MAX_BATCHES :]
    batches = split(now, min(BATCH, max(1, -(-len(now) // SPREAD))))
    plan = Plan(
        basis=basis,
        validator=listing.validator,
        size_bytes=listing.size_bytes,
        listed=listed,
        kept=kept,
        adopted=taken_over,
        strays=(left.strays if left else {}) | _versions(found_before),
        planned={entry.key: entry.tag for entry in now},
        pending=[entry.key for entry in later],
        gone=[key for key in last.records if key not in listed],
        skipped=listing.skipped,
        skips=listing.skips,
        batches=len(batches),
    )
    return plan, batches


def merged(
    plan: Plan, last: Snapshot, results: Mapping[str, Result], *, withdraws: bool = True
) -> tuple[Draft, list[Withdrawal]]:
    """The next snapshot, before withdrawals, and which versions no key stands for any more.

    Args:
        results: By key; one that is missing was in a batch that broke.
        withdraws: Whether the catalog follows when the source drops a package.
    """
    records = dict(plan.kept)
    failures: list[SyncFailure] = []
    failed: set[str] = set()
    for key in plan.planned:
        result = results.get(key)
        before = last.records.get(key)
        if result is None or result.record is None:
            failed.add(key)
            why = result.failed if result else "The batch that it was in broke off."
            failures.append(SyncFailure(key=key, outcome="failed", message=why))
            if before is not None:
                records[key] = replace(before, stale=True)
        elif result.record.outcome == "refused":
            failures.append(SyncFailure(key=key, outcome="refused", message=result.record.message))
            records[key] = result.record
            if before is not None:
                records[key] = replace(result.record, app_id=before.app_id, version_id=before.version_id)
        else:
            records[key] = result.record
    for key in plan.pending:
        if key in last.records:
            records[key] = replace(last.records[key], stale=True)
    live = {record.version_id for record in records.values()}
    going = [
        Withdrawal(key=key, app_id=last.records[key].app_id, version_id=last.records[key].version_id)
        for key in plan.gone
        if withdraws and last.records[key].version_id and last.records[key].version_id not in live
    ]
    if withdraws:
        going += _replaced(plan, last, records, live)
        known = {each.version_id for each in going} | live
        going += [stray for version_id, stray in plan.strays.items() if version_id not in known]
    fresh = [key for key in [*plan.planned, *plan.adopted] if key not in failed]
    good = [key for key in fresh if records[key].outcome == "published"]
    changed = sum(key in last.records for key in good)
    draft = Draft(
        records=records,
        counts=SyncCounts(
            added=len(good) - changed,
            changed=changed,
            unchanged=sum(r.outcome == "published" for r in plan.kept.values()) - _published(plan),
            refused=sum(r.outcome == "refused" and not r.stale for r in records.values()),
            failed=len(failed),
            pending=len(plan.pending),
            skipped=plan.skipped,
        ),
        failures=[
            *failures[:FAILURES_KEPT],
            *(SyncFailure(key="", outcome="refused", message=why) for why in plan.skips[:SKIPS_KEPT]),
        ],
        size_bytes=plan.size_bytes + sum(result.size_bytes for result in results.values()),
    )
    return draft, going


def settled(
    draft: Draft, last: Snapshot, wanted: Sequence[Withdrawal], stayed: Mapping[str, str]
) -> tuple[Snapshot, SyncCounts, list[SyncFailure]]:
    """The snapshot after the withdrawals; what could not be withdrawn stays in it, to be noticed again.

    Args:
        stayed: Why a version could not be withdrawn, by key.
    """
    records = dict(draft.records)
    for each in wanted:
        if each.key in stayed:
            known = last.records.get(each.key) or Record(tag="", outcome="published", app_id=each.app_id)
            records[each.key] = replace(known, version_id=each.version_id, stale=True)
    failures = [SyncFailure(key=key, outcome="failed", message=why) for key, why in stayed.items()]
    counts = replace(
        draft.counts, removed=len(wanted) - len(stayed), failed=draft.counts.failed + len(stayed)
    )
    return Snapshot(records=records), counts, (failures + draft.failures)[: FAILURES_KEPT + SKIPS_KEPT]


def totals(records: Mapping[str, Record]) -> Totals:
    """What a snapshot holds."""
    published = [record for record in records.values() if record.outcome == "published"]
    return Totals(
        apps=len({record.app_id for record in published}),
        versions=len({record.version_id for record in published}),
        refused=len(records) - len(published),
        size_bytes=sum(record.size_bytes for record in published),
    )


def is_complete(counts: SyncCounts) -> bool:
    """Whether nothing is left to be tried again, so that the source may be asked for changes only."""
    return not (counts.failed or counts.pending)


def split(items: Sequence[T], size: int) -> list[list[T]]:
    """Items in lists of at most ``size``."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def packed(value: object) -> bytes:
    """A value as compressed JSON."""
    return gzip.compress(msgspec.json.encode(value), compresslevel=5, mtime=0)


def unpacked(data: bytes, kind: type[T]) -> T:
    """The value that `packed` made ``data`` of."""
    return msgspec.json.decode(gzip.decompress(data), type=kind)


def _left_over(plan: Plan | None, results: Iterable[Result]) -> dict[str, Record]:
    """The records that an unfinished sync left, with those that it had from one before it."""
    found = {} if plan is None else {key: plan.kept[key] for key in plan.adopted}
    return found | {result.key: result.record for result in results if result.record is not None}


def _versions(records: Mapping[str, Record]) -> dict[str, Withdrawal]:
    return {
        record.version_id: Withdrawal(key=key, app_id=record.app_id, version_id=record.version_id)
        for key, record in records.items()
        if record.version_id
    }


def _published(plan: Plan) -> int:
    return sum(plan.kept[key].outcome == "published" for key in plan.adopted)


def _replaced(plan: Plan, last: Snapshot, records: Mapping[str, Record], live: set[str]) -> list[Withdrawal]:
    """Versions that a key stood for before it stood for another one: an object with a new version in it."""
    return [
        Withdrawal(key=key, app_id=before.app_id, version_id=before.version_id)
        for key in [*plan.planned, *plan.adopted]
        if (before := last.records.get(key)) is not None
        and before.version_id
        and key in records
        and records[key].version_id != before.version_id
        and before.version_id not in live
    ]
