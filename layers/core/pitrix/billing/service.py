"""The use cases of billing: record usage, aggregate it, price it, report it, preview the bill.

Owns: who may see which account, what makes an event acceptable, which hours are read from roll-ups and
which from events. Never: does arithmetic on money (``rating``), knows a key (``dynamo``), reads the time
but from its clock.
Next: ``functions/billing`` for the routes, ``stepfunctions/aggregate_billing.asl.yaml`` for the hourly run.

One number: `quote`, `usage` and `preview_invoice` all end in ``rating.rate``. The last two read whole hours
that are closed from roll-ups and the rest from events; because roll-ups hold seconds and never money, the
result equals what the events alone would give, wherever the cut lies.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pitrix import ids
from pitrix.billing import rating
from pitrix.billing.model import (
    NODE_METER,
    Charge,
    Invoice,
    InvoiceLine,
    PricePlan,
    Quote,
    QuoteLine,
    Receipt,
    UsageEvent,
    UsageLine,
    UsageReport,
)
from pitrix.billing.ports import Aggregation, EventPage, HasRuntimeId, Ledger, PriceBook, SpecSource, Stream
from pitrix.billing.quantities import node_quantities, workload_quantities
from pitrix.billing.rating import HOUR, HOUR_S, Usage, Used, floor_hour, floor_second
from pitrix.billing.requests import STANDARD_PLAN, NewPlan, PlanChange, QuoteRequest, Run
from pitrix.clock import Clock, rfc3339
from pitrix.errors import Conflict, FieldError, InvalidInput, NotFound, PitrixError, PreconditionFailed
from pitrix.identity.model import SYSTEM, Principal, require, require_owned
from pitrix.packages.model import ClusterSpec

MAX_EVENTS = 500
MAX_REPORT_DAYS = 366
CLOCK_SKEW = timedelta(minutes=5)
"""How far in the future an event may lie; senders' clocks are never exact."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_ACCOUNTS_A_PAGE = 200
# A transaction takes 100 writes: the head and at most 90 days.
_CLOSE_AT_ONCE = timedelta(days=90)
_CLOSE_ATTEMPTS = 5
_MAX_QUANTITY = 10**12
_MAX_PRICE_MICROS = 10**15
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,127}")
_ACCOUNT = re.compile(r":(?:[A-Za-z0-9._-]{1,64}:){0,9}")
_SLUG = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")

