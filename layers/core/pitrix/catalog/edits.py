"""What people may write about an app or a category, and what is wrong with it.

Owns the limits of every editable field; all that is wrong is said at once. Never reads a store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from pitrix.catalog.model import App, AppPatch
from pitrix.errors import FieldError, InvalidInput

LOCALES: Final = ("en", "zh-cn")


def checked(patch: AppPatch, known_categories: Set[str]) -> dict[str, Any]:
    """The fields that a patch sets, each checked.

    Raises:
        InvalidInput: with one error for each bad field, or because nothing is set.
    """
    checks: dict[str, Callable[[Any], str | None]] = {
        "title": lambda title: _length(title, 1, 100),
        "description": lambda description: _length(description, 0, 4000),
        "keywords": _keywords,
        "categories": lambda categories: _categories(categories, known_categories),
        "home": lambda home: None if not home or is_web_address(home) else "must be an http(s) address",
        "visibility": lambda _: None,
    }
    changes = {name: value for name in checks if (value := getattr(patch, name)) is not None}
    if not changes:
        raise InvalidInput(f"Nothing to change; give at least one of {', '.join(checks)}.")
    refuse([FieldError(name, wrong) for name in changes if (wrong := checks[name](changes[name]))])
    return changes


def applied(app: App, changes: Mapping[str, Any]) -> App:
    """The app with those fields set; each value has the type of its field."""
    return replace(app, **changes)


def check_category_name(name: Mapping[str, str]) -> None:
    """Refuse names of a category in unknown locales, without English, or of a bad length.

    Raises:
        InvalidInput: with one error for each.
    """
    errors = [] if "en" in name else [FieldError("name.en", "is required")]
    for key, text in name.items():
        unknown = f"is none of the store's locales: {', '.join(LOCALES)}"
        wrong = _length(text, 1, 60) if key in LOCALES else unknown
        if wrong:
            errors.append(FieldError(f"name.{key}", wrong))
    refuse(errors)


def locale(asked: str) -> str:
    """The locale of the store that is meant: ``zh_CN``, ``zh`` and ``zh-CN`` are ``zh-cn``.

    Raises:
        InvalidInput: it is none of `LOCALES`.
    """
    folded = asked.replace("_", "-").casefold()
    found = "zh-cn" if folded in ("zh", "zh-hans") else folded
    if found not in LOCALES:
        refuse([FieldError("locale", f"must be one of {', '.join(LOCALES)}, not {asked!r}")])
    return found


def is_web_address(text: str) -> bool:
    """Whether this is an http(s) address with a host, short enough to keep."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and len(text) <= 500


def refuse(errors: list[FieldError]) -> None:
    """Raise all errors at once, if there are any.

    Raises:
        InvalidInput: see above.
    """
    if errors:
        raise InvalidInput(" ".join(f"{e.field} {e.message}." for e in errors), errors=errors)


def _length(text: str, least: int, most: int) -> str | None:
    fits = least <= len(text.strip()) and len(text) <= most
    return None if fits else f"must have {least} to {most} characters"


def _keywords(words: list[str]) -> str | None:
    fits = len(words) <= 20 and all(_length(word, 1, 40) is None for word in words)
    return None if fits else "must be at most 20 words of 1 to 40 characters"


def _categories(asked: list[str], known: Set[str]) -> str | None:
    if not 1 <= len(asked) <= 5:
        return "must name one to five categories"
    unknown = sorted(set(asked) - known)
    return f"names unknown categories: {', '.join(unknown)}" if unknown else None
