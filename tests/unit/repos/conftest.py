"""The repositories and the catalog in memory, and put behind the handlers."""

from tests.unit.catalog.kit import deployed, world

__all__ = ["deployed", "world"]
