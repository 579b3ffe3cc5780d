"""One suite for every `PasswordAuthority`: Cognito (as moto plays it) and the fake the other tests use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from pitrix.errors import Conflict, InvalidInput, NotFound, RateLimited, Unauthenticated
from pitrix.identity.cognito import CognitoPasswords
from pitrix.identity.ports import PasswordAuthority
from tests.unit.identity.fakes import PASSWORD


@pytest.fixture
def cognito(monkeypatch: pytest.MonkeyPatch) -> Iterator[CognitoPasswords]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("cognito-idp", region_name="eu-west-1")
        policy = {"PasswordPolicy": {"MinimumLength": 8, "RequireNumbers": True}}
        pool = client.create_user_pool(PoolName="pitrix", Policies=policy)["UserPool"]["Id"]
        made = client.create_user_pool_client(
            UserPoolId=pool,
            ClientName="pitrix",
            PreventUserExistenceErrors="ENABLED",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )
        yield CognitoPasswords(
            user_pool_id=pool, client_id=made["UserPoolClient"]["ClientId"], connect=lambda: client
        )


@pytest.fixture(params=["cognito", "memory"])
def authority(request: pytest.FixtureRequest) -> PasswordAuthority:
    chosen: PasswordAuthority = request.getfixturevalue("cognito" if request.param == "cognito" else "pool")
    return chosen


def test_an_account_signs_in_at_once_and_refreshes(authority: PasswordAuthority) -> None:
    subject = authority.create("alice", PASSWORD)
    assert authority.subject_of("alice") == subject
    tokens = authority.sign_in("alice", PASSWORD)
    again = authority.refresh(tokens.refresh_token)
    assert again.access_token
    assert again.refresh_token == tokens.refresh_token
    assert again.expires_in_s > 0


def test_wrong_credentials_are_refused(authority: PasswordAuthority) -> None:
    authority.create("alice", PASSWORD)
    for username, password in (("alice", "wrong-Horse-7"), ("nobody", PASSWORD)):
        with pytest.raises(Unauthenticated):
            authority.sign_in(username, password)
    with pytest.raises(Unauthenticated):
        authority.refresh("no-such-token")


def test_a_taken_name_is_a_conflict(authority: PasswordAuthority) -> None:
    authority.create("alice", PASSWORD)
    with pytest.raises(Conflict):
        authority.create("alice", PASSWORD)
    authority.sign_in("alice", PASSWORD)


def test_a_weak_password_is_refused_and_blocks_no_name(authority: PasswordAuthority) -> None:
    with pytest.raises(InvalidInput) as caught:
        authority.create("alice", "no-digits-here")
    assert caught.value.errors[0].field == "password"
    assert authority.subject_of("alice") is None
    authority.create("alice", PASSWORD)
    with pytest.raises(InvalidInput):
        authority.set_password("alice", "no-digits-here")


def test_a_new_password_replaces_the_old(authority: PasswordAuthority) -> None:
    authority.create("alice", PASSWORD)
    authority.set_password("alice", "other-Horse-8")
    authority.sign_in("alice", "other-Horse-8")
    with pytest.raises(Unauthenticated):
        authority.sign_in("alice", PASSWORD)


def test_a_disabled_account_stays_out(authority: PasswordAuthority) -> None:
    authority.create("alice", PASSWORD)
    authority.set_enabled("alice", False)
    with pytest.raises(Unauthenticated):
        authority.sign_in("alice", PASSWORD)
    authority.set_enabled("alice", True)
    authority.sign_in("alice", PASSWORD)


def test_signing_out_everywhere_ends_refresh_tokens(authority: PasswordAuthority) -> None:
    authority.create("alice", PASSWORD)
    tokens = authority.sign_in("alice", PASSWORD)
    authority.sign_out_everywhere("alice")
    with pytest.raises(Unauthenticated):
        authority.refresh(tokens.refresh_token)


def test_deleting_is_final_and_repeatable(authority: PasswordAuthority) -> None:
    authority.create("alice", PASSWORD)
    authority.delete("alice")
    authority.delete("alice")
    assert authority.subject_of("alice") is None


def test_administration_of_nobody_is_not_found(authority: PasswordAuthority) -> None:
    for attempt in (
        lambda: authority.set_password("nobody", PASSWORD),
        lambda: authority.set_enabled("nobody", False),
        lambda: authority.sign_out_everywhere("nobody"),
    ):
        with pytest.raises(NotFound):
            attempt()


class _Failing:
    """A ``cognito-idp`` client that answers everything with one error."""

    def __init__(self, code: str, message: str = "") -> None:
        self._error = ClientError({"Error": {"Code": code, "Message": message}}, "InitiateAuth")

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> Any:
            raise self._error

        return call


def _cognito(code: str, message: str = "") -> CognitoPasswords:
    return CognitoPasswords(user_pool_id="p_1", client_id="c", connect=lambda: _Failing(code, message))


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("TooManyRequestsException", "", RateLimited),
        ("NotAuthorizedException", "Password attempts exceeded", RateLimited),
        ("PasswordResetRequiredException", "", Unauthenticated),
        ("UserNotConfirmedException", "", Unauthenticated),
        ("InternalErrorException", "", ClientError),
    ],
)
def test_what_cognito_says_is_translated_once(code: str, message: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        _cognito(code, message).sign_in("alice", PASSWORD)


def test_a_challenge_is_no_sign_in() -> None:
    class Challenging:
        def initiate_auth(self, **_: Any) -> dict[str, str]:
            return {"ChallengeName": "NEW_PASSWORD_REQUIRED"}

    with pytest.raises(Unauthenticated):
        CognitoPasswords(user_pool_id="p_1", client_id="c", connect=Challenging).sign_in("alice", PASSWORD)


def test_revoking_what_is_no_token_is_harmless() -> None:
    for code in ("NotAuthorizedException", "InvalidParameterException", "UnsupportedTokenTypeException"):
        _cognito(code).revoke("nonsense")
