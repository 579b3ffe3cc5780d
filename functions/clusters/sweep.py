"""Every minute: jobs whose execution died go on from their journal."""

from __future__ import annotations

from typing import Any

from pitrix import bootstrap


def handler(_event: dict[str, Any], _context: object) -> dict[str, int]:
    return {"resumed": bootstrap.sweeper().sweep()}
