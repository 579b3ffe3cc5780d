"""The events that API Gateway makes of HTTP requests: what tests hand to a handler, as Lambda would.

Owns the shape of a REST API's proxy event (Amazon API Gateway developer guide, "Lambda proxy integrations").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pitrix.identity.model import Principal


def authorizer_context(who: Principal | None) -> dict[str, str]:
    """Return what the authorizer tells a handler of a signed-in user; nothing of a visitor."""
    if who is None or who.is_anonymous:
        return {}
    return {name: getattr(who, name) for name in ("user_id", "username", "role", "owner_path")}


def proxy_event(
    method: str,
    resource: str,
    *,
    path_parameters: Mapping[str, str] | None = None,
    query: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    authorizer: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the event of one request.

    Args:
        resource: The route (``/v1/apps/{app_id}``); its parameters are filled in from ``path_parameters``.
        body: Text as it is; anything else is sent as JSON.
    """
    address = resource
    for name, value in (path_parameters or {}).items():
        address = address.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
    return {
        "httpMethod": method,
        "resource": resource,
        "path": address,
        "headers": {"content-type": "application/json", **(headers or {})},
        "multiValueQueryStringParameters": dict(query) if query else None,
        "pathParameters": dict(path_parameters) if path_parameters else None,
        "stageVariables": None,
        "isBase64Encoded": False,
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "requestId": "r-1",
            "path": address,
            "identity": {"sourceIp": "127.0.0.1"},
            "authorizer": dict(authorizer or {}),
        },
    }
