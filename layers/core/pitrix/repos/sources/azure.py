"""A container of Azure Blob Storage as a source.

Owns the addresses ``azure://account/container/folder``, listing by pages, and the meaning of the store's
errors. A private container is read with a shared access signature (SAS) that may list and read: it says for
how long and what, where an account's key would open everything. It travels in the query of each address, so
only over https, or to a network that the operator allowed; no message shows it. The connection is ours
(`guarded.py`).

The protocol is Microsoft's "Blob service REST API", List Blobs and Get Blob, version 2021-12-02.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree

from pitrix.addresses import Target, blaming, parse
from pitrix.errors import FieldError, InvalidInput, NotFound, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential, Fetched, Listing, Repo, SourceEntry
from pitrix.repos.ports import StoredObject
from pitrix.repos.sources import Surroundings, objects
from pitrix.repos.sources.answers import Answer, refuse_failure

_VERSION: Final = "2021-12-02"
#: A page names at most 5,000 blobs; asked for fewer, so that one stays small.
_PAGE: Final = 1000
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
#: Listing 200,000 archives takes 200 requests.
LISTING_TIME_S: Final = 300.0

#: Names of accounts and containers, as Azure's naming rules have them.
_URL: Final = re.compile(
    r"azure://([a-z0-9]{3,24})/([a-z0-9](?:-?[a-z0-9]){2,62}|\$web)(?:/(.*))?", re.DOTALL
)


class AzureSource:
    """`pitrix.repos.ports.PackageSource` over one folder of a container. An entry's key goes without it."""

    def __init__(self, repo: Repo, credential: Credential | None, surroundings: Surroundings) -> None:
        """Check the address; touch no network.

        Raises:
            InvalidInput: the address, the endpoint or the credential is none that a container can have.
        """
        with blaming("url"):
            account, container, self._prefix = _address(repo.url)
        with blaming("endpoint"):
            self._service = _service(account, repo.endpoint)
        self._container = f"{self._service.url.rstrip('/')}/{container}"
        self._shown = f"{account}/{container}"
        with blaming("credential"):
            self._signature = _signature(credential)
        self._surroundings = surroundings
        self._with_provenance = bool(repo.keys)

    def listing(self, validator: str = "") -> Listing | None:
        """The archives below the folder, at any depth."""
        return objects.listing(
            self._objects(),
            strip=self._prefix,
            scope=f"{self._container} {self._prefix}",
            validator=validator,
            with_provenance=self._with_provenance,
        )

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        """One archive, and the provenance file beside it."""
        if not entry.location.startswith(self._prefix):
            raise NotFound(f"{entry.location!r} is not in this repository.")
        archive = self._read(entry.location, at_most_bytes)
        provenance = None
        if entry.provenance:
            try:
                provenance = self._read(entry.provenance, objects.MAX_PROVENANCE_BYTES)
            except (NotFound, TooLarge):
                provenance = None
        return Fetched(archive=archive, provenance=provenance)

    def _objects(self) -> Iterator[StoredObject]:
        until = time.monotonic() + LISTING_TIME_S
        marker = ""
        while True:
            asked = {"restype": "container", "comp": "list", "maxresults": str(_PAGE)}
            asked |= {"prefix": self._prefix} if self._prefix else {}
            asked |= {"marker": marker} if marker else {}
            answer = self._get(self._container, asked, MAX_PAGE_BYTES)
            if answer.status == 404:
                open_to_all = "" if self._signature else " that is open without a credential"
                raise InvalidInput(f"There is no container {self._shown!r}{open_to_all}.")
            refuse_failure(answer, f"the list of {self._shown}")
            page = self._parsed(answer.body)
            for blob in page.iterfind("Blobs/Blob"):
                yield StoredObject(
                    key=blob.findtext("Name", ""),
                    size_bytes=_number(blob.findtext("Properties/Content-Length", "")),
                    etag=blob.findtext("Properties/Etag", "").strip('"'),
                )
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return
            if time.monotonic() > until:
                raise SourceUnavailable(
                    f"Listing the container {self._shown} takes more than {LISTING_TIME_S:.0f} s."
                )

    def _read(self, key: str, at_most_bytes: int) -> bytes:
        answer = self._get(f"{self._container}/{quote(key)}", {}, at_most_bytes)
        if answer.status == 404:
            raise NotFound(f"{key} is listed, but not there.")
        refuse_failure(answer, key)
        return answer.body

    def _get(self, url: str, query: dict[str, str], at_most_bytes: int) -> Answer:
        asked = urlencode([*query.items(), *self._signature])
        return self._surroundings.client.send(
            "GET",
            f"{url}?{asked}" if asked else url,
            at_most_bytes=at_most_bytes,
            headers={"x-ms-version": _VERSION},
            follow=False,
            inside_only=bool(self._signature) and self._service.scheme == "http",
        )

    def _parsed(self, body: bytes) -> ElementTree.Element:
        """A page of the list.

        Raises:
            SourceUnavailable: that is no list of blobs.
        """
        try:
            # Without document types: entities are what makes a small document large.
            return ElementTree.fromstring(body, ElementTree.XMLParser(target=_Plain()))  # noqa: S314
        except (ElementTree.ParseError, _HasType):
            raise SourceUnavailable(f"{self._service.host} does not answer as Azure's store does.") from None


class _HasType(Exception):
    """The document declares a type."""


class _Plain(ElementTree.TreeBuilder):
    def doctype(self, *_: object) -> None:
        raise _HasType


def _address(url: str) -> tuple[str, str, str]:
    """Account, container and folder (empty, or ending with a slash).

    Raises:
        InvalidInput: it is no such address.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidInput(
            f"{url[:120]!r} must be azure://account/container or azure://account/container/folder."
        )
    folder = (found[3] or "").strip("/")
    if len(folder) > 900 or any(char < " " for char in folder):
        raise InvalidInput("The folder may have 900 characters, and no control characters.")
    return found[1], found[2], f"{folder}/" if folder else ""


def _service(account: str, endpoint: str) -> Target:
    """Where the account answers: Azure's public cloud, or an endpoint that is given.

    A national cloud's begins with the account's name; an emulator's or a gateway's has it in the path.

    Raises:
        InvalidInput: the endpoint is no address.
    """
    if not endpoint:
        return parse(f"https://{account}.blob.core.windows.net")
    given = parse(endpoint)
    if "?" in given.target:
        raise InvalidInput("endpoint may not have a query; a shared access signature is a credential.")
    if given.host.startswith(f"{account}."):
        return given
    return parse(f"{given.url.rstrip('/').removesuffix(f'/{account}')}/{account}")


def _signature(credential: Credential | None) -> list[tuple[str, str]]:
    """The parts of a shared access signature; none for a public container.

    Raises:
        InvalidInput: it is another kind of credential.
    """
    if credential is None:
        return []
    parts = parse_qsl(credential.password.strip().removeprefix("?"))
    if credential.username or credential.access_key_id or not {"sv", "sig"} <= {name for name, _ in parts}:
        said = (
            "The credential of a container is a shared access signature (sv=…&sig=…) that may list and "
            "read, as the password and without a username; an account's key is not taken."
        )
        raise InvalidInput(said, errors=[FieldError("credential", said)])
    return parts


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
