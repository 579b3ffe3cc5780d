"""HTML from templates.

Owns the Jinja2 environment, loaded at the first page and not at import, and what every template may say:
``t`` (texts), ``visit``, ``url``, ``asset``, ``form_token``, ``money``. Everything is escaped unless it is
`Markup`, which only ``readme`` makes. Never calls a service.
"""

from __future__ import annotations

import functools
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib import assets, session
from chalicelib.i18n import LOCALES, Texts
from chalicelib.visit import Reply, Visit

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
HTML = "text/html; charset=utf-8"


@functools.cache
def environment() -> Environment:
    """The one Jinja2 environment; a name that a page did not pass is an error, not an empty string."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from pitrix.billing.model import format_money

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["status_tone"] = status_tone
    made.filters["hue"] = hue
    made.filters["plain"] = plain
    made.filters["a_month"] = a_month
    made.globals["money"] = format_money
    return made


def page(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Reply:
    """Render a template as the answer to ``visit``."""
    html = (
        environment()
        .get_template(template)
        .render(
            visit=visit,
            who=visit.who,
            t=Texts(visit.locale),
            url=visit.url,
            asset=functools.partial(_asset, visit),
            form_token=functools.partial(session.form_token, visit),
            LOCALES=LOCALES,
            **values,
        )
    )
    return Reply(html, status, {"Content-Type": HTML})


def _asset(visit: Visit, name: str) -> str:
    """Address of a static file, empty when it was not built in."""
    public = assets.public_name(name)
    return visit.url(f"/static/{public}") if public else ""


_TONES = {
    "good": {"active", "succeeded", "released", "indexed", "synced", "healthy"},
    "busy": {
        "pending",
        "creating",
        "starting",
        "stopping",
        "ceasing",
        "running",
        "running a service",
        "connecting",
    },
    "bad": {"failed", "refused", "deleted", "unhealthy"},
    "warn": {"suspended", "cancelled"},
}


def status_tone(status: str) -> str:
    """How a status is coloured; empty for the neutral ones."""
    return next((tone for tone, words in _TONES.items() if status in words), "")


def plain(number: Decimal) -> str:
    """A number without trailing zeros and without an exponent: ``10``, ``0.5``."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def a_month(micros_per_hour: int) -> int:
    """Micros for a month of 730 hours, to the hundredth: an estimate that looks like one."""
    return round(micros_per_hour * 730, -4)


def hue(name: str) -> int:
    """One of seven colours for the tile of an app without an icon; always the same for a name."""
    return sum(name.encode()) % 7
