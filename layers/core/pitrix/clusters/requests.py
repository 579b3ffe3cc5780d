"""What users send to deploy and operate clusters.

Apart from ``model.py`` so that a handler's cold start reads a request without loading the whole domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pitrix.errors import FieldError, InvalidInput

_NAME_LENGTH = 100


@dataclass(frozen=True, kw_only=True)
class DeployRequest:
    """What a user sends to deploy an application; ``answers`` are those to the version's form.

    With ``public`` the machines behind its endpoints get public addresses, where the cloud has some.
    """

    app_id: str
    runtime_id: str
    version_id: str | None = None
    name: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    public: bool = False


@dataclass(frozen=True, kw_only=True)
class ActionParams:
    """What an action may need: ``run-service`` takes a service, a role and the service's parameters."""

    service: str | None = None
    role: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


def checked_name(name: str) -> str:
    """Return the name of a cluster without spaces around it.

    Raises:
        InvalidInput: it is empty or too long.
    """
    if not 1 <= len(name.strip()) <= _NAME_LENGTH:
        raise wrong("name", f"must have 1 to {_NAME_LENGTH} characters")
    return name.strip()


def wrong(field: str, message: str) -> InvalidInput:
    """Return the error of one field of a request."""
    return InvalidInput(f"{field}: {message}.", errors=[FieldError(field, message)])
