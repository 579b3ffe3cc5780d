"""The registry of sources: kinds of repositories to what reads them, loaded when first asked for.

Importing this package loads no kind, no HTTP client and no SDK. A kind of another distribution is found by
its entry point in the group ``pitrix.sources`` (name = the kind, value = ``module:Class``); the class is
called with ``(repo, credential, surroundings)`` and gives a `pitrix.repos.ports.PackageSource`.

Never decides when a source is read, nor what becomes of a package: `pitrix.repos.service` does.

Where next: `guarded.py` (the one way out to the network), ``tests/contract/test_package_sources.py`` (what
every kind must prove).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from pitrix import plugins

if TYPE_CHECKING:
    from pitrix.repos.model import Credential, Repo
    from pitrix.repos.ports import PackageSource, UploadBucket
    from pitrix.repos.sources.guarded import GuardedClient

_BUILT_IN = {
    "platform": "pitrix.repos.sources.platform:PlatformSource",
    "s3": "pitrix.repos.sources.s3:S3Source",
    "http": "pitrix.repos.sources.http:HttpSource",
    "azure": "pitrix.repos.sources.azure:AzureSource",
    "oci": "pitrix.repos.sources.oci:OciSource",
}
_GROUP = "pitrix.sources"


@cache
def _registered() -> dict[str, str]:
    return plugins.registered(_GROUP, _BUILT_IN)


def kinds() -> list[str]:
    """The kinds of repositories there are, sorted."""
    return sorted(_registered())


@cache
def _loaded(kind: str) -> Any:
    return plugins.load(_registered()[kind])


@dataclass(frozen=True)
class Surroundings:
    """What sources share: the operator's networks, the platform's bucket, and one client for the network.

    ``allowed_networks`` are networks (CIDR) that sources may reach although they are not public.
    """

    allowed_networks: Sequence[str] = ()
    bucket: UploadBucket | None = None

    @cached_property
    def client(self) -> GuardedClient:
        """The one HTTP client; made on first use.

        Raises:
            InvalidInput: the operator's list names what is no network.
        """
        from pitrix.addresses import NetworkPolicy
        from pitrix.repos.sources.guarded import GuardedClient

        return GuardedClient(NetworkPolicy(self.allowed_networks))


class SourceRegistry:
    """`pitrix.repos.ports.Sources`: connects repositories with what reads them."""

    def __init__(self, *, allowed_networks: Sequence[str] = (), bucket: UploadBucket | None = None) -> None:
        """Touches nothing.

        Args:
            allowed_networks: Networks (CIDR) that sources may reach although they are loopback, private or
                the like; the operator's setting. Metadata services of clouds stay out of reach.
            bucket: The platform's own bucket; without one, repositories of kind ``platform`` cannot be read.
        """
        self._surroundings = Surroundings(tuple(allowed_networks), bucket)

    def close(self) -> None:
        """Close the connections that are kept for the next request; the registry may still be used."""
        self._surroundings.client.close()

    def connect(self, repo: Repo, credential: Credential | None) -> PackageSource:
        """The source of a repository; touches no network yet.

        Raises:
            InvalidInput: its kind is unknown, or its address is none that this kind can have.
        """
        from pitrix.errors import FieldError, InvalidInput

        if repo.kind not in _registered():
            message = f"must be one of {', '.join(kinds())}"
            raise InvalidInput(f"kind {message}.", errors=[FieldError("kind", message)])
        source: PackageSource = _loaded(repo.kind)(repo, credential, self._surroundings)
        return source
