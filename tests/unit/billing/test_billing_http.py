"""The routes, the queue's handler and the state machine's steps, called as AWS calls them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.billing.app import app
from functions.billing.on_usage import handler as on_usage
from functions.billing.tasks import STEPS
from functions.billing.tasks import handler as run_step
from pitrix import bootstrap
from pitrix.identity.model import ANONYMOUS, SYSTEM, Principal
from pitrix.packages.model import ClusterSpec, RoleSpec
from pitrix.table import pack
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.billing.worlds import ACME, ALICE, BOB, GLOBEX, OPERATOR, START, World, event

MACHINE = Path(__file__).parents[3] / "stepfunctions" / "aggregate_billing.asl.yaml"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with bootstrap.override("billing", world.service), bootstrap.override("table", world.table, "billing"):
        yield world


def call(
    method: str,
    resource: str,
    who: Principal = ALICE,
    *,
    body: Any = None,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    **path: str,
) -> tuple[int, Any, dict[str, str]]:
    """Call the app as API Gateway does; returns status, body (decoded, where it is JSON) and headers."""
    event = proxy_event(
        method,
        resource,
        path_parameters=path,
        query={name: [value] for name, value in (query or {}).items()},
        headers=headers,
        body=body,
        authorizer=authorizer_context(who),
    )
    answer = app(event, None)
    text = answer["body"]
    is_json = "json" in answer["headers"].get("Content-Type", "")
    return answer["statusCode"], json.loads(text) if is_json else text, answer["headers"]


def refused(status: int, answer: tuple[int, Any, dict[str, str]]) -> list[str]:
    """Check that this is a problem document; return the fields that it names."""
    assert answer[0] == status, answer
    assert answer[2]["Content-Type"] == "application/problem+json"
    assert answer[1]["status"] == status
    return [error["field"] for error in answer[1].get("errors", [])]


# --- usage -------------------------------------------------------------------------------------------------


def test_one_event_or_many_are_posted_and_listed(world: World) -> None:
    one, two = pack(event("evt_1", "start", 0)), pack(event("evt_2", "start", 1, node_id="node_2"))
    status, answer, _ = call("POST", "/v1/usage", OPERATOR, body=one)
    assert (status, answer["items"]) == (200, [{"event_id": "evt_1", "outcome": "accepted", "reason": ""}])
    bad = two | {"event_id": "evt_3", "kind": "pause"}
    status, answer, _ = call("POST", "/v1/usage", OPERATOR, body={"events": [one, two, bad]})
    assert [item["outcome"] for item in answer["items"]] == ["duplicate", "accepted", "rejected"]
    status, page, _ = call("GET", "/v1/usage", query={"limit": "1"})
    assert status == 200
    assert [item["event_id"] for item in page["items"]] == ["evt_1"]
    assert page["items"][0]["quantities"]["node"] == 1
    rest = call("GET", "/v1/usage", query={"limit": "1", "cursor": page["next_cursor"]})[1]
    assert [item["event_id"] for item in rest["items"]] == ["evt_2"]
    assert rest["next_cursor"] is None
    assert call("GET", "/v1/usage", BOB)[1]["items"] == []
    found = call("GET", "/v1/usage", OPERATOR, query={"account": ACME, "from": "2026-11-22T10:00:01Z"})[1]
    assert [item["event_id"] for item in found["items"]] == ["evt_2"]


def test_bad_usage_is_refused_by_name(world: World) -> None:
    one = pack(event("evt_1", "start", 0))
    assert refused(400, call("POST", "/v1/usage", OPERATOR, body={"events": [one] * 501})) == ["events"]
    assert refused(400, call("POST", "/v1/usage", OPERATOR, body={"events": []})) == ["events"]
    assert refused(400, call("POST", "/v1/usage", OPERATOR, body={})) == ["events"]
    assert refused(400, call("POST", "/v1/usage", OPERATOR, body=one | {"events": [one]})) == ["events"]
    assert refused(400, call("POST", "/v1/usage", OPERATOR, body=one | {"colour": "red"})) == ["colour"]
    assert refused(400, call("POST", "/v1/usage", OPERATOR, body="{")) == []
    refused(403, call("POST", "/v1/usage", ALICE, body=one))
    refused(401, call("POST", "/v1/usage", ANONYMOUS, body=one))
    assert refused(400, call("GET", "/v1/usage", query={"since": "2026"})) == ["since"]
    assert refused(400, call("GET", "/v1/usage", query={"from": "yesterday"})) == ["from"]
    assert refused(400, call("GET", "/v1/usage", query={"limit": "0"})) == ["limit"]
    assert refused(400, call("GET", "/v1/usage", query={"cursor": "x"})) == ["cursor"]
    window = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
    assert refused(400, call("GET", "/v1/usage", query=window)) == ["from"]
    refused(404, call("GET", "/v1/usage", query={"account": GLOBEX}))


def test_an_idempotency_key_answers_the_same_again(world: World) -> None:
    one, key = pack(event("evt_1", "start", 0)), {"idempotency-key": "k1"}
    first = call("POST", "/v1/usage", OPERATOR, body=one, headers=key)
    again = call("POST", "/v1/usage", OPERATOR, body=one, headers=key)
    assert first[1] == again[1]
    assert again[2]["Idempotent-Replayed"] == "true"


def test_an_operator_starts_an_aggregation(world: World) -> None:
    status, answer, _ = call("POST", "/v1/usage:aggregate", OPERATOR)
    assert (status, answer["hour"]) == (202, "2026-11-22T09:00:00.000Z")
    body = {"hour": "2026-11-22T08:00:00Z", "rebuild": True}
    assert call("POST", "/v1/usage:aggregate", OPERATOR, body=body)[1]["rebuild"] is True
    assert world.aggregation.started == [
        (START - timedelta(hours=1), False),
        (START - timedelta(hours=2), True),
    ]
    now = {"hour": "2026-11-22T10:00:00Z"}
    assert refused(400, call("POST", "/v1/usage:aggregate", OPERATOR, body=now)) == ["hour"]
    refused(403, call("POST", "/v1/usage:aggregate", ALICE, body={}))


# --- reports and bills -------------------------------------------------------------------------------------


def test_the_usage_report_as_json_and_csv(world: World) -> None:
    world.service.record(SYSTEM, [event("evt_1", "start", 0)])
    world.at(START + timedelta(minutes=30))
    window = {"from": "2026-11-22T10:00:00Z", "to": "2026-11-22T10:20:00Z"}
    status, report, _ = call("GET", "/v1/reports/usage", query=window)
    assert status == 200
    assert [(line["charge"], line["seconds"]) for line in report["lines"]] == [
        ("vcpu", 1200),
        ("memory", 1200),
        ("volume", 1200),
    ]
    status, text, headers = call("GET", "/v1/reports/usage", query=window | {"format": "csv"})
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert 'filename="usage-20261122T100000Z-20261122T102000Z.csv"' in headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["charge"], row["amount_micros"], row["amount"]) for row in rows] == [
        ("vcpu", "13493", "0.013493"),
        ("memory", "741", "0.000741"),
        ("volume", "367", "0.000367"),
    ]
    assert sum(int(row["amount_micros"]) for row in rows) == report["total_micros"]
    assert refused(400, call("GET", "/v1/reports/usage", query={"format": "xml"})) == ["format"]
    assert refused(400, call("GET", "/v1/reports/usage", query={"from": "2027-01-01T00:00:00Z"})) == ["from"]
    naive = {"from": "2026-11-22T10:00:00"}
    assert refused(400, call("GET", "/v1/reports/usage", query=naive)) == ["from"]


def test_the_invoice_preview(world: World) -> None:
    world.service.record(SYSTEM, [event("evt_1", "start", 0)])
    world.at(START + timedelta(hours=1))
    status, invoice, _ = call("POST", "/v1/invoices:preview", body={"period": "2026-11"})
    assert (status, invoice["total_micros"], invoice["currency"]) == (200, 40_480 + 2_222 + 1_100, "USD")
    assert invoice["metered_to"] == "2026-11-22T11:00:00Z"
    mine = call("POST", "/v1/invoices:preview", OPERATOR, body={"period": "2026-11"}, query={"account": ACME})
    assert mine[1] == invoice
    assert refused(400, call("POST", "/v1/invoices:preview", body={"period": "Nov"})) == ["period"]
    assert refused(400, call("POST", "/v1/invoices:preview", body={"month": "2026-11"})) == ["month"]
    assert refused(400, call("POST", "/v1/invoices:preview", body={"period": 11})) == ["period"]
    other = call("POST", "/v1/invoices:preview", body={"period": "2026-11"}, query={"account": GLOBEX})
    refused(404, other)


# --- prices ------------------------------------------------------------------------------------------------


def test_price_plans(world: World) -> None:
    status, plans, _ = call("GET", "/v1/price-plans")
    assert status == 200
    assert [(plan["plan"], plan["currency"], len(plan["charges"])) for plan in plans["items"]] == [
        ("standard", "USD", 4)
    ]
    _, plan, headers = call("GET", "/v1/price-plans/{plan}", plan="standard")
    tag = {"if-match": headers["ETag"]}
    change = {"charges": [plan["charges"][0] | {"unit_price_micros": 1}]}
    route = "/v1/price-plans/{plan}"
    status, changed, _ = call("PATCH", route, OPERATOR, body=change, headers=tag, plan="standard")
    assert (status, changed["version"], changed["effective_from"]) == (200, 2, "2026-11-22T11:00:00Z")
    refused(412, call("PATCH", route, OPERATOR, body=change, headers=tag, plan="standard"))
    refused(403, call("PATCH", route, ALICE, body=change, plan="standard"))
    refused(404, call("GET", route, plan="gold"))
    versions = call("GET", "/v1/price-plans/{plan}/versions", plan="standard")[1]["items"]
    assert [version["version"] for version in versions] == [1, 2]
    gold = {"plan": "gold", "title": "Gold", "currency": "JPY", "charges": change["charges"]}
    assert call("POST", "/v1/price-plans", OPERATOR, body=gold)[0] == 201
    refused(409, call("POST", "/v1/price-plans", OPERATOR, body=gold))
    bad = gold | {"plan": "tin", "charges": [change["charges"][0] | {"units": 0}]}
    assert refused(400, call("POST", "/v1/price-plans", OPERATOR, body=bad)) == ["charges[0].units"]


def test_quotes(world: World) -> None:
    world.specs.spec_ = ClusterSpec(roles=[RoleSpec(role="web", count=2, cpu=1, memory_mib=1024)])
    body = {"app_id": "app_1", "runtime_id": "rt_1", "answers": {}}
    status, quote, _ = call("POST", "/v1/quotes", body=body)
    assert (status, quote["nodes"], quote["micros_per_hour"]) == (200, 2, 2 * (40_480 + 4_445))
    call("POST", "/v1/quotes", body=body, headers={"Accept-Language": "zh"})
    assert world.specs.locales == ["en", "zh-cn"]
    assert refused(400, call("POST", "/v1/quotes", body={"app_id": "app_1"})) == ["answers"]
    assert refused(400, call("POST", "/v1/quotes", body=body | {"colour": 1})) == ["colour"]
    refused(401, call("POST", "/v1/quotes", ANONYMOUS, body=body))


# --- events and steps --------------------------------------------------------------------------------------


def test_the_queue_gets_back_what_failed(world: World) -> None:
    records = [
        {"messageId": "m1", "body": json.dumps(pack(event("evt_1", "start", 0)))},
        {"messageId": "m2", "body": "not json"},
    ]
    assert on_usage({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
    assert len(world.service.events(ALICE).events) == 1


def walk(given: dict[str, Any]) -> tuple[str, list[str]]:
    """Run the state machine's definition, as far as it uses Amazon States Language; returns how it ended."""
    states: dict[str, Any] = yaml.safe_load(MACHINE.read_text())["States"]
    visited: list[str] = []

    def pick(path: str, data: Any) -> Any:
        for name in path.removeprefix("$").split("."):
            data = data[name] if name else data
        return data

    def fill(template: dict[str, Any], data: Any) -> dict[str, Any]:
        return {
            name.removesuffix(".$"): pick(value, data) if name.endswith(".$") else value
            for name, value in template.items()
        }

    def task(state: dict[str, Any], data: Any) -> Any:
        payload = fill(state["Parameters"]["Payload"], data)
        answer: Any = json.loads(json.dumps(run_step(json.loads(json.dumps(payload)), None)))
        return data if "ResultPath" in state else answer

    name, data = "Begin", given
    while True:
        state = states[name]
        visited.append(name)
        if state["Type"] in ("Succeed", "Fail"):
            return name, visited
        if state["Type"] == "Choice":
            (choice,) = state["Choices"]
            value = pick(choice["Variable"], data)
            name = choice["Next"] if (value is True or value > 0) else state["Default"]
            continue
        if state["Type"] == "Map":
            inner = state["ItemProcessor"]["States"]
            for account in pick(state["ItemsPath"], data):
                item = fill(state["ItemSelector"] | {"account.$": "$.__item"}, data | {"__item": account})
                try:
                    task(inner["CloseAccount"], item)
                except Exception as error:
                    failure = {"Error": type(error).__name__, "Cause": str(error)}
                    task(inner["NoteFailure"], item | {"failure": failure})
        else:
            data = task(state, data)
        name = state["Next"]


