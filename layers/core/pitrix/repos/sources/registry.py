"""The part of the OCI distribution protocol that reading takes: tags, manifests, blobs, and the login.

Owns addresses of registries, the token dance (a 401 that names a realm, a token from there), paging, and the
check of every digest. Never knows what a chart is: `oci.py` does.

Sources: the OCI Distribution Specification 1.1 and OCI Image Specification 1.1; Docker's "Token
Authentication Specification" for the challenge ``Bearer realm=…``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from pitrix.addresses import parse
from pitrix.errors import InvalidInput, NotFound, PackageInvalid, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential
from pitrix.repos.sources.answers import Answer, refuse_failure
from pitrix.repos.sources.guarded import GuardedClient, login_of

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
#: The specification asks registries to take manifests of at least 4 MiB; charts have some hundred bytes.
MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024
MAX_TOKEN_BYTES: Final = 256 * 1024
MAX_TAGS: Final = 5000
_PAGE: Final = 1000
_MAX_PAGES: Final = 100

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NAME: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_SCHEMES: Final = {"oci": "https", "oci+http": "http"}
#: The one host whose registry is not at its own address.
_ALIASES: Final = {"docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Reference:
    """An address ``oci://host/name``, perhaps with ``:tag`` or ``@digest``; empty ``version``: neither."""

    plain: bool
    base: str
    name: str
    version: str

    @property
    def chart(self) -> str:
        """The last part of the name: what Helm calls the chart."""
        return self.name.rsplit("/", 1)[-1]


