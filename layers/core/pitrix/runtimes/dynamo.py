"""Runtimes on the storage port.

Owns the keys of the runtimes' table:

======================  ==============  ======================================================================
pk                      sk              what it is
======================  ==============  ======================================================================
``RUNTIME#<id>``        ``RUNTIME``     the runtime; g1 ``RUNTIMES`` by owner path and name, g2 ``PUBLIC`` by
                                        name if everybody may use it
``RUNTIME#<id>``        ``ANSWER#<q>``  what the cloud answered to a question, kept for a few minutes
``NAMES#<owner path>``  ``<folded>``    claim of a name
======================  ==============  ======================================================================

g1's sort key begins with the owner path and its closing colon, so that a prefix finds an owner and all
below it and nobody else. Never decides who may see what: ``service.py`` does.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pitrix.runtimes.model import Runtime
from pitrix.runtimes.ports import RuntimePage
from pitrix.table import Delete, Item, Page, Put, Table, Write, pack, unpack

#: Bytes of JSON; DynamoDB takes items of 400 KB, and keeps text as UTF-8.
_LONGEST_ANSWER: Final = 300_000


class TableRuntimeStore:
    """``ports.RuntimeStore`` on a ``pitrix.table.Table``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def runtime(self, runtime_id: str) -> Runtime | None:
        item = self._table.get(f"RUNTIME#{runtime_id}", "RUNTIME")
        return None if item is None else _runtime(item)

    def create(self, runtime: Runtime) -> Runtime:
        self._table.transact([Put(item=_item(runtime), if_absent=True), _claim(runtime)])
        return replace(runtime, revision=1)

    def save(self, before: Runtime, after: Runtime) -> Runtime:
        writes: list[Write] = [Put(item=_item(after), if_version=before.revision)]
        if _folded(before.name) != _folded(after.name):
            writes += [_release(before), _claim(after)]
        self._table.transact(writes)
        return replace(after, revision=before.revision + 1)

    def remove(self, runtime: Runtime) -> None:
        self._table.transact([Delete(pk=f"RUNTIME#{runtime.runtime_id}", sk="RUNTIME"), _release(runtime)])

    def list_owned(self, owner_path: str, *, limit: int, cursor: str | None) -> RuntimePage:
        return _page(self._table.query("RUNTIMES", index="g1", prefix=owner_path, limit=limit, cursor=cursor))

    def list_public(self, *, limit: int, cursor: str | None) -> RuntimePage:
        return _page(self._table.query("PUBLIC", index="g2", limit=limit, cursor=cursor))

    def all_owned(self, owner_path: str) -> Iterable[Runtime]:
        return map(_runtime, self._table.query_all("RUNTIMES", index="g1", prefix=owner_path))

    def answer(self, runtime: Runtime, question: str, *, now_s: int) -> Any | None:
        item = self._table.get(f"RUNTIME#{runtime.runtime_id}", f"ANSWER#{question}")
        # The table drops what is past its time some day; until then it is not to be used.
        if item is None or (item.expires_at or 0) <= now_s or item.data["revision"] != runtime.revision:
            return None
        return json.loads(item.data["answer"])

    def keep_answer(self, runtime: Runtime, question: str, answer: Any, *, until_s: int) -> None:
        text = json.dumps(answer, ensure_ascii=False)
        if len(text.encode()) > _LONGEST_ANSWER:
            return
        pk, data = f"RUNTIME#{runtime.runtime_id}", {"revision": runtime.revision, "answer": text}
        self._table.put(Item(pk=pk, sk=f"ANSWER#{question}", data=data, expires_at=until_s))


def _item(runtime: Runtime) -> Item:
    by_name = f"{_folded(runtime.name)}#{runtime.runtime_id}"
    return Item(
        pk=f"RUNTIME#{runtime.runtime_id}",
        sk="RUNTIME",
        data=pack(runtime),
        g1=("RUNTIMES", f"{runtime.owner_path}#{by_name}"),
        g2=("PUBLIC", by_name) if runtime.visibility == "public" else None,
        version=runtime.revision,
    )


def _runtime(item: Item) -> Runtime:
    return replace(unpack(item.data, Runtime), revision=item.version)


def _page(page: Page) -> RuntimePage:
    return RuntimePage(runtimes=[_runtime(item) for item in page.items], next_cursor=page.next_cursor)


def _claim(runtime: Runtime) -> Put:
    data = {"runtime_id": runtime.runtime_id}
    item = Item(pk=f"NAMES#{runtime.owner_path}", sk=_folded(runtime.name), data=data)
    return Put(item=item, if_absent=True)


def _release(runtime: Runtime) -> Delete:
    return Delete(pk=f"NAMES#{runtime.owner_path}", sk=_folded(runtime.name))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
