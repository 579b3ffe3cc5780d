"""The identity service on a table, a user pool and a key set in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from pitrix import bootstrap
from pitrix.clock import FixedClock
from pitrix.identity.dynamo import TableUserStore
from pitrix.identity.model import User
from pitrix.identity.service import IdentityService
from pitrix.identity.tokens import CognitoTokenVerifier, JwksKeys, cognito_issuer
from pitrix.table import MemoryTable
from tests.unit.identity.fakes import (
    CLIENT_ID,
    PASSWORD,
    POOL_ID,
    START,
    TOKEN_LIFE_S,
    Issuer,
    MemoryPool,
    public_jwk,
)


@pytest.fixture(scope="session")
def signing_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def other_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def issue(signing_key: RSAPrivateKey, clock: FixedClock) -> Callable[..., str]:
    """Make an access token as the pool does; keyword arguments replace claims, None leaves one out."""

    def make(key: Any = signing_key, kid: str = "k1", algorithm: str = "RS256", **claims: Any) -> str:
        now = int(clock.now().timestamp())
        payload = {
            "sub": "sub-1",
            "iss": cognito_issuer(POOL_ID),
            "client_id": CLIENT_ID,
            "token_use": "access",
            "username": "alice",
            "origin_jti": "session-1",
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid})

    return make


@pytest.fixture
def issuer(signing_key: RSAPrivateKey) -> Issuer:
    return Issuer([public_jwk(signing_key, "k1")])


@pytest.fixture
def verifier(issuer: Issuer, clock: FixedClock) -> CognitoTokenVerifier:
    keys = JwksKeys("https://keys", clock=clock, fetch=issuer)
    return CognitoTokenVerifier(issuer=cognito_issuer(POOL_ID), client_id=CLIENT_ID, keys=keys, clock=clock)


@pytest.fixture
def pool(issue: Callable[..., str]) -> MemoryPool:
    return MemoryPool(issue)


@pytest.fixture
def users() -> TableUserStore:
    return TableUserStore(MemoryTable())


@pytest.fixture
def identity(
    users: TableUserStore, pool: MemoryPool, verifier: CognitoTokenVerifier, clock: FixedClock
) -> IdentityService:
    return IdentityService(users=users, passwords=pool, verifier=verifier, clock=clock)


@pytest.fixture
def operator(identity: IdentityService) -> User:
    return identity.ensure_user("root", "operator", PASSWORD, ":")


@pytest.fixture
def alice(identity: IdentityService) -> User:
    return identity.ensure_user("alice", "user", PASSWORD, ":acme:")


@pytest.fixture
def deployed(identity: IdentityService) -> Iterator[IdentityService]:
    """The service in the place where the handlers look for it."""
    with bootstrap.override("identity", identity):
        yield identity
