"""Apps, versions and categories on the storage port.

Owns the keys of the catalog's table, so that every list is one query and publishing costs the same however
many apps there are:

=======================  ===========================  ====================================================
pk                       sk                           what it is
=======================  ===========================  ====================================================
``APP#<app>``            ``APP``                      the app
``APP#<app>``            ``VERSION#<version>``        a version; g1 ``VERSIONS#<app>`` by rank unless
                                                      deleted, g2 ``RELEASED#<app>`` by rank if released
``APP#<app>``            ``NAME#<name>``              claim of a version's name: id and digest
``APP#<app>``            ``DEPLOYED#<cluster>``       a deployment that was counted
``REPO#<repo>``          ``NAME#<folded name>``       claim of an app's name in a repository
``VERSION#<version>``    ``APP``                      pointer from a version's id to its app
``LIST#<scope>``         ``<deploy count>#<app>``     a copy of the app in a list; g1 by time of release,
                                                      g2 by name
``CHARTS#…``             (see `chart_items`)          the index of charts of a repository
``CATEGORIES``           ``<category>``               a category
=======================  ===========================  ====================================================

A scope is ``STORE`` (public apps with a released version) or ``OWNER:<path>``, one for each place in the
tree of owners that sees the app. The copies are written in the transaction that changes the app, and who may
see an app is thereby decided by the key, never by a filter.

A list walks its partition in order and applies category, repository, type and search to what it reads, at
most `EXAMINED_AT_MOST` rows a request. That is right for a store of hundreds; a search index is for more.
Never decides what a status change means: `service.py` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from pitrix.catalog import chart_items
from pitrix.catalog.model import (
    App,
    AppFilter,
    AppSort,
    Category,
    Version,
    fold,
    owner_scopes,
)
from pitrix.catalog.ports import AppPage, ChartFragment, VersionPage
from pitrix.clock import rfc3339
from pitrix.errors import Conflict
from pitrix.table import (
    Delete,
    Index,
    Item,
    Put,
    Table,
    Write,
    decode_cursor,
    encode_cursor,
    pack,
    unpack,
)

EXAMINED_AT_MOST: Final = 2000
_CHUNK: Final = 200
#: Attempts at moving fragments that somebody else changes at the same time.
_ATTEMPTS: Final = 8
# Below and above every sort key of a list; DynamoDB refuses an empty string as a key.
_LOWEST: Final = " "
_HIGHEST: Final = "\U0010ffff"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """How a sort is read: from which index, and in which direction."""

    index: Index | None
    descending: bool


_ORDERS: Final[dict[AppSort, _Order]] = {
    "deployed": _Order(index=None, descending=True),
    "newest": _Order(index="g1", descending=True),
    "name": _Order(index="g2", descending=False),
}


class TableAppStore:
    """`ports.AppStore` on a `pitrix.table.Table`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # --- apps ----------------------------------------------------------------------------------------------

    def app(self, app_id: str) -> App | None:
        item = self._table.get(_app_key(app_id), "APP")
        return None if item is None else _app(item)

    def app_by_name(self, repo_id: str, name: str) -> App | None:
        claim = self._table.get(_repo_key(repo_id), _app_name_key(name))
        return None if claim is None else self.app(claim.data["app_id"])

    def list_apps(
        self, *, owner_path: str | None, wanted: AppFilter, sort: AppSort, limit: int, cursor: str | None
    ) -> AppPage:
        scope = "STORE" if owner_path is None else f"OWNER:{owner_path}"
        digest = sha256(repr((scope, wanted, sort)).encode()).hexdigest()[:16]
        start = decode_cursor(cursor, digest).get("sort") if cursor else None
        found: list[tuple[str, App]] = []
        # Without a filter every row counts: no more are read than the page takes, the row after it, and
        # the one before it, which a bound includes.
        chunk = limit + 2 if wanted == AppFilter() else _CHUNK
        rows = self._walk(scope, sort, wanted, start, chunk)
        for examined, (key, app) in enumerate(rows, start=1):
            if wanted.accepts(app):
                found.append((key, app))
            if len(found) > limit:
                last = found[limit - 1][0]
                return AppPage(
                    apps=[app for _, app in found[:limit]],
                    next_cursor=encode_cursor(digest, {"sort": last}),
                )
            if examined == EXAMINED_AT_MOST:
                return AppPage(
                    apps=[app for _, app in found], next_cursor=encode_cursor(digest, {"sort": key})
                )
        return AppPage(apps=[app for _, app in found], next_cursor=None)

    def all_apps(self, owner_path: str) -> Iterator[App]:
        for item in self._table.query_all(f"LIST#OWNER:{owner_path}"):
            yield _app(item)

    def app_ids(self, repo_id: str) -> Iterator[str]:
        for item in self._table.query_all(_repo_key(repo_id), prefix=_app_name_key("")):
            yield item.data["app_id"]

    def _walk(
        self, scope: str, sort: AppSort, wanted: AppFilter, after: str | None, chunk: int
    ) -> Iterator[tuple[str, App]]:
        """Yield the rows of a list with their sort keys, in order, from behind ``after``."""
        order = _ORDERS[sort]
        low, high = _LOWEST, _HIGHEST
        if wanted.name and sort == "name":
            low, high = f"{wanted.name}#", f"{wanted.name}#{_HIGHEST}"
        while True:
            bounds = (low, after or high) if order.descending else (after or low, high)
            if bounds[0] > bounds[1]:
                return
            page = self._table.query(
                f"LIST#{scope}",
                index=order.index,
                between=bounds,
                limit=chunk,
                newest_first=order.descending,
            )
            for item in page.items:
                key = item.index_key(order.index)
                assert key is not None
                if key[1] != after:  # both ends of ``between`` are included
                    yield key[1], _app(item)
            if page.next_cursor is None:
                return
            last = page.items[-1].index_key(order.index)
            assert last is not None
            after = last[1]

    def create_app(self, app: App, version: Version, chart: ChartFragment | None = None) -> None:
        claim = Item(pk=_repo_key(app.repo_id), sk=_app_name_key(app.name), data={"app_id": app.app_id})
        self._table.transact(
            [
                Put(item=claim, if_absent=True),
                Put(item=_app_item(app), if_absent=True),
                *_new_version(version),
                *_list_writes(None, app),
                *chart_items.of_new_version(app, version, chart),
            ]
        )

    def add_version(
        self, before: App, after: App, version: Version, chart: ChartFragment | None = None
    ) -> None:
        charts = chart_items.of_new_version(after, version, chart)
        self._table.transact([*_app_writes(before, after), *_new_version(version), *charts])

    def change(self, before: App, after: App, version: Version | None = None) -> None:
        writes = _app_writes(before, after)
        if version is not None:
            writes.append(Put(item=_version_item(version), if_version=version.revision))
            writes += self._chart_writes(after, version)
        self._table.transact(writes)

    def _chart_writes(self, app: App, version: Version) -> list[Write]:
        """What a version's new status does to the index of charts."""
        if version.type != "helm":
            return []
        kept = self._table.get(*chart_items.text_key(version))
        return [] if kept is None else chart_items.of_status(app, version, kept)

    def count_deployment(self, before: App, after: App, cluster_id: str) -> bool:
        mark = Item(pk=_app_key(before.app_id), sk=f"DEPLOYED#{cluster_id}")
        if self._table.get(mark.pk, mark.sk) is not None:
            return False
        self._table.transact([Put(item=mark, if_absent=True), *_app_writes(before, after)])
        return True

    # --- versions ------------------------------------------------------------------------------------------

    def version(self, app_id: str, version_id: str) -> Version | None:
        item = self._table.get(_app_key(app_id), f"VERSION#{version_id}")
        return None if item is None else _version(item)

    def find_version(self, version_id: str) -> Version | None:
        pointer = self._table.get(f"VERSION#{version_id}", "APP")
        return None if pointer is None else self.version(pointer.data["app_id"], version_id)

    def version_by_name(self, app_id: str, name: str) -> Version | None:
        claim = self._table.get(_app_key(app_id), f"NAME#{name}")
        return None if claim is None else self.version(app_id, claim.data["version_id"])

    def list_versions(
        self, app_id: str, *, released_only: bool, limit: int, cursor: str | None
    ) -> VersionPage:
        index: Index = "g2" if released_only else "g1"
        partition = f"RELEASED#{app_id}" if released_only else f"VERSIONS#{app_id}"
        page = self._table.query(partition, index=index, limit=limit, cursor=cursor, newest_first=True)
        return VersionPage(versions=[_version(item) for item in page.items], next_cursor=page.next_cursor)

    # --- the index of charts -------------------------------------------------------------------------------

    def chart_revisions(self, repo_id: str, scope: str) -> dict[str, str]:
        found = self._table.query_all(
            chart_items.partition(repo_id, scope), prefix=chart_items.REVISION_PREFIX
        )
        return dict(chart_items.revision(item) for item in found)

    def chart_shard(self, repo_id: str, scope: str, shard: str) -> list[ChartFragment]:
        found = self._table.query_all(
            chart_items.partition(repo_id, scope), prefix=chart_items.shard_prefix(shard), newest_first=True
        )
        return [chart_items.fragment(item) for item in found]

    def settle_charts(self, app: App) -> None:
        for _ in range(_ATTEMPTS):
            try:
                for scope in chart_items.unwanted_scopes(app):
                    self._move_charts(app, scope)
                return
            except Conflict:
                continue  # a version was released or suspended meanwhile: look again
        raise Conflict(f"The versions of app {app.app_id} are being changed by many at once; try again.")

    def _move_charts(self, app: App, scope: str) -> None:
        moved = list(
            self._table.query_all(
                chart_items.partition(app.repo_id, scope), prefix=chart_items.app_prefix(app.app_id)
            )
        )
        for start in range(0, len(moved), chart_items.MOVED_AT_ONCE):
            chunk = moved[start : start + chart_items.MOVED_AT_ONCE]
            self._table.transact(chart_items.moves(app, scope, chunk))

    # --- categories ----------------------------------------------------------------------------------------

    def category(self, category_id: str) -> Category | None:
        item = self._table.get("CATEGORIES", category_id)
        return None if item is None else _category(item)

    def categories(self) -> list[Category]:
        found = [_category(item) for item in self._table.query_all("CATEGORIES")]
        return sorted(found, key=lambda category: (category.position, category.category_id))

    def save_category(self, category: Category) -> Category:
        item = Item(pk="CATEGORIES", sk=category.category_id, data=pack(category), version=category.revision)
        if category.revision:
            return _category(self._table.put(item, if_version=category.revision))
        return _category(self._table.put(item, if_absent=True))

    def delete_category(self, category_id: str) -> None:
        self._table.delete("CATEGORIES", category_id)


