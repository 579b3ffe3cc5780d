"""Signing in and out, and how the site looks: language and theme."""

from __future__ import annotations

from chalicelib import i18n, render, session
from chalicelib.visit import Reply, Visit, safe_next
from pitrix import bootstrap
from pitrix.errors import PitrixError, RateLimited, Unauthenticated

THEMES = ("light", "dark", "")


def sign_in_form(visit: Visit) -> Reply:
    """Ask for name and password; whoever is signed in already goes on."""
    target = safe_next(visit.query.get("next", "/"))
    if not visit.who.is_anonymous:
        return visit.redirect(target)
    return render.page(visit, "sign_in.html", next=target, username="", refused="")


def sign_in(visit: Visit) -> Reply:
    """Begin a session, or say why not; a wrong password answers 401 with the form."""
    target, username = safe_next(visit.field("next", "/")), visit.field("username")
    try:
        tokens = bootstrap.identity().sign_in(username, (visit.form.get("password") or [""])[0])
        # The authorizer may still refuse what Cognito accepts, such as a disabled account.
        bootstrap.identity().authenticate(tokens.access_token)
    except (Unauthenticated, RateLimited) as error:
        return render.page(
            visit,
            "sign_in.html",
            status=error.status,
            next=target,
            username=username,
            refused="sign_in.too_many" if isinstance(error, RateLimited) else "sign_in.refused",
        )
    session.keep(visit, tokens)
    return visit.redirect(target)


def sign_out(visit: Visit) -> Reply:
    """End the session here and at the issuer."""
    access, refresh = session.cookie(visit, session.ACCESS), session.cookie(visit, session.REFRESH)
    session.forget(visit)
    try:
        if access:
            bootstrap.identity().revoke(access, refresh or None)
    except PitrixError:
        pass  # an expired token has nothing left to end; this browser has forgotten it either way
    return visit.redirect("/")


def preferences(visit: Visit) -> Reply:
    """Remember language or theme, and come back to where the visitor was."""
    if visit.field("language") in i18n.LOCALES:
        session.set_cookie(visit, session.LANGUAGE, visit.field("language"), max_age_s=session.PREFERENCE_S)
    if "theme" in visit.form and visit.field("theme") in THEMES:
        session.set_cookie(visit, session.THEME, visit.field("theme"), max_age_s=session.PREFERENCE_S)
    return visit.redirect(safe_next(visit.field("next", "/")))
