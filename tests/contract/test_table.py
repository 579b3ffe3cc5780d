"""One suite for every implementation of the storage port: in memory and DynamoDB (moto)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from pitrix.errors import Conflict, InvalidInput
from pitrix.table import Check, Delete, Item, MemoryTable, Put, Table, pack, unpack
from tests.dynamo import dynamo_table


@dataclass(frozen=True)
class Thing:
    """Something with every kind of field that the domain's dataclasses have."""

    name: str
    at: datetime
    tags: dict[str, int]
    part: tuple[str, ...] = ()


@pytest.fixture(params=["memory", "dynamo"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryTable()
        return
    with dynamo_table("contract", monkeypatch) as real:
        yield real


def test_what_is_put_is_got(table: Table) -> None:
    data = {"n": 1, "text": "商店 – café", "nested": {"a": [1, 2.5, None, True]}, "empty": ""}
    table.put(Item(pk="p", sk="s", data=data, g1=("a", "b"), expires_at=4102444800))
    found = table.get("p", "s")
    assert found is not None
    assert (found.data, found.g1, found.g2, found.version, found.expires_at) == (
        data, ("a", "b"), None, 1, 4102444800,
    )  # fmt: skip


def test_absent_is_none(table: Table) -> None:
    assert table.get("p", "nothing") is None
    table.delete("p", "nothing")


def test_nothing_lies_under_a_key_that_no_table_takes(table: Table) -> None:
    assert table.get("p" * 3000, "s") is None
    assert table.get("p", "\u5e97" * 500) is None


def test_if_absent_refuses_the_second_writer(table: Table) -> None:
    table.put(Item(pk="p", sk="s", data={"by": 1}), if_absent=True)
    with pytest.raises(Conflict):
        table.put(Item(pk="p", sk="s", data={"by": 2}), if_absent=True)
    assert table.get("p", "s").data == {"by": 1}  # type: ignore[union-attr]


def test_versions_catch_a_lost_update(table: Table) -> None:
    table.put(Item(pk="p", sk="s", data={"n": 0}))
    one, two = table.get("p", "s"), table.get("p", "s")
    assert one is not None
    assert two is not None
    table.put(one, if_version=one.version)
    assert one.version == 2
    with pytest.raises(Conflict):
        table.put(two, if_version=two.version)
    with pytest.raises(Conflict):
        table.delete("p", "s", if_version=1)
    table.delete("p", "s", if_version=2)
    assert table.get("p", "s") is None


def test_if_version_of_what_is_gone_is_a_conflict(table: Table) -> None:
    with pytest.raises(Conflict):
        table.put(Item(pk="p", sk="s"), if_version=1)


@pytest.mark.parametrize("newest_first", [False, True])
def test_paging_meets_every_item_once_in_order(table: Table, newest_first: bool) -> None:
    for n in range(7):
        table.put(Item(pk="p", sk=f"item#{n}", data={"n": n}))
    table.put(Item(pk="p", sk="other", data={}))
    table.put(Item(pk="q", sk="item#9", data={}))
    seen: list[int] = []
    pages = 0
    cursor = None
    while True:
        page = table.query("p", prefix="item#", limit=3, cursor=cursor, newest_first=newest_first)
        seen += [item.data["n"] for item in page.items]
        pages += 1
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(range(7), reverse=newest_first)
    assert pages == 3


def test_a_full_last_page_is_not_followed_by_an_empty_one(table: Table) -> None:
    for n in range(4):
        table.put(Item(pk="p", sk=str(n)))
    page = table.query("p", limit=2)
    assert table.query("p", limit=2, cursor=page.next_cursor).next_cursor is None


def test_between_includes_both_ends(table: Table) -> None:
    for n in range(5):
        table.put(Item(pk="p", sk=str(n)))
    assert [i.sk for i in table.query("p", between=("1", "3")).items] == ["1", "2", "3"]


def test_an_empty_bound_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="never empty"):
        table.query("p", between=("", "3"))


def test_index_lists_only_what_is_in_it(table: Table) -> None:
    table.put(Item(pk="a", sk="1", g1=("all", "2"), data={"n": 1}))
    table.put(Item(pk="b", sk="1", g1=("all", "1"), data={"n": 2}))
    table.put(Item(pk="c", sk="1", g2=("all", "1"), data={"n": 3}))
    assert [i.data["n"] for i in table.query_all("all", index="g1")] == [2, 1]
    page = table.query("all", index="g1", limit=1)
    rest = table.query("all", index="g1", limit=1, cursor=page.next_cursor)
    assert [i.pk for i in rest.items] == ["a"]
    assert [i.pk for i in table.query("all", index="g2").items] == ["c"]


def test_equal_index_keys_page_without_loss(table: Table) -> None:
    for n in range(5):
        table.put(Item(pk=f"p{n}", sk="s", g1=("all", "same")))
    seen = set()
    cursor = None
    while True:
        page = table.query("all", index="g1", limit=2, cursor=cursor)
        seen |= {i.pk for i in page.items}
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == {f"p{n}" for n in range(5)}


def test_a_foreign_cursor_is_refused(table: Table) -> None:
    for n in range(3):
        table.put(Item(pk="p", sk=str(n)))
    cursor = table.query("p", limit=1).next_cursor
    with pytest.raises(InvalidInput, match="another list"):
        table.query("q", limit=1, cursor=cursor)
    for broken in ("", "x", "%%%", "bnVsbA", "eyJxIjogMX0"):
        if broken:
            with pytest.raises(InvalidInput, match="not a cursor"):
                table.query("p", limit=1, cursor=broken)


def test_transactions_are_all_or_nothing(table: Table) -> None:
    table.put(Item(pk="p", sk="there"))
    with pytest.raises(Conflict):
        table.transact(
            [
                Put(item=Item(pk="p", sk="new")),
                Put(item=Item(pk="p", sk="there"), if_absent=True),
            ]
        )
    assert table.get("p", "new") is None
    with pytest.raises(Conflict):
        table.transact([Put(item=Item(pk="p", sk="new")), Check(pk="p", sk="missing", exists=True)])
    table.transact(
        [
            Put(item=Item(pk="p", sk="new", data={"n": 1}), if_absent=True),
            Delete(pk="p", sk="there"),
            Check(pk="p", sk="missing", exists=False),
        ]
    )
    assert table.get("p", "new").version == 1  # type: ignore[union-attr]
    assert table.get("p", "there") is None


def test_a_transaction_refuses_what_dynamodb_refuses(table: Table) -> None:
    with pytest.raises(ValueError, match="at most 100"):
        table.transact([Put(item=Item(pk="p", sk=str(n))) for n in range(101)])
    with pytest.raises(ValueError, match="each key"):
        table.transact([Put(item=Item(pk="p", sk="a")), Delete(pk="p", sk="a")])


def test_dataclasses_survive_storage() -> None:
    thing = Thing("a", datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC), {"x": 1}, ("p", "q"))
    assert unpack(pack(thing), Thing) == thing
