"""Names to what they stand for, loaded when first asked for: clouds, sources of packages, kinds of packages.

Owns reading entry points of other distributions and importing by path. Never keeps anything: each registry
remembers its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def registered(group: str, built_in: Mapping[str, str]) -> dict[str, str]:
    """Name to ``module:attribute``: ours, and those of the entry point group.

    A plug-in adds a name; it never replaces one of ours.
    """
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=group)} | dict(built_in)


def load(path: str) -> Any:
    """What ``module:attribute`` names; its module is imported now.

    Raises:
        ImportError, AttributeError: there is no such thing.
    """
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)
