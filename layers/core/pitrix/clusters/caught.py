"""What a ``Catch`` of a state machine puts into an event, taken apart. Owns nothing else."""

from __future__ import annotations

import json
from typing import Any


def reason(event: dict[str, Any]) -> tuple[str, str]:
    """Return (error, cause) of what a Catch put into the event.

    A nested execution that failed is ``States.TaskFailed`` with the whole execution as its cause: what counts
    is the error inside.
    """
    found = event.get("error") or {}
    error, cause = str(found.get("Error", "StepFailed")), str(found.get("Cause", ""))
    try:
        inner = json.loads(cause)
    except ValueError:
        return error, cause
    if isinstance(inner, dict) and "Error" in inner and "errorMessage" not in inner:
        return str(inner["Error"]), str(inner.get("Cause", ""))
    return error, cause
