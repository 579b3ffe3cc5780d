"""What kinds of packages share: a scaffold beside the format, what ``package.json`` says, translations.

Owns reading ``formats/<kind>/scaffold/`` of this tree, and ``package.json`` and ``locale/<language>.json`` of
a package.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

from pitrix.packages.forms import messages
from pitrix.packages.ports import Files
from pitrix.packages.text import jsontext

#: What stands for the name of the package in the files of a scaffold.
_NAME = b"my-app"
METADATA: Final = "package.json"
_LOCALE = "locale/"


def scaffold(kind: str, name: str) -> dict[str, bytes]:
    """The files of the scaffold of a kind, for a package of that name."""
    root = resources.files(f"pitrix.packages.formats.{kind}").joinpath("scaffold")
    return {path: data.replace(_NAME, name.encode()) for path, data in _below(root)}


def _below(folder: Traversable, lead: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _below(entry, f"{lead}{entry.name}/")
        elif entry.is_file():
            yield lead + entry.name, entry.read_bytes()


def described(files: Files, kind: str) -> dict[str, Any]:
    """The fields of a `Package` that its ``package.json`` gives; of one without errors."""
    raw = jsontext.read(METADATA, files[METADATA]).value
    return {
        "name": raw["name"],
        "version": raw["version"],
        "type": kind,
        "app_version": str(raw.get("app_version", "")),
        "title": raw.get("title") or raw["name"],
        "description": raw.get("description", ""),
        "keywords": raw.get("keywords", []),
        "home": raw.get("home", ""),
        "icon": raw.get("icon", ""),
        "maintainers": raw.get("maintainers", []),
        "category": raw.get("category", ""),
        "metadata": raw,
    }


def translations(files: Files, locale: str) -> dict[str, str]:
    """Texts of a package to their translations: in that language, else in the one of ours that it means.

    Empty where the package has none, or where the file is something else: in a chart it may be anything.
    """
    paths = {
        path[len(_LOCALE) : -len(".json")].lower().replace("_", "-"): path
        for path in files
        if path.startswith(_LOCALE) and path.endswith(".json")
    }
    path = paths.get(locale.lower().replace("_", "-")) or paths.get(messages.known(locale) or "")
    if path is None:
        return {}
    try:
        raw = jsontext.read(path, files[path]).value
    except jsontext.JsonRefused:
        return {}
    found = raw if isinstance(raw, dict) else {}
    return {key: text for key, text in found.items() if isinstance(text, str) and text}
