"""Chart repositories on the web: an ``index.yaml`` and the archives that it names.

Owns asking for the index only when it changed (ETag, Last-Modified), and fetching archives and the provenance
files beside them. Never sends the login to another origin than the repository's own (as Helm without
``--pass-credentials``). `index.py` reads the index, `guarded.py` is the way out, and an address ``oci://`` in
an index (Bitnami's, for one) goes to `oci.py`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

from pitrix.addresses import blaming, parse
from pitrix.errors import InvalidInput, NotFound, PackageInvalid, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential, Fetched, Listing, Repo, SourceEntry
from pitrix.repos.sources import Surroundings, index
from pitrix.repos.sources.answers import Answer, refuse_failure
from pitrix.repos.sources.guarded import login_of

#: A signature and the metadata it covers.
MAX_PROVENANCE_BYTES: Final = 1024 * 1024
_GONE: Final = (404, 410)


class HttpSource:
    """`pitrix.repos.ports.PackageSource` over a chart repository."""

    def __init__(self, repo: Repo, credential: Credential | None, surroundings: Surroundings) -> None:
        """Check the address; touch no network.

        Raises:
            InvalidInput: the address or the credential is none that a chart repository can have.
        """
        with blaming("url"):
            self._base = parse(repo.url)
        self._surroundings = surroundings
        self._with_provenance = bool(repo.keys)
        self._login = ""
        if credential is not None:
            self._login = login_of(credential)

    @property
    def _scope(self) -> str:
        """What a validator is good for: another address, or other wishes, make it worthless."""
        return sha256(f"{self._base.url} {self._with_provenance}".encode()).hexdigest()[:16]

    def listing(self, validator: str = "") -> Listing | None:
        """What the index lists; one request, which costs nothing more when the index is as it was."""
        known = _known(validator, self._scope)
        conditions = {"if-none-match": known.get("etag", ""), "if-modified-since": known.get("modified", "")}
        asked = {name: value for name, value in conditions.items() if value}
        url = index.resolve_url(self._base.url, "index.yaml")
        try:
            answer = self._get(url, index.MAX_INDEX_BYTES, asked, unpack=True)
        except TooLarge as error:
            raise InvalidInput(f"The index is too large: {error.detail}") from None
        if answer.status == 304 and asked:
            return None
        if answer.status in _GONE:
            raise InvalidInput(
                f"There is no index.yaml at {self._base.authority}{self._base.target} ({answer.status})."
            )
        refuse_failure(answer, "index.yaml")
        digest = sha256(answer.body).hexdigest()
        if digest == known.get("digest"):
            return None  # a server that knows no conditions, or lost count
        entries, skipped = index.read(answer.body, self._base.url, with_provenance=self._with_provenance)
        return Listing(
            entries=entries,
            validator=_validator(self._scope, answer, digest),
            size_bytes=answer.wire_bytes,
            skipped=skipped.count,
            skips=skipped.reasons,
        )

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        """One archive from the first of its addresses that gives it, checked against the index's digest."""
        failure: NotFound | SourceUnavailable | InvalidInput | None = None
        for url in entry.location.split("\n"):
            try:
                fetched = self._fetch(url, entry, at_most_bytes)
            except (NotFound, SourceUnavailable, InvalidInput) as error:
                failure = failure or error
                continue
            _compare(entry, fetched.archive)
            return fetched
        raise failure or NotFound(f"{entry.key} has no address.")

    def _fetch(self, url: str, entry: SourceEntry, at_most_bytes: int) -> Fetched:
        if url.startswith("oci://"):
            from pitrix.repos.sources.oci import fetch_reference

            client = self._surroundings.client
            return fetch_reference(client, url, at_most_bytes, with_provenance=self._with_provenance)
        answer = self._get(url, at_most_bytes)
        if answer.status in _GONE:
            raise NotFound(
                f"{entry.key} is listed, but {parse(url).host} does not have it ({answer.status})."
            )
        refuse_failure(answer, entry.key)
        provenance = self._provenance(entry, index.beside(url)) if entry.provenance else None
        return Fetched(archive=answer.body, provenance=provenance)

    def _provenance(self, entry: SourceEntry, url: str) -> bytes | None:
        """The file that may sign an archive, from where that came; ``None`` when nobody has signed it."""
        answer = self._get(url, MAX_PROVENANCE_BYTES)
        if answer.status in (*_GONE, 403):  # a bucket says 403 of what it does not have
            return None
        refuse_failure(answer, f"the provenance of {entry.key}")
        return answer.body

    def _get(
        self, url: str, at_most_bytes: int, headers: dict[str, str] | None = None, *, unpack: bool = False
    ) -> Answer:
        own = self._login and parse(url).origin == self._base.origin
        login = {"authorization": self._login} if own else {}
        return self._surroundings.client.send(
            "GET", url, at_most_bytes=at_most_bytes, headers=(headers or {}) | login, unpack=unpack
        )


def _compare(entry: SourceEntry, archive: bytes) -> None:
    """Refuse an archive that is not the one that was listed.

    Raises:
        PackageInvalid: see above.
    """
    found = f"sha256:{sha256(archive).hexdigest()}"
    if entry.tag.startswith("sha256:") and entry.tag != found:
        raise PackageInvalid(
            f"{entry.key} is not what the index lists: its digest is {found}, and the index says {entry.tag}."
        )


def _known(validator: str, scope: str) -> dict[str, str]:
    """What is known of the last index; nothing when it was another repository's."""
    try:
        known: Any = json.loads(validator or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) and known.get("scope") == scope else {}


def _validator(scope: str, answer: Answer, digest: str) -> str:
    kept = {
        "scope": scope,
        "etag": answer.headers.get("etag", "")[:1000],
        "modified": answer.headers.get("last-modified", "")[:100],
        "digest": digest,
    }
    return json.dumps({name: value for name, value in kept.items() if value})
