"""REST routes of the repositories: what there is, uploading a package, syncing, what became of it all.

Owns the mapping between HTTP and `pitrix.repos.service`. Every route needs a login. A credential comes in
with a POST or a PATCH and never goes out: no view has a place for one.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalice.app import Response

from pitrix import bootstrap
from pitrix.errors import NotFound
from pitrix.http import Paging, body, create_api, etag, if_match, no_content, ok, page, params, raw_body
from pitrix.http import principal as who_asks
from pitrix.repos.model import ActionDone, Repo, RepoPatch, RepoRequest, SourceRequest

app = create_api("repos", replays=lambda: bootstrap.table("repos"))


@dataclass(frozen=True, kw_only=True)
class NewUpload:
    """Body of ``POST /v1/repos/{repo_id}/packages``."""

    filename: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class ActionRequest:
    """Body of ``…/actions/{action}``; it may be left out.

    With ``key``, ``index`` looks at that one object of the platform's bucket and answers with its event;
    without, it starts a sync, of ``refused`` packages too that did not change.
    """

    key: str | None = None
    refused: bool = False


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
    return _repo(bootstrap.repos().create_repo(who_asks(app), body(app, RepoRequest)), status=201)


@app.route("/v1/repos/validate", methods=["POST"])
def validate_repo() -> Response:
    return ok(bootstrap.repos().check_source(who_asks(app), body(app, SourceRequest)))


@app.route("/v1/repos/{repo_id}", methods=["GET"])
def get_repo(repo_id: str) -> Response:
    return _repo(bootstrap.repos().get_repo(who_asks(app), repo_id))


@app.route("/v1/repos/{repo_id}", methods=["PATCH"])
def edit_repo(repo_id: str) -> Response:
    patch = body(app, RepoPatch)
    return _repo(bootstrap.repos().edit_repo(who_asks(app), repo_id, patch, if_revision=if_match(app)))


@app.route("/v1/repos/{repo_id}", methods=["DELETE"])
def delete_repo(repo_id: str) -> Response:
    bootstrap.repos().delete_repo(who_asks(app), repo_id)
    return no_content()


@app.route("/v1/repos/{repo_id}/statistics", methods=["GET"])
def repo_statistics(repo_id: str) -> Response:
    return ok(bootstrap.repos().statistics(who_asks(app), repo_id))


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
    who, wanted = who_asks(app), body(app, ActionRequest) if raw_body(app).strip() else ActionRequest()
    if action == "validate":
        return ok(ActionDone(check=bootstrap.repos().check_repo(who, repo_id)))
    if action != "index":
        raise NotFound(f"There is no action {action!r}; there are index and validate.")
    if wanted.key is not None:
        return ok(ActionDone(event=bootstrap.repos().index_one(who, repo_id, wanted.key)))
    begun = bootstrap.repos().sync(who, repo_id, retry_refused=wanted.refused)
    return ok(ActionDone(sync=begun), status=202)


@app.route("/v1/packages/validate", methods=["POST"])
def validate() -> Response:
    given = body(app, ValidationRequest)
    report = bootstrap.repos().validate(
        who_asks(app), package=given.package, repo_id=given.repo_id, key=given.key
    )
    return ok(report)


def _repo(repo: Repo, status: int = 200) -> Response:
    return ok(repo, status, headers={"ETag": etag(repo.revision)})
