"""Translates what the API server, Helm and the network say into ``pitrix.errors``; nothing else does."""

from __future__ import annotations

import json
import re
from typing import Any

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    InvalidInput,
    PitrixError,
    ProviderError,
    ProviderThrottled,
    ProviderUnavailable,
    QuotaExceeded,
    ResourceNotFound,
)

_SAID = 1000
"""Characters of an answer that are repeated in an error."""

_HELM_UNAVAILABLE = re.compile(
    r"connection refused|connection reset|\bEOF\b|i/o timeout|TLS handshake timeout|no route to host"
    r"|server closed|ServiceUnavailable|currently unable to handle|Client\.Timeout|being terminated"
    r"|etcdserver|kubernetes cluster unreachable|another operation \(install/upgrade/rollback\)",
    re.IGNORECASE,
)
_HELM_REFUSED = re.compile(
    r"execution error at|parse error|template:|values don't meet|error converting YAML|YAML parse error"
    r"|unable to build kubernetes objects|no matches for kind|is invalid|denied the request|BadRequest"
    r"|cannot be imported|unknown field|cannot patch|failed to create typed patch|chart\.metadata|nil pointer"
    r"|error validating|requires kubeVersion|conflicts? with|field is immutable"
    r"|admission webhook|missing in charts",
    re.IGNORECASE,
)


def from_answer(status: int, body: bytes) -> PitrixError:
    """The error that an answer of the API server stands for."""
    said = _message(body) or f"the API server answered {status}"
    if status == 401:
        return CredentialInvalid("The cluster does not know this credential, or it is out of date (401).")
    if status == 403:
        return _forbidden(said)
    if status == 404:
        return ResourceNotFound(f"There is no such thing on the cluster: {said}.")
    if status == 409:
        return Conflict(f"The cluster refused it: {said}.")
    if status == 429:
        return ProviderThrottled("The cluster's API server asks to slow down (429).")
    if status in (400, 405, 406, 413, 415, 422):
        return InvalidInput(f"The cluster refused it: {said}.")
    if status == 410:  # what a list was being read from is no longer remembered
        return ProviderUnavailable(f"The cluster changed while it was read; ask again: {said}.")
    if status >= 500:
        return ProviderUnavailable(f"The cluster's API server failed ({status}): {said}.")
    return ProviderError(f"The API server answered {status} in a way it should not: {said}")


def from_network(error: Exception) -> PitrixError:
    """The error that a call without an answer stands for; addresses and secrets are not repeated."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return CredentialInvalid(
            "The API server's certificate is not one that the given authority vouches for; "
            "give the cluster's certificate authority (certificate-authority-data)."
        )
    return ProviderUnavailable(f"The cluster's API server does not answer ({type(error).__name__}).")


def from_helm(stderr: str) -> PitrixError:
    """The error that a failed run of Helm stands for."""
    said = short(stderr)
    if "exceeded quota" in said:
        return QuotaExceeded(f"The namespace's quota is reached: {said}")
    if "nauthorized" in said or "You must be logged in" in said or "cannot impersonate" in said:
        return CredentialInvalid(f"The cluster does not let Helm work with this credential: {said}")
    if "forbidden" in said:
        return _helm_forbidden(said)
    if "TooManyRequests" in said or "too many requests" in said.lower():
        return ProviderThrottled("The cluster's API server asks to slow down.")
    if "release: not found" in said or ("has no" in said and "release" in said):
        return ResourceNotFound(f"There is no such release: {said}")
    if _HELM_UNAVAILABLE.search(said):
        return ProviderUnavailable(f"The cluster did not answer Helm: {said}")
    if _HELM_REFUSED.search(said):
        return InvalidInput(f"The chart cannot be installed: {said}")
    return ProviderError(f"Helm failed: {said}")


def is_hook(stderr: str) -> bool:
    """Whether what failed is a hook of the chart, and not the cluster or the chart's objects."""
    found = re.search(r"failed (pre|post)-(install|upgrade|rollback|delete)", stderr) is not None
    return found and "forbidden" not in stderr and not _HELM_UNAVAILABLE.search(stderr)


def is_transient(description: str) -> bool:
    """Whether what Helm noted about a failed revision is that the API server did not answer."""
    return not is_hook(description) and _HELM_UNAVAILABLE.search(description) is not None


def is_taken(stderr: str) -> bool:
    """Whether Helm says that there is such a release already."""
    return bool(
        re.search(r"cannot re-?use a name|release: already exists|release\.v1\.\S+ already exists", stderr)
    )


def short(stderr: str) -> str:
    """What Helm said, in one line: its last error, as warnings come before."""
    lines = [line for line in stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    start = max((number for number, line in enumerate(lines) if line.startswith("Error:")), default=0)
    plain = " ".join(" ".join(lines[start:]).split()).removeprefix("Error: ")
    return plain if len(plain) <= _SAID else f"{plain[: _SAID // 2]} … {plain[-_SAID // 2 :]}"


def _forbidden(said: str) -> PitrixError:
    if "exceeded quota" in said:
        return QuotaExceeded(f"The namespace's quota is reached: {said}.")
    if "being terminated" in said:
        return ProviderUnavailable(f"What was there before is still being removed: {said}.")
    return CredentialInvalid(f"The credential lacks a permission: {said}.")


def _helm_forbidden(said: str) -> PitrixError:
    if "being terminated" in said:
        return ProviderUnavailable(f"What was there before is still being removed: {said}")
    return InvalidInput(
        f"The chart wants what it may not have: {said}. A chart stays in its own namespace; what belongs to "
        "the whole cluster is only for runtimes whose credential says so (cluster_scope: allowed)."
    )


def _message(body: bytes) -> str:
    """The sentence in an answer of the API server (an object of kind Status)."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return ""
    said = answer.get("message", "") if isinstance(answer, dict) else ""
    return str(said)[:_SAID].rstrip(".")
