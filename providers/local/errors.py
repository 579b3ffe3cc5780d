"""Translates what the hypervisor and the network say into ``pitrix.errors``; the one place that does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    InvalidInput,
    PitrixError,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    ResourceNotFound,
)

_BY_CODE: Mapping[str, type[PitrixError]] = {
    "invalid": InvalidInput,
    "unauthorized": CredentialInvalid,
    "quota_exceeded": QuotaExceeded,
    "not_found": ResourceNotFound,
    "conflict": Conflict,
    "internal": ProviderUnavailable,
}


def from_answer(status: int, answer: Any) -> PitrixError:
    """The error that an answer of ``{"error": {"code", "message"}}`` stands for."""
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    kind = _BY_CODE.get(error.get("code", ""))
    if kind is None:
        return ProviderError(f"The local cloud answered {status} in a way it should not: {answer!r:.200}")
    return kind(str(error.get("message", f"The local cloud answered {status}.")))


def from_network(endpoint: str, error: Exception) -> PitrixError:
    """The error that a call without an answer stands for."""
    return ProviderUnavailable(f"The local cloud at {endpoint} does not answer: {error}.")
