"""Serverless applications: a stack of CloudFormation each, its code in a bucket of the tenant's account.

An application's version is a number that counts up with each deployment. Every function of the stack
publishes a version of Lambda's with it, and says so in its environment (``packaging``): so that Lambda's own
numbers, which differ from function to function, are found by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.errors import Conflict, InvalidInput, PitrixError, ResourceNotFound
from providers.aws import errors, mapping, packaging
from providers.aws.cloud import Cloud, Json, with_id
from providers.base import Functions, check_key
from providers.resources import Function, FunctionSpec, FunctionStatus, Invocation

TAG_VERSION = "pitrix-version"
TAG_PUBLISHED = "pitrix-published"

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_OURS = (TAG_VERSION, TAG_PUBLISHED)
_ACTIVE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
_NAME = re.compile(r"[^a-z0-9]")


class AwsFunctions(Cloud, Functions):
    """A stack's name is made of its key, and CloudFormation allows a name once in a region."""

    def deploy_function(self, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        key = check_key(idempotency_key)
        name = mapping.derived(key)
        if stack := self._find(name):
            return self._application(stack)
        sent = self._send(spec, name, version=1)
        tags = {**spec.tags, mapping.TAG_NAME: spec.name, mapping.TAG_KEY: key, TAG_VERSION: "1"}
        try:
            self._cloud.call("cloudformation", "CreateStack", StackName=name, Tags=_tags(tags), **sent)
        except Conflict as error:  # another call created it at the same moment
            if errors.code_of(error) != "AlreadyExistsException":
                raise
        return self._application(self._stack(name))

    def get_function(self, function_id: str) -> Function:
        return self._application(self._ours(function_id))

    def list_functions(self, tags: Mapping[str, str]) -> list[Function]:
        """Only applications that were made here: a stack may be anything."""
        stacks = self._cloud.pages("cloudformation", "DescribeStacks", "Stacks")
        found = (
            each
            for each in stacks
            if mapping.TAG_KEY in mapping.all_tags(each) and each["StackStatus"] != "DELETE_COMPLETE"
        )
        return [self._application(each) for each in found if tags.items() <= mapping.tags_of(each).items()]

    def publish_version(self, function_id: str, spec: FunctionSpec, *, idempotency_key: str) -> Function:
        """While an earlier deployment is still going on, nothing is done: repeat."""
        key, stack = check_key(idempotency_key), self._ours(function_id)
        tags, status = mapping.all_tags(stack), stack["StackStatus"]
        if tags.get(TAG_PUBLISHED) == key or status.endswith("_IN_PROGRESS"):
            return self._application(stack)
        version = int(tags[TAG_VERSION]) + 1
        sent = self._send(spec, stack["StackName"], version=version)
        made = {
            mapping.TAG_NAME: spec.name,
            mapping.TAG_KEY: tags[mapping.TAG_KEY],
            TAG_VERSION: str(version),
            TAG_PUBLISHED: key,
        }
        try:
            self._cloud.call(
                "cloudformation",
                "UpdateStack",
                StackName=stack["StackId"],
                Tags=_tags({**spec.tags, **made}),
                **sent,
            )
        except InvalidInput as error:
            if "can not be updated" in error.detail:
                raise Conflict(f"The application is {status} and cannot be updated; remove it.") from error
            raise
        return self._application(self._stack(stack["StackId"]))

    def point_alias(self, function_id: str, *, alias: str, version: str) -> Function:
        stack = self._ours(function_id)
        found: dict[str, str] = {}
        for name in self._functions_of(stack).values():
            numbers = {told: number for number, told in self._versions_of(name).items()}
            if version not in numbers:
                raise ResourceNotFound(f"The application has no version {version!r}.")
            found[name] = numbers[version]
        for name, number in found.items():
            wanted: dict[str, Any] = {"FunctionName": name, "Name": alias, "FunctionVersion": number}
            try:
                self._cloud.call("lambda", "UpdateAlias", **wanted)
            except ResourceNotFound:
                self._cloud.call("lambda", "CreateAlias", **wanted)
        return self._application(stack)

    def invoke_function(
        self, function_id: str, function: str, payload: bytes, *, timeout_s: int
    ) -> Invocation:
        """By the alias that triggers call too, where the function has it."""
        name = self._named(self._ours(function_id), function)
        asked: dict[str, Any] = {"FunctionName": name, "Payload": payload}
        try:
            answer = self._cloud.call(
                "lambda", "Invoke", timeout_s=timeout_s, Qualifier=packaging.ALIAS, **asked
            )
        except ResourceNotFound:
            answer = self._cloud.call("lambda", "Invoke", timeout_s=timeout_s, **asked)
        body = self._cloud.read(answer["Payload"])
        return Invocation(payload=body, error=_failure(body) if answer.get("FunctionError") else "")

    def remove_function(self, function_id: str) -> None:
        """With its code and what is in its own buckets, which CloudFormation would not delete otherwise."""
        try:
            stack = self._ours(function_id)
        except ResourceNotFound:
            return
        self._empty(self._bucket(), f"{stack['StackName']}/")
        if stack["StackStatus"] == "DELETE_FAILED":
            for resource in self._resources(stack):
                if resource["ResourceType"] == "AWS::S3::Bucket":
                    self._empty(resource["PhysicalResourceId"], "")
        if stack["StackStatus"] != "DELETE_IN_PROGRESS":
            self._cloud.call("cloudformation", "DeleteStack", StackName=stack["StackId"])

    # --- stacks --------------------------------------------------------------------------------------

    def _stack(self, name: str) -> Json:
        """A stack by name or id.

        Raises:
            ResourceNotFound: There is none, or it was deleted.
        """
        try:
            stack: Json = self._cloud.call("cloudformation", "DescribeStacks", StackName=name)["Stacks"][0]
        except InvalidInput as error:  # CloudFormation has no code of its own for this
            raise ResourceNotFound(f"There is no application {name}.") from error
        if stack["StackStatus"] == "DELETE_COMPLETE":
            raise ResourceNotFound(f"The application {name} was removed.")
        return stack

    def _ours(self, function_id: str) -> Json:
        stack = self._stack(with_id("arn:aws", function_id, "application"))
        if mapping.TAG_KEY not in mapping.all_tags(stack):
            raise ResourceNotFound(f"The stack {function_id} is no application of Pitrix.")
        return stack

    def _find(self, name: str) -> Json | None:
        try:
            return self._stack(name)
        except ResourceNotFound:
            return None

    def _resources(self, stack: Json) -> Iterator[Json]:
        return self._cloud.pages(
            "cloudformation", "ListStackResources", "StackResourceSummaries", StackName=stack["StackId"]
        )

    def _functions_of(self, stack: Json) -> dict[str, str]:
        """The functions of a stack: logical id to Lambda's name."""
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in self._resources(stack)
            if each["ResourceType"] == "AWS::Lambda::Function" and each.get("PhysicalResourceId")
        }

    def _named(self, stack: Json, function: str) -> str:
        """Lambda's name of a function of the application: by logical id, or by the name in its manifest."""
        functions = self._functions_of(stack)
        if not function and len(functions) == 1:
            return next(iter(functions.values()))
        wanted = _NAME.sub("", function.lower())
        for logical, name in functions.items():
            if wanted and wanted in (logical.lower(), logical.lower().removesuffix("function")):
                return name
        raise ResourceNotFound(
            f"The application has no function {function!r}; it has {', '.join(sorted(functions)) or 'none'}."
        )

    def _versions_of(self, name: str) -> dict[str, str]:
        """Lambda's version numbers of a function, and which of the application's each is."""
        found: dict[str, str] = {}
        marker: str | None = None
        while True:
            answer = self._cloud.call("lambda", "ListVersionsByFunction", FunctionName=name, Marker=marker)
            for each in answer["Versions"]:
                told = each.get("Environment", {}).get("Variables", {}).get(packaging.VERSION_VARIABLE)
                if told and each["Version"] != "$LATEST":
                    found[each["Version"]] = told
            marker = answer.get("NextMarker")
            if not marker:
                return found

    def _application(self, stack: Json) -> Function:
        status, tags = stack["StackStatus"], mapping.all_tags(stack)
        active = status in _ACTIVE
        going = status.endswith("_IN_PROGRESS") and not active
        state = (
            FunctionStatus.PENDING if going else FunctionStatus.ACTIVE if active else FunctionStatus.FAILED
        )
        return Function(
            function_id=stack["StackId"],
            name=mapping.name_of(stack),
            status=state,
            version=tags.get(TAG_VERSION, "") if active else "",
            aliases=self._aliases(stack) if active else {},
            urls={
                each["OutputKey"]: each["OutputValue"]
                for each in stack.get("Outputs", [])
                if each["OutputValue"].startswith(("https://", "http://"))
            },
            reason=self._why(stack) if state is FunctionStatus.FAILED else "",
            tags={tag: value for tag, value in mapping.tags_of(stack).items() if tag not in _OURS},
        )

    def _aliases(self, stack: Json) -> dict[str, str]:
        """The aliases of an application: those of its first function, as all are pointed together."""
        for name in self._functions_of(stack).values():
            answer = self._cloud.call("lambda", "ListAliases", FunctionName=name)["Aliases"]
            if answer:
                versions = self._versions_of(name)
                return {
                    each["Name"]: versions[each["FunctionVersion"]]
                    for each in answer
                    if each["FunctionVersion"] in versions
                }
        return {}

    def _why(self, stack: Json) -> str:
        """What went wrong first, in CloudFormation's words."""
        events = self._cloud.call("cloudformation", "DescribeStackEvents", StackName=stack["StackId"])
        failed = [
            each for each in events["StackEvents"] if each.get("ResourceStatus", "").endswith("_FAILED")
        ]
        if not failed:
            return stack.get("StackStatusReason") or f"CloudFormation says {stack['StackStatus']}."
        first = failed[-1]  # the newest comes first
        return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', first['ResourceStatus'])}"

    # --- code ----------------------------------------------------------------------------------------

    def _bucket(self) -> str:
        """The bucket of this account and region; nobody else's is ever written to."""
        return f"pitrix-code-{self._account()}-{self._cloud.region}"

    def _account(self) -> str:
        if not hasattr(self, "_number"):
            self._number = self._cloud.account()
        return self._number

    def _send(self, spec: FunctionSpec, name: str, *, version: int) -> dict[str, Any]:
        """Upload the code; returns what a call of CloudFormation says about the application."""
        bucket = self._bucket()
        made = packaging.packaged(spec, bucket=bucket, prefix=name, version=version)
        for key, data in made.objects.items():
            self._put(bucket, key, data)
        template: dict[str, Any] = {"TemplateBody": made.template}
        if len(made.template.encode()) > packaging.BODY_BYTES:
            key = f"{name}/{version}.json"
            self._put(bucket, key, made.template.encode())
            host = f"{bucket}.s3.{self._cloud.region}.amazonaws.com"
            template = {"TemplateURL": f"https://{host}/{key}"}
        return {**template, "Parameters": made.parameters, "Capabilities": _CAPABILITIES}

    def _put(self, bucket: str, key: str, data: bytes) -> None:
        wanted: dict[str, Any] = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": self._account()}
        try:
            self._cloud.call("s3", "PutObject", Body=data, **wanted)
        except ResourceNotFound:
            self._make_bucket(bucket)
            self._cloud.call("s3", "PutObject", Body=data, **wanted)

    def _make_bucket(self, bucket: str) -> None:
        region = self._cloud.region
        place = None if region == "us-east-1" else {"LocationConstraint": region}
        try:
            self._cloud.call("s3", "CreateBucket", Bucket=bucket, CreateBucketConfiguration=place)
        except PitrixError as error:
            if errors.code_of(error) != "BucketAlreadyOwnedByYou":
                raise
        closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        self._cloud.call(
            "s3",
            "PutPublicAccessBlock",
            Bucket=bucket,
            PublicAccessBlockConfiguration=dict.fromkeys(closed, True),
        )

    def _empty(self, bucket: str, prefix: str) -> None:
        """Delete what a bucket holds under a prefix, a thousand objects at most: the caller repeats."""
        try:
            found = self._cloud.call("s3", "ListObjectsV2", Bucket=bucket, Prefix=prefix).get("Contents", [])
        except ResourceNotFound:
            return
        if found:
            keys = [{"Key": each["Key"]} for each in found]
            self._cloud.call("s3", "DeleteObjects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": tag, "Value": value} for tag, value in tags.items()]


def _failure(body: bytes) -> str:
    """What a function that failed says of it."""
    try:
        told = json.loads(body)
        return f"{told.get('errorType', 'Error')}: {told.get('errorMessage', '')}"
    except (ValueError, AttributeError):
        return "The function failed."
