"""Arithmetic, against hand-made figures and against an oracle that counts second by second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.billing import rating
from pitrix.billing.model import Charge, PricePlan, UsageEvent, format_money
from pitrix.billing.rating import Used
from pitrix.billing.service import STANDARD_CHARGES
from tests.unit.billing.worlds import START, event, naive_bill

PLAN = PricePlan(
    plan_id="pp_1",
    plan="standard",
    version=1,
    title="Standard",
    currency="USD",
    charges=STANDARD_CHARGES,
    effective_from=datetime(2000, 1, 1, tzinfo=UTC),
    created_at=START,
)
VCPU, MEMORY, VOLUME, POD_VCPU = STANDARD_CHARGES


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**9))
def test_rounding_is_half_even_and_exact(numerator: int, denominator: int) -> None:
    assert rating.half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(("numerator", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)])
def test_ties_go_to_the_even_neighbour(numerator: int, rounded: int) -> None:
    assert rating.half_even(numerator, 2) == rounded


def test_a_line_is_price_times_seconds_by_hand() -> None:
    # 512 MiB for 7 seconds at 4,445 micros a GiB-hour: 4445 * 0.5 * 7 / 3600 = 4.3215... micros
    assert rating.amount_micros(MEMORY, Used(512 * 7, 7)) == 4
    # 2 vCPU for 90 minutes at 40,480: 121,440
    assert rating.amount_micros(VCPU, Used(2 * 5400, 5400)) == 121_440
    # 10 GiB of volume for an hour at 110: 1,100
    assert rating.amount_micros(VOLUME, Used(10 * 3600, 3600)) == 1_100


def test_quantities_read_in_the_unit_of_the_price() -> None:
    assert rating.quantity(MEMORY, Used(512 * 3600, 3600)) == Decimal("0.5")
    assert str(rating.quantity(VCPU, Used(36_000, 3600))) == "10"
    assert str(rating.quantity(VCPU, Used(1, 1))) == "0.000277778"


def test_a_missing_stop_runs_to_the_end_and_a_stop_alone_is_nothing() -> None:
    events = [event("a", "start", 10), event("b", "stop", 5, node_id="node_2")]
    hours, running = rating.meter({}, events, START, START + timedelta(seconds=60))
    assert hours[START]["node.vcpu"] == Used(50, 50)
    assert list(running) == ["node/node_1"]


def test_hours_are_cut_at_the_hour() -> None:
    events = [event("a", "start", 3590), event("b", "stop", 7210)]
    hours, _ = rating.meter({}, events, START, START + timedelta(hours=5))
    assert {hour: used["node.vcpu"].seconds for hour, used in hours.items()} == {
        START: 10,
        START + timedelta(hours=1): 3600,
        START + timedelta(hours=2): 10,
    }


def test_fractions_of_a_second_bill_the_seconds_between_their_floors() -> None:
    events = [event("a", "start", 0.9), event("b", "stop", 2.1), event("c", "start", 2.2)]
    hours, _ = rating.meter({}, events, START, START + timedelta(seconds=10))
    assert hours[START]["node.vcpu"].seconds == 10  # 0-2 and 2-10: no second twice, none lost


def test_a_second_start_resizes_and_stop_wins_at_the_same_instant() -> None:
    bigger = {"vcpu": 4}
    resized = [event("a", "start", 0), event("b", "start", 10, quantities=bigger), event("c", "stop", 20)]
    hours, _ = rating.meter({}, resized, START, START + timedelta(hours=1))
    assert hours[START]["node.vcpu"] == Used(10 * 1 + 10 * 4, 20)
    assert hours[START]["node.memory_mib"] == Used(10 * 512, 10)
    together = [event("z", "start", 5), event("a", "stop", 5)]
    assert rating.meter({}, together, START, START + timedelta(hours=1)) == ({}, {})


def test_prices_change_at_their_hour() -> None:
    hour = START + timedelta(hours=1)
    later = PricePlan(**{**vars(PLAN), "version": 2, "effective_from": hour})
    replaced = PricePlan(**{**vars(PLAN), "version": 3, "effective_from": hour})
    cut = list(rating.segments([later, PLAN, replaced], START, START + timedelta(hours=3)))
    assert [(v.version, lo, hi) for v, lo, hi in cut] == [
        (1, START, hour),
        (3, hour, START + timedelta(hours=3)),
    ]
    assert list(rating.segments([later], START, hour)) == []


WINDOW_S = 2 * 3600


@st.composite
def histories(draw: st.DrawFn) -> list[UsageEvent]:
    """Events of a few nodes over two hours and a bit, clustered so that instants and seconds collide."""
    count = draw(st.integers(0, 12))
    moments = st.one_of(
        st.integers(-1000, WINDOW_S - 1),
        st.sampled_from([0, 3599, 3600, 3601]),
        st.floats(0, 8, allow_nan=False).map(lambda second: round(second, 2)),
    )
    return [
        event(
            f"evt_{draw(st.integers(0, 99))}_{index}",
            draw(st.sampled_from(["start", "start", "stop"])),
            draw(moments),
            cluster_id=draw(st.sampled_from(["cl_1", "cl_2"])),
            node_id=draw(st.sampled_from(["node_1", "node_2"])),
            quantities={
                "vcpu": draw(st.integers(0, 3)),
                "memory_mib": draw(st.sampled_from([1, 333, 512, 4096])),
                "volume_gib": draw(st.integers(0, 7)),
            },
        )
        for index in range(count)
    ]


@settings(max_examples=120, deadline=None)
@given(histories(), st.randoms(), st.integers(0, WINDOW_S - 1), st.integers(1, WINDOW_S))
def test_any_history_equals_the_naive_count(events: list[UsageEvent], random, low: int, length: int) -> None:  # type: ignore[no-untyped-def]
    start = START + timedelta(seconds=low)
    end = min(start + timedelta(seconds=length), START + timedelta(seconds=WINDOW_S))
    random.shuffle(events)
    found = {}
    for cluster in ("cl_1", "cl_2"):
        mine = [each for each in events if each.cluster_id == cluster and each.at < end]
        hours, _ = rating.meter({}, mine, start, end)
        for charge, used, amount in rating.rate(PLAN, rating.total(hours.values())):
            found[(cluster, charge.key)] = (used.seconds, amount)
    assert found == naive_bill(PLAN, events, start, end)


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(1, WINDOW_S - 1))
def test_where_the_time_is_cut_changes_nothing(events: list[UsageEvent], cut_s: int) -> None:
    mine = [each for each in events if each.cluster_id == "cl_1"]
    cut, end = START + timedelta(seconds=cut_s), START + timedelta(seconds=WINDOW_S)
    whole, running = rating.meter({}, mine, START, end)
    first, between = rating.meter({}, [each for each in mine if each.at < cut], START, cut)
    second, after = rating.meter(between, [each for each in mine if each.at >= cut], cut, end)
    assert rating.total([*first.values(), *second.values()]) == rating.total(whole.values())
    assert after == running


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [
        (1_234_567, "USD", "USD 1.234567"),
        (1_500_000, "USD", "USD 1.50"),
        (0, "USD", "USD 0.00"),
        (-4_445, "USD", "USD -0.004445"),
        (1_234_000_000, "JPY", "JPY 1,234"),
        (1_500_000, "JPY", "JPY 1.5"),
        (1_000_000, "KWD", "KWD 1.000"),
    ],
)
def test_money_is_written_exactly(micros: int, currency: str, text: str) -> None:
    assert format_money(micros, currency) == text


def test_a_charge_prices_only_its_own_meter() -> None:
    charge = Charge(key="gpu", title="GPU", unit="GPU-hour", dimension="gpu", unit_price_micros=1)
    assert rating.metered_name(charge) == "node.gpu"
