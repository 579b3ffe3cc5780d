"""The index of a repository's charts, as Helm reads it, put together from fragments.

Owns how an index is read: what a caller's view of a repository is made of, its entity tag, the text, and
where a long one is kept. Never writes fragments (the store does, with the versions) and never decides who may
see a repository (`pitrix.repos.charts` does).

A view is the public charts of a repository and the private ones at or below the caller's owner path. To tell
whether it changed costs one short query a scope. What did change is read shard by shard; what did not stays
in the process. Entries are JSON text from end to end and are never decoded: reading is a concatenation. JSON
is YAML, so old Helm reads it too, and Helm 3.14 and later reads it many times faster than YAML.
"""

from __future__ import annotations

import gzip
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from pitrix.catalog import chart_items
from pitrix.catalog.model import ChartIndex
from pitrix.catalog.ports import AppStore, PackageStore
from pitrix.clock import Clock
from pitrix.identity.model import Principal

#: The longest index that is answered inline; a function may answer 6 MB, as JSON inside JSON.
INLINE_BYTES: Final = 2 * 1024 * 1024
#: How long an address of an index works, in seconds.
URL_EXPIRES_IN_S: Final = 300
#: The bucket drops indexes after three days; one that is older than this is written again.
_KEPT_FOR: Final = timedelta(days=1)
#: How long this process need not ask the bucket whether it still has an index.
_BELIEVED_FOR: Final = timedelta(hours=1)
#: Entries kept in memory by one process, by the size of their text.
CACHED_BYTES: Final = 64 * 1024 * 1024
#: Part of every entity tag: raise it when the same fragments give another text.
_FORM: Final = "1"

#: Nearly every shard is in use where there are so many charts that their index may be long.
_SHARDS_OF_A_LONG_ONE: Final = chart_items.SHARDS // 2
_NEVER: Final = "0001-01-01T00:00:00Z"
_Place = tuple[str, str, str]
#: By scope and shard, what `ports.AppStore.chart_revisions` tells.
Revisions = Mapping[str, Mapping[str, str]]


