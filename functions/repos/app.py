"""REST routes of the repositories: what there is, uploading a package, what became of it, checking one.

Owns the mapping between HTTP and `pitrix.repos.service`. Every route needs a login.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chalice.app import Response

from pitrix import bootstrap
from pitrix.errors import NotFound
from pitrix.http import Paging, body, create_api, etag, if_match, ok, page, params, raw_body
from pitrix.http import principal as who_asks
from pitrix.repos.model import Repo, RepoPatch, Visibility

app = create_api("repos", replays=lambda: bootstrap.table("repos"))


@dataclass(frozen=True, kw_only=True)
class NewRepo:
    """Body of ``POST /v1/repos``."""

    name: str
    kind: str = "platform"
    description: str = ""
    visibility: Visibility = "private"
    providers: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewUpload:
    """Body of ``POST /v1/repos/{repo_id}/packages``."""

    filename: str
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class IndexRequest:
    """Body of ``…/actions/index``: one object, or all (go on by ``cursor``); it may be left out."""

    key: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, kw_only=True)
class ValidationRequest:
    """Body of ``POST /v1/packages/validate``: an archive as Base64, or an uploaded object."""

    package: str | None = None
    repo_id: str | None = None
    key: str | None = None


@app.route("/v1/repos", methods=["GET"])
def list_repos() -> Response:
    paging = params(app, Paging)
    found = bootstrap.repos().list_repos(who_asks(app), limit=paging.limit, cursor=paging.cursor)
    return page(found.repos, found.next_cursor)


@app.route("/v1/repos", methods=["POST"])
def create_repo() -> Response:
    new = body(app, NewRepo)
    made = bootstrap.repos().create_repo(
        who_asks(app),
        name=new.name,
        kind=new.kind,
        description=new.description,
        visibility=new.visibility,
        providers=new.providers,
        labels=new.labels,
    )
    return _repo(made, status=201)


@app.route("/v1/repos/{repo_id}", methods=["GET"])
def get_repo(repo_id: str) -> Response:
    return _repo(bootstrap.repos().get_repo(who_asks(app), repo_id))


@app.route("/v1/repos/{repo_id}", methods=["PATCH"])
def edit_repo(repo_id: str) -> Response:
    patch = body(app, RepoPatch)
    return _repo(bootstrap.repos().edit_repo(who_asks(app), repo_id, patch, if_revision=if_match(app)))


@app.route("/v1/repos/{repo_id}/events", methods=["GET"])
def list_events(repo_id: str) -> Response:
    paging = params(app, Paging)
    found = bootstrap.repos().list_events(who_asks(app), repo_id, limit=paging.limit, cursor=paging.cursor)
    return page(found.events, found.next_cursor)


@app.route("/v1/repos/{repo_id}/packages", methods=["POST"])
def start_upload(repo_id: str) -> Response:
    new = body(app, NewUpload)
    ticket = bootstrap.repos().start_upload(
        who_asks(app), repo_id, filename=new.filename, size_bytes=new.size_bytes
    )
    return ok(ticket, status=201, headers={"Cache-Control": "no-store"})


@app.route("/v1/repos/{repo_id}/actions/{action}", methods=["POST"])
def act(repo_id: str, action: str) -> Response:
    if action != "index":
        raise NotFound(f"There is no action {action!r}; there is index.")
    wanted = body(app, IndexRequest) if raw_body(app).strip() else IndexRequest()
    return ok(bootstrap.repos().index(who_asks(app), repo_id, key=wanted.key, cursor=wanted.cursor))


@app.route("/v1/packages/validate", methods=["POST"])
def validate() -> Response:
    given = body(app, ValidationRequest)
    report = bootstrap.repos().validate(
        who_asks(app), package=given.package, repo_id=given.repo_id, key=given.key
    )
    return ok(report)


def _repo(repo: Repo, status: int = 200) -> Response:
    return ok(repo, status, headers={"ETag": etag(repo.revision)})
