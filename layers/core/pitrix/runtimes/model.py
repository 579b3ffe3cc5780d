"""What a connected cloud account is.

Owns the shapes. A credential is none of them: it goes into the vault (``ports.CredentialVault``) and comes
out of it only inside a provider. Next: ``service.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Visibility = Literal["private", "public"]


class RuntimeStatus(StrEnum):
    """Only an active runtime is used; the others are where a creation or deletion was interrupted."""

    CONNECTING = "connecting"
    ACTIVE = "active"
    DELETING = "deleting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """One account of one cloud, in one zone.

    ``visibility`` ``public`` lets everybody deploy to it; its credential and its edits stay the owner's.
    ``revision`` counts writes and is the entity tag; storage sets it.
    """

    runtime_id: str
    name: str
    description: str = ""
    provider: str
    zone: str
    visibility: Visibility = "private"
    owner_path: str
    owner_id: str
    status: RuntimeStatus = RuntimeStatus.CONNECTING
    labels: dict[str, str] = field(default_factory=dict)
    created_at: datetime
    updated_at: datetime
    revision: int = 0

    @property
    def secret_name(self) -> str:
        """Where its credential lies in the vault."""
        return f"pitrix/runtimes/{self.runtime_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeRequest:
    """A wanted runtime; without ``zone`` the account's default one.

    ``credential`` holds what the provider's ``credential_schema`` asks for.
    """

    name: str
    provider: str
    zone: str = ""
    description: str = ""
    visibility: Visibility = "private"
    labels: dict[str, str] = field(default_factory=dict)
    credential: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A cloud account that is asked something, without ``zone`` in its default one.

    Its credential is the one kept as ``secret_name``, or, being tried, the one given here.
    """

    provider: str
    zone: str = ""
    secret_name: str = ""
    credential: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRequest:
    """An account to be tried without keeping anything."""

    provider: str
    zone: str = ""
    credential: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimePatch:
    """What may be edited; ``None`` leaves a field as it is. A credential is replaced as a whole."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    labels: dict[str, str] | None = None
    zone: str | None = None
    credential: dict[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ZoneInfo:
    """A zone of an account; ``title`` is for people."""

    zone: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A credential the cloud accepted, and the zones it opens; ``zone`` is the one that would be used."""

    valid: bool
    zone: str
    zones: list[ZoneInfo]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderInfo:
    """A cloud that can be connected.

    ``credential_schema`` is JSON Schema (2020-12) for ``credential``; a form is drawn from it, and what is
    ``writeOnly`` in it is a secret. Several ways to sign in are a ``oneOf``, told apart by the ``const`` of
    ``method`` (``providers.base.ways``). ``operator_only`` tells that not everybody may connect one.
    """

    name: str
    title: str
    capabilities: list[str]
    operator_only: bool
    credential_schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """How many runtimes the caller owns, in all and by provider and zone."""

    total: int
    by_provider: dict[str, int]
    by_zone: dict[str, int]
