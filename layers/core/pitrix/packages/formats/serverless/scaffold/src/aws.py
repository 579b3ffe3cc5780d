"""AWS Lambda calls these with the event of API Gateway or of the schedule."""

from __future__ import annotations

from typing import Any

import app


def hello(event: dict[str, Any], context: Any) -> dict[str, Any]:
    name = (event.get("pathParameters") or {}).get("name", "world")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain; charset=utf-8"},
        "body": app.hello(name),
    }


def tick(event: dict[str, Any], context: Any) -> None:
    print(app.tick())
