"""Which bodies reach a function as Base64, put into the emulator as the template has it.

Owns making up for one gap: the emulator's import of an API's definition drops its binary media types, and its
own way to change them takes only a whole list, which boto3 would not send. On AWS they come with the API, and
none of this runs.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

_TIMEOUT_S = 10


def wanted(template: Mapping[str, Any]) -> list[str]:
    """The binary media types of the template's one API, as they are written in a request."""
    return [
        kind.replace("~1", "/")
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Serverless::Api"
        for kind in each["Properties"].get("BinaryMediaTypes", [])
    ]


def put(endpoint: str, account: str, template: Mapping[str, Any], *, api_id: str) -> None:
    """Put them into the deployed API.

    Args:
        endpoint: Where the emulator answers.
        account: The emulated account that the API belongs to.
        api_id: The API that the template's one ``AWS::Serverless::Api`` became.
    """
    change = {"op": "replace", "path": "/binaryMediaTypes", "value": wanted(template)}
    # The emulator finds the account by the key, and checks no signature.
    scope = f"Credential={account}/20260101/us-east-1/apigateway/aws4_request"
    request = urllib.request.Request(  # noqa: S310 - our own endpoint
        f"{endpoint}/restapis/{api_id}",
        method="PATCH",
        data=json.dumps({"patchOperations": [change]}).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=local",
        },
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - our own endpoint
        answer.read()
