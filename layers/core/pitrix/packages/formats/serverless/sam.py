"""Plain code for AWS Lambda: a SAM template, and the answers as its parameters.

Owns what functions, triggers, resources and permissions become on AWS.  The template depends on the
manifest alone; every answer is a parameter (a password one that is never shown), so that a change of
answers is a change of parameters.  Each function may do what its permissions say, read what triggers it,
and nothing else; what fails with nobody waiting ends up in a queue of dead letters.

Sources: SAM's specification (``AWS::Serverless::Function`` and its events); *Lambda Developer Guide*, "Using
Lambda with Amazon SQS" (a message stays invisible six times as long as the function may take).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pitrix.packages.formats.serverless import schedule
from pitrix.packages.formats.serverless.answers import Answers
from pitrix.packages.formats.serverless.manifest import Function, Permission, Trigger, references, resolve
from pitrix.packages.formats.serverless.permissions import ACTIONS, ARNS
from pitrix.packages.formats.serverless.runtimes import aws_name
from pitrix.packages.formats.serverless.yaml import dump

_SUFFIX = {"bucket": "Bucket", "queue": "Queue", "table": "Table"}
_DEAD_LETTERS = "DeadLetters"
_STAGE = "live"
_DAYS_OF_LOGS = 30
_MAX_RECEIVES = 5
_RETENTION_S = 14 * 24 * 3600
_MAX_VISIBILITY_S = 12 * 3600


def template(answers: Answers, title: str) -> str:
    """The SAM template of a package, as YAML."""
    return dump([_Template(answers, title).build()])


def parameters(answers: Answers) -> str:
    """The answers as a parameters file of CloudFormation, as JSON."""
    ids = _Template(answers, "").env_ids
    listed = [{"ParameterKey": ids[key], "ParameterValue": answers.text(key)} for key in answers.used()]
    return json.dumps(listed, indent=2, ensure_ascii=False) + "\n"


def _logical_ids(names: list[str], suffix: str = "", lead: str = "") -> dict[str, str]:
    """A logical id (letters and digits) for each name; names that would become the same get a number."""
    result: dict[str, str] = {}
    for name in names:
        parts = re.findall(r"[A-Za-z0-9]+", name)
        base = f"{lead}{''.join(part[0].upper() + part[1:] for part in parts)}"
        taken, number, made = set(result.values()), 2, f"{base}{suffix}"
        while made in taken:
            made, number = f"{base}X{number}{suffix}", number + 1
        result[name] = made
    return result


class _Template:
    """One template while it is put together."""

    def __init__(self, answers: Answers, title: str) -> None:
        self.answers, self.manifest, self.title = answers, answers.manifest, title
        self.function_ids = _logical_ids([each.name for each in self.manifest.functions], "Function")
        self.resource_ids: dict[str, str] = {}
        for kind, suffix in _SUFFIX.items():
            named = [name for name, each in self.manifest.resources.items() if each == kind]
            self.resource_ids |= _logical_ids(named, suffix)
        self.env_ids = _logical_ids(answers.used(), lead="Env")

    def build(self) -> dict[str, Any]:
        resources: dict[str, Any] = {}
        for function in self.manifest.functions:
            name = self.function_ids[function.name]
            resources[name] = self._function(function)
            resources[f"{name}Logs"] = _log_group(name)
            resources |= self._mappings(function)
        for name, kind in self.manifest.resources.items():
            resources[self.resource_ids[name]] = self._resource(name, kind)
        if self._needs_dead_letters():
            resources[_DEAD_LETTERS] = _queue({"MessageRetentionPeriod": _RETENTION_S})
        made: dict[str, Any] = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Transform": "AWS::Serverless-2016-10-31",
            "Description": self.title[:1024],
        }
        if self.env_ids:
            made["Parameters"] = {self.env_ids[key]: self._parameter(key) for key in self.env_ids}
        if any(each.type == "http" for each in self.manifest.triggers):
            resources["Api"] = {
                "Type": "AWS::Serverless::Api",
                "Properties": {"StageName": _STAGE, "EndpointConfiguration": {"Type": "REGIONAL"}},
            }
            address = f"https://${{Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{_STAGE}"
            made["Outputs"] = {"Url": {"Description": "Address of the API", "Value": {"Fn::Sub": address}}}
        return made | {"Resources": resources}

    # Parts

    def _parameter(self, key: str) -> dict[str, Any]:
        field = self.answers.field(key)
        made: dict[str, Any] = {"Type": "String", "Description": (field.label if field else key)[:4000]}
        return made | ({"NoEcho": True} if self.answers.secret(key) else {})

    def _function(self, function: Function) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "CodeUri": function.code.rstrip("/") or ".",
            "Handler": function.handler,
            "Runtime": aws_name(function.runtime),
            "MemorySize": function.memory_mib,
            "Timeout": function.timeout_s,
        }
        if function.description:
            properties["Description"] = function.description
        if function.concurrency:
            properties["ReservedConcurrentExecutions"] = function.concurrency
        environment = self.answers.environment(function)
        if environment:
            variables = {name: self._value(text) for name, text in environment.items()}
            properties["Environment"] = {"Variables": variables}
        statements = self._statements(function)
        if statements:
            properties["Policies"] = [{"Version": "2012-10-17", "Statement": statements}]
        events = self._events(function)
        if events:
            properties["Events"] = events
        if any(each.asynchronous for each in self.manifest.triggers_of(function.name)):
            target = {"Type": "SQS", "Destination": {"Fn::GetAtt": [_DEAD_LETTERS, "Arn"]}}
            properties["EventInvokeConfig"] = {"DestinationConfig": {"OnFailure": target}}
        return {"Type": "AWS::Serverless::Function", "Properties": properties}

    def _events(self, function: Function) -> dict[str, Any]:
        events: dict[str, Any] = {}
        for trigger in self.manifest.triggers_of(function.name):
            name = f"{trigger.type.title().replace('_', '')}{trigger.index}"
            if trigger.type == "http":
                events |= {f"{name}{method.title()}": _http(trigger, method) for method in trigger.methods}
            elif trigger.type == "schedule":
                when = schedule.read(trigger.raw).aws()
                events[name] = {"Type": "Schedule", "Properties": {"Schedule": when}}
            elif trigger.type == "object_created":
                events[name] = {"Type": "EventBridgeRule", "Properties": {"Pattern": self._objects(trigger)}}
            elif trigger.type == "event":
                events[name] = {"Type": "EventBridgeRule", "Properties": self._bus_event(trigger)}
        return events

    def _mappings(self, function: Function) -> dict[str, Any]:
        """Queues are read by mappings of our own: SAM's event would let the function read every queue."""
        name = self.function_ids[function.name]
        return {
            f"{name}Queue{each.index}": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "FunctionName": {"Ref": name},
                    "EventSourceArn": self._arn("queue", each.text("queue")),
                    "BatchSize": each.raw.get("batch_size", 1),
                },
            }
            for each in self.manifest.triggers_of(function.name)
            if each.type == "queue"
        }

    def _objects(self, trigger: Trigger) -> dict[str, Any]:
        bucket = trigger.text("bucket")
        detail: dict[str, Any] = {"bucket": {"name": [self._name(bucket)]}}
        prefix, suffix = trigger.text("prefix"), trigger.text("suffix")
        if prefix and suffix:
            detail["object"] = {"key": [{"wildcard": f"{prefix}*{suffix}"}]}
        elif prefix or suffix:
            detail["object"] = {"key": [{"prefix": prefix} if prefix else {"suffix": suffix}]}
        return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}

    def _bus_event(self, trigger: Trigger) -> dict[str, Any]:
        pattern: dict[str, Any] = {"detail-type": list(trigger.raw["types"])}
        if trigger.text("source"):
            pattern = {"source": [self._value(trigger.text("source"))], **pattern}
        bus = trigger.text("bus", "default")
        named = {} if bus == "default" else {"EventBusName": self._value(bus)}
        return {**named, "Pattern": pattern}

    def _resource(self, name: str, kind: str) -> dict[str, Any]:
        if kind == "queue":
            readers = [each for each in self.manifest.triggers if each.text("queue") == name]
            limits = {each.name: each.timeout_s for each in self.manifest.functions}
            longest = max((limits.get(each.function, 30) for each in readers), default=30)
            dead = {"Fn::GetAtt": [_DEAD_LETTERS, "Arn"]}
            redrive = {"deadLetterTargetArn": dead, "maxReceiveCount": _MAX_RECEIVES}
            visibility = {"VisibilityTimeout": min(6 * longest, _MAX_VISIBILITY_S)}
            return _queue(visibility | ({"RedrivePolicy": redrive} if readers else {}))
        if kind == "table":
            properties: dict[str, Any] = {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            }
            return _stateful("AWS::DynamoDB::Table", properties)
        closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        properties = {"PublicAccessBlockConfiguration": dict.fromkeys(closed, True)}
        if any(
            each.type == "object_created" and each.text("bucket") == name for each in self.manifest.triggers
        ):
            notify = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
            properties["NotificationConfiguration"] = notify
        return _stateful("AWS::S3::Bucket", properties)

    def _needs_dead_letters(self) -> bool:
        own = [name for name, kind in self.manifest.resources.items() if kind == "queue"]
        return any(each.asynchronous or each.text("queue") in own for each in self.manifest.triggers)

    # Permissions

    def _statements(self, function: Function) -> list[dict[str, Any]]:
        statements = []
        for trigger in self.manifest.triggers_of(function.name):
            if trigger.type == "queue":
                queue = Permission(index=0, action="queue:receive", kind="queue", name=trigger.text("queue"))
                statements.append(self._statement(queue))
        for permission in self.manifest.permissions:
            if permission.concerns(function.name):
                statements.append(self._statement(permission))
        return statements

    def _statement(self, permission: Permission) -> dict[str, Any]:
        if permission.iam is not None:
            return dict(permission.iam)
        action = ACTIONS[permission.action]
        keys = resolve(permission.keys, lambda kind, key: f"${{{self._id(kind, key)}}}")
        inside = f"/{keys or '*'}" if action.items else ""
        return {
            "Effect": "Allow",
            "Action": list(action.iam),
            "Resource": self._arn(permission.kind, permission.name, inside),
        }

    def _arn(self, kind: str, name: str, inside: str = "") -> Any:
        own = self.resource_ids.get(name)
        if own:
            return {"Fn::Sub": f"${{{own}.Arn}}{inside}"} if inside else {"Fn::GetAtt": [own, "Arn"]}
        resolved = resolve(name, lambda _, key: f"${{{self.env_ids[key]}}}")
        return {"Fn::Sub": ARNS[kind].replace("{name}", resolved) + inside}

    # Values

    def _name(self, text: str) -> Any:
        return {"Ref": self.resource_ids[text]} if text in self.resource_ids else self._value(text)

    def _value(self, text: str) -> Any:
        """A text with references as CloudFormation says it."""
        found = list(references(text))
        if not found:
            return text
        if len(found) == 1 and text == f"${{{found[0][0]}.{found[0][1]}}}":
            return {"Ref": self._id(*found[0])}
        # ``${`` that is no reference of ours has to survive Fn::Sub.
        marked = resolve(text, lambda kind, name: f"\0{self._id(kind, name)}\1")
        return {"Fn::Sub": marked.replace("${", "${!").replace("\0", "${").replace("\1", "}")}

    def _id(self, kind: str, name: str) -> str:
        return (self.env_ids if kind == "env" else self.resource_ids)[name]


def _http(trigger: Trigger, method: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "RestApiId": {"Ref": "Api"},
        "Path": trigger.text("path"),
        "Method": method.lower(),
    }
    if not trigger.public:
        properties["Auth"] = {"Authorizer": "AWS_IAM"}
    return {"Type": "Api", "Properties": properties}


def _log_group(function: str) -> dict[str, Any]:
    properties = {
        "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{function}}}"},
        "RetentionInDays": _DAYS_OF_LOGS,
    }
    return _stateful("AWS::Logs::LogGroup", properties)


def _queue(more: Mapping[str, Any]) -> dict[str, Any]:
    return _stateful("AWS::SQS::Queue", {"SqsManagedSseEnabled": True, **more})


def _stateful(kind: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A resource that goes with the application: said in so many words, as it takes its data with it."""
    return {
        "Type": kind,
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": dict(properties),
    }
