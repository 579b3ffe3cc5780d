"""AWS's codes as our errors: each kind, and what must never be repeated."""

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
from providers.aws import errors


def refused(code: str, message: str = "words", status: int = 400) -> PitrixError:
    return errors.from_answer(code, message, status, service="ec2", operation="RunInstances")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestLimitExceeded", ProviderThrottled),
        ("ThrottlingException", ProviderThrottled),
        ("VcpuLimitExceeded", QuotaExceeded),
        ("VolumeLimitExceeded", QuotaExceeded),
        ("LimitExceededException", QuotaExceeded),
        ("InsufficientInstanceCapacity", ProviderUnavailable),
        ("InvalidInstanceID.NotFound", ResourceNotFound),
        ("InvalidAMIID.Unavailable", ResourceNotFound),
        ("NoSuchBucket", ResourceNotFound),
        ("InvalidGroup.Duplicate", Conflict),
        ("DependencyViolation", Conflict),
        ("IncorrectInstanceState", Conflict),
        ("InvalidIPAddress.InUse", Conflict),
        ("InvalidParameterValue", InvalidInput),
        ("InvalidVpc.Range", InvalidInput),
        ("InvalidVolume.ZoneMismatch", InvalidInput),
        ("ValidationError", InvalidInput),
        ("AuthFailure", CredentialInvalid),
        ("Client.UnauthorizedOperation", CredentialInvalid),
        ("SomethingNew", ProviderError),
    ],
)
def test_each_code_is_of_its_kind(code: str, kind: type[PitrixError]) -> None:
    assert type(refused(code)) is kind


def test_a_status_tells_where_the_code_does_not() -> None:
    assert type(refused("New", status=503)) is ProviderUnavailable
    assert type(refused("New", status=429)) is ProviderThrottled


def test_a_lacking_permission_is_named_and_the_encoded_message_is_not() -> None:
    error = refused("UnauthorizedOperation", "Encoded authorization failure message: 4fh3Zx…")
    assert "ec2:RunInstances" in error.detail
    assert "4fh3Zx" not in error.detail


def test_what_aws_says_about_a_credential_is_not_repeated() -> None:
    error = refused("SignatureDoesNotMatch", "AKIAIOSFODNN7EXAMPLE: the canonical string should have been …")
    assert "AKIA" not in error.detail
    assert "secret" in error.detail


def test_an_image_of_others_is_not_a_wrong_credential() -> None:
    assert type(refused("AuthFailure", "Not authorized for images: [ami-1]")) is ResourceNotFound
