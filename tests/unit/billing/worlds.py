"""A billing service on a table in memory and a clock that stands still, and what to feed it with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from pitrix.billing.dynamo import DynamoLedger, DynamoPriceBook
from pitrix.billing.model import EventKind, PricePlan, UsageEvent
from pitrix.billing.ports import HasRuntimeId
from pitrix.billing.service import BillingService
from pitrix.clock import FixedClock
from pitrix.errors import NotFound
from pitrix.identity.model import Principal
from pitrix.packages.model import ClusterSpec
from pitrix.table import MemoryTable, Table

START = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
ACME, GLOBEX = ":acme:", ":globex:"
ALICE = Principal("usr_alice", "alice", "user", ACME)
BOB = Principal("usr_bob", "bob", "user", GLOBEX)
OPERATOR = Principal("usr_op", "op", "operator", ":")
SMALL = {"vcpu": 1, "memory_mib": 512, "volume_gib": 10}


@dataclass
class FakeRuntime:
    runtime_id: str


@dataclass
class FakeSpecs:
    """Knows one app, one runtime, and what it was asked."""

    spec_: ClusterSpec = field(default_factory=ClusterSpec)
    asked: list[dict[str, Any]] = field(default_factory=list)
    locales: list[str] = field(default_factory=list)

    def spec(
        self,
        who: Principal,
        *,
        app_id: str,
        version_id: str,
        answers: Mapping[str, Any],
        locale: str = "en",
    ) -> ClusterSpec:
        self.asked.append({"app_id": app_id, "version_id": version_id, "answers": dict(answers)})
        self.locales.append(locale)
        return self.spec_

    def runtime(self, who: Principal, runtime_id: str) -> HasRuntimeId:
        if runtime_id != "rt_1":
            raise NotFound(f"Runtime {runtime_id} does not exist.")
        return FakeRuntime(runtime_id)


@dataclass
class FakeAggregation:
    started: list[tuple[datetime, bool]] = field(default_factory=list)

    def start(self, hour: datetime, *, rebuild: bool) -> str:
        self.started.append((hour, rebuild))
        return f"run-{len(self.started)}"


class World:
    """Everything a test of billing needs."""

    def __init__(self, table: Table | None = None, now: datetime = START) -> None:
        self.table = table or MemoryTable()
        self.clock = FixedClock(now)
        self.ledger = DynamoLedger(self.table)
        self.prices = DynamoPriceBook(self.table)
        self.specs = FakeSpecs()
        self.aggregation = FakeAggregation()
        self.service = BillingService(
            ledger=self.ledger,
            prices=self.prices,
            clock=self.clock,
            specs=lambda: self.specs,
            aggregation=self.aggregation,
        )

    def at(self, moment: datetime) -> World:
        """Move the clock to ``moment``."""
        self.clock.advance((moment - self.clock.now()).total_seconds())
        return self


def event(
    event_id: str,
    kind: EventKind,
    at: datetime | float,
    *,
    account: str = ACME,
    cluster_id: str = "cl_1",
    node_id: str = "node_1",
    quantities: dict[str, int] | None = None,
) -> UsageEvent:
    """A usage event; ``at`` may be seconds after `START`."""
    moment = at if isinstance(at, datetime) else START + timedelta(seconds=at)
    given = (SMALL if kind == "start" else {}) if quantities is None else quantities
    return UsageEvent(
        event_id=event_id,
        account=account,
        cluster_id=cluster_id,
        node_id=node_id,
        app_id="app_1",
        kind=kind,
        at=moment,
        quantities=dict(given),
    )


def naive_bill(
    plan: PricePlan, events: Iterable[UsageEvent], start: datetime, end: datetime
) -> dict[tuple[str, str], tuple[int, int]]:
    """(seconds, micros) by (cluster, charge), counted second by second with fractions.

    Written without a look at ``rating``: for each second, what does the history say that runs?
    """
    nodes: dict[tuple[str, str], list[UsageEvent]] = {}
    for each in events:
        nodes.setdefault((each.cluster_id, each.node_id), []).append(each)
    seconds: dict[tuple[str, str], int] = {}
    exact: dict[tuple[str, str], Fraction] = {}
    for (cluster, _), of_node in nodes.items():
        of_node.sort(key=lambda each: (each.at, 1 if each.kind == "stop" else 0, each.event_id))
        upcoming = list(of_node)
        now: UsageEvent | None = None
        second = min(start, of_node[0].at.replace(microsecond=0))
        while second < end:
            while upcoming and upcoming[0].at < second + timedelta(seconds=1):
                now = upcoming.pop(0)
            if second >= start and now is not None and now.kind == "start":
                for charge in plan.charges:
                    amount = now.quantities.get(charge.dimension, 0)
                    if amount:
                        key = (cluster, charge.key)
                        seconds[key] = seconds.get(key, 0) + 1
                        price = Fraction(charge.unit_price_micros * amount, charge.units * charge.seconds)
                        exact[key] = exact.get(key, Fraction(0)) + price
            second += timedelta(seconds=1)
    # round() of a Fraction is round-half-even by its definition.
    return {key: (seconds[key], round(exact[key])) for key in exact}
