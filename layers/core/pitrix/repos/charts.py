"""Every repository as a Helm repository: its index, its charts, and pushing one with ChartMuseum's API.

Owns who may read a repository as a Helm client, what a pushed file is called, and the way of a pushed chart
into the packages bucket and, before the push is answered, into the catalog. The index itself is the
catalog's (`pitrix.catalog.charts`); publishing is the indexer's, as for an upload by presigned address.

A repository that the caller may not see does not exist; a visitor is asked to sign in instead, as he may see
it then. Next: ``functions/repos/charts.py`` for the routes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from pitrix.catalog.model import ChartIndex, Download
from pitrix.errors import Conflict, InvalidInput, NotFound, TooLarge, Unauthenticated
from pitrix.identity.model import SYSTEM, Principal, require
from pitrix.packages import chart_entry
from pitrix.repos.model import Repo, RepoEvent, UploadTicket, is_package_filename

#: A clear-signed provenance holds a chart's description and a checksum; more than this is no such thing.
MAX_PROVENANCE_BYTES: Final = 256 * 1024
_SIGNED_FILE: Final = re.compile(rb"^ {0,4}([A-Za-z0-9][A-Za-z0-9._+-]{0,190}\.tgz): sha256:", re.MULTILINE)


class Repositories(Protocol):
    """The part of `ports.RepoStore` that is used here."""

    def repo(self, repo_id: str) -> Repo | None: ...


class Charts(Protocol):
    """The part of `pitrix.catalog.service.CatalogService` that is used here."""

    def chart_index(
        self, who: Principal, repo_id: str, *, context_path: str, known: str = "", gzipped: bool = False
    ) -> ChartIndex: ...

    def chart_file(self, who: Principal, repo_id: str, filename: str) -> Download: ...


class Uploads(Protocol):
    """The part of `pitrix.repos.service.ReposService` that is used here."""

    def start_upload(
        self, who: Principal, repo_id: str, *, filename: str, size_bytes: int
    ) -> UploadTicket: ...

    def index_object(self, who: Principal, key: str, *, delivery_id: str = "") -> RepoEvent | None: ...


class PushedObjects(Protocol):
    """The bucket that packages are uploaded to."""

    def put(self, key: str, data: bytes) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What a push came to: the file's name, and what the indexer says of it."""

    filename: str
    event: RepoEvent | None


