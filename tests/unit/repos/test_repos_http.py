"""The repositories' routes and the handler of S3's notifications."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest
from chalice.test import Client

from functions.repos.app import app
from functions.repos.on_package_uploaded import handler
from tests.unit.catalog.kit import OPERATOR, RIVAL, USER, VENDOR, Answer, World, call, package


def problem(answer: Answer, status: int, *fields: str) -> Any:
    """The problem document of an answer, checked for its status and the fields it names."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {error["field"] for error in answer.json.get("errors", [])} == set(fields)
    return answer.json


def record(key: str, name: str = "ObjectCreated:Put", sequencer: str | None = None) -> dict[str, Any]:
    described = {"key": quote_plus(key), "size": 1, "eTag": "e"}
    if sequencer:
        described["sequencer"] = sequencer
    return {"eventName": name, "s3": {"bucket": {"name": "packages"}, "object": described}}


def test_from_announcing_to_the_event(deployed: World) -> None:
    body = {"filename": "a+b-1.0.0.tgz"}
    ticket = call(app, "POST", "/v1/repos/{repo_id}/packages", who=VENDOR, body=body, repo_id="repo_platform")
    assert ticket.status == 201
    assert set(ticket.json) >= {"upload_url", "method", "key", "expires_in_s", "headers"}
    deployed.uploads.objects[ticket.json["key"]] = package()
    assert handler({"Records": [record(ticket.json["key"], sequencer="0A")]}, None) == {"records": 1}
    handler({"Records": [record(ticket.json["key"], sequencer="0A")]}, None)
    events = call(app, "GET", "/v1/repos/{repo_id}/events", who=VENDOR, repo_id="repo_platform").json["items"]
    assert [(event["outcome"], event["name"]) for event in events] == [("indexed", "shop")]
    handler({"Records": [record(ticket.json["key"], "ObjectRemoved:Delete", "0B")]}, None)
    events = call(app, "GET", "/v1/repos/{repo_id}/events", who=VENDOR, repo_id="repo_platform").json["items"]
    assert [event["outcome"] for event in events] == ["removed", "indexed"]


def test_one_bad_record_keeps_no_other_from_being_indexed(deployed: World) -> None:
    deployed.uploads.objects["repo_platform/good.tgz"] = package()
    read = deployed.uploads.read

    def flaky(key: str, *, at_most_bytes: int) -> bytes:
        if key.endswith("bad.tgz"):
            raise ConnectionError("S3 is away")
        return read(key, at_most_bytes=at_most_bytes)

    deployed.uploads.read = flaky  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):  # so that Lambda retries
        handler({"Records": [record("repo_platform/bad.tgz"), record("repo_platform/good.tgz")]}, None)
    assert [app.name for app in deployed.catalog.list_apps(OPERATOR).apps] == ["shop"]


def test_a_poisoned_notification_about_nothing_of_ours_is_done_with(deployed: World) -> None:
    assert handler({"Records": [record("stray.txt"), record("repo_x/y.tgz")]}, None) == {"records": 2}
    assert handler({"Event": "s3:TestEvent"}, None) == {"records": 0}


def test_repositories(deployed: World) -> None:
    made = call(app, "POST", "/v1/repos", who=VENDOR, body={"name": "mine"})
    assert (made.status, made.headers["ETag"]) == (201, '"1"')
    where = {"repo_id": made.json["repo_id"]}
    changed = call(
        app,
        "PATCH",
        "/v1/repos/{repo_id}",
        who=VENDOR,
        body={"description": "x"},
        headers={"if-match": '"1"'},
        **where,
    )
    assert changed.headers["ETag"] == '"2"'
    late = call(
        app,
        "PATCH",
        "/v1/repos/{repo_id}",
        who=VENDOR,
        body={"description": "y"},
        headers={"if-match": '"1"'},
        **where,
    )
    problem(late, 412)
    problem(call(app, "GET", "/v1/repos/{repo_id}", who=RIVAL, **where), 404)
    problem(call(app, "POST", "/v1/repos", who=VENDOR, body={"name": "h", "kind": "helm"}), 400, "kind")
    problem(call(app, "POST", "/v1/repos", who=VENDOR, body={"title": "h"}), 400, "title")
    problem(call(app, "POST", "/v1/repos", who=USER, body={"name": "h"}), 403)
    with Client(app) as client:  # no authorizer: a visitor
        assert client.http.get("/v1/repos").status_code == 401
    listed = call(app, "GET", "/v1/repos", who=VENDOR, query={"limit": 1}).json
    assert (listed["items"][0]["name"], listed["next_cursor"] is None) == ("platform", False)
    problem(
        call(
            app,
            "GET",
            "/v1/repos/{repo_id}/events",
            who=VENDOR,
            query={"cursor": listed["next_cursor"]},
            **where,
        ),
        400,
        "cursor",
    )


def test_uploads_that_are_refused(deployed: World) -> None:
    route = "/v1/repos/{repo_id}/packages"
    where = {"repo_id": "repo_platform"}
    problem(call(app, "POST", route, who=VENDOR, body={"filename": "x.exe"}, **where), 400, "filename")
    problem(call(app, "POST", route, who=VENDOR, body={}, **where), 400, "filename")
    problem(
        call(app, "POST", route, who=VENDOR, body={"filename": "a.tgz", "size_bytes": "1"}, **where),
        400,
        "size_bytes",
    )
    problem(call(app, "POST", route, who=USER, body={"filename": "a.tgz"}, **where), 403)
    problem(call(app, "POST", route, who=VENDOR, body={"filename": "a.tgz"}, repo_id="repo_none"), 404)


def test_the_index_action(deployed: World) -> None:
    deployed.uploads.objects["repo_platform/shop.tgz"] = package()
    route = "/v1/repos/{repo_id}/actions/{action}"
    where = {"repo_id": "repo_platform", "action": "index"}
    assert call(app, "POST", route, who=OPERATOR, **where).json["indexed"] == 1
    one = call(app, "POST", route, who=OPERATOR, body={"key": "repo_platform/shop.tgz"}, **where).json
    assert (one["unchanged"], one["events"][0]["outcome"]) == (1, "unchanged")
    problem(call(app, "POST", route, who=VENDOR, **where), 403)
    problem(call(app, "POST", route, who=OPERATOR, repo_id="repo_platform", action="burn"), 404)


def test_validation(deployed: World) -> None:
    route = "/v1/packages/validate"
    given = {"package": base64.b64encode(package()).decode()}
    assert call(app, "POST", route, who=USER, body=given).json["valid"] is True
    broken = call(app, "POST", route, who=USER, body={"package": "AAAA"}).json
    assert broken["valid"] is False
    assert broken["problems"][0]["message"]
    problem(call(app, "POST", route, body=given), 401)
    problem(call(app, "POST", route, who=USER, body={"package": "!"}), 400, "package")
