"""Billing's ledger and price book over ``pitrix.table``.

Owns: the keys. Never: meters, rates or decides who may see what. Next: ``ports`` for what is promised.

==============================  =====================  ==================================================
pk                              sk                     what (indexes)
==============================  =====================  ==================================================
``EVENT#<event id>``            ``EVENT``              the event, once for ever
                                                       (g1 ``EVENTS#<account>#<shard>``)
``STREAM#<account>#<cluster>``  ``HEAD``               `Stream`
                                                       (g1 ``STREAMS#<account>``, g2 ``ACTIVE#<shard>``)
``STREAM#<account>#<cluster>``  ``<at>#<order>#<id>``  the event again, in its place in time
``HOURS#<account>#<month>``     ``<day>#<cluster>``    up to 24 hours of usage
``RUN#<hour>``                  ``FAILED#<account>``   why an account was not aggregated
``PLAN#<plan>``                 ``<version>``          a price plan (g1 ``PLANS``)
==============================  =====================  ==================================================

An event's two items and its stream's head are written in one transaction. Partitions grow by event, by
cluster and by account and month, so that no tenant's traffic meets another's; the only keys that all of one
account's events share are in g1 and spread over `EVENT_SHARDS`. Both indexes that are sorted by the end of
a stream begin with an hour, and "not ended" sorts last: "active since" is one range query, never a scan.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from pitrix.billing.model import PricePlan, Receipt, UsageEvent
from pitrix.billing.ports import AccountPage, EventPage, Stream
from pitrix.billing.rating import Usage, Used, event_order, floor_hour
from pitrix.errors import Conflict, ServiceUnavailable
from pitrix.table import Item, Put, Table, Write, decode_cursor, encode_cursor, pack, query_digest, unpack

EVENT_SHARDS = 4
ACCOUNT_SHARDS = 8
_EVENTS_A_TRANSACTION = 49  # two items each and the head: 99 of the 100 that DynamoDB takes
_ATTEMPTS = 10
_FAILURES_KEPT = timedelta(days=90)
_NEVER = "9999-12-31T23"
_LAST = "~"  # sorts after every character that an id or a time may have


def time_key(at: datetime) -> str:
    """A time as text of fixed length, so that text sorts as time does."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def hour_key(at: datetime) -> str:
    """An hour as text, e.g. ``2026-11-22T10``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H")


def event_key(event: UsageEvent) -> str:
    """The sort key of an event in its stream: the order of ``rating.event_order``, as text."""
    at, stop, event_id = event_order(event)
    return f"{time_key(at)}#{stop:d}#{event_id}"


class DynamoLedger:
    """The `Ledger` port."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # --- events ------------------------------------------------------------------------------------------

    def append(self, events: Sequence[UsageEvent]) -> list[Receipt]:
        receipts: dict[int, Receipt] = {}
        groups: dict[tuple[str, str], dict[int, UsageEvent]] = {}
        seen: set[str] = set()
        for index, event in enumerate(events):
            if event.event_id in seen:
                continue  # answered below, when the first one is stored
            seen.add(event.event_id)
            groups.setdefault((event.account, event.cluster_id), {})[index] = event
        for (account, cluster_id), group in groups.items():
            pending = iter(group.items())
            while chunk := dict(islice(pending, _EVENTS_A_TRANSACTION)):
                receipts |= self._append_to_stream(account, cluster_id, chunk)
        for index, event in enumerate(events):
            if index not in receipts:  # the id came twice: its first event is stored, or was before
                stored = self._stored(event.event_id)
                assert stored is not None
                receipts[index] = _known(event, stored)
        return [receipts[index] for index in range(len(events))]

    def _append_to_stream(
        self, account: str, cluster_id: str, group: dict[int, UsageEvent]
    ) -> dict[int, Receipt]:
        receipts: dict[int, Receipt] = {}
        pending = dict(group)
        for _ in range(_ATTEMPTS):
            if not pending:
                return receipts
            head = self.stream(account, cluster_id)
            folded = _folded(head, list(pending.values()))
            writes: list[Write] = [_head_put(folded, head)]
            for event in pending.values():
                writes += _event_puts(event)
            try:
                self._table.transact(writes)
            except Conflict:
                # Either an id is known already or the head has moved on: find out which, and go on.
                for index, event in list(pending.items()):
                    present = self._stored(event.event_id)
                    if present is not None:
                        receipts[index] = _known(event, present)
                        del pending[index]
                continue
            for index, event in pending.items():
                receipts[index] = Receipt(event_id=event.event_id, outcome="accepted")
            return receipts
        if not pending:
            return receipts
        raise ServiceUnavailable(
            f"Usage of {cluster_id} is being written by too many at once; send it again."
        )

    def _stored(self, event_id: str) -> UsageEvent | None:
        item = self._table.get(f"EVENT#{event_id}", "EVENT")
        return None if item is None else unpack(item.data, UsageEvent)

    def stream_events(
        self, account: str, cluster_id: str, start: datetime | None, end: datetime
    ) -> Iterator[UsageEvent]:
        # The head's key, "HEAD", sorts after every time.
        between = (time_key(start) if start else "0", time_key(end))
        for item in self._table.query_all(_stream_pk(account, cluster_id), between=between):
            yield unpack(item.data, UsageEvent)

    def account_events(
        self, account: str, start: datetime, end: datetime, *, limit: int, cursor: str | None
    ) -> EventPage:
        digest = query_digest(f"EVENTS#{account}", "g1", "", [time_key(start), time_key(end)], False)
        # A space sorts before all that may follow in an id: right behind the last one, before any other.
        low = decode_cursor(cursor, digest)["after"] + " " if cursor else time_key(start)
        shards = (
            # A page of each shard: only so many can be among the first ``limit + 1`` of all.
            self._table.query(
                f"EVENTS#{account}#{shard}", index="g1", between=(low, time_key(end)), limit=limit + 1
            )
            for shard in range(EVENT_SHARDS)
        )
        ordered = merge(*(page.items for page in shards), key=_place)
        items = list(islice(ordered, limit + 1))
        last = _place(items[limit - 1]) if len(items) > limit else None
        return EventPage(
            events=[unpack(item.data, UsageEvent) for item in items[:limit]],
            next_cursor=encode_cursor(digest, {"after": last}) if last else None,
        )

    # --- streams -----------------------------------------------------------------------------------------

    def stream(self, account: str, cluster_id: str) -> Stream | None:
        item = self._table.get(_stream_pk(account, cluster_id), "HEAD")
        return _stream(item) if item else None

    def streams(self, account: str, since: datetime) -> Iterator[Stream]:
        between = (hour_key(since), _LAST)
        for item in self._table.query_all(f"STREAMS#{account}", index="g1", between=between):
            yield _stream(item)

    def active_accounts(self, since: datetime, *, limit: int, cursor: str | None) -> AccountPage:
        digest = query_digest("ACTIVE", "g2", "", hour_key(since), False)
        place = decode_cursor(cursor, digest) if cursor else {"shard": "0", "after": ""}
        shard, after = int(place["shard"]), place["after"] or None
        while True:
            page = self._table.query(
                f"ACTIVE#{shard}", index="g2", between=(hour_key(since), _LAST), limit=limit, cursor=after
            )
            after = page.next_cursor
            if after is None:
                shard += 1
            accounts = list(dict.fromkeys(str(item.data["account"]) for item in page.items))
            if shard == ACCOUNT_SHARDS:
                return AccountPage(accounts=accounts, next_cursor=None)
            if accounts:
                next_cursor = encode_cursor(digest, {"shard": str(shard), "after": after or ""})
                return AccountPage(accounts=accounts, next_cursor=next_cursor)

    # --- hours -------------------------------------------------------------------------------------------

    def hours(self, account: str, start: datetime, end: datetime) -> dict[str, dict[datetime, Usage]]:
        clusters: dict[str, dict[datetime, Usage]] = {}
        month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        while month < end:
            between = (f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}{_LAST}")
            for item in self._table.query_all(f"HOURS#{account}#{month:%Y-%m}", between=between):
                cluster = clusters.setdefault(str(item.data["cluster_id"]), {})
                cluster |= {hour: used for hour, used in _hours(item).items() if start <= hour < end}
            month = (month + timedelta(days=31)).replace(day=1)
        return clusters

    def close(self, stream: Stream, hours: Mapping[datetime, Usage], replaced: Stream) -> None:
        start, end = replaced.closed_through, stream.closed_through
        fresh: dict[datetime, dict[datetime, Usage]] = {}
        for hour, usage in hours.items():
            fresh.setdefault(hour.replace(hour=0), {})[hour] = usage
        writes: list[Write] = [_head_put(stream, replaced)]
        day = start.replace(hour=0)
        while day < end:
            pk, sk = f"HOURS#{stream.account}#{day:%Y-%m}", f"{day:%Y-%m-%d}#{stream.cluster_id}"
            known = self._table.get(pk, sk)
            kept = {} if known is None else {h: used for h, used in _hours(known).items() if h < start}
            # A day that had usage which a late event took away is written empty: its hours count again.
            if known is not None or day in fresh:
                data = _packed_hours(stream.cluster_id, kept | fresh.get(day, {}))
                writes.append(Put(item=Item(pk=pk, sk=sk, data=data)))
            day += timedelta(days=1)
        self._table.transact(writes)

    # --- runs --------------------------------------------------------------------------------------------

    def forget_failures(self, hour: datetime) -> None:
        for item in list(self._table.query_all(f"RUN#{hour_key(hour)}", prefix="FAILED#")):
            self._table.delete(item.pk, item.sk)

    def note_failure(self, hour: datetime, account: str, error: str, at: datetime) -> None:
        self._table.put(
            Item(
                pk=f"RUN#{hour_key(hour)}",
                sk=f"FAILED#{account}",
                data={"account": account, "error": error, "at": time_key(at)},
                expires_at=int((at + _FAILURES_KEPT).timestamp()),
            )
        )

    def failures(self, hour: datetime) -> dict[str, str]:
        found = self._table.query_all(f"RUN#{hour_key(hour)}", prefix="FAILED#")
        return {str(item.data["account"]): str(item.data["error"]) for item in found}


