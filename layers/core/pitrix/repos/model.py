"""Where packages come from: repositories, uploads to them, syncs, and what became of each package.

Owns the shapes and the layout of object keys in the packages bucket. Never touches storage.
`service.py`, `indexing.py` and `syncing.py` use these, `ports.py` names the stores.

Object keys say who uploaded, so that the indexer need not trust a client:

* ``<repo_id>/<user_id>/<filename>``: through the API; the presigned URL is bound to this key and
  an `Upload` record, written by the API, holds the owner.
* ``<repo_id>/<filename>``: straight to the bucket; belongs to the repository's owner.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, get_args

RepoKind = Literal["platform", "s3", "azure", "http", "oci"]
Visibility = Literal["public", "private"]
RepoStatus = Literal["active", "deleting"]
SyncStatus = Literal["running", "succeeded", "unchanged", "failed"]
Outcome = Literal["indexed", "unchanged", "refused", "removed", "synced", "failed"]

PLATFORM_REPO_ID: Final = "repo_platform"
SCHEDULE: Final = "schedule"
"""Who asked for a sync that nobody asked for."""
PROVENANCE: Final = ".prov"
REMOVED_UPSTREAM: Final = "removed upstream"
"""The reason of a version's suspension that its source's listing it again ends."""
KINDS: Final[tuple[str, ...]] = get_args(RepoKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repo:
    """A source of packages.

    ``url`` is where packages come from: ``https://host/charts``, ``s3://bucket/prefix``,
    ``azure://account/container/prefix``, ``oci://host/path/chart``, and empty for the platform's own bucket.
    ``endpoint`` is that of an S3-compatible store or of a container outside Azure's public cloud, ``region``
    that of a bucket. ``has_credential`` tells that a secret is kept; it is
    never returned.

    ``providers`` names the clouds its apps may run on and ``selectors`` the labels that a runtime must carry
    (both empty: anywhere). ``keys`` are armored OpenPGP certificates that its packages may be signed
    with; ``require_signature`` refuses whatever none of them signed. ``auto_release`` publishes what is
    indexed at once, without a review. ``sync_interval_s`` is the time between two looks at a remote source, 0
    for never by itself. A repository that is ``deleting`` is gone for everybody but the job that lets its
    versions go. ``revision`` counts writes and is the entity tag; storage sets it.
    """

    repo_id: str
    name: str
    description: str = ""
    kind: RepoKind = "platform"
    url: str = ""
    endpoint: str = ""
    region: str = ""
    has_credential: bool = False
    visibility: Visibility = "public"
    owner_path: str
    owner_id: str
    providers: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    selectors: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    require_signature: bool = False
    auto_release: bool = False
    sync_interval_s: int = 3600
    status: RepoStatus = "active"
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def is_remote(self) -> bool:
        """Whether its packages lie somewhere else than in the platform's own bucket."""
        return self.kind != "platform"

    def mismatch(self, provider: str, labels: Mapping[str, str]) -> str:
        """Why a runtime of that cloud, with these labels, may not run its apps; empty when it may."""
        if self.providers and provider not in self.providers:
            return f"apps of this repository run on {', '.join(self.providers)}, not on {provider}"
        missing = [f"{key}={value}" for key, value in self.selectors.items() if labels.get(key) != value]
        return f"apps of this repository run on runtimes labelled {', '.join(missing)}" if missing else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """What a private repository wants to see: basic login, or the keys of an S3 store. Never logged.

    A container of Azure's takes a shared access signature as the password.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing, which takes a credential away."""
        return not (self.username or self.password or self.access_key_id or self.secret_access_key)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEntry:
    """One package as its source lists it.

    ``key`` names it within the source for good (the chart's name and version, the object's key, the tag).
    ``tag`` changes when its content does: a digest, or an ETag. ``location`` is what `fetch` needs, and
    means nothing to anybody else. ``size_bytes`` is 0 where the source does not tell.
    """

    key: str
    tag: str
    location: str
    provenance: str = ""
    size_bytes: int = 0
    name: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Everything that a source holds now; ``validator`` asks it for changes only, the next time.

    ``size_bytes`` is what went over the wire to learn it. ``skipped`` counts what the source lists but nobody
    could fetch (an entry without a version, without an address, ...); ``skips`` says why, for the first 100.
    """

    entries: list[SourceEntry]
    validator: str = ""
    size_bytes: int = 0
    skipped: int = 0
    skips: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A package as it came from its source, and the provenance file beside it, if there is one."""

    archive: bytes = field(repr=False)
    provenance: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoProblem:
    """One thing that is wrong with a package, and how to mend it. Lines count from 1."""

    file: str
    line: int | None
    key: str
    severity: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncCounts:
    """What a sync found, in packages.

    ``added``, ``changed`` and ``unchanged`` are published and were new, had another tag, or the same one.
    ``refused`` break a rule now; ``removed`` were withdrawn because the source lists them no more; ``failed``
    could not be had and are tried again; ``pending`` wait for the next sync, because one takes only so many;
    ``skipped`` entries of the listing name no package that anybody could fetch.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    removed: int = 0
    failed: int = 0
    pending: int = 0
    skipped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncFailure:
    """A package that a sync could not publish, and why."""

    key: str
    outcome: Literal["refused", "failed"]
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """One comparison of a repository with its source. ``by`` is who asked, ``schedule`` for nobody.

    ``size_bytes`` counts what was read of the source: its listing and its packages.
    """

    sync_id: str
    repo_id: str
    status: SyncStatus = "running"
    by: str = SCHEDULE
    started_at: datetime
    finished_at: datetime | None = None
    counts: SyncCounts = SyncCounts()
    size_bytes: int = 0
    message: str = ""
    failures: list[SyncFailure] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What a repository holds: apps and versions in the catalog, packages refused, bytes of packages."""

    apps: int = 0
    versions: int = 0
    refused: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncState:
    """Where a repository and its source stand to each other: one item, changed on condition of its revision.

    ``running`` holds the repository until ``lease_until``; ``again`` tells that somebody asked for another
    look meanwhile, which may see what this one came too early for. ``plan`` names the folder of its plan's
    objects, once there is one, ``unfinished`` that of an earlier sync which did not come to its end.
    ``snapshot`` is the object that holds what the last sync left, ``validator`` asks the source for changes
    since then; the latter holds only while ``basis`` (address and signature policy) is the same. ``next_at``
    is when the schedule looks again, never where it is ``None``.
    """

    repo_id: str
    running: Sync | None = None
    lease_until: datetime | None = None
    again: bool = False
    retry_refused: bool = False
    plan: str = ""
    unfinished: str = ""
    last: Sync | None = None
    snapshot: str = ""
    validator: str = ""
    basis: str = ""
    totals: Totals = Totals()
    failures: int = 0
    next_at: datetime | None = None
    revision: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoStatistics:
    """Figures of a repository, and how its last sync went.

    Of a remote repository ``totals`` are what its source holds now. Of the platform's own bucket they count
    what was uploaded so far, with ``versions`` that were deleted later and every upload that was ``refused``.
    """

    repo_id: str
    totals: Totals
    running: Sync | None
    last_sync: Sync | None
    next_sync_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCheck:
    """What was found at a repository's address: how many packages, and a few of them (``name version``)."""

    valid: bool
    packages: int
    sample: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionDone:
    """What an action on a repository came to: one of these, by the action."""

    sync: Sync | None = None
    event: RepoEvent | None = None
    check: SourceCheck | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoEvent:
    """What became of one object of a repository, or of one sync.

    ``duration_ms`` is wall time of reading, checking and publishing. ``problems`` is empty
    unless ``outcome`` is ``refused``; ``message`` is a sentence for a person. Of a sync (``outcome``
    ``synced`` or ``failed``) ``counts`` and ``failures`` say more.
    """

    event_id: str
    repo_id: str
    outcome: Outcome
    key: str
    message: str
    owner_path: str
    uploaded_by: str = ""
    app_id: str | None = None
    version_id: str | None = None
    name: str = ""
    version: str = ""
    digest: str = ""
    size_bytes: int = 0
    problems: list[RepoProblem] = field(default_factory=list)
    duration_ms: int = 0
    sync_id: str = ""
    counts: SyncCounts | None = None
    failures: list[SyncFailure] = field(default_factory=list)
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """An announced upload: who may be behind an object key. Kept, so that re-indexing knows too."""

    key: str
    repo_id: str
    user_id: str
    username: str
    role: str
    owner_path: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadTicket:
    """Where and how to send a package: ``method`` ``upload_url`` with ``headers`` and the archive as body."""

    upload_url: str
    method: Literal["PUT"]
    key: str
    headers: dict[str, str]
    expires_in_s: int
    max_size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LintReport:
    """All that is wrong with a package at once; ``valid`` when nothing in it is an error."""

    valid: bool
    problems: list[RepoProblem]
    name: str = ""
    version: str = ""
    title: str = ""
    digest: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoRequest:
    """A wanted repository; see `Repo`.

    Without ``auto_release``, everything is released at once but in a public repository of the platform's own
    bucket, where reviews decide. An operator makes public repositories, and nobody else.
    """

    name: str
    kind: RepoKind = "platform"
    description: str = ""
    url: str = ""
    endpoint: str = ""
    region: str = ""
    credential: Credential | None = field(default=None, repr=False)
    visibility: Visibility = "private"
    providers: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    selectors: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    require_signature: bool = False
    auto_release: bool | None = None
    sync_interval_s: int = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoPatch:
    """What may be edited of a repository; ``None`` leaves a field as it is.

    A credential is replaced as a whole; one without any field takes it away.
    """

    name: str | None = None
    description: str | None = None
    url: str | None = None
    endpoint: str | None = None
    region: str | None = None
    credential: Credential | None = field(default=None, repr=False)
    visibility: Visibility | None = None
    providers: list[str] | None = None
    labels: dict[str, str] | None = None
    selectors: dict[str, str] | None = None
    keys: list[str] | None = None
    require_signature: bool | None = None
    auto_release: bool | None = None
    sync_interval_s: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRequest:
    """An address and a credential to be tried without keeping anything."""

    kind: RepoKind
    url: str = ""
    endpoint: str = ""
    region: str = ""
    credential: Credential | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyParts:
    """An object key of the packages bucket, taken apart."""

    repo_id: str
    user_id: str | None
    filename: str


