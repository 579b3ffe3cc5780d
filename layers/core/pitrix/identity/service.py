"""Sign-in, sessions and user records.

Owns: what a sign-in and a request's token must pass, and the administration of users. Never stores a password
and never parses a token itself: the ports do. Every other context meets this one as a `Principal`.

Next: ``model.py`` for permissions, ``functions/identity`` for the HTTP side and the authorizer.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import Conflict, FieldError, InvalidInput, NotFound, PreconditionFailed, Unauthenticated
from pitrix.identity.model import (
    BUILT_IN_ROLES,
    LOCALES,
    OPERATOR,
    ROOT_PATH,
    Principal,
    Role,
    Session,
    TokenExpired,
    TokenRevoked,
    Tokens,
    User,
    UserDisabled,
    UserStatus,
    check_owner_path,
    require,
    require_owned,
)
from pitrix.identity.ports import AccessTokenVerifier, PasswordAuthority, UserStore

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,62}")
#: Names that audit trails use for nobody and for the platform.
_RESERVED = frozenset({"anonymous", "system"})
#: Cognito takes up to 256 characters.
_MAX_PASSWORD_CHARS = 256


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """An account to make.

    Attributes:
        owner_path: Defaults to a branch of its own, ``:<user id>:``.
    """

    username: str
    password: str
    role: str = "user"
    owner_path: str | None = None
    locale: str = "en"


@dataclass(frozen=True, kw_only=True)
class UserChange:
    """What of a user's record an operator may change; None leaves it as it is."""

    role: str | None = None
    owner_path: str | None = None
    locale: str | None = None
    status: UserStatus | None = None


