"""What the files of a package are, and how they may be sent.

Owns one rule: nothing that came in a package is ever sent as something that a browser runs. Reads no store.
"""

from __future__ import annotations

import mimetypes
from typing import Final

from pitrix.catalog.model import FileEntry
from pitrix.packages.model import Package

#: Text up to this size is answered inline; a longer file, and every binary one, by a presigned address.
INLINE_TEXT_BYTES: Final = 256 * 1024

_PICTURE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# An SVG may hold scripts: it is an icon (stored to be downloaded, never opened), but no other kind of file.
_ICON_TYPES: Final = _PICTURE_TYPES | {"image/svg+xml"}


def entry(path: str, data: bytes) -> FileEntry:
    """A file as a listing shows it."""
    return FileEntry(path=path, size_bytes=len(data), content_type=content_type(path, data))


def inline_text(data: bytes) -> str | None:
    """The text of a file that may be answered inline, else ``None``."""
    if len(data) > INLINE_TEXT_BYTES or b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def content_type(path: str, data: bytes) -> str:
    """A type that no browser runs: markup and scripts are plain text, whatever they are called."""
    guessed = mimetypes.guess_type(path)[0] or ""
    if guessed == "application/json" or path.endswith(".json"):
        return "application/json"
    if path.endswith(".md"):
        return "text/markdown; charset=utf-8"
    if guessed in _PICTURE_TYPES:
        return guessed
    return "application/octet-stream" if inline_text(data) is None else "text/plain; charset=utf-8"


def icon_type(package: Package) -> str | None:
    """The media type of a package's icon, if it has one that a browser can show."""
    if package.icon not in package.files:
        return None
    guessed = mimetypes.guess_type(package.icon)[0]
    return guessed if guessed in _ICON_TYPES else None
