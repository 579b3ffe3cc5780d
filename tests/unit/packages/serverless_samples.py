"""Serverless packages for tests: one for each target, to be broken in one place."""

from __future__ import annotations

import copy
import json
from typing import Any

METADATA: dict[str, Any] = {
    "type": "serverless",
    "name": "thumbs",
    "version": "1.2.0",
    "description": "Makes small pictures",
    "targets": ["aws-lambda"],
    "functions": [
        {
            "name": "api",
            "runtime": "python3.13",
            "handler": "web.api",
            "code": "src",
            "env": ["TITLE"],
            "variables": {"BUCKET": "${resource.pictures}", "BANNER": "$5 ${env.TITLE}!"},
        },
        {
            "name": "worker",
            "runtime": "python3.13",
            "handler": "work.run",
            "code": "src",
            "memory_mib": 1024,
            "timeout_s": 120,
            "concurrency": 4,
            "env": ["TOKEN", "ARCHIVE"],
        },
    ],
    "triggers": [
        {"type": "http", "function": "api", "path": "/pictures/{id}", "methods": ["GET", "PUT"]},
        {"type": "http", "function": "api", "path": "/", "access": "public"},
        {"type": "schedule", "function": "worker", "cron": "30 2 * * MON-FRI"},
        {"type": "schedule", "function": "worker", "rate": "6 hours"},
        {"type": "queue", "function": "worker", "queue": "jobs", "batch_size": 5},
        {"type": "object_created", "function": "worker", "bucket": "pictures", "prefix": "in/",
         "suffix": ".png"},
        {"type": "event", "function": "worker", "source": "shop.${env.TITLE}", "types": ["order.placed"]},
    ],
    "resources": {"pictures": {"type": "bucket"}, "jobs": {"type": "queue"}, "seen": {"type": "table"}},
    "permissions": [
        {"action": "object:read", "resource": "bucket:pictures/in/*", "functions": ["worker"]},
        {"action": "object:write", "resource": "bucket:pictures"},
        {"action": "object:delete", "resource": "bucket:${env.ARCHIVE}/${env.TITLE}/*",
         "functions": ["worker"]},
        {"action": "object:list", "resource": "bucket:${env.ARCHIVE}", "functions": ["worker"]},
        {"action": "record:write", "resource": "table:seen", "functions": ["worker"]},
        {"action": "secret:read", "resource": "secret:${env.ARCHIVE}", "functions": ["worker"]},
        {"iam": {"Effect": "Allow", "Action": "rekognition:DetectLabels", "Resource": "*"},
         "functions": ["worker"]},
    ],
}  # fmt: skip

CONFIG: dict[str, Any] = {
    "type": "array",
    "properties": [
        {
            "key": "env",
            "type": "array",
            "properties": [
                {"key": "TITLE", "label": "Title", "type": "string", "default": "Pictures"},
                {"key": "TOKEN", "type": "password", "required": True},
                {"key": "ARCHIVE", "type": "string", "default": "archive-1"},
            ],
        }
    ],
}

CODE = {
    "src/web.py": "def api(event, context):\n    return {}\n",
    "src/work.py": "async def other():\n    pass\n\n\ndef run(event, context):\n    pass\n",
}

AZURE_APP = """import os
import azure.functions as func

TITLE = os.environ["TITLE"]
app = func.FunctionApp()


@app.function_name("api")
@app.route(route="pictures/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
def api(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(TITLE)


@app.timer_trigger(arg_name="timer", schedule="0 30 2 * * 1,2,3,4,5")
def nightly(timer: func.TimerRequest) -> None:
    pass


@app.queue_trigger(arg_name="msg", queue_name="jobs", connection="AzureWebJobsStorage")
def worker(msg: func.QueueMessage) -> None:
    pass
"""

AZURE: dict[str, Any] = {
    "type": "serverless",
    "name": "thumbs",
    "version": "1.2.0",
    "target": "azure-functions",
    "functions": [
        {"name": "api", "runtime": "python3.13", "code": "src"},
        {"name": "nightly", "runtime": "python3.13", "code": "src", "timeout_s": 300},
        {"name": "worker", "runtime": "python3.13", "code": "src", "memory_mib": 1024,
         "variables": {"QUEUE": "${resource.jobs}"}},
    ],
    "triggers": [
        {"type": "http", "function": "api", "path": "/pictures/{id}"},
        {"type": "schedule", "function": "nightly", "cron": "30 2 * * MON-FRI"},
        {"type": "queue", "function": "worker", "queue": "jobs"},
    ],
    "resources": {"jobs": {"type": "queue"}, "seen-ones": {"type": "table"}},
    "permissions": [
        {"action": "queue:send", "resource": "queue:jobs"},
        {"action": "record:write", "resource": "table:seen-ones"},
    ],
}  # fmt: skip

