"""The store, open to everyone: search, categories, and the page of one app."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from chalicelib import readme, render
from chalicelib.visit import Reply, Visit
from pitrix import bootstrap
from pitrix.catalog.model import App, AppScope, AppSort
from pitrix.errors import CapabilityMissing, InvalidInput, NotFound, Unprocessable
from pitrix.identity.model import SYSTEM
from pitrix.packages import service as packages

if TYPE_CHECKING:
    from pitrix.billing.model import Quote

_A_PAGE = 24
_VERSIONS = 20


def store(visit: Visit) -> Reply:
    """Search box, categories, and the apps that match."""
    catalog = bootstrap.catalog()
    asked = {
        "search": visit.query.get("search", "").strip(),
        "category": visit.query.get("category", ""),
        "sort": visit.query.get("sort", ""),
        "repo": visit.query.get("repo", ""),
    }
    # What is private is in no store: who signed in looks at it apart.
    scope: AppScope = "store" if visit.who.is_anonymous or visit.query.get("scope") != "mine" else "mine"
    asked["scope"] = "" if scope == "store" else scope
    sort: AppSort = asked["sort"] if asked["sort"] in get_args(AppSort) else "newest"  # type: ignore[assignment]
    found = catalog.list_apps(
        visit.who,
        search=asked["search"],
        category=asked["category"],
        repo=asked["repo"],
        sort=sort,
        scope=scope,
        limit=_A_PAGE,
        cursor=visit.query.get("cursor"),
    )
    shelves = {shelf.category_id: _name(shelf.name, visit.locale) for shelf in catalog.categories(visit.who)}
    return render.page(
        visit,
        "store.html",
        apps=found.apps,
        cursor=found.next_cursor,
        shelves=shelves,
        asked=asked,
        sorts=get_args(AppSort),
        sort=sort,
        scope=scope,
    )


def app_page(visit: Visit, app_id: str) -> Reply:
    """What an app is, in its own words, and its versions."""
    catalog = bootstrap.catalog()
    app = catalog.get_app(visit.who, app_id)
    versions = catalog.list_versions(visit.who, app_id, limit=_VERSIONS).versions
    shelves = {shelf.category_id: _name(shelf.name, visit.locale) for shelf in catalog.categories(visit.who)}
    return render.page(
        visit,
        "app.html",
        app=app,
        versions=versions,
        shelves=shelves,
        readme=_readme(visit, app),
        price=_price(app),
        charts=visit.full_url(f"/v1/repos/{app.repo_id}/charts"),
    )


def _readme(visit: Visit, app: App) -> str:
    """The README in the visitor's language if the package has one, else the plain one, as safe HTML."""
    for path in (f"README.{visit.locale}.md", "README.md"):
        try:
            text = bootstrap.catalog().file(visit.who, app.app_id, app.latest_version_id or "", path).text
        except NotFound:
            continue
        if text:
            return readme.to_html(text, title=app.title)
    return ""


def _price(app: App) -> Quote | None:
    """What an hour costs with the package's defaults; none where a package insists on answers of its own, or
    where it takes Helm to know: the wizard says it then.

    Asked as the platform: prices are public, and a visitor holds no permission to ask for quotes.
    """
    from pitrix.billing.requests import QuoteRequest

    if not app.latest_version_id or packages.becomes(app.type) != "vm":
        return None
    request = QuoteRequest(app_id=app.app_id, version_id=app.latest_version_id, answers={})
    try:
        return bootstrap.billing().quote_request(SYSTEM, request)
    except (InvalidInput, Unprocessable, CapabilityMissing):
        return None


def _name(names: dict[str, str], locale: str) -> str:
    """A category's name in the visitor's language."""
    return names.get(locale) or names.get("en") or next(iter(names.values()), "")
