"""Translates what QingCloud and the network say into ``pitrix.errors``; the one place that does.

QingCloud answers 200 with a ``ret_code`` and a message like ``PermissionDenied, resource [i-1] is …``. The
codes are those of its documentation (API, "error codes"). Code 1400 stands for three things that only its
message tells apart: not allowed, not in this state, and not yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

_BY_CODE: Mapping[int, type[PitrixError]] = {
    1100: InvalidInput,
    1200: CredentialInvalid,
    1300: ProviderUnavailable,  # the request expired: its clock and ours disagree
    2100: ResourceNotFound,
    2400: QuotaExceeded,  # the account's balance, which is its limit
    2500: QuotaExceeded,
    5000: ProviderUnavailable,
    5100: ProviderThrottled,
    5200: ProviderError,  # the zone has no room left: neither the account's limit nor over in a moment
    5300: ProviderUnavailable,
}
_BUSY = "busy"
_WORDS: Mapping[int, str] = {
    1200: "QingCloud refused the access key: check the access key ID and the secret, and that it is active",
    1300: "QingCloud says that the request is too old; the clock of this machine may be wrong",
    2400: "The balance of the QingCloud account does not suffice",
    2500: "The quota of the QingCloud account is reached",
    5100: "QingCloud asks to slow down",
    5200: "The zone has no room left for this; another zone or another size may have",
}
_NOT_YET = re.compile(r"please try later|in transition|lease info not ready", re.IGNORECASE)
_NOT_ALLOWED = re.compile(r"no permission|not (?:permitted|authorized|allowed)|privilege", re.IGNORECASE)


def from_answer(action: str, answer: Mapping[str, Any]) -> PitrixError:
    """The error that an answer with another ``ret_code`` than 0 stands for.

    The message of a refused key is not passed on: it may hold the key.
    """
    code, message = answer.get("ret_code"), str(answer.get("message", ""))[:300]
    if code == 1400:
        return _from_denial(action, message)
    if not isinstance(code, int) or code not in _BY_CODE:
        return ProviderError(f"QingCloud answered {action} in a way it should not: {code!r} {message}")
    words = _WORDS.get(code, f"QingCloud did not accept {action}")
    return _BY_CODE[code](f"{words}." if code == 1200 or not message else f"{words}: {message}.")


def _from_denial(action: str, message: str) -> PitrixError:
    if _NOT_YET.search(message):
        return _busy(f"QingCloud cannot do {action} yet: {message}.")
    if _NOT_ALLOWED.search(message):
        return CredentialInvalid(f"The access key has no permission for {action}: {message}.")
    return Conflict(f"QingCloud does not do {action} in the present state: {message}.")


def _busy(detail: str) -> ProviderUnavailable:
    """The resource is in the middle of something else. Not a class of its own: state machines retry by the
    name of the class."""
    error = ProviderUnavailable(detail)
    error.add_note(_BUSY)
    return error


@contextmanager
def unless_busy() -> Iterator[None]:
    """Leave undone what cannot be done yet because the resource is busy: whoever wants it asks again."""
    try:
        yield
    except ProviderUnavailable as error:
        if _BUSY not in getattr(error, "__notes__", ()):
            raise


def from_status(action: str, status: int) -> PitrixError:
    """The error that an answer with another HTTP status than 200 stands for."""
    if status == 429:
        return ProviderThrottled(f"QingCloud asks to slow down ({action}).")
    if status >= 500:
        return ProviderUnavailable(f"QingCloud answered {action} with HTTP status {status}.")
    return ProviderError(f"QingCloud answered {action} with HTTP status {status}.")


def from_network(action: str, error: Exception) -> PitrixError:
    """The error that a call without an answer stands for; nobody knows whether it took effect."""
    return ProviderUnavailable(f"QingCloud did not answer {action}: {type(error).__name__}.")
