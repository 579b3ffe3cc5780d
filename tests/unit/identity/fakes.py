"""A user pool and an issuer of keys in memory, and the names that the tests of this folder share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from pitrix.errors import Conflict, FieldError, InvalidInput, NotFound, Unauthenticated
from pitrix.identity.model import Tokens

POOL_ID = "eu-west-1_Pool"
CLIENT_ID = "console"
PASSWORD = "correct-Horse-7"
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
TOKEN_LIFE_S = 3600


class MemoryPool:
    """`PasswordAuthority` in memory; ``test_identity_authorities.py`` holds it against Cognito."""

    def __init__(self, issue: Callable[..., str]) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self._issue = issue
        self._refresh: dict[str, tuple[str, str]] = {}

    def sign_in(self, username: str, password: str) -> Tokens:
        account = self.accounts.get(username)
        if account is None or account["password"] != password or not account["enabled"]:
            raise Unauthenticated("The pool says no.")
        session, token = uuid.uuid4().hex, uuid.uuid4().hex
        self._refresh[token] = (username, session)
        return self._tokens(username, session, token)

    def refresh(self, refresh_token: str) -> Tokens:
        if refresh_token not in self._refresh:
            raise Unauthenticated("The pool says no.")
        username, session = self._refresh[refresh_token]
        return self._tokens(username, session, refresh_token)

    def revoke(self, refresh_token: str) -> None:
        self._refresh.pop(refresh_token, None)

    def subject_of(self, username: str) -> str | None:
        account = self.accounts.get(username)
        return None if account is None else str(account["subject"])

    def create(self, username: str, password: str) -> str:
        if username in self.accounts:
            raise Conflict("The username is taken.")
        self._check(password)
        subject = str(uuid.uuid4())
        self.accounts[username] = {"subject": subject, "password": password, "enabled": True}
        return subject

    def set_password(self, username: str, password: str) -> None:
        self._check(password)
        self._account(username)["password"] = password

    def set_enabled(self, username: str, enabled: bool) -> None:
        self._account(username)["enabled"] = enabled

    def sign_out_everywhere(self, username: str) -> None:
        self._account(username)
        self._refresh = {token: entry for token, entry in self._refresh.items() if entry[0] != username}

    def delete(self, username: str) -> None:
        self.accounts.pop(username, None)

    def _account(self, username: str) -> dict[str, Any]:
        if username not in self.accounts:
            raise NotFound("No such account.")
        return self.accounts[username]

    def _check(self, password: str) -> None:
        if not any(letter.isdigit() for letter in password):
            raise InvalidInput("Too weak.", errors=[FieldError("password", "Must have a digit.")])

    def _tokens(self, username: str, session: str, refresh_token: str) -> Tokens:
        access = self._issue(username=username, sub=self.accounts[username]["subject"], origin_jti=session)
        return Tokens(access_token=access, refresh_token=refresh_token, expires_in_s=TOKEN_LIFE_S)


class Issuer:
    """Serves a key set and counts how often it was asked."""

    def __init__(self, keys: list[dict[str, Any]]) -> None:
        self.keys = keys
        self.asked = 0
        self.away: Exception | None = None

    def __call__(self, url: str) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise self.away
        return {"keys": self.keys}


def public_jwk(key: RSAPrivateKey, kid: str) -> dict[str, Any]:
    """The public half of a key as a key set lists it."""
    return {
        **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())),
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
    }