_log = logging.getLogger("pitrix")


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """The accounts to aggregate next; ``more`` tells whether another page follows at ``cursor``."""

    hour: str
    rebuild: bool
    cursor: str
    more: bool
    accounts: list[str]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended: error by account for those that failed."""

    hour: str
    failed: int
    failures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class StartedRun:
    """An aggregation that was started on demand."""

    execution_id: str
    hour: str
    rebuild: bool


class BillingService:
    """Metering and bills of every account.

    ``specs`` is called on the first quote: other contexts, and their tables, are needed for nothing else.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        prices: PriceBook,
        clock: Clock,
        specs: Callable[[], SpecSource],
        aggregation: Aggregation,
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._clock = clock
        self._specs = specs
        self._aggregation = aggregation

    # --- usage events ------------------------------------------------------------------------------------

    def record(self, who: Principal, events: Sequence[UsageEvent | Mapping[str, Any]]) -> list[Receipt]:
        """Store usage events, each exactly once by its id, for ever.

        Args:
            events: 1 to 500; as `UsageEvent`, or as JSON documents of the same shape.

        Returns:
            A receipt for each, in order. What is accepted is durable and counts.

        Raises:
            PermissionDenied: ``who`` may not record usage.
            InvalidInput: None, or more than 500.
            ServiceUnavailable: The store is too busy; send all of it again.
        """
        require(who, "billing", "record")
        if not 1 <= len(events) <= MAX_EVENTS:
            message = f"must hold 1 to {MAX_EVENTS} events, not {len(events)}"
            raise InvalidInput(f"events {message}.", errors=[FieldError("events", message)])
        checked = [self._checked(event) for event in events]
        stored = iter(self._ledger.append([event for event in checked if isinstance(event, UsageEvent)]))
        return [next(stored) if isinstance(event, UsageEvent) else event for event in checked]

    def consume(self, messages: Sequence[tuple[str, str]]) -> list[str]:
        """Record what a queue delivers: (message id, JSON of one event) each.

        Returns:
            The ids of the messages that must not be deleted: unreadable and rejected ones end in the
            dead-letter queue for a person to look at, those that met a failing store come again.
        """
        readable: dict[str, Mapping[str, Any]] = {}
        failed: list[str] = []
        for message_id, text in messages:
            try:
                document = json.loads(text)
            except ValueError:
                document = None
            if isinstance(document, dict):
                readable[message_id] = document
            else:
                _log.error("usage message %s is not a JSON object", message_id)
                failed.append(message_id)
        for message_id, receipt in self._recorded(readable):
            if receipt is not None and receipt.outcome == "duplicate" and receipt.reason:
                _log.warning("usage event %s: %s", receipt.event_id, receipt.reason)
            if receipt is None or receipt.outcome == "rejected":
                failed.append(message_id)
                reason = "the store failed" if receipt is None else receipt.reason
                _log.error("usage message %s was not recorded: %s", message_id, reason)
        return failed

    def _recorded(self, documents: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Receipt | None]]:
        if not documents:
            return
        try:
            yield from zip(documents, self.record(SYSTEM, list(documents.values())), strict=True)
            return
        except Exception:
            # One event, or one stream, may be what fails: the others must not wait for it.
            _log.exception("recording a batch of usage failed; recording one by one")
        for message_id, document in documents.items():
            try:
                yield message_id, self.record(SYSTEM, [document])[0]
            except Exception:
                _log.exception("recording usage message %s failed", message_id)
                yield message_id, None

    def _checked(self, given: UsageEvent | Mapping[str, Any]) -> UsageEvent | Receipt:
        """The event as it is stored, or the receipt that rejects it."""
        if isinstance(given, UsageEvent):
            event = given
        else:
            event_id = given.get("event_id")
            named = event_id if isinstance(event_id, str) else ""
            unknown = sorted(set(given) - {each.name for each in fields(UsageEvent)})
            if unknown:
                return _rejected(named, f"{unknown[0]}: is unknown")
            try:
                event = msgspec.convert(given, UsageEvent)
            except msgspec.ValidationError as error:
                return _rejected(named, str(error).replace("`", "").replace("$.", ""))
        reason = self._fault(event)
        if reason:
            return _rejected(event.event_id, reason)
        quantities = dict(event.quantities)
        if event.kind == "start" and event.meter == NODE_METER:
            quantities.setdefault("node", 1)
        return replace(event, at=event.at.astimezone(UTC), quantities=quantities)

    def _fault(self, event: UsageEvent) -> str:
        for name in ("event_id", "cluster_id", "node_id", "app_id"):
            if not _ID.fullmatch(getattr(event, name)):
                return f"{name}: must be 1 to 128 letters, digits or ._:@/+=-"
        if not _ACCOUNT.fullmatch(event.account):
            return "account: must be an owner path such as :acme:shop:"
        if not _SLUG.fullmatch(event.meter):
            return "meter: must be a short lower-case name"
        if event.at.tzinfo is None:
            return "at: needs an offset, such as 2026-11-22T10:00:00Z"
        if event.at < _EPOCH:
            return f"at: lies before {rfc3339(_EPOCH)}"
        if event.at > self._clock.now() + CLOCK_SKEW:
            return f"at: lies more than {CLOCK_SKEW.seconds // 60} minutes in the future"
        if event.kind == "start" and not event.quantities:
            return "quantities: a start needs at least one"
        for name, amount in event.quantities.items():
            if not _SLUG.fullmatch(name):
                return f"quantities.{name}: must be a short lower-case name"
            if not 0 <= amount <= _MAX_QUANTITY:
                return f"quantities.{name}: must be from 0 to {_MAX_QUANTITY}"
        return ""

    def events(
        self,
        who: Principal,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        *,
        account: str = "",
        limit: int = 50,
        cursor: str | None = None,
    ) -> EventPage:
        """An account's usage events in ``[starts_at, ends_at)``, oldest first.

        The account is that of ``who`` unless another one, which ``who`` owns, is given; the window is open
        where it is not given.

        Raises:
            NotFound: ``who`` does not own ``account``.
            InvalidInput: A bad window, limit or cursor.
        """
        account = self._account(who, account)
        # Fixed bounds, not "now": every page of a list must be the same query.
        start, end = _window(starts_at or _EPOCH, ends_at or _FOREVER)
        return self._ledger.account_events(account, start, end, limit=limit, cursor=cursor)

    # --- aggregation -------------------------------------------------------------------------------------

    def start_aggregation(
        self, who: Principal, hour: datetime | None = None, *, rebuild: bool = False
    ) -> StartedRun:
        """Start the aggregation of ``hour`` (the last complete one by default) now.

        Args:
            rebuild: Compute the hour anew from its events even where it is closed.

        Raises:
            PermissionDenied: Only operators may.
            InvalidInput: ``hour`` is not over yet, or not a whole hour.
        """
        require(who, "billing", "aggregate")
        chosen = self._complete_hour(hour)
        execution_id = self._aggregation.start(chosen, rebuild=rebuild)
        return StartedRun(execution_id=execution_id, hour=rfc3339(chosen), rebuild=rebuild)

    def begin_run(self, who: Principal, hour: datetime | None = None, *, rebuild: bool = False) -> Run:
        """Step 1 of a run: settle which hour it is for, and forget what failed in the run before."""
        require(who, "billing", "aggregate")
        chosen = self._complete_hour(hour)
        self._ledger.forget_failures(chosen)
        return Run(hour=rfc3339(chosen), rebuild=rebuild)

    def next_accounts(self, who: Principal, run: Run) -> RunPage:
        """Step 2, repeated while there is ``more``: the accounts that were active in the hour or later."""
        require(who, "billing", "aggregate")
        hour = datetime.fromisoformat(run.hour)
        page = self._ledger.active_accounts(hour, limit=_ACCOUNTS_A_PAGE, cursor=run.cursor or None)
        return RunPage(
            hour=run.hour,
            rebuild=run.rebuild,
            cursor=page.next_cursor or "",
            more=page.next_cursor is not None,
            accounts=page.accounts,
        )

    def close_account(self, who: Principal, account: str, hour: datetime, *, rebuild: bool = False) -> None:
        """Step 3, for each account: bring the roll-ups of its clusters up to the end of ``hour``.

        Safe to run again, for any hour, in any order and at the same time as events arrive. Hours that an
        earlier run missed, or that a late event reopened, are closed along the way.

        Raises:
            Conflict: Events kept arriving for the same cluster; the state machine tries again.
        """
        require(who, "billing", "aggregate")
        hour = self._complete_hour(hour)
        for stream in list(self._ledger.streams(account, hour)):
            self._close_stream(account, stream.cluster_id, hour, rebuild=rebuild)

    def note_failure(self, who: Principal, account: str, hour: datetime, error: str) -> None:
        """Step 3 when it failed for good: remember it; the account's next run catches up."""
        require(who, "billing", "aggregate")
        _log.error("aggregation of account %s for %s failed: %s", account, rfc3339(hour), error)
        self._ledger.note_failure(hour, account, error, self._clock.now())

    def finish_run(self, who: Principal, hour: datetime) -> RunResult:
        """The last step: what failed (at most 100 accounts are named: answers of a step are bounded)."""
        require(who, "billing", "aggregate")
        failures = self._ledger.failures(hour)
        named = dict(sorted(failures.items())[:100])
        return RunResult(hour=rfc3339(hour), failed=len(failures), failures=named)

    def close_hour(self, who: Principal, hour: datetime | None = None, *, rebuild: bool = False) -> RunResult:
        """All steps of a run, one after the other and in this process: for simulations and repair."""
        run = self.begin_run(who, hour, rebuild=rebuild)
        chosen = datetime.fromisoformat(run.hour)
        while True:
            page = self.next_accounts(who, run)
            for account in page.accounts:
                try:
                    self.close_account(who, account, chosen, rebuild=rebuild)
                except PitrixError as error:
                    self.note_failure(who, account, chosen, error.detail)
            if not page.more:
                return self.finish_run(who, chosen)
            run = replace(run, cursor=page.cursor)

    def _close_stream(self, account: str, cluster_id: str, hour: datetime, *, rebuild: bool) -> None:
        through = hour + HOUR
        for _ in range(_CLOSE_ATTEMPTS):
            stream = self._ledger.stream(account, cluster_id)
            if stream is None:
                return
            target = max(through, stream.closed_through)
            if rebuild and stream.closed_through > hour:
                stream = replace(stream, closed_through=hour, running=None, ended_at=None)
            try:
                while stream.closed_through < target and stream.ended_at is None:
                    stream = self._closed(stream, min(target, stream.closed_through + _CLOSE_AT_ONCE))
                return
            except Conflict:
                _log.info("stream %s changed while it was aggregated", cluster_id)
        raise Conflict(f"Usage of {cluster_id} kept changing while it was aggregated.")

    def _closed(self, stream: Stream, end: datetime) -> Stream:
        """Roll up ``[stream.closed_through, end)`` and return the new head."""
        start = stream.closed_through
        hours, running = self._metered(stream, start, end)
        settled = not running and stream.last_at < end
        ended_at = floor_hour(stream.last_at) + HOUR if settled else None
        closed = replace(stream, closed_through=end, running=running, ended_at=ended_at)
        self._ledger.close(closed, hours, stream)
        return replace(closed, version=stream.version + 1)

    def _metered(
        self, stream: Stream, start: datetime, end: datetime
    ) -> tuple[dict[datetime, Usage], rating.Running]:
        """Meter from events, with the head's memory of what runs where it has one and it is of use."""
        if stream.running is None or start < stream.closed_through:
            events = self._ledger.stream_events(stream.account, stream.cluster_id, None, end)
            return rating.meter({}, events, start, end)
        events = self._ledger.stream_events(stream.account, stream.cluster_id, stream.closed_through, end)
        return rating.meter(stream.running, events, start, end)

    def _complete_hour(self, hour: datetime | None) -> datetime:
        present = floor_hour(self._clock.now())
        if hour is None:
            return present - HOUR
        if hour.tzinfo is None or hour != floor_hour(hour) or hour >= present or hour < _EPOCH:
            message = "must be the beginning of an hour (UTC) that is over"
            raise InvalidInput(f"hour {message}.", errors=[FieldError("hour", message)])
        return hour.astimezone(UTC)

    # --- prices ------------------------------------------------------------------------------------------

    def plans(self, who: Principal) -> list[PricePlan]:
        """The version of each plan that is in effect now (the first one, where none is yet)."""
        require(who, "billing", "read")
        return [self._present(name) for name in sorted({STANDARD_PLAN, *self._prices.names()})]

    def plan(self, who: Principal, plan: str) -> PricePlan:
        """The version of ``plan`` that is in effect now.

        Raises:
            NotFound: There is no such plan.
        """
        require(who, "billing", "read")
        return self._present(plan)

    def plan_versions(self, who: Principal, plan: str) -> list[PricePlan]:
        """Every version of ``plan``, oldest first.

        Raises:
            NotFound: There is no such plan.
        """
        require(who, "billing", "read")
        return self._versions(plan)

    def ensure_default_plan(self) -> PricePlan:
        """Make the plan ``standard`` where it is missing (seeding calls this; it is safe to call again).

        One that an older release made and nobody changed gets the charges of this release from the next hour
        on: what it did not know of would cost nothing.
        """
        now = self._clock.now()
        plan = PricePlan(
            plan_id=ids.new("pp"),
            plan=STANDARD_PLAN,
            version=1,
            title="Standard",
            currency="USD",
            charges=STANDARD_CHARGES,
            effective_from=_EPOCH,
            created_at=now,
        )
        try:
            self._prices.add(plan)
        except Conflict:
            first, *changed = self._prices.versions(STANDARD_PLAN)
            if first.charges != STANDARD_CHARGES and not changed:
                with suppress(Conflict):  # somebody else just did it
                    self._prices.add(replace(plan, version=2, effective_from=_effective(None, now)))
            return first
        return plan

    def create_plan(self, who: Principal, new: NewPlan) -> PricePlan:
        """Make version 1 of a new plan.

        Raises:
            PermissionDenied: Only operators may.
            InvalidInput: A bad name, currency, charge or date.
            Conflict: There is a plan of that name.
        """
        require(who, "billing", "manage_prices")
        errors = [] if _SLUG.fullmatch(new.plan) else [FieldError("plan", "must be a short lower-case name")]
        if not _CURRENCY.fullmatch(new.currency):
            errors.append(FieldError("currency", "must be an ISO 4217 code such as USD"))
        errors += _charge_errors(new.charges)
        if errors:
            raise InvalidInput("The price plan is not valid.", errors=errors)
        now = self._clock.now()
        version = PricePlan(
            plan_id=ids.new("pp"),
            plan=new.plan,
            version=1,
            title=new.title,
            currency=new.currency,
            charges=tuple(new.charges),
            effective_from=_effective(new.effective_from, now),
            created_at=now,
        )
        try:
            self._prices.add(version)
        except Conflict:
            raise Conflict(f"There is a price plan {new.plan!r} already; change that one.") from None
        return version

    def change_plan(
        self, who: Principal, plan: str, change: PlanChange, *, if_version: int | None = None
    ) -> PricePlan:
        """Make the next version of ``plan``; the ones before stay, and rate what was used before it.

        Args:
            if_version: The number that the newest version must have.

        Raises:
            PermissionDenied: Only operators may.
            NotFound: There is no such plan.
            InvalidInput: A bad charge or date; prices never change for hours that have begun.
            PreconditionFailed: The newest version is another one.
            Conflict: Somebody else changed it at the same moment.
        """
        require(who, "billing", "manage_prices")
        last = self._versions(plan)[-1]
        if if_version not in (None, last.version):
            raise PreconditionFailed(f"The newest version of price plan {plan!r} is {last.version}.")
        if change.charges is not None and (errors := _charge_errors(change.charges)):
            raise InvalidInput("The price plan is not valid.", errors=errors)
        now = self._clock.now()
        version = replace(
            last,
            plan_id=ids.new("pp"),
            version=last.version + 1,
            title=last.title if change.title is None else change.title,
            charges=last.charges if change.charges is None else tuple(change.charges),
            effective_from=_effective(change.effective_from, now),
            created_at=now,
        )
        self._prices.add(version)
        return version

    def quote(
        self,
        who: Principal,
        spec: ClusterSpec,
        runtime: HasRuntimeId | None = None,
        *,
        plan: str = STANDARD_PLAN,
    ) -> Quote:
        """What each hour of ``spec`` with all its nodes running costs, at the prices of this moment.

        Raises:
            NotFound: There is no such plan.
        """
        require(who, "billing", "quote")
        quoted = self._present(plan)
        things = [(role.machines, node_quantities(role)) for role in spec.roles]
        things += [(1, workload_quantities(workload)) for workload in spec.workloads]
        hour = rating.total(
            {
                f"{NODE_METER}.{name}": Used(amount * count * HOUR_S, count * HOUR_S)
                for name, amount in quantities.items()
            }
            for count, quantities in things
        )
        lines = tuple(
            QuoteLine(
                charge=charge.key,
                title=charge.title,
                unit=charge.unit,
                quantity=rating.quantity(charge, used),
                unit_price_micros=charge.unit_price_micros,
                micros_per_hour=amount,
            )
            for charge, used, amount in rating.rate(quoted, hour)
        )
        return Quote(
            runtime_id=runtime.runtime_id if runtime else "",
            plan=quoted.plan,
            plan_version=quoted.version,
            currency=quoted.currency,
            nodes=spec.copies,
            lines=lines,
            micros_per_hour=sum(line.micros_per_hour for line in lines),
            notes=tuple(spec.unmetered),
        )

    def quote_request(self, who: Principal, request: QuoteRequest, *, locale: str = "en") -> Quote:
        """`quote` for an app's answers, rendered as a deployment would; ``locale`` is that of messages.

        Raises:
            NotFound: No such app, version, runtime or plan for ``who``.
            InvalidInput: An answer is wrong, or neither app nor version is named.
        """
        require(who, "billing", "quote")
        if not (request.app_id or request.version_id):
            message = "is required, unless version_id is given"
            raise InvalidInput(f"app_id {message}.", errors=[FieldError("app_id", message)])
        runtime = self._specs().runtime(who, request.runtime_id) if request.runtime_id else None
        spec = self._specs().spec(
            who,
            app_id=request.app_id,
            version_id=request.version_id,
            answers=request.answers,
            locale=locale,
        )
        return self.quote(who, spec, runtime, plan=request.plan)

    def _present(self, plan: str) -> PricePlan:
        versions = self._versions(plan)
        now = self._clock.now()
        effective = [version for version in versions if version.effective_from <= now]
        return max(effective, key=lambda v: (v.effective_from, v.version)) if effective else versions[0]

    def _versions(self, plan: str) -> list[PricePlan]:
        versions = self._prices.versions(plan)
        if not versions and plan == STANDARD_PLAN:
            return [self.ensure_default_plan()]
        if not versions:
            raise NotFound(f"Price plan {plan!r} does not exist.")
        return versions

    # --- reports and bills -------------------------------------------------------------------------------

    def usage(
        self,
        who: Principal,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        *,
        account: str = "",
    ) -> UsageReport:
        """What an account used in ``[starts_at, ends_at)`` and what it costs, by cluster and charge.

        The window is cut to whole seconds, is the present month up to now unless it is given, and is at
        most 366 days long. What runs at the end of it, or now, is metered up to there.

        Raises:
            NotFound: ``who`` does not own ``account``.
            InvalidInput: A bad window.
        """
        account = self._account(who, account)
        now = floor_second(self._clock.now())
        month = (ends_at or now).astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        start, end = _window(starts_at or month, ends_at or now)
        if end - start > timedelta(days=MAX_REPORT_DAYS):
            message = f"must be at most {MAX_REPORT_DAYS} days after 'from'"
            raise InvalidInput(f"to {message}.", errors=[FieldError("to", message)])
        start, end = floor_second(start), floor_second(end)
        currency, lines = self._lines(account, start, min(end, now))
        return UsageReport(
            account=account,
            starts_at=start,
            ends_at=end,
            metered_to=min(end, now),
            currency=currency,
            lines=tuple(lines),
            total_micros=sum(line.amount_micros for line in lines),
        )

    def preview_invoice(self, who: Principal, period: str, *, account: str = "") -> Invoice:
        """The invoice of a calendar month (``2026-11``, UTC) as it stands now.

        Raises:
            NotFound: ``who`` does not own ``account``.
            InvalidInput: ``period`` is no month.
        """
        account = self._account(who, account)
        start, end = _month(period)
        metered_to = min(end, floor_second(self._clock.now()))
        currency, lines = self._lines(account, start, metered_to)
        return Invoice(
            account=account,
            period=period,
            starts_at=start,
            ends_at=end,
            metered_to=max(metered_to, start),
            currency=currency,
            lines=tuple(
                InvoiceLine(
                    number=number, **{each.name: getattr(line, each.name) for each in fields(UsageLine)}
                )
                for number, line in enumerate(lines, 1)
            ),
            total_micros=sum(line.amount_micros for line in lines),
        )

    def _lines(self, account: str, start: datetime, end: datetime) -> tuple[str, list[UsageLine]]:
        versions = self._versions(STANDARD_PLAN)
        lines: list[UsageLine] = []
        if start < end:
            # In this order: an hour that is closed in between is then live in the stream as it was read, and
            # would be missing from both the other way round.
            streams = list(self._ledger.streams(account, floor_hour(start)))
            rolled_up = self._ledger.hours(account, floor_hour(start), end)
            for stream in sorted(streams, key=lambda stream: (stream.first_at, stream.cluster_id)):
                hours = rolled_up.get(stream.cluster_id, {})
                for version, lo, hi in rating.segments(versions, start, end):
                    usage = self._usage(stream, hours, lo, hi)
                    lines += [
                        _line(stream, version, charge, used, amount)
                        for charge, used, amount in rating.rate(version, usage)
                    ]
        return versions[-1].currency, lines

    def _usage(
        self, stream: Stream, hours: Mapping[datetime, Usage], start: datetime, end: datetime
    ) -> Usage:
        """A stream's usage in ``[start, end)``: closed hours from roll-ups, the rest from events."""
        if floor_second(stream.first_at) >= end:
            return {}
        cut = max(start, min(stream.closed_through, end))
        if start != floor_hour(start) or cut != floor_hour(cut):
            cut = start  # the window cuts a closed hour in two: roll-ups do not know how
        closed = (usage for hour, usage in hours.items() if start <= hour < cut)
        live = self._metered(stream, cut, end)[0].values() if cut < end else ()
        return rating.total([*closed, *live])

    def _account(self, who: Principal, account: str) -> str:
        require(who, "billing", "read")
        chosen = account or who.owner_path
        if chosen != who.owner_path:
            require_owned(who, chosen, f"Account {chosen}")
        return chosen