class ChartIndexReader:
    """Reads indexes; one a process, so that what did not change is read once."""

    def __init__(self, *, store: AppStore, objects: PackageStore, clock: Clock) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._shards: OrderedDict[_Place, tuple[str, dict[str, str]]] = OrderedDict()
        self._weight = 0
        self._kept_at: OrderedDict[str, datetime] = OrderedDict()

    def read(
        self, who: Principal, repo_id: str, *, context_path: str, known: str = "", gzipped: bool = False
    ) -> ChartIndex:
        """The index as ``who`` may see it.

        Args:
            context_path: Path of the repository at this address, for clients that upload.
            known: The value of ``If-None-Match``; an index with such a tag is neither read nor returned.
            gzipped: A long index may be answered by the address of a compressed object.
        """
        scopes = [chart_items.PUBLIC]
        if not who.is_anonymous:
            scopes.append(chart_items.owner_scope(who.owner_path))
        revisions = {scope: self._store.chart_revisions(repo_id, scope) for scope in scopes}
        tag = _tag(context_path, revisions)
        etag = f'"{tag}"'
        if _matches(known, etag):
            return ChartIndex(etag=etag)
        key = f"{repo_id}/{tag}{'.json.gz' if gzipped else '.json'}"
        if self._may_be_long(repo_id, revisions) and self._is_kept(key):
            return ChartIndex(etag=etag, url=self._objects.index_url(key, URL_EXPIRES_IN_S))
        text = self._text(repo_id, context_path, revisions)
        if len(text) <= INLINE_BYTES:
            return ChartIndex(etag=etag, text=text.decode())
        packed = gzip.compress(text, compresslevel=6, mtime=0) if gzipped else text
        self._objects.put_index(key, packed, gzipped=gzipped)
        self._remember(key, self._clock.now())
        return ChartIndex(etag=etag, url=self._objects.index_url(key, URL_EXPIRES_IN_S))

    def _may_be_long(self, repo_id: str, revisions: Revisions) -> bool:
        """Whether it is worth asking the bucket: the index is long, or is not in memory and may be."""
        size = shards = unknown = 0
        for scope, found in revisions.items():
            for shard, revision in found.items():
                held, charts = self._shards.get((repo_id, scope, shard), ("", {}))
                shards += 1
                unknown += held != revision
                size += _size(charts)
        return size > INLINE_BYTES or (unknown > 0 and shards >= _SHARDS_OF_A_LONG_ONE)

    def _text(self, repo_id: str, context_path: str, revisions: Revisions) -> bytes:
        # Nothing of now: the same entity tag is the same text.
        changes = [revision for found in revisions.values() for revision in found.values()]
        head = json.dumps(
            {
                "apiVersion": "v1",
                "generated": max(map(chart_items.changed_at, changes), default=_NEVER),
                "serverInfo": {"contextPath": context_path},
            }
        )
        charts = ",".join(
            f"{json.dumps(name)}:[{entries}]" for name, entries in self._charts(repo_id, revisions)
        )
        return f'{head[:-1]}, "entries": {{{charts}}}}}\n'.encode()

    def _charts(self, repo_id: str, revisions: Revisions) -> Iterator[tuple[str, str]]:
        """Yield each chart's name once, with its entries; all versions of a chart lie in one shard."""
        for shard in sorted({shard for found in revisions.values() for shard in found}):
            merged: dict[str, str] = {}
            for scope, found in revisions.items():
                if shard in found:
                    for name, entries in self._shard(repo_id, scope, shard, found[shard]).items():
                        merged[name] = f"{merged[name]},{entries}" if name in merged else entries
            yield from merged.items()

    def _shard(self, repo_id: str, scope: str, shard: str, revision: str) -> dict[str, str]:
        place = (repo_id, scope, shard)
        known = self._shards.pop(place, None)
        if known is not None and known[0] == revision:
            self._shards[place] = known
            return known[1]
        grouped: dict[str, list[str]] = {}
        for fragment in self._store.chart_shard(repo_id, scope, shard):
            grouped.setdefault(fragment.name, []).append(fragment.entry)
        charts = {name: ",".join(entries) for name, entries in grouped.items()}
        self._weight += _size(charts) - (_size(known[1]) if known else 0)
        self._shards[place] = (revision, charts)
        while self._weight > CACHED_BYTES and len(self._shards) > 1:
            _, (_, dropped) = self._shards.popitem(last=False)
            self._weight -= _size(dropped)
        return charts

    def _is_kept(self, key: str) -> bool:
        """Whether the bucket has this index, and will have it for as long as its address works."""
        now = self._clock.now()
        if (asked := self._kept_at.get(key)) is not None and now - asked < _BELIEVED_FOR:
            return True
        stored = self._objects.index_stored_at(key)
        if stored is None or now - stored > _KEPT_FOR:
            return False
        self._remember(key, now)
        return True

    def _remember(self, key: str, at: datetime) -> None:
        self._kept_at[key] = at
        while len(self._kept_at) > 1000:
            self._kept_at.popitem(last=False)


def _tag(context_path: str, revisions: Revisions) -> str:
    # A scope without a chart is told like one that does not exist: most callers own nothing here.
    seen = {scope: sorted(found.items()) for scope, found in revisions.items() if found}
    return sha256(json.dumps([_FORM, context_path, seen]).encode()).hexdigest()[:32]


def _matches(known: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names the tag; compared weakly, as RFC 9110 §13.1.2 says."""
    tags = [each.strip().removeprefix("W/") for each in known.split(",")]
    return "*" in tags or etag in tags


def _size(charts: Mapping[str, str]) -> int:
    return sum(len(name) + len(entries) for name, entries in charts.items())
