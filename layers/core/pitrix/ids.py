"""Identifiers: a prefix that says what it names and a ULID that sorts by time of creation.

``app_01JD…``: 26 characters of Crockford base 32 after the prefix, monotonic enough to page by.
"""

from __future__ import annotations


def new(prefix: str) -> str:
    """Return a fresh identifier such as ``job_01JD3V…`` for ``prefix`` ``job``."""
    from ulid import ULID  # imported on use: not every cold start makes an identifier

    return f"{prefix}_{ULID()}"
