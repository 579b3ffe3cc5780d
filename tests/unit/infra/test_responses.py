"""The gateway's own answers reach the emulator as the template has them."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock, call

from infra.local import responses, transform

ROOT = Path(__file__).parents[3]


def test_each_response_is_put_and_then_the_stage_is_deployed() -> None:
    template = {
        "Resources": {
            "Table": {"Type": "AWS::DynamoDB::Table"},
            "Api": {
                "Type": "AWS::Serverless::Api",
                "Properties": {
                    "StageName": "live",
                    "GatewayResponses": {
                        "UNAUTHORIZED": {
                            "StatusCode": 401,
                            "ResponseParameters": {"Headers": {"Content-Type": "'text/plain'"}},
                            "ResponseTemplates": {"application/json": "no"},
                        }
                    },
                },
            },
        }
    }
    gateway = Mock()
    responses.put(gateway, template, api_id="a1")
    assert gateway.mock_calls == [
        call.put_gateway_response(
            restApiId="a1",
            responseType="UNAUTHORIZED",
            statusCode="401",
            responseParameters={"gatewayresponse.header.Content-Type": "'text/plain'"},
            responseTemplates={"application/json": "no"},
        ),
        call.create_deployment(restApiId="a1", stageName="live"),
    ]


def test_what_the_template_answers_is_a_problem_document_that_every_gateway_can_fill_in() -> None:
    template = transform.load(ROOT / "template.yaml")
    found = list(responses.wanted(template["Resources"]["Api"]["Properties"]))
    assert {each["responseType"] for each in found} >= {"ACCESS_DENIED", "UNAUTHORIZED"}
    for response in found:
        text = response["responseTemplates"]["application/json"]
        # The emulator knows few variables and would print the others as they stand.
        assert "$context" not in text
        problem = json.loads(text)
        assert problem["status"] == int(response["statusCode"])
        assert {"type", "title", "code", "detail"} <= set(problem)
        content_type = response["responseParameters"]["gatewayresponse.header.Content-Type"]
        assert content_type == "'application/problem+json'"