STANDARD_CHARGES = (
    Charge(key="vcpu", title="Processors", unit="vCPU-hour", dimension="vcpu", unit_price_micros=40_480),
    Charge(
        key="memory",
        title="Memory",
        unit="GiB-hour",
        dimension="memory_mib",
        units=1024,
        unit_price_micros=4_445,
    ),
    Charge(key="volume", title="Volumes", unit="GiB-hour", dimension="volume_gib", unit_price_micros=110),
    Charge(
        key="pod_vcpu",
        title="Processors of pods",
        unit="vCPU-hour",
        dimension="vcpu_millis",
        units=1000,
        unit_price_micros=40_480,
    ),
)
"""The first prices of the plan ``standard``, in USD micros."""


# --- details -----------------------------------------------------------------------------------------------


def _rejected(event_id: str, reason: str) -> Receipt:
    return Receipt(event_id=event_id, outcome="rejected", reason=reason)


def _line(stream: Stream, version: PricePlan, charge: Charge, used: Used, amount: int) -> UsageLine:
    return UsageLine(
        cluster_id=stream.cluster_id,
        app_id=stream.app_id,
        charge=charge.key,
        title=charge.title,
        unit=charge.unit,
        plan=version.plan,
        plan_version=version.version,
        seconds=used.seconds,
        quantity_seconds=used.quantity_seconds,
        quantity=rating.quantity(charge, used),
        unit_price_micros=charge.unit_price_micros,
        amount_micros=amount,
    )


