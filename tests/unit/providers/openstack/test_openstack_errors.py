"""What each service says when it refuses, and the error that stands for it."""

from __future__ import annotations

import json

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
from providers.openstack import errors


def nova(message: str) -> str:
    return json.dumps({"forbidden": {"code": 403, "message": message}})


def neutron(kind: str, message: str) -> str:
    return json.dumps({"NeutronError": {"type": kind, "message": message, "detail": ""}})


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (401, {}, "", CredentialInvalid),
        (
            403,
            {},
            nova("Policy doesn't allow os_compute_api:servers:create to be performed."),
            CredentialInvalid,
        ),
        (403, {}, nova("Quota exceeded for instances: Requested 1, but already used 1 of 1"), QuotaExceeded),
        (413, {"retry-after": "0"}, nova("Requested volume exceeds allowed gigabytes quota."), QuotaExceeded),
        (413, {"retry-after": "5"}, nova("This request was rate-limited."), ProviderThrottled),
        (409, {}, neutron("OverQuota", "Quota exceeded for resources: ['floatingip']."), QuotaExceeded),
        (409, {}, neutron("NetworkInUse", "There are one or more ports still in use."), Conflict),
        (404, {}, "<html><head><title>404 Not Found</title></head></html>", ResourceNotFound),
        (400, {}, nova("Can not find requested image"), ResourceNotFound),
        (400, {}, nova("Invalid key_name provided."), ResourceNotFound),
        (400, {}, nova("Invalid input for field/attribute name."), InvalidInput),
        (429, {}, "Too many requests", ProviderThrottled),
        (500, {}, "", ProviderUnavailable),
        (503, {}, "<html>no server is available</html>", ProviderUnavailable),
        (300, {}, "{}", ProviderError),
    ],
)
def test_an_answer_is_the_error_it_means(
    status: int, headers: dict[str, str], body: str, kind: type[PitrixError]
) -> None:
    assert type(errors.from_answer("service", status, headers, body)) is kind


def test_a_missing_permission_is_named() -> None:
    said = errors.from_answer("compute", 403, {}, nova("Policy doesn't allow os_compute_api:servers:create"))
    assert "os_compute_api:servers:create" in said.detail


@pytest.mark.parametrize("body", ["", "[]", "null", '{"error": null}', '{"a": {"b": {}}}', "<p></p>"])
def test_a_body_without_a_sentence_is_none(body: str) -> None:
    assert len(errors.message(body)) <= 4


def test_a_page_is_told_without_its_markup() -> None:
    assert errors.message("<html><body><h1>404</h1>  Not found</body></html>") == "404 Not found"
