"""Style sheet, scripts and pictures of the site itself; see ``assets`` for their addresses."""

from __future__ import annotations

from chalicelib import assets
from chalicelib.visit import Reply, Visit
from pitrix.errors import NotFound

_FOR_EVER = "public, max-age=31536000, immutable"


def static(_visit: Visit, name: str) -> Reply:
    """One file; its name carries a hash of its content, so a browser may keep it for ever."""
    found = assets.read(name)
    if found is None:
        raise NotFound(f"There is no file {name!r}.")
    content_type, text = found
    return Reply(text, headers={"Content-Type": content_type, "Cache-Control": _FOR_EVER})
