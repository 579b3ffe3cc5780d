"""Handlers that show what the local cloud passes on."""

import json
import os
import sys

import greetings


class QuotaExceeded(Exception):
    """An error that a state machine catches by name."""


def rest(event, context):
    """Keep what is put, hand it out again, and say how the request arrived."""
    import boto3

    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    item = (event.get("pathParameters") or {}).get("item", "")
    if event["httpMethod"] == "PUT":
        table.put_item(Item={"pk": item, "body": event["body"]})
    kept = table.get_item(Key={"pk": item or "none"}).get("Item", {}).get("body")
    seen = {
        "greeting": greetings.GREETING,
        "method": event["httpMethod"],
        "path": event["path"],
        "resource": event["resource"],
        "query": event.get("queryStringParameters"),
        "item": item,
        "kept": kept,
        "pytest_importable": "pytest" in sys.modules or _importable("pytest"),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "public_url": os.environ["PUBLIC_URL"],
        "length": len(event.get("body") or ""),
    }
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(seen)}


def fail(event, context):
    """Raise what the state machine catches."""
    raise QuotaExceeded("no more machines")


def queued(event, context):
    """Keep what each message says."""
    import boto3

    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    for record in event["Records"]:
        table.put_item(Item={"pk": "queued", "body": record["body"]})


def pilot(event, context):
    """Answer an agent over the management API."""
    import boto3

    where = event["requestContext"]
    if where["routeKey"] == "$default":
        management = boto3.client(
            "apigatewaymanagementapi", endpoint_url=os.environ["PUBLIC_URL"] + "/_pilot"
        )
        management.post_to_connection(ConnectionId=where["connectionId"], Data=event["body"][::-1].encode())
    return {"statusCode": 200}


def _importable(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None
