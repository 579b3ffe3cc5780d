"""The :class:`pitrix.table.Table` port over DynamoDB, by PynamoDB.

Owns the attribute names of every table (``pk sk g1pk g1sk g2pk g2sk version data expires_at``). Decides no
keys. Imported by :mod:`pitrix.bootstrap` on first use: PynamoDB brings botocore, which no handler should pay
for at import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DeleteError, PutError, TransactWriteError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from pitrix.errors import Conflict
from pitrix.table import (
    Check,
    Index,
    Item,
    Page,
    Put,
    Write,
    all_pages,
    check_bounds,
    check_transaction,
    decode_cursor,
    encode_cursor,
    query_digest,
)

#: What DynamoDB takes as keys (service quotas).
MAX_PK_BYTES = 2048
MAX_SK_BYTES = 1024


class DynamoTable:
    """One DynamoDB table."""

    def __init__(self, name: str, *, region: str) -> None:
        self._model = _record_model(name, region)
        # One for all transactions: a connection builds its client anew, which costs a third of a second.
        self._connection = Connection(region=region)

    def get(self, pk: str, sk: str) -> Item | None:
        if len(pk.encode()) > MAX_PK_BYTES or len(sk.encode()) > MAX_SK_BYTES:
            return None  # DynamoDB refuses to look, and nothing can lie there
        raw = self._model._get_connection().get_item(pk, sk, consistent_read=True).get("Item")
        return None if raw is None else self._from_raw(raw)

    def put(self, item: Item, *, if_absent: bool = False, if_version: int | None = None) -> Item:
        record = self._record(item)
        try:
            record.save(condition=self._condition(if_absent=if_absent, if_version=if_version))
        except PutError as error:
            raise _translated(error) from error
        item.version += 1
        return item

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        try:
            self._model(pk, sk).delete(condition=self._condition(if_version=if_version))
        except DeleteError as error:
            raise _translated(error) from error

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
        names = ("pk", "sk") if index is None else (f"{index}pk", f"{index}sk")
        sort = getattr(self._model, names[1])
        condition = sort.between(*between) if between else (sort.startswith(prefix) if prefix else None)
        start = self._start_key(decode_cursor(cursor, digest), pk, names) if cursor else None
        # One more than asked tells whether there is a next page, so that no page is ever followed by an
        # empty one.
        answer = self._model._get_connection().query(
            pk,
            range_key_condition=condition,
            index_name=None if index is None else f"by-{index}",
            limit=limit + 1,
            exclusive_start_key=start,
            scan_index_forward=not newest_first,
            consistent_read=index is None,
        )
        items = [self._from_raw(raw) for raw in answer["Items"]]
        if len(items) <= limit and "LastEvaluatedKey" not in answer:
            return Page(items=items)
        items = items[:limit]
        if not items:
            return Page(items=items)
        last = items[-1]
        key = last.index_key(index)
        assert key is not None
        return Page(
            items=items, next_cursor=encode_cursor(digest, {"sort": key[1], "pk": last.pk, "sk": last.sk})
        )

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
        if not writes:
            return
        try:
            with TransactWrite(connection=self._connection) as transaction:
                for write in writes:
                    self._add(transaction, write)
        except TransactWriteError as error:
            raise _translated(error) from error
        for write in writes:
            if isinstance(write, Put):
                write.item.version += 1

    # --- translation ---------------------------------------------------------------------------------------

    def _add(self, transaction: TransactWrite, write: Write) -> None:
        if isinstance(write, Put):
            condition = self._condition(if_absent=write.if_absent, if_version=write.if_version)
            transaction.save(self._record(write.item), condition=condition)
        elif isinstance(write, Check):
            pk = self._model.pk
            condition = pk.exists() if write.exists else pk.does_not_exist()
            transaction.condition_check(self._model, write.pk, write.sk, condition=condition)
        else:
            transaction.delete(
                self._model(write.pk, write.sk), condition=self._condition(if_version=write.if_version)
            )

    def _condition(self, *, if_absent: bool = False, if_version: int | None = None) -> Any:
        if if_absent:
            return self._model.pk.does_not_exist()
        if if_version is not None:
            return self._model.version == if_version
        return None

    def _record(self, item: Item) -> Any:
        g1pk, g1sk = item.g1 or (None, None)
        g2pk, g2sk = item.g2 or (None, None)
        return self._model(
            item.pk,
            item.sk,
            g1pk=g1pk,
            g1sk=g1sk,
            g2pk=g2pk,
            g2sk=g2sk,
            data=item.data,
            version=item.version + 1,
            expires_at=item.expires_at,
        )

    def _from_raw(self, raw: Mapping[str, Any]) -> Item:
        record = self._model.from_raw_data(dict(raw))
        return Item(
            pk=record.pk,
            sk=record.sk,
            g1=(record.g1pk, record.g1sk) if record.g1pk else None,
            g2=(record.g2pk, record.g2sk) if record.g2pk else None,
            data=record.data or {},
            version=int(record.version or 0),
            expires_at=None if record.expires_at is None else int(record.expires_at),
        )

    @staticmethod
    def _start_key(key: Mapping[str, str], pk: str, names: tuple[str, str]) -> dict[str, Any]:
        start = {"pk": {"S": key["pk"]}, "sk": {"S": key["sk"]}}
        # The partition comes from the query and never from the cursor: nobody pages into another's list.
        return start | {names[0]: {"S": pk}, names[1]: {"S": key["sort"]}}


def _record_model(name: str, region_name: str) -> Any:
    class G1(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
        class Meta:
            index_name = "by-g1"
            projection = AllProjection()

        g1pk = UnicodeAttribute(hash_key=True)
        g1sk = UnicodeAttribute(range_key=True)

    class G2(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
        class Meta:
            index_name = "by-g2"
            projection = AllProjection()

        g2pk = UnicodeAttribute(hash_key=True)
        g2sk = UnicodeAttribute(range_key=True)

    class Record(Model):
        class Meta:
            table_name = name
            region = region_name

        pk = UnicodeAttribute(hash_key=True)
        sk = UnicodeAttribute(range_key=True)
        g1pk = UnicodeAttribute(null=True)
        g1sk = UnicodeAttribute(null=True)
        g2pk = UnicodeAttribute(null=True)
        g2sk = UnicodeAttribute(null=True)
        version = NumberAttribute(null=True)
        data = JSONAttribute(null=True)
        expires_at = NumberAttribute(null=True)
        g1 = G1()
        g2 = G2()

    return Record


def _translated(error: PutError | DeleteError | TransactWriteError) -> Exception:
    reasons = [
        reason.code for reason in getattr(error, "cancellation_reasons", []) if reason is not None
    ] or [error.cause_response_code]
    if {"ConditionalCheckFailed", "ConditionalCheckFailedException", "TransactionConflict"} & set(reasons):
        return Conflict("It was changed by somebody else in the meantime; read it again and retry.")
    return error
