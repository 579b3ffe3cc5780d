"""Where packages come from: repositories, uploads to them, and what became of each.

Owns the shapes and the layout of object keys in the packages bucket. Never touches storage.
`service.py` uses these, `ports.py` names the stores.

Object keys say who uploaded, so that the indexer need not trust a client:

* ``<repo_id>/<user_id>/<filename>``: through the API; the presigned URL is bound to this key and
  an `Upload` record, written by the API, holds the owner.
* ``<repo_id>/<filename>``: straight to the bucket; belongs to the repository's owner.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, get_args

RepoKind = Literal["platform", "s3", "http", "oci"]
Visibility = Literal["public", "private"]
Outcome = Literal["indexed", "unchanged", "refused", "removed"]

PLATFORM_REPO_ID: Final = "repo_platform"
KINDS: Final[tuple[str, ...]] = get_args(RepoKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repo:
    """A source of packages.

    ``url`` is where packages come from: ``https://host/charts``, ``s3://bucket/prefix``,
    ``oci://host/path/chart``, and empty for the platform's own bucket. ``endpoint`` and ``region`` are
    those of an S3-compatible store (empty: AWS). ``has_credential`` tells that a secret is kept; it is
    never returned.

    ``providers`` names the clouds its apps may run on and ``selectors`` the labels that a runtime must carry
    (both empty: anywhere). ``keys`` are armored OpenPGP certificates that its packages may be signed
    with; ``require_signature`` refuses whatever none of them signed. ``auto_release`` publishes what is
    indexed at once, without a review. ``revision`` counts writes and is the entity tag; storage sets it.
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
    created_at: datetime
    updated_at: datetime
    revision: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """What a private repository wants to see: basic login, or the keys of an S3 store. Never logged."""

    username: str = ""
    password: str = field(default="", repr=False)
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)


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
    """Everything that a source holds now; ``validator`` asks it for changes only, the next time."""

    entries: list[SourceEntry]
    validator: str = ""
    size_bytes: int = 0


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
class RepoEvent:
    """What became of one object of a repository's bucket.

    ``duration_ms`` is wall time of reading, checking and publishing. ``problems`` is empty
    unless ``outcome`` is ``refused``; ``message`` is a sentence for a person.
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
class IndexReport:
    """The outcome of one call of the ``index`` action; call again with ``next_cursor`` until null."""

    events: list[RepoEvent]
    indexed: int
    unchanged: int
    refused: int
    next_cursor: str | None


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
class RepoPatch:
    """What may be edited of a repository; ``None`` leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    providers: list[str] | None = None
    labels: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyParts:
    """An object key of the packages bucket, taken apart."""

    repo_id: str
    user_id: str | None
    filename: str


_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,190}\.(?:tgz|tar\.gz)")


def is_package_filename(filename: str) -> bool:
    """Whether a name may be uploaded: letters, digits and ``._+-``, ending in .tgz or .tar.gz."""
    return _FILENAME.fullmatch(filename) is not None


def upload_key(repo_id: str, user_id: str, filename: str) -> str:
    """The one object key under which this user may upload this file."""
    return f"{repo_id}/{user_id}/{filename}"


def parse_key(key: str) -> KeyParts | None:
    """Take an object key apart, or ``None`` when it follows neither layout."""
    parts = key.split("/")
    if not all(parts):
        return None
    if len(parts) == 2:
        return KeyParts(repo_id=parts[0], user_id=None, filename=parts[1])
    if len(parts) == 3:
        return KeyParts(repo_id=parts[0], user_id=parts[1], filename=parts[2])
    return None


def tenant_of(owner_path: str) -> str:
    """The topmost place below the root that an owner path lies in: ``:acme:`` for ``:acme:shop:``."""
    names = [name for name in owner_path.split(":") if name]
    return f":{names[0]}:" if names else ":"
