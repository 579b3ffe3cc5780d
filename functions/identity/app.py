"""REST routes of the identity context: sessions, users, roles, and the description of the whole API.

Owns the mapping between HTTP and `pitrix.identity.service`. Answers to these POSTs hold tokens and passwords,
so this app keeps no replays for ``Idempotency-Key``: a secret must not lie in a table. Making a user twice is
a conflict anyway, and revoking twice is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chalice.app import Response

import pitrix
from pitrix import bootstrap
from pitrix.clock import rfc3339
from pitrix.errors import FieldError, InvalidInput, NotFound
from pitrix.http import (
    Paging,
    body,
    create_api,
    current_request,
    etag,
    if_match,
    no_content,
    ok,
    page,
    params,
)
from pitrix.http import principal as who_asks
from pitrix.identity.model import User, UserStatus
from pitrix.identity.service import NewUser, UserChange

app = create_api("identity")

_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, kw_only=True)
class TokenRequest:
    """Body of ``POST /v1/tokens``: a username with its password, or a refresh token."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class RevokeRequest:
    """Body of ``POST /v1/tokens/revoke``; the access token may come in the Authorization header instead."""

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class PasswordChange:
    """Body of ``…/actions/change-password``."""

    old_password: str = field(repr=False)
    new_password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class PasswordReset:
    """Body of ``…/actions/reset-password``; without a password a random one is made."""

    new_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class UserView:
    """A user as clients see it."""

    user_id: str
    username: str
    role: str
    owner_path: str
    locale: str
    status: UserStatus
    created_at: str
    updated_at: str


@app.route("/v1/openapi.json", methods=["GET"])
def describe() -> Response:
    """The description of this API, as OpenAPI 3.1 (``infra/local/openapi.py`` writes it)."""
    text = (Path(pitrix.__file__).parent / "openapi.json").read_text(encoding="utf-8")
    return Response(text, {"Content-Type": "application/json", "Cache-Control": "public, max-age=300"}, 200)


@app.route("/v1/tokens", methods=["POST"])
def sign_in() -> Response:
    wanted = body(app, TokenRequest)
    if wanted.grant_type == "refresh_token":
        tokens = bootstrap.identity().refresh(_given("refresh_token", wanted.refresh_token))
    else:
        username, password = _given("username", wanted.username), _given("password", wanted.password)
        tokens = bootstrap.identity().sign_in(username, password)
    return ok(tokens, headers=_NO_STORE)


@app.route("/v1/tokens/revoke", methods=["POST"])
def revoke() -> Response:
    wanted = body(app, RevokeRequest)
    bootstrap.identity().revoke(
        access_token=wanted.access_token or _bearer(), refresh_token=wanted.refresh_token
    )
    return no_content()


@app.route("/v1/me", methods=["GET"])
def me() -> Response:
    return _user(bootstrap.identity().me(who_asks(app)))


@app.route("/v1/users", methods=["GET"])
def list_users() -> Response:
    paging = params(app, Paging)
    users, cursor = bootstrap.identity().list_users(who_asks(app), limit=paging.limit, cursor=paging.cursor)
    return page([_view(user) for user in users], cursor)


@app.route("/v1/users", methods=["POST"])
def create_user() -> Response:
    return _user(bootstrap.identity().create_user(who_asks(app), body(app, NewUser)), status=201)


@app.route("/v1/users/{user_id}", methods=["GET"])
def get_user(user_id: str) -> Response:
    return _user(bootstrap.identity().get_user(who_asks(app), user_id))


@app.route("/v1/users/{user_id}", methods=["PATCH"])
def update_user(user_id: str) -> Response:
    change = body(app, UserChange)
    return _user(bootstrap.identity().update_user(who_asks(app), user_id, change, version=if_match(app)))


@app.route("/v1/users/{user_id}", methods=["DELETE"])
def delete_user(user_id: str) -> Response:
    bootstrap.identity().delete_user(who_asks(app), user_id)
    return no_content()


@app.route("/v1/users/{user_id}/actions/{action}", methods=["POST"])
def act(user_id: str, action: str) -> Response:
    if action not in _ACTIONS:
        raise NotFound(f"There is no action {action!r}; known are {', '.join(_ACTIONS)}.")
    return _ACTIONS[action](user_id)


def _change_password(user_id: str) -> Response:
    wanted = body(app, PasswordChange)
    bootstrap.identity().change_password(
        who_asks(app), user_id, old_password=wanted.old_password, new_password=wanted.new_password
    )
    return no_content()


def _reset_password(user_id: str) -> Response:
    wanted = body(app, PasswordReset)
    password = bootstrap.identity().reset_password(who_asks(app), user_id, new_password=wanted.new_password)
    return ok({"password": password}, headers=_NO_STORE)


_ACTIONS = {"change-password": _change_password, "reset-password": _reset_password}


@app.route("/v1/roles", methods=["GET"])
def list_roles() -> Response:
    roles = bootstrap.identity().roles(who_asks(app))
    return page(
        [
            {
                "role_id": role.role_id,
                "title": role.title,
                "permissions": {module: sorted(actions) for module, actions in role.grants.items()},
            }
            for role in roles
        ],
        None,
    )


def _given(name: str, value: str | None) -> str:
    if not value:
        raise InvalidInput(f"The field {name!r} is missing.", errors=[FieldError(name, "Is required.")])
    return value


def _bearer() -> str | None:
    scheme, _, token = current_request(app).headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _user(user: User, status: int = 200) -> Response:
    return ok(_view(user), status, headers={"ETag": etag(user.version)})


def _view(user: User) -> UserView:
    return UserView(
        user_id=user.user_id,
        username=user.username,
        role=user.role,
        owner_path=user.owner_path,
        locale=user.locale,
        status=user.status,
        created_at=rfc3339(user.created_at),
        updated_at=rfc3339(user.updated_at),
    )