def parse_reference(url: str) -> Reference:
    """Take an address of a registry apart.

    Raises:
        InvalidInput: it is none.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES:
        raise InvalidInput(f"{url[:120]!r} must begin with oci://.")
    host, _, path = rest.partition("/")
    server = parse(f"{_SCHEMES[scheme]}://{_ALIASES.get(host, host)}/")
    path, _, digest = path.partition("@")
    name, _, tag = path.partition(":")
    name, tag = name.rstrip("/"), tag.replace("+", "_")
    if len(name) > 255 or not _NAME.fullmatch(name):
        raise InvalidInput(f"{url[:120]!r} must be oci://host/path/chart, in lower case.")
    if (tag and not _TAG.fullmatch(tag)) or (digest and not DIGEST.fullmatch(digest)):
        raise InvalidInput(f"{url[:120]!r} ends in what is neither a tag nor a digest.")
    base = f"{server.scheme}://{server.authority}"
    return Reference(scheme == "oci+http", base, name, digest or tag)


class Registry:
    """One name in one registry. Safe to use from several threads."""

    def __init__(self, client: GuardedClient, reference: Reference, credential: Credential | None) -> None:
        """Touch nothing yet.

        Raises:
            InvalidInput: the credential is no login.
        """
        self._client = client
        self._reference = reference
        self._host = parse(reference.base).host
        self._login = "" if credential is None else login_of(credential)
        #: What the registry last asked for and got: a token, or the login itself.
        self._authorization = ""

    def tags(self) -> Iterator[str]:
        """Every tag, page by page.

        Raises:
            InvalidInput: there is no such name, or it may not be read, or has too many tags.
        """
        path = f"/v2/{self._reference.name}/tags/list?n={_PAGE}"
        count = 0
        for _ in range(_MAX_PAGES):
            answer = self._get(path, "application/json", MAX_MANIFEST_BYTES)
            if answer.status == 404:
                raise InvalidInput(f"{self._host} has no chart {self._reference.name!r} (404).")
            refuse_failure(answer, f"the tags of {self._reference.name}")
            listed = _object(answer.body, self._host).get("tags") or []
            for tag in listed if isinstance(listed, list) else []:
                count += 1
                if count > MAX_TAGS:
                    raise InvalidInput(f"{self._reference.name} has more than {MAX_TAGS:,} tags.")
                if isinstance(tag, str) and _TAG.fullmatch(tag):
                    yield tag
            path = self._following(answer, path)
            if not path:
                return
        raise InvalidInput(f"{self._host} lists tags on more than {_MAX_PAGES} pages.")

    def head(self, tag: str) -> tuple[str, str]:
        """The digest and the media type of the manifest behind a tag.

        Raises:
            NotFound: the tag is gone.
        """
        answer = self._get(f"/v2/{self._reference.name}/manifests/{tag}", MANIFEST, 0, method="HEAD")
        if answer.status == 404:
            raise NotFound(f"{self._reference.name} has no tag {tag} any more.")
        refuse_failure(answer, f"the manifest of {self._reference.name}:{tag}")
        kind = answer.headers.get("content-type", "").split(";")[0].strip()
        digest = answer.headers.get("docker-content-digest", "")
        if not DIGEST.fullmatch(digest):  # the header is not owed to HEAD; the manifest itself tells as well
            digest = f"sha256:{sha256(self._manifest_bytes(tag)).hexdigest()}"
        return digest, kind

    def manifest(self, version: str) -> dict[str, Any]:
        """The manifest behind a tag or a digest.

        Raises:
            NotFound: there is none.
            PackageInvalid: it is not the one with that digest.
        """
        data = self._manifest_bytes(version)
        _verify(data, version if DIGEST.fullmatch(version) else "", self._reference.name)
        return _object(data, self._host)

    def blob(self, digest: str, at_most_bytes: int) -> bytes:
        """The content with a digest, which is checked.

        Raises:
            NotFound: there is none.
            TooLarge: it is larger than ``at_most_bytes``.
            PackageInvalid: it has another digest.
        """
        answer = self._get(f"/v2/{self._reference.name}/blobs/{digest}", "*/*", at_most_bytes)
        if answer.status == 404:
            raise NotFound(f"{self._reference.name} lists a layer that {self._host} does not have.")
        refuse_failure(answer, f"a layer of {self._reference.name}")
        _verify(answer.body, digest, self._reference.name)
        return answer.body

    def _manifest_bytes(self, version: str) -> bytes:
        path = f"/v2/{self._reference.name}/manifests/{version}"
        try:
            answer = self._get(path, MANIFEST, MAX_MANIFEST_BYTES)
        except TooLarge as error:
            raise PackageInvalid(
                f"The manifest of {self._reference.name} is too large: {error.detail}"
            ) from None
        if answer.status == 404:
            raise NotFound(f"{self._reference.name} has no {version} any more.")
        refuse_failure(answer, f"the manifest of {self._reference.name}")
        return answer.body

    def _following(self, answer: Answer, path: str) -> str:
        """The path of the next page; empty at the end. Pages of another server are not followed."""
        found = re.search(r"<([^<>]{1,2000})>\s*;[^,]*\brel=\"?next\"?", answer.headers.get("link", ""))
        if found is None:
            return ""
        url = urljoin(f"{self._reference.base}{path}", found[1])
        if parse(url).origin != parse(self._reference.base).origin:
            raise InvalidInput(f"{self._host} continues its tags on another server.")
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}"

    def _get(self, path: str, accept: str, at_most_bytes: int, method: str = "GET") -> Answer:
        used = self._authorization
        answer = self._send(method, f"{self._reference.base}{path}", accept, at_most_bytes, used)
        if answer.status == 401 and (challenge := answer.headers.get("www-authenticate")):
            self._authorization = self._answer_to(challenge)
            if self._authorization:
                url = f"{self._reference.base}{path}"
                answer = self._send(method, url, accept, at_most_bytes, self._authorization)
        return answer

    def _send(self, method: str, url: str, accept: str, at_most_bytes: int, authorization: str) -> Answer:
        headers = {"accept": accept} | ({"authorization": authorization} if authorization else {})
        return self._client.send(
            method, url, at_most_bytes=at_most_bytes, headers=headers, inside_only=self._reference.plain
        )

    def _answer_to(self, challenge: str) -> str:
        """What to authorize the next request with; empty when there is nothing to offer.

        Raises:
            InvalidInput: the realm is none, or does not take the login.
        """
        bearer = re.search(r"(?i)\bbearer\s+(.*)", challenge)
        if bearer is None:
            return self._login if re.search(r"(?i)\bbasic\b", challenge) else ""
        asked = {name.lower(): value for name, value in re.findall(r'(\w+)="([^"]*)"', bearer[1])}
        realm = asked.get("realm", "")
        if not realm.startswith("https://" if not self._reference.plain else ("https://", "http://")):
            raise InvalidInput(f"{self._host} names no safe place to get a token from.")
        query = {"scope": f"repository:{self._reference.name}:pull"}
        if asked.get("service"):
            query["service"] = asked["service"]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        answer = self._send("GET", url, "application/json", MAX_TOKEN_BYTES, self._login)
        refuse_failure(answer, f"a token for {self._reference.name}")
        found = _object(answer.body, parse(url).host)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,16384}", token):
            raise SourceUnavailable(f"{parse(url).host} gives no token that can be used.")
        return f"Bearer {token}"


def _object(data: bytes, host: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        SourceUnavailable: it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SourceUnavailable(f"{host} does not answer as a registry does.")
    return found


def _verify(data: bytes, digest: str, what: str) -> None:
    if digest and f"sha256:{sha256(data).hexdigest()}" != digest:
        raise PackageInvalid(f"The registry gave other content of {what} than {digest}.")
