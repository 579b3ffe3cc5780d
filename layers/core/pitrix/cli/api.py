"""The REST API as the commands use it: JSON in, JSON out, problem documents as `Refused`.

Owns: addresses, the bearer token and its renewal, paging, uploads. Never prints.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from pitrix.cli.failure import Failure, NotSignedIn, Refused, Unreachable, WrongUsage
from pitrix.cli.sessions import Sessions, SignIn

#: API Gateway gives up after 29 s.
_TIMEOUT = httpx.Timeout(35.0, connect=5.0)
_UPLOAD_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
#: Renew the access token this many seconds before it expires.
_RENEW_BEFORE_S = 30


def normalised(url: str) -> str:
    """The platform's address as sessions are kept by it: no path, no trailing slash, ``http://`` by default.

    Raises:
        WrongUsage: It is no HTTP address.
    """
    text = url.strip() if "://" in url else f"http://{url.strip()}"
    text = text.rstrip("/").removesuffix("/v1")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise WrongUsage(f"{url!r} is not the address of a platform.", hint="Such as http://127.0.0.1:8080.")
    return text


def is_private(url: str) -> bool:
    """Whether what is sent there can be read by nobody on the way: encrypted, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def segment(text: str) -> str:
    """One piece of a path, quoted."""
    return quote(text, safe="")


class Api:
    """One platform, as one user."""

    def __init__(
        self,
        url: str,
        sessions: Sessions,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            token: An access token to use instead of the remembered sign-in.
            transport: Where requests go in tests.
        """
        self.url = url
        self._sessions = sessions
        self._token = token
        self._transport = transport
        self._client = httpx.Client(
            base_url=f"{url}/v1",
            timeout=_TIMEOUT,
            transport=transport,
            headers={"Accept": "application/json", "User-Agent": f"pitrix-cli/{installed_version()}"},
        )

    # --- requests ------------------------------------------------------------------------------------------

    def get(self, path: str, **params: str | int | None) -> Any:
        """Answer of a GET; parameters that are None or empty are left out."""
        return self._authorized("GET", path, params=_given(params))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Answer of a POST. It carries an Idempotency-Key, so that sending it again cannot do it twice."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._authorized("POST", path, json=dict(body or {}), headers=headers)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Answer of a PATCH."""
        return self._authorized("PATCH", path, json=dict(body))

    def delete(self, path: str) -> None:
        """Send a DELETE."""
        self._authorized("DELETE", path)

    def items(self, path: str, *, at_most: int | None = None, **params: str | int | None) -> Iterator[Any]:
        """The items of a list, page by page, up to ``at_most``."""
        cursor: str | None = None
        left = at_most
        while True:
            limit = 100 if left is None else min(left, 100)
            page = self.get(path, **params, limit=limit, cursor=cursor)
            yield from page["items"]
            cursor = page.get("next_cursor")
            left = None if left is None else left - len(page["items"])
            if not cursor or (left is not None and left <= 0):
                return

    def upload(
        self, url: str, method: str, headers: Mapping[str, str], data: Iterator[bytes], size: int
    ) -> None:
        """Send a file to a presigned address; the address is the permission, no token goes with it.

        Raises:
            Failure: The storage refuses the file.
            Unreachable: It does not answer.
        """
        # With a length and not in chunks: S3 takes no chunked transfer.
        sent = {**headers, "Content-Length": str(size)}
        try:
            with httpx.Client(timeout=_UPLOAD_TIMEOUT, transport=self._transport) as client:
                answer = client.request(method, url, headers=sent, content=data)
        except httpx.HTTPError as error:
            raise Unreachable(f"The upload broke off: {error or type(error).__name__}.") from error
        if answer.is_error:
            raise Failure(f"The storage refused the upload with {answer.status_code}: {answer.text[:300]}")

    # --- sessions ------------------------------------------------------------------------------------------

    def sign_in(self, username: str, password: str) -> SignIn:
        """Exchange a password for tokens and remember them.

        Raises:
            Refused: Wrong username or password.
        """
        body = {"grant_type": "password", "username": username, "password": password}
        return self._keep(username, self._send("POST", "/tokens", json=body))

    def sign_out(self) -> bool:
        """End the session at the platform and forget it here; False when there was none."""
        known = self._sessions.get(self.url)
        if known is None:
            return False
        body = {"access_token": known.access_token, "refresh_token": known.refresh_token}
        try:
            self._send("POST", "/tokens/revoke", json=body)
        finally:
            self._sessions.forget(self.url)
        return True

    @property
    def signed_in(self) -> bool:
        """Whether requests carry a token."""
        return self._token is not None or self._sessions.get(self.url) is not None

    def _authorized(self, method: str, path: str, **request: Any) -> Any:
        """Send with the token; one that expired in between is renewed, once."""
        token = self._access_token()
        try:
            return self._send(method, path, token=token, **request)
        except Refused as error:
            known = self._sessions.get(self.url)
            if error.status != 401:
                raise
            if token is None:
                raise self._not_signed_in(error.detail) from error
            if self._token is not None or known is None or error.code != "token_expired":
                raise NotSignedIn(error.detail, hint="Sign in again: pitrix login") from error
            return self._send(method, path, token=self._renewed(known).access_token, **request)

    def _access_token(self) -> str | None:
        if self._token is not None:
            return self._token
        known = self._sessions.get(self.url)
        if known is None:
            return None
        if known.expires_at - _RENEW_BEFORE_S > time.time():
            return known.access_token
        return self._renewed(known).access_token

    def _renewed(self, known: SignIn) -> SignIn:
        body = {"grant_type": "refresh_token", "refresh_token": known.refresh_token}
        try:
            return self._keep(known.username, self._send("POST", "/tokens", json=body))
        except Refused as error:
            if error.status not in (400, 401):
                raise
            self._sessions.forget(self.url)
            raise NotSignedIn("Your session is over.", hint="Sign in again: pitrix login") from error

    def _keep(self, username: str, tokens: Any) -> SignIn:
        sign_in = SignIn(
            username=username,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
            expires_at=time.time() + int(tokens["expires_in_s"]),
        )
        self._sessions.put(self.url, sign_in)
        return sign_in

    def _not_signed_in(self, detail: str) -> NotSignedIn:
        return NotSignedIn(detail, hint=f"Sign in to {self.url} with: pitrix login")

    # --- transport -----------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, *, token: str | None = None, **request: Any) -> Any:
        headers = dict(request.pop("headers", None) or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = self._client.request(method, path, headers=headers, **request)
        except httpx.ConnectError as error:
            raise Unreachable(
                f"Nothing answers at {self.url}.",
                hint="Start the platform with ./infra/up, or name another one with --url or PITRIX_URL.",
            ) from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"{self.url} did not answer in time.", hint="Try again in a moment.") from error
        except httpx.HTTPError as error:
            raise Unreachable(
                f"The connection to {self.url} broke: {error or type(error).__name__}."
            ) from error
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> Any:
        if answer.status_code == 204 or (not answer.content and not answer.is_error):
            return None
        try:
            document = answer.json()
        except ValueError:
            raise Unreachable(
                f"What answers at {self.url} is not Pitrix: HTTP {answer.status_code}, "
                f"{answer.headers.get('content-type', 'no content type')}.",
                hint="Check --url or PITRIX_URL.",
            ) from None
        if not answer.is_error:
            return document
        raise Refused(answer.status_code, document if isinstance(document, dict) else {})


def _given(params: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value not in (None, "")}


def installed_version() -> str:
    """The version of this package; ``0`` in a checkout that is not installed."""
    try:
        return version("pitrix")
    except PackageNotFoundError:
        return "0"