class DynamoPriceBook:
    """The `PriceBook` port."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def versions(self, plan: str) -> list[PricePlan]:
        return [unpack(item.data, PricePlan) for item in self._table.query_all(f"PLAN#{plan}")]

    def names(self) -> list[str]:
        items = self._table.query_all("PLANS", index="g1")
        return list(dict.fromkeys(str(item.data["plan"]) for item in items))

    def add(self, version: PricePlan) -> None:
        sk = f"{version.version:06d}"
        item = Item(
            pk=f"PLAN#{version.plan}", sk=sk, data=pack(version), g1=("PLANS", f"{version.plan}#{sk}")
        )
        self._table.put(item, if_absent=True)


# --- details -----------------------------------------------------------------------------------------------


def _stream_pk(account: str, cluster_id: str) -> str:
    return f"STREAM#{account}#{cluster_id}"


def _shard(text: str, shards: int) -> int:
    return zlib.crc32(text.encode()) % shards


def _place(item: Item) -> str:
    """An event's place in the history of its account."""
    assert item.g1 is not None
    return item.g1[1]


def _known(event: UsageEvent, stored: UsageEvent) -> Receipt:
    reason = "" if event == stored else "event_id: was stored before with another content, which counts"
    return Receipt(event_id=event.event_id, outcome="duplicate", reason=reason)


