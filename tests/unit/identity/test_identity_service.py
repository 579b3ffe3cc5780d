"""Sign-in, sessions and the administration of users, on an in-memory table and pool."""

from __future__ import annotations

from typing import Any

import pytest

from pitrix.clock import FixedClock
from pitrix.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Unauthenticated,
)
from pitrix.identity.dynamo import TableUserStore
from pitrix.identity.model import (
    ANONYMOUS,
    SYSTEM,
    Principal,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
    User,
    UserDisabled,
    UserStatus,
)
from pitrix.identity.service import IdentityService, NewUser, UserChange, random_password
from tests.unit.identity.fakes import PASSWORD, TOKEN_LIFE_S, MemoryPool


def test_a_sign_in_leads_to_the_users_record(identity: IdentityService, alice: User) -> None:
    tokens = identity.sign_in(" Alice ", PASSWORD)
    session = identity.authenticate(tokens.access_token)
    assert session.principal == Principal(alice.user_id, "alice", "user", ":acme:")
    assert tokens.token_type == "Bearer"
    assert tokens.expires_in_s == TOKEN_LIFE_S


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong-Horse-7"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("alice", ""),
        ("a b", PASSWORD),
        ("alice", "x" * 1000),
    ],
)
def test_a_refused_sign_in_does_not_tell_why(
    identity: IdentityService, alice: User, username: str, password: str
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        identity.sign_in(username, password)
    assert caught.value.detail == "Wrong username or password."


def test_tokens_do_not_show_in_logs(identity: IdentityService, alice: User) -> None:
    tokens = identity.sign_in("alice", PASSWORD)
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in repr(tokens)


def test_a_refresh_token_buys_a_new_access_token(
    identity: IdentityService, alice: User, clock: FixedClock
) -> None:
    first = identity.sign_in("alice", PASSWORD)
    clock.advance(TOKEN_LIFE_S + 60)
    with pytest.raises(TokenExpired):
        identity.authenticate(first.access_token)
    second = identity.refresh(first.refresh_token)
    assert second.refresh_token == first.refresh_token
    assert identity.authenticate(second.access_token).user == alice


def test_signing_out_ends_all_tokens_of_the_session_and_no_other(
    identity: IdentityService, alice: User
) -> None:
    here, there = identity.sign_in("alice", PASSWORD), identity.sign_in("alice", PASSWORD)
    refreshed = identity.refresh(here.refresh_token)
    identity.revoke(access_token=here.access_token, refresh_token=here.refresh_token)
    for dead in (here, refreshed):
        with pytest.raises(TokenRevoked, match="signing out"):
            identity.authenticate(dead.access_token)
    with pytest.raises(Unauthenticated):
        identity.refresh(here.refresh_token)
    identity.authenticate(there.access_token)


def test_signing_out_with_an_expired_token_still_ends_the_refresh_token(
    identity: IdentityService, alice: User, clock: FixedClock
) -> None:
    tokens = identity.sign_in("alice", PASSWORD)
    clock.advance(2 * TOKEN_LIFE_S)
    identity.revoke(access_token=tokens.access_token, refresh_token=tokens.refresh_token)
    with pytest.raises(Unauthenticated):
        identity.refresh(tokens.refresh_token)


def test_revoking_nothing_or_nonsense_is_refused(identity: IdentityService) -> None:
    with pytest.raises(InvalidInput):
        identity.revoke()
    with pytest.raises(TokenInvalid):
        identity.revoke(access_token="nonsense")


def test_a_new_user_of_an_old_name_does_not_inherit_tokens(
    identity: IdentityService, operator: User, alice: User
) -> None:
    tokens = identity.sign_in("alice", PASSWORD)
    identity.delete_user(operator.principal, alice.user_id)
    with pytest.raises(TokenRevoked, match="does not exist any more"):
        identity.authenticate(tokens.access_token)
    identity.create_user(operator.principal, NewUser(username="alice", password=PASSWORD))
    with pytest.raises(TokenRevoked):
        identity.authenticate(tokens.access_token)


def test_a_disabled_user_is_out_at_once_and_comes_back(
    identity: IdentityService, operator: User, alice: User, clock: FixedClock
) -> None:
    tokens = identity.sign_in("alice", PASSWORD)
    clock.advance(5)
    identity.update_user(operator.principal, alice.user_id, UserChange(status=UserStatus.DISABLED))
    with pytest.raises(UserDisabled, match="alice"):
        identity.authenticate(tokens.access_token)
    for attempt in (
        lambda: identity.refresh(tokens.refresh_token),
        lambda: identity.sign_in("alice", PASSWORD),
    ):
        with pytest.raises(Unauthenticated):
            attempt()
    identity.update_user(operator.principal, alice.user_id, UserChange(status=UserStatus.ACTIVE))
    identity.authenticate(identity.sign_in("alice", PASSWORD).access_token)
    with pytest.raises(TokenRevoked):
        identity.authenticate(tokens.access_token)


def test_a_role_change_reaches_the_principal(identity: IdentityService, operator: User, alice: User) -> None:
    changed = identity.update_user(
        operator.principal, alice.user_id, UserChange(role="vendor", owner_path=":acme:shop:")
    )
    assert changed.version == alice.version + 1
    session = identity.authenticate(identity.sign_in("alice", PASSWORD).access_token)
    assert (session.principal.role, session.principal.owner_path) == ("vendor", ":acme:shop:")


def test_a_change_against_an_old_version_is_refused(
    identity: IdentityService, operator: User, alice: User
) -> None:
    identity.update_user(operator.principal, alice.user_id, UserChange(locale="zh-cn"), version=alice.version)
    with pytest.raises(PreconditionFailed):
        identity.update_user(
            operator.principal, alice.user_id, UserChange(locale="en"), version=alice.version
        )


def test_an_operator_cannot_lock_himself_out(identity: IdentityService, operator: User) -> None:
    me = operator.principal
    for change in (UserChange(role="user"), UserChange(status=UserStatus.DISABLED)):
        with pytest.raises(Conflict):
            identity.update_user(me, operator.user_id, change)
    with pytest.raises(Conflict):
        identity.delete_user(me, operator.user_id)
    identity.update_user(me, operator.user_id, UserChange(locale="zh-cn"))


def test_users_administer_nobody(identity: IdentityService, operator: User, alice: User) -> None:
    me = alice.principal
    new = NewUser(username="bob", password=PASSWORD)
    for attempt in (
        lambda: identity.list_users(me),
        lambda: identity.get_user(me, operator.user_id),
        lambda: identity.create_user(me, new),
        lambda: identity.update_user(me, alice.user_id, UserChange(role="operator")),
        lambda: identity.delete_user(me, operator.user_id),
        lambda: identity.reset_password(me, operator.user_id),
        lambda: identity.change_password(
            me, operator.user_id, old_password=PASSWORD, new_password="other-Horse-8"
        ),
    ):
        with pytest.raises(PermissionDenied):
            attempt()
    assert identity.get_user(me, alice.user_id) == alice
    assert identity.me(me) == alice


def test_a_visitor_is_asked_to_sign_in(identity: IdentityService, alice: User) -> None:
    for attempt in (
        lambda: identity.me(ANONYMOUS),
        lambda: identity.roles(ANONYMOUS),
        lambda: identity.list_users(ANONYMOUS),
        lambda: identity.get_user(ANONYMOUS, ""),
        lambda: identity.change_password(ANONYMOUS, "", old_password="x", new_password=PASSWORD),
    ):
        with pytest.raises(Unauthenticated):
            attempt()


def test_one_branch_does_not_see_another(identity: IdentityService, alice: User) -> None:
    identity.ensure_user("bob", "user", PASSWORD, ":acme:shop:")
    eve = identity.ensure_user("eve", "user", PASSWORD, ":acme-two:")
    branch_operator = Principal("usr_op", "op", "operator", ":acme:")
    found, _ = identity.list_users(branch_operator)
    assert [user.username for user in found] == ["alice", "bob"]
    for attempt in (
        lambda: identity.get_user(branch_operator, eve.user_id),
        lambda: identity.delete_user(branch_operator, eve.user_id),
        lambda: identity.create_user(
            branch_operator, NewUser(username="x", password=PASSWORD, owner_path=":acme-two:")
        ),
        lambda: identity.update_user(branch_operator, alice.user_id, UserChange(owner_path=":acme-two:")),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_users_are_listed_in_pages(identity: IdentityService, operator: User) -> None:
    for number in range(5):
        identity.ensure_user(f"user-{number}", "user", PASSWORD)
    first, cursor = identity.list_users(operator.principal, limit=4)
    second, end = identity.list_users(operator.principal, limit=4, cursor=cursor)
    assert len(first) == 4
    assert len(second) == 2
    assert end is None
    assert {user.username for user in first + second} == {"root", *(f"user-{n}" for n in range(5))}


def test_a_new_user_gets_a_branch_of_its_own(identity: IdentityService, operator: User) -> None:
    one = identity.create_user(operator.principal, NewUser(username="a.b@example.org", password=PASSWORD))
    two = identity.create_user(operator.principal, NewUser(username="a.b-example.org", password=PASSWORD))
    assert not one.principal.owns(two.owner_path)
    assert not two.principal.owns(one.owner_path)
    identity.sign_in("A.B@example.org", PASSWORD)


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "system"}, "username"),
        ({"username": "-x"}, "username"),
        ({"role": "root"}, "role"),
        ({"role": "system"}, "role"),
        ({"locale": "fr"}, "locale"),
        ({"owner_path": "acme"}, "owner_path"),
        ({"password": ""}, "password"),
        ({"password": "no-digits-here"}, "password"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_made(
    identity: IdentityService, operator: User, pool: MemoryPool, new: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        identity.create_user(operator.principal, NewUser(**{"username": "bob", "password": PASSWORD, **new}))
    assert caught.value.errors[0].field == field
    assert set(pool.accounts) == {"root"}


def test_a_taken_name_is_a_conflict(identity: IdentityService, operator: User, alice: User) -> None:
    with pytest.raises(Conflict):
        identity.create_user(operator.principal, NewUser(username="Alice", password=PASSWORD))
    identity.sign_in("alice", PASSWORD)


def test_no_account_stays_behind_without_a_record(
    identity: IdentityService,
    operator: User,
    pool: MemoryPool,
    users: TableUserStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(user: User) -> User:
        raise RuntimeError("the table is away")

    monkeypatch.setattr(users, "add", broken)
    with pytest.raises(RuntimeError):
        identity.create_user(operator.principal, NewUser(username="bob", password=PASSWORD))
    assert "bob" not in pool.accounts


def test_changing_the_password_needs_the_old_one_and_ends_all_sessions(
    identity: IdentityService, alice: User, clock: FixedClock
) -> None:
    me, tokens = alice.principal, identity.sign_in("alice", PASSWORD)
    with pytest.raises(InvalidInput) as caught:
        identity.change_password(me, alice.user_id, old_password="wrong", new_password="better-Horse-8")
    assert caught.value.errors[0].field == "old_password"
    with pytest.raises(InvalidInput) as caught:
        identity.change_password(me, alice.user_id, old_password=PASSWORD, new_password="no-digits-here")
    assert caught.value.errors[0].field == "new_password"
    identity.authenticate(tokens.access_token)
    clock.advance(2)
    identity.change_password(me, alice.user_id, old_password=PASSWORD, new_password="better-Horse-8")
    with pytest.raises(TokenRevoked, match="password changed"):
        identity.authenticate(tokens.access_token)
    with pytest.raises(Unauthenticated):
        identity.refresh(tokens.refresh_token)
    with pytest.raises(Unauthenticated):
        identity.sign_in("alice", PASSWORD)
    # In the very second of the change, and still good.
    identity.authenticate(identity.sign_in("alice", "better-Horse-8").access_token)


def test_an_operator_resets_a_password_to_a_random_one(
    identity: IdentityService, operator: User, alice: User
) -> None:
    password = identity.reset_password(operator.principal, alice.user_id)
    identity.sign_in("alice", password)
    with pytest.raises(Unauthenticated):
        identity.sign_in("alice", PASSWORD)


def test_random_passwords_satisfy_the_policy_and_differ() -> None:
    made = {random_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert len(password) >= 12
        assert any(c.isupper() for c in password)
        assert any(c.islower() for c in password)
        assert any(c.isdigit() for c in password)
        assert "-" in password


def test_seeding_twice_changes_nothing_and_mends_what_drifted(
    identity: IdentityService, users: TableUserStore, pool: MemoryPool, alice: User
) -> None:
    assert identity.ensure_user("alice", "user", PASSWORD, ":acme:") == alice
    promoted = identity.ensure_user("alice", "vendor", "other-Horse-8", ":acme:")
    assert (promoted.user_id, promoted.role) == (alice.user_id, "vendor")
    identity.authenticate(identity.sign_in("alice", "other-Horse-8").access_token)
    pool.delete("alice")  # the pool lost its memory, the table did not
    again = identity.ensure_user("alice", "vendor", PASSWORD, ":acme:")
    assert again.user_id == alice.user_id
    assert again.subject != alice.subject
    identity.authenticate(identity.sign_in("alice", PASSWORD).access_token)
    users.remove(again)  # and the other way round
    assert identity.ensure_user("alice", "vendor", PASSWORD, ":acme:").subject == again.subject


def test_the_platform_may_look_users_up(identity: IdentityService, alice: User) -> None:
    assert identity.get_user(SYSTEM, alice.user_id) == alice
    with pytest.raises(NotFound):
        identity.get_user(SYSTEM, "usr_none")


def test_an_operator_sits_at_the_root_and_nowhere_else(
    identity: IdentityService, operator: User, alice: User
) -> None:
    made = identity.create_user(
        operator.principal, NewUser(username="second", password=PASSWORD, role="operator")
    )
    assert made.owner_path == ":"
    below = NewUser(username="third", password=PASSWORD, role="operator", owner_path=":acme:")
    with pytest.raises(InvalidInput) as caught:
        identity.create_user(operator.principal, below)
    assert [error.field for error in caught.value.errors] == ["owner_path"]
    with pytest.raises(InvalidInput):
        identity.update_user(operator.principal, alice.user_id, UserChange(role="operator"))
