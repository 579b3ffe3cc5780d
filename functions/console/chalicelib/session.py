"""Who the visitor is: the session's cookies, and the proof that a form was sent from this site.

The session is the identity context's own pair of tokens, in two HttpOnly cookies: there is no session store
and nothing to sign. Never checks a password or a token itself: `pitrix.identity` does.

Forged requests are kept out three times: SameSite cookies, the browser's own word on where a request comes
from (``Sec-Fetch-Site``, else ``Origin``), and a token in every form that only a page of this site can know.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from chalicelib.visit import Visit
from pitrix import bootstrap
from pitrix.errors import InvalidInput, PermissionDenied, Unauthenticated
from pitrix.identity.model import ANONYMOUS

if TYPE_CHECKING:
    from pitrix.identity.model import Tokens

ACCESS = "pitrix_access"
REFRESH = "pitrix_refresh"
FORM_COOKIE = "pitrix_form"
LANGUAGE = "pitrix_language"
THEME = "pitrix_theme"
#: Name of the hidden field that carries the form's token.
FORM_FIELD = "form_token"

#: As long as Cognito lets a refresh token live by default; the token ends the session earlier if it ends
#: earlier.
SESSION_S = 30 * 86_400
PREFERENCE_S = 365 * 86_400


def set_cookie(visit: Visit, name: str, value: str, *, max_age_s: int | None = None) -> None:
    """Have the answer carry a cookie: unreadable to scripts, not sent along by other sites' forms.

    Args:
        max_age_s: Seconds to keep it; ``None`` until the browser ends, 0 to delete it.
    """
    parts = [f"{name}={quote(value, safe='')}", f"Path={visit.base or '/'}", "HttpOnly", "SameSite=Lax"]
    if max_age_s is not None:
        parts.append(f"Max-Age={max_age_s}")
    if visit.secure:
        parts.append("Secure")
    visit.set_cookies = [each for each in visit.set_cookies if not each.startswith(f"{name}=")]
    visit.set_cookies.append("; ".join(parts))
    visit.cookies[name] = quote(value, safe="")


def cookie(visit: Visit, name: str) -> str:
    """The value of a cookie, empty when it was not sent."""
    return unquote(visit.cookies.get(name, ""))


def keep(visit: Visit, tokens: Tokens) -> None:
    """Begin, or prolong, the session."""
    set_cookie(visit, ACCESS, tokens.access_token, max_age_s=tokens.expires_in_s)
    if tokens.refresh_token:
        set_cookie(visit, REFRESH, tokens.refresh_token, max_age_s=SESSION_S)


def forget(visit: Visit) -> None:
    """End the session in this browser."""
    for name in (ACCESS, REFRESH):
        if visit.cookies.get(name):
            set_cookie(visit, name, "", max_age_s=0)
    visit.who = ANONYMOUS


def recognise(visit: Visit) -> None:
    """Set ``visit.who`` from the cookies; the refresh token buys a new access token when that one expired."""
    access, refresh = cookie(visit, ACCESS), cookie(visit, REFRESH)
    if not access and not refresh:
        return
    identity = bootstrap.identity()
    if access:
        try:
            visit.who = identity.authenticate(access).principal
            return
        except Unauthenticated:
            pass
    try:
        if not refresh:
            raise Unauthenticated("The session is over.")
        tokens = identity.refresh(refresh)
        visit.who = identity.authenticate(tokens.access_token).principal
        keep(visit, tokens)
    except (Unauthenticated, InvalidInput):  # also what was never a token of ours
        forget(visit)


def form_token(visit: Visit) -> str:
    """The token that every form of this page carries: bound to this browser and to who is signed in."""
    if not cookie(visit, FORM_COOKIE):
        set_cookie(visit, FORM_COOKIE, secrets.token_urlsafe(24))
    return hmac.new(
        cookie(visit, FORM_COOKIE).encode(), visit.who.user_id.encode(), hashlib.sha256
    ).hexdigest()


def refuse_forged(visit: Visit, *, public_url: str) -> None:
    """Let a POST pass only when it came from a page of this site.

    Raises:
        PermissionDenied: It came from elsewhere, or from a page that is older than the session.
    """
    fetched_from = visit.headers.get("sec-fetch-site", "")
    if fetched_from and fetched_from not in ("same-origin", "none"):
        raise PermissionDenied("The form was sent from another site.")
    origin = visit.headers.get("origin", "")
    if not fetched_from and origin and not _is_ours(origin, visit, public_url):
        raise PermissionDenied("The form was sent from another site.")
    given = visit.field(FORM_FIELD)
    if not cookie(visit, FORM_COOKIE) or not hmac.compare_digest(given.encode(), form_token(visit).encode()):
        raise PermissionDenied("The page is out of date. Go back, reload it, and send the form again.")


def _is_ours(origin: str, visit: Visit, public_url: str) -> bool:
    place = urlsplit(origin).netloc.lower()
    ours = {visit.headers.get("host", "").lower(), urlsplit(public_url).netloc.lower()} - {""}
    return place in ours
