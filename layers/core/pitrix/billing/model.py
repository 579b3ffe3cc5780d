"""The words of billing: usage events, price plans, quotes, usage lines and invoices.

Owns: the shapes, and the conventions on money and time that every other module of this context keeps.
Never: reads a clock, a table or a price; never computes an amount (``rating`` does, and it alone).
Next: ``rating`` for the arithmetic, ``service`` for the use cases, ``dynamo`` for how it is kept.

Money
    An amount is an integer of **micros**: millionths of the currency's major unit, whatever its ISO 4217
    exponent (1 USD = 1 JPY = 1,000,000 micros). Rounding happens once, on a line: the exact value becomes
    micros by ``ROUND_HALF_EVEN`` (``rating.to_micros``). Totals are sums of lines, so they always add up.

Time
    A second is billed or it is not. Events carry any precision; an interval bills the whole seconds in
    ``[floor(start), floor(end))``, so cutting it anywhere on a second changes nothing. What is stored and
    added up is *quantity-seconds* (vCPU by seconds, MiB by seconds …), integers; never money.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

MICROS = 1_000_000
"""Micros in one major unit of any currency."""

NODE_METER = "node"
"""The meter of what a cluster runs; its dimensions are in ``quantities``."""

EventKind = Literal["start", "stop"]
Outcome = Literal["accepted", "duplicate", "rejected"]


@dataclass(frozen=True, kw_only=True)
class UsageEvent:
    """A fact about one metered thing, never changed once accepted.

    ``start`` says "from ``at`` on it runs with these quantities"; a second ``start`` replaces the
    quantities (a resize). ``stop`` says "from ``at`` on it does not run". What ran when follows from the
    *set* of events, never from the order of their arrival. At one and the same instant ``stop`` wins.

    Attributes:
        event_id: Unique for ever, chosen by the sender; the same id twice counts once.
        account: Owner path of the tenant who pays.
        node_id: The metered thing inside the cluster.
        meter: What kind of thing it is; ``node`` for machines.
        quantities: Whole numbers by dimension, e.g. ``{"vcpu": 2, "memory_mib": 1024, "volume_gib": 10}``;
            needed on ``start``. ``node`` is 1 unless it is given.
    """

    event_id: str
    account: str
    cluster_id: str
    node_id: str
    app_id: str
    kind: EventKind
    at: datetime
    meter: str = NODE_METER
    quantities: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The answer for one event: ``rejected`` is final and says why; the other two mean that its id is stored.

    A ``duplicate`` has a reason only where its content differs from what is stored, and counts.
    """

    event_id: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A price for one dimension of one meter.

    ``unit_price_micros`` is for ``units`` of the dimension during ``seconds``. A GiB-hour of memory is
    ``dimension="memory_mib", units=1024, seconds=3600``.
    """

    key: str
    title: str
    unit: str
    dimension: str
    unit_price_micros: int
    units: int = 1
    seconds: int = 3600
    meter: str = NODE_METER
    kind: Literal["per_unit"] = "per_unit"


@dataclass(frozen=True, kw_only=True)
class PricePlan:
    """One version of a price plan. Versions are never edited; a change is a new version from a date on.

    Attributes:
        plan: The plan's stable name, e.g. ``standard``.
        version: 1, 2, 3 …
        effective_from: A whole UTC hour; the version rates usage from here to the next version's date.
    """

    plan_id: str
    plan: str
    version: int
    title: str
    currency: str
    charges: tuple[Charge, ...]
    effective_from: datetime
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class UsageLine:
    """One charge on one cluster during one window.

    Attributes:
        seconds: Running seconds of the metered things that bear the charge, added up (three nodes for a
            minute: 180).
        quantity_seconds: The exact base of the amount, in the charge's dimension by seconds.
        quantity: The same in the charge's unit (vCPU-hours, GiB-hours), to nine places, for reading.
        amount_micros: ``unit_price_micros * quantity``, rounded once.
    """

    cluster_id: str
    app_id: str
    charge: str
    title: str
    unit: str
    plan: str
    plan_version: int
    seconds: int
    quantity_seconds: int
    quantity: Decimal
    unit_price_micros: int
    amount_micros: int


@dataclass(frozen=True, kw_only=True)
class UsageReport:
    """What an account used in ``[starts_at, ends_at)``; open intervals are metered to ``metered_to``."""

    account: str
    starts_at: datetime
    ends_at: datetime
    metered_to: datetime
    currency: str
    lines: tuple[UsageLine, ...]
    total_micros: int


@dataclass(frozen=True, kw_only=True)
class InvoiceLine(UsageLine):
    """A usage line with its place on the invoice (1, 2, 3 …)."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Invoice:
    """An account's bill for one calendar month (UTC), or the preview of it.

    ``metered_to`` is the end of the period, or the moment of the preview when the month is not over.
    """

    account: str
    period: str
    starts_at: datetime
    ends_at: datetime
    metered_to: datetime
    currency: str
    lines: tuple[InvoiceLine, ...]
    total_micros: int
    status: Literal["preview"] = "preview"


@dataclass(frozen=True, kw_only=True)
class QuoteLine:
    """One charge of a quote: ``quantity`` units of it, for an hour."""

    charge: str
    title: str
    unit: str
    quantity: Decimal
    unit_price_micros: int
    micros_per_hour: int


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a cluster will cost for each hour that all its nodes run: the line sums of its invoice.

    ``runtime_id`` is where it would run (empty: anywhere); prices do not differ by runtime yet. ``notes`` say
    what is not metered here, and so not in the price.
    """

    runtime_id: str = ""
    plan: str
    plan_version: int
    currency: str
    nodes: int
    lines: tuple[QuoteLine, ...]
    micros_per_hour: int
    notes: tuple[str, ...] = ()


_EXPONENTS: dict[int, frozenset[str]] = {
    0: frozenset(
        {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"}
        | {"XAF", "XOF", "XPF"}
    ),
    3: frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}),
    4: frozenset({"CLF", "UYW"}),
}


def currency_exponent(currency: str) -> int:
    """Decimal places of a currency's minor unit by ISO 4217 (USD 2, JPY 0, KWD 3)."""
    return next((places for places, codes in _EXPONENTS.items() if currency in codes), 2)


def format_money(micros: int, currency: str) -> str:
    """Write an amount exactly, with at least the currency's own places: ``USD 1.50``, ``USD 0.004445``."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, rest = divmod(micros, MICROS)
    places = f"{rest:06d}".rstrip("0").ljust(currency_exponent(currency), "0")
    return f"{currency} {sign}{whole:,}{'.' + places if places else ''}"
