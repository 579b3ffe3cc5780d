"""Translates what OpenStack and the network say into ``pitrix.errors``; the one place that does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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

_QUOTA = re.compile(r"quota|exceeds? (?:the )?allowed|TooManyInstances|limit exceeded", re.IGNORECASE)
_MISSING = re.compile(
    r"could not be found|can ?not (?:be )?f(?:i|ou)nd|not found|no such|invalid imageref|invalid key_name"
    r"|failed to get volume",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"(?:<[^>]*>|\s)+")
_BY_STATUS: Mapping[int, type[PitrixError]] = {
    400: InvalidInput,
    404: ResourceNotFound,
    409: Conflict,
    429: ProviderThrottled,
}


def from_answer(service: str, status: int, headers: Mapping[str, str], body: str) -> PitrixError:
    """The error that an answer of 400 or above stands for.

    Services answer with JSON of one key, or, glance, with a page: both are a sentence in the end. Quotas
    are told with 403 (nova), 413 (cinder) or 409 (neutron), so that the sentence decides.
    """
    said = message(body) or f"status {status}"
    text = f"OpenStack ({service}): {said}"
    if status == 401:
        return CredentialInvalid(
            "OpenStack does not accept the credential: it is wrong, has expired, or was revoked."
        )
    if status in (403, 409, 413) and _QUOTA.search(said):
        return QuotaExceeded(text)
    if status == 403:
        return CredentialInvalid(f"The credential may not do this. {text}")
    if status == 413:
        return ProviderThrottled(text) if "retry-after" in headers else InvalidInput(text)
    if status == 400 and _MISSING.search(said):
        return ResourceNotFound(text)
    if status == 500 and "UnexpectedTaskStateError" in said:  # nova, of two actions on a server at once
        return Conflict("The machine is busy with something else just now.")
    if status in (500, 502, 503, 504):
        return ProviderUnavailable(text)
    return _BY_STATUS.get(status, ProviderError)(text)


def from_failure(error: Exception) -> PitrixError:
    """The error that a call without an answer, or a sign-in that failed, stands for."""
    from keystoneauth1 import exceptions

    if isinstance(error, PitrixError):
        return error
    if isinstance(error, exceptions.HttpError):
        response = error.response
        body = response.text if response is not None else str(error.message)
        headers = (
            {name.lower(): value for name, value in response.headers.items()} if response is not None else {}
        )
        if error.http_status == 404:
            return CredentialInvalid(
                "There is no identity service (Keystone v3) at auth_url; its path usually ends in /v3 or "
                "/identity/v3."
            )
        return from_answer("identity", error.http_status, headers, body)
    for cause in _causes(error):
        if isinstance(cause, PitrixError):
            return cause
    if isinstance(error, exceptions.SSLError):
        return CredentialInvalid(
            "The certificate of the OpenStack cloud is not signed by an authority that is known; give the "
            "authority's certificate (ca_certificate)."
        )
    if isinstance(error, exceptions.ConnectionError | exceptions.RetriableConnectionFailure):
        return ProviderUnavailable("OpenStack does not answer, or broke the connection off.")
    if isinstance(error, exceptions.EndpointNotFound | exceptions.CatalogException):
        return CredentialInvalid("The cloud's catalog lacks the service in this region.")
    if isinstance(error, exceptions.ClientException):
        return CredentialInvalid(f"OpenStack did not let us sign in: {type(error).__name__}.")
    return ProviderError(f"OpenStack answered in a way it should not: {type(error).__name__}.")


def message(body: str) -> str:
    """The sentence in an answer's body, at most 500 characters, "" where there is none."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return _MARKUP.sub(" ", body).strip()[:500]
    while isinstance(answer, dict):
        answer = answer.get("message") or next(iter(answer.values()), "")
    return str(answer).strip()[:500]


def _causes(error: BaseException) -> list[BaseException]:
    """What led to an error, the nearest first; urllib3 and requests also keep it as arguments."""
    found: list[BaseException] = []
    left: list[Any] = [error]
    while left and len(found) < 20:
        each = left.pop(0)
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            left += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return found
