"""What API Gateway itself answers (no token, no such route), put into the emulator as the template has it.

Owns making up for one gap: the emulator's import of an API's definition drops its gateway responses, which
SAM writes there. On AWS they come with the API, and none of this runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def wanted(api: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The gateway responses among an API's properties, as arguments of ``PutGatewayResponse``."""
    for kind, response in api.get("GatewayResponses", {}).items():
        headers = response.get("ResponseParameters", {}).get("Headers", {})
        yield {
            "responseType": kind,
            "statusCode": str(response["StatusCode"]),
            "responseParameters": {f"gatewayresponse.header.{name}": text for name, text in headers.items()},
            "responseTemplates": response.get("ResponseTemplates", {}),
        }


def put(gateway: Any, template: Mapping[str, Any], *, api_id: str) -> None:
    """Put them into the deployed API; a stage takes them up with its next deployment, so it gets one.

    Args:
        gateway: A boto3 client of ``apigateway``.
        api_id: The API that the template's one ``AWS::Serverless::Api`` became.
    """
    apis = [
        each["Properties"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Serverless::Api"
    ]
    for api in apis:
        for response in wanted(api):
            gateway.put_gateway_response(restApiId=api_id, **response)
        gateway.create_deployment(restApiId=api_id, stageName=api["StageName"])
