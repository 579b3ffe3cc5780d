"""What users send about prices and quotes, and what an aggregation run passes from step to step.

Apart from ``service.py`` so that a handler's cold start reads a request without loading the whole domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pitrix.billing.model import Charge

STANDARD_PLAN = "standard"


@dataclass(frozen=True, kw_only=True)
class NewPlan:
    """A new price plan; ``effective_from`` defaults to the hour after the present one."""

    plan: str
    title: str
    currency: str
    charges: list[Charge]
    effective_from: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PlanChange:
    """What the next version of a plan differs in; what is left out stays."""

    title: str | None = None
    charges: list[Charge] | None = None
    effective_from: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class QuoteRequest:
    """What would be deployed: a version, or the latest release of an app; on a runtime, or on any."""

    app_id: str = ""
    version_id: str = ""
    runtime_id: str = ""
    answers: dict[str, Any]
    plan: str = STANDARD_PLAN


@dataclass(frozen=True, kw_only=True)
class Run:
    """An aggregation run as its state machine passes it from step to step."""

    hour: str
    rebuild: bool = False
    cursor: str = ""
