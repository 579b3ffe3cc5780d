"""Translates what Azure's SDK raises into ``pitrix.errors``; the one place that does.

Azure tells errors by a code and a status. The codes are those of Azure Resource Manager and of the resource
providers; a code that is not listed goes by its status. Messages of refused credentials are written here, as
Azure's repeat names that a log should not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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


class GroupMissing(ResourceNotFound):
    """The resource group that something was to be made in does not exist."""


class SizeNotSold(InvalidInput):
    """The location lists a size that this subscription cannot have there."""


_NOT_FOUND = {
    "InvalidResourceReference",
    "ParentResourceNotFound",
    "PlatformImageNotFound",
    "GalleryImageNotFound",
    "ImageNotFound",
    "InvalidResourceName",
}
_PASSES = {
    "RetryableError",
    "AnotherOperationInProgress",
    "AttachDiskWhileBeingDetached",
    "CanceledAndSupersededDueToAnotherOperation",
    "NicReservedForAnotherVm",  # for three minutes after a machine with that interface was refused
    "ReferencedResourceNotProvisioned",
    "ResourceGroupBeingDeleted",
    "AllocationFailed",
    "ZonalAllocationFailed",
    "OperationPreempted",
    "ServerTimeout",
    "GatewayTimeout",
}
_GOES_ON = "another operation is in progress"
"""What Microsoft.Web says in a conflict that passes, under the code of one that does not."""
_IN_USE = re.compile(r"InUse|CannotBeDeleted|CannotDelete|InUseBy|PublicIPAddressInUse|NicInUse")
_QUOTA = re.compile(r"Quota|LimitReached|CountLimit|LimitExceeded")
_ACTION = re.compile(r"perform action '([\w./]+)'")
_ENTRA = {
    "AADSTS90002": "There is no such tenant (directory).",
    "AADSTS900023": "The tenant's id is not one.",
    "AADSTS700016": "The tenant knows no application with that client id.",
    "AADSTS7000215": "The client secret is wrong. It is the secret's value, not its id.",
    "AADSTS7000222": "The client secret has expired; make a new one for the application.",
    "AADSTS700027": "The certificate is not registered with the application.",
    "AADSTS7000112": "The application is disabled.",
    "AADSTS53003": "A Conditional Access policy of the tenant forbids the application to sign in.",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise what is known to Pitrix in place of what the SDK raises."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as error:
        if error.response is not None and _code(error):
            raise from_answer(error.status_code or 401, _code(error), _message(error)) from error
        raise from_sign_in(error.status_code, str(error.message)) from error
    except HttpResponseError as error:
        raise from_answer(error.status_code or 0, _code(error), _message(error)) from error
    except AzureError as error:
        raise ProviderUnavailable(f"Azure does not answer: {type(error).__name__}.") from error


def from_sign_in(status: int | None, message: str) -> PitrixError:
    """The error that a refusal of Microsoft Entra ID stands for; its codes are ``AADSTS…``."""
    if status == 429:
        return ProviderThrottled("Microsoft Entra ID asks to slow down.")
    if status is not None and status >= 500:
        return ProviderUnavailable(f"Microsoft Entra ID answered {status}.")
    code = next(iter(re.findall(r"AADSTS\d+", message)), "")
    told = _ENTRA.get(code, f"Microsoft Entra ID does not let the application sign in ({code or 'no code'}).")
    return CredentialInvalid(told)


def from_answer(status: int, code: str, message: str) -> PitrixError:
    """The error that an answer of ARM stands for: its status, and its ``error``'s code and message."""
    said = f"Azure says: {message[:400]} ({code or status})"
    if status == 429 or code == "TooManyRequests":
        return ProviderThrottled("Azure asks to slow down.")
    if code == "ResourceGroupNotFound":
        return GroupMissing(said)
    if refused := _refusal(status, code, message):
        return CredentialInvalid(refused)
    if _QUOTA.search(code) or (status in (400, 403, 409) and "quota" in message.lower()):
        return QuotaExceeded(said)
    if code == "SkuNotAvailable":
        return SizeNotSold(said)
    if code in _PASSES or status >= 500 or _GOES_ON in message.lower():
        return ProviderUnavailable(said)
    if status == 404 or code in _NOT_FOUND:
        return ResourceNotFound(said)
    if status in (409, 412) or _IN_USE.search(code):
        return Conflict(said)
    return InvalidInput(said) if status == 400 else ProviderError(said)


def _refusal(status: int, code: str, message: str) -> str:
    """What is wrong with the credential, in words; "" when nothing is."""
    if code == "SubscriptionNotFound":
        return "There is no such subscription, or the application has no role in it."
    if code in ("InvalidAuthenticationTokenTenant", "InvalidSubscriptionId"):
        return "The subscription is not one of that tenant (directory)."
    if code in ("AuthorizationFailed", "LinkedAuthorizationFailed"):
        action = _ACTION.search(message)
        may_not = f" may not do {action[1]}" if action else " lacks a permission"
        return f"The application{may_not} in the subscription; give it the role Contributor."
    if code == "MissingSubscriptionRegistration":
        return f"A resource provider is not registered with the subscription: {message[:200]}"
    if code in ("ReadOnlyDisabledSubscription", "DisallowedProvider") or "Disabled" in code:
        return f"The subscription is disabled or may not be written to ({code})."
    if status == 401:
        return f"Azure does not accept the application's token ({code or status})."
    if status == 403 and not _QUOTA.search(code) and code != "RequestDisallowedByPolicy":
        return f"The application lacks a permission in the subscription ({code or status})."
    return ""


def _code(error: Any) -> str:
    return str(error.error.code or "") if getattr(error, "error", None) is not None else ""


def _message(error: Any) -> str:
    told = error.error.message if getattr(error, "error", None) is not None else error.message
    return str(told or "")
