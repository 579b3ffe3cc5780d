"""The one storage port: items under a partition and a sort key, two indexes, optimistic versions.

Every context's ``dynamo.py`` is written on :class:`Table`; it decides keys, this module decides nothing about
meaning. :class:`MemoryTable` is for tests and simulations, :mod:`pitrix.table_dynamo` holds the real one, and
``tests/contract/test_table.py`` runs one suite against both. There is no scan, on purpose: what cannot be
queried has no key.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from pitrix.errors import Conflict, FieldError, InvalidInput

T = TypeVar("T")
Index = Literal["g1", "g2"]

#: DynamoDB takes at most 100 writes in one transaction (service quota).
MAX_TRANSACTION = 100


@dataclass(kw_only=True)
class Item:
    """One stored thing.

    ``g1`` and ``g2`` are its (partition, sort) keys in the two indexes, absent where it is in none;
    ``version`` counts writes and is what ``if_version`` compares; ``expires_at`` (epoch seconds) lets the
    table drop it some time later.
    """

    pk: str
    sk: str
    data: dict[str, Any] = field(default_factory=dict)
    g1: tuple[str, str] | None = None
    g2: tuple[str, str] | None = None
    version: int = 0
    expires_at: int | None = None

    def index_key(self, index: Index | None) -> tuple[str, str] | None:
        """Return the (partition, sort) key of this item in ``index``; the primary one for ``None``."""
        if index is None:
            return (self.pk, self.sk)
        return self.g1 if index == "g1" else self.g2


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some items of a query and where to go on; ``next_cursor`` is ``None`` on the last page."""

    items: list[Item]
    next_cursor: str | None = None


@dataclass(frozen=True, kw_only=True)
class Put:
    """In a transaction: write ``item``, on the same conditions as :meth:`Table.put`."""

    item: Item
    if_absent: bool = False
    if_version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Delete:
    """In a transaction: remove an item; harmless where there is none unless ``if_version`` is given."""

    pk: str
    sk: str
    if_version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """In a transaction: require that an item exists, or that it does not."""

    pk: str
    sk: str
    exists: bool


Write = Put | Delete | Check


