"""Puts the browser library of the console where the function serves it from.

htmx is not kept in this repository: the wheel of ``django-htmx`` carries it, so pip is all that a build
needs. Called by the Makefile beside it (``sam build``) and by the local build; Django itself is never
imported.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

_WHEEL = "django-htmx"
_SOURCE = "django_htmx/static/django_htmx/htmx-2.min.js"


def build(out_dir: Path) -> Path:
    """Write ``static/htmx.min.js`` below ``out_dir`` (a copy of this folder) and return its path.

    Raises:
        SystemExit: The wheel is not installed, or carries no htmx 2; says what to do.
    """
    try:
        found = next((each for each in files(_WHEEL) or [] if each.as_posix() == _SOURCE), None)
    except PackageNotFoundError:
        raise SystemExit(
            f"{_WHEEL} is not installed: pip install --no-deps -r build-requirements.txt"
        ) from None
    if found is None:
        raise SystemExit(f"{_WHEEL} no longer carries {_SOURCE}: pin a release that does")
    target = out_dir / "static" / "htmx.min.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(Path(str(found.locate())).read_bytes())
    return target


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent))