def _window(starts_at: datetime, ends_at: datetime) -> tuple[datetime, datetime]:
    """The window in UTC, if it is one."""
    for name, at in (("from", starts_at), ("to", ends_at)):
        if at.tzinfo is None or not _EPOCH <= at <= _FOREVER:
            message = "must be an RFC 3339 time with an offset, from the year 2000 on"
            raise InvalidInput(f"{name} {message}.", errors=[FieldError(name, message)])
    if starts_at >= ends_at:
        message = "must be before 'to'"
        raise InvalidInput(f"from {message}.", errors=[FieldError("from", message)])
    return starts_at.astimezone(UTC), ends_at.astimezone(UTC)


def _month(period: str) -> tuple[datetime, datetime]:
    found = _PERIOD.fullmatch(period)
    if found is None or int(found[1]) < _EPOCH.year:
        message = "must be a month such as 2026-11"
        raise InvalidInput(f"period {message}.", errors=[FieldError("period", message)])
    start = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    return start, (start + timedelta(days=31)).replace(day=1)


def _effective(wanted: datetime | None, now: datetime) -> datetime:
    """The hour that a new version begins with: never one that has begun."""
    following = floor_hour(now) + HOUR
    if wanted is None:
        return following
    if wanted.tzinfo is None or wanted != floor_hour(wanted) or wanted < following:
        message = f"must be a whole hour (UTC) from {rfc3339(following)} on"
        raise InvalidInput(f"effective_from {message}.", errors=[FieldError("effective_from", message)])
    return wanted.astimezone(UTC)


def _charge_errors(charges: Iterable[Charge]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, charge in enumerate(charges):
        at = f"charges[{index}]"
        if charge.key in seen:
            errors.append(FieldError(f"{at}.key", "is given twice"))
        seen.add(charge.key)
        for name in ("key", "meter", "dimension"):
            if not _SLUG.fullmatch(getattr(charge, name)):
                errors.append(FieldError(f"{at}.{name}", "must be a short lower-case name"))
        if not 0 <= charge.unit_price_micros <= _MAX_PRICE_MICROS:
            errors.append(FieldError(f"{at}.unit_price_micros", f"must be from 0 to {_MAX_PRICE_MICROS}"))
        for name in ("units", "seconds"):
            if getattr(charge, name) < 1:
                errors.append(FieldError(f"{at}.{name}", "must be at least 1"))
    return errors if seen else [FieldError("charges", "must hold at least one charge")]
