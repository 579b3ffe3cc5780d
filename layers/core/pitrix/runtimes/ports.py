"""What runtimes need of the outside: their records, a vault for credentials, and clouds that answer.

``dynamo.py`` implements the first, `pitrix.vault` the second. Clouds are asked where their SDKs are
(``asking.py``) or by invoking the function that has them (``aws.py``); their registry is the package
``providers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pitrix.runtimes.model import Account, Check, ProviderInfo, Runtime, ZoneInfo
from providers.base import Provider
from providers.resources import Connection, Image, MachineType, Network, Quota


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

    def answer(self, runtime: Runtime, question: str, *, now_s: int) -> Any | None:
        """What the cloud answered to a question about the runtime as it is in this revision, if that is kept
        and not past its time (``now_s``, epoch seconds)."""
        ...

    def keep_answer(self, runtime: Runtime, question: str, answer: Any, *, until_s: int) -> None:
        """Keep an answer (plain lists and dictionaries) until then; one too long to be kept is not."""
        ...


class CredentialVault(Protocol):
    """Where credentials are put. Nothing else keeps one, and no error or log line shows one."""

    def put(self, name: str, credential: Mapping[str, str]) -> None:
        """Keep a credential, in place of an earlier one."""
        ...

    def delete(self, name: str) -> None:
        """Destroy a credential for good; gone: no effect."""
        ...


class CredentialReader(Protocol):
    """Where the functions that speak to clouds read credentials; no other function may."""

    def get(self, name: str) -> Mapping[str, str]:
        """Read a credential.

        Raises:
            NotFound: there is none of that name.
        """
        ...


class CloudCalls(Protocol):
    """What is asked of clouds. Any question about an account may raise what a provider's methods raise
    (``providers/base.py``), and ``ProviderUnavailable`` where the cloud does not answer in time."""

    def providers(self) -> list[ProviderInfo]:
        """The clouds that can be connected, by name."""
        ...

    def provider(self, name: str) -> ProviderInfo:
        """One cloud.

        Raises:
            NotFound: there is none of that name.
        """
        ...

    def check(self, account: Account) -> Check:
        """Whether the cloud accepts an account's credential, in its zone or the default one.

        Raises:
            CredentialInvalid: it does not; says what is wrong or which permission lacks.
        """
        ...

    def zones(self, account: Account) -> list[ZoneInfo]: ...

    def machine_types(self, account: Account) -> list[MachineType]: ...

    def machine_images(self, account: Account) -> list[Image]: ...

    def subnets(self, account: Account) -> list[Network]: ...

    def quotas(self, account: Account) -> list[Quota]: ...


class Clouds(Protocol):
    """The registry of providers: the functions of the package ``providers``."""

    def names(self) -> list[str]: ...

    def get(self, name: str) -> type[Provider]: ...

    def connect(self, name: str, connection: Connection) -> Provider: ...
