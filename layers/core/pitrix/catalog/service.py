"""What can be done with the store: look, publish, edit, release, withdraw, and read packages.

Owns the rules of who sees and who changes what, and the life of a version (the table of it is
`model.TRANSITIONS`). Never opens archives itself (`pitrix.packages.service` does) and never talks to AWS.

Who sees what: a released version of a public app is everyone's; anything else is its owner's, by owner path,
and does not exist for others. Next: `dynamo.py` for how lists are kept, `edits.py` for the limits of what
people write, `content.py` for how files are sent.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from pitrix import ids
from pitrix.catalog import chart_names, content, edits
from pitrix.catalog.charts import ChartIndexReader
from pitrix.catalog.model import (
    DEFAULT_CATEGORIES,
    TRANSITIONS,
    UNCATEGORIZED,
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
    is_prerelease,
    outranks,
)
from pitrix.catalog.ports import (
    AppPage,
    AppStore,
    ChartFragment,
    PackageReader,
    PackageStore,
    VersionPage,
)
from pitrix.clock import Clock
from pitrix.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Unauthenticated,
)
from pitrix.events import EventBus
from pitrix.identity.model import ROOT_PATH, Principal, require
from pitrix.packages import chart_entry
from pitrix.packages.model import Form, Package, Signature

#: How long a presigned address of a package or a picture works.
URL_EXPIRES_IN_S: Final = 300
#: Opened packages kept in memory by one process, by the size of their files.
CACHED_BYTES: Final = 48 * 1024 * 1024
#: Attempts at a write whose app somebody else changes at the same time.
_ATTEMPTS: Final = 8

_log = logging.getLogger("pitrix")


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
        require(who, "catalog", "read")
        app = self._apps.app(app_id)
        if app is None or not _sees_app(who, app):
            raise NotFound(f"App {app_id} does not exist.")
        return app

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
        app = self._owned_app(who, app_id)
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
        self._tell("AppChanged", app_id, {"fields": sorted(changes)})
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
        for _ in range(_ATTEMPTS):
            app = self._apps.app(app_id)
            if app is None:
                raise NotFound(f"App {app_id} does not exist.")
            try:
                self._apps.count_deployment(app, replace(app, deploy_count=app.deploy_count + 1), cluster_id)
            except Conflict:
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
        return replace(page, versions=[_shown(who, version) for version in page.versions])

    def get_version(self, who: Principal, app_id: str, version_id: str) -> Version:
        """One version.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        app = self.get_app(who, app_id)
        return _shown(who, self._version(who, app, version_id))

    def change_status(
        self, who: Principal, app_id: str, version_id: str, action: VersionAction, *, reason: str = ""
    ) -> Version:
        """Release, suspend, recover or delete a version; the owner's and the operator's right.

        The app's latest version follows. A suspended version stays readable to its owner, and clusters that
        run it go on.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not allowed.
            Conflict: the version's status does not allow the action.
        """
        transition = TRANSITIONS[action]
        require(who, "catalog", transition.permission)
        if len(reason) > 1000:
            raise _invalid("reason", "is longer than 1000 characters")
        for _ in range(_ATTEMPTS):
            app = self._owned_app(who, app_id)
            version = self._version(who, app, version_id)
            if version.status not in transition.sources:
                allowed = " or ".join(sorted(transition.sources))
                raise Conflict(
                    f"Version {version.name} is {version.status}; {action!r} needs one that is {allowed}."
                )
            if action == "recover" and version.held_by_operator and not _is_operator(who):
                raise PermissionDenied(
                    f"Version {version.name} was suspended by an operator, who alone can recover it."
                )
            now = self._clock.now()
            after = replace(
                version,
                status=transition.target,
                status_reason=reason,
                held_by_operator=action == "suspend" and _is_operator(who),
                updated_at=now,
                released_at=now if transition.target == "released" else version.released_at,
            )
            try:
                self._apps.change(app, self._with_latest(app, after), after)
            except Conflict:
                continue
            self._tell(transition.event, version_id, {"app_id": app_id, "reason": reason})
            return replace(after, revision=after.revision + 1)
        raise Conflict(f"Version {version_id} is being changed by somebody else; try again.")

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
        """Put an opened package into the catalog; ``who`` uploaded it and owns what is new.

        Safe to repeat: the same name, version and bytes change nothing. The archive is copied, so that what
        happens to the upload afterwards does not touch the version. Costs the same however many apps and
        versions there are.

        Args:
            signature: What became of checking its signature; one that is found later is added to a version
                that was published before.
            provenance: Its provenance file (``.prov``), handed out beside it.

        Raises:
            Conflict: the name belongs to another owner in this repository, or this version was published
                before with other bytes.
        """
        require(who, "catalog", "create")
        digest = f"sha256:{sha256(archive).hexdigest()}"
        payload_digest: str | None = None
        for _ in range(_ATTEMPTS):
            app = self._apps.app_by_name(repo_id, package.name)
            if app is not None:
                known = self._known_version(who, app, package, digest)
                if known is not None:
                    try:
                        return self._signed_later(app, known, signature, provenance)
                    except Conflict:
                        continue
            if payload_digest is None:
                payload_digest = self._store_files(package, archive, digest)
            before = app or self._new_app(who, repo_id, visibility, package)
            if provenance is not None:
                self._archives.put_provenance(digest, provenance)
            version = replace(
                self._new_version(who, before, auto_release, package, digest, len(archive), package_key),
                payload_digest=payload_digest,
                signature=signature,
                has_provenance=provenance is not None,
            )
            chart = _fragment(package, version)
            after = self._with_latest(self._refreshed(before, version, package, digest), version)
            try:
                if app is None:
                    self._apps.create_app(after, version, chart)
                else:
                    self._apps.add_version(app, after, version, chart)
            except Conflict:
                continue  # somebody published at the same time: look again
            self._tell_published(app is None, after, version)
            return Published(
                outcome="indexed",
                app=replace(after, revision=after.revision + 1),
                version=replace(version, revision=1),
            )
        raise Conflict(f"{package.name} {package.version} is being published by many at once; try again.")

    # --- what the source of a repository decides ------------------------------------------------------------

    def withdraw_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool:
        """Suspend a released version because its source dropped it; clusters that run it go on.

        Safe to repeat: a version that is not released stays as it is.

        Returns:
            Whether this call suspended it.
        """
        return self._change_if(who, app_id, version_id, "suspend", reason, lambda v: v.status == "released")

    def restore_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool:
        """Release a version again that was withdrawn for this very ``reason``; others stay as they are."""

        def withdrawn(version: Version) -> bool:
            return version.status == "suspended" and version.status_reason == reason

        return self._change_if(who, app_id, version_id, "recover", "", withdrawn)

    def withdraw_app(self, who: Principal, app_id: str, *, reason: str) -> int:
        """Suspend every released version of an app; returns how many this call suspended."""
        cursor: str | None = None
        released: list[Version] = []
        while True:
            page = self._apps.list_versions(app_id, released_only=True, limit=200, cursor=cursor)
            released += page.versions
            cursor = page.next_cursor
            if cursor is None:
                break
        # The highest last: the app's latest version is then found anew once, and not once a version.
        return sum(
            self.withdraw_version(who, app_id, version.version_id, reason=reason)
            for version in reversed(released)
        )

    def apps_of(self, who: Principal, repo_id: str) -> Iterator[str]:
        """The ids of all apps of a repository; one query of small items."""
        require(who, "repos", "index")
        return self._apps.app_ids(repo_id)

    def _change_if(
        self,
        who: Principal,
        app_id: str,
        version_id: str,
        action: VersionAction,
        reason: str,
        wanted: Callable[[Version], bool],
    ) -> bool:
        for _ in range(_ATTEMPTS):
            version = self._apps.version(app_id, version_id)
            if version is None or not wanted(version):
                return False
            try:
                self.change_status(who, app_id, version_id, action, reason=reason)
            except Conflict:
                continue  # its status was changed at the same time: look again
            return True
        raise Conflict(f"Version {version_id} is being changed by many at once; try again.")

    # --- what is inside a version --------------------------------------------------------------------------

    def load_package(self, who: Principal, version_id: str) -> Package:
        """The opened package of a version that the caller may see; kept in memory by its digest.

        Raises:
            NotFound: no such version, or it is not the caller's to see.
        """
        require(who, "catalog", "read")
        version = self._apps.find_version(version_id)
        app = None if version is None else self._apps.app(version.app_id)
        if version is None or app is None or not _sees_version(who, app, version):
            raise NotFound(f"Version {version_id} does not exist.")
        return self._open(version)

    def form(self, who: Principal, app_id: str, version_id: str, locale: str = "en") -> Form:
        """What has to be answered to deploy a version, in ``en`` or ``zh-cn``.

        Raises:
            InvalidInput: another locale.
        """
        app = self.get_app(who, app_id)
        version = self._version(who, app, version_id)
        return self._reader.form(self._open(version), edits.locale(locale))

    def files(self, who: Principal, app_id: str, version_id: str) -> list[FileEntry]:
        """The files of a version's package in the order of their paths."""
        app = self.get_app(who, app_id)
        package = self._open(self._version(who, app, version_id))
        return [content.entry(path, data) for path, data in sorted(package.files.items())]

    def file(self, who: Principal, app_id: str, version_id: str, path: str) -> FileContent:
        """One file of a package: short text inline, anything else by a presigned address.

        Raises:
            NotFound: no such version or file.
        """
        app = self.get_app(who, app_id)
        version = self._version(who, app, version_id)
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
        version = self._version(who, app, version_id)
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
        version = self._version(who, app, version_id)
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
            if app is None or not _sees_app(who, app):
                continue
            version = self._apps.version_by_name(app.app_id, version_name)
            if version is None or version.status != "released" or version.type != "helm":
                continue
            if wants_provenance and not version.has_provenance:
                continue
            address = self._archives.provenance_url if wants_provenance else self._archives.archive_url
            return Download(
                url=address(version.digest, filename, URL_EXPIRES_IN_S),
                expires_in_s=URL_EXPIRES_IN_S,
                filename=filename,
                digest=version.digest,
                size_bytes=version.size_bytes,
            )
        raise NotFound(f"There is no file {filename!r} in this repository.")

    # --- categories ----------------------------------------------------------------------------------------

    def categories(self, who: Principal) -> list[Category]:
        """All categories in the order in which they are shown."""
        require(who, "catalog", "read")
        return self._apps.categories()

    def get_category(self, who: Principal, category_id: str) -> Category:
        """One category.

        Raises:
            NotFound: there is none of that id.
        """
        require(who, "catalog", "read")
        category = self._apps.category(category_id)
        if category is None:
            raise NotFound(f"Category {category_id} does not exist.")
        return category

    def create_category(
        self, who: Principal, *, name: dict[str, str], description: str = "", position: int = 1000
    ) -> Category:
        """Add a category; an operator's right."""
        require(who, "catalog", "manage_categories")
        edits.check_category_name(name)
        category = Category(category_id=ids.new("cat"), name=name, description=description, position=position)
        return self._apps.save_category(category)

    def edit_category(
        self, who: Principal, category_id: str, patch: CategoryPatch, *, if_revision: int | None = None
    ) -> Category:
        """Change a category; an operator's right.

        Raises:
            PreconditionFailed: it was changed since ``if_revision``.
        """
        require(who, "catalog", "manage_categories")
        category = self.get_category(who, category_id)
        if if_revision is not None and if_revision != category.revision:
            raise PreconditionFailed(f"Category {category_id} was changed since you read it; read it again.")
        if patch.name is not None:
            edits.check_category_name(patch.name)
        after = replace(
            category,
            name=category.name if patch.name is None else patch.name,
            description=category.description if patch.description is None else patch.description,
            position=category.position if patch.position is None else patch.position,
        )
        try:
            return self._apps.save_category(after)
        except Conflict:
            raise PreconditionFailed(f"Category {category_id} was changed just now; read it again.") from None

    def delete_category(self, who: Principal, category_id: str) -> None:
        """Remove a category; an operator's right. Apps that name it are then shown without it.

        Raises:
            Conflict: it is the one for apps that have no other.
        """
        require(who, "catalog", "manage_categories")
        if category_id == UNCATEGORIZED:
            raise Conflict("This category holds the apps that have no other; it cannot be deleted.")
        self.get_category(who, category_id)
        self._apps.delete_category(category_id)

    def ensure_categories(self, who: Principal) -> None:
        """Make the categories of a new platform where they are missing; those that exist stay as they are."""
        require(who, "catalog", "manage_categories")
        for place, (category_id, en, zh) in enumerate(DEFAULT_CATEGORIES):
            category = Category(
                category_id=category_id, name={"en": en, "zh-cn": zh}, position=(place + 1) * 10
            )
            if self._apps.category(category_id) is None:
                try:
                    self._apps.save_category(category)
                except Conflict:
                    continue  # another seed was faster

    # --- inside --------------------------------------------------------------------------------------------

    def _owned_app(self, who: Principal, app_id: str) -> App:
        """The app, if the caller may change it; one that it does not even see does not exist."""
        app = self.get_app(who, app_id)
        if not who.owns(app.owner_path):
            raise PermissionDenied(f"App {app_id} belongs to another owner.")
        return app

    def _version(self, who: Principal, app: App, version_id: str) -> Version:
        version = self._apps.version(app.app_id, version_id)
        if version is None or not _sees_version(who, app, version):
            raise NotFound(f"App {app.app_id} has no version {version_id}.")
        return version

    def _known_version(self, who: Principal, app: App, package: Package, digest: str) -> Version | None:
        """The version if this very package was published before.

        Raises:
            Conflict: the app is another owner's, or the version exists with other bytes.
        """
        if not who.owns(app.owner_path):
            raise Conflict(
                f"The name {package.name!r} is taken in this repository by another publisher; "
                "choose another name in package.json."
            )
        known = self._apps.version_by_name(app.app_id, package.version)
        if known is not None and known.digest != digest:
            raise Conflict(
                f"Version {package.version} of {package.name} was published before with other content; "
                "a version never changes. Raise the version in package.json."
            )
        return known

    def _signed_later(
        self, app: App, known: Version, signature: Signature | None, provenance: bytes | None
    ) -> Published:
        """A version that was published before, with what is known of its signature now.

        Raises:
            Conflict: either was changed by somebody else since it was read.
        """
        after = replace(
            known,
            signature=signature or known.signature,
            has_provenance=known.has_provenance or provenance is not None,
        )
        if provenance is not None:
            self._archives.put_provenance(known.digest, provenance)
        if after == known:
            return Published(outcome="unchanged", app=app, version=known)
        self._apps.change(app, app, after)
        return Published(
            outcome="unchanged",
            app=replace(app, revision=app.revision + 1),
            version=replace(after, revision=known.revision + 1),
        )

    def _new_app(self, who: Principal, repo_id: str, visibility: Visibility, package: Package) -> App:
        now = self._clock.now()
        return App(
            app_id=ids.new("app"),
            name=package.name,
            title=package.title or package.name,
            owner_path=who.owner_path,
            repo_id=repo_id,
            type=package.type,
            visibility=visibility,
            created_at=now,
            updated_at=now,
        )

    def _new_version(
        self,
        who: Principal,
        app: App,
        auto_release: bool,
        package: Package,
        digest: str,
        size_bytes: int,
        package_key: str,
    ) -> Version:
        now = self._clock.now()
        return Version(
            version_id=ids.new("ver"),
            app_id=app.app_id,
            name=package.version,
            status="released" if auto_release else "draft",
            package_key=package_key,
            digest=digest,
            size_bytes=size_bytes,
            type=package.type,
            app_version=package.app_version,
            title=package.title or package.name,
            description=package.description,
            owner_path=app.owner_path,
            created_by=who.user_id,
            created_at=now,
            updated_at=now,
            released_at=now if auto_release else None,
        )

    def _refreshed(self, app: App, version: Version, package: Package, digest: str) -> App:
        """The app as its newest package describes it; what a person edited stays as it is."""
        if app.revision and not (version.status == "released" and outranks(version.name, app.latest_version)):
            return app  # a draft, or a fix of an older line, does not speak for the app
        has_icon = content.icon_type(package) is not None
        described = {
            "title": package.title or package.name,
            "description": package.description,
            "keywords": list(package.keywords),
            "home": package.home if edits.is_web_address(package.home) else "",
            "categories": [self._category_of(package)],
        }
        kept = {name: value for name, value in described.items() if name not in app.edited}
        return replace(
            edits.applied(app, kept),
            type=package.type,
            maintainers=[
                {key: text[:200] for key, text in person.items()} for person in package.maintainers[:20]
            ],
            # The digest in the address lets browsers keep an icon until it changes.
            icon=f"/v1/apps/{app.app_id}/icon?v={digest[7:15]}" if has_icon else None,
            icon_digest=digest if has_icon else None,
            icon_path=package.icon if has_icon else None,
            updated_at=self._clock.now(),
        )

    def _category_of(self, package: Package) -> str:
        """The category that a package's free text names by id or by a name in any language."""
        asked = fold(package.category.strip())
        for category in self._apps.categories() if asked else []:
            names = {fold(category.category_id), fold(category.category_id.removeprefix("cat_"))}
            if asked in names | {fold(name) for name in category.name.values()}:
                return category.category_id
        return UNCATEGORIZED

    def _with_latest(self, app: App, changed: Version) -> App:
        """The app with its latest version found anew after ``changed`` got its status."""
        if changed.status == "released":
            if outranks(changed.name, app.latest_version):
                return self._led_by(app, changed)
            return app
        if app.latest_version_id != changed.version_id:
            return app
        return self._led_by(app, self._next_latest(app, changed.version_id))

    def _led_by(self, app: App, version: Version | None) -> App:
        return replace(
            app,
            latest_version_id=None if version is None else version.version_id,
            latest_version=None if version is None else version.name,
            published_at=None if version is None else version.released_at,
        )

    def _next_latest(self, app: App, without: str) -> Version | None:
        """The best released version but one: the highest stable one, else the highest pre-release."""
        fallback: Version | None = None
        cursor: str | None = None
        while True:
            page = self._apps.list_versions(app.app_id, released_only=True, limit=50, cursor=cursor)
            for listed in page.versions:
                # The index may lag: ask the version itself.
                version = self._apps.version(app.app_id, listed.version_id)
                if version is None or version.status != "released" or version.version_id == without:
                    continue
                if not is_prerelease(version.name):
                    return version
                fallback = fallback or version
            if page.next_cursor is None:
                return fallback
            cursor = page.next_cursor

    def _store_files(self, package: Package, archive: bytes, digest: str) -> str:
        """Keep the archive, its icon, each file that cannot be answered inline, and the payload.

        Returns:
            The digest of the payload's archive, empty where there is none.
        """
        self._archives.put_archive(digest, archive)
        for path, data in package.files.items():
            if path == package.icon and (icon_type := content.icon_type(package)) is not None:
                self._archives.put_file(digest, path, data, icon_type)
            elif content.inline_text(data) is None:
                self._archives.put_file(digest, path, data, content.content_type(path, data))
        payload = self._reader.payload_archive(package)
        if payload is None:
            return ""
        payload_digest = f"sha256:{sha256(payload).hexdigest()}"
        self._archives.put_archive(payload_digest, payload)
        return payload_digest

    def _open(self, version: Version) -> Package:
        found = self._opened.pop(version.digest, None)
        if found is None:
            found = self._reader.open_package(self._archives.archive(version.digest))
        self._opened[version.digest] = found
        while len(self._opened) > 1 and _weight(self._opened) > CACHED_BYTES:
            self._opened.popitem(last=False)
        return found

    def _tell_published(self, first: bool, app: App, version: Version) -> None:
        data = {"app_id": app.app_id, "name": app.name, "version": version.name, "digest": version.digest}
        if first:
            self._tell("AppCreated", app.app_id, {"name": app.name, "repo_id": app.repo_id})
        self._tell("AppVersionPublished", version.version_id, {**data, "status": version.status})

    def _tell(self, type: str, subject: str, data: dict[str, object]) -> None:
        try:
            self._events.publish(type, subject, data)
        except Exception:
            # What happened is stored already; to fail now would make the caller repeat it.
            _log.exception("event %s of %s was not published", type, subject)