class Table(Protocol):
    """What every context needs of its storage."""

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item with that key, read consistently, or ``None``."""
        ...

    def put(self, item: Item, *, if_absent: bool = False, if_version: int | None = None) -> Item:
        """Write ``item`` and return it with its new version.

        Raises:
            Conflict: it exists (``if_absent``), or its version is not ``if_version``.
        """
        ...

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove an item; removing what is not there is no error, unless ``if_version`` is given.

        Raises:
            Conflict: its version is not ``if_version``.
        """
        ...

    def query(
        self,
        pk: str,
        *,
        index: Index | None = None,
        prefix: str = "",
        between: tuple[str, str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Return up to ``limit`` items of one partition in the order of their sort keys.

        Args:
            prefix: Only sort keys that begin so; give this or ``between`` (both ends included).
            cursor: ``next_cursor`` of the page before; only valid for the same query.
            newest_first: In descending order.

        Raises:
            InvalidInput: ``cursor`` is broken or belongs to another list.
        """
        ...

    def query_all(
        self,
        pk: str,
        *,
        index: Index | None = None,
        prefix: str = "",
        between: tuple[str, str] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Item]:
        """Yield every item of the query, page by page."""
        ...

    def transact(self, writes: Sequence[Write]) -> None:
        """Apply up to 100 writes, all or none.

        Raises:
            Conflict: a condition does not hold, or another transaction got in between.
        """
        ...


# --- dataclasses in and out --------------------------------------------------------------------------------


def pack(obj: Any) -> dict[str, Any]:
    """Return a dataclass as a dictionary of JSON types (times as RFC 3339 text)."""
    packed = msgspec.to_builtins(obj)
    assert isinstance(packed, dict)
    return packed


def unpack(data: Mapping[str, Any], kind: type[T]) -> T:
    """Return the dataclass ``kind`` that :func:`pack` turned into ``data``; unknown keys are dropped."""
    return msgspec.convert(data, kind)


# --- cursors -----------------------------------------------------------------------------------------------


def query_digest(pk: str, index: Index | None, prefix: str, between: Any, newest_first: bool) -> str:
    """Return what identifies a query, so that a cursor of one list is refused by another."""
    text = json.dumps([pk, index, prefix, between, newest_first])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode_cursor(digest: str, key: Mapping[str, str]) -> str:
    """Return an opaque, URL-safe cursor for the query ``digest`` that goes on after ``key``."""
    raw = json.dumps({"q": digest, "k": dict(key)}, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str, digest: str) -> dict[str, str]:
    """Return the key inside ``cursor``.

    Raises:
        InvalidInput: it is no cursor, or one of another list.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = json.loads(raw)
        key = {str(k): str(v) for k, v in found["k"].items()}
        if found["q"] == digest:
            return key
        message = "belongs to another list; start without a cursor"
    except (ValueError, KeyError, TypeError, AttributeError):
        message = "is not a cursor of this API; use the next_cursor of the page before"
    raise InvalidInput(f"cursor: {message}.", errors=[FieldError("cursor", message)])


# --- in memory ---------------------------------------------------------------------------------------------


class MemoryTable:
    """A table in memory, safe for threads; behaves as the real one does (the contract suite says so)."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], Item] = {}
        # Of each partition of each index, the keys in order: a query reads its own items and no others.
        self._order: dict[tuple[Index | None, str], list[tuple[str, str, str]]] = {}
        self._lock = threading.RLock()

    def get(self, pk: str, sk: str) -> Item | None:
        with self._lock:
            item = self._items.get((pk, sk))
            return _copy(item) if item else None

    def put(self, item: Item, *, if_absent: bool = False, if_version: int | None = None) -> Item:
        with self._lock:
            self._check(item.pk, item.sk, if_absent=if_absent, if_version=if_version)
            return self._write(item)

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        with self._lock:
            self._check(pk, sk, if_version=if_version)
            self._remove(pk, sk)

    def query(
        self,
        pk: str,
        *,
        index: Index | None = None,
        prefix: str = "",
        between: tuple[str, str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
        newest_first: bool = False,
    ) -> Page:
        check_bounds(between)
        digest = query_digest(pk, index, prefix, between, newest_first)
        after = decode_cursor(cursor, digest) if cursor else None
        with self._lock:
            found = _range(self._order.get((index, pk), []), prefix, between)
            if newest_first:
                found.reverse()
            if after is not None:
                mark = (after["sort"], after["pk"], after["sk"])
                found = [key for key in found if (key < mark if newest_first else key > mark)]
            items = [_copy(self._items[key[1:]]) for key in found[:limit]]
            if len(found) <= limit:
                return Page(items=items)
            last = found[limit - 1]
            mark_after = {"sort": last[0], "pk": last[1], "sk": last[2]}
            return Page(items=items, next_cursor=encode_cursor(digest, mark_after))

    def query_all(
        self,
        pk: str,
        *,
        index: Index | None = None,
        prefix: str = "",
        between: tuple[str, str] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Item]:
        return all_pages(self, pk, index=index, prefix=prefix, between=between, newest_first=newest_first)

    def transact(self, writes: Sequence[Write]) -> None:
        check_transaction(writes)
        with self._lock:
            for write in writes:
                if isinstance(write, Put):
                    self._check(
                        write.item.pk, write.item.sk, if_absent=write.if_absent, if_version=write.if_version
                    )
                elif isinstance(write, Delete):
                    self._check(write.pk, write.sk, if_version=write.if_version)
                elif ((write.pk, write.sk) in self._items) != write.exists:
                    raise Conflict(f"{write.pk} {write.sk}: expected to exist: {write.exists}.")
            for write in writes:
                if isinstance(write, Put):
                    self._write(write.item)
                elif isinstance(write, Delete):
                    self._remove(write.pk, write.sk)

    def _check(self, pk: str, sk: str, *, if_absent: bool = False, if_version: int | None = None) -> None:
        present = self._items.get((pk, sk))
        if if_absent and present is not None:
            raise Conflict("It exists already.")
        if if_version is not None and (present is None or present.version != if_version):
            raise Conflict("It was changed by somebody else in the meantime; read it again and retry.")

    def _write(self, item: Item) -> Item:
        written = replace(_copy(item), version=item.version + 1)
        self._remove(item.pk, item.sk)
        self._items[(item.pk, item.sk)] = written
        for place, key in _places(written):
            bisect.insort(self._order.setdefault(place, []), key)
        item.version = written.version
        return _copy(written)

    def _remove(self, pk: str, sk: str) -> None:
        present = self._items.pop((pk, sk), None)
        for place, key in _places(present) if present else ():
            keys = self._order[place]
            del keys[bisect.bisect_left(keys, key)]


def _places(item: Item) -> Iterator[tuple[tuple[Index | None, str], tuple[str, str, str]]]:
    """Yield every partition that an item is in, and its place there: by sort key, then by primary key."""
    indexes: tuple[Index | None, ...] = (None, "g1", "g2")
    for index in indexes:
        if (key := item.index_key(index)) is not None:
            yield (index, key[0]), (key[1], item.pk, item.sk)


def _range(
    keys: list[tuple[str, str, str]], prefix: str, between: tuple[str, str] | None
) -> list[tuple[str, str, str]]:
    """Return those of ordered keys that lie between two sort keys, or begin with a prefix."""
    if between:
        low = bisect.bisect_left(keys, (between[0],))
        return keys[low : bisect.bisect_right(keys, between[1], lo=low, key=lambda key: key[0])]
    if not prefix:
        return keys[:]
    low = bisect.bisect_left(keys, (prefix,))
    high = bisect.bisect_left(keys, True, lo=low, key=lambda key: not key[0].startswith(prefix))
    return keys[low:high]


def _copy(item: Item) -> Item:
    """Return a copy that shares nothing; through JSON, so what DynamoDB could not keep fails here too."""
    return replace(item, data=msgspec.json.decode(msgspec.json.encode(item.data)))


def all_pages(table: Table, pk: str, **query: Any) -> Iterator[Item]:
    """Yield every item of a query by following its cursors."""
    cursor: str | None = None
    while True:
        page = table.query(pk, limit=200, cursor=cursor, **query)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def check_bounds(between: tuple[str, str] | None) -> None:
    """Refuse what DynamoDB refuses: an empty text as a bound of a key."""
    if between is not None and "" in between:
        raise ValueError("a bound of a sort key is never empty")


def check_transaction(writes: Sequence[Write]) -> None:
    """Refuse what DynamoDB refuses: more than 100 writes, or two on one key."""
    keys = [(w.item.pk, w.item.sk) if isinstance(w, Put) else (w.pk, w.sk) for w in writes]
    if len(keys) > MAX_TRANSACTION:
        raise ValueError(f"a transaction takes at most {MAX_TRANSACTION} writes, not {len(keys)}")
    if len(set(keys)) != len(keys):
        raise ValueError("a transaction touches each key at most once")