# --- keys and items ----------------------------------------------------------------------------------------


def _app_key(app_id: str) -> str:
    return f"APP#{app_id}"


def _repo_key(repo_id: str) -> str:
    return f"REPO#{repo_id}"


def _app_name_key(name: str) -> str:
    return f"NAME#{fold(name)}"


def _app(item: Item) -> App:
    app = unpack(item.data, App)
    # A copy in a list counts its own writes; its app's revision is in its data.
    return replace(app, revision=item.version) if item.sk == "APP" else app


def _version(item: Item) -> Version:
    return replace(unpack(item.data, Version), revision=item.version)


def _category(item: Item) -> Category:
    return replace(unpack(item.data, Category), revision=item.version)


def _app_item(app: App) -> Item:
    return Item(pk=_app_key(app.app_id), sk="APP", data=pack(app), version=app.revision)


def _version_item(version: Version) -> Item:
    rank = chart_items.rank(version)
    return Item(
        pk=_app_key(version.app_id),
        sk=f"VERSION#{version.version_id}",
        data=pack(version),
        g1=None if version.status == "deleted" else (f"VERSIONS#{version.app_id}", rank),
        g2=(f"RELEASED#{version.app_id}", rank) if version.status == "released" else None,
        version=version.revision,
    )


def _new_version(version: Version) -> list[Write]:
    claim = Item(
        pk=_app_key(version.app_id), sk=f"NAME#{version.name}", data={"version_id": version.version_id}
    )
    pointer = Item(pk=f"VERSION#{version.version_id}", sk="APP", data={"app_id": version.app_id})
    return [
        Put(item=claim, if_absent=True),
        Put(item=pointer, if_absent=True),
        Put(item=_version_item(version), if_absent=True),
    ]


