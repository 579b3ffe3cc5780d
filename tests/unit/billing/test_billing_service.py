"""Recording, aggregating, pricing and reporting, over a table in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.billing import quantities
from pitrix.billing import service as billing
from pitrix.billing.model import Charge, UsageEvent
from pitrix.billing.requests import NewPlan, PlanChange, QuoteRequest
from pitrix.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ServiceUnavailable,
    Unauthenticated,
)
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.packages.model import ClusterSpec, RoleSpec, VolumeSpec, WorkloadSpec
from pitrix.table import MemoryTable, pack
from tests.unit.billing.worlds import (
    ACME,
    ALICE,
    BOB,
    GLOBEX,
    OPERATOR,
    START,
    World,
    event,
    naive_bill,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World()


def outcomes(world: World, *events: UsageEvent | dict[str, Any]) -> list[str]:
    return [receipt.outcome for receipt in world.service.record(SYSTEM, list(events))]


def reasons(world: World, *documents: dict[str, Any]) -> list[str]:
    return [receipt.reason for receipt in world.service.record(SYSTEM, list(documents))]


# --- recording ---------------------------------------------------------------------------------------------


def test_an_event_counts_once_for_ever(world: World) -> None:
    first = event("evt_1", "start", 0)
    assert outcomes(world, first) == ["accepted"]
    world.at(START + timedelta(days=365))
    assert outcomes(world, first) == ["duplicate"]
    assert len(world.service.events(ALICE).events) == 1


def test_a_batch_answers_for_each_event_in_order(world: World) -> None:
    world.at(START + HOUR)
    start, other = event("evt_1", "start", 0), event("evt_2", "start", 0, account=GLOBEX, cluster_id="cl_9")
    changed = event("evt_1", "start", 1)
    batch = [start, other, start, changed, pack(start) | {"event_id": "evt_3", "kind": "pause"}]
    receipts = world.service.record(SYSTEM, batch)
    assert [(r.event_id, r.outcome) for r in receipts] == [
        ("evt_1", "accepted"),
        ("evt_2", "accepted"),
        ("evt_1", "duplicate"),
        ("evt_1", "duplicate"),
        ("evt_3", "rejected"),
    ]
    assert "another content" in receipts[3].reason
    assert "kind" in receipts[4].reason
    assert receipts[2].reason == ""
    again = world.service.record(SYSTEM, [changed, start])
    assert [(receipt.outcome, bool(receipt.reason)) for receipt in again] == [
        ("duplicate", True),
        ("duplicate", False),
    ]
    assert [each.at for each in world.service.events(ALICE).events] == [START]


def test_what_is_wrong_with_an_event_is_named(world: World) -> None:
    good = pack(event("evt_1", "start", 0))
    wrong: dict[str, dict[str, Any]] = {
        "event_id": {"event_id": "a#b"},
        "account": {"account": "acme"},
        "node_id": {"node_id": ""},
        "meter": {"meter": "Big Meter"},
        "at: needs an offset": {"at": "2026-11-22T10:00:00"},
        "at: lies before": {"at": "1999-01-01T00:00:00Z"},
        "at: lies more than 5 minutes in the future": {"at": "2026-11-22T10:05:01Z"},
        "quantities: a start needs": {"quantities": {}},
        "quantities.vcpu": {"quantities": {"vcpu": -1}},
        "quantities.V": {"quantities": {"V": 1}},
        "colour: is unknown": {"colour": "red"},
        "quantities": {"quantities": {"vcpu": 1.5}},
        "at": {"at": "yesterday"},
    }
    found = reasons(world, *(good | change for change in wrong.values()))
    for expected, reason in zip(wrong, found, strict=True):
        assert expected in reason
    missing = {name: value for name, value in good.items() if name != "cluster_id"}
    assert "cluster_id" in reasons(world, missing)[0]
    assert list(world.ledger.streams(ACME, START)) == []


def test_clocks_may_be_a_little_ahead(world: World) -> None:
    assert outcomes(world, event("evt_1", "start", 300)) == ["accepted"]


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_has_limits(world: World, count: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 500"):
        world.service.record(SYSTEM, [event("evt", "start", 0)] * count)


def test_500_events_of_one_cluster_at_once(world: World) -> None:
    events = [event(f"evt_{n}", "start", -n, node_id=f"node_{n}") for n in range(500)]
    assert set(outcomes(world, *events)) == {"accepted"}
    assert set(outcomes(world, *reversed(events))) == {"duplicate"}
    assert world.at(START + HOUR).service.usage(ALICE).lines[0].seconds == sum(3600 + n for n in range(500))


def test_only_operators_and_the_system_record(world: World) -> None:
    assert world.service.record(OPERATOR, [event("evt_1", "start", 0)])[0].outcome == "accepted"
    with pytest.raises(PermissionDenied):
        world.service.record(ALICE, [event("evt_2", "start", 0)])


def test_a_store_that_keeps_moving_is_reported_as_busy(world: World) -> None:
    class Busy(MemoryTable):
        def transact(self, writes: Any) -> None:
            raise Conflict("somebody else")

    busy = World(Busy())
    with pytest.raises(ServiceUnavailable):
        busy.service.record(SYSTEM, [event("evt_1", "start", 0)])


# --- the queue ---------------------------------------------------------------------------------------------


def test_the_queue_keeps_only_what_failed(world: World) -> None:
    good = json.dumps(pack(event("evt_1", "start", 0)))
    messages = [("m1", good), ("m2", "{"), ("m3", "[]"), ("m4", '{"event_id": "x"}'), ("m5", good)]
    assert sorted(world.service.consume(messages)) == ["m2", "m3", "m4"]
    assert [each.event_id for each in world.service.events(ALICE).events] == ["evt_1"]


def test_one_failing_stream_does_not_keep_the_others_in_the_queue() -> None:
    class Broken(MemoryTable):
        def transact(self, writes: Any) -> None:
            if any("cl_bad" in write.item.pk for write in writes):
                raise RuntimeError("throttled")
            super().transact(writes)

    world = World(Broken())
    messages = [
        (cluster, json.dumps(pack(event(f"evt_{cluster}", "start", 0, cluster_id=cluster))))
        for cluster in ("cl_1", "cl_bad", "cl_2")
    ]
    assert world.service.consume(messages) == ["cl_bad"]
    assert len(world.service.events(ALICE).events) == 2


# --- the list of events ------------------------------------------------------------------------------------


def test_events_are_listed_by_time_page_by_page_and_only_to_their_owner(world: World) -> None:
    world.at(START + HOUR)
    events = [event(f"evt_{n:02}", "start", n % 7, node_id=f"node_{n}") for n in range(23)]
    outcomes(world, *reversed(events), event("evt_other", "start", 0, account=GLOBEX))
    listed: list[UsageEvent] = []
    cursor = None
    while True:
        page = world.service.events(ALICE, limit=5, cursor=cursor)
        assert 0 < len(page.events) <= 5
        listed += page.events
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [each.event_id for each in listed] == [
        each.event_id for each in sorted(events, key=lambda each: (each.at, each.event_id))
    ]
    window = world.service.events(ALICE, START + timedelta(seconds=1), START + timedelta(seconds=3))
    assert {each.at.second for each in window.events} == {1, 2}
    with pytest.raises(NotFound):
        world.service.events(ALICE, account=GLOBEX)
    assert len(world.service.events(OPERATOR, account=GLOBEX).events) == 1
    cursor = world.service.events(ALICE, limit=5).next_cursor
    with pytest.raises(InvalidInput, match="another list"):
        world.service.events(OPERATOR, account=GLOBEX, cursor=cursor)
    with pytest.raises(InvalidInput, match="from must be before 'to'"):
        world.service.events(ALICE, START, START)


# --- aggregation -------------------------------------------------------------------------------------------


def figures(world: World, start: datetime, end: datetime) -> dict[tuple[str, str], tuple[int, int]]:
    report = world.service.usage(ALICE, start, end)
    assert report.total_micros == sum(line.amount_micros for line in report.lines)
    return {(line.cluster_id, line.charge): (line.seconds, line.amount_micros) for line in report.lines}


def test_the_bill_is_price_times_seconds_by_hand(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0), event("evt_2", "start", 0, node_id="node_2"))
    world.at(START + timedelta(minutes=90))
    outcomes(world, event("evt_3", "stop", 5400, node_id="node_2"))
    world.at(START + timedelta(hours=2))
    invoice = world.service.preview_invoice(ALICE, "2026-11")
    seconds = 7200 + 5400
    assert [(line.charge, line.seconds, line.amount_micros) for line in invoice.lines] == [
        ("vcpu", seconds, round(40_480 * seconds / 3600)),
        ("memory", seconds, round(4_445 * 0.5 * seconds / 3600)),
        ("volume", seconds, round(110 * 10 * seconds / 3600)),
    ]
    # 141,680 + 7,779 (7,778.75) + 3,850
    assert invoice.total_micros == 153_309
    assert (invoice.currency, invoice.status, invoice.metered_to) == ("USD", "preview", world.clock.now())


def test_closing_hours_changes_no_figure_and_leaves_roll_ups(world: World) -> None:
    outcomes(world, event("evt_1", "start", 100))
    world.at(START + timedelta(hours=30, seconds=7))
    before = world.service.preview_invoice(ALICE, "2026-11")
    assert world.service.close_hour(SYSTEM).failed == 0
    assert world.service.preview_invoice(ALICE, "2026-11") == before
    stored = world.ledger.hours(ACME, START, START + timedelta(days=3))["cl_1"]
    assert len(stored) == 30
    assert stored[START]["node.vcpu"].seconds == 3500
    stream = world.ledger.stream(ACME, "cl_1")
    assert stream is not None
    assert stream.closed_through == START + timedelta(hours=30)
    assert stream.running is not None
    assert stream.ended_at is None


def test_volumes_are_paid_for_while_a_cluster_is_stopped(world: World) -> None:
    world.at(START + timedelta(minutes=4))
    stopped = event("evt_2", "start", 60, quantities={"volume_gib": 10, "node": 0})
    outcomes(world, event("evt_1", "start", 0), stopped, event("evt_3", "stop", 100))
    assert {line.charge: line.seconds for line in world.service.usage(ALICE).lines} == {
        "vcpu": 60,
        "memory": 60,
        "volume": 100,
    }


def test_roll_ups_are_what_is_read(world: World) -> None:
    """A tampered roll-up shows on the bill; rebuilding the hour from its events mends it."""
    outcomes(world, event("evt_1", "start", 0))
    world.at(START + timedelta(hours=3))
    world.service.close_hour(SYSTEM)
    honest = figures(world, START, START + timedelta(hours=3))
    item = world.table.get(f"HOURS#{ACME}#2026-11", "2026-11-22#cl_1")
    assert item is not None
    item.data["hours"]["2026-11-22T11"] = {"node.vcpu": [7, 7]}
    world.table.put(item)
    assert figures(world, START, START + timedelta(hours=3)) != honest
    world.service.close_hour(SYSTEM, START + HOUR)
    assert figures(world, START, START + timedelta(hours=3)) != honest  # closed: left alone
    world.service.close_hour(SYSTEM, START + HOUR, rebuild=True)
    assert figures(world, START, START + timedelta(hours=3)) == honest


def test_a_late_event_reopens_what_was_closed(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0))
    world.at(START + timedelta(hours=5))
    world.service.close_hour(SYSTEM)
    outcomes(world, event("evt_2", "stop", 3600 + 60))
    assert figures(world, START, START + timedelta(hours=5))["cl_1", "vcpu"][0] == 3660
    world.service.close_hour(SYSTEM)
    assert figures(world, START, START + timedelta(hours=5))["cl_1", "vcpu"][0] == 3660
    stored = world.ledger.hours(ACME, START, START + timedelta(days=1))["cl_1"]
    assert sorted(stored) == [START, START + HOUR]


def test_a_late_event_that_takes_a_whole_day_away(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0))
    world.at(START + timedelta(days=2))
    world.service.close_hour(SYSTEM)
    outcomes(world, event("evt_0", "stop", 0))
    world.service.close_hour(SYSTEM)
    assert world.service.usage(ALICE).lines == ()


def test_accounts_are_listed_while_they_have_something_running_and_no_longer(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0), event("evt_2", "start", 0, account=GLOBEX, cluster_id="cl_2"))
    world.at(START + HOUR)
    outcomes(world, event("evt_3", "stop", 600))
    world.service.close_hour(SYSTEM)
    world.at(START + timedelta(hours=4))
    assert listed(world, START + timedelta(hours=3)) == [GLOBEX]
    assert sorted(listed(world, START)) == [ACME, GLOBEX]  # a re-run of the hour finds both
    outcomes(world, event("evt_4", "start", 3 * 3600))
    assert sorted(listed(world, START + timedelta(hours=3))) == [ACME, GLOBEX]


def listed(world: World, hour: datetime) -> list[str]:
    run = world.service.begin_run(SYSTEM, hour)
    accounts: list[str] = []
    while True:
        page = world.service.next_accounts(SYSTEM, run)
        accounts += page.accounts
        if not page.more:
            return accounts
        run = replace(run, cursor=page.cursor)


def test_every_page_of_accounts_is_bounded_and_none_is_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(billing, "_ACCOUNTS_A_PAGE", 3)
    for number in range(40):
        outcomes(world, event(f"evt_{number}", "start", 0, account=f":t{number}:"))
    world.at(START + HOUR)
    assert sorted(listed(world, START)) == sorted(f":t{number}:" for number in range(40))
    run = world.service.begin_run(SYSTEM, START)
    assert len(world.service.next_accounts(SYSTEM, run).accounts) <= 3


def test_one_failing_account_neither_stops_the_others_nor_is_lost() -> None:
    class Failing(MemoryTable):
        broken = True

        def transact(self, writes: Any) -> None:
            if self.broken and any(f"HOURS#{ACME}" in write.item.pk for write in writes):
                raise Conflict("hot")
            super().transact(writes)

    table = Failing()
    world = World(table)
    outcomes(world, event("evt_1", "start", 0), event("evt_2", "start", 0, account=GLOBEX, cluster_id="cl_2"))
    world.at(START + HOUR)
    result = world.service.close_hour(SYSTEM)
    assert (result.failed, list(result.failures)) == (1, [ACME])
    assert world.ledger.hours(GLOBEX, START, START + HOUR)
    table.broken = False
    world.at(START + 2 * HOUR)
    assert world.service.close_hour(SYSTEM).failed == 0
    assert len(world.ledger.hours(ACME, START, START + 2 * HOUR)["cl_1"]) == 2
    assert world.service.close_hour(SYSTEM, START).failures == {}


def test_a_year_that_nobody_closed_is_closed_at_once(world: World) -> None:
    outcomes(world, event("evt_1", "start", -400 * 86400))
    world.at(START + HOUR)
    world.service.close_hour(SYSTEM)
    lines = world.service.usage(ALICE, START - timedelta(days=366), START).lines
    assert lines[0].seconds == 366 * 86400


def test_which_hours_can_be_aggregated(world: World) -> None:
    for wrong in (START, START - timedelta(minutes=30), datetime(1999, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidInput, match="hour must be"):
            world.service.start_aggregation(OPERATOR, wrong)
    started = world.service.start_aggregation(OPERATOR, rebuild=True)
    assert (started.execution_id, started.hour) == ("run-1", "2026-11-22T09:00:00.000Z")
    assert world.aggregation.started == [(START - HOUR, True)]
    with pytest.raises(PermissionDenied):
        world.service.start_aggregation(ALICE)


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[UsageEvent], list[int], list[bool]]:
    """Events of a few hours, the second at which each arrives, and whether to aggregate after it."""
    count = draw(st.integers(1, 9))
    moments = st.one_of(st.integers(0, 3 * 3600), st.sampled_from([3599, 3600, 3600.5, 7200]))
    events = [
        event(
            f"evt_{index}",
            draw(st.sampled_from(["start", "stop"])),
            draw(moments),
            cluster_id=draw(st.sampled_from(["cl_1", "cl_2"])),
            node_id=draw(st.sampled_from(["node_1", "node_2"])),
            quantities={"vcpu": draw(st.integers(0, 3)), "memory_mib": 333},
        )
        for index in range(count)
    ]
    delays = [draw(st.sampled_from([0, 0, 60, 4000, 8000])) for _ in events]
    return events, delays, [draw(st.booleans()) for _ in events]


@settings(max_examples=60, deadline=None)
@given(lives(), st.integers(0, 3 * 3600), st.integers(1, 3 * 3600), st.booleans())
def test_any_order_of_arrival_and_aggregation_bills_what_the_naive_count_says(
    life: tuple[list[UsageEvent], list[int], list[bool]], low: int, length: int, whole_hours: bool
) -> None:
    events, delays, closes = life
    world = World()
    arrivals = sorted(
        (each.at + timedelta(seconds=delay), index)
        for index, (each, delay) in enumerate(zip(events, delays, strict=True))
    )
    for arrival, index in arrivals:
        world.at(max(arrival, world.clock.now()))
        assert world.service.record(SYSTEM, [events[index]])[0].outcome == "accepted"
        if closes[index]:
            world.service.close_hour(SYSTEM)
    if whole_hours:
        low, length = low // 3600 * 3600, (length // 3600 + 1) * 3600
    start = START + timedelta(seconds=low)
    end = start + timedelta(seconds=length)
    metered_to = min(end, world.clock.now().replace(microsecond=0))
    plan = world.service.plan(ALICE, "standard")
    expected = naive_bill(plan, [each for each in events if each.at < metered_to], start, metered_to)
    assert figures(world, start, end) == expected


# --- crashes -----------------------------------------------------------------------------------------------


class Crash(Exception):
    """The function was killed."""


class Mortal(MemoryTable):
    """Dies before or after its ``n``-th write."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.after = False

    def transact(self, writes: Any) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0 and not self.after:
                raise Crash
        super().transact(writes)
        if self.left is not None and self.left < 0:
            raise Crash


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_and_run_again_nothing_differs(
    after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(billing, "_CLOSE_AT_ONCE", timedelta(days=1))

    def live(world: World, step: Any) -> None:
        batch = [
            event(f"evt_{n}", "stop" if n % 4 > 1 and n < 116 else "start", n, cluster_id=f"cl_{n % 2}")
            for n in range(120)
        ]
        world.at(START + timedelta(days=2, hours=3))
        step(lambda: world.service.record(SYSTEM, batch))
        step(lambda: world.service.close_hour(SYSTEM))
        step(lambda: world.service.record(SYSTEM, [event("evt_late", "stop", 4000, cluster_id="cl_1")]))
        step(lambda: world.service.close_hour(SYSTEM))

    undisturbed = World()
    live(undisturbed, lambda act: act())
    expected = undisturbed.service.preview_invoice(ALICE, "2026-11")
    assert expected.total_micros > 0
    for dies_at in range(100):
        table = Mortal()
        world = World(table)
        crashed = []

        def step(act: Any, table: Mortal = table, crashed: list[bool] = crashed) -> None:
            try:
                act()
            except Crash:
                crashed.append(True)
                table.left = None
                act()

        table.left, table.after = dies_at, after
        live(world, step)
        assert world.service.preview_invoice(ALICE, "2026-11") == expected
        for cluster in ("cl_0", "cl_1"):
            head, wanted = world.ledger.stream(ACME, cluster), undisturbed.ledger.stream(ACME, cluster)
            assert head is not None
            assert wanted is not None
            assert replace(head, version=0) == replace(wanted, version=0)
        if not crashed:
            assert dies_at > 5
            return
    pytest.fail("the sweep never reached the last write")


# --- reports and bills -------------------------------------------------------------------------------------


def test_nobody_sees_the_bill_of_another_tenant(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0))
    world.at(START + HOUR)
    assert world.service.preview_invoice(BOB, "2026-11").lines == ()
    for call in (
        lambda: world.service.preview_invoice(BOB, "2026-11", account=ACME),
        lambda: world.service.usage(BOB, account=ACME),
        lambda: world.service.events(BOB, account=ACME),
    ):
        with pytest.raises(NotFound):
            call()
    assert world.service.preview_invoice(OPERATOR, "2026-11", account=ACME).lines


