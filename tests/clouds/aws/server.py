"""The process: ``python -m tests.clouds.aws.server`` serves on a free port and prints one line of JSON.

Owns the accounts (one with room, one that is nearly full), their users, keys and roles. Ends with SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from typing import Any

ACCOUNT, SMALL = "123456789012", "210987654321"
EXTERNAL_ID = "of-nobody-else-0001"
_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--emulator-port", type=int, default=0)
    arguments = parser.parse_args()
    # Without these, moto takes any name for an image, a key pair or a type.
    os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "1"
    os.environ["MOTO_ENABLE_KEYPAIR_VALIDATION"] = "1"
    os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "1"
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    from tests.clouds.aws import front, mends

    mends.apply()
    emulator = ("127.0.0.1", arguments.emulator_port) if arguments.emulator_port else None

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Say nothing."""

    application = front.Front(DomainDispatcherApplication(create_backend_app), emulator, SMALL)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(json.dumps({"port": server.server_port} | _accounts()), flush=True)
    server.serve_forever(poll_interval=0.05)


def _accounts() -> dict[str, Any]:
    """Make users and a role; their keys by what they are for."""
    keys = {
        "account": _user(ACCOUNT, "pitrix", _ALL),
        "small": _user(SMALL, "pitrix", _ALL),
        "reader": _user(ACCOUNT, "reader", {**_ALL, "Action": ["ec2:DescribeRegions", "s3:GetObject"]}),
        "looker": _user(ACCOUNT, "looker", {**_ALL, "Action": "ec2:Describe*"}),
        "platform": _user(ACCOUNT, "platform", {**_ALL, "Action": "sts:AssumeRole"}),
    }
    return {"keys": keys, "role": _role(), "external_id": EXTERNAL_ID}


def _user(account: str, name: str, statement: dict[str, Any]) -> dict[str, str]:
    from moto.iam.models import iam_backends

    iam = iam_backends[account]["aws"]
    iam.create_user("us-east-1", name)
    iam.put_user_policy(name, "all", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    key = iam.create_access_key(name)
    return {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}


def _role() -> str:
    """A role that the platform's user may assume with the external id; its ARN."""
    from moto.iam.models import iam_backends

    iam = iam_backends[ACCOUNT]["aws"]
    trusted = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/platform"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    role = iam.create_role("tenant", trust, "/", None, "", [], "3600")
    iam.put_role_policy("tenant", "all", json.dumps({"Version": "2012-10-17", "Statement": [_ALL]}))
    return str(role.arn)


if __name__ == "__main__":
    sys.exit(main())
