"""The Lambda authorizer of the REST API: who is asking?

The API uses this one function twice. ``Login`` names the Authorization header as its identity source, so that
API Gateway itself refuses a request without one. ``OptionalLogin`` (the public store) has no identity source:
a request without a token comes in here and passes as a visitor; a bad token is refused there as well.

A token comes as ``Bearer``; clients that know no tokens (Helm, curl) send ``Basic``, with a username and its
password, or with the username ``token`` and a token as the password. Three answers:

- *Allow* for the whole stage with ``user_id, username, role, owner_path, locale, session_id`` in its context.
  For the whole stage, because API Gateway caches the answer by token and not by route.
- *Deny* for what is not a token of this platform (malformed, forged, issued by or for somebody else) and for
  a wrong password. Such a request reaches no function.
- *Allow* without a user but with ``refusal`` (a code) and ``detail`` for a genuine token that is expired or
  revoked or whose user is disabled, and for logins that are tried too often: API Gateway cannot say which,
  so ``pitrix.http`` answers the 401 or 429. Should a function fail to look, it sees a visitor, never a user.

Never decides what a user may do: ``pitrix.identity.model.require`` does, in the services.
"""

from __future__ import annotations

from typing import Any

from pitrix import bootstrap
from pitrix.errors import RateLimited, Unauthenticated
from pitrix.identity.model import REFUSALS, Session, TokenInvalid

Event = dict[str, Any]


def handler(event: Event, _context: Any) -> dict[str, Any]:
    """Answer API Gateway's REQUEST authorizer event with a policy."""
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    if "authorization" not in headers:
        return _policy(event, "Allow", "anonymous", {})
    try:
        session = _session(headers["authorization"])
    except (Unauthenticated, RateLimited) as error:
        if error.code in REFUSALS:
            return _policy(event, "Allow", "refused", {"refusal": error.code, "detail": error.detail})
        return _policy(event, "Deny", "refused", {"code": error.code, "detail": error.detail})
    return _policy(event, "Allow", session.user.user_id, _context_of(session))


def _context_of(session: Session) -> dict[str, str]:
    user = session.user
    return {
        "user_id": user.user_id,
        "username": user.username,
        "role": user.role,
        "owner_path": user.owner_path,
        "locale": user.locale,
        "session_id": session.session_id,
    }


def _session(header: str) -> Session:
    scheme, _, given = header.strip().partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return bootstrap.identity().authenticate(given.strip())
    if scheme.lower() == "basic" and given.strip():
        return bootstrap.basic_logins().authenticate(given.strip())
    raise TokenInvalid("The Authorization header must read: Bearer <access token>.")


def _policy(event: Event, effect: str, principal_id: str, context: dict[str, str]) -> dict[str, Any]:
    """The answer for every route of the stage that was called (``arn:…:api-id/stage/*``)."""
    arn, _, path = str(event["methodArn"]).partition("/")
    stage = path.partition("/")[0]
    return {
        "principalId": principal_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{arn}/{stage}/*"},
            ],
        },
        "context": context,
    }
