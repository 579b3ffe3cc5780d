"""What Azure's refusals mean to Pitrix."""

from __future__ import annotations

import pytest

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
from providers.azure import errors


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (404, "ResourceNotFound", "not found", ResourceNotFound),
        (404, "ResourceGroupNotFound", "not found", errors.GroupMissing),
        (400, "InvalidResourceReference", "referenced", ResourceNotFound),
        (404, "PlatformImageNotFound", "no image", ResourceNotFound),
        (400, "InUseSubnetCannotBeDeleted", "in use", Conflict),
        (409, "OperationNotAllowed", "Disk is attached to VM", Conflict),
        (409, "Conflict", "Cannot modify: another operation is in progress.", ProviderUnavailable),
        (409, "OperationNotAllowed", "exceeding approved Total Regional Cores quota.", QuotaExceeded),
        (400, "PublicIPCountLimitReached", "Cannot create more than 10", QuotaExceeded),
        (409, "SkuNotAvailable", "not available in location", errors.SizeNotSold),
        (409, "AllocationFailed", "no capacity", ProviderUnavailable),
        (409, "ResourceGroupBeingDeleted", "deprovisioning", ProviderUnavailable),
        (429, "TooManyRequests", "slow down", ProviderThrottled),
        (503, "ServerTimeout", "later", ProviderUnavailable),
        (400, "InvalidParameter", "vmSize", InvalidInput),
        (401, "InvalidAuthenticationToken", "expired", CredentialInvalid),
        (404, "SubscriptionNotFound", "none", CredentialInvalid),
        (409, "MissingSubscriptionRegistration", "not registered", CredentialInvalid),
        (403, "RequestDisallowedByPolicy", "a policy", ProviderError),
    ],
)
def test_an_answer_is_an_error_of_pitrix(
    status: int, code: str, message: str, kind: type[PitrixError]
) -> None:
    assert type(errors.from_answer(status, code, message)) is kind


def test_a_permission_that_lacks_is_named_and_nobody_else() -> None:
    message = (
        "The client 'c11e' with object id 'c11e' does not have authorization to perform action "
        "'Microsoft.Compute/disks/write' over scope '/subscriptions/5ab5' or the scope is invalid."
    )
    detail = errors.from_answer(403, "AuthorizationFailed", message).detail
    assert "Microsoft.Compute/disks/write" in detail
    assert "c11e" not in detail
    assert "5ab5" not in detail


@pytest.mark.parametrize(
    ("status", "message", "kind", "says"),
    [
        (401, "AADSTS7000215: Invalid client secret provided.", CredentialInvalid, "secret is wrong"),
        (401, "AADSTS7000222: The provided client secret keys are expired", CredentialInvalid, "expired"),
        (400, "AADSTS700016: Application with identifier 'x'", CredentialInvalid, "client id"),
        (400, "AADSTS99999999: something new about s3cret", CredentialInvalid, "AADSTS99999999"),
        (429, "AADSTS90056: throttled", ProviderThrottled, "slow down"),
        (503, "unavailable", ProviderUnavailable, "503"),
    ],
)
def test_a_refused_sign_in_says_what_is_wrong(
    status: int, message: str, kind: type[PitrixError], says: str
) -> None:
    error = errors.from_sign_in(status, message)
    assert type(error) is kind
    assert says in error.detail
    assert "s3cret" not in error.detail