# --- who sees what -----------------------------------------------------------------------------------------


def _sees_app(who: Principal, app: App) -> bool:
    in_store = app.visibility == "public" and app.latest_version_id is not None
    return in_store or who.owns(app.owner_path)


def _sees_version(who: Principal, app: App, version: Version) -> bool:
    in_store = app.visibility == "public" and version.status == "released"
    return in_store or who.owns(app.owner_path)


def _shown(who: Principal, version: Version) -> Version:
    """The version without what only its owner should know: who uploaded it, and to where."""
    return version if who.owns(version.owner_path) else replace(version, package_key="", created_by="")


def _fragment(package: Package, version: Version) -> ChartFragment | None:
    """What a version adds to the index of charts: nothing, unless it is a chart."""
    if package.type != "helm":
        return None
    made = chart_entry.entry(
        {**package.metadata, "name": package.name, "version": package.version},
        digest=version.digest,
        created=version.created_at,
        urls=[quote(chart_entry.filename(package.name, package.version), safe="+")],
    )
    return ChartFragment(name=package.name, entry=chart_entry.encode(made).decode())


def _is_operator(who: Principal) -> bool:
    return who.owns(ROOT_PATH)


# --- values ------------------------------------------------------------------------------------------------


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"{field} {message}.", errors=[FieldError(field, message)])


def _weight(opened: OrderedDict[str, Package]) -> int:
    return sum(len(data) for package in opened.values() for data in package.files.values())
