"""The catalog's routes, called with the events that API Gateway sends."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from chalice.test import Client

from functions.catalog.app import app
from tests.unit.catalog.kit import OPERATOR, PNG, RIVAL, USER, VENDOR, Answer, World, call, package

VERSION = "/v1/apps/{app_id}/versions/{version_id}"


def problem(answer: Answer, status: int, *fields: str) -> Any:
    """The problem document of an answer, checked for its status and the fields it names."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert {error["field"] for error in answer.json.get("errors", [])} == set(fields)
    return answer.json


@pytest.fixture
def key(deployed: World) -> dict[str, str]:
    """An app and a version with files of each kind."""
    extra = {"icon.png": PNG, "a b/读我.txt": "你好".encode(), "page.html": b"<script>"}
    published = deployed.publish(VENDOR, package(extra=extra, icon="icon.png", category="Web"))
    return {"app_id": published.app.app_id, "version_id": published.version.version_id}


def test_the_store_is_open(deployed: World, key: dict[str, str]) -> None:
    with Client(app) as client:  # as Chalice itself routes
        answer = client.http.get("/v1/apps?search=SHOP&sort=name&limit=5")
    assert answer.status_code == 200
    assert answer.json_body["next_cursor"] is None
    listed = answer.json_body["items"][0]
    assert listed["app_id"] == key["app_id"]
    assert listed["created_at"].startswith("2026-11-22T10:00:0")


def test_pages(deployed: World) -> None:
    for number in range(3):
        deployed.publish(VENDOR, package(f"app-{number}"))
    first = call(app, "GET", "/v1/apps", query={"limit": 2}).json
    second = call(app, "GET", "/v1/apps", query={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [item["name"] for item in first["items"] + second["items"]] == ["app-2", "app-1", "app-0"]
    assert second["next_cursor"] is None
    other = call(app, "GET", "/v1/apps", query={"sort": "name", "cursor": first["next_cursor"]})
    assert "another list" in problem(other, 400, "cursor")["detail"]
    versions = call(
        app,
        "GET",
        "/v1/apps/{app_id}/versions",
        query={"cursor": first["next_cursor"]},
        app_id=first["items"][0]["app_id"],
    )
    problem(versions, 400, "cursor")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"sort": "best"}, "sort"),
        ({"scope": "all"}, "scope"),
        ({"cursor": "no!cursor"}, "cursor"),
        ({"order": "name"}, "order"),
        ({"search": "x" * 201}, "search"),
    ],
)
def test_a_bad_parameter_is_named(deployed: World, query: dict[str, Any], field: str) -> None:
    problem(call(app, "GET", "/v1/apps", query=query), 400, field)


def test_what_is_not_there_is_a_problem_too(deployed: World) -> None:
    problem(call(app, "GET", "/v1/apps/{app_id}", app_id="app_none"), 404)
    problem(call(app, "GET", "/v1/categories/{category_id}", category_id="cat_none"), 404)


def test_mine_needs_a_login(deployed: World, key: dict[str, str]) -> None:
    problem(call(app, "GET", "/v1/apps", query={"scope": "mine"}), 401)
    assert len(call(app, "GET", "/v1/apps", query={"scope": "mine"}, who=VENDOR).json["items"]) == 1
    assert call(app, "GET", "/v1/apps", query={"scope": "mine"}, who=USER).json["items"] == []
    assert call(app, "GET", "/v1/apps/statistics", who=VENDOR).json["apps"] == 1


def test_editing_with_an_entity_tag(deployed: World, key: dict[str, str]) -> None:
    where = {"app_id": key["app_id"]}
    tag = call(app, "GET", "/v1/apps/{app_id}", **where).headers["ETag"]
    changed = call(
        app,
        "PATCH",
        "/v1/apps/{app_id}",
        who=VENDOR,
        body={"title": "New"},
        headers={"if-match": tag},
        **where,
    )
    assert changed.json["title"] == "New"
    assert changed.headers["ETag"] == call(app, "GET", "/v1/apps/{app_id}", **where).headers["ETag"] != tag
    late = call(
        app,
        "PATCH",
        "/v1/apps/{app_id}",
        who=VENDOR,
        body={"title": "Late"},
        headers={"if-match": tag},
        **where,
    )
    problem(late, 412)
    problem(call(app, "PATCH", "/v1/apps/{app_id}", who=VENDOR, body={"name": "x"}, **where), 400, "name")
    problem(call(app, "PATCH", "/v1/apps/{app_id}", who=VENDOR, body={"title": 5}, **where), 400, "title")
    problem(call(app, "PATCH", "/v1/apps/{app_id}", who=VENDOR, body="{", **where), 400)
    problem(call(app, "PATCH", "/v1/apps/{app_id}", who=RIVAL, body={"title": "x"}, **where), 403)
    problem(call(app, "PATCH", "/v1/apps/{app_id}", body={"title": "x"}, **where), 401)


