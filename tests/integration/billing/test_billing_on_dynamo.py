"""The ledger on DynamoDB (moto): its transactions, its conditions and its index queries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pitrix.billing.requests import PlanChange
from pitrix.errors import Conflict
from pitrix.identity.model import SYSTEM
from tests.dynamo import dynamo_table
from tests.unit.billing.worlds import ACME, ALICE, GLOBEX, OPERATOR, START, World, event

HOUR = timedelta(hours=1)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with dynamo_table("billing", monkeypatch) as table:
        yield World(table)


def test_usage_becomes_the_same_bill_as_in_memory(world: World) -> None:
    memory = World()
    for each in (world, memory):
        each.at(START + timedelta(minutes=10))
        events = [event(f"evt_{n}", "start", n, node_id=f"node_{n}") for n in range(60)]
        events += [event("evt_g", "start", 1, account=GLOBEX, cluster_id="cl_2")]
        assert {r.outcome for r in each.service.record(SYSTEM, events)} == {"accepted"}
        assert {r.outcome for r in each.service.record(SYSTEM, events)} == {"duplicate"}
        each.at(START + 50 * HOUR)
        assert each.service.close_hour(SYSTEM).failed == 0
        late = [event("evt_late", "stop", 4000, node_id="node_3"), events[0]]
        assert [r.outcome for r in each.service.record(SYSTEM, late)] == ["accepted", "duplicate"]
        assert each.service.close_hour(SYSTEM).failed == 0
        each.service.change_plan(OPERATOR, "standard", PlanChange(title="New"))
        with pytest.raises(Conflict):
            each.prices.add(each.service.plan_versions(ALICE, "standard")[0])
    assert world.service.preview_invoice(ALICE, "2026-11") == memory.service.preview_invoice(ALICE, "2026-11")
    for account in (ACME, GLOBEX):
        window = (START, START + 60 * HOUR)
        assert world.ledger.hours(account, *window) == memory.ledger.hours(account, *window)
    listed, cursor = [], None
    while True:
        page = world.service.events(ALICE, limit=7, cursor=cursor)
        listed += page.events
        if (cursor := page.next_cursor) is None:
            break
    assert listed == memory.service.events(ALICE, limit=200).events
    assert world.service.plan_versions(ALICE, "standard")[1].title == "New"


def test_a_head_that_moved_is_not_closed_over(world: World) -> None:
    world.service.record(SYSTEM, [event("evt_1", "start", 0)])
    stale = world.ledger.stream(ACME, "cl_1")
    assert stale is not None
    world.service.record(SYSTEM, [event("evt_2", "stop", 5)])
    with pytest.raises(Conflict):
        world.ledger.close(stale, {}, stale)
