"""Reading the index of a chart repository: ``index.yaml``, in YAML or in JSON, of any size and any quality.

Owns what of an index becomes an entry, what is skipped and why, and how addresses in it are resolved. Never
fetches anything. The shape is Helm's (its documentation "The Chart Repository Guide"); packages of other
kinds (VM, serverless) may be listed in the same way.

JSON is decoded into the five fields that are wanted, the rest is never built: an index of 15,000 charts is
mostly descriptions. YAML goes through `pitrix.packages.text.yamltext` with its limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from pitrix.errors import InvalidInput
from pitrix.repos.model import SourceEntry

MAX_INDEX_BYTES: Final = 64 * 1024 * 1024
MAX_ENTRIES: Final = 200_000
#: Commas, colons and brackets: at most as many values, of some 60 bytes each. 15,000 charts have a million.
MAX_MARKS: Final = 5_000_000
#: Addresses kept of one entry; more than one is rare.
MAX_URLS: Final = 3
#: Entries that were skipped and are named with their reason.
MAX_SKIPS: Final = 100

_SCHEMES: Final = ("https://", "http://", "oci://")
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class _Chart(msgspec.Struct):
    """What is wanted of one entry; each may be of any type, as an index comes from anywhere."""

    name: Any = None
    version: Any = None
    urls: Any = None
    digest: Any = None
    created: Any = None


class _Index(msgspec.Struct, rename={"api_version": "apiVersion"}):
    """A well-formed index. One that is not is read again as anything that JSON can be."""

    api_version: Any = None
    entries: dict[str, list[_Chart]] | None = None


@dataclass(slots=True)
class Skipped:
    """How many entries nobody could fetch, and why, for the first `MAX_SKIPS`."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str) -> None:
        """Count one, and keep why."""
        self.count += 1
        if len(self.reasons) < MAX_SKIPS:
            self.reasons.append(reason)


def read(data: bytes, base_url: str, *, with_provenance: bool) -> tuple[list[SourceEntry], Skipped]:
    """The entries of an index, in its order; one broken entry never hides the others.

    Args:
        data: The index, unpacked.
        base_url: The repository's address, which relative addresses belong to.
        with_provenance: Whether each entry gets the address of the file beside it that may sign it.

    Raises:
        InvalidInput: it is no index.
    """
    entries: dict[str, SourceEntry] = {}
    skipped = Skipped()
    for label, chart in _charts(data, skipped):
        found = _entry(label, chart, base_url, with_provenance)
        if isinstance(found, str):
            skipped.add(found)
        elif found.key in entries:
            skipped.add(f"{found.key}: it is listed twice; the first one counts.")
        elif len(entries) >= MAX_ENTRIES:
            raise InvalidInput(f"The index lists more than {MAX_ENTRIES:,} packages.")
        else:
            entries[found.key] = found
    return list(entries.values()), skipped


def resolve_url(base_url: str, reference: str) -> str:
    """An address of an index made absolute as Helm does: below the repository's, whose query goes along.

    Unlike Helm, not to another server (``//cdn.example/shop-1.0.0.tgz``): a query may hold a token.
    """
    if urlsplit(reference).scheme:
        return reference
    base = urlsplit(base_url)
    folder = urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + "/", "", ""))
    resolved = urlsplit(urljoin(folder, reference))
    own = resolved.netloc == base.netloc
    return urlunsplit(resolved._replace(query=resolved.query or (base.query if own else ""), fragment=""))


def _charts(data: bytes, skipped: Skipped) -> Iterator[tuple[str, _Chart]]:
    """Every entry with the name it stands under.

    Raises:
        InvalidInput: it is no index.
    """
    if sum(data.count(mark) for mark in (b",", b"[", b"{", b":")) > MAX_MARKS:
        raise InvalidInput(f"The index holds more than {MAX_MARKS:,} values.")
    try:
        if data[:64].lstrip()[:1] == b"{":
            well_formed = msgspec.json.decode(data, type=_Index)
            _check(well_formed.api_version)
            for label, charts in (well_formed.entries or {}).items():
                yield from ((label, chart) for chart in charts)
            return
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass  # what is wrong with it, or with one entry of it, is found below
    yield from _loose(data, skipped)


def _loose(data: bytes, skipped: Skipped) -> Iterator[tuple[str, _Chart]]:
    from pitrix.packages.text import yamltext

    try:
        index = yamltext.load(data, limit=MAX_INDEX_BYTES)
    except (ValueError, RecursionError) as error:
        # The line and no more: whatever is there, it is not an index, and may be nobody's business.
        where = re.search(r" \(line \d+\)$", str(error))
        said = f"index.yaml is neither JSON nor YAML that can be read{where[0] if where else ''}."
        raise InvalidInput(said) from None
    if not isinstance(index, Mapping):
        raise InvalidInput("index.yaml is not the index of a chart repository: it holds no mapping.")
    _check(index.get("apiVersion"))
    listed = index.get("entries")
    if listed is not None and not isinstance(listed, Mapping):
        raise InvalidInput("index.yaml is not the index of a chart repository: its entries are no mapping.")
    for label, charts in (listed or {}).items():
        if not isinstance(charts, list):
            skipped.add(f"{str(label)[:80]}: its versions are no list.")
            continue
        for chart in charts:
            if isinstance(chart, Mapping):
                yield str(label), _Chart(*(chart.get(name) for name in _Chart.__struct_fields__))
            else:
                skipped.add(f"{str(label)[:80]}: one of its versions is no mapping.")


def _check(api_version: Any) -> None:
    if not isinstance(api_version, str) or not api_version:
        raise InvalidInput("index.yaml is not the index of a chart repository: it has no apiVersion.")
    if api_version != "v1":
        raise InvalidInput(f"index.yaml has apiVersion {api_version[:40]!r}; v1 is known.")


def _entry(label: str, chart: _Chart, base_url: str, with_provenance: bool) -> SourceEntry | str:
    """One entry, or the reason why it is none."""
    name = label if chart.name is None else chart.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{str(label)[:80]}: a package with the name {str(name)[:80]!r} cannot be kept."
    if not isinstance(chart.version, str):
        return f"{name}: a version of it is no text (write it in quotes)."
    if not _VERSION.fullmatch(chart.version):
        return f"{name}: its version {chart.version[:80]!r} is none."
    urls = [url for url in chart.urls if isinstance(url, str) and url] if isinstance(chart.urls, list) else []
    if not urls:
        return f"{name} {chart.version}: it has no address to fetch it from."
    try:
        addresses = [resolve_url(base_url, url.strip()) for url in urls[:MAX_URLS]]
    except ValueError:
        return f"{name} {chart.version}: its address {urls[0][:80]!r} is none."
    if not all(address.startswith(_SCHEMES) for address in addresses):
        return f"{name} {chart.version}: its address {urls[0][:80]!r} is none that packages are fetched from."
    digest = _DIGEST.fullmatch(chart.digest.strip()) if isinstance(chart.digest, str) else None
    if digest:
        tag = f"sha256:{digest[1].lower()}"
    else:
        tag = f"url:{sha256(' '.join([*urls, str(chart.created)]).encode()).hexdigest()}"
    return SourceEntry(
        key=f"{name}/{chart.version}",
        tag=tag,
        location="\n".join(addresses),
        provenance=beside(addresses[0]) if with_provenance else "",
        name=name,
        version=chart.version,
    )


def beside(url: str) -> str:
    """The address of the provenance file of an archive; empty where there can be none (a registry)."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path}.prov")) if parts.scheme in ("http", "https") else ""
