"""What the store holds: apps, their versions, and the categories they stand in.

Owns the shapes and the rules that need nothing but their own fields: which change of a
version's status is allowed and to whom, how version names are ordered, what a search
compares. Never reads or writes anything. `service.py` uses these, `ports.py` names the stores.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from pitrix.packages.model import Signature

VersionStatus = Literal["draft", "released", "suspended", "deleted"]
VersionAction = Literal["release", "suspend", "recover", "delete"]
Visibility = Literal["public", "private"]
AppSort = Literal["newest", "deployed", "name"]
AppScope = Literal["store", "mine"]

UNCATEGORIZED: Final = "cat_uncategorized"

DEFAULT_CATEGORIES: Final[tuple[tuple[str, str, str], ...]] = (
    ("cat_web", "Web and applications", "网站与应用"),
    ("cat_database", "Databases and caches", "数据库与缓存"),
    ("cat_bigdata", "Big data", "大数据"),
    ("cat_middleware", "Middleware and messaging", "中间件与消息"),
    ("cat_devops", "Development and operations", "开发与运维"),
    ("cat_tools", "Tools", "工具"),
    ("cat_ai", "Artificial intelligence", "人工智能"),
    ("cat_security", "Security", "安全"),
    (UNCATEGORIZED, "Other", "其他"),
)
"""The shelves a new platform starts with: id, English name, Chinese name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """One application of one repository; its name is unique there.

    ``latest_version_id`` and ``latest_version`` name the highest *released* version and are
    ``None`` while there is none. ``icon`` is the path of the route that serves it, or ``None``.
    ``published_at`` is when the latest release happened (the order of ``sort=newest``).
    ``edited`` names the fields a person set by hand, which a new package then leaves alone.
    ``revision`` counts writes and is the entity tag; storage sets it.
    """

    app_id: str
    name: str
    title: str
    owner_path: str
    repo_id: str
    type: str = "vm"
    description: str = ""
    categories: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    maintainers: list[dict[str, str]] = field(default_factory=list)
    home: str = ""
    icon: str | None = None
    icon_digest: str | None = None
    icon_path: str | None = None
    visibility: Visibility = "public"
    latest_version_id: str | None = None
    latest_version: str | None = None
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None = None
    deploy_count: int = 0
    edited: list[str] = field(default_factory=list)
    revision: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One immutable package of an app. The bytes behind ``digest`` never change.

    ``package_key`` is where it was uploaded (the packages bucket); the catalog serves its own
    copy, found by ``digest`` (``sha256:…`` of the archive). ``held_by_operator`` marks a
    suspension that only an operator may end. ``payload_digest`` names the archive of the files that
    machines get, empty where the package has none. ``app_version`` is that of the software inside, as
    its vendor writes it. ``signature`` is what became of checking the package's signature when it was
    published, ``None`` where nobody looked; ``has_provenance`` tells that its provenance file is kept.
    """

    version_id: str
    app_id: str
    name: str
    status: VersionStatus
    package_key: str
    digest: str
    payload_digest: str = ""
    app_version: str = ""
    signature: Signature | None = None
    has_provenance: bool = False
    size_bytes: int
    type: str = "vm"
    title: str = ""
    description: str = ""
    owner_path: str
    created_by: str = ""
    created_at: datetime
    updated_at: datetime
    released_at: datetime | None = None
    status_reason: str = ""
    held_by_operator: bool = False
    revision: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """A shelf of the store. ``name`` maps a locale (``en``, ``zh-cn``) to what is shown."""

    category_id: str
    name: dict[str, str]
    description: str = ""
    position: int = 1000
    revision: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file of a package as a listing shows it."""

    path: str
    size_bytes: int
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileContent:
    """One file ready to be sent: either ``text`` itself, or a short-lived ``url`` to fetch it from."""

    entry: FileEntry
    text: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """A presigned address of a package; ``expires_in_s`` from the moment of the answer."""

    url: str
    expires_in_s: int
    filename: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A presigned address of the files that machines get, and the digest of what comes from there."""

    url: str
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChartIndex:
    """The index of a repository for a Helm client: at most one of ``text`` and ``url`` is given.

    ``etag`` changes exactly when what the caller may see of the repository does. ``text`` is the index
    itself, ``url`` a short-lived address of it where it is too long to be answered inline. Neither is
    given when the caller has it already.
    """

    etag: str
    text: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What publishing a package came to; ``unchanged`` when this very package was known."""

    outcome: Literal["indexed", "unchanged"]
    app: App
    version: Version


