"""Amazon's cloud: moto behind a front that checks what AWS checks; both are in ``tests/clouds/aws``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from providers.resources import Connection, FunctionSpec
from tests.clouds.aws.answers import refusal
from tests.clouds.aws.emulator import emulator, is_installed
from tests.clouds.aws.server import SMALL
from tests.contract.providers.targets import ROOT, Target, Unavailable
from tests.contract.providers.targets.interposer import Answer, Asked

ZONE, OTHER_ZONE = "us-east-1a", "eu-west-1b"

_ECHO = """\
import os

def handler(event, context):
    if "fail" in event:
        raise RuntimeError(event["fail"])
    return {"word": os.environ["WORD"], "asked": event}
"""

_READING = ("Describe", "Get", "List")


@contextmanager
def cloud(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """Run the cloud: its port, and the keys of its accounts."""
    command = [sys.executable, "-m", "tests.clouds.aws.server", *options]
    with (
        (folder / "cloud.log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, f"it ended with {process.wait(10)}: {(folder / 'cloud.log').read_text()[-2000:]}"
            yield json.loads(line)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    with ExitStack() as running:
        if not is_installed():
            raise Unavailable("the emulator of functions is not installed; ./infra/up installs it")
        port = running.enter_context(emulator(folder / "functions"))
        told = running.enter_context(cloud(folder, "--emulator-port", str(port)))
        url = f"http://127.0.0.1:{told['port']}"

        def connection(keys: dict[str, str]) -> Connection:
            return Connection(
                zone=ZONE, credential={"method": "access-keys", **keys}, settings={"endpoint": url}
            )

        keys = told["keys"]
        account, small = connection(keys["account"]), connection(keys["small"])
        yield Target(
            name="aws",
            kind="simulator",
            account=account,
            small=small,
            refused={
                "a wrong secret": connection({**keys["account"], "secret_access_key": "wrong" * 8}),
                "an unknown key": connection({**keys["account"], "access_key_id": "AKIAIOSFODNN7EXAMPLE"}),
                "no permission": connection(keys["reader"]),
            },
            upstream=url,
            through=lambda other: replace(account, settings={"endpoint": other}),
            changes=changes,
            throttle=throttled,
            other_account=(SMALL, small),
            other_zone=OTHER_ZONE,
            applications=application,
        )


def application(word: str) -> FunctionSpec:
    """One function of SAM's, its word a parameter."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Word": {"Type": "String"}},
        "Resources": {
            "EchoFunction": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "CodeUri": "src/",
                    "Handler": "app.handler",
                    "Runtime": "python3.13",
                    "Environment": {"Variables": {"WORD": {"Ref": "Word"}}},
                },
            }
        },
    }
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("README.md", "An application of one function.")
        archive.writestr("src/app.py", _ECHO)
    return FunctionSpec(
        name="echo",
        manifests={
            "template.yaml": json.dumps(template),
            "parameters.json": json.dumps([{"ParameterKey": "Word", "ParameterValue": word}]),
        },
        code=code.getvalue(),
    )


def changes(asked: Asked) -> bool:
    """Every call of most services is a POST: the action tells."""
    action = _action(asked)
    return asked.method not in ("GET", "HEAD") and not action.startswith(_READING)


def throttled(asked: Asked) -> Answer:
    """What AWS answers when there were too many calls, in the words of the service."""
    service = asked.headers["authorization"].partition("Credential=")[2].split("/")[3]
    code = {"ec2": "RequestLimitExceeded", "s3": "SlowDown"}.get(service, "ThrottlingException")
    status = 503 if service in ("ec2", "s3") else 400
    return Answer(status, *refusal(service, code, "Rate exceeded"))


def _action(asked: Asked) -> str:
    target = asked.headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    form = asked.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return parse_qs(asked.body.decode()).get("Action", [""])[0] if form else ""
