"""The index of charts of each repository, as items of the catalog's table.

Owns their keys, and which of them a change writes, so that publishing a version costs the same however many
charts there are:

===========================  ================================  =============================================
pk                           sk                                what it is
===========================  ================================  =============================================
``APP#<app>``                ``CHART#<version>``               the version's fragment, released or not
``CHARTS#<repo>#<scope>``    ``ENTRY#<shard>#<app>#<rank>``    the fragment of a released version
``CHARTS#<repo>#<scope>``    ``REVISION#<shard>``              a text that changes with the shard
===========================  ================================  =============================================

A scope is ``PUBLIC`` (versions of public apps) or ``OWNER:<path>``, one for each place in the tree of owners
that sees a private app: who may see a chart is decided by the key, never by a filter. A fragment and the
revision of its shard are written in the transaction that changes the version, so an index is never served as
unchanged when it is not. Shards keep publishers out of each other's way (two transactions on one item
conflict) and let a reader fetch again only what changed. Never decides when: `dynamo.py` asks for the writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from pitrix import ids
from pitrix.catalog.model import App, Version, owner_scopes, version_sort_key
from pitrix.catalog.ports import ChartFragment
from pitrix.clock import rfc3339
from pitrix.table import Delete, Item, Put, Write

PUBLIC: Final = "PUBLIC"
REVISION_PREFIX: Final = "REVISION#"
SHARDS: Final = 64
#: A version is moved by one delete and at most 9 puts (owner paths are at most 8 deep), beside at most 10
#: revisions; a transaction takes 100 writes.
MOVED_AT_ONCE: Final = 6


def owner_scope(owner_path: str) -> str:
    """The scope of the private charts at or below an owner path."""
    return f"OWNER:{owner_path}"


def partition(repo_id: str, scope: str) -> str:
    """The partition of a scope."""
    return f"CHARTS#{repo_id}#{scope}"


def shard_of(app_id: str) -> str:
    """The shard that all versions of an app lie in."""
    return f"{crc32(app_id.encode()) % SHARDS:02x}"


def shard_prefix(shard: str) -> str:
    """How the sort keys of the fragments of a shard begin."""
    return f"ENTRY#{shard}#"


def app_prefix(app_id: str) -> str:
    """How the sort keys of the fragments of an app begin."""
    return f"ENTRY#{shard_of(app_id)}#{app_id}#"


def rank(version: Version) -> str:
    """What the versions of an app are ordered by."""
    return f"{version_sort_key(version.name)}#{version.version_id}"


def text_key(version: Version) -> tuple[str, str]:
    """Where the fragment of a version is kept whatever its status."""
    return f"APP#{version.app_id}", f"CHART#{version.version_id}"


def fragment(item: Item) -> ChartFragment:
    """The fragment that an item holds."""
    return ChartFragment(name=item.data["name"], entry=item.data["entry"])


def revision(item: Item) -> tuple[str, str]:
    """The shard that an item is the revision of, and that revision."""
    return item.sk.removeprefix(REVISION_PREFIX), item.data["revision"]


def changed_at(revision: str) -> str:
    """When a revision was made (RFC 3339): it carries its time, as every id does."""
    from ulid import ULID

    return rfc3339(ULID.from_str(revision.partition("_")[2]).datetime)


def of_new_version(app: App, version: Version, chart: ChartFragment | None) -> list[Write]:
    """What a new version adds: its fragment to be kept, and in the index if it is released at once."""
    if chart is None:
        return []
    pk, sk = text_key(version)
    kept = Item(pk=pk, sk=sk, data={"name": chart.name, "entry": chart.entry})
    writes: list[Write] = [Put(item=kept, if_absent=True)]
    if version.status == "released":
        writes += _listed(app, version, kept)
    return writes


def of_status(app: App, version: Version, kept: Item) -> list[Write]:
    """What a version's status makes of the index; ``kept`` is the item under `text_key`."""
    if version.status == "released":
        return _listed(app, version, kept)
    # From every scope: while an app changes its visibility, its fragments are neither here nor there.
    sk = f"{app_prefix(app.app_id)}{rank(version)}"
    places = [partition(app.repo_id, scope) for scope in (*_wanted_scopes(app), *unwanted_scopes(app))]
    deletes: list[Write] = [Delete(pk=pk, sk=sk) for pk in places]
    return deletes + [_changed(pk, app) for pk in places]


def moves(app: App, source: str, items: Sequence[Item]) -> list[Write]:
    """Fragments found in an unwanted scope go to where the app's visibility wants them."""
    targets = [partition(app.repo_id, scope) for scope in _wanted_scopes(app)]
    writes: list[Write] = []
    for item in items:
        # A fragment that went away meanwhile (its version was suspended) must not come back.
        writes.append(Delete(pk=item.pk, sk=item.sk, if_version=item.version))
        writes += [Put(item=Item(pk=pk, sk=item.sk, data=item.data)) for pk in targets]
    touched = {partition(app.repo_id, source), *targets}
    return writes + [_changed(pk, app) for pk in sorted(touched)]


def unwanted_scopes(app: App) -> list[str]:
    """The scopes that a fragment of the app must not be in."""
    return [PUBLIC] if app.visibility == "private" else _owner_scopes(app)


def _wanted_scopes(app: App) -> list[str]:
    return _owner_scopes(app) if app.visibility == "private" else [PUBLIC]


def _owner_scopes(app: App) -> list[str]:
    return [owner_scope(path) for path in owner_scopes(app.owner_path)]


def _listed(app: App, version: Version, kept: Item) -> list[Write]:
    sk = f"{app_prefix(app.app_id)}{rank(version)}"
    places = [partition(app.repo_id, scope) for scope in _wanted_scopes(app)]
    puts: list[Write] = [Put(item=Item(pk=pk, sk=sk, data=kept.data)) for pk in places]
    return puts + [_changed(pk, app) for pk in places]


def _changed(pk: str, app: App) -> Write:
    """A revision that was never there before: what a reader kept under an older one is out of date."""
    item = Item(pk=pk, sk=f"{REVISION_PREFIX}{shard_of(app.app_id)}", data={"revision": ids.new("rev")})
    return Put(item=item)
