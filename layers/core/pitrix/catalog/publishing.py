"""How an opened package becomes a version of an app.

Owns what is written when a version is published, and that publishing the same again changes nothing. Never
opens an archive, and never says which version leads an app: `lives.py` does.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from urllib.parse import quote

from pitrix import ids
from pitrix.catalog import chart_names, content, edits
from pitrix.catalog.lives import ATTEMPTS, VersionLives, wait_turn
from pitrix.catalog.model import UNCATEGORIZED, App, Published, Version, Visibility, fold, outranks
from pitrix.catalog.ports import AppStore, ChartFragment, PackageReader, PackageStore
from pitrix.clock import Clock
from pitrix.errors import Conflict, Contended
from pitrix.events import EventBus, announce
from pitrix.identity.model import Principal, require
from pitrix.packages import chart_entry
from pitrix.packages.model import Package, Signature


class Publishing:
    """Publishes packages."""

    def __init__(
        self,
        *,
        apps: AppStore,
        archives: PackageStore,
        reader: PackageReader,
        lives: VersionLives,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._apps = apps
        self._archives = archives
        self._reader = reader
        self._lives = lives
        self._events = events
        self._clock = clock

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
                before with other bytes, or another chart's file is called like this one's.
            Contended: so many publish into the app that this call never got its turn; try again.
        """
        require(who, "catalog", "create")
        digest = f"sha256:{sha256(archive).hexdigest()}"
        version_id, payload_digest = ids.new("ver"), None
        for attempt in range(ATTEMPTS):
            app = self._apps.app_by_name(repo_id, package.name)
            if app is not None:
                known = self._known_version(who, app, package, digest)
                if known is not None:
                    try:
                        return self._signed_later(app, known, signature, provenance)
                    except Conflict:
                        wait_turn(attempt)
                        continue
            if payload_digest is None:
                self._refuse_shared_filename(repo_id, package)
                payload_digest = self._store_files(package, archive, digest)
                if provenance is not None:
                    self._archives.put_provenance(version_id, provenance)
            before = app or self._new_app(who, repo_id, visibility, package)
            version = replace(
                self._new_version(
                    who, version_id, before, auto_release, package, digest, len(archive), package_key
                ),
                payload_digest=payload_digest,
                signature=signature,
                has_provenance=provenance is not None,
            )
            chart = _fragment(package, version)
            after = self._lives.with_latest(self._refreshed(before, version, package, digest), version)
            try:
                if app is None:
                    self._apps.create_app(after, version, chart)
                else:
                    self._apps.add_version(app, after, version, chart)
            except Conflict:
                wait_turn(attempt)
                continue  # somebody published at the same time: look again
            self._tell_published(app is None, after, version)
            return Published(
                outcome="indexed",
                app=replace(after, revision=after.revision + 1),
                version=replace(version, revision=1),
            )
        raise Contended(f"{package.name} {package.version} is being published by many at once; try again.")

    # --- inside --------------------------------------------------------------------------------------------

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

    def _refuse_shared_filename(self, repo_id: str, package: Package) -> None:
        """Keep a chart from being downloaded in the place of another: names and versions both hold dashes.

        Raises:
            Conflict: a chart of another name has a version whose file is called the same.
        """
        filename = chart_entry.filename(package.name, package.version)
        for name, version_name in chart_names.candidates(filename) if package.type == "helm" else ():
            if name == package.name:
                continue
            app = self._apps.app_by_name(repo_id, name)
            other = None if app is None else self._apps.version_by_name(app.app_id, version_name)
            if other is not None and other.type == "helm":
                raise Conflict(
                    f"{filename} is the file of another chart in this repository already, whose name ends "
                    "where this one's version goes on; choose another version in Chart.yaml."
                )

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
            self._archives.put_provenance(known.version_id, provenance)
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
        version_id: str,
        app: App,
        auto_release: bool,
        package: Package,
        digest: str,
        size_bytes: int,
        package_key: str,
    ) -> Version:
        now = self._clock.now()
        return Version(
            version_id=version_id,
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

    def _tell_published(self, first: bool, app: App, version: Version) -> None:
        data = {"app_id": app.app_id, "name": app.name, "version": version.name, "digest": version.digest}
        if first:
            announce(self._events, "AppCreated", app.app_id, {"name": app.name, "repo_id": app.repo_id})
        announce(self._events, "AppVersionPublished", version.version_id, {**data, "status": version.status})


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
