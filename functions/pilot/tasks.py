"""Pilot's schedule: answers every minute what has waited past its deadline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix import bootstrap


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Expire what is due now and say how much it was."""
    expired = bootstrap.pilot().expire(bootstrap.clock().now())
    return {"agents": expired.agents, "commands": expired.commands, "failed": expired.failed}
