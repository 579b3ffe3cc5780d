"""What can be done with repositories: describe them, upload to them, index uploads, read what happened.

Owns the way of a package from an object in a bucket to the catalog, and the event that each attempt leaves.
Never publishes by itself (the catalog does), never opens an archive by itself (`pitrix.packages` does), and
never writes into the bucket it reads.

A package that is wrong is refused with an event that says why, and nothing else changes; only what is wrong
with *us* is raised, so that the notification is delivered again and ends in the dead-letter queue at last.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PackageInvalid,
    PermissionDenied,
    PitrixError,
    PreconditionFailed,
)
from pitrix.events import EventBus
from pitrix.identity.model import ROOT_PATH, Principal, require
from pitrix.packages.model import Problem, Severity
from pitrix.paging import chain
from pitrix.repos.model import (
    KINDS,
    PLATFORM_REPO_ID,
    IndexReport,
    LintReport,
    Outcome,
    Repo,
    RepoEvent,
    RepoPatch,
    RepoProblem,
    Upload,
    UploadTicket,
    Visibility,
    is_package_filename,
    parse_key,
    tenant_of,
    upload_key,
)
from pitrix.repos.ports import Catalog, EventPage, PackageChecks, RepoPage, RepoStore, UploadBucket
from pitrix.table import decode_cursor, encode_cursor

#: The largest archive that is taken: what `pitrix.packages` opens, and one function holds in memory.
MAX_PACKAGE_BYTES: Final = 32 * 1024 * 1024
#: The largest archive that fits, as Base64, into the 6 MB that a function may be sent.
MAX_INLINE_BYTES: Final = 4 * 1024 * 1024
UPLOAD_EXPIRES_IN_S: Final = 900
#: Objects looked at by one call of the ``index`` action, and the time after which it stops taking up more:
#: the API answers within 29 s.
INDEXED_AT_ONCE: Final = 20
INDEXING_TIME_S: Final = 15.0
#: An event is one item of at most 400 KB, and a package may be hostile: so many problems are kept, so long.
PROBLEMS_KEPT: Final = 100
PROBLEM_LENGTH: Final = 500

_log = logging.getLogger("pitrix")


class ReposService:
    """The use cases of repositories. Every method takes who asks first."""

    def __init__(
        self,
        *,
        repos: RepoStore,
        bucket: UploadBucket,
        catalog: Catalog,
        packages: PackageChecks,
        events: EventBus,
        clock: Clock,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repos = repos
        self._bucket = bucket
        self._catalog = catalog
        self._packages = packages
        self._events = events
        self._clock = clock
        self._stopwatch = stopwatch

    # --- repositories --------------------------------------------------------------------------------------

    def list_repos(self, who: Principal, *, limit: int = 50, cursor: str | None = None) -> RepoPage:
        """Those that everybody may use, then those of the caller and below, each by name.

        Raises:
            InvalidInput: the cursor is broken, or another caller's.
        """
        require(who, "repos", "read")

        def shared(limit: int, cursor: str | None) -> tuple[list[Repo], str | None]:
            page = self._repos.list_public(limit=limit, cursor=cursor)
            return [each for each in page.repos if not who.owns(each.owner_path)], page.next_cursor

        def own(limit: int, cursor: str | None) -> tuple[list[Repo], str | None]:
            page = self._repos.list_owned(who.owner_path, limit=limit, cursor=cursor)
            return page.repos, page.next_cursor

        found, more = chain([shared, own], name=f"repos:{who.owner_path}", limit=limit, cursor=cursor)
        return RepoPage(repos=found, next_cursor=more)

    def get_repo(self, who: Principal, repo_id: str) -> Repo:
        """One repository.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        require(who, "repos", "read")
        repo = self._repos.repo(repo_id)
        if repo is None or not _sees(who, repo):
            raise NotFound(f"Repository {repo_id} does not exist.")
        return repo

    def create_repo(
        self,
        who: Principal,
        *,
        name: str,
        kind: str = "platform",
        description: str = "",
        visibility: Visibility = "private",
        providers: Sequence[str] = (),
        labels: dict[str, str] | None = None,
    ) -> Repo:
        """Add a repository: a new prefix of the platform's bucket, owned by the caller's owner path.

        Raises:
            InvalidInput: a bad field, by name; a kind other than ``platform`` is one.
            PermissionDenied: a public repository is an operator's to make.
            Conflict: the name is taken.
        """
        require(who, "repos", "create")
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise _invalid("kind", f"is {kind!r}; the kinds that can be connected are: {known}")
        if visibility == "public":
            _only_operator(who, "make a public repository")
        now = self._clock.now()
        repo = Repo(
            repo_id=ids.new("repo"),
            name=name,
            description=description,
            visibility=visibility,
            owner_path=who.owner_path,
            owner_id=who.user_id,
            providers=list(providers),
            labels=dict(labels or {}),
            created_at=now,
            updated_at=now,
        )
        _check(repo)
        try:
            return self._repos.create(repo)
        except Conflict:
            raise Conflict(f"The name {name!r} is taken by another repository.") from None

    def edit_repo(
        self, who: Principal, repo_id: str, patch: RepoPatch, *, if_revision: int | None = None
    ) -> Repo:
        """Change how a repository is described; the owner's right. Apps already indexed stay as they are.

        Args:
            if_revision: The revision the caller read (``If-Match``); ``None`` overwrites.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
            PreconditionFailed: it was changed since that revision.
            Conflict: the new name is taken.
        """
        require(who, "repos", "update")
        repo = self._owned(who, repo_id)
        if if_revision is not None and if_revision != repo.revision:
            raise PreconditionFailed(f"Repository {repo_id} was changed since you read it; read it again.")
        if patch.visibility == "public" and repo.visibility != "public":
            _only_operator(who, "make a repository public")
        after = replace(
            repo,
            name=repo.name if patch.name is None else patch.name,
            description=repo.description if patch.description is None else patch.description,
            visibility=repo.visibility if patch.visibility is None else patch.visibility,
            providers=repo.providers if patch.providers is None else patch.providers,
            labels=repo.labels if patch.labels is None else patch.labels,
            updated_at=self._clock.now(),
        )
        _check(after)
        try:
            return self._repos.save(repo, after)
        except Conflict:
            raise Conflict(
                f"The name {after.name!r} is taken, or the repository was changed just now; read it again."
            ) from None

    def ensure_platform_repo(self, who: Principal) -> Repo:
        """The platform's own repository, made if it is missing; what exists stays as it is.

        It is public, belongs to the root of the tree of owners, and releases what it indexes at once.
        """
        require(who, "repos", "create")
        _only_operator(who, "make the platform's repository")
        found = self._repos.repo(PLATFORM_REPO_ID)
        if found is not None:
            return found
        now = self._clock.now()
        repo = Repo(
            repo_id=PLATFORM_REPO_ID,
            name="platform",
            description="Packages uploaded to the platform itself.",
            visibility="public",
            owner_path=ROOT_PATH,
            owner_id=who.user_id,
            auto_release=True,
            created_at=now,
            updated_at=now,
        )
        try:
            return self._repos.create(repo)
        except Conflict:
            return self.get_repo(who, PLATFORM_REPO_ID)  # another seed was faster

    def list_events(
        self, who: Principal, repo_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> EventPage:
        """What became of uploads, newest first: all for the repository's owner, their own for others.

        A page may be short where other teams of the caller's organisation uploaded too.
        """
        repo = self.get_repo(who, repo_id)
        if who.owns(repo.owner_path):
            return self._repos.list_events(repo_id, tenant=None, limit=limit, cursor=cursor)
        tenant = tenant_of(who.owner_path)
        page = self._repos.list_events(repo_id, tenant=tenant, limit=limit, cursor=cursor)
        return replace(page, events=[event for event in page.events if who.owns(event.owner_path)])

    # --- uploads -------------------------------------------------------------------------------------------

    def start_upload(
        self, who: Principal, repo_id: str, *, filename: str, size_bytes: int | None = None
    ) -> UploadTicket:
        """Announce an upload and say where to send it. The address takes that one file and nothing else.

        Args:
            size_bytes: The archive's size; if given, S3 refuses a body of another one.

        Raises:
            PermissionDenied: the caller's role may not publish.
            NotFound: no such repository for the caller.
            InvalidInput: the file's name or size is not acceptable.
        """
        require(who, "repos", "push")
        repo = self.get_repo(who, repo_id)
        errors = []
        if not is_package_filename(filename):
            message = "must be letters, digits and ._+-, ending in .tgz or .tar.gz (guestbook-1.0.0.tgz)"
            errors.append(FieldError("filename", message))
        if size_bytes is not None and not 0 < size_bytes <= MAX_PACKAGE_BYTES:
            errors.append(FieldError("size_bytes", f"must be from 1 to {MAX_PACKAGE_BYTES}"))
        if errors:
            raise InvalidInput(" ".join(f"{e.field} {e.message}." for e in errors), errors=errors)
        key = upload_key(repo.repo_id, who.user_id, filename)
        self._repos.announce(
            Upload(
                key=key,
                repo_id=repo.repo_id,
                user_id=who.user_id,
                username=who.username,
                role=who.role,
                owner_path=who.owner_path,
                at=self._clock.now(),
            )
        )
        return UploadTicket(
            upload_url=self._bucket.upload_url(key, size_bytes=size_bytes, expires_in_s=UPLOAD_EXPIRES_IN_S),
            method="PUT",
            key=key,
            headers={},
            expires_in_s=UPLOAD_EXPIRES_IN_S,
            max_size_bytes=MAX_PACKAGE_BYTES,
        )

    def validate(
        self,
        who: Principal,
        *,
        package: str | None = None,
        repo_id: str | None = None,
        key: str | None = None,
    ) -> LintReport:
        """Everything that is wrong with a package, without publishing it.

        Args:
            package: The archive as Base64, of at most `MAX_INLINE_BYTES`; or else
            repo_id, key: an object that the caller uploaded before.

        Raises:
            InvalidInput: neither or both were given, or it is not Base64.
            NotFound, TooLarge: of the object.
        """
        require(who, "packages", "validate")
        if (package is None) == (key is None):
            message = "give either package (Base64) or repo_id and key"
            raise InvalidInput(f"{message}.", errors=[FieldError("package", message)])
        if package is not None:
            data = _decoded(package)
        else:
            self._own_object(who, self.get_repo(who, repo_id or PLATFORM_REPO_ID), key or "")
            data = self._bucket.read(key or "", at_most_bytes=MAX_PACKAGE_BYTES)
        return self._linted(data)

    def index(
        self, who: Principal, repo_id: str, *, key: str | None = None, cursor: str | None = None
    ) -> IndexReport:
        """Index one object again, or all of a repository, some at a time: call on while there is a cursor.

        Raises:
            NotFound, PermissionDenied: of the repository, or no such object of the caller's.
        """
        require(who, "repos", "index")
        repo = self.get_repo(who, repo_id)
        if key is not None:
            self._own_object(who, repo, key)
            event = self.index_object(who, key)
            return _report([event] if event else [], None)
        self._owned(who, repo_id)
        digest = f"index:{repo_id}"
        after = decode_cursor(cursor, digest).get("after") if cursor else None
        page = self._bucket.list_objects(f"{repo_id}/", limit=INDEXED_AT_ONCE, cursor=after)
        events: list[RepoEvent] = []
        began = self._stopwatch()
        for found in page.objects:
            event = self.index_object(who, found.key)
            if event is not None:
                events.append(event)
            if self._stopwatch() - began > INDEXING_TIME_S and found != page.objects[-1]:
                return _report(events, encode_cursor(digest, {"after": found.key}))
        more = page.next_cursor
        return _report(events, encode_cursor(digest, {"after": more}) if more else None)

    # --- the indexer ---------------------------------------------------------------------------------------

    def index_object(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None:
        """Publish what lies under ``key`` of the bucket, and leave an event that says what came of it.

        Reads the object as it is now, so notifications may come twice, late or out of order: the same bytes
        under the same name and version change nothing.

        Args:
            key: The object's key, decoded.
            delivery_id: Names one delivery of a notification; a second one for the same leaves no event.

        Returns:
            The event; ``None`` when there was nothing to do (no repository of ours, or delivered before).

        Raises:
            Exception: whatever is not the package's fault; deliver the notification again.
        """
        require(who, "repos", "index")
        parts = parse_key(key)
        repo = None if parts is None else self._repos.repo(parts.repo_id)
        if parts is None or repo is None:
            _log.warning("object %r belongs to no repository; left alone", key)
            return None
        if delivery_id and self._repos.was_delivered(key, delivery_id):
            return None
        began = self._stopwatch()
        upload = None if parts.user_id is None else self._repos.upload(key)
        uploader = self._uploader(repo, upload)
        event = RepoEvent(
            event_id=ids.new("rev"),
            repo_id=repo.repo_id,
            outcome="refused",
            key=key,
            message="",
            owner_path=uploader.owner_path,
            uploaded_by=uploader.user_id,
            at=self._clock.now(),
        )
        if parts.user_id is not None and upload is None:
            message = "Nobody announced this upload: ask POST /v1/repos/{repo_id}/packages for an address."
            event = replace(event, message=message)
        elif not is_package_filename(parts.filename):
            message = f"{parts.filename!r} is no name of a package: it must end in .tgz or .tar.gz."
            event = replace(event, message=message)
        else:
            event = self._publish(uploader, repo, event)
        event = replace(event, duration_ms=round((self._stopwatch() - began) * 1000))
        if not self._repos.add_event(event, delivery_id):
            return None
        self._tell(event)
        return event

    def object_removed(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None:
        """Note that an upload was deleted from the bucket. What was published from it stays."""
        require(who, "repos", "index")
        parts = parse_key(key)
        repo = None if parts is None else self._repos.repo(parts.repo_id)
        if parts is None or repo is None:
            return None
        uploader = self._uploader(repo, self._repos.upload(key) if parts.user_id else None)
        event = RepoEvent(
            event_id=ids.new("rev"),
            repo_id=repo.repo_id,
            outcome="removed",
            key=key,
            message="The upload was deleted from the bucket; what was published from it stays.",
            owner_path=uploader.owner_path,
            uploaded_by=uploader.user_id,
            at=self._clock.now(),
        )
        return event if self._repos.add_event(event, delivery_id) else None

    # --- inside --------------------------------------------------------------------------------------------

    def _publish(self, uploader: Principal, repo: Repo, event: RepoEvent) -> RepoEvent:
        """Read, open and publish; the package's faults become a refusal, all others are raised."""
        try:
            archive = self._bucket.read(event.key, at_most_bytes=MAX_PACKAGE_BYTES)
        except NotFound:
            return replace(event, outcome="removed", message="The object was gone before it could be read.")
        except PitrixError as error:
            return _refused(event, error)
        event = replace(event, size_bytes=len(archive), digest=f"sha256:{sha256(archive).hexdigest()}")
        try:
            package = self._packages.open_package(archive)
            event = replace(event, name=package.name, version=package.version)
            published = self._catalog.publish_version(
                uploader,
                repo_id=repo.repo_id,
                visibility=repo.visibility,
                auto_release=repo.auto_release,
                package=package,
                archive=archive,
                package_key=event.key,
            )
        except PitrixError as error:
            if error.status >= 500:
                raise
            return _refused(event, error)
        said: dict[str, str] = {
            "indexed": f"{package.name} {package.version} is published.",
            "unchanged": f"{package.name} {package.version} was published before; nothing changed.",
        }
        outcome: Outcome = published.outcome
        return replace(
            event,
            outcome=outcome,
            message=said[outcome],
            app_id=published.app.app_id,
            version_id=published.version.version_id,
            problems=[_problem(problem) for problem in package.warnings[:PROBLEMS_KEPT]],
        )

    @staticmethod
    def _uploader(repo: Repo, upload: Upload | None) -> Principal:
        """Who stands behind an object: whom the API wrote down, else the repository's owner.

        Whoever can write to the bucket without the API holds the operator's keys to it.
        """
        if upload is not None:
            return Principal(upload.user_id, upload.username, upload.role, upload.owner_path)
        return Principal(repo.owner_id, "repository", "vendor", repo.owner_path)

    def _owned(self, who: Principal, repo_id: str) -> Repo:
        repo = self.get_repo(who, repo_id)
        if not who.owns(repo.owner_path):
            raise PermissionDenied(f"Repository {repo_id} belongs to another owner.")
        return repo

    def _own_object(self, who: Principal, repo: Repo, key: str) -> None:
        """Refuse a key that is not in the repository, or that another tenant uploaded.

        Raises:
            NotFound: for the caller there is no such object.
        """
        parts = parse_key(key)
        if parts is not None and parts.repo_id == repo.repo_id:
            if who.owns(repo.owner_path):
                return
            upload = self._repos.upload(key)
            if upload is not None and who.owns(upload.owner_path):
                return
        raise NotFound(f"Repository {repo.repo_id} has no upload {key!r}.")

    def _linted(self, data: bytes) -> LintReport:
        problems = list(self._packages.lint(data))
        report = LintReport(
            valid=not any(problem.severity == Severity.ERROR for problem in problems),
            problems=[_problem(problem) for problem in problems],
            digest=f"sha256:{sha256(data).hexdigest()}",
            size_bytes=len(data),
        )
        if not report.valid:
            return report
        package = self._packages.open_package(data)
        return replace(report, name=package.name, version=package.version, title=package.title)

    def _tell(self, event: RepoEvent) -> None:
        type_ = {"indexed": "PackageIndexed", "refused": "PackageRefused"}.get(event.outcome)
        if type_ is None:
            return
        data = {"repo_id": event.repo_id, "key": event.key, "message": event.message}
        try:
            self._events.publish(type_, event.event_id, data)
        except Exception:
            # The event is stored already; to fail now would index the object again for nothing.
            _log.exception("event %s of %s was not published", type_, event.event_id)


# --- values ------------------------------------------------------------------------------------------------


def _sees(who: Principal, repo: Repo) -> bool:
    return repo.visibility == "public" or who.owns(repo.owner_path)


def _only_operator(who: Principal, what: str) -> None:
    if not who.owns(ROOT_PATH):
        raise PermissionDenied(f"Only an operator may {what}.")


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"{field} {message}.", errors=[FieldError(field, message)])


_NAME: Final = re.compile(r"[^\W_](?:[\w .-]{0,58}[^\W_])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def _check(repo: Repo) -> None:
    """Refuse a repository with bad fields, naming each.

    Raises:
        InvalidInput: see above.
    """
    errors = []
    if not _NAME.fullmatch(repo.name):
        errors.append(FieldError("name", "must be 1 to 60 letters, digits, spaces and ._-, not at the ends"))
    if len(repo.description) > 1000:
        errors.append(FieldError("description", "must have at most 1000 characters"))
    if len(repo.providers) > 20 or not all(_LABEL.fullmatch(provider) for provider in repo.providers):
        errors.append(FieldError("providers", "must be at most 20 names of clouds"))
    if len(repo.labels) > 20:
        errors.append(FieldError("labels", "must be at most 20"))
    for key, value in repo.labels.items():
        if not _LABEL.fullmatch(key) or (value and not _LABEL.fullmatch(value)):
            errors.append(FieldError(f"labels.{key}", "and its value may be 63 letters, digits and ._/-"))
    if errors:
        raise InvalidInput(" ".join(f"{e.field} {e.message}." for e in errors), errors=errors)


def _decoded(package: str) -> bytes:
    if len(package) > MAX_INLINE_BYTES * 4 // 3 + 4:
        raise _invalid("package", f"is larger than {MAX_INLINE_BYTES:,} bytes; upload it and give its key")
    try:
        return base64.b64decode(package, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("package", "is not Base64") from None


def _refused(event: RepoEvent, error: PitrixError) -> RepoEvent:
    problems = error.problems if isinstance(error, PackageInvalid) else []
    return replace(
        event,
        outcome="refused",
        message=_clipped(error.detail),
        problems=[_problem(problem) for problem in problems[:PROBLEMS_KEPT]],
    )


def _problem(problem: Problem) -> RepoProblem:
    return RepoProblem(
        file=_clipped(problem.file),
        line=problem.line or None,
        key=_clipped(problem.key),
        severity=str(problem.severity),
        message=_clipped(problem.message),
        hint=_clipped(problem.hint),
    )


def _clipped(text: str) -> str:
    return text if len(text) <= PROBLEM_LENGTH else text[: PROBLEM_LENGTH - 1] + "…"


def _report(events: list[RepoEvent], next_cursor: str | None) -> IndexReport:
    def count(outcome: Outcome) -> int:
        return sum(event.outcome == outcome for event in events)

    return IndexReport(
        events=events,
        indexed=count("indexed"),
        unchanged=count("unchanged"),
        refused=count("refused"),
        next_cursor=next_cursor,
    )
