"""Basic login: passwords and tokens of clients that know no sign-in, remembered and throttled."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from functions.identity.app import app
from functions.identity.authorizer import handler
from pitrix import bootstrap
from pitrix.clock import FixedClock
from pitrix.identity import basic
from pitrix.identity.basic import BasicLogins
from pitrix.identity.model import User, UserStatus
from pitrix.identity.service import IdentityService, UserChange
from tests.api_gateway import proxy_event
from tests.unit.identity.fakes import PASSWORD, TOKEN_LIFE_S, MemoryPool

ARN = "arn:aws:execute-api:eu-west-1:111111111111:abc123/live/GET/v1/me"


class CountedPool:
    """How often the pool was asked for a password."""

    def __init__(self, pool: MemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sign_ins = 0
        ask = pool.sign_in

        def counted(username: str, password: str) -> Any:
            self.sign_ins += 1
            return ask(username, password)

        monkeypatch.setattr(pool, "sign_in", counted)


@pytest.fixture
def counted(pool: MemoryPool, monkeypatch: pytest.MonkeyPatch) -> CountedPool:
    return CountedPool(pool, monkeypatch)


@pytest.fixture(autouse=True)
def deployed(identity: IdentityService, clock: FixedClock) -> Iterator[None]:
    with (
        bootstrap.override("identity", identity),
        bootstrap.override("basic_logins", BasicLogins(identity, clock)),
    ):
        yield


def asked(username: str, password: str) -> dict[str, Any]:
    credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
    event = {"type": "REQUEST", "methodArn": ARN, "headers": {"Authorization": f"Basic {credentials}"}}
    return handler(event, None)


def effect(answer: dict[str, Any]) -> str:
    return str(answer["policyDocument"]["Statement"][0]["Effect"])


def test_a_password_opens_the_door_and_is_asked_for_once(
    alice: User, counted: CountedPool, clock: FixedClock
) -> None:
    for _ in range(3):
        answer = asked("Alice", PASSWORD)
        assert (effect(answer), answer["context"]["user_id"]) == ("Allow", alice.user_id)
    assert counted.sign_ins == 1
    clock.advance(basic.REMEMBERED_S + 1)
    assert asked("alice", PASSWORD)["context"]["username"] == "alice"
    assert counted.sign_ins == 2


def test_a_token_may_stand_in_the_place_of_a_password(identity: IdentityService, alice: User) -> None:
    token = identity.sign_in("alice", PASSWORD).access_token
    assert asked("token", token)["context"]["user_id"] == alice.user_id
    assert effect(asked("token", "nonsense")) == "Deny"


def test_a_wrong_password_is_denied_and_not_asked_twice(
    alice: User, counted: CountedPool, clock: FixedClock
) -> None:
    for _ in range(3):
        answer = asked("alice", "wrong")
        assert (effect(answer), answer["context"]["code"]) == ("Deny", "unauthenticated")
    assert counted.sign_ins == 1
    clock.advance(basic.REFUSED_S + 1)
    asked("alice", "wrong")
    assert counted.sign_ins == 2
    assert effect(asked("alice", PASSWORD)) == "Allow", "the right one is not kept out by a wrong one"


def test_who_guesses_is_slowed_down_and_told_so(alice: User, counted: CountedPool, clock: FixedClock) -> None:
    answers = [asked("alice", f"guess-{number}") for number in range(basic.MOST_FAILURES + 5)]
    assert counted.sign_ins == basic.MOST_FAILURES
    assert [effect(answer) for answer in answers[: basic.MOST_FAILURES]] == ["Deny"] * basic.MOST_FAILURES
    refused = answers[-1]
    assert (effect(refused), "user_id" in refused["context"]) == ("Allow", False)
    status = app(proxy_event("GET", "/v1/me", authorizer=refused["context"]), None)["statusCode"]
    assert status == 429
    clock.advance(basic.FAILURES_WITHIN_S + 1)
    assert effect(asked("alice", PASSWORD)) == "Allow"


def test_what_is_remembered_is_no_way_around_a_refusal(
    identity: IdentityService, alice: User, operator: User, counted: CountedPool
) -> None:
    asked("alice", PASSWORD)
    identity.update_user(operator.principal, alice.user_id, UserChange(status=UserStatus.DISABLED))
    answer = asked("alice", PASSWORD)
    assert answer["context"]["refusal"] == "user_disabled"
    assert counted.sign_ins == 1


def test_a_short_lived_token_is_replaced(
    alice: User, counted: CountedPool, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic, "REMEMBERED_S", 10 * TOKEN_LIFE_S)
    asked("alice", PASSWORD)
    clock.advance(TOKEN_LIFE_S + 60)
    assert effect(asked("alice", PASSWORD)) == "Allow"
    assert counted.sign_ins == 2


def test_passwords_are_not_kept(identity: IdentityService, alice: User, clock: FixedClock) -> None:
    logins = BasicLogins(identity, clock)
    logins.authenticate(base64.b64encode(f"alice:{PASSWORD}".encode()).decode())
    assert PASSWORD not in repr(vars(logins))


def test_colons_belong_to_the_password(alice: User, pool: MemoryPool) -> None:
    pool.accounts["alice"]["password"] = "a:b:c:d-Long-enough-1"
    assert effect(asked("alice", "a:b:c:d-Long-enough-1")) == "Allow"
