"""Routes of the console: wraps a page so that Chalice can call it.

Owns what holds for every answer: who the visitor is, in which language, the guard against forged forms, errors
as designed pages, and the security headers. Never knows what a page shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from chalice.app import Chalice, Response

from chalicelib import i18n, render, session
from chalicelib.visit import FORM_TYPE, Reply, Visit, from_request
from pitrix import bootstrap
from pitrix.errors import PitrixError, Unauthenticated
from pitrix.http import CORRELATION_HEADER, configure_logging, correlation_id, log

Page = Callable[..., Reply]

#: Everything comes from this site; nothing is inline, so an injected script or style does not run.
POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "private, no-store",
}

_log = logging.getLogger("pitrix")


class Site:
    """The pages of one Chalice app."""

    def __init__(self, app: Chalice) -> None:
        self._app = app
        configure_logging()

    def page(self, path: str, *methods: str, public: bool = False) -> Callable[[Page], Page]:
        """Register a page, called with the `Visit` and the parts of its path.

        Args:
            methods: ``GET`` unless given.
            public: Shown to visitors who did not sign in; others are sent to the sign-in first.
        """

        def register(view: Page) -> Page:
            def answer(**arguments: str) -> Response:
                return self._answer(view, arguments, public=public)

            for method in methods or ("GET",):
                # Chalice refuses a body whose type it was not told of; a GET has none to refuse.
                content_types = [FORM_TYPE] if method == "POST" else []
                self._app.route(path, methods=[method], name=view.__name__, content_types=content_types)(answer)
            return view

        return register

    def _answer(self, view: Page, arguments: Mapping[str, str], *, public: bool) -> Response:
        request = self._app.current_request
        public_url = bootstrap.settings().public_url
        visit: Visit | None = None
        try:
            visit = from_request(request, public_url=public_url)
            visit.correlation = correlation_id(request)
            visit.locale = i18n.negotiate(session.cookie(visit, session.LANGUAGE),
                                          visit.headers.get("accept-language", ""))
            visit.theme = session.cookie(visit, session.THEME)
            session.recognise(visit)
            if visit.method == "POST":
                session.refuse_forged(visit, public_url=public_url)
            if visit.who.is_anonymous and not public:
                raise Unauthenticated("Sign in to see this page.")
            reply = view(visit, **{name: unquote(value) for name, value in arguments.items()})
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
        headers: dict[str, Any] = {**HEADERS, **reply.headers}
        if visit is not None:
            headers[CORRELATION_HEADER] = visit.correlation
            if visit.set_cookies:
                headers["Set-Cookie"] = list(visit.set_cookies)
        headers.setdefault("Content-Type", render.HTML)
        return Response(reply.body, headers, reply.status)
