"""What QingCloud's codes and messages mean, and that no secret leaves through them."""

from __future__ import annotations

import pytest

from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    InvalidInput,
    ProviderError,
    ProviderThrottled,
    ProviderUnavailable,
    QuotaExceeded,
    ResourceNotFound,
)
from providers.qingcloud import errors


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (1100, "MissingParameter, [size] not specified", InvalidInput),
        (1200, "AuthFailure, signature not matched", CredentialInvalid),
        (1300, "RequestHasExpired", ProviderUnavailable),
        (1400, "PermissionDenied, [vol-1] is [in-use]", Conflict),
        (1400, "PermissionDenied, you have no permission for [RunInstances]", CredentialInvalid),
        (
            1400,
            "PermissionDenied, resource [i-1] lease info not ready yet, please try later",
            ProviderUnavailable,
        ),
        (2100, "ResourceNotFound, resource [i-1] not found", ResourceNotFound),
        (2400, "NotEnoughBalance", QuotaExceeded),
        (2500, "QuotaExceeded", QuotaExceeded),
        (5000, "InternalError", ProviderUnavailable),
        (5100, "ServerBusy", ProviderThrottled),
        (5200, "ResourceNotEnough", ProviderError),
        (5300, "ServiceUpdating", ProviderUnavailable),
        (9999, "SomethingNew", ProviderError),
        (None, "", ProviderError),
    ],
)
def test_each_code_has_a_class_that_state_machines_know(code: int, message: str, kind: type) -> None:
    error = errors.from_answer("RunInstances", {"ret_code": code, "message": message})
    assert type(error) is kind  # a subclass would not be retried: its name is matched
    assert len(error.detail) > 20


def test_the_message_of_a_refused_key_is_not_passed_on() -> None:
    answer = {"ret_code": 1200, "message": "AuthFailure, access key [QYABCDEFG] not found"}
    assert "QYABCDEFG" not in errors.from_answer("DescribeZones", answer).detail


def test_a_refused_permission_names_the_action() -> None:
    answer = {"ret_code": 1400, "message": "PermissionDenied, you are not authorized"}
    assert "CreateRouters" in errors.from_answer("CreateRouters", answer).detail


@pytest.mark.parametrize(
    ("status", "kind"), [(429, ProviderThrottled), (503, ProviderUnavailable), (404, ProviderError)]
)
def test_a_status_has_one_too(status: int, kind: type) -> None:
    assert type(errors.from_status("DescribeZones", status)) is kind


def test_only_what_is_busy_may_be_left_undone() -> None:
    busy = {"ret_code": 1400, "message": "PermissionDenied, resource [i-1] is in transition [starting]"}
    with errors.unless_busy():
        raise errors.from_answer("StopInstances", busy)
    with pytest.raises(ProviderUnavailable), errors.unless_busy():
        raise errors.from_answer("StopInstances", {"ret_code": 5300})
