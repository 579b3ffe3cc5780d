"""What can be done with the store: look, publish, edit, release, withdraw, and read packages.

The one door of the catalog. Owns lists, edits of apps, and what is read of a version; hands on to
`publishing.py` (a package into the catalog), `lives.py` (the life of a version), `categories.py` and
`charts.py` (the index that Helm reads). Never opens archives itself (`pitrix.packages.service` does) and
never talks to AWS.

Who sees what is in `access.py`. Next: `dynamo.py` for how lists are kept, `edits.py` for the limits of what
people write, `content.py` for how files are sent.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pitrix.catalog import chart_names, content, edits
from pitrix.catalog.access import Access, sees_app, sees_version, shown
from pitrix.catalog.categories import Categories
from pitrix.catalog.charts import ChartIndexReader
from pitrix.catalog.lives import ATTEMPTS, VersionLives, wait_turn
from pitrix.catalog.model import (
    App,
    AppFilter,
    AppPatch,
    AppScope,
    AppSort,
    AppStatistics,
    Category,
    CategoryPatch,
    ChartIndex,
    Download,
    FileContent,
    FileEntry,
    Payload,
    Published,
    Version,
    VersionAction,
    Visibility,
    fold,
)
from pitrix.catalog.ports import (
    AppPage,
    AppStore,
    PackageReader,
    PackageStore,
    VersionPage,
)
from pitrix.catalog.publishing import Publishing
from pitrix.clock import Clock
from pitrix.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from pitrix.events import EventBus, announce
from pitrix.identity.model import Principal, require
from pitrix.packages.model import Form, Package, Signature

#: How long a presigned address of a package or a picture works.
URL_EXPIRES_IN_S: Final = 300
#: Opened packages kept in memory by one process, by the size of their files.
CACHED_BYTES: Final = 48 * 1024 * 1024


class CatalogService:
    """The catalog's use cases. Every method takes who asks first."""

    def __init__(
        self,
        *,
        apps: AppStore,
        archives: PackageStore,
        reader: PackageReader,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._apps = apps
        self._archives = archives
        self._reader = reader
        self._events = events
        self._clock = clock
        self._access = Access(apps)
        self._categories = Categories(apps)
        self._lives = VersionLives(apps=apps, events=events, clock=clock)
        self._publishing = Publishing(
            apps=apps, archives=archives, reader=reader, lives=self._lives, events=events, clock=clock
        )
        self._opened: OrderedDict[str, Package] = OrderedDict()
        self._indexes = ChartIndexReader(store=apps, objects=archives, clock=clock)

    # --- apps ----------------------------------------------------------------------------------------------

    def list_apps(
        self,
        who: Principal,
        *,
        search: str = "",
        category: str = "",
        repo: str = "",
        type: str = "",
        name: str = "",
        sort: AppSort = "newest",
        scope: AppScope = "store",
        limit: int = 50,
        cursor: str | None = None,
    ) -> AppPage:
        """Apps of the public store, or with ``scope="mine"`` all at or below the caller's owner path.

        Args:
            search: Words that must all occur in name, title, keywords or description; case and width of
                letters do not count.
            name: The exact name, without regard to case.

        Raises:
            Unauthenticated: a visitor asked for ``mine``.
            InvalidInput: the search is too long, or the cursor is not of this list.
        """
        require(who, "catalog", "read")
        if len(search) > 200:
            raise _invalid("search", "is longer than 200 characters")
        if scope == "mine" and who.is_anonymous:
            raise Unauthenticated("Sign in to see your own apps.")
        wanted = AppFilter(
            words=tuple(fold(search).split()), category=category, repo_id=repo, type=type, name=fold(name)
        )
        return self._apps.list_apps(
            owner_path=who.owner_path if scope == "mine" else None,
            wanted=wanted,
            sort="name" if name else sort,
            limit=limit,
            cursor=cursor,
        )

    def get_app(self, who: Principal, app_id: str) -> App:
        """One app.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        return self._access.app(who, app_id)

    def edit_app(
        self, who: Principal, app_id: str, patch: AppPatch, *, if_revision: int | None = None
    ) -> App:
        """Change how an app presents itself; the owner's and the operator's right.

        To make it public takes the right to release: what a private repository releases by itself would
        otherwise reach everybody's store without a review.

        Args:
            if_revision: The revision the caller read (``If-Match``); ``None`` overwrites.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned, or made public without the right to.
            PreconditionFailed: it was changed since that revision.
            InvalidInput: each bad field by name.
        """
        require(who, "catalog", "update")
        app = self._access.owned_app(who, app_id)
        if patch.visibility == "public" and app.visibility != "public":
            require(who, "catalog", "release")
        known = {category.category_id for category in self._apps.categories()} if patch.categories else set()
        changes = edits.checked(patch, known)
        if if_revision is not None and if_revision != app.revision:
            raise PreconditionFailed(f"App {app_id} was changed since you read it; read it again.")
        edited = sorted({*app.edited, *changes})
        after = replace(edits.applied(app, changes), edited=edited, updated_at=self._clock.now())
        if patch.visibility == "private":
            self._apps.settle_charts(after)  # first: nobody may see what is private already
        try:
            self._apps.change(app, after)
        except Conflict:
            self._apps.settle_charts(self.get_app(who, app_id))
            raise PreconditionFailed(f"App {app_id} was changed just now; read it again.") from None
        if patch.visibility == "public":
            self._apps.settle_charts(after)
        announce(self._events, "AppChanged", app_id, {"fields": sorted(changes)})
        return replace(after, revision=after.revision + 1)

    def icon(self, who: Principal, app_id: str) -> str:
        """A presigned address of the app's icon, good for `URL_EXPIRES_IN_S`.

        Raises:
            NotFound: no such app, or it has no icon.
        """
        app = self.get_app(who, app_id)
        if app.icon_digest is None or app.icon_path is None:
            raise NotFound(f"App {app_id} has no icon.")
        return self._archives.file_url(app.icon_digest, app.icon_path, URL_EXPIRES_IN_S)

    def statistics(self, who: Principal) -> AppStatistics:
        """Figures over the caller's apps: how many, released, deployed, and where they stand.

        Reads each of them, which suits a vendor's dozens and a young platform's hundreds.
        """
        require(who, "catalog", "read")
        if who.is_anonymous:
            raise Unauthenticated("Sign in to see figures of your own apps.")
        apps = list(self._apps.all_apps(who.owner_path))
        return AppStatistics(
            apps=len(apps),
            released=sum(app.latest_version_id is not None for app in apps),
            deployments=sum(app.deploy_count for app in apps),
            by_category=dict(Counter(category for app in apps for category in app.categories)),
            by_type=dict(Counter(app.type for app in apps)),
        )

    def count_deployment(self, who: Principal, app_id: str, cluster_id: str) -> None:
        """Count one deployment of an app; the same cluster counts once however often this is called.

        Raises:
            NotFound: no such app.
            Conflict: the app is changed so often that this call never got its turn; retry.
        """
        require(who, "catalog", "read")
        for attempt in range(ATTEMPTS):
            app = self._apps.app(app_id)
            if app is None:
                raise NotFound(f"App {app_id} does not exist.")
            try:
                self._apps.count_deployment(app, replace(app, deploy_count=app.deploy_count + 1), cluster_id)
            except Conflict:
                wait_turn(attempt)
                continue
            return
        raise Conflict(f"App {app_id} is being changed by many at once; try again.")

    # --- versions ------------------------------------------------------------------------------------------

    def list_versions(
        self, who: Principal, app_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> VersionPage:
        """The versions of an app, highest first: released ones, and for its owner all but deleted ones."""
        app = self.get_app(who, app_id)
        released_only = not who.owns(app.owner_path)
        page = self._apps.list_versions(app_id, released_only=released_only, limit=limit, cursor=cursor)
        return replace(page, versions=[shown(who, version) for version in page.versions])

    def get_version(self, who: Principal, app_id: str, version_id: str) -> Version:
        """One version.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        app = self.get_app(who, app_id)
        return shown(who, self._access.version(who, app, version_id))

    def change_status(
        self, who: Principal, app_id: str, version_id: str, action: VersionAction, *, reason: str = ""
    ) -> Version:
        """Release, suspend, recover or delete a version: see `VersionLives.change_status`."""
        return self._lives.change_status(who, app_id, version_id, action, reason=reason)

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
    ) -> Published:
        """Put an opened package into the catalog: see `Publishing.publish_version`."""
        return self._publishing.publish_version(
            who,
            repo_id=repo_id,
            visibility=visibility,
            auto_release=auto_release,
            package=package,
            archive=archive,
            package_key=package_key,
            signature=signature,
            provenance=provenance,
        )

    def withdraw_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool:
        """Its source dropped a version: see `VersionLives.withdraw_version`."""
        return self._lives.withdraw_version(who, app_id, version_id, reason=reason)

    def restore_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool:
        """Its source has a version again: see `VersionLives.restore_version`."""
        return self._lives.restore_version(who, app_id, version_id, reason=reason)

    def withdraw_app(self, who: Principal, app_id: str, *, reason: str) -> int:
        """Its repository is gone: see `VersionLives.withdraw_app`."""
        return self._lives.withdraw_app(who, app_id, reason=reason)

    def apps_of(self, who: Principal, repo_id: str) -> Iterator[str]:
        """The ids of all apps of a repository; one query of small items."""
        return self._lives.apps_of(who, repo_id)

    # --- what is inside a version --------------------------------------------------------------------------

    def load_package(self, who: Principal, version_id: str) -> Package:
        """The opened package of a version that the caller may see; kept in memory by its digest.

        Raises:
            NotFound: no such version, or it is not the caller's to see.
        """
        require(who, "catalog", "read")
        version = self._apps.find_version(version_id)
        app = None if version is None else self._apps.app(version.app_id)
        if version is None or app is None or not sees_version(who, app, version):
            raise NotFound(f"Version {version_id} does not exist.")
        return self._open(version)

    def form(self, who: Principal, app_id: str, version_id: str, locale: str = "en") -> Form:
        """What has to be answered to deploy a version, in ``en`` or ``zh-cn``.

        Raises:
            InvalidInput: another locale.
        """
        app = self.get_app(who, app_id)
        version = self._access.version(who, app, version_id)
        return self._reader.form(self._open(version), edits.locale(locale))

    def files(self, who: Principal, app_id: str, version_id: str) -> list[FileEntry]:
        """The files of a version's package in the order of their paths."""
        app = self.get_app(who, app_id)
        package = self._open(self._access.version(who, app, version_id))
        return [content.entry(path, data) for path, data in sorted(package.files.items())]

    def file(self, who: Principal, app_id: str, version_id: str, path: str) -> FileContent:
        """One file of a package: short text inline, anything else by a presigned address.

        Raises:
            NotFound: no such version or file.
        """
        app = self.get_app(who, app_id)
        version = self._access.version(who, app, version_id)
        data = self._open(version).files.get(path)
        if data is None:
            raise NotFound(f"Version {version.name} has no file {path!r}.")
        entry = content.entry(path, data)
        text = content.inline_text(data)
        if text is not None:
            return FileContent(entry=entry, text=text)
        return FileContent(entry=entry, url=self._archives.file_url(version.digest, path, URL_EXPIRES_IN_S))

    def download(self, who: Principal, app_id: str, version_id: str) -> Download:
        """A short-lived address of the archive, byte for byte as it was uploaded."""
        app = self.get_app(who, app_id)
        version = self._access.version(who, app, version_id)
        filename = re.sub(r"[^A-Za-z0-9._+-]+", "-", f"{app.name}-{version.name}.tgz")
        return Download(
            url=self._archives.archive_url(version.digest, filename, URL_EXPIRES_IN_S),
            expires_in_s=URL_EXPIRES_IN_S,
            filename=filename,
            digest=version.digest,
            size_bytes=version.size_bytes,
        )

    def payload(self, who: Principal, app_id: str, version_id: str) -> Payload:
        """A short-lived address of the archive that a machine unpacks as its application's folder.

        Raises:
            NotFound: no such version, or it has no payload.
        """
        app = self.get_app(who, app_id)
        version = self._access.version(who, app, version_id)
        if not version.payload_digest:
            raise NotFound(f"Version {version.name} of {app.name} has no files for machines.")
        digest = version.payload_digest
        return Payload(url=self._archives.archive_url(digest, "payload.tgz", URL_EXPIRES_IN_S), digest=digest)

    # --- what Helm clients read ----------------------------------------------------------------------------

    def chart_index(
        self, who: Principal, repo_id: str, *, context_path: str, known: str = "", gzipped: bool = False
    ) -> ChartIndex:
        """The released charts of a repository that the caller may see, as Helm's index.

        Says nothing about who may see the repository: `pitrix.repos.charts` does. Costs one short query
        where nothing changed since the caller's ``known`` tag, and a read of what did change otherwise.

        Args:
            context_path: Path of the repository at the caller's address, for clients that upload.
            known: The value of ``If-None-Match``.
            gzipped: The caller takes gzip.
        """
        require(who, "catalog", "read")
        return self._indexes.read(who, repo_id, context_path=context_path, known=known, gzipped=gzipped)

    def chart_file(self, who: Principal, repo_id: str, filename: str) -> Download:
        """A short-lived address of a released chart (``shop-1.0.0.tgz``), or of its ``.prov``.

        Raises:
            NotFound: no such file, or the caller may not see it.
        """
        require(who, "catalog", "read")
        wants_provenance = filename.endswith(".prov")
        for name, version_name in chart_names.candidates(filename.removesuffix(".prov")):
            app = self._apps.app_by_name(repo_id, name)
            if app is None or not sees_app(who, app):
                continue
            version = self._apps.version_by_name(app.app_id, version_name)
            if version is None or version.status != "released" or version.type != "helm":
                continue
            if wants_provenance and not version.has_provenance:
                continue
            if wants_provenance:
                url = self._archives.provenance_url(version.version_id, filename, URL_EXPIRES_IN_S)
            else:
                url = self._archives.archive_url(version.digest, filename, URL_EXPIRES_IN_S)
            return Download(
                url=url,
                expires_in_s=URL_EXPIRES_IN_S,
                filename=filename,
                digest=version.digest,
                size_bytes=version.size_bytes,
            )
        raise NotFound(f"There is no file {filename!r} in this repository.")

    # --- categories ----------------------------------------------------------------------------------------
    def categories(self, who: Principal) -> list[Category]:
        """All categories in the order in which they are shown."""
        return self._categories.all(who)

    def get_category(self, who: Principal, category_id: str) -> Category:
        """One category: see `Categories.one`."""
        return self._categories.one(who, category_id)

    def create_category(
        self, who: Principal, *, name: dict[str, str], description: str = "", position: int = 1000
    ) -> Category:
        """Add a category: see `Categories.create`."""
        return self._categories.create(who, name=name, description=description, position=position)

    def edit_category(
        self, who: Principal, category_id: str, patch: CategoryPatch, *, if_revision: int | None = None
    ) -> Category:
        """Change a category: see `Categories.edit`."""
        return self._categories.edit(who, category_id, patch, if_revision=if_revision)

    def delete_category(self, who: Principal, category_id: str) -> None:
        """Remove a category: see `Categories.delete`."""
        self._categories.delete(who, category_id)

    def ensure_categories(self, who: Principal) -> None:
        """Make the categories of a new platform where they are missing: see `Categories.ensure`."""
        self._categories.ensure(who)

    # --- inside --------------------------------------------------------------------------------------------

    def _open(self, version: Version) -> Package:
        found = self._opened.pop(version.digest, None)
        if found is None:
            found = self._reader.open_package(self._archives.archive(version.digest))
        self._opened[version.digest] = found
        while len(self._opened) > 1 and _weight(self._opened) > CACHED_BYTES:
            self._opened.popitem(last=False)
        return found


# --- values ------------------------------------------------------------------------------------------------


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"{field} {message}.", errors=[FieldError(field, message)])


def _weight(opened: OrderedDict[str, Package]) -> int:
    return sum(len(data) for package in opened.values() for data in package.files.values())
