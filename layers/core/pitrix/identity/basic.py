"""Basic login: what clients that know no tokens send with every request, such as Helm and curl.

Owns turning a username and a password, or a token in the place of a password, into a session, without signing
in for every request; and slowing down who guesses. Never keeps a password: what is remembered is found by a
keyed hash of the two, with a key that only this process knows, and it is the access token of a sign-in, which
is verified each time like any other. So a session that was ended, or a user who was disabled, is refused at
once, and a changed password counts after `REMEMBERED_S` at the latest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from pitrix.clock import Clock
from pitrix.errors import RateLimited, Unauthenticated
from pitrix.identity.model import Session, TokenExpired, TokenInvalid, Tokens

#: How long a sign-in is good for the requests after it, in seconds.
REMEMBERED_S: Final = 300
#: How long a refused pair of username and password is refused without asking again, in seconds.
REFUSED_S: Final = 60
#: Sign-ins of one username that may fail within `FAILURES_WITHIN_S`, before any more are asked for; the
#: password authority counts them for all processes together, this is to spare it.
MOST_FAILURES: Final = 10
FAILURES_WITHIN_S: Final = 300
#: In the place of a username: the password is an access token.
TOKEN_USERNAME: Final = "token"  # noqa: S105 - a name

_MOST_REMEMBERED: Final = 2000
K = TypeVar("K")
V = TypeVar("V")


class SignsIn(Protocol):
    """The part of `service.IdentityService` that is used here."""

    def sign_in(self, username: str, password: str) -> Tokens: ...

    def authenticate(self, access_token: str) -> Session: ...


class BasicLogins:
    """The logins of one process."""

    def __init__(self, identity: SignsIn, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._tokens: OrderedDict[bytes, tuple[datetime, str]] = OrderedDict()
        self._refused: OrderedDict[bytes, datetime] = OrderedDict()
        self._failures: OrderedDict[str, list[datetime]] = OrderedDict()

    def authenticate(self, credentials: str) -> Session:
        """Return the session that the credentials of a Basic header stand for (RFC 7617).

        Raises:
            TokenInvalid: They cannot be read, or the token in them is none.
            TokenExpired, TokenRevoked, UserDisabled: As of a token.
            Unauthenticated: Wrong username or password.
            RateLimited: Too many attempts.
        """
        username, password = _decoded(credentials)
        if username == TOKEN_USERNAME:
            return self._identity.authenticate(password)
        pair = hmac.digest(self._key, f"{username}\0{password}".encode(), hashlib.sha256)
        known = self._tokens.get(pair)
        if known is not None and self._clock.now() - known[0] < timedelta(seconds=REMEMBERED_S):
            try:
                return self._identity.authenticate(known[1])
            except TokenExpired:
                pass  # its pool makes them short-lived: sign in again
        self._tokens.pop(pair, None)
        token = self._sign_in(pair, username, password)
        _put(self._tokens, pair, (self._clock.now(), token))
        return self._identity.authenticate(token)

    def _sign_in(self, pair: bytes, username: str, password: str) -> str:
        now = self._clock.now()
        refused_at = self._refused.get(pair)
        if refused_at is not None and now - refused_at < timedelta(seconds=REFUSED_S):
            raise Unauthenticated("Wrong username or password.")
        since = now - timedelta(seconds=FAILURES_WITHIN_S)
        failures = [at for at in self._failures.get(username, []) if at > since]
        if len(failures) >= MOST_FAILURES:
            raise RateLimited("Too many attempts. Wait a few minutes.")
        try:
            return self._identity.sign_in(username, password).access_token
        except Unauthenticated:
            _put(self._refused, pair, now)
            _put(self._failures, username, [*failures, now])
            raise


def _decoded(credentials: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(credentials, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise TokenInvalid("The Basic credentials are not Base64 of UTF-8 text.") from None
    username, colon, password = text.partition(":")
    if not colon or not password:
        raise TokenInvalid("The Basic credentials must be a username, a colon and a password.")
    return username.strip().lower(), password


def _put(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _MOST_REMEMBERED:
        kept.popitem(last=False)
