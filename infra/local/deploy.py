"""Deploys `template.yaml` into the emulator by CloudFormation, when it or anything in it changed.

Owns the artefact bucket and the one stack. Never starts anything; the emulator must answer already.
"""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local import build, media, responses, transform
from infra.local.progress import UserError

ACCOUNT = "000000000000"
"""The emulated account; also the access key, because the emulator finds a caller's account by it."""

REGION = "us-east-1"
STACK = "pitrix"
ARTIFACTS = "pitrix-artifacts"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What the stack gave back: its outputs, and whether this deployment changed it."""

    outputs: dict[str, str]
    changed: bool


class Cloud:
    """The emulated AWS account on one port."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        # One session for all clients; it must not look at the profiles of the person whose laptop this is.
        self._session = boto3.Session(
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="local",  # noqa: S106 - there is nothing to keep secret
            region_name=REGION,
        )

    def client(self, service: str) -> Any:
        """A boto3 client for one service of the emulated account."""
        config = Config(retries={"max_attempts": 2}, read_timeout=120, s3={"addressing_style": "path"})
        return self._session.client(service, endpoint_url=self.endpoint, config=config)


def deploy(cloud: Cloud, template_path: Path, parameters: dict[str, str]) -> Stack:
    """Make the emulated account hold what the template says.

    Args:
        cloud: Where to.
        template_path: A SAM template; code folders and state machines are found relative to it.
        parameters: Values for the parameters that the template declares; others are ignored.

    Raises:
        UserError: CloudFormation refused; the text names each resource that failed and why.
    """
    root = template_path.parent
    template = transform.load(template_path)
    folders = transform.code_folders(template)
    with ThreadPoolExecutor() as pool:
        zips = dict(
            zip(folders, pool.map(lambda uri: build.function_zip(root / uri), folders.values()), strict=True)
        )
    declared = template.get("Parameters", {})
    given = {name: value for name, value in sorted(parameters.items()) if name in declared}
    plugins = [name for name in parameters.get(transform.PLUGINS, "").split(",") if name]
    code = {name: f"s3://{ARTIFACTS}/{artifact.key}" for name, artifact in zips.items()}

    def localized(digest: str) -> str:
        local = transform.localize(
            template,
            code=code,
            read_definition=lambda uri: transform.load(root / uri),
            digest=digest,
            plugins=plugins,
        )
        return json.dumps(local, sort_keys=True)

    digest = hashlib.sha256(json.dumps([localized(""), given]).encode()).hexdigest()
    formation = cloud.client("cloudformation")
    current = _describe(formation)
    outputs = _outputs(current)
    if outputs.get(transform.DIGEST_OUTPUT) == digest and current["StackStatus"].endswith("_COMPLETE"):
        return Stack(outputs=outputs, changed=False)
    template_key = f"template-{digest[:32]}.json"
    objects = {artifact.key: artifact.content for artifact in zips.values()}
    _upload(cloud, objects | {template_key: localized(digest).encode()})
    _apply(formation, current, f"{cloud.endpoint}/{ARTIFACTS}/{template_key}", given)
    outputs = _outputs(_wait(formation))
    if "ApiId" in outputs:
        responses.put(cloud.client("apigateway"), template, api_id=outputs["ApiId"])
        media.put(cloud.endpoint, ACCOUNT, template, api_id=outputs["ApiId"])
    return Stack(outputs=outputs, changed=True)


def _apply(formation: Any, current: dict[str, Any], url: str, parameters: dict[str, str]) -> None:
    arguments = {
        "StackName": STACK,
        "TemplateURL": url,
        "Capabilities": _CAPABILITIES,
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    }
    status = current.get("StackStatus", "")
    if status in ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"):  # a first deployment that failed
        formation.delete_stack(StackName=STACK)
        _wait_deleted(formation)
        status = ""
    try:
        if status:
            formation.update_stack(**arguments)
        else:
            formation.create_stack(**arguments)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise UserError(f"CloudFormation refused template.yaml: {error}") from error


def _wait(formation: Any) -> dict[str, Any]:
    deadline = time.monotonic() + _TIMEOUT_S
    while (stack := _describe(formation))["StackStatus"].endswith("IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise UserError(f"CloudFormation was still busy after {_TIMEOUT_S} s ({stack['StackStatus']}).")
        time.sleep(0.1)
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        events = formation.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            for event in events
            if "FAILED" in event["ResourceStatus"]
        ]
        told = "\n    ".join(dict.fromkeys(reasons)) or stack.get("StackStatusReason", "")
        raise UserError(f"template.yaml could not be deployed ({stack['StackStatus']}):\n    {told}")
    return stack


def _wait_deleted(formation: Any) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while _describe(formation).get("StackStatus", "DELETE_COMPLETE") != "DELETE_COMPLETE":
        if time.monotonic() > deadline:
            raise UserError(
                "The remains of a failed deployment could not be removed; start over with --reset."
            )
        time.sleep(0.1)


def _describe(formation: Any) -> dict[str, Any]:
    try:
        stack: dict[str, Any] = formation.describe_stacks(StackName=STACK)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise
    return stack


def _outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _upload(cloud: Cloud, objects: dict[str, bytes]) -> None:
    s3 = cloud.client("s3")
    try:
        s3.create_bucket(Bucket=ARTIFACTS)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    known = {entry["Key"] for entry in s3.list_objects_v2(Bucket=ARTIFACTS).get("Contents", [])}
    for key in objects.keys() - known:
        s3.put_object(Bucket=ARTIFACTS, Key=key, Body=objects[key])
    for key in (
        known - objects.keys()
    ):  # of an earlier deployment; the emulator keeps its own copy of what runs
        s3.delete_object(Bucket=ARTIFACTS, Key=key)
