"""The edge: requests become values, errors become problem documents, and a POST can be repeated safely."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from chalice.app import Response
from chalice.test import Client

from pitrix.errors import Conflict, FieldError, InvalidInput, NotFound, PackageInvalid
from pitrix.http import Api, Paging, body, create_api, etag, if_match, ok, page, params, principal, raw_body
from pitrix.packages.model import Problem
from pitrix.table import MemoryTable


@dataclass(frozen=True, kw_only=True)
class Part:
    count: int


@dataclass(frozen=True, kw_only=True)
class Order:
    name: str
    parts: list[Part] = field(default_factory=list)


class Shop:
    """An app with one route for each thing that the edge does."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.orders: list[str] = []
        self.fail_with: Exception | None = None
        self.app = create_api("shop", replays=lambda: self.table)
        self._routes(self.app)

    def _routes(self, app: Api) -> None:
        @app.route("/v1/orders", methods=["POST"])
        def create() -> Response:
            order = body(app, Order)
            if self.fail_with is not None:
                raise self.fail_with
            self.orders.append(order.name)
            return ok({"number": len(self.orders), "name": order.name}, 201)

        @app.route("/v1/orders", methods=["GET"])
        def listing() -> Response:
            paging = params(app, Paging)
            return page([paging.limit], paging.cursor)

        @app.route("/v1/orders/{name}", methods=["GET"])
        def get(name: str) -> Response:
            if self.fail_with is not None:
                raise self.fail_with
            return ok({"name": name}, headers={"ETag": etag(3)})

        @app.route("/v1/orders/{name}", methods=["PATCH"])
        def patch(name: str) -> Response:
            return ok({"if_match": if_match(app)})

        @app.route("/v1/me", methods=["GET"])
        def me() -> Response:
            return ok({"user_id": principal(app).user_id, "anonymous": principal(app).is_anonymous})

        @app.route("/v1/orders/{name}/pay", methods=["POST"])
        def pay(name: str) -> Response:
            return ok({"paid": name, "size": len(raw_body(app))})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with Client(shop.app) as client:
        yield client


def _problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.body)
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:pitrix:error:{code}"
    return document


def _post(client: Client, text: str, **headers: str) -> Any:
    given = {"Content-Type": "application/json", **headers}
    return client.http.post("/v1/orders", body=text.encode(), headers=given)


def test_a_good_request_is_answered(client: Client) -> None:
    response = _post(client, '{"name": "a", "parts": [{"count": 2}]}')
    assert (response.status_code, json.loads(response.body)) == (201, {"number": 1, "name": "a"})
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("text", "field_name", "words"),
    [
        ("", "", "empty"),
        ("[1]", "", "object"),
        ('{"name": "a", "colour": 1, "size": 2}', "colour", "unknown"),
        ('{"parts": []}', "name", "required"),
        ('{"name": 7}', "name", "str"),
        ('{"name": "a", "parts": [{"count": "two"}]}', "parts[0].count", "int"),
        ('{"name": "a", "parts": [{}]}', "parts[0].count", "required"),
    ],
)
def test_a_bad_body_names_the_field(client: Client, text: str, field_name: str, words: str) -> None:
    document = _problem(_post(client, text), 400, "invalid_input")
    assert field_name in [error["field"] for error in document["errors"]]
    assert words in json.dumps(document)


def test_unknown_fields_are_all_named(client: Client) -> None:
    document = _problem(_post(client, '{"name": "a", "colour": 1, "size": 2}'), 400, "invalid_input")
    assert [error["field"] for error in document["errors"]] == ["colour", "size"]


