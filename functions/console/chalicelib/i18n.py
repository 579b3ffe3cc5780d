"""The two languages of the console: its texts, and how it writes times, sizes and durations.

Owns the catalogs in ``locale/`` and the choice between them. Never translates what a package says of itself:
`pitrix.packages` does that from the package's own ``locale/``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOCALES = {"en": "English", "zh-cn": "简体中文"}
DEFAULT = "en"
_FOLDER = Path(__file__).resolve().parent.parent / "locale"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@functools.cache
def catalog(locale: str) -> Mapping[str, str]:
    """All texts of one language by key."""
    texts: dict[str, str] = json.loads((_FOLDER / f"{locale}.json").read_text(encoding="utf-8"))
    return texts


def negotiate(chosen: str, accept_language: str) -> str:
    """The language to answer in: the visitor's choice, else the best of ``Accept-Language``, else English."""
    if chosen in LOCALES:
        return chosen
    wishes: list[tuple[float, str]] = []
    for part in accept_language.lower().split(",")[:20]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((float(weight) if weight else 1.0, tag.strip()))
        except ValueError:
            continue
    for _, tag in sorted(wishes, key=lambda wish: -wish[0]):
        if tag.startswith("zh"):
            return "zh-cn"
        if tag.startswith("en") or tag == "*":
            return "en"
    return DEFAULT


class Texts:
    """Says things in one language; templates know it as ``t``."""

    def __init__(self, locale: str) -> None:
        self.locale = locale
        self._texts = catalog(locale)

    def __call__(self, key: str, **values: Any) -> str:
        """The text of ``key`` with its ``{placeholders}`` filled in; KeyError if there is no such key."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def count(self, key: str, n: int) -> str:
        """``key.one`` or ``key.other`` for ``n`` things."""
        return self(f"{key}.{'one' if n == 1 else 'other'}", n=n)

    def of(self, prefix: str, name: str) -> str:
        """The text of ``prefix.name``, or ``name`` itself when this release has no word for it."""
        return self._texts.get(f"{prefix}.{name}") or name.replace("_", " ")

    def date(self, at: datetime) -> str:
        """A day in UTC: ``22 Nov 2026`` or ``2026年11月22日``."""
        at = at.astimezone(UTC)
        if self.locale == "zh-cn":
            return f"{at.year}年{at.month}月{at.day}日"
        return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"

    def moment(self, at: datetime) -> str:
        """A minute in UTC: ``22 Nov 2026, 10:05 UTC``."""
        separator = " " if self.locale == "zh-cn" else ", "
        return f"{self.date(at)}{separator}{at.astimezone(UTC):%H:%M} UTC"

    def duration(self, seconds: float) -> str:
        """``1 h 2 min 5 s``, to the whole second below; days and hours alone from a day on."""
        left = max(0, int(seconds))
        parts: list[tuple[int, str]] = []
        for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
            amount, left = divmod(left, size)
            parts.append((amount, unit))
        if parts[0][0]:
            parts = parts[:2]
        said = [self(f"duration.{unit}", n=amount) for amount, unit in parts if amount]
        return " ".join(said) or self("duration.second", n=0)

    def size(self, size_bytes: int) -> str:
        """``640 B``, ``12.5 KiB``, ``3.0 MiB``."""
        amount = float(size_bytes)
        for unit in ("B", "KiB", "MiB"):
            if amount < 1024:
                return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
            amount /= 1024
        return f"{amount:.1f} GiB"

    def amount(self, value: Any, unit: str) -> str:
        """``value`` of ``unit`` as people say it: 1024 MiB is 1 GiB, 0.5 stays 0.5."""
        if (
            unit.lower() in ("mib", "mb", "m")
            and isinstance(value, int)
            and value >= 1024
            and value % 1024 == 0
        ):
            return f"{value // 1024} GiB"
        return f"{value} {unit}".strip()
