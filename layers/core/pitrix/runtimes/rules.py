"""What a runtime may be called and who may have one: the rules, in words.

Owns refusing what breaks them. Never looks anything up: ``service.py`` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pitrix.errors import Conflict, FieldError, InvalidInput, PermissionDenied
from pitrix.identity.model import ROOT_PATH, Principal
from pitrix.runtimes.model import Runtime, RuntimeStatus

_NAME: Final = re.compile(r"[^\W_](?:[\w .-]{0,58}[^\W_])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def only_operator(who: Principal, what: str) -> None:
    """Refuse everybody but operators.

    Raises:
        PermissionDenied: see above.
    """
    if not who.owns(ROOT_PATH):
        raise PermissionDenied(f"Only an operator may {what}.")


def refuse_inactive(runtime: Runtime) -> None:
    """Refuse a runtime whose creation or deletion was interrupted.

    Raises:
        Conflict: see above.
    """
    if runtime.status is not RuntimeStatus.ACTIVE:
        raise Conflict(
            f"Runtime {runtime.runtime_id} is {runtime.status}, which was interrupted: delete it and "
            "connect the account anew."
        )


def check_fields(name: str, description: str, labels: Mapping[str, str]) -> None:
    """Refuse bad fields, naming each.

    Raises:
        InvalidInput: see above.
    """
    errors = []
    if not _NAME.fullmatch(name):
        errors.append(FieldError("name", "must be 1 to 60 letters, digits, spaces and ._-, not at the ends"))
    if len(description) > 1000:
        errors.append(FieldError("description", "must have at most 1000 characters"))
    if len(labels) > 20:
        errors.append(FieldError("labels", "must be at most 20"))
    for key, value in labels.items():
        if not _LABEL.fullmatch(key) or (value and not _LABEL.fullmatch(value)):
            message = "must be letters, digits and ._/- (63 at most) on both sides"
            errors.append(FieldError(f"labels.{key}", message))
    refuse(errors)


def refuse(errors: list[FieldError]) -> None:
    """Refuse fields, if there are bad ones.

    Raises:
        InvalidInput: names each.
    """
    if errors:
        raise InvalidInput(" ".join(f"{e.field} {e.message}." for e in errors), errors=errors)
