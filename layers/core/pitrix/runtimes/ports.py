"""What runtimes need of the outside: their records, a vault for credentials, and the registry of clouds.

``dynamo.py`` implements the first, `pitrix.vault` the second; the third is the package ``providers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pitrix.runtimes.model import Runtime
from providers.base import Provider
from providers.resources import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimePage:
    """Some runtimes, and where to go on."""

    runtimes: list[Runtime]
    next_cursor: str | None


class RuntimeStore(Protocol):
    """The records of runtimes."""

    def runtime(self, runtime_id: str) -> Runtime | None: ...

    def create(self, runtime: Runtime) -> Runtime:
        """Write a new runtime.

        Raises:
            Conflict: its owner has one of that name.
        """
        ...

    def save(self, before: Runtime, after: Runtime) -> Runtime:
        """Write a changed runtime.

        Raises:
            Conflict: it was changed by somebody else, or its owner has another one of the new name.
        """
        ...

    def remove(self, runtime: Runtime) -> None:
        """Delete a record; gone: no effect."""
        ...

    def list_owned(self, owner_path: str, *, limit: int, cursor: str | None) -> RuntimePage:
        """Those owned at or below ``owner_path``, by owner and name."""
        ...

    def list_public(self, *, limit: int, cursor: str | None) -> RuntimePage:
        """Those that everybody may use, by name."""
        ...

    def all_owned(self, owner_path: str) -> Iterable[Runtime]: ...


class CredentialVault(Protocol):
    """Where credentials lie. Nothing else keeps one, and no error or log line shows one."""

    def put(self, name: str, credential: Mapping[str, str]) -> None:
        """Keep a credential, in place of an earlier one."""
        ...

    def get(self, name: str) -> Mapping[str, str]:
        """Read a credential.

        Raises:
            NotFound: there is none of that name.
        """
        ...

    def delete(self, name: str) -> None:
        """Destroy a credential for good; gone: no effect."""
        ...


class Clouds(Protocol):
    """The registry of providers: the functions of the package ``providers``."""

    def names(self) -> list[str]: ...

    def get(self, name: str) -> type[Provider]: ...

    def connect(self, name: str, connection: Connection) -> Provider: ...
