"""Every few minutes: repositories whose time has come are compared with their source."""

from __future__ import annotations

from typing import Any

from pitrix import bootstrap
from pitrix.http import configure_logging
from pitrix.identity.model import SYSTEM

configure_logging()


def handler(_event: dict[str, Any], _context: object) -> dict[str, int]:
    return {"started": bootstrap.syncs().start_due(SYSTEM)}
