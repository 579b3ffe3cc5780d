"""Time as the domain sees it: aware UTC datetimes from a clock that tests can hold still.

Owns the one textual form of a time, RFC 3339 in UTC with milliseconds. Never asks for local time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from pitrix.errors import FieldError, InvalidInput


class Clock(Protocol):
    """Where services get the present time from."""

    def now(self) -> datetime:
        """Return the present time as an aware datetime in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self._at

    def advance(self, seconds: float) -> None:
        """Move the clock ``seconds`` forward."""
        self._at += timedelta(seconds=seconds)


def rfc3339(at: datetime) -> str:
    """Return ``at`` as ``2026-11-22T10:00:00.000Z``; sorts as text in the order of time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str, *, field: str = "time") -> datetime:
    """Return the aware UTC datetime that ``text`` (RFC 3339, with an offset) names.

    Raises:
        InvalidInput: ``text`` is no such time; the error names ``field``.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        message = f"{text!r} is not an RFC 3339 time with an offset, such as 2026-11-22T10:00:00Z"
        raise InvalidInput(f"{field}: {message}.", errors=[FieldError(field, message)])
    return at.astimezone(UTC)