def test_the_state_machine_closes_the_hour_for_every_account(world: World) -> None:
    events = [event(f"evt_{n}", "start", 0, account=f":t{n}:", cluster_id=f"cl_{n}") for n in range(9)]
    world.service.record(SYSTEM, events)
    world.at(START + timedelta(hours=1, minutes=5))
    ended, visited = walk({"id": "7", "detail-type": "Scheduled Event", "time": "2026-11-22T11:05:00Z"})
    assert ended == "Done"
    assert visited.count("ListAccounts") > 1
    for each in events:
        assert len(world.ledger.hours(each.account, START, START + timedelta(hours=1))) == 1


def test_the_state_machine_ends_incomplete_when_an_account_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [event("evt_1", "start", 0), event("evt_2", "start", 0, account=GLOBEX, cluster_id="cl_2")]
    world.service.record(SYSTEM, both)
    world.at(START + timedelta(hours=1, minutes=5))
    close = world.ledger.close

    def broken(stream: Any, *rest: Any) -> None:
        if stream.account == ACME:
            raise RuntimeError("throttled")
        close(stream, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "close", broken)
        assert walk({"hour": "2026-11-22T10:00:00.000Z", "rebuild": False})[0] == "Incomplete"
    assert world.ledger.failures(START) == {ACME: "RuntimeError: throttled"}
    assert world.ledger.hours(GLOBEX, START, START + timedelta(hours=1))
    assert walk({"hour": "2026-11-22T10:00:00.000Z", "rebuild": False})[0] == "Done"
    assert world.ledger.hours(ACME, START, START + timedelta(hours=1))


def test_every_step_of_the_machine_exists_and_is_used() -> None:
    text = MACHINE.read_text()
    states = yaml.safe_load(text)["States"]
    inner = states["CloseAccounts"]["ItemProcessor"]["States"]
    tasks = [state for state in [*states.values(), *inner.values()] if state["Type"] == "Task"]
    assert {state["Parameters"]["Payload"]["step"] for state in tasks} == set(STEPS)
    assert all("Retry" in state for state in tasks)
