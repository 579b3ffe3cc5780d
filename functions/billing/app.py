"""REST routes of billing: usage, aggregation on demand, price plans, quotes, reports, invoice previews.

Owns the mapping between HTTP and `pitrix.billing.service`; who may do what is decided there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from chalice.app import Response

from pitrix import bootstrap
from pitrix.billing.model import PricePlan
from pitrix.billing.requests import NewPlan, PlanChange, QuoteRequest
from pitrix.errors import FieldError, InvalidInput
from pitrix.http import body, check_limit, create_api, etag, if_match, locale, ok, page, params, raw_body
from pitrix.http import principal as who_asks

app = create_api("billing", replays=lambda: bootstrap.table("billing"))


class Window(msgspec.Struct, frozen=True, kw_only=True, rename={"starts_at": "from", "ends_at": "to"}):
    """Query parameters of whatever looks at a stretch of time."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    account: str = ""


class EventsQuery(Window, frozen=True, kw_only=True, rename={"starts_at": "from", "ends_at": "to"}):
    """Query parameters of ``GET /v1/usage``."""

    limit: int = 50
    cursor: str | None = None


class ReportQuery(Window, frozen=True, kw_only=True, rename={"starts_at": "from", "ends_at": "to"}):
    """Query parameters of ``GET /v1/reports/usage``."""

    format: Literal["json", "csv"] = "json"


@dataclass(frozen=True, kw_only=True)
class AccountQuery:
    """Query parameters of ``POST /v1/invoices:preview``."""

    account: str = ""


@dataclass(frozen=True, kw_only=True)
class UsageBody:
    """Body of ``POST /v1/usage``: the fields of one event, or ``events`` alone. Each is checked by itself."""

    events: list[dict[str, Any]] | None = None
    event_id: Any = None
    account: Any = None
    cluster_id: Any = None
    node_id: Any = None
    app_id: Any = None
    meter: Any = None
    kind: Any = None
    at: Any = None
    quantities: Any = None


@dataclass(frozen=True, kw_only=True)
class AggregateBody:
    """Body of ``POST /v1/usage:aggregate``; all of it may be left out."""

    hour: datetime | None = None
    rebuild: bool = False


@dataclass(frozen=True, kw_only=True)
class PreviewBody:
    """Body of ``POST /v1/invoices:preview``."""

    period: str


@app.route("/v1/usage", methods=["GET"])
def list_usage() -> Response:
    asked = params(app, EventsQuery)
    check_limit(asked.limit)
    found = bootstrap.billing().events(
        who_asks(app),
        asked.starts_at,
        asked.ends_at,
        account=asked.account,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return page(found.events, found.next_cursor)


@app.route("/v1/usage", methods=["POST"])
def record_usage() -> Response:
    return page(bootstrap.billing().record(who_asks(app), _events(body(app, UsageBody))), None)


@app.route("/v1/usage:aggregate", methods=["POST"])
def aggregate() -> Response:
    wanted = body(app, AggregateBody) if raw_body(app).strip() else AggregateBody()
    started = bootstrap.billing().start_aggregation(who_asks(app), wanted.hour, rebuild=wanted.rebuild)
    return ok(started, 202)


@app.route("/v1/price-plans", methods=["GET"])
def list_plans() -> Response:
    return page(bootstrap.billing().plans(who_asks(app)), None)


@app.route("/v1/price-plans", methods=["POST"])
def create_plan() -> Response:
    return _plan(bootstrap.billing().create_plan(who_asks(app), body(app, NewPlan)), 201)


@app.route("/v1/price-plans/{plan}", methods=["GET"])
def get_plan(plan: str) -> Response:
    return _plan(bootstrap.billing().plan(who_asks(app), plan))


@app.route("/v1/price-plans/{plan}", methods=["PATCH"])
def change_plan(plan: str) -> Response:
    change = body(app, PlanChange)
    return _plan(bootstrap.billing().change_plan(who_asks(app), plan, change, if_version=if_match(app)))


@app.route("/v1/price-plans/{plan}/versions", methods=["GET"])
def list_plan_versions(plan: str) -> Response:
    return page(bootstrap.billing().plan_versions(who_asks(app), plan), None)


@app.route("/v1/quotes", methods=["POST"])
def quote() -> Response:
    wanted = body(app, QuoteRequest)
    return ok(bootstrap.billing().quote_request(who_asks(app), wanted, locale=locale(app)))


@app.route("/v1/reports/usage", methods=["GET"])
def report_usage() -> Response:
    asked = params(app, ReportQuery)
    report = bootstrap.billing().usage(who_asks(app), asked.starts_at, asked.ends_at, account=asked.account)
    if asked.format == "json":
        return ok(report)
    from pitrix.billing.export import usage_csv

    name = f"usage-{report.starts_at:%Y%m%dT%H%M%SZ}-{report.ends_at:%Y%m%dT%H%M%SZ}.csv"
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(usage_csv(report), headers, 200)


@app.route("/v1/invoices:preview", methods=["POST"])
def preview_invoice() -> Response:
    account = params(app, AccountQuery).account
    return ok(
        bootstrap.billing().preview_invoice(who_asks(app), body(app, PreviewBody).period, account=account)
    )


def _events(given: UsageBody) -> list[dict[str, Any]]:
    event = {name: value for name, value in asdict(given).items() if name != "events" and value is not None}
    if (given.events is None) == (not event):
        message = "must be given alone, or be left out for the fields of one event"
        raise InvalidInput(f"events {message}.", errors=[FieldError("events", message)])
    return [event] if given.events is None else given.events


def _plan(plan: PricePlan, status: int = 200) -> Response:
    return ok(plan, status, headers={"ETag": etag(plan.version)})
