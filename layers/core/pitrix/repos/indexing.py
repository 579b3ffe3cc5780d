"""One package into the catalog: checked, verified against the repository's keys, published, and told of.

Owns the way of a package's bytes to the catalog (`Indexer.publish`, for uploads and for syncs alike) and the
event that every upload leaves. Never publishes by itself (the catalog does), never opens an archive by itself
(`pitrix.packages` does), and never writes into the bucket it reads.

A package that is wrong is refused with an event that says why, and nothing else changes; only what is wrong
with *us* is raised, so that the notification is delivered again and ends in the dead-letter queue at last.
Next: `syncing.py` for whole repositories.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import Contended, NotFound, PackageInvalid, PitrixError, TooLarge, Unprocessable
from pitrix.events import EventBus, announce
from pitrix.identity.model import Principal, require
from pitrix.packages.model import Package, Problem, Signature, SignatureStatus
from pitrix.repos.model import (
    PROVENANCE,
    REMOVED_UPSTREAM,
    KeyParts,
    Outcome,
    Repo,
    RepoEvent,
    RepoProblem,
    Totals,
    Upload,
    is_package_filename,
    is_provenance_filename,
    parse_key,
)
from pitrix.repos.ports import Catalog, PackageChecks, RepoStore, Signatures, UploadBucket

#: The largest archive that is taken: what `pitrix.packages` opens, and one function holds in memory.
MAX_PACKAGE_BYTES: Final = 32 * 1024 * 1024
#: The largest provenance file: a chart's metadata and a signature.
MAX_PROVENANCE_BYTES: Final = 256 * 1024
#: An event is one item of at most 400 KB, and a package may be hostile: so many problems are kept, so long,
#: and no more than fit, as the table writes them (a letter beyond ASCII takes up to 12 bytes there).
PROBLEMS_KEPT: Final = 100
PROBLEM_LENGTH: Final = 500
KEPT_BYTES: Final = 250_000

T = TypeVar("T")

_log = logging.getLogger("pitrix")


class Indexer:
    """Publishes packages that lie in a repository."""

    def __init__(
        self,
        *,
        repos: RepoStore,
        bucket: UploadBucket,
        catalog: Catalog,
        packages: PackageChecks,
        signatures: Signatures,
        events: EventBus,
        clock: Clock,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repos = repos
        self._bucket = bucket
        self._catalog = catalog
        self._packages = packages
        self._signatures = signatures
        self._events = events
        self._clock = clock
        self._stopwatch = stopwatch

    # --- uploads -------------------------------------------------------------------------------------------

    def index_object(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None:
        """Publish what lies under ``key`` of the bucket, and leave an event that says what came of it.

        Reads the object as it is now, so notifications may come twice, late or out of order: the same bytes
        under the same name and version change nothing. A provenance file has its archive looked at again.

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
        if parts is not None and is_provenance_filename(parts.filename):
            key = key.removesuffix(PROVENANCE)
            parts = parse_key(key)
            if not self._lies_there(key):
                return None  # its archive is still to come, and will find it
            delivery_id = delivery_id and f"provenance-{delivery_id}"
        repo = None if parts is None else self._repos.repo(parts.repo_id)
        if parts is None or repo is None or repo.status == "deleting":
            _log.info("an object of no repository was left alone: %s", key)
            return None
        if delivery_id and self._repos.was_delivered(repo.repo_id, key, delivery_id):
            return None
        began = self._stopwatch()
        event, new_app = self._indexed(repo, parts, key)
        event = replace(event, duration_ms=round((self._stopwatch() - began) * 1000))
        if not self._repos.add_event(event, delivery_id, counts=counts_of(event, new_app)):
            return None
        if event.outcome == "refused":
            self._let_expire(key)
        self.tell(event)
        return event

    def object_removed(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None:
        """Note that an upload was deleted from the bucket. What was published from it stays."""
        require(who, "repos", "index")
        parts = parse_key(key)
        repo = None if parts is None else self._repos.repo(parts.repo_id)
        if parts is None or repo is None or is_provenance_filename(parts.filename):
            return None
        uploader = self.uploader(repo, self._repos.upload(key) if parts.user_id else None)
        event = self._event(repo, uploader, key, outcome="removed")
        message = "The upload was deleted from the bucket; what was published from it stays."
        event = replace(event, message=message)
        return event if self._repos.add_event(event, delivery_id) else None

    def who_uploaded(self, repo: Repo, key: str) -> Principal:
        """Who stands behind an object of the platform's bucket: whom the API wrote down.

        Raises:
            Unprocessable: the object is none that is published, or nobody announced it.
        """
        parts = parse_key(key)
        if parts is None or not is_package_filename(parts.filename):
            filename = key.rpartition("/")[2]
            raise Unprocessable(f"{filename!r} is no name of a package: it must end in .tgz or .tar.gz.")
        upload = self._repos.upload(key) if parts.user_id else None
        if parts.user_id and upload is None:
            raise Unprocessable(
                f"Nobody announced this upload: ask POST /v1/repos/{repo.repo_id}/packages for an address."
            )
        return self.uploader(repo, upload)

    @staticmethod
    def uploader(repo: Repo, upload: Upload | None) -> Principal:
        """Who stands behind a package: who announced its upload, else the repository's owner.

        Whoever can write to the bucket without the API holds the operator's keys to it.
        """
        if upload is not None:
            return Principal(upload.user_id, upload.username, upload.role, upload.owner_path)
        return Principal(repo.owner_id, "repository", "vendor", repo.owner_path)

    # --- any package ---------------------------------------------------------------------------------------

    def publish(
        self,
        who: Principal,
        repo: Repo,
        *,
        key: str,
        archive: bytes,
        provenance: bytes | None,
        filename: str = "",
        listed_as: tuple[str, str] | None = None,
    ) -> tuple[RepoEvent, bool]:
        """Open, verify and publish; the package's faults become a refusal, all others are raised.

        Safe to repeat. A version that was withdrawn because its source dropped it is in the store again.

        Args:
            who: Who uploaded it, and owns what is new.
            filename: What the archive is called in its provenance; by default ``<name>-<version>.tgz``.
            listed_as: Name and version that its source lists it under, where that says what is inside.

        Returns:
            The event, not stored yet, and whether the app is new.
        """
        event = replace(
            self._event(repo, who, key, outcome="refused"),
            size_bytes=len(archive),
            digest=f"sha256:{sha256(archive).hexdigest()}",
        )
        try:
            package = self._packages.open_package(archive)
            event = replace(event, name=package.name, version=package.version)
            _check_listed(package, listed_as)
            signature = self._verified(
                repo, archive, filename or f"{package.name}-{package.version}.tgz", provenance
            )
            published = self._catalog.publish_version(
                who,
                repo_id=repo.repo_id,
                visibility=repo.visibility,
                auto_release=repo.auto_release,
                package=package,
                archive=archive,
                package_key=key,
                signature=signature,
                provenance=provenance,
            )
            app, version = published.app, published.version
            if version.status == "suspended" and version.status_reason == REMOVED_UPSTREAM:
                self._catalog.restore_version(who, app.app_id, version.version_id, reason=REMOVED_UPSTREAM)
        except PitrixError as error:
            if error.status >= 500 or isinstance(error, Contended):
                raise
            return _refused(event, error), False
        event = replace(
            event,
            outcome=published.outcome,
            message=_said(package, published.outcome),
            app_id=app.app_id,
            version_id=version.version_id,
            problems=kept_of(package.warnings),
        )
        return event, published.outcome == "indexed" and app.revision == 1

    def refusal(self, repo: Repo, key: str, error: PitrixError) -> RepoEvent:
        """The event of a package that could not even be opened: too large, or of no acceptable name."""
        return _refused(self._event(repo, self.uploader(repo, None), key, outcome="refused"), error)

    def tell(self, event: RepoEvent) -> None:
        """Tell the bus what became of a package, if it is worth it; a bus that fails changes nothing."""
        type_ = {"indexed": "PackageIndexed", "refused": "PackageRefused"}.get(event.outcome)
        if type_ is None:
            return
        data = {"repo_id": event.repo_id, "key": event.key, "message": event.message}
        announce(self._events, type_, event.event_id, data)

    # --- inside --------------------------------------------------------------------------------------------

    def _indexed(self, repo: Repo, parts: KeyParts, key: str) -> tuple[RepoEvent, bool]:
        owner = self.uploader(repo, self._repos.upload(key) if parts.user_id else None)
        event = self._event(repo, owner, key, outcome="refused")
        if repo.is_remote:
            elsewhere = "This repository takes no uploads: its packages lie elsewhere."
            return replace(event, message=elsewhere), False
        try:
            who = self.who_uploaded(repo, key)
            archive = self._bucket.read(key, at_most_bytes=MAX_PACKAGE_BYTES)
            provenance = self._provenance_of(key)
        except NotFound:
            gone = "The object was gone before it could be read."
            return replace(event, outcome="removed", message=gone), False
        except PitrixError as error:
            if error.status >= 500:
                raise
            return _refused(event, error), False
        return self.publish(
            who,
            repo,
            key=key,
            archive=archive,
            provenance=provenance,
            filename=parts.filename,
        )

    def _event(self, repo: Repo, who: Principal, key: str, *, outcome: Outcome) -> RepoEvent:
        return RepoEvent(
            event_id=ids.new("rev"),
            repo_id=repo.repo_id,
            outcome=outcome,
            key=clipped(key),
            message="",
            owner_path=who.owner_path,
            uploaded_by=who.user_id,
            at=self._clock.now(),
        )

    def _verified(
        self, repo: Repo, archive: bytes, filename: str, provenance: bytes | None
    ) -> Signature | None:
        """What the repository's keys say of a package; ``None`` when it is not signed and need not be.

        Raises:
            PackageInvalid: the signature is broken, or one that the repository trusts is required.
        """
        if provenance is None and not repo.require_signature:
            return None
        found = self._signatures.verify(archive, filename, provenance, repo.keys)
        if found.status is SignatureStatus.INVALID and repo.keys:
            raise PackageInvalid(f"The signature is not valid: {found.message or 'it cannot be read'}")
        if repo.require_signature and found.status is not SignatureStatus.VERIFIED:
            why = found.message or f"it is {found.status.replace('_', ' ')}"
            raise PackageInvalid(
                f"This repository takes only packages signed by one of its keys: {why.rstrip('.')}. "
                "Sign it (pitrix package sign) and upload the .prov file beside it."
            )
        return None if provenance is None else found

    def _provenance_of(self, key: str) -> bytes | None:
        try:
            return self._bucket.read(key + PROVENANCE, at_most_bytes=MAX_PROVENANCE_BYTES)
        except NotFound:
            return None

    def _lies_there(self, key: str) -> bool:
        try:
            self._bucket.read(key, at_most_bytes=0)
        except NotFound:
            return False
        except TooLarge:
            return True
        return True

    def _let_expire(self, key: str) -> None:
        try:
            self._bucket.let_expire(key)
        except Exception:
            _log.exception("the refused object %s stays where it is", key)


def problem_of(problem: Problem) -> RepoProblem:
    """What lint found, as events and reports tell it: bounded."""
    return RepoProblem(
        file=clipped(problem.file),
        line=problem.line or None,
        key=clipped(problem.key),
        severity=str(problem.severity),
        message=clipped(problem.message),
        hint=clipped(problem.hint),
    )


def kept_of(problems: Sequence[Problem]) -> list[RepoProblem]:
    """The first problems, as many as an event has room for."""
    return fitting([problem_of(problem) for problem in problems[:PROBLEMS_KEPT]])


def fitting(items: Sequence[T], *, at_most_bytes: int = KEPT_BYTES) -> list[T]:
    """The first items, as many as take so many bytes in the table, which writes JSON in ASCII."""
    kept, size = [], 0
    for item in items:
        size += len(json.dumps(msgspec.to_builtins(item)))
        if size > at_most_bytes:
            break
        kept.append(item)
    return kept


def clipped(text: str) -> str:
    """A text of at most `PROBLEM_LENGTH` characters."""
    return text if len(text) <= PROBLEM_LENGTH else text[: PROBLEM_LENGTH - 1] + "…"


def _check_listed(package: Package, listed_as: tuple[str, str] | None) -> None:
    """Refuse an archive with another package in it than its source says: who chose one would get the other.

    Raises:
        PackageInvalid: see above.
    """
    found = (package.name, package.version.removeprefix("v"))
    if listed_as is not None and found != (listed_as[0], listed_as[1].removeprefix("v")):
        raise PackageInvalid(
            f"The source lists it as {' '.join(listed_as)}, but {package.name} {package.version} is inside."
        )


def _said(package: Package, outcome: str) -> str:
    said = "is published" if outcome == "indexed" else "was published before; nothing changed"
    return f"{package.name} {package.version} {said}."


def _refused(event: RepoEvent, error: PitrixError) -> RepoEvent:
    problems = error.problems if isinstance(error, PackageInvalid) else []
    return replace(
        event,
        outcome="refused",
        message=clipped(error.detail),
        problems=kept_of(problems),
    )


def counts_of(event: RepoEvent, new_app: bool) -> Totals:
    """What an upload's event adds to the totals of its repository."""
    if event.outcome == "indexed":
        return Totals(apps=int(new_app), versions=1, size_bytes=event.size_bytes)
    return Totals(refused=int(event.outcome == "refused"))
