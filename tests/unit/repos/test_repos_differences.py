"""The arithmetic of syncs, also of very large repositories."""

from __future__ import annotations

import time
import tracemalloc

from pitrix.repos import differences
from pitrix.repos.differences import Plan, Record, Result, Snapshot, Withdrawal, packed, unpacked
from pitrix.repos.model import Listing, SourceEntry

LARGE = 20_000
#: What Step Functions allows an execution, less what is not in the map over the batches.
EVENTS = 25_000 - 200
#: Of an iteration without a retry: started, entered, scheduled, started, succeeded, exited, ended; each retry
#: adds three (failed, scheduled, started), and there are at most 7.
EVENTS_AN_ITERATION = 7 + 2 + 3 * 7


def listing(keys: range, *, tag: str = "t") -> Listing:
    entries = [
        SourceEntry(key=f"app-{n:05}", tag=f"{tag}{n}", location=f"app-{n:05}-1.0.0.tgz", name=f"app-{n:05}")
        for n in keys
    ]
    return Listing(entries=entries, validator=f"v{tag}", size_bytes=1000)


def published(plan: Plan) -> dict[str, Result]:
    return {
        key: Result(
            key=key,
            tag=tag,
            record=Record(tag=tag, outcome="published", app_id=f"app_{key}", version_id=f"ver_{key}-{tag}"),
        )
        for key, tag in plan.planned.items()
    }


def synced(keys: range) -> Snapshot:
    plan, _ = differences.difference(listing(keys), Snapshot(), basis="b")
    draft, _ = differences.merged(plan, Snapshot(), published(plan))
    return Snapshot(records=draft.records)


def test_a_large_repository_is_planned_within_the_limits_of_one_execution() -> None:
    began = time.process_time()
    plan, batches = differences.difference(listing(range(LARGE)), Snapshot(), basis="b")
    assert time.process_time() - began < 5
    assert (len(batches), {len(batch) for batch in batches}) == (400, {50})
    assert (plan.batches, plan.pending) == (400, [])
    assert sorted(entry.key for batch in batches for entry in batch) == sorted(plan.planned)
    assert len(batches) * EVENTS_AN_ITERATION < EVENTS
    # What travels between the steps are numbers: 256 KB is the limit.
    assert len(str(list(range(1, plan.batches + 1)))) < 10_000


def test_what_is_too_much_for_one_sync_is_left_for_the_next() -> None:
    plan, batches = differences.difference(listing(range(LARGE + 7)), Snapshot(), basis="b")
    assert len(batches) == 400
    assert len(plan.pending) == 7
    draft, going = differences.merged(plan, Snapshot(), published(plan))
    assert (draft.counts.added, draft.counts.pending, going) == (LARGE, 7, [])
    assert not differences.is_complete(draft.counts)
    last = Snapshot(records=draft.records)
    plan, batches = differences.difference(listing(range(LARGE + 7)), last, basis="b")
    assert len(plan.planned) == 7


def test_one_change_in_a_large_repository_is_one_package_to_fetch() -> None:
    last = synced(range(LARGE))
    plan, batches = differences.difference(listing(range(1, LARGE + 1)), last, basis="b")
    assert [entry.key for batch in batches for entry in batch] == [f"app-{LARGE:05}"]
    draft, going = differences.merged(plan, last, published(plan))
    assert going == [Withdrawal(key="app-00000", app_id="app_app-00000", version_id="ver_app-00000-t0")]
    snapshot, counts, failures = differences.settled(draft, last, going, {})
    assert (counts.added, counts.unchanged, counts.removed, failures) == (1, LARGE - 1, 1, [])
    assert len(snapshot.records) == LARGE


def test_a_snapshot_of_a_large_repository_is_small_and_read_quickly() -> None:
    snapshot = synced(range(LARGE))
    data = packed(snapshot)
    assert len(data) < 1_500_000
    tracemalloc.start()
    began = time.process_time()
    assert unpacked(data, Snapshot) == snapshot
    assert time.process_time() - began < 5
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 1024 * 1024


