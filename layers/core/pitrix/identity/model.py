"""Who is asking, what a role may do, and which owner path sees what.

Owns: `Principal`, `User`, `Role`, the built-in roles with their permissions, and the *one* place where a
permission is evaluated (`Principal.may`, `require`) and where ownership is (`Principal.owns`,
`require_owned`). Every service of every context asks here; none decides for itself.

Never: touches storage, Cognito or HTTP; keeps a password (``ports.PasswordAuthority`` does, elsewhere).

Next: ``service.py`` (sign-in, users), ``tokens.py`` (verification of access tokens).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pitrix.errors import (
    FieldError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PitrixError,
    RateLimited,
    Unauthenticated,
)

#: The root of the tree of owners: whoever sits here owns everything.
ROOT_PATH = ":"

#: The role that runs the platform; whoever has it sits at the root.
OPERATOR = "operator"

#: Every action of a module, also the ones that this table does not list yet.
ALL = "*"

# ":" is the root, ":acme:" an organisation, ":acme:shop:" a team of it. The colon at *both* ends is what
# makes a plain prefix test right: ":acme:" is no prefix of ":acme-two:".
_OWNER_PATH = re.compile(r":(?:[a-z0-9][a-z0-9._-]{0,62}:){0,8}")

#: What may be asked of each module. `require` with anything else is a mistake in the code, not of the user;
#: ``tests/unit/identity/test_identity_permissions.py`` reads every call in the source and compares.
MODULES: Mapping[str, frozenset[str]] = {
    "catalog": frozenset(
        {
            "read",
            "create",
            "update",
            "delete",
            "submit",
            "release",
            "suspend",
            "review_business",
            "review_technical",
            "review_vendor",
            "manage_categories",
        }
    ),
    "repos": frozenset({"read", "create", "update", "delete", "push", "index"}),
    "packages": frozenset({"read", "validate"}),
    "runtimes": frozenset({"read", "create", "update", "delete"}),
    "clusters": frozenset({"read", "create", "update", "delete", "operate"}),
    "jobs": frozenset({"read", "update"}),
    "pilot": frozenset({"read", "operate"}),
    "images": frozenset({"read", "create", "update", "delete"}),
    "billing": frozenset({"read", "quote", "record", "aggregate", "manage_prices"}),
    "identity": frozenset({"read", "create", "update", "delete"}),
}


#: Languages a user may choose for the console.
LOCALES = ("en", "zh-cn")


class TokenInvalid(Unauthenticated):
    """The access token is malformed, forged, or issued by or for somebody else."""

    code = "token_invalid"
    title = "The access token is not valid"


class TokenExpired(Unauthenticated):
    """The access token is genuine, but its time is over."""

    code = "token_expired"
    title = "The access token has expired"


class TokenRevoked(Unauthenticated):
    """The access token is genuine, but its session was ended: sign-out, a new password, or an operator."""

    code = "token_revoked"
    title = "The session has ended"


class UserDisabled(Unauthenticated):
    """The access token is genuine, but its user may not act any more."""

    code = "user_disabled"
    title = "The account is disabled"


#: By code: how the authorizer's refusal of a genuine token, or of a login that is tried too often, becomes
#: the same error again in the function.
REFUSALS: Mapping[str, type[PitrixError]] = {
    kind.code: kind for kind in (TokenExpired, TokenRevoked, UserDisabled, RateLimited)
}


class UserStatus(enum.StrEnum):
    """Whether an account may act. A disabled one keeps everything it owns."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """A named set of permissions.

    Attributes:
        role_id: Stable name, as it stands in a user record and a token's context.
        title: For people.
        grants: Actions allowed by module; ``ALL`` stands for each action, and as a module for each module.
    """

    role_id: str
    title: str
    grants: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def allows(self, module: str, action: str) -> bool:
        """Whether this role holds the permission ``module``/``action``."""
        for granted in (self.grants.get(module), self.grants.get(ALL)):
            if granted is not None and (action in granted or ALL in granted):
                return True
        return False


def _role(role_id: str, title: str, **grants: str) -> Role:
    return Role(
        role_id=role_id,
        title=title,
        grants={module: frozenset(actions.split()) for module, actions in grants.items()},
    )


def _widen(role_id: str, title: str, base: Role, **grants: str) -> Role:
    """A role that may do all that ``base`` may, and ``grants`` beyond it."""
    merged = dict(base.grants)
    for module, actions in grants.items():
        merged[module] = merged.get(module, frozenset()) | frozenset(actions.split())
    return Role(role_id=role_id, title=title, grants=merged)


#: Nobody: the public store and nothing else.
_ANONYMOUS_ROLE = _role("anonymous", "Visitor", catalog="read")

_USER = _role(
    "user",
    "User",
    catalog="read",
    repos="read",
    packages="read validate",
    runtimes="*",
    clusters="*",
    jobs="*",
    pilot="read",
    images="read",
    billing="read quote",
)
_DEVELOPER = _widen(
    "developer",
    "Developer",
    _USER,
    catalog="create update delete submit",
    repos="create update delete push index",
    images="create update delete",
)
_VENDOR = _widen("vendor", "Vendor", _DEVELOPER, catalog="release suspend")

BUILT_IN_ROLES: Mapping[str, Role] = {
    role.role_id: role
    for role in (
        _USER,
        _DEVELOPER,
        _VENDOR,
        _widen("business_reviewer", "Business reviewer", _USER, catalog="review_business"),
        _widen("technical_reviewer", "Technical reviewer", _USER, catalog="review_technical"),
        _widen("vendor_reviewer", "Vendor reviewer", _USER, catalog="review_vendor", identity="read"),
        Role(role_id=OPERATOR, title="Operator", grants={ALL: frozenset({ALL})}),
    )
}

_INTERNAL_ROLES: Mapping[str, Role] = {
    "anonymous": _ANONYMOUS_ROLE,
    "system": Role(role_id="system", title="The platform itself", grants={ALL: frozenset({ALL})}),
}


def role(role_id: str) -> Role | None:
    """The role of that name, built in or internal, or None."""
    return BUILT_IN_ROLES.get(role_id) or _INTERNAL_ROLES.get(role_id)


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who asks, as the authorizer established it; the first argument of every service method.

    Attributes:
        user_id: ``usr_…``; empty for the anonymous visitor, ``system`` for the platform itself.
        username: For people and audit trails.
        role: A key of `BUILT_IN_ROLES`, or ``anonymous`` or ``system``.
        owner_path: Place in the tree of owners, such as ``:acme:shop:``; what the principal creates is
            owned by this path, and what lies at or below it is visible to the principal.
    """

    user_id: str
    username: str
    role: str
    owner_path: str

    @property
    def is_anonymous(self) -> bool:
        """True for a visitor who did not sign in."""
        return not self.user_id

    def may(self, module: str, action: str) -> bool:
        """Whether this principal's role holds the permission. Says nothing about ownership: see `owns`."""
        held = role(self.role)
        return held is not None and held.allows(module, action)

    def owns(self, owner_path: str) -> bool:
        """Whether ``owner_path`` is this principal's place in the tree or lies below it."""
        if not self.owner_path or not owner_path:
            return False
        return _closed(owner_path).startswith(_closed(self.owner_path))