class ChartRepositories:
    """The use cases of Helm clients. Every method takes who asks first."""

    def __init__(
        self, *, repos: Repositories, charts: Charts, uploads: Uploads, objects: PushedObjects
    ) -> None:
        self._repos = repos
        self._charts = charts
        self._uploads = uploads
        self._objects = objects

    def index(
        self, who: Principal, repo_id: str, *, context_path: str, known: str = "", gzipped: bool = False
    ) -> ChartIndex:
        """The index of a repository, as much of it as the caller may see.

        Args:
            context_path: Path of the repository at the caller's address.
            known: The value of ``If-None-Match``.
            gzipped: The caller takes gzip.

        Raises:
            Unauthenticated: a visitor, and the repository is not public.
            NotFound: there is none, or the caller may not see it.
        """
        self._readable(who, repo_id)
        return self._charts.chart_index(who, repo_id, context_path=context_path, known=known, gzipped=gzipped)

    def file(self, who: Principal, repo_id: str, filename: str) -> Download:
        """A short-lived address of a chart's archive, or of its ``.prov``.

        Raises:
            Unauthenticated, NotFound: as `index`, or no such file.
        """
        self._readable(who, repo_id)
        return self._charts.chart_file(who, repo_id, filename)

    def push(
        self,
        who: Principal,
        repo_id: str,
        archive: bytes,
        *,
        provenance: bytes | None = None,
        force: bool = False,
    ) -> Pushed:
        """Publish a chart; it is in the index when this returns (if the repository releases at once).

        Args:
            provenance: Its ``.prov``, if it is signed.
            force: To push what is there already is no error. A version never changes all the same.

        Raises:
            Unauthenticated, PermissionDenied, NotFound: the caller may not push to this repository.
            InvalidInput: the archive is no chart, or was refused; the message says why.
            Conflict: this version is there already.
        """
        require(who, "repos", "push")
        self._readable(who, repo_id)
        filename = _filename_of(archive)
        exists = self._exists(who, repo_id, filename)
        if exists and not force:
            raise Conflict(f"{filename} is in this repository already; raise the version in Chart.yaml.")
        key = self._uploads.start_upload(who, repo_id, filename=filename, size_bytes=len(archive)).key
        if provenance is not None:
            self._put_provenance(key, provenance)  # first: the indexer looks for it beside the archive
        self._objects.put(key, archive)
        event = self._uploads.index_object(SYSTEM, key)
        if event is not None and event.outcome == "refused":
            raise (Conflict if exists else InvalidInput)(_why(event))
        return Pushed(filename=filename, event=event)

    def push_provenance(self, who: Principal, repo_id: str, provenance: bytes) -> Pushed:
        """Add the ``.prov`` of a chart that the caller pushed, or is about to push.

        Raises:
            Unauthenticated, PermissionDenied, NotFound: the caller may not push to this repository.
            InvalidInput: it is no provenance file, or was refused.
        """
        require(who, "repos", "push")
        self._readable(who, repo_id)
        signed = _SIGNED_FILE.search(provenance[:MAX_PROVENANCE_BYTES])
        if signed is None:
            raise InvalidInput("This is no provenance file: it names no archive with a SHA-256 checksum.")
        filename = signed[1].decode()
        key = self._uploads.start_upload(who, repo_id, filename=filename, size_bytes=len(provenance)).key
        self._put_provenance(key, provenance)
        event = self._uploads.index_object(SYSTEM, f"{key}.prov")
        if event is not None and event.outcome == "refused":
            raise InvalidInput(_why(event))
        return Pushed(filename=f"{filename}.prov", event=event)

    def _readable(self, who: Principal, repo_id: str) -> None:
        repo = self._repos.repo(repo_id)
        present = repo is not None and repo.status == "active"
        if repo is not None and present and (repo.visibility == "public" or who.owns(repo.owner_path)):
            return
        if who.is_anonymous:
            raise Unauthenticated(
                "Sign in to see this repository: username and password, or an access token."
            )
        raise NotFound(f"Repository {repo_id} does not exist.")

    def _exists(self, who: Principal, repo_id: str, filename: str) -> bool:
        try:
            self._charts.chart_file(who, repo_id, filename)
        except NotFound:
            return False
        return True

    def _put_provenance(self, key: str, provenance: bytes) -> None:
        if len(provenance) > MAX_PROVENANCE_BYTES:
            raise TooLarge(f"The provenance file is larger than {MAX_PROVENANCE_BYTES:,} bytes.")
        self._objects.put(f"{key}.prov", provenance)


def _filename_of(archive: bytes) -> str:
    try:
        described = chart_entry.read_chart(archive)
    except chart_entry.ChartUnreadable as error:
        raise InvalidInput(f"This is no chart: {error}.") from None
    name, version = described.get("name"), described.get("version")
    if not isinstance(name, str) or not isinstance(version, str | int | float) or not name or not version:
        raise InvalidInput("This is no chart: its Chart.yaml has no name or no version.")
    made = chart_entry.filename(name, str(version))
    if not is_package_filename(made):
        raise InvalidInput(
            f"This is no chart: its name {name!r} and version {version!r} must be letters, digits and ._+-."
        )
    return made


def _why(event: RepoEvent) -> str:
    """A refusal in one line, as command lines show it: the message, and what else is wrong."""
    more = [
        f"{problem.file}{f':{problem.line}' if problem.line else ''}: {problem.message}"
        for problem in event.problems[:5]
        if problem.severity == "error" and problem.message not in event.message
    ]
    return "; ".join([event.message, *more])