def _list_items(app: App) -> dict[tuple[str, str], Item]:
    """The copies of an app in every list that it belongs to, by their keys."""
    scopes = [f"OWNER:{path}" for path in owner_scopes(app.owner_path)]
    if app.visibility == "public" and app.latest_version_id is not None:
        scopes.append("STORE")
    sk = f"{app.deploy_count:012d}#{app.app_id}"
    at = rfc3339(app.published_at or app.created_at)
    copy = pack(replace(app, revision=app.revision + 1))
    return {
        (f"LIST#{scope}", sk): Item(
            pk=f"LIST#{scope}",
            sk=sk,
            data=copy,
            g1=(f"LIST#{scope}", f"{at}#{app.app_id}"),
            g2=(f"LIST#{scope}", f"{fold(app.name)}#{app.app_id}"),
        )
        for scope in scopes
    }


def _list_writes(before: App | None, after: App) -> list[Write]:
    gone = {} if before is None else _list_items(before)
    kept = _list_items(after)
    deletes: list[Write] = [Delete(pk=pk, sk=sk) for pk, sk in gone if (pk, sk) not in kept]
    return deletes + [Put(item=item) for item in kept.values()]


def _app_writes(before: App, after: App) -> list[Write]:
    if before.app_id != after.app_id or before.revision != after.revision:
        raise Conflict("The app was changed by somebody else in the meantime.")
    return [Put(item=_app_item(after), if_version=before.revision), *_list_writes(before, after)]
