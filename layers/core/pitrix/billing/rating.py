"""Arithmetic of billing: from usage events to quantity-seconds, from quantity-seconds to money.

Owns: the order of events, the cut into seconds and hours, the one rounding. Pure functions on integers.
Never: reads a clock, a table or a setting; never keeps money for part of a line (see ``model``, "Money").
Next: ``service`` decides *what* is metered and rated; the property tests in ``tests/unit/billing`` compare
all of it with a naive second-by-second oracle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from pitrix.billing.model import Charge, PricePlan, UsageEvent

HOUR = timedelta(hours=1)
HOUR_S = 3600
_QUANTITY_PLACES = 9


@dataclass(frozen=True, slots=True)
class Used:
    """How much of one dimension was used: ``quantity_seconds``, and the ``seconds`` it ran for."""

    quantity_seconds: int = 0
    seconds: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.quantity_seconds + other.quantity_seconds, self.seconds + other.seconds)


Usage = dict[str, Used]
"""What was used, by ``<meter>.<dimension>``."""

Running = dict[str, dict[str, int]]
"""What runs at one instant: quantities by ``<meter>/<node_id>``."""


# --- time --------------------------------------------------------------------------------------------------


def floor_second(at: datetime) -> datetime:
    """The whole second that ``at`` lies in."""
    return at.replace(microsecond=0)


def floor_hour(at: datetime) -> datetime:
    """The whole hour that ``at`` lies in."""
    return at.replace(minute=0, second=0, microsecond=0)


def event_order(event: UsageEvent) -> tuple[datetime, bool, str]:
    """The place of an event in its history; where everything is simultaneous, ``stop`` has the last word.

    The store sorts by the same three, as text (``dynamo.event_key``).
    """
    return event.at, event.kind == "stop", event.event_id


def by_hour(start: datetime, end: datetime) -> Iterator[tuple[datetime, int]]:
    """Cut ``[start, end)``, both on whole seconds, at each hour; yield (hour, seconds in it)."""
    while start < end:
        hour = floor_hour(start)
        cut = min(hour + HOUR, end)
        yield hour, int((cut - start).total_seconds())
        start = cut


# --- metering ----------------------------------------------------------------------------------------------


def meter(
    running: Mapping[str, dict[str, int]], events: Iterable[UsageEvent], start: datetime, end: datetime
) -> tuple[dict[datetime, Usage], Running]:
    """Meter one cluster over ``[start, end)``.

    Args:
        running: What ran just before the first event.
        events: All events after that and before ``end``, in any order. Those before ``start`` only decide
            what runs at ``start``.
        start, end: On whole seconds.

    Returns:
        The usage of each hour that has any, and what runs at ``end``. Whatever has no ``stop`` yet counts
        up to ``end``.
    """
    hours: dict[datetime, Usage] = {}
    state: Running = {key: dict(quantities) for key, quantities in running.items()}
    since = dict.fromkeys(state, start)

    def settle(key: str, until: datetime) -> None:
        for hour, seconds in by_hour(max(since[key], start), until):
            usage = hours.setdefault(hour, {})
            for dimension, quantity in state[key].items():
                if quantity:
                    name = f"{key.partition('/')[0]}.{dimension}"
                    usage[name] = usage.get(name, Used()) + Used(quantity * seconds, seconds)

    for event in sorted(events, key=event_order):
        key, at = f"{event.meter}/{event.node_id}", floor_second(event.at)
        if key in state:
            settle(key, at)
            del state[key], since[key]
        if event.kind == "start":
            state[key], since[key] = dict(event.quantities), at
    for key in state:
        settle(key, end)
    return hours, state


def total(usages: Iterable[Mapping[str, Used]]) -> Usage:
    """Add up usage, dimension by dimension."""
    result: Usage = {}
    for usage in usages:
        for name, used in usage.items():
            result[name] = result.get(name, Used()) + used
    return result


# --- money -------------------------------------------------------------------------------------------------


def half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` as a whole number; a tie goes to the even neighbour.

    The one rounding of billing (``decimal.ROUND_HALF_EVEN``, computed exactly on integers of any size).
    """
    quotient, rest = divmod(numerator, denominator)
    above = 2 * rest - denominator
    return quotient + (above > 0 or (above == 0 and quotient % 2 == 1))


def amount_micros(charge: Charge, used: Used) -> int:
    """What ``used`` costs by ``charge``; rounded here and nowhere else."""
    return half_even(charge.unit_price_micros * used.quantity_seconds, charge.units * charge.seconds)


def quantity(charge: Charge, used: Used) -> Decimal:
    """``used`` in the charge's own unit (GiB-hours …), to nine places, for people to read."""
    scaled = half_even(used.quantity_seconds * 10**_QUANTITY_PLACES, charge.units * charge.seconds)
    text = f"{Decimal(scaled).scaleb(-_QUANTITY_PLACES):f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def metered_name(charge: Charge) -> str:
    """The key of `Usage` that a charge prices."""
    return f"{charge.meter}.{charge.dimension}"


def rate(plan: PricePlan, usage: Mapping[str, Used]) -> Iterator[tuple[Charge, Used, int]]:
    """Yield (charge, used, micros) for each charge of ``plan`` that ``usage`` bears, in the plan's order.

    Quotes, usage reports and invoices all get their figures here.
    """
    for charge in plan.charges:
        used = usage.get(metered_name(charge))
        if used is not None and used.quantity_seconds:
            yield charge, used, amount_micros(charge, used)


def segments(
    versions: Sequence[PricePlan], start: datetime, end: datetime
) -> Iterator[tuple[PricePlan, datetime, datetime]]:
    """Cut ``[start, end)`` at each change of price; yield (version, from, to).

    Args:
        versions: Of one plan, in any order. Of two with the same date the higher version counts.
    """
    ordered = sorted(versions, key=lambda version: (version.effective_from, version.version))
    for index, version in enumerate(ordered):
        following = ordered[index + 1].effective_from if index + 1 < len(ordered) else end
        lo, hi = max(start, version.effective_from), min(end, following)
        if lo < hi:
            yield version, lo, hi
