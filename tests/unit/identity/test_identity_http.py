"""The authorizer and the REST routes, called with the events that API Gateway sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from functions.identity.app import app
from functions.identity.authorizer import handler as authorize
from pitrix.clock import FixedClock
from pitrix.identity.model import Principal, User
from pitrix.identity.service import IdentityService, UserChange, UserStatus
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.identity.fakes import PASSWORD, TOKEN_LIFE_S

ARN = "arn:aws:execute-api:eu-west-1:111111111111:abc123/live/GET/v1/clusters"

pytestmark = pytest.mark.usefixtures("deployed")


def call(
    method: str,
    resource: str,
    *,
    who: Principal | None = None,
    context: dict[str, str] | None = None,
    body: Any = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    **path: str,
) -> tuple[int, Any, dict[str, str]]:
    """Call the app as API Gateway does; returns status, decoded body and headers."""
    event = proxy_event(
        method,
        resource,
        path_parameters=path,
        query={name: [value] for name, value in (query or {}).items()},
        headers=headers,
        body=body,
        authorizer=context or authorizer_context(who),
    )
    answer = app(event, None)
    text = answer["body"]
    return answer["statusCode"], json.loads(text) if text else None, answer["headers"]


def asked(header: str | None = None) -> dict[str, Any]:
    """What the authorizer answers a request with this Authorization header."""
    headers = {} if header is None else {"authorization": header}
    return authorize({"type": "REQUEST", "methodArn": ARN, "headers": headers}, None)


def effect(answer: dict[str, Any]) -> str:
    return str(answer["policyDocument"]["Statement"][0]["Effect"])


def test_a_genuine_token_opens_the_whole_stage(identity: IdentityService, alice: User) -> None:
    answer = asked(f"Bearer {identity.sign_in('alice', PASSWORD).access_token}")
    assert effect(answer) == "Allow"
    assert answer["principalId"] == alice.user_id
    resource = answer["policyDocument"]["Statement"][0]["Resource"]
    assert resource == "arn:aws:execute-api:eu-west-1:111111111111:abc123/live/*"
    session_id = answer["context"].pop("session_id")
    assert session_id
    assert answer["context"] == {
        "user_id": alice.user_id,
        "username": "alice",
        "role": "user",
        "owner_path": ":acme:",
        "locale": "en",
    }


def test_without_a_token_the_caller_is_a_visitor() -> None:
    answer = asked()
    assert (effect(answer), answer["principalId"], answer["context"]) == ("Allow", "anonymous", {})


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic", "Basic %%%", "Basic YQ==", "nonsense", "Bearer a.b.c"]
)
def test_what_is_no_token_is_denied_not_taken_for_a_visitor(header: str) -> None:
    answer = asked(header)
    assert effect(answer) == "Deny"
    assert answer["context"]["code"] == "token_invalid"


def test_a_forged_token_is_denied(alice: User, issue: Callable[..., str], other_key: RSAPrivateKey) -> None:
    assert effect(asked(f"Bearer {issue(key=other_key, sub=alice.subject)}")) == "Deny"


def test_an_expired_token_gets_a_problem_that_says_so(
    identity: IdentityService, alice: User, clock: FixedClock
) -> None:
    token = identity.sign_in("alice", PASSWORD).access_token
    clock.advance(TOKEN_LIFE_S + 60)
    answer = asked(f"Bearer {token}")
    assert effect(answer) == "Allow"
    assert "user_id" not in answer["context"]
    status, problem, headers = call("GET", "/v1/me", context=answer["context"])
    assert status == 401
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "token_expired"
    assert "expired at 2026-11-22T11:00:00" in problem["detail"]


def test_a_disabled_users_token_gets_a_problem_that_says_so(
    identity: IdentityService, operator: User, alice: User
) -> None:
    token = identity.sign_in("alice", PASSWORD).access_token
    identity.update_user(operator.principal, alice.user_id, UserChange(status=UserStatus.DISABLED))
    status, problem, _ = call("GET", "/v1/me", context=asked(f"bearer {token}")["context"])
    assert (status, problem["code"]) == (401, "user_disabled")


def test_a_refused_token_does_not_reach_a_public_route_either() -> None:
    context = {"refusal": "token_revoked", "detail": "Ended."}
    body = {"username": "alice", "password": PASSWORD}
    status, problem, _ = call("POST", "/v1/tokens", context=context, body=body)
    assert (status, problem["detail"]) == (401, "Ended.")


def test_sign_in_refresh_sign_out(alice: User) -> None:
    credentials = {"grant_type": "password", "username": "alice", "password": PASSWORD}
    status, tokens, headers = call("POST", "/v1/tokens", body=credentials)
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert set(tokens) == {"access_token", "refresh_token", "expires_in_s", "token_type"}
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    status, again, _ = call("POST", "/v1/tokens", body=refresh)
    assert status == 200
    assert again["access_token"]
    bearer = {"authorization": f"Bearer {again['access_token']}"}
    status, answer, _ = call(
        "POST", "/v1/tokens/revoke", headers=bearer, body={"refresh_token": tokens["refresh_token"]}
    )
    assert (status, answer) == (204, None)
    status, problem, _ = call("GET", "/v1/me", context=asked(f"Bearer {again['access_token']}")["context"])
    assert (status, problem["code"]) == (401, "token_revoked")
    assert call("POST", "/v1/tokens", body=refresh)[0] == 401


def test_a_wrong_password_and_an_unknown_user_look_the_same(alice: User) -> None:
    answers = [
        call("POST", "/v1/tokens", body={"username": name, "password": "wrong-Horse-7"})[:2]
        for name in ("alice", "nobody")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "alice"}, "password"),
        ({"password": "x"}, "username"),
        ({"grant_type": "refresh_token"}, "refresh_token"),
        ({"grant_type": "magic"}, "grant_type"),
        ({"username": "alice", "password": PASSWORD, "otp": "1"}, "otp"),
        ({"username": 7}, "username"),
    ],
)
def test_a_malformed_sign_in_names_the_field(body: dict[str, Any], field: str) -> None:
    status, problem, _ = call("POST", "/v1/tokens", body=body)
    assert status == 400
    assert problem["errors"][0]["field"] == field


def test_me(alice: User) -> None:
    status, user, headers = call("GET", "/v1/me", who=alice.principal)
    assert status == 200
    assert headers["ETag"] == '"1"'
    assert user == {
        "user_id": alice.user_id,
        "username": "alice",
        "role": "user",
        "owner_path": ":acme:",
        "locale": "en",
        "status": "active",
        "created_at": "2026-11-22T10:00:00.000Z",
        "updated_at": "2026-11-22T10:00:00.000Z",
    }
    assert call("GET", "/v1/me")[0] == 401


def test_an_operator_keeps_the_users(operator: User) -> None:
    me = operator.principal
    status, made, _ = call("POST", "/v1/users", who=me, body={"username": "bob", "password": PASSWORD})
    assert status == 201
    assert made["role"] == "user"
    assert "password" not in made
    user_id = made["user_id"]
    status, listed, _ = call("GET", "/v1/users", who=me, query={"limit": "10"})
    assert [user["username"] for user in listed["items"]] == ["root", "bob"]
    assert listed["next_cursor"] is None
    status, changed, headers = call(
        "PATCH",
        "/v1/users/{user_id}",
        who=me,
        user_id=user_id,
        body={"role": "developer"},
        headers={"if-match": '"1"'},
    )
    assert (status, changed["role"], headers["ETag"]) == (200, "developer", '"2"')
    assert (
        call(
            "PATCH",
            "/v1/users/{user_id}",
            who=me,
            user_id=user_id,
            body={"role": "user"},
            headers={"if-match": '"1"'},
        )[0]
        == 412
    )
    status, problem, _ = call(
        "PATCH", "/v1/users/{user_id}", who=me, user_id=user_id, body={"status": "gone"}
    )
    assert status == 400
    assert problem["errors"][0]["field"] == "status"
    status, reset, headers = call(
        "POST",
        "/v1/users/{user_id}/actions/{action}",
        who=me,
        user_id=user_id,
        action="reset-password",
        body={},
    )
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    bob = Principal(user_id, "bob", "developer", changed["owner_path"])
    passwords = {"old_password": reset["password"], "new_password": "chosen-Horse-9"}
    assert (
        call(
            "POST",
            "/v1/users/{user_id}/actions/{action}",
            who=bob,
            user_id=user_id,
            action="change-password",
            body=passwords,
        )[0]
        == 204
    )
    assert call("GET", "/v1/users", who=bob)[0] == 403
    assert call("GET", "/v1/users/{user_id}", who=bob, user_id=user_id)[0] == 200
    path = {"user_id": user_id, "action": "promote"}
    status, problem, _ = call("POST", "/v1/users/{user_id}/actions/{action}", who=me, body={}, **path)
    assert status == 404
    assert "change-password, reset-password" in problem["detail"]
    assert call("DELETE", "/v1/users/{user_id}", who=me, user_id=user_id)[0] == 204
    assert call("GET", "/v1/users/{user_id}", who=me, user_id=user_id)[0] == 404


def test_roles_are_listed_to_whoever_is_signed_in(alice: User) -> None:
    status, roles, _ = call("GET", "/v1/roles", who=alice.principal)
    by_id = {role["role_id"]: role for role in roles["items"]}
    assert status == 200
    assert len(by_id) == 7
    assert "read" in by_id["user"]["permissions"]["catalog"]
    assert by_id["operator"]["permissions"] == {"*": ["*"]}


def test_a_foreign_cursor_is_named(operator: User) -> None:
    status, problem, _ = call("GET", "/v1/users", who=operator.principal, query={"cursor": "bm9wZQ"})
    assert status == 400
    assert problem["errors"][0]["field"] == "cursor"
