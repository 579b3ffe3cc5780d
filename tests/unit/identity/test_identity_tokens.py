"""Only current access tokens of this pool and this client pass, and made-up keys cost no traffic."""

from __future__ import annotations

import base64
import hmac
import io
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pitrix.clock import FixedClock
from pitrix.errors import ServiceUnavailable
from pitrix.identity.model import TokenExpired, TokenInvalid
from pitrix.identity.tokens import (
    LEEWAY_S,
    CognitoTokenVerifier,
    cognito_issuer,
    cognito_jwks_url,
    fetch_jwks,
)
from tests.unit.identity.fakes import POOL_ID, START, TOKEN_LIFE_S, Issuer, public_jwk

Issue = Callable[..., str]


def test_a_genuine_token_tells_who_and_until_when(verifier: CognitoTokenVerifier, issue: Issue) -> None:
    claims = verifier.verify(issue())
    assert (claims.subject, claims.username, claims.session_id) == ("sub-1", "alice", "session-1")
    assert claims.issued_at == START
    assert claims.expires_at == START + timedelta(seconds=TOKEN_LIFE_S)


def test_an_expired_token_is_refused_with_its_time_after_the_leeway(
    verifier: CognitoTokenVerifier, issue: Issue, clock: FixedClock
) -> None:
    token = issue()
    clock.advance(TOKEN_LIFE_S + LEEWAY_S - 1)
    verifier.verify(token)
    clock.advance(1)
    with pytest.raises(TokenExpired, match=r"2026-11-22T11:00:00\.000Z"):
        verifier.verify(token)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": cognito_issuer("eu-west-1_Other")}, "issued by somebody else"),
        ({"client_id": "other"}, "another application"),
        ({"client_id": None}, "another application"),
        ({"token_use": "id"}, "not an access token"),
        ({"exp": None}, "malformed"),
        ({"sub": None}, "malformed"),
        ({"username": None}, "lacks a claim"),
        ({"exp": "soon"}, "lacks a claim|malformed"),
        ({"exp": 10**20}, "lacks a claim"),
    ],
)
def test_a_token_of_somebody_else_or_for_something_else_is_refused(
    verifier: CognitoTokenVerifier, issue: Issue, claims: dict[str, Any], message: str
) -> None:
    with pytest.raises(TokenInvalid, match=message):
        verifier.verify(issue(**claims))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é.é.é", "eyJhbGciOiJSUzI1NiJ9.e30.", "." * 9000])
def test_what_is_no_token_at_all_is_refused(verifier: CognitoTokenVerifier, text: str) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(text)


def test_a_forged_signature_is_refused(
    verifier: CognitoTokenVerifier, issue: Issue, other_key: RSAPrivateKey
) -> None:
    with pytest.raises(TokenInvalid, match="signature is wrong"):
        verifier.verify(issue(key=other_key))


def test_an_altered_payload_is_refused(verifier: CognitoTokenVerifier, issue: Issue) -> None:
    head, _, signature = issue().split(".")
    _, payload, _ = issue(username="root").split(".")
    with pytest.raises(TokenInvalid, match="signature is wrong"):
        verifier.verify(f"{head}.{payload}.{signature}")


def test_no_other_algorithm_is_accepted(
    verifier: CognitoTokenVerifier, issue: Issue, signing_key: RSAPrivateKey
) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(issue(key="", algorithm="none"))
    # The old confusion: the published key used as the secret of a symmetric signature. PyJWT will not make
    # such a token, so it is made by hand.
    secret = signing_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    payload = issue().split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"k1"}').rstrip(b"=").decode()
    mac = hmac.digest(secret, f"{head}.{payload}".encode(), "sha256")
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    with pytest.raises(TokenInvalid):
        verifier.verify(f"{head}.{payload}.{signature}")


def test_keys_are_fetched_once(verifier: CognitoTokenVerifier, issue: Issue, issuer: Issuer) -> None:
    for _ in range(5):
        verifier.verify(issue())
    assert issuer.asked == 1


def test_made_up_key_ids_do_not_become_traffic(
    verifier: CognitoTokenVerifier, issue: Issue, issuer: Issuer, clock: FixedClock
) -> None:
    verifier.verify(issue())
    clock.advance(29)
    for number in range(20):
        with pytest.raises(TokenInvalid, match="key that this platform does not know"):
            verifier.verify(issue(kid=f"made-up-{number}"))
    assert issuer.asked == 1


def test_a_new_key_of_the_issuer_is_found(
    verifier: CognitoTokenVerifier, issue: Issue, issuer: Issuer, clock: FixedClock, other_key: RSAPrivateKey
) -> None:
    verifier.verify(issue())
    issuer.keys.append(public_jwk(other_key, "k2"))
    clock.advance(30)
    assert verifier.verify(issue(key=other_key, kid="k2")).username == "alice"
    assert issuer.asked == 2


def test_a_withdrawn_key_is_forgotten_within_the_hour(
    verifier: CognitoTokenVerifier,
    issue: Issue,
    issuer: Issuer,
    clock: FixedClock,
    other_key: RSAPrivateKey,
) -> None:
    verifier.verify(issue())
    issuer.keys[:] = [public_jwk(other_key, "k2")]
    clock.advance(3600)
    with pytest.raises(TokenInvalid):
        verifier.verify(issue())


def test_known_keys_outlive_an_absent_issuer(
    verifier: CognitoTokenVerifier, issue: Issue, issuer: Issuer, clock: FixedClock
) -> None:
    verifier.verify(issue())
    clock.advance(4000)
    issuer.away = ServiceUnavailable("away")
    verifier.verify(issue())
    clock.advance(4000)
    issuer.away, issuer.keys = None, []  # it answers, but not with keys
    verifier.verify(issue())
    assert issuer.asked == 3


def test_without_any_key_the_fault_is_not_the_tokens(
    verifier: CognitoTokenVerifier, issue: Issue, issuer: Issuer
) -> None:
    issuer.away = ServiceUnavailable("away")
    with pytest.raises(ServiceUnavailable):
        verifier.verify(issue())
    issuer.away = None
    verifier.verify(issue())


def test_the_keys_lie_below_the_issuer_on_aws_and_at_the_endpoint_on_an_emulator() -> None:
    assert cognito_jwks_url(POOL_ID, None) == (
        "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Pool/.well-known/jwks.json"
    )
    assert cognito_jwks_url(POOL_ID, "http://127.0.0.1:4566/") == (
        "http://127.0.0.1:4566/eu-west-1_Pool/.well-known/jwks.json"
    )


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b""])
def test_an_answer_that_is_no_key_set_is_the_platforms_fault(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(answer))
    with pytest.raises(ServiceUnavailable):
        fetch_jwks("https://keys")


def test_importing_the_module_loads_no_cryptography() -> None:
    script = "import sys, pitrix.identity.tokens, pitrix.identity.service; print('jwt' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert out.stdout.strip() == "False"
    assert "jwt" in sys.modules  # and this process has it, so the check above means something
