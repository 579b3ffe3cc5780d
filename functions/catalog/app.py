"""REST routes of the catalog: apps, versions, what is inside a package, categories.

Owns the mapping between HTTP and `pitrix.catalog.service`. Reading is open to visitors; the service decides
what they see. Files of a package are sent so that no browser runs them; packages and pictures are handed out
by presigned addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, unquote

from chalice.app import Response

from pitrix import bootstrap
from pitrix.catalog.model import (
    AppPatch,
    AppScope,
    AppSort,
    Category,
    CategoryPatch,
    FileContent,
    Version,
    VersionAction,
)
from pitrix.errors import NotFound
from pitrix.http import (
    Paging,
    body,
    check_limit,
    create_api,
    current_request,
    etag,
    if_match,
    no_content,
    ok,
    page,
    params,
    raw_body,
)
from pitrix.http import principal as who_asks

app = create_api("catalog", replays=lambda: bootstrap.table("catalog"))

_VERSION = "/v1/apps/{app_id}/versions/{version_id}"
# A presigned address works for a while: browsers may keep the redirect for a part of it.
_REDIRECT = {"Cache-Control": "private, max-age=120"}


@dataclass(frozen=True, kw_only=True)
class AppQuery:
    """Query parameters of ``GET /v1/apps``."""

    search: str = ""
    category: str = ""
    repo: str = ""
    type: str = ""
    name: str = ""
    sort: AppSort = "newest"
    scope: AppScope = "store"
    limit: int = 50
    cursor: str | None = None

    def __post_init__(self) -> None:
        check_limit(self.limit)


@dataclass(frozen=True, kw_only=True)
class FormQuery:
    """Query parameters of ``…/form``."""

    locale: str = "en"


@dataclass(frozen=True, kw_only=True)
class StatusChange:
    """Body of ``…/actions/{action}``; it may be left out."""

    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class NewCategory:
    """Body of ``POST /v1/categories``; ``name`` by locale (``en``, ``zh-cn``)."""

    name: dict[str, str]
    description: str = ""
    position: int = 1000


@app.route("/v1/apps", methods=["GET"])
def list_apps() -> Response:
    asked = params(app, AppQuery)
    found = bootstrap.catalog().list_apps(
        who_asks(app),
        search=asked.search,
        category=asked.category,
        repo=asked.repo,
        type=asked.type,
        name=asked.name,
        sort=asked.sort,
        scope=asked.scope,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return page(found.apps, found.next_cursor)


@app.route("/v1/apps/statistics", methods=["GET"])
def statistics() -> Response:
    return ok(bootstrap.catalog().statistics(who_asks(app)))


@app.route("/v1/apps/{app_id}", methods=["GET"])
def get_app(app_id: str) -> Response:
    found = bootstrap.catalog().get_app(who_asks(app), app_id)
    return ok(found, headers={"ETag": etag(found.revision)})


@app.route("/v1/apps/{app_id}", methods=["PATCH"])
def edit_app(app_id: str) -> Response:
    changed = bootstrap.catalog().edit_app(
        who_asks(app), app_id, body(app, AppPatch), if_revision=if_match(app)
    )
    return ok(changed, headers={"ETag": etag(changed.revision)})


@app.route("/v1/apps/{app_id}/icon", methods=["GET"])
def icon(app_id: str) -> Response:
    return _redirect(bootstrap.catalog().icon(who_asks(app), app_id))


@app.route("/v1/apps/{app_id}/versions", methods=["GET"])
def list_versions(app_id: str) -> Response:
    paging = params(app, Paging)
    found = bootstrap.catalog().list_versions(who_asks(app), app_id, limit=paging.limit, cursor=paging.cursor)
    return page(found.versions, found.next_cursor)


@app.route(_VERSION, methods=["GET"])
def get_version(app_id: str, version_id: str) -> Response:
    return _version(bootstrap.catalog().get_version(who_asks(app), app_id, version_id))


@app.route(_VERSION, methods=["DELETE"])
def delete_version(app_id: str, version_id: str) -> Response:
    bootstrap.catalog().change_status(who_asks(app), app_id, version_id, "delete")
    return no_content()


@app.route(_VERSION + "/actions/{action}", methods=["POST"])
def change_status(app_id: str, version_id: str, action: str) -> Response:
    if action not in ("release", "suspend", "recover"):
        raise NotFound(f"There is no action {action!r}; there are release, suspend and recover.")
    reason = body(app, StatusChange).reason if raw_body(app).strip() else ""
    changed = bootstrap.catalog().change_status(
        who_asks(app), app_id, version_id, cast(VersionAction, action), reason=reason
    )
    return _version(changed)


@app.route(_VERSION + "/form", methods=["GET"])
def form(app_id: str, version_id: str) -> Response:
    locale = params(app, FormQuery).locale
    return ok(bootstrap.catalog().form(who_asks(app), app_id, version_id, locale))


@app.route(_VERSION + "/files", methods=["GET"])
def files(app_id: str, version_id: str) -> Response:
    return page(bootstrap.catalog().files(who_asks(app), app_id, version_id), None)


@app.route(_VERSION + "/files/{path+}", methods=["GET"])
def file(app_id: str, version_id: str) -> Response:
    # Chalice hands no greedy parameter over to a view, and API Gateway does not decode it.
    path = unquote((current_request(app).uri_params or {}).get("path", ""))
    return _file(bootstrap.catalog().file(who_asks(app), app_id, version_id, path))


@app.route(_VERSION + "/package", methods=["GET"])
def package(app_id: str, version_id: str) -> Response:
    found = bootstrap.catalog().download(who_asks(app), app_id, version_id)
    return ok(found, status=302, headers={"Location": found.url, "Cache-Control": "no-store"})


@app.route("/v1/categories", methods=["GET"])
def categories() -> Response:
    return page(bootstrap.catalog().categories(who_asks(app)), None)


@app.route("/v1/categories", methods=["POST"])
def create_category() -> Response:
    new = body(app, NewCategory)
    made = bootstrap.catalog().create_category(
        who_asks(app), name=new.name, description=new.description, position=new.position
    )
    return _category(made, status=201)


@app.route("/v1/categories/{category_id}", methods=["GET"])
def get_category(category_id: str) -> Response:
    return _category(bootstrap.catalog().get_category(who_asks(app), category_id))


@app.route("/v1/categories/{category_id}", methods=["PATCH"])
def edit_category(category_id: str) -> Response:
    patch = body(app, CategoryPatch)
    changed = bootstrap.catalog().edit_category(who_asks(app), category_id, patch, if_revision=if_match(app))
    return _category(changed)


@app.route("/v1/categories/{category_id}", methods=["DELETE"])
def delete_category(category_id: str) -> Response:
    bootstrap.catalog().delete_category(who_asks(app), category_id)
    return no_content()


def _version(version: Version) -> Response:
    return ok(version, headers={"ETag": etag(version.revision)})


def _category(category: Category, status: int = 200) -> Response:
    return ok(category, status, headers={"ETag": etag(category.revision)})


def _redirect(url: str) -> Response:
    return Response("", {"Location": url, **_REDIRECT}, 302)


def _file(found: FileContent) -> Response:
    if found.text is None:
        return _redirect(found.url or "")
    name = quote(found.entry.path.rpartition("/")[2])
    headers: dict[str, str | list[str]] = {
        "Content-Type": found.entry.content_type,
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
        # Nothing in a package may act as a page of this origin, whatever a browser makes of it.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=300",
    }
    return Response(found.text, headers, 200)
