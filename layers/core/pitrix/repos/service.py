"""What can be done with repositories: make, describe, look at, let go; upload to them, sync them, check.

Owns who sees and who changes a repository, and that an address and its credential are tried before they are
saved. A credential comes in, goes into the vault, and never comes out. Next: `indexing.py` (one package into
the catalog), `syncing.py` and `sync_steps.py` (a repository against its source), `rules.py` (its fields).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PitrixError,
    PreconditionFailed,
    SourceUnavailable,
    Unprocessable,
)
from pitrix.identity.model import ROOT_PATH, Principal, require
from pitrix.paging import chain
from pitrix.repos import linting, rules
from pitrix.repos.indexing import MAX_PACKAGE_BYTES, MAX_PROVENANCE_BYTES, Indexer
from pitrix.repos.model import (
    PLATFORM_REPO_ID,
    Credential,
    LintReport,
    Repo,
    RepoEvent,
    RepoPatch,
    RepoRequest,
    RepoStatistics,
    SourceCheck,
    SourceRequest,
    Sync,
    Upload,
    UploadTicket,
    is_package_filename,
    is_provenance_filename,
    parse_key,
    tenant_of,
    upload_key,
)
from pitrix.repos.ports import (
    CredentialVault,
    EventPage,
    PackageChecks,
    RepoPage,
    RepoStore,
    Sources,
    UploadBucket,
)
from pitrix.repos.syncing import Syncs, next_look

UPLOAD_EXPIRES_IN_S: Final = 900
#: Packages that a check of an address names.
SAMPLE: Final = 5
#: A caller waits for the check of an address, and API Gateway gives up after 29 s.
CHECK_TIME_S: Final = 20.0
#: Fields whose change has the address tried again.
_ADDRESS: Final = ("url", "endpoint", "region")

T = TypeVar("T")

_log = logging.getLogger("pitrix")


class ReposService:
    """The use cases of repositories. Every method takes who asks first."""

    def __init__(
        self,
        *,
        repos: RepoStore,
        bucket: UploadBucket,
        packages: PackageChecks,
        indexer: Indexer,
        syncs: Syncs,
        sources: Sources,
        vault: CredentialVault,
        clock: Clock,
    ) -> None:
        self._repos = repos
        self._bucket = bucket
        self._packages = packages
        self._indexer = indexer
        self._syncs = syncs
        self._sources = sources
        self._vault = vault
        self._clock = clock

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
        if repo is None or repo.status == "deleting" or not _sees(who, repo):
            raise NotFound(f"Repository {repo_id} does not exist.")
        return repo

    def create_repo(self, who: Principal, request: RepoRequest) -> Repo:
        """Add a repository, owned by the caller's owner path. A remote one is tried first, then synced.

        Raises:
            InvalidInput, Unprocessable: a bad field, by name; or nothing can be read at the address.
            PermissionDenied: a public repository is an operator's to make.
            Conflict: the caller's owner path has one of that name.
        """
        require(who, "repos", "create")
        if request.visibility == "public":
            _only_operator(who, "make a public repository")
        now = self._clock.now()
        credential = request.credential
        released = request.visibility == "private" or request.kind != "platform"
        repo = Repo(
            repo_id=ids.new("repo"),
            name=request.name,
            description=request.description,
            kind=request.kind,
            url=request.url,
            endpoint=request.endpoint,
            region=request.region,
            has_credential=credential is not None and not credential.is_empty,
            visibility=request.visibility,
            owner_path=who.owner_path,
            owner_id=who.user_id,
            providers=list(request.providers),
            labels=dict(request.labels),
            selectors=dict(request.selectors),
            keys=list(request.keys),
            require_signature=request.require_signature,
            auto_release=released if request.auto_release is None else request.auto_release,
            sync_interval_s=request.sync_interval_s,
            created_at=now,
            updated_at=now,
        )
        rules.check(repo)
        rules.check_keys(repo.keys)
        if repo.is_remote:
            self._tried(repo, credential)
        # The record comes first, so that a credential always has one that finds it, whatever breaks between.
        try:
            repo = self._repos.create(repo)
        except Conflict:
            raise Conflict(f"You have a repository named {request.name!r} already.") from None
        if repo.has_credential and credential is not None:
            try:
                self._vault.put(repo.repo_id, credential)
            except Exception:
                self._repos.save(repo, replace(repo, status="deleting"))
                self._repos.remove(repo)
                raise
        if repo.is_remote:
            self._sync_soon(repo, who)
        return repo

    def edit_repo(
        self, who: Principal, repo_id: str, patch: RepoPatch, *, if_revision: int | None = None
    ) -> Repo:
        """Change a repository; the owner's right. Apps that it holds stay as they are.

        A new address or credential is tried first, and the repository is then synced.

        Args:
            if_revision: The revision the caller read (``If-Match``); ``None`` overwrites.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
            PreconditionFailed: it was changed since that revision.
            InvalidInput, Unprocessable: as for ``create_repo``; or the address leads to another server, which
                must not get the credential that is kept.
            Conflict: the owner has another one of the new name.
        """
        require(who, "repos", "update")
        repo = self._owned(who, repo_id)
        if if_revision is not None and if_revision != repo.revision:
            raise PreconditionFailed(f"Repository {repo_id} was changed since you read it; read it again.")
        if patch.visibility == "public" and repo.visibility != "public":
            _only_operator(who, "make a repository public")
        credential = patch.credential
        given = {
            name: value
            for name in patch.__slots__
            if name != "credential" and (value := getattr(patch, name)) is not None
        }
        after = replace(repo, **given, updated_at=self._clock.now())
        if credential is not None:
            after = replace(after, has_credential=not credential.is_empty)
        rules.check(after)
        if repo.has_credential and credential is None and _hosts(after) != _hosts(repo):
            message = "must be given again, or taken away ({}), where the address leads to another server"
            raise rules.refused([FieldError("credential", message)])
        if patch.keys is not None:
            rules.check_keys(after.keys)
        moved = credential is not None or any(getattr(after, f) != getattr(repo, f) for f in _ADDRESS)
        if moved and after.is_remote:
            kept = self._vault.get(repo_id) if credential is None and repo.has_credential else credential
            self._tried(after, kept)
        try:
            after = self._repos.save(repo, after)
        except Conflict:
            raise Conflict(
                f"You have a repository named {after.name!r} already, or this one was changed just now."
            ) from None
        if credential is not None and after.has_credential:
            self._vault.put(repo_id, credential)
        elif credential is not None:
            self._vault.delete(repo_id)
        judged = (after.keys, after.require_signature) != (repo.keys, repo.require_signature)
        if after.is_remote and (moved or judged):
            self._sync_soon(after, who)
        elif after.sync_interval_s != repo.sync_interval_s:
            self._syncs.look_at(after, next_look(after, self._clock.now()))
        return after

    def delete_repo(self, who: Principal, repo_id: str) -> None:
        """Let a repository go; the owner's right. It is gone at once, for everybody.

        Its versions are then suspended, with the reason, by a last sync in the background: they cannot be
        deployed any more, and what clusters run of them stays. Deleting one again that is still being
        deleted sets that going again.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
            Conflict: it is the platform's own.
        """
        require(who, "repos", "delete")
        repo = self._repos.repo(repo_id)
        if repo is None or repo.status == "active" or not who.owns(repo.owner_path):
            repo = self._owned(who, repo_id)
        if repo_id == PLATFORM_REPO_ID:
            raise Conflict("This is the platform's own repository; it cannot be deleted.")
        if repo.status == "active":
            gone = replace(repo, status="deleting", has_credential=False, updated_at=self._clock.now())
            try:
                repo = self._repos.save(repo, gone)
            except Conflict:
                raise Conflict(f"Repository {repo_id} was changed just now; try again.") from None
        self._vault.delete(repo_id)
        # Should a sync be under way, it notices, and the last one follows it.
        self._syncs.look_at(repo, self._clock.now())
        self._sync_soon(repo, who)

    def statistics(self, who: Principal, repo_id: str) -> RepoStatistics:
        """Figures of a repository; who does not own it is not told which packages failed."""
        repo = self.get_repo(who, repo_id)
        state = self._syncs.state(repo_id)
        last = state.last
        if last is not None and not who.owns(repo.owner_path):
            last = replace(last, failures=[], by="", message="")
        return RepoStatistics(
            repo_id=repo_id,
            totals=state.totals if repo.is_remote else self._repos.totals(repo_id),
            running=state.running if who.owns(repo.owner_path) else None,
            last_sync=last,
            next_sync_at=state.next_at,
        )

    # --- sources -------------------------------------------------------------------------------------------

    def check_source(self, who: Principal, request: SourceRequest) -> SourceCheck:
        """Try an address and a credential; keeps nothing.

        Raises:
            InvalidInput, Unprocessable: nothing can be read there; names the field.
        """
        require(who, "repos", "create")
        now = self._clock.now()
        credential = request.credential
        repo = Repo(
            repo_id="repo_new",
            name="new",
            kind=request.kind,
            url=request.url,
            endpoint=request.endpoint,
            region=request.region,
            has_credential=credential is not None and not credential.is_empty,
            owner_path=who.owner_path,
            owner_id=who.user_id,
            created_at=now,
            updated_at=now,
        )
        rules.check(repo)
        return self._tried(repo, credential)

    def check_repo(self, who: Principal, repo_id: str) -> SourceCheck:
        """Try the address of a repository with the credential that is kept; the owner's right.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
            InvalidInput, Unprocessable: nothing can be read there; names the field.
        """
        require(who, "repos", "update")
        repo = self._owned(who, repo_id)
        return self._tried(repo, self._vault.get(repo_id) if repo.has_credential else None)

    def sync(self, who: Principal, repo_id: str, *, retry_refused: bool = False) -> Sync:
        """Compare a repository with its source now; the owner's right.

        Of the platform's own bucket every object is looked at that changed since the last time.

        Args:
            retry_refused: Also look at packages again that were refused and did not change.

        Returns:
            The sync that was started, or the one that is under way.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
        """
        require(who, "repos", "index")
        repo = self._owned(who, repo_id)
        return self._syncs.start(repo, by=who.user_id, retry_refused=retry_refused)

    def index_one(self, who: Principal, repo_id: str, key: str) -> RepoEvent:
        """Index one object of the platform's bucket again; its uploader's or the repository's owner's right.

        Raises:
            NotFound: of the repository, or no such object of the caller's.
        """
        require(who, "repos", "index")
        repo = self.get_repo(who, repo_id)
        self._own_object(who, repo, key)
        event = self._indexer.index_object(who, key)
        if event is None:
            raise NotFound(f"Repository {repo.repo_id} has no upload {key!r}.")
        return event

    def index_object(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None:
        """An object came into the bucket: see `Indexer.index_object`."""
        return self._indexer.index_object(who, key, delivery_id=delivery_id)

    def object_removed(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None:
        """An object left the bucket: see `Indexer.object_removed`."""
        return self._indexer.object_removed(who, key, delivery_id=delivery_id)

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

    def start_upload(self, who: Principal, repo_id: str, *, filename: str, size_bytes: int) -> UploadTicket:
        """Announce an upload and say where to send it. The address takes that one file and nothing else.

        Args:
            filename: Of the package, or with ``.prov`` of its provenance file.
            size_bytes: Its size; S3 refuses a body of another one.

        Raises:
            PermissionDenied: the caller's role may not publish.
            NotFound: no such repository for the caller.
            InvalidInput: the file's name or size is not acceptable.
            Conflict: the repository's packages lie elsewhere.
        """
        require(who, "repos", "push")
        repo = self.get_repo(who, repo_id)
        if repo.is_remote:
            raise Conflict(f"Repository {repo.name} takes no uploads: its packages come from {repo.url}.")
        errors = []
        is_provenance = is_provenance_filename(filename)
        if not is_package_filename(filename) and not is_provenance:
            message = "must be letters, digits and ._+-, ending in .tgz or .tar.gz (guestbook-1.0.0.tgz)"
            errors.append(FieldError("filename", f"{message}, or that and .prov"))
        limit = MAX_PROVENANCE_BYTES if is_provenance else MAX_PACKAGE_BYTES
        if not 0 < size_bytes <= limit:
            errors.append(FieldError("size_bytes", f"must be from 1 to {limit}"))
        if errors:
            raise rules.refused(errors)
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
            max_size_bytes=limit,
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
            package: The archive as Base64, of at most `linting.MAX_INLINE_BYTES`; or else
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
            data = linting.decoded(package)
        else:
            self._own_object(who, self.get_repo(who, repo_id or PLATFORM_REPO_ID), key or "")
            data = self._bucket.read(key or "", at_most_bytes=MAX_PACKAGE_BYTES)
        return linting.report(self._packages, data)

    # --- inside --------------------------------------------------------------------------------------------

    def _tried(self, repo: Repo, credential: Credential | None) -> SourceCheck:
        """What is at a repository's address.

        Raises:
            InvalidInput, Unprocessable: nothing that can be read; names the field.
        """
        used = None if credential is None or credential.is_empty else credential
        try:
            listing = _within(CHECK_TIME_S, self._sources.connect(repo, used).listing)
        except SourceUnavailable as error:
            raise Unprocessable(error.detail, errors=[FieldError("url", error.detail)]) from None
        except PitrixError as error:
            if error.status >= 500 or error.errors:
                raise
            field = "credential" if "credential" in error.detail else "url"
            raise type(error)(error.detail, errors=[FieldError(field, error.detail)]) from None
        entries = [] if listing is None else listing.entries
        sample = [f"{e.name} {e.version}".strip() or e.key for e in entries[:SAMPLE]]
        return SourceCheck(valid=True, packages=len(entries), sample=sample)

    def _sync_soon(self, repo: Repo, who: Principal) -> None:
        """Start a sync; where that fails, the schedule does it."""
        try:
            self._syncs.start(repo, by=who.user_id)
        except Exception:
            _log.exception("the sync of %s did not start", repo.repo_id)

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


# --- values ------------------------------------------------------------------------------------------------


def _sees(who: Principal, repo: Repo) -> bool:
    return repo.visibility == "public" or who.owns(repo.owner_path)


def _hosts(repo: Repo) -> tuple[str, ...]:
    """The servers that a repository's credential is sent to."""
    parts = [urlsplit(text.strip().lower()) for text in (repo.url, repo.endpoint) if repo.kind != "s3"]
    return tuple(f"{part.scheme}://{part.netloc}" for part in parts)


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """What ``ask`` returns, if it does so in time; else it is left alone with what it does.

    Raises:
        SourceUnavailable: it does not.
    """
    pool = ThreadPoolExecutor(1)
    asked = pool.submit(ask)
    pool.shutdown(wait=False)
    try:
        return asked.result(timeout=seconds)
    except TimeoutError:
        raise SourceUnavailable(f"The source did not list its packages within {seconds:.0f} s.") from None


def _only_operator(who: Principal, what: str) -> None:
    if not who.owns(ROOT_PATH):
        raise PermissionDenied(f"Only an operator may {what}.")