def test_the_form(deployed: World, key: dict[str, str]) -> None:
    answer = call(app, "GET", VERSION + "/form", query={"locale": "zh-cn"}, **key)
    assert answer.status == 200
    assert "节点数" in answer.text
    problem(call(app, "GET", VERSION + "/form", query={"locale": "xx"}, **key), 400, "locale")


def test_files_come_with_headers_that_keep_browsers_from_running_them(
    deployed: World, key: dict[str, str]
) -> None:
    listed = call(app, "GET", VERSION + "/files", **key).json["items"]
    assert {entry["path"] for entry in listed} >= {"package.json", "a b/读我.txt", "icon.png"}
    page = call(app, "GET", VERSION + "/files/{path+}", path="page.html", **key)
    assert (page.status, page.text) == (200, "<script>")
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in page.headers["Content-Security-Policy"]
    for path in ("a b/读我.txt", quote("a b/读我.txt"), quote("a b/读我.txt", safe="")):
        assert call(app, "GET", VERSION + "/files/{path+}", path=path, **key).text == "你好"
    picture = call(app, "GET", VERSION + "/files/{path+}", path="icon.png", **key)
    assert (picture.status, picture.text) == (302, "")
    assert picture.headers["Location"].startswith("https://files.test/")
    problem(call(app, "GET", VERSION + "/files/{path+}", path="../package.json", **key), 404)


def test_the_icon_and_the_package_are_redirects(deployed: World, key: dict[str, str]) -> None:
    found = call(app, "GET", "/v1/apps/{app_id}/icon", app_id=key["app_id"])
    assert found.status == 302
    assert found.headers["Location"].endswith("/icon.png")
    package_ = call(app, "GET", VERSION + "/package", **key)
    assert package_.status == 302
    assert package_.headers["Location"] == package_.json["url"]


def test_actions_on_a_version(deployed: World, key: dict[str, str]) -> None:
    route = VERSION + "/actions/{action}"
    suspended = call(app, "POST", route, who=VENDOR, body={"reason": "broken"}, action="suspend", **key)
    assert (suspended.json["status"], suspended.json["status_reason"]) == ("suspended", "broken")
    problem(call(app, "GET", VERSION, **key), 404)
    problem(call(app, "POST", route, who=VENDOR, action="suspend", **key), 409)
    problem(call(app, "POST", route, who=VENDOR, action="explode", **key), 404)
    problem(call(app, "POST", route, who=VENDOR, body={"why": "x"}, action="recover", **key), 400, "why")
    assert call(app, "POST", route, who=VENDOR, action="recover", **key).json["status"] == "released"
    call(app, "POST", route, who=VENDOR, action="suspend", **key)
    assert call(app, "DELETE", VERSION, who=VENDOR, **key).status == 204


def test_a_repeated_post_with_the_same_key_acts_once(deployed: World) -> None:
    body = {"name": {"en": "Games"}}
    answers = [
        call(app, "POST", "/v1/categories", who=OPERATOR, body=body, headers={"idempotency-key": "k1"})
        for _ in range(2)
    ]
    assert answers[0].status == answers[1].status == 201
    assert answers[0].json["category_id"] == answers[1].json["category_id"]
    made = [c for c in call(app, "GET", "/v1/categories").json["items"] if c["name"] == body["name"]]
    assert len(made) == 1


def test_categories(deployed: World) -> None:
    problem(call(app, "POST", "/v1/categories", who=USER, body={"name": {"en": "x"}}), 403)
    problem(call(app, "POST", "/v1/categories", body={"name": {"en": "x"}}), 401)
    problem(call(app, "POST", "/v1/categories", who=OPERATOR, body={}), 400, "name")
    made = call(app, "POST", "/v1/categories", who=OPERATOR, body={"name": {"en": "Games"}}).json
    where = {"category_id": made["category_id"]}
    changed = call(app, "PATCH", "/v1/categories/{category_id}", who=OPERATOR, body={"position": 1}, **where)
    assert (changed.json["position"], changed.headers["ETag"]) == (1, '"2"')
    assert call(app, "DELETE", "/v1/categories/{category_id}", who=OPERATOR, **where).status == 204
    problem(call(app, "GET", "/v1/categories/{category_id}", **where), 404)