def _folded(head: Stream | None, events: Iterable[UsageEvent]) -> Stream:
    """The head after ``events``: open again, and closed no further than the earliest of them."""
    ordered = sorted(events, key=event_order)
    first, last = ordered[0], ordered[-1]
    if head is None:
        return Stream(
            account=first.account,
            cluster_id=first.cluster_id,
            app_id=first.app_id,
            first_at=first.at,
            last_at=last.at,
            closed_through=floor_hour(first.at),
        )
    late = first.at < head.closed_through
    return replace(
        head,
        first_at=min(head.first_at, first.at),
        last_at=max(head.last_at, last.at),
        closed_through=floor_hour(first.at) if late else head.closed_through,
        running=None if late else head.running,
        ended_at=None,
    )


def _event_puts(event: UsageEvent) -> list[Write]:
    data = pack(event)
    key = f"{time_key(event.at)}#{event.event_id}"
    shard = _shard(event.event_id, EVENT_SHARDS)
    by_id = Item(
        pk=f"EVENT#{event.event_id}", sk="EVENT", data=data, g1=(f"EVENTS#{event.account}#{shard}", key)
    )
    in_place = Item(pk=_stream_pk(event.account, event.cluster_id), sk=event_key(event), data=data)
    return [Put(item=by_id, if_absent=True), Put(item=in_place, if_absent=True)]


def _head_put(stream: Stream, replaced: Stream | None) -> Put:
    ended = hour_key(stream.ended_at) if stream.ended_at else _NEVER
    data = pack(replace(stream, version=0))
    item = Item(
        pk=_stream_pk(stream.account, stream.cluster_id),
        sk="HEAD",
        data=data,
        g1=(f"STREAMS#{stream.account}", f"{ended}#{stream.cluster_id}"),
        g2=(
            f"ACTIVE#{_shard(stream.account, ACCOUNT_SHARDS)}",
            f"{ended}#{stream.account}#{stream.cluster_id}",
        ),
        version=replaced.version if replaced else 0,
    )
    if replaced is None:
        return Put(item=item, if_absent=True)
    return Put(item=item, if_version=replaced.version)


def _stream(item: Item) -> Stream:
    return replace(unpack(item.data, Stream), version=item.version)


def _hours(item: Item) -> dict[datetime, Usage]:
    stored: dict[str, dict[str, list[int]]] = item.data["hours"]
    return {
        datetime.fromisoformat(hour + ":00:00+00:00"): {name: Used(*pair) for name, pair in usage.items()}
        for hour, usage in stored.items()
    }


def _packed_hours(cluster_id: str, hours: Mapping[datetime, Usage]) -> dict[str, Any]:
    return {
        "cluster_id": cluster_id,
        "hours": {
            hour_key(hour): {name: [used.quantity_seconds, used.seconds] for name, used in usage.items()}
            for hour, usage in sorted(hours.items())
        },
    }
