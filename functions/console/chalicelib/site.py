"""Routes of the console: wraps a page so that Chalice can call it.

Owns what holds for every answer: who the visitor is, in which language, the guard against forged forms,
errors as designed pages, and the security headers. Never knows what a page shows.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from chalice.app import Chalice, Response

from chalicelib import i18n, render, session
from chalicelib.visit import FORM_TYPE, Reply, Visit, from_request
from pitrix import bootstrap
from pitrix.errors import PitrixError, Unauthenticated
from pitrix.http import CORRELATION_HEADER, configure_logging, correlation_id, log

Page = Callable[..., Reply]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "private, no-store",
}

_log = logging.getLogger("pitrix")


@functools.cache
def policy() -> str:
    """The Content-Security-Policy: all comes from this site, and icons from the catalog's bucket besides.

    Nothing is inline, so an injected script or style does not run.
    """
    settings = bootstrap.settings()
    if settings.endpoint_url:
        address = urlsplit(settings.endpoint_url)
        pictures = [f"{address.scheme}://{address.netloc}"]
    else:
        regions = ("", f"{settings.region}.") if settings.bucket_catalog else ()
        pictures = [f"https://{settings.bucket_catalog}.s3.{region}amazonaws.com" for region in regions]
    sources = " ".join(["'self'", *pictures])
    return (
        f"default-src 'self'; img-src {sources}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def load(page: str) -> Page:
    """The function behind ``module.function`` of ``chalicelib.pages``."""
    module, _, function = page.partition(".")
    found: Page = getattr(import_module(f"chalicelib.pages.{module}"), function)
    return found


class Site:
    """The pages of one Chalice app."""

    def __init__(self, app: Chalice) -> None:
        self._app = app
        configure_logging()

    def route(self, path: str, methods: str, page: str, *, public: bool = False) -> None:
        """Register a page, called with the `Visit` and the parts of its path.

        Args:
            methods: One or more, such as ``"GET POST"``.
            page: Module of ``pages`` and function in it (``"store.app_page"``), imported at its first
            request: a
                cold start pays for one page and not for all.
            public: Shown to visitors who did not sign in; others are sent to the sign-in first.
        """

        def answer(**arguments: str) -> Response:
            return self._answer(page, arguments, public=public)

        for method in methods.split():
            # Chalice refuses a body whose type it was not told of; a GET has none to refuse.
            content_types = [FORM_TYPE] if method == "POST" else []
            self._app.route(path, methods=[method], name=page, content_types=content_types)(answer)

    def _answer(self, page: str, arguments: Mapping[str, str], *, public: bool) -> Response:
        request = self._app.current_request
        assert request is not None  # Chalice sets it before it calls a view
        public_url = bootstrap.settings().public_url
        visit: Visit | None = None
        try:
            visit = from_request(request, public_url=public_url)
            visit.correlation = correlation_id(request)
            visit.locale = i18n.negotiate(
                session.cookie(visit, session.LANGUAGE), visit.headers.get("accept-language", "")
            )
            visit.theme = session.cookie(visit, session.THEME)
            session.recognise(visit)
            if visit.method == "POST":
                session.refuse_forged(visit, public_url=public_url)
            if visit.who.is_anonymous and not public:
                raise Unauthenticated("Sign in to see this page.")
            reply = load(page)(visit, **{name: unquote(value) for name, value in arguments.items()})
        except Exception as error:  # the last line of defence: whatever broke becomes a designed page
            reply = self._problem(visit, error, path=request.path)
        return self._sent(visit, reply)

    def _problem(self, visit: Visit | None, error: Exception, *, path: str) -> Reply:
        correlation = visit.correlation if visit else "none"
        if not isinstance(error, PitrixError):
            _log.exception("unexpected error")
            log(logging.ERROR, "page failed", correlation, path=path)
            error = PitrixError(f"Something broke on our side; it is logged under {correlation}.")
        else:
            level = logging.ERROR if error.status >= 500 else logging.INFO
            log(level, "page refused", correlation, code=error.code, detail=error.detail, path=path)
        if visit is None:
            return Reply(error.detail, error.status, {"Content-Type": "text/plain; charset=utf-8"})
        if isinstance(error, Unauthenticated):
            came_from = visit.here if visit.method == "GET" and not visit.by_htmx else ""
            return visit.redirect("/sign-in", next=came_from)
        template = "problem_fragment.html" if visit.by_htmx else "problem.html"
        return render.page(visit, template, status=error.status, problem=error)

    @staticmethod
    def _sent(visit: Visit | None, reply: Reply) -> Response:
        headers: dict[str, Any] = {"Content-Security-Policy": policy(), **HEADERS, **reply.headers}
        if visit is not None:
            headers[CORRELATION_HEADER] = visit.correlation
            if visit.set_cookies:
                headers["Set-Cookie"] = list(visit.set_cookies)
        headers.setdefault("Content-Type", render.HTML)
        return Response(reply.body, headers, reply.status)
