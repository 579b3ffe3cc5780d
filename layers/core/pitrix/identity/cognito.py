"""The password authority on Amazon Cognito.

Owns every call to ``cognito-idp`` and the translation of its errors. Never sees a user record. boto3 loads on
the first call. The pool's client has no secret, allows ``USER_PASSWORD_AUTH`` and ``REFRESH_TOKEN_AUTH`` and
hides whether a user exists (``PreventUserExistenceErrors: ENABLED``); ``template.yaml`` declares it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pitrix.errors import Conflict, FieldError, InvalidInput, NotFound, RateLimited, Unauthenticated
from pitrix.identity.model import Tokens

#: One sentence for every way a sign-in fails: an attacker learns nothing about which names exist.
SIGN_IN_REFUSED = "Wrong username or password."

_REFUSED = frozenset(
    {
        "NotAuthorizedException",
        "UserNotFoundException",
        "UserNotConfirmedException",
        "PasswordResetRequiredException",
    }
)
_THROTTLED = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "TooManyFailedAttemptsException"}
)


class CognitoPasswords:
    """`ports.PasswordAuthority` on one Cognito user pool."""

    def __init__(self, *, user_pool_id: str, client_id: str, connect: Callable[[], Any]) -> None:
        """Keep the names; ``connect`` makes the boto3 client of ``cognito-idp`` on first use."""
        self._pool = user_pool_id
        self._client_id = client_id
        self._connect = connect

    def sign_in(self, username: str, password: str) -> Tokens:
        """Exchange a password for tokens; see `ports.PasswordAuthority`."""
        try:
            answer = self._call(
                "initiate_auth",
                ClientId=self._client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        except _Refused as error:
            raise Unauthenticated(SIGN_IN_REFUSED) from error
        result = answer.get("AuthenticationResult")
        if not result:
            # A challenge (a second factor, a new password at first sign-in) has no place in this grant.
            raise Unauthenticated(SIGN_IN_REFUSED)
        return _tokens(result, refresh_token=result["RefreshToken"])

    def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for a new access token; see `ports.PasswordAuthority`."""
        try:
            answer = self._call(
                "initiate_auth",
                ClientId=self._client_id,
                AuthFlow="REFRESH_TOKEN_AUTH",
                AuthParameters={"REFRESH_TOKEN": refresh_token},
            )
        except _Refused as error:
            raise Unauthenticated(
                "The refresh token is not valid any more. Sign in with the password."
            ) from error
        result = answer["AuthenticationResult"]
        return _tokens(result, refresh_token=result.get("RefreshToken") or refresh_token)

    def revoke(self, refresh_token: str) -> None:
        """End a refresh token; one that is unknown or malformed is ended already."""
        try:
            self._call("revoke_token", ClientId=self._client_id, Token=refresh_token)
        except (_Refused, InvalidInput):
            return

    def subject_of(self, username: str) -> str | None:
        """Cognito's ``sub`` of the user, or None."""
        try:
            found = self._call("admin_get_user", UserPoolId=self._pool, Username=username)
        except _Refused:
            return None
        return _subject(found["UserAttributes"])

    def create(self, username: str, password: str) -> str:
        """Make an account with a permanent password; no mail is sent."""
        made = self._call(
            "admin_create_user", UserPoolId=self._pool, Username=username, MessageAction="SUPPRESS"
        )
        try:
            self.set_password(username, password)
        except Exception:
            self.delete(username)  # an account that nobody can enter must not block the name
            raise
        return _subject(made["User"]["Attributes"])

    def set_password(self, username: str, password: str) -> None:
        """Replace the password for good."""
        self._admin("admin_set_user_password", username, Password=password, Permanent=True)

    def set_enabled(self, username: str, enabled: bool) -> None:
        """Let the user sign in, or not."""
        self._admin("admin_enable_user" if enabled else "admin_disable_user", username)

    def sign_out_everywhere(self, username: str) -> None:
        """End all refresh tokens of the user."""
        self._admin("admin_user_global_sign_out", username)

    def delete(self, username: str) -> None:
        """Remove the account if it exists."""
        try:
            self._call("admin_delete_user", UserPoolId=self._pool, Username=username)
        except _Refused:
            return

    def _admin(self, operation: str, username: str, **arguments: Any) -> None:
        try:
            self._call(operation, UserPoolId=self._pool, Username=username, **arguments)
        except _Refused as error:
            raise NotFound(f"The user {username!r} has no account at the password authority.") from error

    @functools.cached_property
    def _client(self) -> Any:
        return self._connect()

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call Cognito and translate what it refuses; all else is our mistake and stays a ClientError."""
        from botocore.exceptions import ClientError, ParamValidationError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
            return answer
        except ParamValidationError as error:
            raise InvalidInput("The password authority refuses the request: a value is malformed.") from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            message = error.response["Error"].get("Message", "")
            if code in _THROTTLED or "attempts exceeded" in message:
                raise RateLimited("Too many attempts. Wait a few minutes.") from error
            if code in _REFUSED:
                raise _Refused(code) from error
            if code == "UsernameExistsException":
                raise Conflict("The username is taken.") from error
            if code == "InvalidPasswordException":
                raise InvalidInput(
                    "The password is not good enough.", errors=[FieldError("password", message)]
                ) from error
            if code in ("InvalidParameterException", "UnsupportedTokenTypeException"):
                raise InvalidInput(f"The password authority refuses the request: {message}") from error
            raise


class _Refused(Exception):
    """Cognito says no, or knows no such user; the caller says it in its own words."""


def _tokens(result: dict[str, Any], *, refresh_token: str) -> Tokens:
    return Tokens(
        access_token=result["AccessToken"],
        refresh_token=refresh_token,
        expires_in_s=int(result["ExpiresIn"]),
        token_type=result.get("TokenType", "Bearer"),
    )


def _subject(attributes: list[dict[str, str]]) -> str:
    return next(attribute["Value"] for attribute in attributes if attribute["Name"] == "sub")
