"""What the catalog needs of the outside: a store of apps, a store of archives, a reader of packages.

Owns the interfaces only. `dynamo.py` and `s3.py` implement the stores; the reader is
`pitrix.packages.service`; `pitrix.bootstrap` puts them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pitrix.catalog.model import App, AppFilter, AppSort, Category, Version
from pitrix.packages.model import Form, Package


@dataclass(frozen=True, kw_only=True, slots=True)
class AppPage:
    """Some apps of a list, and where to go on."""

    apps: list[App]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChartFragment:
    """What a version adds to the index of its repository: the chart's name, and its entry as JSON text."""

    name: str
    entry: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionPage:
    """Some versions of an app, and where to go on."""

    versions: list[Version]
    next_cursor: str | None


class AppStore(Protocol):
    """Apps, versions and categories, kept so that each list is one query.

    Writes compare ``revision`` with what is stored and raise `Conflict` when it moved on.
    """

    def app(self, app_id: str) -> App | None: ...

    def app_by_name(self, repo_id: str, name: str) -> App | None:
        """The app of that name (letter case does not count) in a repository."""
        ...

    def list_apps(
        self, *, owner_path: str | None, wanted: AppFilter, sort: AppSort, limit: int, cursor: str | None
    ) -> AppPage:
        """Apps in order: the public store for ``owner_path=None``, else all at or below that path.

        A page is short, or even empty, with a ``next_cursor`` when a filter rejects very many apps.

        Raises:
            InvalidInput: ``cursor`` is broken or belongs to another list.
        """
        ...

    def all_apps(self, owner_path: str) -> Iterator[App]:
        """Every app at or below an owner path; costs a read of each."""
        ...

    def app_ids(self, repo_id: str) -> Iterator[str]:
        """The ids of all apps of a repository, by name."""
        ...

    def version(self, app_id: str, version_id: str) -> Version | None: ...

    def find_version(self, version_id: str) -> Version | None:
        """The version with that id, whatever its app."""
        ...

    def version_by_name(self, app_id: str, name: str) -> Version | None:
        """The version of that name, deleted ones too: a name is used once and never again."""
        ...

    def list_versions(
        self, app_id: str, *, released_only: bool, limit: int, cursor: str | None
    ) -> VersionPage:
        """Versions, highest first, without deleted ones. Read from an index that may lag by moments."""
        ...

    def create_app(self, app: App, version: Version, chart: ChartFragment | None = None) -> None:
        """Write a new app with its first version, and what that adds to the index of charts once released.

        Raises:
            Conflict: the name was taken in the meantime.
        """
        ...

    def add_version(
        self, before: App, after: App, version: Version, chart: ChartFragment | None = None
    ) -> None:
        """Write a new version and the app it changes; ``chart`` as in `create_app`.

        Raises:
            Conflict: the app moved on, or the version's name was taken in the meantime.
        """
        ...

    def change(self, before: App, after: App, version: Version | None = None) -> None:
        """Write a changed app, and one changed version of it, all or nothing; the index of charts follows
        the version's status in the same write.

        Raises:
            Conflict: either was changed by somebody else since it was read.
        """
        ...

    def count_deployment(self, before: App, after: App, cluster_id: str) -> bool:
        """Write ``after`` once for each ``cluster_id``; ``False`` when that cluster was counted before.

        Raises:
            Conflict: the app moved on.
        """
        ...

    def chart_revisions(self, repo_id: str, scope: str) -> dict[str, str]:
        """What is new in the index of charts of a repository: by shard, a text that never comes twice.

        Args:
            scope: ``PUBLIC``, or ``OWNER:<path>`` for the private charts at or below an owner path.
        """
        ...

    def chart_shard(self, repo_id: str, scope: str, shard: str) -> list[ChartFragment]:
        """The fragments of one shard, app by app, the highest version of each first."""
        ...

    def settle_charts(self, app: App) -> None:
        """Bring the fragments of an app to where its visibility wants them, some at a time.

        Raises:
            Conflict: its versions change so often that this did not get its turn.
        """
        ...

    def category(self, category_id: str) -> Category | None: ...

    def categories(self) -> list[Category]:
        """All categories in the order of their position."""
        ...

    def save_category(self, category: Category) -> Category:
        """Write a category whose ``revision`` is the stored one (0: it must not exist yet).

        Raises:
            Conflict: it was changed, or made, by somebody else.
        """
        ...

    def delete_category(self, category_id: str) -> None: ...


class PackageStore(Protocol):
    """Archives and the files in them, by digest: immutable, so writing twice is harmless."""

    def put_archive(self, digest: str, archive: bytes) -> None: ...

    def archive(self, digest: str) -> bytes:
        """The archive's bytes.

        Raises:
            NotFound: no such archive.
        """
        ...

    def put_file(self, digest: str, path: str, data: bytes, content_type: str) -> None: ...

    def archive_url(self, digest: str, filename: str, expires_in_s: int) -> str:
        """A presigned address that downloads the archive under ``filename``."""
        ...

    def file_url(self, digest: str, path: str, expires_in_s: int) -> str:
        """A presigned address of a file stored by `put_file`."""
        ...

    def put_provenance(self, version_id: str, provenance: bytes) -> None:
        """Keep the provenance file (``.prov``) of a version; a later one replaces it.

        Never by the archive's digest: whoever publishes the same bytes elsewhere would replace it too.
        """
        ...

    def provenance_url(self, version_id: str, filename: str, expires_in_s: int) -> str:
        """A presigned address of what `put_provenance` kept."""
        ...

    def put_index(self, key: str, data: bytes, *, gzipped: bool) -> None:
        """Keep an index of charts under a key that names its content; it may be dropped after a few days."""
        ...

    def index_stored_at(self, key: str) -> datetime | None:
        """When `put_index` was called with that key last; ``None`` where there is none (any more)."""
        ...

    def index_url(self, key: str, expires_in_s: int) -> str:
        """A presigned address of an index."""
        ...


class PackageReader(Protocol):
    """The part of `pitrix.packages.service` that the catalog uses."""

    def open_package(self, data: bytes) -> Package: ...

    def form(self, package: Package, locale: str = "en") -> Form: ...

    def payload_archive(self, package: Package) -> bytes | None: ...