_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,190}\.(?:tgz|tar\.gz)")


def is_package_filename(filename: str) -> bool:
    """Whether a name is one of a package: letters, digits and ``._+-``, ending in .tgz or .tar.gz."""
    return _FILENAME.fullmatch(filename) is not None


def is_provenance_filename(filename: str) -> bool:
    """Whether a name is that of a package's provenance file: the package's own and ``.prov``."""
    return filename.endswith(PROVENANCE) and is_package_filename(filename.removesuffix(PROVENANCE))


def upload_key(repo_id: str, user_id: str, filename: str) -> str:
    """The one object key under which this user may upload this file."""
    return f"{repo_id}/{user_id}/{filename}"


def parse_key(key: str) -> KeyParts | None:
    """Take an object key apart, or ``None`` when it follows neither layout, or is longer than S3's are."""
    parts = key.split("/")
    if not all(parts) or len(key.encode()) > 1024:
        return None
    if len(parts) == 2:
        return KeyParts(repo_id=parts[0], user_id=None, filename=parts[1])
    if len(parts) == 3:
        return KeyParts(repo_id=parts[0], user_id=parts[1], filename=parts[2])
    return None


def folded(name: str) -> str:
    """A name as names are compared: without regard to case or width."""
    return unicodedata.normalize("NFKC", name).casefold()


def tenant_of(owner_path: str) -> str:
    """The topmost place below the root that an owner path lies in: ``:acme:`` for ``:acme:shop:``."""
    names = [name for name in owner_path.split(":") if name]
    return f":{names[0]}:" if names else ":"