@dataclass(frozen=True, kw_only=True, slots=True)
class AppStatistics:
    """Figures over the apps that a caller owns; an operator owns all."""

    apps: int
    released: int
    deployments: int
    by_category: dict[str, int]
    by_type: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """A change of status: from where to where, the permission (of ``catalog``) it takes, its event."""

    sources: frozenset[VersionStatus]
    target: VersionStatus
    permission: str
    event: str


TRANSITIONS: Final[dict[VersionAction, Transition]] = {
    "release": Transition(
        sources=frozenset({"draft"}), target="released", permission="release", event="AppVersionReleased"
    ),
    "suspend": Transition(
        sources=frozenset({"released"}), target="suspended", permission="suspend", event="AppVersionSuspended"
    ),
    "recover": Transition(
        sources=frozenset({"suspended"}), target="released", permission="release", event="AppVersionRecovered"
    ),
    "delete": Transition(
        sources=frozenset({"draft", "suspended"}),
        target="deleted",
        permission="delete",
        event="AppVersionDeleted",
    ),
}
"""The whole life of a version today. The review flow adds its rows here and nowhere else."""


_SEMVER: Final = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class AppFilter:
    """What a list of apps is narrowed to; empty means all.

    ``words`` are folded (see `fold`) and every one must occur. ``name`` is matched whole, folded.
    """

    words: tuple[str, ...] = ()
    category: str = ""
    repo_id: str = ""
    type: str = ""
    name: str = ""

    def accepts(self, app: App) -> bool:
        """Whether ``app`` belongs into the list."""
        if self.category and self.category not in app.categories:
            return False
        if self.repo_id and self.repo_id != app.repo_id:
            return False
        if self.type and self.type != app.type:
            return False
        if self.name and self.name != fold(app.name):
            return False
        return matches(app, self.words)


@dataclass(frozen=True, kw_only=True, slots=True)
class AppPatch:
    """What may be edited of an app; ``None`` leaves a field as it is."""

    title: str | None = None
    description: str | None = None
    keywords: list[str] | None = None
    categories: list[str] | None = None
    home: str | None = None
    visibility: Visibility | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryPatch:
    """What may be edited of a category; ``None`` leaves a field as it is."""

    name: dict[str, str] | None = None
    description: str | None = None
    position: int | None = None


def version_sort_key(name: str) -> str:
    """A string that sorts as semantic versions do, so that an index can keep the order.

    ``1.10.0`` > ``1.9.0`` > ``1.9.0-rc.2`` > ``1.9.0-beta``. Missing parts count as 0. A name
    that is no version at all sorts below every version, by its text.
    """
    match = _SEMVER.match(name.strip())
    if match is None:
        return f"0 {name}"
    major, minor, patch, pre = match.groups()
    core = ".".join(_sortable_number(part or "0") for part in (major, minor, patch))
    if pre is None:
        return f"1 {core} ~"
    # Numbers sort before words and a shorter list before a longer one (semver.org §11.4).
    parts = [f"0{_sortable_number(p)}" if p.isdigit() else f"1{p}" for p in pre.split(".")]
    return f"1 {core} -" + " ".join(parts)


def is_prerelease(name: str) -> bool:
    """Whether a version name carries a pre-release part; such a one is never preferred as latest."""
    match = _SEMVER.match(name.strip())
    return match is None or match.group(4) is not None


def owner_scopes(owner_path: str) -> list[str]:
    """Every place in the tree of owners that sees what ``owner_path`` owns, from the root down.

    ``:acme:shop:`` gives ``:``, ``:acme:`` and ``:acme:shop:``.
    """
    names = [name for name in owner_path.split(":") if name]
    return [":"] + [":" + ":".join(names[: depth + 1]) + ":" for depth in range(len(names))]


def _sortable_number(digits: str) -> str:
    """Digits prefixed with their count, so that text order is numeric order."""
    digits = digits.lstrip("0") or "0"
    return f"{len(digits):03d}{digits}"


def outranks(name: str, other: str | None) -> bool:
    """Whether version ``name`` is to be offered as latest rather than ``other``.

    A stable version is preferred to any pre-release; among equals the higher one wins.
    """
    if other is None:
        return True
    return (not is_prerelease(name), version_sort_key(name)) > (
        not is_prerelease(other),
        version_sort_key(other),
    )


def fold(text: str) -> str:
    """Text as a search compares it: case folded, and full-width or composed forms made one (NFKC)."""
    return unicodedata.normalize("NFKC", text).casefold()


def matches(app: App, words: tuple[str, ...]) -> bool:
    """Whether every (already folded) word occurs in the app's name, title, keywords or description.

    Substrings, not tokens: Chinese text has no spaces to split at.
    """
    haystack = fold("\n".join([app.name, app.title, app.description, *app.keywords]))
    return all(word in haystack for word in words)