def test_few_packages_are_spread_over_several_batches() -> None:
    for count, sizes in ((1, [1]), (12, [2] * 6), (95, [10] * 9 + [5])):
        _, batches = differences.difference(listing(range(count)), Snapshot(), basis="b")
        assert [len(batch) for batch in batches] == sizes


def test_a_key_that_is_listed_twice_counts_once() -> None:
    one, two = listing(range(1)).entries[0], listing(range(1), tag="other").entries[0]
    plan, batches = differences.difference(Listing(entries=[one, two]), Snapshot(), basis="b")
    assert batches == [[one]]
    assert plan.listed == {one.key: one.tag}


def test_what_could_not_be_withdrawn_is_noticed_again() -> None:
    last = synced(range(3))
    plan, _ = differences.difference(listing(range(1, 3)), last, basis="b")
    draft, going = differences.merged(plan, last, {})
    snapshot, counts, failures = differences.settled(draft, last, going, {going[0].key: "no"})
    assert (counts.removed, counts.failed) == (0, 1)
    assert [failure.message for failure in failures] == ["no"]
    plan, _ = differences.difference(listing(range(1, 3)), snapshot, basis="b")
    assert plan.gone == ["app-00000"]
    _, again = differences.merged(plan, snapshot, {})
    assert again == going


def test_results_of_an_unfinished_sync_are_taken_over_under_the_same_rules_only() -> None:
    plan, _ = differences.difference(listing(range(4)), Snapshot(), basis="b")
    results = list(published(plan).values())[:3]
    other, _ = differences.difference(
        listing(range(4)), Snapshot(), basis="other", left=plan, results=results
    )
    assert len(other.planned) == 4
    later, _ = differences.difference(listing(range(4)), Snapshot(), basis="b", left=plan, results=results)
    assert list(later.planned) == ["app-00003"]
    assert later.adopted == ["app-00000", "app-00001", "app-00002"]
    # An unfinished sync hands on what it had taken over itself.
    last, _ = differences.difference(listing(range(4)), Snapshot(), basis="b", left=later)
    assert last.adopted == later.adopted
    draft, going = differences.merged(later, Snapshot(), published(later))
    assert (draft.counts.added, draft.counts.unchanged, going) == (4, 0, [])


def test_what_an_unfinished_sync_published_and_nobody_lists_now_is_withdrawn() -> None:
    plan, _ = differences.difference(listing(range(3)), Snapshot(), basis="b")
    results = list(published(plan).values())
    # One is gone from the source, one has another version now, one is as it was.
    now = Listing(entries=[*listing(range(1), tag="new").entries, *listing(range(1, 2)).entries])
    later, _ = differences.difference(now, Snapshot(), basis="b", left=plan, results=results)
    assert not later.changes_nothing
    # It is handed on, should this sync not come to its end either.
    last, _ = differences.difference(now, Snapshot(), basis="other", left=later)
    for each in (later, last):
        draft, going = differences.merged(each, Snapshot(), published(each))
        gone = [stray.version_id for stray in going]
        assert {"ver_app-00000-t0", "ver_app-00002-t2"} <= set(gone)
    assert draft.counts.added == 2
    snapshot, counts, _ = differences.settled(draft, Snapshot(), going, {"app-00002": "no"})
    assert counts.failed == 1
    again, _ = differences.difference(now, snapshot, basis="b")
    assert again.gone == ["app-00002"]


def test_failures_are_told_up_to_a_limit_and_counted_all() -> None:
    plan, _ = differences.difference(listing(range(500)), Snapshot(), basis="b")
    draft, _ = differences.merged(plan, Snapshot(), {})
    assert draft.counts.failed == 500
    assert len(draft.failures) == differences.FAILURES_KEPT
    assert draft.records == {}


def test_what_the_listing_skipped_is_told() -> None:
    found = Listing(entries=[], skipped=3, skips=["entry 1 has no version"])
    plan, _ = differences.difference(found, Snapshot(), basis="b")
    draft, _ = differences.merged(plan, Snapshot(), {})
    assert draft.counts.skipped == 3
    assert [failure.message for failure in draft.failures] == ["entry 1 has no version"]


def test_entries_survive_their_object() -> None:
    entries = listing(range(3)).entries
    assert unpacked(packed(entries), list[SourceEntry]) == entries
