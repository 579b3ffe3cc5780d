from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pitrix import ids
from pitrix.clock import FixedClock, SystemClock, parse, rfc3339
from pitrix.errors import InvalidInput


def test_ids_sort_by_time_and_say_what_they_name() -> None:
    made = [ids.new("app") for _ in range(3)]
    assert all(one.startswith("app_") and len(one) == 30 for one in made)
    assert len(set(made)) == 3


def test_times_have_one_textual_form() -> None:
    east = datetime(2026, 11, 22, 18, 0, tzinfo=timezone(timedelta(hours=8)))
    assert rfc3339(east) == "2026-11-22T10:00:00.000Z"
    assert parse("2026-11-22T18:00:00+08:00") == east
    assert parse(rfc3339(east)) == east


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-22", "2026-11-22T10:00:00", "2026-13-01T00:00:00Z"]
)
def test_what_is_no_time_with_an_offset_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text, field="from")
    assert caught.value.errors[0].field == "from"


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    before = clock.now()
    assert clock.now() == before
    clock.advance(90)
    assert clock.now() - before == timedelta(seconds=90)
    assert SystemClock().now().tzinfo is UTC
