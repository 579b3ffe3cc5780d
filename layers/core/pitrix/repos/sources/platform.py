"""The platform's own bucket as a source, so that it is indexed again in the same way as any other.

Owns which part of the bucket a repository has: the keys below its id (`pitrix.repos.model` has the layout).
Never reads the network by itself: `pitrix.repos.ports.UploadBucket` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pitrix.errors import InvalidInput, NotFound, ServiceUnavailable, TooLarge
from pitrix.repos.model import Credential, Fetched, Listing, Repo, SourceEntry, parse_key
from pitrix.repos.ports import StoredObject, UploadBucket
from pitrix.repos.sources import Surroundings, objects

_PAGE: Final = 1000


class PlatformSource:
    """`pitrix.repos.ports.PackageSource` over the platform's bucket. Entries go by the whole object key."""

    def __init__(self, repo: Repo, credential: Credential | None, surroundings: Surroundings) -> None:
        """Touch nothing yet.

        Raises:
            InvalidInput: the repository has an address or a credential, which this kind has no use for.
            ServiceUnavailable: this function was not given the bucket.
        """
        if repo.url or repo.endpoint or credential is not None:
            raise InvalidInput(
                "A repository in the platform's own bucket takes no address and no credential."
            )
        if surroundings.bucket is None:
            raise ServiceUnavailable("This part of the platform cannot read the platform's bucket.")
        self._bucket: UploadBucket = surroundings.bucket
        self._prefix = f"{repo.repo_id}/"
        self._with_provenance = bool(repo.keys)

    def listing(self, validator: str = "") -> Listing | None:
        """What was uploaded to the repository, by any of its users."""
        return objects.listing(
            self._objects(),
            strip="",
            scope=self._prefix,
            validator=validator,
            with_provenance=self._with_provenance,
        )

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        """One upload, and the provenance file beside it."""
        if not entry.location.startswith(self._prefix):
            raise NotFound(f"{entry.location!r} is not in this repository.")
        archive = self._bucket.read(entry.location, at_most_bytes=at_most_bytes)
        return Fetched(archive=archive, provenance=self._provenance(entry.provenance))

    def _provenance(self, key: str) -> bytes | None:
        if not key:
            return None
        try:
            return self._bucket.read(key, at_most_bytes=objects.MAX_PROVENANCE_BYTES)
        except (NotFound, TooLarge):
            return None

    def _objects(self) -> Iterator[StoredObject]:
        cursor: str | None = None
        while True:
            page = self._bucket.list_objects(self._prefix, limit=_PAGE, cursor=cursor)
            yield from (found for found in page.objects if parse_key(found.key) is not None)
            cursor = page.next_cursor
            if cursor is None:
                return