def test_the_report_and_the_invoice_of_a_month_are_one(world: World) -> None:
    outcomes(world, event("evt_1", "start", -40 * 86400), event("evt_2", "start", 5, cluster_id="cl_2"))
    world.at(START + timedelta(days=30, hours=7, seconds=31))
    world.service.close_hour(SYSTEM)
    invoice = world.service.preview_invoice(ALICE, "2026-11")
    report = world.service.usage(ALICE, invoice.starts_at, invoice.ends_at)
    assert invoice.ends_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert invoice.metered_to == invoice.ends_at
    assert invoice.total_micros == report.total_micros
    assert [line.number for line in invoice.lines] == [1, 2, 3, 4, 5, 6]
    assert invoice.lines[0].seconds == 30 * 86400
    assert json.loads(msgspec.json.encode(invoice))["lines"][0]["quantity"] == "720"


def test_a_month_that_has_not_begun_is_empty(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0))
    invoice = world.service.preview_invoice(ALICE, "2027-01")
    assert (invoice.lines, invoice.total_micros) == ((), 0)
    assert invoice.metered_to == invoice.starts_at


@pytest.mark.parametrize("period", ["2026", "2026-13", "2026-1", "26-11", "1999-12", "2026-11 ", ""])
def test_a_period_is_a_month(world: World, period: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.service.preview_invoice(ALICE, period)
    assert caught.value.errors[0].field == "period"


def test_a_report_has_a_sound_window(world: World) -> None:
    for start, end, field in (
        (START, START - HOUR, "from"),
        (START - timedelta(days=400), START, "to"),
        (START.replace(tzinfo=None), START, "from"),
        (datetime(1980, 1, 1, tzinfo=UTC), START, "from"),
    ):
        with pytest.raises(InvalidInput) as caught:
            world.service.usage(ALICE, start, end)
        assert caught.value.errors[0].field == field
    report = world.service.usage(ALICE)
    assert (report.starts_at, report.ends_at) == (START.replace(day=1, hour=0), START)


def test_visitors_have_no_bill(world: World) -> None:
    with pytest.raises(Unauthenticated):
        world.service.preview_invoice(ANONYMOUS, "2026-11")


# --- prices ------------------------------------------------------------------------------------------------

CHEAP = Charge(key="vcpu", title="Processors", unit="vCPU-hour", dimension="vcpu", unit_price_micros=3600)


def test_the_standard_plan_is_there_without_being_asked_for(world: World) -> None:
    assert [plan.plan for plan in world.service.plans(ALICE)] == ["standard"]
    made = world.service.ensure_default_plan()
    assert world.service.ensure_default_plan() == made
    assert world.service.plan_versions(ALICE, "standard") == [made]


def test_a_plan_of_an_older_release_gets_the_charges_it_lacks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(billing, "STANDARD_CHARGES", billing.STANDARD_CHARGES[:-1])
        made = world.service.ensure_default_plan()
    for _ in range(2):
        assert world.service.ensure_default_plan() == made
    first, second = world.service.plan_versions(ALICE, "standard")
    assert (first, second.charges) == (made, billing.STANDARD_CHARGES)
    assert second.effective_from == START + HOUR


def test_a_plan_that_somebody_changed_stays_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(billing, "STANDARD_CHARGES", billing.STANDARD_CHARGES[:-1])
        world.service.ensure_default_plan()
    world.service.change_plan(OPERATOR, "standard", PlanChange(charges=[CHEAP]))
    world.service.ensure_default_plan()
    assert [v.version for v in world.service.plan_versions(ALICE, "standard")] == [1, 2]


def test_a_change_of_price_is_a_new_version_from_an_hour_on(world: World) -> None:
    outcomes(world, event("evt_1", "start", 0))
    changed = world.service.change_plan(OPERATOR, "standard", PlanChange(charges=[CHEAP]), if_version=1)
    assert (changed.version, changed.effective_from) == (2, START + HOUR)
    assert world.service.plan(ALICE, "standard").version == 1
    world.at(START + timedelta(hours=2))
    assert world.service.plan(ALICE, "standard").version == 2
    invoice = world.service.preview_invoice(ALICE, "2026-11")
    assert [(line.plan_version, line.charge, line.seconds, line.amount_micros) for line in invoice.lines] == [
        (1, "vcpu", 3600, 40_480),
        (1, "memory", 3600, 2_222),  # 2,222.5: to the even neighbour
        (1, "volume", 3600, 1_100),
        (2, "vcpu", 3600, 3_600),
    ]
    world.service.close_hour(SYSTEM)
    assert world.service.preview_invoice(ALICE, "2026-11") == invoice


def test_who_may_change_prices_and_to_what(world: World) -> None:
    service = world.service
    with pytest.raises(PermissionDenied):
        service.change_plan(ALICE, "standard", PlanChange())
    with pytest.raises(NotFound):
        service.change_plan(OPERATOR, "gold", PlanChange())
    with pytest.raises(PreconditionFailed):
        service.change_plan(OPERATOR, "standard", PlanChange(), if_version=7)
    for when in (START, START + timedelta(minutes=90), (START + HOUR).replace(tzinfo=None)):
        with pytest.raises(InvalidInput, match="effective_from"):
            service.change_plan(OPERATOR, "standard", PlanChange(effective_from=when))
    bad = [replace(CHEAP, unit_price_micros=-1), replace(CHEAP, units=0), replace(CHEAP, dimension="#")]
    with pytest.raises(InvalidInput) as caught:
        service.change_plan(OPERATOR, "standard", PlanChange(charges=bad))
    assert {error.field for error in caught.value.errors} == {
        "charges[0].unit_price_micros",
        "charges[1].units",
        "charges[1].key",
        "charges[2].key",
        "charges[2].dimension",
    }


def test_a_new_plan(world: World) -> None:
    new = NewPlan(plan="gold", title="Gold", currency="EUR", charges=[CHEAP])
    made = world.service.create_plan(OPERATOR, new)
    assert (made.version, made.currency, made.effective_from) == (1, "EUR", START + HOUR)
    assert [plan.plan for plan in world.service.plans(ALICE)] == ["gold", "standard"]
    with pytest.raises(Conflict):
        world.service.create_plan(OPERATOR, new)
    with pytest.raises(InvalidInput) as caught:
        world.service.create_plan(OPERATOR, NewPlan(plan="Gold!", title="", currency="euro", charges=[]))
    assert {error.field for error in caught.value.errors} == {"plan", "currency", "charges"}
    with pytest.raises(PermissionDenied):
        world.service.create_plan(ALICE, new)


# --- quotes ------------------------------------------------------------------------------------------------

WEB = RoleSpec(role="web", count=2, cpu=1, memory_mib=333, volumes=[VolumeSpec(size_gib=7)])
STORE = RoleSpec(role="store", count=1, replicas=1, cpu=3, memory_mib=1000, gpu=1)
SPEC = ClusterSpec(roles=[WEB, STORE])


def test_the_quote_is_what_an_hour_costs_to_the_micro(world: World) -> None:
    quote = world.service.quote(ALICE, SPEC)
    assert quote.nodes == 4
    for role in SPEC.roles:
        for index in range(role.machines):
            node = f"{role.role}_{index}"
            metered = quantities.node_quantities(role)
            started = event(f"evt_{node}", "start", 0, node_id=node, quantities=metered)
            assert outcomes(world, started) == ["accepted"]
    world.at(START + HOUR)
    invoice = world.service.preview_invoice(ALICE, "2026-11")
    assert quote.micros_per_hour == invoice.total_micros > 0
    assert [(line.charge, line.micros_per_hour, line.quantity) for line in quote.lines] == [
        (line.charge, line.amount_micros, line.quantity) for line in invoice.lines
    ]


def test_the_quote_of_a_chart_is_what_an_hour_of_its_requests_costs(world: World) -> None:
    spec = ClusterSpec(
        workloads=[
            WorkloadSpec(kind="Deployment", name="web", copies=3, cpu_millis=250, memory_mib=100),
            WorkloadSpec(kind="StatefulSet", name="db", cpu_millis=333, memory_mib=777, volume_gib=8),
            WorkloadSpec(kind="PersistentVolumeClaim", name="files", volume_gib=5),
        ],
        unmetered=["Job once runs to an end; its time is not metered."],
    )
    quote = world.service.quote(ALICE, spec)
    assert (quote.nodes, quote.notes) == (4, tuple(spec.unmetered))
    for workload in spec.workloads:
        metered = quantities.workload_quantities(workload)
        started = event(f"evt_{workload.name}", "start", 0, node_id=workload.name, quantities=metered)
        assert outcomes(world, started) == ["accepted"]
    world.at(START + HOUR)
    invoice = world.service.preview_invoice(ALICE, "2026-11")
    assert quote.micros_per_hour == invoice.total_micros > 0
    assert [(line.charge, line.quantity) for line in quote.lines] == [
        (line.charge, line.quantity) for line in invoice.lines
    ]
    assert {line.charge for line in quote.lines} == {"memory", "volume", "pod_vcpu"}


def test_a_quote_for_answers_asks_the_catalog_and_checks_the_runtime(world: World) -> None:
    world.specs.spec_ = SPEC
    request = QuoteRequest(app_id="app_1", runtime_id="rt_1", answers={"cluster": {}})
    quote = world.service.quote_request(ALICE, request)
    assert (quote.runtime_id, quote.micros_per_hour) == (
        "rt_1",
        world.service.quote(ALICE, SPEC).micros_per_hour,
    )
    assert world.specs.asked == [{"app_id": "app_1", "version_id": "", "answers": {"cluster": {}}}]
    with pytest.raises(NotFound):
        world.service.quote_request(ALICE, replace(request, runtime_id="rt_other"))
    with pytest.raises(InvalidInput, match="app_id"):
        world.service.quote_request(ALICE, QuoteRequest(answers={}))
    with pytest.raises(NotFound):
        world.service.quote_request(ALICE, replace(request, plan="gold"))
