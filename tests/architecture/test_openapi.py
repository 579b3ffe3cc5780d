"""The description of the API is what the code is, complete, and valid."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from infra.local import openapi
from tests.api_gateway import proxy_event
from tests.architecture.conftest import ROOT


@pytest.fixture(scope="session")
def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi.TARGET.read_text(encoding="utf-8"))
    return found


def test_the_description_is_up_to_date() -> None:
    assert openapi.TARGET.read_text(encoding="utf-8") == openapi.text(), "run: python -m infra.local.openapi"


def test_every_deployed_route_is_described(template: dict[str, Any], described: dict[str, Any]) -> None:
    deployed = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
    wanted = {
        (path.replace("+}", "}"), method)
        for path, methods in deployed.items()
        for method in methods
        if path.startswith("/v1/")
    }
    assert wanted == {(path, method) for path, methods in described["paths"].items() for method in methods}


def test_schemas_are_valid_and_references_lead_somewhere(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(described)
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(schemas)


def test_operations_have_names_of_their_own(described: dict[str, Any]) -> None:
    names = [each["operationId"] for methods in described["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))


def test_almost_every_answer_has_a_shape(described: dict[str, Any]) -> None:
    """What cannot be read off the code is described as "anything": that must stay the exception."""
    shapeless = sorted(
        f"{method.upper()} {path}"
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        for status, response in operation["responses"].items()
        if status in ("200", "201", "202")
        and "application/json" in response.get("content", {"application/json": 1})
        and not response.get("content", {}).get("application/json", {}).get("schema")
    )
    assert shapeless == [
        "GET /v1/apps/{app_id}/versions/{version_id}/files/{path}",  # a file, of whatever type
        "GET /v1/openapi.json",  # OpenAPI has a schema of its own
        "GET /v1/repos/{repo_id}/charts/index.yaml",  # Helm's index
        "POST /v1/users/{user_id}/actions/{action}",  # empty, or a password, by the action
    ]


def test_the_description_is_served() -> None:
    from functions.identity.app import app

    answer = app(proxy_event("GET", "/v1/openapi.json"), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["openapi"] == "3.1.0"
    assert openapi.TARGET.parent == ROOT / "layers/core/pitrix"
