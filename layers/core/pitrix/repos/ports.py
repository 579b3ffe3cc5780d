"""What the repositories need of the outside: their records, the uploads' bucket, catalog, checks.

Owns the interfaces only. `dynamo.py` and `s3.py` implement the first two; the others are other contexts'
services, put together in `pitrix.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pitrix.catalog.model import Published, Visibility
from pitrix.identity.model import Principal
from pitrix.packages.model import Package, Problem
from pitrix.repos.model import Credential, Fetched, Listing, Repo, RepoEvent, SourceEntry, Upload


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectPage:
    """Some objects below a prefix in the order of their keys, and where to go on."""

    objects: list[StoredObject]
    next_cursor: str | None


class RepoStore(Protocol):
    """Repositories, announced uploads, and events."""

    def repo(self, repo_id: str) -> Repo | None: ...

    def list_public(self, *, limit: int, cursor: str | None) -> RepoPage:
        """Those that everybody may use, by name."""
        ...

    def list_owned(self, owner_path: str, *, limit: int, cursor: str | None) -> RepoPage:
        """Those at and below an owner path, by path and name."""
        ...

    def create(self, repo: Repo) -> Repo:
        """Write a new repository.

        Raises:
            Conflict: the id or the name is taken.
        """
        ...

    def save(self, before: Repo, after: Repo) -> Repo:
        """Write a changed repository.

        Raises:
            Conflict: it was changed by somebody else, or its new name is taken.
        """
        ...

    def add_event(self, event: RepoEvent, delivery_id: str = "") -> bool:
        """Keep an event; ``False`` when one was kept for the same delivery before."""
        ...

    def was_delivered(self, key: str, delivery_id: str) -> bool:
        """Whether an event was kept for this delivery of a notification."""
        ...

    def list_events(self, repo_id: str, *, tenant: str | None, limit: int, cursor: str | None) -> EventPage:
        """Events, newest first: all, or those of one tenant (the first name of an owner path)."""
        ...

    def announce(self, upload: Upload) -> None: ...

    def upload(self, key: str) -> Upload | None: ...


class UploadBucket(Protocol):
    """The bucket that packages are uploaded to."""

    def upload_url(self, key: str, *, size_bytes: int | None, expires_in_s: int) -> str:
        """A presigned address that takes one PUT to ``key``, of exactly that size where it is given."""
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


class Catalog(Protocol):
    """The part of `pitrix.catalog.service.CatalogService` that the indexer uses."""

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
    ) -> Published: ...


class PackageChecks(Protocol):
    """The part of `pitrix.packages.service` that repositories use."""

    def open_package(self, data: bytes) -> Package: ...

    def lint(self, source: bytes) -> Sequence[Problem]: ...