KNATIVE: dict[str, Any] = {
    "type": "serverless",
    "name": "thumbs",
    "version": "1.2.0",
    "target": "knative",
    "functions": [
        {"name": "api", "runtime": "go1.25", "image": "registry.example.com/thumbs:1.2.0",
         "concurrency": 3, "variables": {"QUEUE": "${resource.jobs}"}},
        {"name": "worker", "runtime": "python3.13", "code": "src"},
    ],
    "triggers": [
        {"type": "http", "function": "api", "path": "/", "access": "public"},
        {"type": "schedule", "function": "worker", "rate": "15 minutes"},
        {"type": "queue", "function": "worker", "queue": "jobs"},
        {"type": "event", "function": "worker", "source": "shop", "types": ["order.placed", "order.paid"]},
        {"type": "event", "function": "worker", "types": ["order.sent"], "bus": "${env.ARCHIVE}"},
    ],
    "resources": {"jobs": {"type": "queue"}},
}  # fmt: skip

TEMPLATE = """AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Description: Says hello
Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups:
      - Label: {default: What it says}
        Parameters: [Greeting, Volume]
    ParameterLabels:
      Greeting: {default: Words}
Parameters:
  Volume:
    Type: Number
    Default: '3'
    MinValue: 1
    MaxValue: 11
  Secret:
    Type: String
    NoEcho: true
    MinLength: 8
  Greeting:
    Type: String
    Default: Hello
    AllowedPattern: '[A-Z][a-z]+'
    ConstraintDescription: One word.
    Description: The first word.
  Zones:
    Type: CommaDelimitedList
    Default: a, b
    AllowedValues: [a, b, c]
Globals:
  Function:
    Runtime: python3.13
    Timeout: 10
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: web.api
      Environment:
        Variables:
          GREETING: !Ref Greeting
          TEXT: !Sub '${Greeting} ${Volume} ${Secret}'
          ZONES: !Join [',', !Ref Zones]
      Events:
        Get:
          Type: Api
          Properties: {Path: /, Method: get}
"""

SERVICE = """apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: thumbs
spec:
  template:
    spec:
      containers:
        - image: registry.example.com/thumbs:1.2.0
          env:
            - name: TITLE
              value: ${env.TITLE}
"""


def files(
    metadata: dict[str, Any] | None = None, **more: str | bytes | dict[str, Any] | None
) -> dict[str, bytes]:
    """The files of a package: a manifest (AWS by default), config.json and code; None drops a file."""
    wanted: dict[str, Any] = {
        "package.json": METADATA if metadata is None else metadata,
        "config.json": CONFIG,
        **CODE,
        **more,
    }
    return {
        path: value
        if isinstance(value, bytes)
        else (value if isinstance(value, str) else json.dumps(value)).encode()
        for path, value in wanted.items()
        if value is not None
    }


def azure(metadata: dict[str, Any] | None = None, **more: Any) -> dict[str, bytes]:
    """The package for Azure."""
    return files(AZURE if metadata is None else metadata, **{"src/function_app.py": AZURE_APP, **more})


def knative(metadata: dict[str, Any] | None = None, **more: Any) -> dict[str, bytes]:
    """The package for Knative."""
    return files(KNATIVE if metadata is None else metadata, **{"src/Dockerfile": "FROM scratch\n", **more})


def template(text: str = TEMPLATE, **more: Any) -> dict[str, bytes]:
    """A package around a SAM template."""
    metadata = {"type": "serverless", "name": "hello", "version": "1.0.0", "target": "aws-lambda",
                "template": "template.yaml"}  # fmt: skip
    return files(metadata, **{"config.json": None, "template.yaml": text, **more})


def changed(metadata: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a manifest with the value at a JSON pointer replaced; ``...`` takes it away."""
    copied: Any = copy.deepcopy(metadata)
    *parents, last = path.strip("/").split("/")
    node = copied
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    key: Any = int(last) if isinstance(node, list) else last
    if value is ...:
        del node[key]
    elif isinstance(node, list) and key == len(node):
        node.append(value)
    else:
        node[key] = value
    return copied  # type: ignore[no-any-return]