@pytest.mark.parametrize("text", ["{", '{"name": "a",}', "nonsense", "[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(client: Client, text: str) -> None:
    _problem(_post(client, text), 400, "invalid_input")


@pytest.mark.parametrize(
    ("query", "field_name"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("bogus=1", "bogus"),
     ("limit=1&limit=2", "limit")],
)  # fmt: skip
def test_a_bad_query_parameter_is_named(client: Client, query: str, field_name: str) -> None:
    document = _problem(client.http.get(f"/v1/orders?{query}"), 400, "invalid_input")
    assert [error["field"] for error in document["errors"]] == [field_name]


def test_a_page_has_items_and_a_cursor(client: Client) -> None:
    assert json.loads(client.http.get("/v1/orders?limit=5&cursor=abc").body) == {
        "items": [5], "next_cursor": "abc",
    }  # fmt: skip


def test_domain_errors_become_problem_documents(client: Client, shop: Shop) -> None:
    shop.fail_with = NotFound("Order x does not exist.")
    document = _problem(client.http.get("/v1/orders/x"), 404, "not_found")
    assert document["detail"] == "Order x does not exist."
    assert document["instance"] == "/v1/orders/x"
    shop.fail_with = Conflict("It is taken.", errors=[FieldError("name", "is taken")])
    assert _problem(client.http.get("/v1/orders/x"), 409, "conflict")["errors"] == [
        {"field": "name", "message": "is taken"}
    ]


def test_package_problems_are_listed(client: Client, shop: Shop) -> None:
    shop.fail_with = PackageInvalid("2 problems", [Problem(file="config.json", line=3, message="no key")])
    document = _problem(client.http.get("/v1/orders/x"), 422, "package_invalid")
    assert document["problems"][0]["file"] == "config.json"
    assert document["problems"][0]["line"] == 3


def test_what_nobody_foresaw_tells_no_secrets(
    client: Client, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.fail_with = RuntimeError("password=hunter2")
    response = client.http.get("/v1/orders/x", headers={"X-Correlation-Id": "abc-1"})
    document = _problem(response, 500, "internal_error")
    assert "hunter2" not in response.body.decode()
    assert "Traceback" not in response.body.decode()
    assert "abc-1" in document["detail"]
    assert response.headers["X-Correlation-Id"] == "abc-1"


def test_a_correlation_id_of_a_stranger_is_not_trusted_to_be_one(client: Client) -> None:
    response = client.http.get("/v1/orders", headers={"X-Correlation-Id": "a\nb"})
    assert response.headers["X-Correlation-Id"] != "a\nb"


def test_path_parameters_are_decoded(client: Client) -> None:
    assert json.loads(client.http.get("/v1/orders/a%20b").body) == {"name": "a b"}


def test_without_an_authorizer_one_is_anonymous(client: Client) -> None:
    assert json.loads(client.http.get("/v1/me").body) == {"user_id": "", "anonymous": True}


@pytest.mark.parametrize(("given", "version"), [('"3"', 3), ('W/"3"', 3), ("*", None), ("", None)])
def test_if_match_names_a_version(client: Client, given: str, version: int | None) -> None:
    response = client.http.patch("/v1/orders/x", headers={"If-Match": given})
    assert json.loads(response.body) == {"if_match": version}


def test_an_if_match_of_another_kind_is_refused(client: Client) -> None:
    _problem(client.http.patch("/v1/orders/x", headers={"If-Match": "abc"}), 400, "invalid_input")


# --- Idempotency-Key ---------------------------------------------------------------------------------------

KEY = {"Idempotency-Key": "k1"}


def test_the_same_key_does_it_once_and_answers_the_same(client: Client, shop: Shop) -> None:
    first = _post(client, '{"name": "a"}', **KEY)
    again = _post(client, '{"name": "a"}', **KEY)
    assert (again.status_code, again.body) == (first.status_code, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.orders == ["a"]


def test_another_request_under_the_same_key_is_refused(client: Client, shop: Shop) -> None:
    _post(client, '{"name": "a"}', **KEY)
    _problem(_post(client, '{"name": "b"}', **KEY), 422, "unprocessable")
    assert shop.orders == ["a"]


def test_the_same_key_on_another_thing_is_another_request(client: Client) -> None:
    assert client.http.post("/v1/orders/a/pay", headers=KEY).status_code == 200
    _problem(client.http.post("/v1/orders/b/pay", headers=KEY), 422, "unprocessable")


def test_the_same_key_with_another_query_is_another_request(client: Client) -> None:
    assert client.http.post("/v1/orders/a/pay?dry_run=true", headers=KEY).status_code == 200
    _problem(client.http.post("/v1/orders/a/pay", headers=KEY), 422, "unprocessable")


def test_a_claim_that_was_never_answered_is_taken_over(client: Client, shop: Shop) -> None:
    shop.fail_with = RuntimeError("killed halfway")
    assert _post(client, '{"name": "a"}', **KEY).status_code == 500
    shop.fail_with = None
    _problem(_post(client, '{"name": "a"}', **KEY), 409, "conflict")
    claim = shop.table.get("IDEMPOTENCY#127.0.0.1", "k1") or shop.table.get("IDEMPOTENCY#", "k1")
    assert claim is not None
    claim.expires_at = (claim.expires_at or 0) - 120
    shop.table.put(claim)
    assert _post(client, '{"name": "a"}', **KEY).status_code == 201


def test_an_answer_too_long_to_keep_is_given_once(client: Client, shop: Shop) -> None:
    long = json.dumps({"name": "商" * 60_000})
    assert _post(client, long, **KEY).status_code == 201
    document = _problem(_post(client, long, **KEY), 409, "conflict")
    assert "too long" in document["detail"]
    assert len(shop.orders) == 1


def test_a_request_that_failed_may_be_repeated_under_its_key(client: Client, shop: Shop) -> None:
    shop.fail_with = InvalidInput("no")
    _problem(_post(client, '{"name": "a"}', **KEY), 400, "invalid_input")
    shop.fail_with = None
    assert _post(client, '{"name": "a"}', **KEY).status_code == 201


def test_a_request_that_is_underway_is_not_run_a_second_time(client: Client, shop: Shop) -> None:
    second: list[Any] = []
    shop.orders = _Hook(lambda: second.append(_post(client, '{"name": "a"}', **KEY)))
    assert _post(client, '{"name": "a"}', **KEY).status_code == 201
    _problem(second[0], 409, "conflict")
    assert list(shop.orders) == ["a"]


class _Hook(list[str]):
    """A list that lets something else happen before its first append, as a second request would."""

    def __init__(self, meanwhile: Any) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def append(self, item: str) -> None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().append(item)
