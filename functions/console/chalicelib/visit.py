"""One request as the pages see it, and the answers they may give.

Owns `Visit` (what came in, who came, in which language, under which prefix the site is mounted) and `Reply`.
Never calls a service and never renders: ``site`` builds visits and sends replies.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from chalice.app import Request

from pitrix.errors import InvalidInput
from pitrix.identity.model import ANONYMOUS, Principal

FORM_TYPE = "application/x-www-form-urlencoded"
#: Fields in one form; a package's form has at most a few hundred.
MAX_FORM_FIELDS = 2_000


@dataclass
class Reply:
    """What a page answers: HTML (or another text), a redirect, or a file."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Visit:
    """One request.

    Attributes:
        base: Prefix of every address of the site: ``""``, or the stage of an API without a domain, ``/live``.
        secure: The visitor came over https, so that cookies may be marked ``Secure``.
        host: Host (and port) of the site, as the visitor typed it.
        locale: ``en`` or ``zh-cn``.
        theme: ``light``, ``dark``, or ``""`` for what the system prefers.
        who: The visitor, `ANONYMOUS` until ``site`` has read the session.
        set_cookies: ``Set-Cookie`` values which the answer will carry.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw_body: str
    base: str = ""
    secure: bool = False
    host: str = ""
    locale: str = "en"
    theme: str = ""
    who: Principal = ANONYMOUS
    correlation: str = ""
    set_cookies: list[str] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)

    @cached_property
    def form(self) -> dict[str, list[str]]:
        """The fields of a posted form, each with all its values; blanks are kept.

        Raises:
            InvalidInput: More fields than any form of this site has.
        """
        try:
            return parse_qs(self.raw_body, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
        except ValueError:
            raise InvalidInput("The form has too many fields.") from None

    def field(self, name: str, default: str = "") -> str:
        """The first value of one field of the form, without surrounding blanks."""
        return (self.form.get(name) or [default])[0].strip()

    @property
    def by_htmx(self) -> bool:
        """htmx asks, and wants a fragment of a page."""
        return self.headers.get("hx-request") == "true"

    @property
    def here(self) -> str:
        """Path and query of this request, for coming back to it."""
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")

    def url(self, path: str, **query: Any) -> str:
        """The address of ``path`` of this site; parameters that are ``None`` or empty are left out."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return self.base + path + (f"?{urlencode(given)}" if given else "")

    def full_url(self, path: str) -> str:
        """The address of ``path`` with scheme and host, for other programs than the visitor's browser."""
        return f"{'https' if self.secure else 'http'}://{self.host}{self.url(path)}"

    def redirect(self, path: str, **query: Any) -> Reply:
        """Send the browser to ``path`` of this site with a GET; htmx is told to move the whole page."""
        target = self.url(path, **query)
        if self.by_htmx:
            return Reply(status=204, headers={"HX-Redirect": target})
        return Reply(status=303, headers={"Location": target})


def safe_next(target: str) -> str:
    """``target`` if it is a path of this very site, else ``/``: a sign-in link must not lead elsewhere.

    A browser reads ``//host`` and ``/\\host`` as another host, and drops tabs and line ends before it looks.
    """
    if not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    if "\\" in target or any(ord(char) < 0x20 or ord(char) == 0x7F for char in target):
        return "/"
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else "/"


def from_request(request: Request, *, public_url: str) -> Visit:
    """Read a request of API Gateway.

    Args:
        public_url: Address of the site as visitors type it; empty where API Gateway's own is used.
    """
    event = request.to_original_event()
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    path = event.get("path") or "/"
    base, secure = _mounted(public_url, path, request.context.get("path") or path, headers)
    return Visit(
        method=request.method,
        path=path,
        query=event.get("queryStringParameters") or {},
        headers=headers,
        raw_body=_text(event),
        base=base,
        secure=secure,
        host=urlsplit(public_url).netloc or headers.get("host", ""),
        cookies=_cookies(headers.get("cookie", "")),
    )


def _mounted(public_url: str, path: str, full_path: str, headers: Mapping[str, str]) -> tuple[str, bool]:
    """The prefix of the site's addresses, and whether it is reached over https."""
    if public_url:
        address = urlsplit(public_url)
        return address.path.rstrip("/"), address.scheme == "https"
    # API Gateway says "/live/store" in the context and "/store" in the event; behind a custom domain both are
    # equal.
    base = full_path[: -len(path)] if full_path.endswith(path) else ""
    return base.rstrip("/"), headers.get("x-forwarded-proto", "https") == "https"


def _text(event: Mapping[str, Any]) -> str:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body)
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidInput("The form is not text.") from None


def _cookies(header: str) -> dict[str, str]:
    """The cookies sent; one malformed pair must not lose the others."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        try:
            found.update({name: morsel.value for name, morsel in SimpleCookie(pair.strip()).items()})
        except CookieError:
            continue
    return found
