"""The deployment wizard: answer the package's questions, look at the plan and its price, deploy.

Every step is one form posted to one address; a hidden copy of the answers travels along, so nothing is kept
on the server and the browser's back button works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib import render, wizard
from chalicelib.i18n import Texts
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.billing.requests import QuoteRequest
from pitrix.catalog.model import App, Version
from pitrix.clusters.requests import DeployRequest
from pitrix.errors import (
    CapabilityMissing,
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PitrixError,
    QuotaExceeded,
    Unprocessable,
)
from pitrix.packages import service as packages
from pitrix.packages.model import FieldType, Form

#: Runtimes and clusters to choose from; a picker with a search is for those who have more.
_CHOICES = 100


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is being deployed, and what its package asks."""

    app: App
    version: Version
    form: Form


def begin(visit: Visit, app_id: str) -> Reply:
    """The form, filled with the package's defaults."""
    return _draw(visit, _asked(visit, app_id, visit.query.get("version", "")))


def proceed(visit: Visit, app_id: str) -> Reply:
    """Go on to the preview, back to the form, or deploy; with wrong answers, the form says what is wrong."""
    asked = _asked(visit, app_id, visit.field("version_id"))
    request = _request(visit, asked)
    if visit.field("intent") == "edit":
        return _draw(visit, asked, filled=True)
    try:
        if visit.field("intent") == "deploy":
            begun = bootstrap.clusters().create(visit.who, request, locale=visit.locale)
            return visit.redirect(f"/clusters/{begun.cluster.cluster_id}")
        view = bootstrap.clusters().plan(visit.who, request, locale=visit.locale)
    except (InvalidInput, Unprocessable, Conflict, CapabilityMissing, QuotaExceeded) as error:
        return _draw(visit, asked, filled=True, error=error)
    runtime = bootstrap.runtimes().get(visit.who, request.runtime_id)
    return render.page(
        visit,
        "preview.html",
        app=asked.app,
        version=asked.version,
        plan=view.plan,
        runtime_name=runtime.name,
        answered=wizard.in_words(asked.form, visit.form, Texts(visit.locale)),
    )


def quote(visit: Visit, app_id: str) -> Reply:
    """The price of the answers so far, as a fragment. Wrong answers are named instead; that is no error."""
    asked = _asked(visit, app_id, visit.field("version_id"))
    request = QuoteRequest(
        app_id=app_id, version_id=asked.version.version_id, answers=wizard.read(asked.form, visit.form)
    )
    try:
        found = bootstrap.billing().quote_request(visit.who, request, locale=visit.locale)
    except (InvalidInput, Unprocessable, CapabilityMissing) as error:
        return render.page(visit, "quote.html", quote=None, wrong=_in_brief(asked.form, error))
    return render.page(visit, "quote.html", quote=found, wrong=[])


def _asked(visit: Visit, app_id: str, version_id: str) -> Asked:
    catalog = bootstrap.catalog()
    app = catalog.get_app(visit.who, app_id)
    chosen = version_id or app.latest_version_id
    if not chosen:
        raise NotFound(f"{app.title} has no released version.")
    version = catalog.get_version(visit.who, app_id, chosen)
    return Asked(app=app, version=version, form=catalog.form(visit.who, app_id, chosen, visit.locale))


def _request(visit: Visit, asked: Asked) -> DeployRequest:
    return DeployRequest(
        app_id=asked.app.app_id,
        version_id=asked.version.version_id,
        name=visit.field("name") or None,
        runtime_id=visit.field("runtime_id"),
        answers=wizard.read(asked.form, visit.form),
        public=visit.field("public") == "yes",
    )


def _draw(visit: Visit, asked: Asked, *, filled: bool = False, error: PitrixError | None = None) -> Reply:
    """The form, empty or as it was sent, with what is wrong at the fields it belongs to."""
    runtimes = bootstrap.runtimes().list_runtimes(visit.who, limit=_CHOICES).runtimes
    errors: Sequence[FieldError] = error.errors if error else ()
    posted = visit.form if filled else None
    only = runtimes[0].runtime_id if runtimes else ""
    return render.page(
        visit,
        "deploy.html",
        status=error.status if error else 200,
        app=asked.app,
        version=asked.version,
        runtimes=runtimes,
        runtime_id=visit.field("runtime_id", only) if filled else only,
        public=None if packages.becomes(asked.app.type) != "vm" else visit.field("public") == "yes",
        own_name=None if _names_itself(asked.form) else (visit.field("name") if filled else ""),
        size=wizard.size_shown(asked.form, posted),
        sections=wizard.draw(
            asked.form,
            Texts(visit.locale),
            posted=posted,
            errors=errors,
            linkable=_linkable(visit, asked.form),
        ),
        general=wizard.strangers(asked.form, errors),
        refused=error.detail if error else "",
    )


def _names_itself(form: Form) -> bool:
    """Whether the package asks for the cluster's name."""
    return any(asked.path == ["cluster", "name"] for asked in form.fields())


def _linkable(visit: Visit, form: Form) -> list[tuple[str, str]]:
    """The visitor's running clusters, where the package can be linked to one."""
    if not any(asked.type is FieldType.SERVICE for asked in form.fields()):
        return []
    clusters, _ = bootstrap.clusters().list_clusters(visit.who, limit=_CHOICES)
    return [(each.cluster_id, each.name or each.cluster_id) for each in clusters if each.status == "active"]


def _in_brief(form: Form, error: PitrixError) -> list[str]:
    """What is wrong, in one line each, with the labels of the form."""
    return [f"{wizard.label(form, each)}: {each.message}" for each in error.errors] or [error.detail]
