"""What a repository may look like: its fields, and which of them its kind has.

Owns the messages that name a bad field. Whether an address answers is a source's to say, not a rule's.
"""

from __future__ import annotations

import json
import re
from typing import Final

from pitrix.errors import FieldError, InvalidInput
from pitrix.repos.model import Repo, folded

#: A repository with so many keys is not signed by anybody in particular; each is read for every package.
KEYS_AT_MOST: Final = 20
KEY_BYTES: Final = 64 * 1024
#: A folded name is part of a sort key, which has at most 1,024 bytes with the owner's path before it.
NAME_BYTES: Final = 400
INTERVAL_AT_LEAST_S: Final = 300
INTERVAL_AT_MOST_S: Final = 30 * 24 * 3600

_NAME: Final = re.compile(r"[^\W_](?:[\w .-]{0,58}[^\W_])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def check(repo: Repo) -> None:
    """Refuse a repository with bad fields, naming each.

    Raises:
        InvalidInput: see above.
    """
    errors = []
    if not _NAME.fullmatch(repo.name):
        errors.append(FieldError("name", "must be 1 to 60 letters, digits, spaces and ._-, not at the ends"))
    elif len(folded(repo.name).encode()) > NAME_BYTES:
        errors.append(FieldError("name", "is too long: it holds letters that stand for many others"))
    if len(repo.description) > 1000:
        errors.append(FieldError("description", "must have at most 1000 characters"))
    if len(repo.providers) > 20 or not all(_LABEL.fullmatch(provider) for provider in repo.providers):
        errors.append(FieldError("providers", "must be at most 20 names of clouds"))
    errors += _pairs("labels", repo.labels) + _pairs("selectors", repo.selectors)
    errors += _address(repo) + _signatures(repo)
    if errors:
        raise refused(errors)


def check_keys(keys: list[str]) -> None:
    """Refuse what is no armored OpenPGP certificate; apart from `check`, because it takes a library.

    Raises:
        InvalidInput: names the field ``keys``.
    """
    if not keys:
        return
    from pitrix.packages import provenance

    provenance.check_keys(keys)


def refused(errors: list[FieldError]) -> InvalidInput:
    """The error that names all these fields."""
    return InvalidInput(" ".join(f"{e.field} {e.message}." for e in errors), errors=errors)


def _pairs(field: str, pairs: dict[str, str]) -> list[FieldError]:
    if len(pairs) > 20:
        return [FieldError(field, "must be at most 20")]
    errors = []
    for key, value in pairs.items():
        if not _LABEL.fullmatch(key) or (value and not _LABEL.fullmatch(value)):
            message = "and its value must be letters, digits and ._/- (63 at most each)"
            errors.append(FieldError(f"{field}.{key}", message))
    return errors


def _address(repo: Repo) -> list[FieldError]:
    errors = []
    elsewhere = {"url": repo.url, "endpoint": repo.endpoint, "region": repo.region}
    if not repo.is_remote:
        message = "is for other kinds: packages are uploaded to a repository of the kind 'platform'"
        errors += [FieldError(field, message) for field, text in elsewhere.items() if text]
        if repo.has_credential:
            errors.append(FieldError("credential", message))
    elif not repo.url:
        errors.append(FieldError("url", f"is required for the kind {repo.kind!r}"))
    errors += [
        FieldError(f, "must have at most 2000 characters") for f, t in elsewhere.items() if len(t) > 2000
    ]
    if repo.is_remote:
        given = {"endpoint": (repo.endpoint, ("s3", "azure")), "region": (repo.region, ("s3",))}
        errors += [
            FieldError(field, f"is for the kind {' or '.join(map(repr, kinds))} only")
            for field, (text, kinds) in given.items()
            if text and repo.kind not in kinds
        ]
    interval = repo.sync_interval_s
    if interval and not INTERVAL_AT_LEAST_S <= interval <= INTERVAL_AT_MOST_S:
        allowed = f"must be 0 (never) or from {INTERVAL_AT_LEAST_S} to {INTERVAL_AT_MOST_S}"
        errors.append(FieldError("sync_interval_s", allowed))
    return errors


def _signatures(repo: Repo) -> list[FieldError]:
    errors = []
    if len(repo.keys) > KEYS_AT_MOST:
        errors.append(FieldError("keys", f"must be at most {KEYS_AT_MOST}"))
    sizes = [len(json.dumps(key)) for key in repo.keys]
    if any(size > KEY_BYTES for size in sizes):
        errors.append(FieldError("keys", f"must have at most {KEY_BYTES} characters each"))
    # All of a repository is one item, and an item has at most 400 KB, in JSON of ASCII.
    if sum(sizes) > 4 * KEY_BYTES:
        errors.append(FieldError("keys", f"must have at most {4 * KEY_BYTES} characters in all"))
    if repo.require_signature and not repo.keys:
        errors.append(FieldError("require_signature", "needs keys to check signatures with"))
    return errors
