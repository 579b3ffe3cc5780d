"""Verification of access tokens: RS256 JWTs against the issuer's published keys.

Owns the checks (signature, issuer, client, use, expiry) and the cache of keys. Never looks at user records:
``service.IdentityService.authenticate`` does, after this. PyJWT and cryptography load on the first token, not
at import: most handlers that share this package never verify one.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pitrix.clock import Clock, rfc3339
from pitrix.errors import ServiceUnavailable
from pitrix.identity.model import Claims, TokenExpired, TokenInvalid

if TYPE_CHECKING:
    from jwt import PyJWK

#: Seconds that clocks may differ before an expired token counts as expired.
LEEWAY_S = 10

_FETCH_TIMEOUT_S = 3.0
_MAX_JWKS_BYTES = 1 << 20
_MAX_TOKEN_CHARS = 8192


def cognito_issuer(user_pool_id: str) -> str:
    """The ``iss`` of a Cognito pool's tokens; the pool's id carries its region (``us-east-1_AbC``)."""
    region = user_pool_id.partition("_")[0]
    return f"https://cognito-idp.{region}.amazonaws.com/{user_pool_id}"


def cognito_jwks_url(user_pool_id: str, endpoint_url: str | None) -> str:
    """Where a pool publishes its keys: below its issuer on AWS, below ``endpoint_url`` on an emulator.

    An emulator signs with the issuer of AWS but cannot serve that address, so the two differ there.
    """
    base = f"{endpoint_url.rstrip('/')}/{user_pool_id}" if endpoint_url else cognito_issuer(user_pool_id)
    return f"{base}/.well-known/jwks.json"


def fetch_jwks(url: str) -> dict[str, Any]:
    """Download a key set.

    Raises:
        ServiceUnavailable: The address does not answer within 3 s, or not with a JSON object.
    """
    try:
        with urllib.request.urlopen(url, timeout=_FETCH_TIMEOUT_S) as answer:  # noqa: S310 - from settings
            document = json.loads(answer.read(_MAX_JWKS_BYTES))
    except (OSError, ValueError) as error:
        raise ServiceUnavailable("The keys that sign access tokens cannot be fetched.") from error
    if not isinstance(document, dict):
        raise ServiceUnavailable("The keys that sign access tokens cannot be read.")
    return document


class JwksKeys:
    """The issuer's public keys, kept in memory.

    A key that is not known yet is looked for once more at the issuer, which covers its rotation of keys; but
    at most every ``min_refetch_s`` seconds, so that made-up key ids do not turn into traffic.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        fetch: Callable[[str], dict[str, Any]] = fetch_jwks,
        max_age_s: float = 3600,
        min_refetch_s: float = 30,
    ) -> None:
        self._url = url
        self._clock = clock
        self._fetch = fetch
        self._max_age = timedelta(seconds=max_age_s)
        self._min_refetch = timedelta(seconds=min_refetch_s)
        self._keys: dict[str, PyJWK] = {}
        self._tried_at: datetime | None = None

    def key(self, kid: str) -> PyJWK:
        """The public key of that id.

        Raises:
            TokenInvalid: The issuer has no such key.
            ServiceUnavailable: The issuer's keys were never fetched and cannot be now.
        """
        age = None if self._tried_at is None else self._clock.now() - self._tried_at
        known = self._keys.get(kid)
        if age is None or age >= self._max_age or (known is None and age >= self._min_refetch):
            self._refetch()
            known = self._keys.get(kid)
        if known is None:
            raise TokenInvalid("The access token is signed with a key that this platform does not know.")
        return known

    def _refetch(self) -> None:
        from jwt import PyJWKSet, PyJWTError

        try:
            try:
                found = PyJWKSet.from_dict(self._fetch(self._url))
            except PyJWTError as error:
                raise ServiceUnavailable("The keys that sign access tokens cannot be read.") from error
        except ServiceUnavailable:
            if not self._keys:
                raise
            # Known keys stay good while the issuer is away; the next try waits like any other.
        else:
            self._keys = {key.key_id: key for key in found.keys if key.key_id}
        self._tried_at = self._clock.now()


class CognitoTokenVerifier:
    """Verifies the access tokens that one client of one Cognito user pool was given.

    Another OIDC issuer needs another ``issuer`` and key address, and the same claims.
    """

    def __init__(
        self, *, issuer: str, client_id: str, keys: JwksKeys, clock: Clock, leeway_s: float = LEEWAY_S
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._keys = keys
        self._clock = clock
        self._leeway = timedelta(seconds=leeway_s)

    def verify(self, access_token: str) -> Claims:
        """Return what a genuine, current token says; see `ports.AccessTokenVerifier`."""
        payload = self._payload(access_token)
        if payload.get("token_use") != "access":
            raise TokenInvalid("This is not an access token; send the access_token of the sign-in.")
        if payload.get("client_id") != self._client_id:
            raise TokenInvalid("The access token was issued for another application.")
        try:
            claims = Claims(
                subject=str(payload["sub"]),
                username=str(payload["username"]),
                session_id=str(payload.get("origin_jti") or payload.get("jti") or ""),
                issued_at=datetime.fromtimestamp(int(payload["iat"]), UTC),
                expires_at=datetime.fromtimestamp(int(payload["exp"]), UTC),
            )
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            raise TokenInvalid("The access token lacks a claim that this platform needs.") from error
        if claims.expires_at + self._leeway <= self._clock.now():
            raise TokenExpired(
                f"The access token expired at {rfc3339(claims.expires_at)}. Refresh it or sign in again."
            )
        return claims

    def _payload(self, access_token: str) -> dict[str, Any]:
        """The claims of a token whose signature and issuer are right; expiry is checked by our own clock."""
        import jwt

        if len(access_token) > _MAX_TOKEN_CHARS:
            raise TokenInvalid("The access token is malformed.")
        try:
            header = jwt.get_unverified_header(access_token)
            payload: dict[str, Any] = jwt.decode(
                access_token,
                self._keys.key(str(header.get("kid", ""))),
                algorithms=["RS256"],
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "iss", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                },
            )
        except jwt.InvalidIssuerError as error:
            raise TokenInvalid("The access token was issued by somebody else.") from error
        except jwt.InvalidSignatureError as error:
            raise TokenInvalid("The access token's signature is wrong.") from error
        except jwt.PyJWTError as error:
            raise TokenInvalid("The access token is malformed.") from error
        return payload
