"""Static files and the addresses under which a browser may keep them for ever.

Owns ``static/``: what lies there is served as ``/static/<stem>.<hash>.<suffix>``, so that a changed file has
a new address. Text files only: the REST API does not pass binary bodies through. ``htmx.min.js`` is put there
when the function is built (``build_assets.py``); pages work without it.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@functools.cache
def _published() -> dict[str, Path]:
    """Public name to file, for every file that may be served."""
    found: dict[str, Path] = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in TYPES:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
            found[f"{path.stem}.{digest}{path.suffix}"] = path
    return found


@functools.cache
def public_name(name: str) -> str | None:
    """The address's last part for the file ``name``; ``None`` when the file was not built in."""
    return next((public for public, path in _published().items() if path.name == name), None)


def read(public: str) -> tuple[str, str] | None:
    """Content type and text of a file by its public name; ``None`` when there is none."""
    path = _published().get(public)
    return None if path is None else (TYPES[path.suffix], path.read_text(encoding="utf-8"))
