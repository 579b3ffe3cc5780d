"""What billing needs of the world: a ledger, a book of prices, a reader of packages, a workflow.

Owns: the interfaces, the records that cross them (`Stream`, `EventPage`, `AccountPage`).
Never: implements anything. Next: ``dynamo`` (ledger, prices), ``specs`` and ``aws`` (the rest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pitrix.billing.model import PricePlan, Receipt, UsageEvent
from pitrix.billing.rating import Running, Usage
from pitrix.identity.model import Principal
from pitrix.packages.model import ClusterSpec


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The head of one cluster's usage history: how far it is rolled up and what ran there.

    Attributes:
        first_at, last_at: The earliest and the latest event known.
        closed_through: Every hour before this one is rolled up and agrees with the events. A late event
            lowers it, in the very transaction that stores the event.
        running: What runs at ``closed_through``; ``None`` when that must be derived from the events.
        ended_at: Nothing runs and nothing is known from this hour on (it is not closed any further then);
            ``None`` while that is not settled.
        version: Of the stored head, for optimistic writes.
    """

    account: str
    cluster_id: str
    app_id: str
    first_at: datetime
    last_at: datetime
    closed_through: datetime
    running: Running | None = field(default_factory=dict)
    ended_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True, kw_only=True)
class EventPage:
    """Some usage events of an account in the order of time."""

    events: list[UsageEvent]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class AccountPage:
    """Some accounts, each named once, and where to go on (``None``: that was all)."""

    accounts: list[str]
    next_cursor: str | None


class Ledger(Protocol):
    """Usage events for ever, their hourly roll-ups, and the traces of aggregation runs."""

    def append(self, events: Sequence[UsageEvent]) -> list[Receipt]:
        """Store valid events of any accounts, each together with its fold into its stream's head.

        Returns:
            A receipt for each, in the order given. An id that is known is a ``duplicate``; its first content
            counts for ever, and the receipt says so where the contents differ.

        Raises:
            ServiceUnavailable: Others write to the same stream too fast; what was stored stays, sending
                all of it again is safe.
        """
        ...

    def stream(self, account: str, cluster_id: str) -> Stream | None:
        """The head of one stream, read consistently."""
        ...

    def streams(self, account: str, since: datetime) -> Iterable[Stream]:
        """The heads of an account that had not ended before ``since`` (a whole hour)."""
        ...

    def stream_events(
        self, account: str, cluster_id: str, start: datetime | None, end: datetime
    ) -> Iterable[UsageEvent]:
        """A stream's events in ``[start, end)``, or all before ``end``; read consistently."""
        ...

    def account_events(
        self, account: str, start: datetime, end: datetime, *, limit: int, cursor: str | None
    ) -> EventPage:
        """An account's events in ``[start, end)``, oldest first."""
        ...

    def hours(self, account: str, start: datetime, end: datetime) -> Mapping[str, Mapping[datetime, Usage]]:
        """Stored hours in ``[start, end)`` by cluster. Those at or after a ``closed_through`` are stale."""
        ...

    def close(self, stream: Stream, hours: Mapping[datetime, Usage], replaced: Stream) -> None:
        """Write ``hours`` for ``[replaced.closed_through, stream.closed_through)`` and the new head at once.

        Args:
            stream: The new head.
            hours: All usage of that span; an hour that is missing had none.
            replaced: The head that it was computed from, its ``closed_through`` set to where the span begins.

        Raises:
            Conflict: The stream changed since ``replaced`` was read.
        """
        ...

    def active_accounts(self, since: datetime, *, limit: int, cursor: str | None) -> AccountPage:
        """Accounts with a stream that had not ended before ``since``.

        An account may come again on a later page, never twice on one.
        """
        ...

    def forget_failures(self, hour: datetime) -> None:
        """Drop the failures recorded for ``hour``: a new run begins."""
        ...

    def note_failure(self, hour: datetime, account: str, error: str, at: datetime) -> None:
        """Remember that ``account`` could not be aggregated for ``hour``; kept for 90 days."""
        ...

    def failures(self, hour: datetime) -> dict[str, str]:
        """Error by account, of the last run for ``hour``."""
        ...


class PriceBook(Protocol):
    """Every version of every price plan."""

    def versions(self, plan: str) -> list[PricePlan]:
        """All versions of one plan, oldest first, read consistently; empty when there is no such plan."""
        ...

    def names(self) -> list[str]:
        """The names of all plans."""
        ...

    def add(self, version: PricePlan) -> None:
        """Store a new version.

        Raises:
            Conflict: That version of that plan exists.
        """
        ...


class HasRuntimeId(Protocol):
    """All that a quote needs of a runtime."""

    @property
    def runtime_id(self) -> str: ...


class SpecSource(Protocol):
    """What a deployment would be, without deploying: the catalog, the packages and the runtimes behind it."""

    def spec(
        self,
        who: Principal,
        *,
        app_id: str,
        version_id: str,
        answers: Mapping[str, Any],
        locale: str = "en",
    ) -> ClusterSpec:
        """The cluster that those answers ask for; of the latest release where ``version_id`` is empty.

        Args:
            locale: Language in which wrong answers are told.

        Raises:
            NotFound: No such app or version for ``who``.
            InvalidInput: An answer is wrong; every one that is, is named.
        """
        ...

    def runtime(self, who: Principal, runtime_id: str) -> HasRuntimeId:
        """The runtime, or ``NotFound`` where ``who`` may not deploy to it."""
        ...


class Aggregation(Protocol):
    """The state machine ``aggregate_billing``."""

    def start(self, hour: datetime, *, rebuild: bool) -> str:
        """Start a run for ``hour`` and return the execution's id."""
        ...
