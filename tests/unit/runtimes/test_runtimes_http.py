"""The runtimes' routes: shapes, statuses, entity tags, and no credential in any answer or log line."""

from __future__ import annotations

from typing import Any

import pytest

from functions.runtimes.app import app
from tests.unit.catalog.kit import Answer, call
from tests.unit.runtimes.paper import ALICE, OPERATOR, RIVAL, SECRET, World

BODY = {"name": "mine", "provider": "paper", "credential": {"secret": SECRET}}
ONE = "/v1/runtimes/{runtime_id}"


def problem(answer: Answer, status: int, code: str, *fields: str) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, answer.json["code"]) == (status, code)
    assert {error["field"] for error in answer.json.get("errors", [])} == set(fields)


def test_the_life_of_a_runtime(deployed: World) -> None:
    made = call(app, "POST", "/v1/runtimes", who=ALICE, body=BODY)
    assert (made.status, made.headers["ETag"]) == (201, '"2"')
    where = {"runtime_id": made.json["runtime_id"]}
    assert call(app, "GET", ONE, who=ALICE, **where).json == made.json
    assert call(app, "GET", "/v1/runtimes", who=ALICE).json == {"items": [made.json], "next_cursor": None}
    body = {"description": "new"}
    edited = call(app, "PATCH", ONE, who=ALICE, body=body, headers={"if-match": '"2"'}, **where)
    assert (edited.json["description"], edited.headers["ETag"]) == ("new", '"3"')
    late = call(app, "PATCH", ONE, who=ALICE, body=body, headers={"if-match": '"2"'}, **where)
    problem(late, 412, "precondition_failed")
    assert call(app, "DELETE", ONE, who=ALICE, **where).status == 204
    problem(call(app, "GET", ONE, who=ALICE, **where), 404, "not_found")


def test_no_answer_and_no_log_line_shows_a_credential(
    deployed: World, capsys: pytest.CaptureFixture[str]
) -> None:
    where = {"runtime_id": call(app, "POST", "/v1/runtimes", who=ALICE, body=BODY).json["runtime_id"]}
    wrong = {"name": "w", "provider": "paper", "credential": {"secret": "wrong-horse"}}
    odd = {"provider": "paper", "credential": {"secret": 12345678901}}
    answers = [
        call(app, "GET", "/v1/runtimes", who=ALICE),
        call(app, "GET", ONE, who=ALICE, **where),
        call(app, "PATCH", ONE, who=ALICE, body={"credential": {"secret": SECRET}}, **where),
        call(app, "POST", "/v1/runtimes", who=ALICE, body=wrong),
        call(app, "POST", "/v1/runtimes", who=ALICE, body={"name": "o", **odd}),
        call(app, "POST", "/v1/runtimes/validate", who=ALICE, body=odd),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 422, 400, 400]
    written = repr([answer.json for answer in answers]) + capsys.readouterr().out
    for secret in (SECRET, "wrong-horse", "12345678901"):
        assert secret not in written


def test_a_creation_with_a_key_happens_once(deployed: World) -> None:
    again = [
        call(app, "POST", "/v1/runtimes", who=ALICE, body=BODY, headers={"idempotency-key": "k"})
        for _ in "ab"
    ]
    assert [answer.status for answer in again] == [201, 201]
    assert again[0].json == again[1].json
    assert SECRET not in repr(deployed.table.get(f"IDEMPOTENCY#{ALICE.user_id}", "k"))


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        ({"provider": "paper"}, 400, "invalid_input", ["name"]),
        (BODY | {"colour": "red"}, 400, "invalid_input", ["colour"]),
        (BODY | {"visibility": "secret"}, 400, "invalid_input", ["visibility"]),
        (BODY | {"credential": {}}, 400, "invalid_input", ["credential.secret"]),
        (BODY | {"provider": "nowhere"}, 400, "invalid_input", ["provider"]),
        (BODY | {"provider": "engine-room"}, 403, "permission_denied", []),
        (BODY | {"visibility": "public"}, 403, "permission_denied", []),
        (BODY | {"zone": "west"}, 422, "credential_invalid", []),
    ],
)
def test_bad_requests(deployed: World, body: Any, status: int, code: str, fields: list[str]) -> None:
    problem(call(app, "POST", "/v1/runtimes", who=ALICE, body=body), status, code, *fields)


def test_validation(deployed: World) -> None:
    body = {"provider": "paper", "credential": {"secret": SECRET}}
    assert call(app, "POST", "/v1/runtimes/validate", who=ALICE, body=body).json == {
        "valid": True,
        "zone": "north",
        "zones": [{"zone": "north", "title": "The North"}, {"zone": "south", "title": "south"}],
    }
    assert call(app, "GET", "/v1/runtimes", who=ALICE).json["items"] == []


def test_what_is_in_the_account(deployed: World) -> None:
    where = {"runtime_id": call(app, "POST", "/v1/runtimes", who=ALICE, body=BODY).json["runtime_id"]}
    zones = call(app, "GET", f"{ONE}/zones", who=ALICE, **where).json["items"]
    assert [zone["zone"] for zone in zones] == ["north", "south"]
    types = call(app, "GET", f"{ONE}/machine-types", who=ALICE, **where).json["items"]
    assert types == [{"machine_type": "a4", "cpu": 1, "memory_mib": 512, "gpu": 0}]
    subnets = call(app, "GET", f"{ONE}/subnets", who=ALICE, **where).json["items"]
    assert [subnet["cidr"] for subnet in subnets] == ["10.0.0.0/24"]
    images = call(app, "GET", f"{ONE}/images", who=ALICE, **where).json["items"]
    assert [image["image_id"] for image in images] == ["os"]
    quotas = call(app, "GET", f"{ONE}/quotas", who=ALICE, **where).json["items"]
    assert [(quota["name"], quota["used"], quota["limit"]) for quota in quotas] == [
        ("cores", 3, 8), ("sheets", 1, None),
    ]  # fmt: skip
    for path in ("zones", "machine-types", "subnets", "images", "quotas"):
        problem(call(app, "GET", f"{ONE}/{path}", who=RIVAL, **where), 404, "not_found")


def test_one_with_clusters_is_not_deleted(deployed: World) -> None:
    where = {"runtime_id": call(app, "POST", "/v1/runtimes", who=ALICE, body=BODY).json["runtime_id"]}
    deployed.used.add(where["runtime_id"])
    problem(call(app, "DELETE", ONE, who=ALICE, **where), 409, "conflict")


def test_providers_and_statistics(deployed: World) -> None:
    listed = call(app, "GET", "/v1/providers", who=ALICE).json["items"]
    assert [provider["name"] for provider in listed] == ["bare", "engine-room", "local", "paper", "two-ways"]
    one = call(app, "GET", "/v1/providers/{name}", who=ALICE, name="paper").json
    assert one == listed[3]
    assert one["credential_schema"]["required"] == ["secret"]
    problem(call(app, "GET", "/v1/providers/{name}", who=ALICE, name="nowhere"), 404, "not_found")
    call(app, "POST", "/v1/runtimes", who=OPERATOR, body=BODY)
    assert call(app, "GET", "/v1/runtimes/statistics", who=OPERATOR).json["by_provider"] == {"paper": 1}
