"""One chart in an OCI registry: ``oci://host[:port]/path/chart``, whose tags are its versions.

Owns what a manifest of Helm's looks like and which of its layers is the archive and which signs it. The
protocol is `registry.py`'s. Plain http must be written as such, ``oci+http://host/…``, and works in
networks alone that the platform's operator allowed.

What is not supported, on purpose:

* listing the charts of a registry (``/v2/_catalog`` is optional, not scoped, and off at the large ones): a
  repository is one chart; register each, or an ``index.yaml`` that names them;
* image indexes (several platforms), other digests than sha256, and artifacts that are not Helm's: they are
  skipped, or refused with the reason;
* signatures by cosign and referrers: Helm's provenance layer is what is read.

Media types: Helm's documentation "Use OCI-based registries", and its package ``registry``.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Final

from pitrix.addresses import blaming
from pitrix.errors import InvalidInput, NotFound, PackageInvalid, TooLarge
from pitrix.repos.model import Credential, Fetched, Listing, Repo, SourceEntry
from pitrix.repos.sources import Surroundings
from pitrix.repos.sources.guarded import GuardedClient
from pitrix.repos.sources.registry import DIGEST, MANIFEST, Registry, parse_reference

CONFIG: Final = "application/vnd.cncf.helm.config.v1+json"
#: The second is what Helm wrote before 3.7.
CHART: Final = ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip")
PROVENANCE: Final = ("application/vnd.cncf.helm.chart.provenance.v1.prov",)
MAX_PROVENANCE_BYTES: Final = 1024 * 1024

_AT_ONCE: Final = 8
#: A semantic version as a tag has it, where ``_`` stands for ``+``.
_VERSION: Final = re.compile(r"v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:_[0-9A-Za-z.-]+)?")


class OciSource:
    """`pitrix.repos.ports.PackageSource` over the tags of one chart."""

    def __init__(self, repo: Repo, credential: Credential | None, surroundings: Surroundings) -> None:
        """Check the address; touch no network.

        Raises:
            InvalidInput: the address or the credential is none that a registry can have.
        """
        with blaming("url"):
            self._reference = parse_reference(repo.url)
            if self._reference.version:
                raise InvalidInput("A repository is a chart with all its tags; leave the tag away.")
        self._credential = credential
        self._registry = Registry(surroundings.client, self._reference, credential)
        self._with_provenance = bool(repo.keys)

    def listing(self, validator: str = "") -> Listing | None:
        """The tags that are versions. Each costs one small request, as a tag may be moved at any time."""
        tags = sorted({tag for tag in self._registry.tags() if _VERSION.fullmatch(tag)})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(self._behind, tags))
        seen = sha256(f"{self._reference} {self._with_provenance}".encode())
        entries, skips, size = [], [], 0
        for tag, (digest, refusal) in zip(tags, found, strict=True):
            seen.update(f"\n{tag}\t{digest}".encode())
            size += len(tag)
            if refusal:
                skips.append(refusal)
                continue
            version = tag.replace("_", "+")
            entries.append(
                SourceEntry(
                    key=f"{self._reference.chart}/{version}",
                    tag=digest,
                    location=digest,
                    name=self._reference.chart,
                    version=version,
                )
            )
        if seen.hexdigest() == validator:
            return None
        return Listing(
            entries=entries,
            validator=seen.hexdigest(),
            size_bytes=size,
            skipped=len(skips),
            skips=skips[:100],
        )

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        """The chart behind a manifest, and its provenance when the repository has keys to check it with."""
        if not DIGEST.fullmatch(entry.location):
            raise NotFound(f"{entry.location!r} is no manifest of this chart.")
        return _fetch(self._registry, entry.location, entry.key, at_most_bytes, self._with_provenance)

    def _behind(self, tag: str) -> tuple[str, str]:
        """The digest of a tag's manifest, and why it cannot be a chart."""
        try:
            digest, kind = self._registry.head(tag)
        except NotFound as error:
            return "", error.detail
        if kind and kind != MANIFEST:
            return digest, f"{self._reference.name}:{tag} is no chart but {kind[:80]}."
        return digest, ""


def fetch_reference(client: GuardedClient, url: str, at_most_bytes: int, *, with_provenance: bool) -> Fetched:
    """The chart at ``oci://host/path/chart:tag``, which an index may name; without any login.

    Raises:
        InvalidInput: the address is none, or names no tag.
        NotFound, TooLarge, PackageInvalid, SourceUnavailable: as `OciSource.fetch`.
    """
    reference = parse_reference(url)
    if not reference.version:
        raise InvalidInput(f"{url[:120]!r} names no version.")
    registry = Registry(client, reference, None)
    return _fetch(registry, reference.version, url[:120], at_most_bytes, with_provenance)


def _fetch(registry: Registry, version: str, what: str, at_most_bytes: int, with_provenance: bool) -> Fetched:
    manifest = registry.manifest(version)
    config = manifest.get("config")
    if not isinstance(config, dict) or config.get("mediaType") != CONFIG:
        raise PackageInvalid(f"{what} is no Helm chart: its configuration has another media type.")
    chart = _layer(manifest, CHART)
    if chart is None:
        raise PackageInvalid(f"{what} holds no layer with a chart.")
    archive = _content(registry, chart, what, at_most_bytes)
    provenance = _layer(manifest, PROVENANCE) if with_provenance else None
    if provenance is None:
        return Fetched(archive=archive)
    return Fetched(archive=archive, provenance=_content(registry, provenance, what, MAX_PROVENANCE_BYTES))


def _layer(manifest: dict[str, Any], media_types: tuple[str, ...]) -> dict[str, Any] | None:
    layers = manifest.get("layers")
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and layer.get("mediaType") in media_types:
            return layer
    return None


def _content(registry: Registry, layer: dict[str, Any], what: str, at_most_bytes: int) -> bytes:
    digest, size = layer.get("digest"), layer.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(size, int):
        raise PackageInvalid(f"{what} describes a layer without a sha256 digest or a size.")
    if size > at_most_bytes:
        raise TooLarge(f"{what} has {size:,} bytes; at most {at_most_bytes:,} are taken.")
    return registry.blob(digest, at_most_bytes)
