"""Repositories, announced uploads and events on the storage port.

Owns the keys of the repositories' table:

======================  =======================  ==========================================================
pk                      sk                       what it is
======================  =======================  ==========================================================
``REPO#<repo>``         ``REPO``                 the repository; g1 ``REPOS`` by owner path and
                                                 name, g2 ``PUBLIC`` by name
``NAMES``               ``<folded name>``        claim of a repository's name
``EVENTS#<repo>``       ``<event>``              what became of an object, sortable by time; g1
                                                 ``EVENTS#<repo>#<tenant>``, so that a tenant reads its own
``UPLOAD#<key>``        ``UPLOAD``               who announced an upload
``DELIVERY#<key>``      ``<delivery>``           mark of a notification that was dealt with; dropped later
======================  =======================  ==========================================================

Never decides who may see what: `service.py` does.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Final

from pitrix.errors import Conflict
from pitrix.repos.model import Repo, RepoEvent, Upload, tenant_of
from pitrix.repos.ports import EventPage, RepoPage
from pitrix.table import Delete, Item, Page, Put, Table, Write, pack, unpack

#: S3 and Lambda give up on a notification within a day; a week is ample to know it again.
_REMEMBERED_S: Final = 7 * 24 * 3600


class TableRepoStore:
    """`ports.RepoStore` on a `pitrix.table.Table`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def repo(self, repo_id: str) -> Repo | None:
        item = self._table.get(f"REPO#{repo_id}", "REPO")
        return None if item is None else replace(unpack(item.data, Repo), revision=item.version)

    def list_public(self, *, limit: int, cursor: str | None) -> RepoPage:
        return _repos(self._table.query("PUBLIC", index="g2", limit=limit, cursor=cursor))

    def list_owned(self, owner_path: str, *, limit: int, cursor: str | None) -> RepoPage:
        return _repos(self._table.query("REPOS", index="g1", prefix=owner_path, limit=limit, cursor=cursor))

    def create(self, repo: Repo) -> Repo:
        claim = Item(pk="NAMES", sk=_folded(repo.name), data={"repo_id": repo.repo_id})
        self._table.transact([Put(item=_item(repo), if_absent=True), Put(item=claim, if_absent=True)])
        return replace(repo, revision=1)

    def save(self, before: Repo, after: Repo) -> Repo:
        writes: list[Write] = [Put(item=_item(after), if_version=before.revision)]
        old, new = _folded(before.name), _folded(after.name)
        if old != new:
            claim = Item(pk="NAMES", sk=new, data={"repo_id": after.repo_id})
            writes += [Delete(pk="NAMES", sk=old), Put(item=claim, if_absent=True)]
        self._table.transact(writes)
        return replace(after, revision=before.revision + 1)

    def add_event(self, event: RepoEvent, delivery_id: str = "") -> bool:
        kept = Item(
            pk=f"EVENTS#{event.repo_id}",
            sk=event.event_id,
            data=pack(event),
            g1=(f"EVENTS#{event.repo_id}#{tenant_of(event.owner_path)}", event.event_id),
        )
        writes: list[Write] = [Put(item=kept, if_absent=True)]
        if delivery_id:
            mark = Item(
                pk=f"DELIVERY#{event.key}",
                sk=delivery_id,
                expires_at=int(event.at.timestamp()) + _REMEMBERED_S,
            )
            writes.append(Put(item=mark, if_absent=True))
        try:
            self._table.transact(writes)
        except Conflict:
            return False
        return True

    def was_delivered(self, key: str, delivery_id: str) -> bool:
        return self._table.get(f"DELIVERY#{key}", delivery_id) is not None

    def list_events(self, repo_id: str, *, tenant: str | None, limit: int, cursor: str | None) -> EventPage:
        if tenant is None:
            page = self._table.query(f"EVENTS#{repo_id}", limit=limit, cursor=cursor, newest_first=True)
        else:
            page = self._table.query(
                f"EVENTS#{repo_id}#{tenant}", index="g1", limit=limit, cursor=cursor, newest_first=True
            )
        return EventPage(
            events=[unpack(item.data, RepoEvent) for item in page.items], next_cursor=page.next_cursor
        )

    def announce(self, upload: Upload) -> None:
        self._table.put(Item(pk=f"UPLOAD#{upload.key}", sk="UPLOAD", data=pack(upload)))

    def upload(self, key: str) -> Upload | None:
        item = self._table.get(f"UPLOAD#{key}", "UPLOAD")
        return None if item is None else unpack(item.data, Upload)


def _repos(page: Page) -> RepoPage:
    repos = [replace(unpack(item.data, Repo), revision=item.version) for item in page.items]
    return RepoPage(repos=repos, next_cursor=page.next_cursor)


def _item(repo: Repo) -> Item:
    by_name = f"{_folded(repo.name)}#{repo.repo_id}"
    return Item(
        pk=f"REPO#{repo.repo_id}",
        sk="REPO",
        data=pack(repo),
        g1=("REPOS", f"{repo.owner_path}#{by_name}"),
        g2=("PUBLIC", by_name) if repo.visibility == "public" else None,
        version=repo.revision,
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
