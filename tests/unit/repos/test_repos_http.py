"""The repositories' routes and the handler of S3's notifications."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest
from chalice.test import Client

from functions.repos import on_schedule, tasks
from functions.repos.app import app
from functions.repos.on_package_uploaded import handler
from tests.unit.catalog.kit import OPERATOR, RIVAL, USER, VENDOR, Answer, World, call, package
from tests.unit.repos.kit import FakeSource


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
    body = {"filename": "a+b-1.0.0.tgz", "size_bytes": 9}
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
    route, good = "/v1/repos/{repo_id}/packages", {"filename": "a.tgz", "size_bytes": 1}

    def told(who: Any, body: Any, repo_id: str = "repo_platform") -> Answer:
        return call(app, "POST", route, who=who, body=body, repo_id=repo_id)

    problem(told(VENDOR, {**good, "filename": "x.exe"}), 400, "filename")
    problem(told(VENDOR, {"size_bytes": 1}), 400, "filename")
    problem(told(VENDOR, {"filename": "a.tgz"}), 400, "size_bytes")
    problem(told(VENDOR, {**good, "size_bytes": "1"}), 400, "size_bytes")
    problem(told(USER, good), 403)
    problem(told(VENDOR, good, "repo_none"), 404)


def test_actions(deployed: World) -> None:
    deployed.uploads.objects["repo_platform/shop.tgz"] = package()
    route = "/v1/repos/{repo_id}/actions/{action}"
    where = {"repo_id": "repo_platform", "action": "index"}
    one = call(app, "POST", route, who=OPERATOR, body={"key": "repo_platform/shop.tgz"}, **where)
    assert (one.status, one.json["event"]["outcome"]) == (200, "indexed")
    begun = call(app, "POST", route, who=OPERATOR, **where)
    assert (begun.status, begun.json["sync"]["status"], begun.json["sync"]["by"]) == (
        202,
        "running",
        "usr_op",
    )
    again = call(app, "POST", route, who=OPERATOR, **where)
    assert again.json["sync"]["sync_id"] == begun.json["sync"]["sync_id"]
    problem(call(app, "POST", route, who=VENDOR, **where), 403)
    problem(call(app, "POST", route, who=OPERATOR, body={"cursor": "x"}, **where), 400, "cursor")
    problem(call(app, "POST", route, who=OPERATOR, repo_id="repo_platform", action="burn"), 404)
    checked = call(app, "POST", route, who=OPERATOR, repo_id="repo_platform", action="validate")
    assert checked.json["check"] == {"valid": True, "packages": 0, "sample": []}


def test_a_remote_repository_over_http(deployed: World) -> None:
    url = "https://charts.test/stable"
    deployed.kit.sources.by_url[url] = FakeSource({"shop-1.0.0": package()})
    address = {"kind": "http", "url": url, "credential": {"username": "u", "password": "geheim"}}
    tried = call(app, "POST", "/v1/repos/validate", who=VENDOR, body=address)
    assert tried.json == {"valid": True, "packages": 1, "sample": ["shop-1.0.0"]}
    made = call(app, "POST", "/v1/repos", who=VENDOR, body={"name": "stable", **address})
    assert (made.status, made.json["has_credential"]) == (201, True)
    assert "geheim" not in made.text
    where = {"repo_id": made.json["repo_id"]}
    sync = deployed.kit.machine.started[-1]
    for task in ("begin", "fetch", "settle", "finish"):
        answer = tasks.handler(
            {"task": task, "repo_id": sync.repo_id, "sync_id": sync.sync_id, "batch": 1}, None
        )
        assert answer in ({"over": False, "batches": [1]}, {"batches": []}, {})
    figures = call(app, "GET", "/v1/repos/{repo_id}/statistics", who=VENDOR, **where).json
    assert figures["totals"]["versions"] == 1
    assert figures["last_sync"]["counts"]["added"] == 1
    deployed.clock.advance(3700)
    assert on_schedule.handler({}, None) == {"started": 1}
    late = deployed.kit.machine.started[-1]
    error = {"Error": "SourceUnavailable", "Cause": '{"errorMessage": "charts.test is away"}'}
    given = {"repo_id": late.repo_id, "sync_id": late.sync_id, "error": error}
    assert tasks.handler({"task": "fail", **given}, None) == {}
    events = call(app, "GET", "/v1/repos/{repo_id}/events", who=VENDOR, **where).json["items"]
    assert [(event["outcome"], event["message"]) for event in events] == [
        ("failed", "charts.test is away"),
        ("synced", "1 added."),
    ]
    assert call(app, "DELETE", "/v1/repos/{repo_id}", who=VENDOR, **where).status == 204
    problem(call(app, "GET", "/v1/repos/{repo_id}", who=VENDOR, **where), 404)


def test_validation(deployed: World) -> None:
    route = "/v1/packages/validate"
    given = {"package": base64.b64encode(package()).decode()}
    assert call(app, "POST", route, who=USER, body=given).json["valid"] is True
    broken = call(app, "POST", route, who=USER, body={"package": "AAAA"}).json
    assert broken["valid"] is False
    assert broken["problems"][0]["message"]
    problem(call(app, "POST", route, body=given), 401)
    problem(call(app, "POST", route, who=USER, body={"package": "!"}), 400, "package")
