"""What the repositories need of the outside: their records, buckets, sources, a vault, catalog, checks.

Owns the interfaces only. `dynamo.py`, `s3.py`, `aws.py`, `vault.py` and `sources/` implement those of this
context; the others are other contexts' services, put together in `pitrix.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pitrix.catalog.model import Published, Visibility
from pitrix.identity.model import Principal
from pitrix.packages.model import Package, Problem, Signature
from pitrix.repos.model import (
    Credential,
    Fetched,
    Listing,
    Repo,
    RepoEvent,
    SourceEntry,
    Sync,
    SyncState,
    Totals,
    Upload,
)

NOTHING = Totals()


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoPage:
    """Some repositories, and where to go on."""

    repos: list[Repo]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPage:
    """Some events of a repository, newest first, and where to go on."""

    events: list[RepoEvent]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """An object of the bucket."""

    key: str
    size_bytes: int
    etag: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectPage:
    """Some objects below a prefix in the order of their keys, and where to go on."""

    objects: list[StoredObject]
    next_cursor: str | None


class RepoStore(Protocol):
    """Repositories, announced uploads, events, and how syncs stand."""

    def repo(self, repo_id: str) -> Repo | None:
        """The repository, also one that is being deleted."""
        ...

    def list_public(self, *, limit: int, cursor: str | None) -> RepoPage:
        """Those that everybody may use, by name."""
        ...

    def list_owned(self, owner_path: str, *, limit: int, cursor: str | None) -> RepoPage:
        """Those at and below an owner path, by path and name."""
        ...

    def create(self, repo: Repo) -> Repo:
        """Write a new repository; a remote one is due to be synced.

        Raises:
            Conflict: the id is taken, or its owner has one of that name.
        """
        ...

    def save(self, before: Repo, after: Repo) -> Repo:
        """Write a changed repository.

        One that becomes ``deleting`` leaves every list and gives its name back.

        Raises:
            Conflict: it was changed by somebody else, or its owner has another one of the new name.
        """
        ...

    def remove(self, repo: Repo) -> None:
        """Delete a repository's record and what is known of its syncs; gone: no effect."""
        ...

    def add_event(self, event: RepoEvent, delivery_id: str = "", *, counts: Totals = NOTHING) -> bool:
        """Keep an event and add ``counts`` to the repository's totals, both or neither.

        Returns:
            ``False`` when an event was kept for the same delivery before.
        """
        ...

    def totals(self, repo_id: str) -> Totals:
        """The sum of all ``counts``."""
        ...

    def was_delivered(self, repo_id: str, key: str, delivery_id: str) -> bool:
        """Whether an event was kept for this delivery of a notification."""
        ...

    def list_events(self, repo_id: str, *, tenant: str | None, limit: int, cursor: str | None) -> EventPage:
        """Events, newest first: all, or those of one tenant (the first name of an owner path)."""
        ...

    def announce(self, upload: Upload) -> None: ...

    def upload(self, key: str) -> Upload | None: ...

    def sync_state(self, repo_id: str) -> SyncState | None: ...

    def save_sync_state(self, state: SyncState, event: RepoEvent | None = None) -> SyncState:
        """Write a state, and an event, on condition that the stored one has its revision (0: there is none).

        Raises:
            Conflict: somebody else wrote it in the meantime.
        """
        ...

    def due(self, now: datetime, *, limit: int) -> list[str]:
        """Repositories whose next look, or whose lease, is over, longest waiting first."""
        ...


class UploadBucket(Protocol):
    """The bucket that packages are uploaded to."""

    def upload_url(self, key: str, *, size_bytes: int, expires_in_s: int) -> str:
        """A presigned address that takes one PUT to ``key``, of exactly that size."""
        ...

    def let_expire(self, key: str) -> None:
        """Have the store delete an object some days later: it was refused, and nobody needs it."""
        ...

    def read(self, key: str, *, at_most_bytes: int) -> bytes:
        """An object's bytes.

        Raises:
            NotFound: there is no such object.
            TooLarge: it is larger than ``at_most_bytes``; nothing was read.
        """
        ...

    def list_objects(self, prefix: str, *, limit: int, cursor: str | None) -> ObjectPage: ...


class PackageSource(Protocol):
    """Where the packages of one repository come from. Reads only; safe to use from several threads.

    Every method raises `pitrix.errors.SourceUnavailable` when the source does not answer as it should (retry
    later), and `pitrix.errors.InvalidInput` when its address or credential is wrong (retrying is no use).
    """

    def listing(self, validator: str = "") -> Listing | None:
        """What there is, or ``None`` when nothing changed since the listing that gave ``validator``."""
        ...

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        """One package's bytes.

        Raises:
            NotFound: it is listed, but not there.
            TooLarge: it is larger than ``at_most_bytes``; no more than that was read.
            PackageInvalid: it is not what the source lists (another digest); this package's fault alone.
        """
        ...


class Sources(Protocol):
    """Connects sources by the kind of their repository; `pitrix.repos.sources` is the registry."""

    def connect(self, repo: Repo, credential: Credential | None) -> PackageSource:
        """The source of a repository; touches no network yet.

        Raises:
            InvalidInput: its address is none that this kind can have.
        """
        ...


class CredentialVault(Protocol):
    """Where credentials of repositories are kept; they never lie in a table."""

    def put(self, repo_id: str, credential: Credential) -> None: ...

    def get(self, repo_id: str) -> Credential | None: ...

    def delete(self, repo_id: str) -> None: ...


class SyncObjects(Protocol):
    """The objects that syncs keep their snapshots, plans and results in."""

    def read(self, key: str) -> bytes | None:
        """An object's bytes, ``None`` where there is none."""
        ...

    def write(self, key: str, data: bytes) -> None: ...

    def keys(self, prefix: str) -> list[str]:
        """The keys of every object below a prefix, sorted."""
        ...

    def delete(self, keys: Sequence[str]) -> None: ...


class SyncMachine(Protocol):
    """What carries out the steps of a sync."""

    def start(self, sync: Sync) -> None:
        """Begin; a second time for the same sync: no effect."""
        ...


class Catalog(Protocol):
    """The part of `pitrix.catalog.service.CatalogService` that repositories use."""

    def publish_version(
        self,
        who: Principal,
        *,
        repo_id: str,
        visibility: Visibility,
        auto_release: bool,
        package: Package,
        archive: bytes,
        package_key: str,
        signature: Signature | None = None,
        provenance: bytes | None = None,
    ) -> Published: ...

    def withdraw_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool: ...

    def restore_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool: ...

    def apps_of(self, who: Principal, repo_id: str) -> Iterator[str]: ...

    def withdraw_app(self, who: Principal, app_id: str, *, reason: str) -> int: ...


class PackageChecks(Protocol):
    """The part of `pitrix.packages.service` that repositories use."""

    def open_package(self, data: bytes) -> Package: ...

    def lint(self, source: bytes) -> Sequence[Problem]: ...


class Signatures(Protocol):
    """The part of `pitrix.packages.provenance` that repositories use."""

    def verify(
        self, archive: bytes, filename: str, provenance: bytes | None, keys: Sequence[bytes | str]
    ) -> Signature: ...