class IdentityService:
    """The use cases of the identity context."""

    def __init__(
        self, *, users: UserStore, passwords: PasswordAuthority, verifier: AccessTokenVerifier, clock: Clock
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._verifier = verifier
        self._clock = clock

    # --- sessions ------------------------------------------------------------------------------------------

    def sign_in(self, username: str, password: str) -> Tokens:
        """Exchange a username and a password for tokens.

        Raises:
            Unauthenticated: Refused, in the same words whether the user exists or not.
            RateLimited: Too many attempts.
        """
        name = username.strip().lower()
        if not _USERNAME.fullmatch(name) or not 0 < len(password) <= _MAX_PASSWORD_CHARS:
            raise Unauthenticated(_SIGN_IN_REFUSED)
        try:
            return self._passwords.sign_in(name, password)
        except Unauthenticated as error:
            raise Unauthenticated(_SIGN_IN_REFUSED) from error

    def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for a new access token.

        Raises:
            Unauthenticated: The refresh token is unknown, expired or revoked.
        """
        return self._passwords.refresh(refresh_token)

    def authenticate(self, access_token: str) -> Session:
        """Return the session that an access token stands for: two reads, and no call once keys are known.

        Raises:
            TokenInvalid: Malformed, forged, of another pool or client, or of a user who is no more.
            TokenExpired: Too old.
            TokenRevoked: Its session ended: sign-out, a new password, or an operator.
            UserDisabled: Its user may not act any more.
        """
        claims = self._verifier.verify(access_token)
        user = self._users.get(claims.username)
        # A name may be given anew after a user was deleted; the subject may not.
        if user is None or user.subject != claims.subject:
            raise TokenRevoked("The user of this access token does not exist any more.")
        if user.status is not UserStatus.ACTIVE:
            raise UserDisabled(f"The account {user.username!r} is disabled. Ask an operator of the platform.")
        # Tokens carry whole seconds: one issued in the very second of the sign-out lives on.
        signed_out_at = user.signed_out_at
        if signed_out_at is not None and claims.issued_at < signed_out_at.replace(microsecond=0):
            raise TokenRevoked("The session was ended: the password changed, or an operator ended it.")
        if self._users.is_session_ended(claims.session_id):
            raise TokenRevoked("The session was ended by signing out. Sign in again.")
        return Session(user=user, session_id=claims.session_id, expires_at=claims.expires_at)

    def revoke(self, access_token: str | None = None, refresh_token: str | None = None) -> None:
        """Sign out: end a refresh token, and the session of an access token with all tokens of it.

        A token that is over already is no error: the caller has what he wanted.

        Raises:
            InvalidInput: Neither token is given.
            TokenInvalid: The access token is not genuine.
        """
        if not access_token and not refresh_token:
            raise InvalidInput(
                "Nothing to revoke.",
                errors=[FieldError("refresh_token", "Give the refresh_token, the access_token, or both.")],
            )
        if refresh_token:
            self._passwords.revoke(refresh_token)
        if not access_token:
            return
        try:
            claims = self._verifier.verify(access_token)
        except TokenExpired:
            return
        # An hour more than the token at hand: the session's newest token may have been issued after it.
        until = max(claims.expires_at, self._clock.now()) + (claims.expires_at - claims.issued_at)
        self._users.end_session(claims.session_id, until=until)

    def me(self, who: Principal) -> User:
        """The record of the one who asks.

        Raises:
            Unauthenticated: Nobody is signed in.
        """
        if who.is_anonymous:
            raise Unauthenticated("Sign in first: this needs an access token.")
        return self._by_id(who.user_id)

    # --- users ---------------------------------------------------------------------------------------------

    def list_users(
        self, who: Principal, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[User], str | None]:
        """The users at or below the asker's owner path."""
        require(who, "identity", "read")
        return self._users.page(who.owner_path, limit=limit, cursor=cursor)

    def get_user(self, who: Principal, user_id: str) -> User:
        """One user; everyone may read the own record.

        Raises:
            NotFound: No such user, or not the asker's.
        """
        if who.user_id != user_id or who.is_anonymous:
            require(who, "identity", "read")
        return self._owned(who, user_id)

    def create_user(self, who: Principal, new: NewUser) -> User:
        """Make an account that can sign in at once.

        Raises:
            InvalidInput: A field is malformed, or the password breaks the policy.
            Conflict: The username is taken.
            NotFound: The owner path is not below the asker's.
        """
        require(who, "identity", "create")
        user = self._new(new)
        require_owned(who, user.owner_path, f"The owner path {user.owner_path!r}")
        if self._users.get(user.username) is not None:
            raise Conflict(f"The username {user.username!r} is taken.")
        subject = self._passwords.create(user.username, new.password)
        try:
            return self._users.add(replace(user, subject=subject))
        except Exception:
            self._passwords.delete(user.username)  # no account without a record
            raise

    def update_user(
        self, who: Principal, user_id: str, change: UserChange, *, version: int | None = None
    ) -> User:
        """Change a record. Disabling a user or changing its role or place ends all its sessions.

        Args:
            version: The version the change was made against, from ``If-Match``; None takes whatever there is.

        Raises:
            PreconditionFailed: The record has another version by now.
            Conflict: The operator would lock himself out.
        """
        require(who, "identity", "update")
        user = self._owned(who, user_id)
        if version is not None and version != user.version:
            raise PreconditionFailed("The user was changed since you read it. Read it again.")
        changed = replace(
            user,
            role=_checked_role(change.role) if change.role is not None else user.role,
            owner_path=check_owner_path(change.owner_path)
            if change.owner_path is not None
            else user.owner_path,
            locale=_checked_locale(change.locale) if change.locale is not None else user.locale,
            status=change.status if change.status is not None else user.status,
            updated_at=self._clock.now(),
        )
        require_owned(who, changed.owner_path, f"The owner path {changed.owner_path!r}")
        _check_place(changed.role, changed.owner_path)
        if (changed.role, changed.owner_path, changed.status) == (user.role, user.owner_path, user.status):
            return self._users.save(changed)
        if who.user_id == user_id:
            raise Conflict("You cannot change your own role, place or status; ask another operator.")
        saved = self._users.save(replace(changed, signed_out_at=self._clock.now()))
        if changed.status is not user.status:
            self._passwords.set_enabled(user.username, changed.status is UserStatus.ACTIVE)
        self._passwords.sign_out_everywhere(user.username)
        return saved

    def delete_user(self, who: Principal, user_id: str) -> None:
        """Remove an account. What it owned stays with its owner path.

        Raises:
            Conflict: The operator would delete himself.
        """
        require(who, "identity", "delete")
        user = self._owned(who, user_id)
        if who.user_id == user_id:
            raise Conflict("You cannot delete your own account; ask another operator.")
        # The record goes last: while it is there, a failure in between can be repeated.
        self._passwords.delete(user.username)
        self._users.remove(user)

    def change_password(self, who: Principal, user_id: str, *, old_password: str, new_password: str) -> None:
        """Replace the own password, knowing the old one; ends all sessions, also the present one.

        Raises:
            PermissionDenied: It is somebody else's password.
            InvalidInput: The old password is wrong, or the new one breaks the policy.
        """
        if who.user_id != user_id or who.is_anonymous:
            require(who, "identity", "update")
            raise InvalidInput("This changes your own password; use reset-password for other users.")
        user = self._by_id(user_id)
        _check_password(new_password, "new_password")
        try:
            self._passwords.sign_in(user.username, old_password)
        except Unauthenticated as error:
            raise InvalidInput(
                "The old password is wrong.", errors=[FieldError("old_password", "Does not match.")]
            ) from error
        self._set_password(user, new_password)

    def reset_password(self, who: Principal, user_id: str, *, new_password: str | None = None) -> str:
        """Give a user a new password and end all its sessions; returns the password, a random one by default.

        Raises:
            PermissionDenied: Only operators may.
        """
        require(who, "identity", "update")
        user = self._owned(who, user_id)
        password = new_password if new_password is not None else random_password()
        _check_password(password, "new_password")
        self._set_password(user, password)
        return password

    def roles(self, who: Principal) -> list[Role]:
        """The roles a user can have."""
        self.me(who)
        return list(BUILT_IN_ROLES.values())

    def ensure_user(
        self, username: str, role: str, password: str, owner_path: str | None = None, *, locale: str = "en"
    ) -> User:
        """Make sure that exactly this account exists: made, or mended, or left alone. For seeding only.

        It asks for no principal because it runs before there is any; no route leads here.

        Raises:
            InvalidInput: A field is malformed, or the password breaks the policy.
        """
        wanted = self._new(
            NewUser(username=username, password=password, role=role, owner_path=owner_path, locale=locale)
        )
        subject = self._passwords.subject_of(wanted.username)
        if subject is None:
            subject = self._passwords.create(wanted.username, password)
        else:
            self._passwords.set_password(wanted.username, password)
        present = self._users.get(wanted.username)
        if present is None:
            return self._users.add(replace(wanted, subject=subject))
        mended = replace(present, subject=subject, role=wanted.role, owner_path=wanted.owner_path)
        if mended == present:
            return present
        return self._users.save(replace(mended, updated_at=self._clock.now()))

    # --- inside --------------------------------------------------------------------------------------------

    def _new(self, new: NewUser) -> User:
        """The checked record of a new user, all but its subject."""
        name = new.username.strip().lower()
        if not _USERNAME.fullmatch(name) or name in _RESERVED:
            raise InvalidInput(
                "The username cannot be used.",
                errors=[
                    FieldError(
                        "username",
                        "Must be 1 to 63 letters, digits or . _ @ + -, beginning with a letter or digit.",
                    )
                ],
            )
        _check_password(new.password, "password")
        user_id = ids.new("usr")
        role = _checked_role(new.role)
        # Made of the id and not of the name: two names must never come out as one path.
        own_place = ROOT_PATH if role == OPERATOR else f":{user_id.lower()}:"
        path = new.owner_path if new.owner_path is not None else own_place
        _check_place(role, path)
        now = self._clock.now()
        return User(
            user_id=user_id,
            subject="",
            username=name,
            role=role,
            owner_path=check_owner_path(path),
            locale=_checked_locale(new.locale),
            created_at=now,
            updated_at=now,
        )

    def _set_password(self, user: User, password: str) -> None:
        try:
            self._passwords.set_password(user.username, password)
        except InvalidInput as error:
            raise InvalidInput(
                error.detail, errors=[FieldError("new_password", wrong.message) for wrong in error.errors]
            ) from error
        self._passwords.sign_out_everywhere(user.username)
        now = self._clock.now()
        self._users.save(replace(user, signed_out_at=now, updated_at=now))

    def _owned(self, who: Principal, user_id: str) -> User:
        user = self._by_id(user_id)
        if user.user_id != who.user_id:
            require_owned(who, user.owner_path, f"The user {user_id!r}")
        return user

    def _by_id(self, user_id: str) -> User:
        user = self._users.get_by_id(user_id)
        if user is None:
            raise NotFound(f"The user {user_id!r} does not exist.")
        return user


_SIGN_IN_REFUSED = "Wrong username or password."


def random_password() -> str:
    """A password of 96 random bits that satisfies the usual policies: lower, upper, digit, symbol."""
    return f"{secrets.token_urlsafe(12)}-aA7"


def _check_place(role: str, owner_path: str) -> None:
    """Refuse an operator below the root: the role runs the whole platform, for every tenant.

    Raises:
        InvalidInput: that is asked for.
    """
    if role == OPERATOR and owner_path != ROOT_PATH:
        message = f"An operator's place is {ROOT_PATH!r}, the root; leave it out."
        raise InvalidInput(message, errors=[FieldError("owner_path", message)])


def _checked_role(role_id: str) -> str:
    if role_id not in BUILT_IN_ROLES:
        known = ", ".join(BUILT_IN_ROLES)
        raise InvalidInput(
            f"There is no role {role_id!r}.", errors=[FieldError("role", f"Must be one of {known}.")]
        )
    return role_id


def _checked_locale(locale: str) -> str:
    if locale not in LOCALES:
        raise InvalidInput(
            f"There is no locale {locale!r}.",
            errors=[FieldError("locale", f"Must be one of {', '.join(LOCALES)}.")],
        )
    return locale


def _check_password(password: str, field_name: str) -> None:
    """Refuse what no password can be; how good it must be is the authority's policy."""
    if not 0 < len(password) <= _MAX_PASSWORD_CHARS:
        raise InvalidInput(
            "The password cannot be used.",
            errors=[FieldError(field_name, f"Must have 1 to {_MAX_PASSWORD_CHARS} characters.")],
        )