#: A visitor without a token.
ANONYMOUS = Principal(user_id="", username="anonymous", role="anonymous", owner_path="")

#: The platform itself: state machines, schedules, event handlers.
SYSTEM = Principal(user_id="system", username="system", role="system", owner_path=ROOT_PATH)


def require(who: Principal, module: str, action: str) -> None:
    """Let pass, or refuse.

    Raises:
        Unauthenticated: A visitor asked for something that needs a login.
        PermissionDenied: The principal's role does not hold ``module``/``action``.
    """
    if who.may(module, action):
        return
    if who.is_anonymous:
        raise Unauthenticated("Sign in first: this needs an access token.")
    raise PermissionDenied(f"The role {who.role!r} may not {action.replace('_', ' ')} in {module!r}.")


def require_owned(who: Principal, owner_path: str, what: str) -> None:
    """Let pass whoever owns ``owner_path``; for everyone else the thing does not exist.

    Args:
        what: What is asked for, as in ``"cluster cl_01J…"``; it opens the message.

    Raises:
        NotFound: Not owned. Never `PermissionDenied`: that would tell one tenant what another one has.
    """
    if not who.owns(owner_path):
        raise NotFound(f"{what} does not exist.")


def check_owner_path(owner_path: str, *, field_name: str = "owner_path") -> str:
    """Return ``owner_path`` if it is well formed.

    Raises:
        InvalidInput: It is not ``:`` or colon-separated lower-case names with a colon at both ends.
    """
    if not _OWNER_PATH.fullmatch(owner_path):
        raise InvalidInput(
            "The owner path is malformed.",
            errors=[
                FieldError(
                    field_name,
                    "Must be ':' or lower-case names between colons, such as ':acme:shop:', at most 8 deep.",
                )
            ],
        )
    return owner_path


def _closed(owner_path: str) -> str:
    """The path with its closing colon, so that prefixes compare whole names."""
    return owner_path if owner_path.endswith(":") else owner_path + ":"


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """An account's record; the password authority holds the secret half of it.

    Attributes:
        subject: The authority's own stable id of the account (Cognito's ``sub``), as tokens carry it.
        locale: ``en`` or ``zh-cn``: the language of the console.
        signed_out_at: Tokens issued before this time are dead: the password changed, or an operator said so.
        version: Counts writes; what ``If-Match`` compares.
    """

    user_id: str
    subject: str
    username: str
    role: str
    owner_path: str
    locale: str = "en"
    status: UserStatus = UserStatus.ACTIVE
    created_at: datetime
    updated_at: datetime
    signed_out_at: datetime | None = None
    version: int = 0

    @property
    def principal(self) -> Principal:
        """Who this user is when it acts."""
        return Principal(self.user_id, self.username, self.role, self.owner_path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What a sign-in gives. The tokens stay out of ``repr`` and so out of logs.

    Attributes:
        expires_in_s: Seconds until ``access_token`` expires; ``refresh_token`` buys the next one.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_s: int
    token_type: str = "Bearer"  # noqa: S105


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a genuine access token says, before the user's record is looked at.

    Attributes:
        session_id: Shared by all access tokens that came from one sign-in (Cognito's ``origin_jti``).
    """

    subject: str
    username: str
    session_id: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A verified access token and the user it stands for."""

    user: User
    session_id: str
    expires_at: datetime

    @property
    def principal(self) -> Principal:
        """Who acts in this session."""
        return self.user.principal
