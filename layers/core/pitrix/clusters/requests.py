"""What users send to deploy and operate clusters.

Apart from ``model.py`` so that a handler's cold start reads a request without loading the whole domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
