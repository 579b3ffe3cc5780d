"""What the identity context needs of the world: user records, a keeper of passwords, a verifier of tokens.

Owns the interfaces and their contracts; never implements them. ``dynamo.py`` keeps the records,
``cognito.py`` the passwords, ``tokens.py`` verifies.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pitrix.identity.model import Claims, Tokens, User


class PasswordAuthority(Protocol):
    """Holds the passwords and issues the tokens. Usernames arrive in lower case."""

    def sign_in(self, username: str, password: str) -> Tokens:
        """Exchange a password for tokens.

        Raises:
            Unauthenticated: No such user, wrong password or a disabled account: which one is not told.
            RateLimited: Too many attempts.
        """
        ...

    def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for a new access token; the refresh token stays the same.

        Raises:
            Unauthenticated: The refresh token is unknown, expired or revoked.
            RateLimited: Too many attempts.
        """
        ...

    def revoke(self, refresh_token: str) -> None:
        """End a refresh token. One that is unknown or ended already is no error."""
        ...

    def subject_of(self, username: str) -> str | None:
        """The authority's stable id of the user, or None if it does not know the name."""
        ...

    def create(self, username: str, password: str) -> str:
        """Make an account that can sign in at once, and return its subject.

        Raises:
            Conflict: The name is taken.
            InvalidInput: The password breaks the policy; the message says how.
        """
        ...

    def set_password(self, username: str, password: str) -> None:
        """Replace the password.

        Raises:
            InvalidInput: The password breaks the policy; the message says how.
        """
        ...

    def set_enabled(self, username: str, enabled: bool) -> None:
        """Let the user sign in, or not."""
        ...

    def sign_out_everywhere(self, username: str) -> None:
        """End all refresh tokens of the user."""
        ...

    def delete(self, username: str) -> None:
        """Remove the account. One that does not exist is no error."""
        ...


class UserStore(Protocol):
    """The user records and the list of ended sessions."""

    def get(self, username: str) -> User | None:
        """The record of that name."""
        ...

    def get_by_id(self, user_id: str) -> User | None:
        """The record of that id."""
        ...

    def page(self, owner_path: str, *, limit: int, cursor: str | None) -> tuple[list[User], str | None]:
        """Users at or below an owner path in the order of path and name, and the next cursor.

        Raises:
            InvalidInput: The cursor is broken or belongs to another list.
        """
        ...

    def add(self, user: User) -> User:
        """Store a new record.

        Raises:
            Conflict: The name or the id is taken.
        """
        ...

    def save(self, user: User) -> User:
        """Store a changed record and return it with its new version.

        Raises:
            Conflict: It changed since ``user`` was read.
        """
        ...

    def remove(self, user: User) -> None:
        """Forget a record."""
        ...

    def end_session(self, session_id: str, *, until: datetime) -> None:
        """Remember that a session is over for as long as a token of it could live."""
        ...

    def is_session_ended(self, session_id: str) -> bool:
        """Whether `end_session` was called for this session."""
        ...


class AccessTokenVerifier(Protocol):
    """Tells genuine access tokens from others."""

    def verify(self, access_token: str) -> Claims:
        """Return what a genuine, current token says.

        Raises:
            TokenInvalid: Malformed, forged, or issued by or for somebody else.
            TokenExpired: Genuine, but too old.
        """
        ...
