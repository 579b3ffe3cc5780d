"""Repositories, announced uploads and events on the storage port.

Owns the keys of the repositories' table:

======================  =======================  ==========================================================
pk                      sk                       what it is
======================  =======================  ==========================================================
``REPO#<repo>``         ``REPO``                 the repository; g1 ``REPOS`` by owner path and
                                                 name, g2 ``PUBLIC`` by name, neither while deleting
``REPO#<repo>``         ``SYNC``                 how its syncs stand; g1 ``DUE`` by when to look again
``NAMES``               ``<owner>#<folded>``     claim of a repository's name, one of each owner path
``EVENTS#<repo>``       ``<event>``              what became of an object, sortable by time; g1
                                                 ``EVENTS#<repo>#<tenant>``, so that a tenant reads its own
``TOTALS#<repo>``       ``<shard>``              a part of the counts of what was uploaded
``UPLOAD#<key>``        ``UPLOAD``               who announced an upload
``DELIVERY#<repo>#<k>`` ``<delivery>``           mark of a notification that was dealt with; dropped later
======================  =======================  ==========================================================

Never decides who may see what: `service.py` does.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from pitrix.clock import rfc3339
from pitrix.errors import Conflict
from pitrix.repos.model import Repo, RepoEvent, SyncState, Totals, Upload, folded, tenant_of
from pitrix.repos.ports import NOTHING, EventPage, RepoPage
from pitrix.table import Delete, Item, Page, Put, Table, Write, pack, unpack

#: S3 and Lambda give up on a notification within a day; a week is ample to know it again.
_REMEMBERED_S: Final = 7 * 24 * 3600
#: Counts are spread over so many items, so that uploads at the same time do not wait for each other.
_SHARDS: Final = 16
_ATTEMPTS: Final = 8


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
        writes: list[Write] = [Put(item=_item(repo), if_absent=True), Put(item=_claim(repo), if_absent=True)]
        if repo.is_remote:
            due = SyncState(repo_id=repo.repo_id, next_at=repo.created_at)
            writes.append(Put(item=_state_item(due), if_absent=True))
        self._table.transact(writes)
        return replace(repo, revision=1)

    def save(self, before: Repo, after: Repo) -> Repo:
        writes: list[Write] = [Put(item=_item(after), if_version=before.revision)]
        old, new = _claim(before), _claim(after)
        if after.status == "deleting":
            if before.status != "deleting":
                writes.append(Delete(pk=old.pk, sk=old.sk))
        elif old.sk != new.sk:
            writes += [Delete(pk=old.pk, sk=old.sk), Put(item=new, if_absent=True)]
        self._table.transact(writes)
        return replace(after, revision=before.revision + 1)

    def remove(self, repo: Repo) -> None:
        for shard in range(_SHARDS):
            self._table.delete(f"TOTALS#{repo.repo_id}", f"{shard:02d}")
        pk = f"REPO#{repo.repo_id}"
        self._table.transact([Delete(pk=pk, sk="SYNC"), Delete(pk=pk, sk="REPO")])

    def add_event(self, event: RepoEvent, delivery_id: str = "", *, counts: Totals = NOTHING) -> bool:
        mark = Item(
            pk=_delivery_key(event.repo_id, event.key),
            sk=delivery_id,
            expires_at=int(event.at.timestamp()) + _REMEMBERED_S,
        )
        for _ in range(_ATTEMPTS):
            writes: list[Write] = [Put(item=_event_item(event), if_absent=True)]
            if delivery_id:
                writes.append(Put(item=replace(mark), if_absent=True))
            if counts != NOTHING:
                writes.append(self._counted(event, counts))
            try:
                self._table.transact(writes)
            except Conflict:
                if delivery_id and self.was_delivered(event.repo_id, event.key, delivery_id):
                    return False
                continue  # another event was counted into the same shard at the same time
            return True
        raise Conflict(f"Events of {event.repo_id} are written by many at once; try again.")

    def totals(self, repo_id: str) -> Totals:
        found = NOTHING
        for item in self._table.query_all(f"TOTALS#{repo_id}"):
            found = _sum(found, unpack(item.data, Totals))
        return found

    def was_delivered(self, repo_id: str, key: str, delivery_id: str) -> bool:
        return self._table.get(_delivery_key(repo_id, key), delivery_id) is not None

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

    def sync_state(self, repo_id: str) -> SyncState | None:
        item = self._table.get(f"REPO#{repo_id}", "SYNC")
        return None if item is None else replace(unpack(item.data, SyncState), revision=item.version)

    def save_sync_state(self, state: SyncState, event: RepoEvent | None = None) -> SyncState:
        item = _state_item(state)
        put = Put(item=item, if_version=state.revision) if state.revision else Put(item=item, if_absent=True)
        self._table.transact([put] if event is None else [put, Put(item=_event_item(event), if_absent=True)])
        return replace(state, revision=state.revision + 1)

    def due(self, now: datetime, *, limit: int) -> list[str]:
        page = self._table.query("DUE", index="g1", between=("0", f"{rfc3339(now)}~"), limit=limit)
        return [item.data["repo_id"] for item in page.items]

    def _counted(self, event: RepoEvent, counts: Totals) -> Put:
        pk, sk = f"TOTALS#{event.repo_id}", f"{sum(event.event_id.encode()) % _SHARDS:02d}"
        item = self._table.get(pk, sk)
        if item is None:
            return Put(item=Item(pk=pk, sk=sk, data=pack(counts)), if_absent=True)
        added = _sum(unpack(item.data, Totals), counts)
        return Put(item=replace(item, data=pack(added)), if_version=item.version)


def _repos(page: Page) -> RepoPage:
    repos = [replace(unpack(item.data, Repo), revision=item.version) for item in page.items]
    return RepoPage(repos=repos, next_cursor=page.next_cursor)


def _event_item(event: RepoEvent) -> Item:
    return Item(
        pk=f"EVENTS#{event.repo_id}",
        sk=event.event_id,
        data=pack(event),
        g1=(f"EVENTS#{event.repo_id}#{tenant_of(event.owner_path)}", event.event_id),
    )


def _delivery_key(repo_id: str, key: str) -> str:
    # DynamoDB takes keys of 2,048 bytes, and the names in somebody's repository may be of any length.
    short = key if len(key) <= 400 else sha256(key.encode()).hexdigest()
    return f"DELIVERY#{repo_id}#{short}"


def _sum(one: Totals, other: Totals) -> Totals:
    more = asdict(other)
    return Totals(**{name: value + more[name] for name, value in asdict(one).items()})


def _state_item(state: SyncState) -> Item:
    due = state.lease_until if state.running else state.next_at
    return Item(
        pk=f"REPO#{state.repo_id}",
        sk="SYNC",
        data=pack(state),
        g1=("DUE", f"{rfc3339(due)}#{state.repo_id}") if due else None,
        version=state.revision,
    )


def _claim(repo: Repo) -> Item:
    return Item(pk="NAMES", sk=f"{repo.owner_path}#{folded(repo.name)}", data={"repo_id": repo.repo_id})


def _item(repo: Repo) -> Item:
    listed = repo.status == "active"
    by_name = f"{folded(repo.name)}#{repo.repo_id}"
    return Item(
        pk=f"REPO#{repo.repo_id}",
        sk="REPO",
        data=pack(repo),
        g1=("REPOS", f"{repo.owner_path}#{by_name}") if listed else None,
        g2=("PUBLIC", by_name) if listed and repo.visibility == "public" else None,
        version=repo.revision,
    )
