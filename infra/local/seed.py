"""Fills a new platform with what makes it worth looking at: people, a store, a cloud to deploy to.

Owns the accounts in `logins.json` and the demo packages of `infra/demo`. Goes through the public API where
that can do it (runtime, packages) and through the contexts' own `ensure_*` use cases where it cannot (the
first account, the platform's repository). Everything may run again: what is there already stays as it is.

`Seeding` belongs to the supervisor; the work is done by `python -m infra.local.seed`, in a process that has
the environment of a function.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.local.build import source_files
from infra.local.datadir import DataDir, read_json, write_private
from infra.local.deploy import ACCOUNT, ARTIFACTS, REGION, STACK, Cloud
from infra.local.paths import ROOT, VENV, venv_python
from infra.local.progress import UserError, step

PEOPLE = (("operator", "operator"), ("vera", "vendor"), ("dev", "developer"), ("uma", "user"))
"""Username and role of each seeded account; everybody but the operator is a tenant of their own."""

DEMO = ROOT / "infra/demo"
AGENT = ROOT / "infra/agent"
RUNTIME_NAME = "This machine"
_TABLES = ("billing", "catalog", "clusters", "identity", "pilot", "repos", "runtimes")
_INDEXED_WITHIN_S = 60


class Seeding:
    """The seeding of one platform, and the mark in its artefact bucket that says it is done."""

    def __init__(self, cloud: Cloud, data: DataDir, outputs: dict[str, str], url: str) -> None:
        self._cloud = cloud
        self._data = data
        self._outputs = outputs
        self._url = url

    def is_done(self) -> bool:
        """Whether this very seed was planted, and survived, in the deployment that runs."""
        marks = self._cloud.client("s3").list_objects_v2(Bucket=ARTIFACTS, Prefix=self._mark())
        return bool(marks.get("KeyCount", 0))

    def mark_done(self) -> None:
        """Remember it; call this after the emulator saved its state, or a kill -9 could leave a mark and no
        seed.
        """
        self._cloud.client("s3").put_object(Bucket=ARTIFACTS, Key=self._mark(), Body=b"")

    def run(self) -> None:
        """Plant what is missing.

        Raises:
            UserError: A part of the platform did not do what was asked; says where to read on.
        """
        log = self._data.logs / "seed.log"
        with open(log, "ab") as output:
            done = subprocess.run(
                [venv_python(VENV), "-m", "infra.local.seed", self._url, self._data.path],
                env=self._environment(),
                cwd=self._data.path,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise UserError(f"The platform could not be filled: {' '.join(last)}\n  Details are in {log}")

    def logins(self) -> list[dict[str, str]]:
        """The accounts, operator first: role, username and password of each."""
        logins: list[dict[str, str]] = read_json(self._data.logins, [])
        return logins

    def _mark(self) -> str:
        digest = hashlib.sha256(json.dumps([self._outputs["UserPoolId"], self.logins()]).encode())
        for path in [Path(__file__), *source_files(AGENT), *source_files(DEMO)]:
            digest.update(path.read_bytes())
        return f"seeded-{digest.hexdigest()[:32]}"

    def _environment(self) -> dict[str, str]:
        resources = self._cloud.client("cloudformation").describe_stack_resources(StackName=STACK)[
            "StackResources"
        ]
        physical = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
        tables = {f"TABLE_{name.upper()}": physical[f"{name.capitalize()}Table"] for name in _TABLES}
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return (
            environment
            | tables
            | {
                "AWS_ENDPOINT_URL": self._cloud.endpoint,
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": "local",
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "BUCKET_PACKAGES": self._outputs["PackagesBucketName"],
                "BUCKET_CATALOG": self._outputs["CatalogBucketName"],
                "USER_POOL_ID": self._outputs["UserPoolId"],
                "USER_POOL_CLIENT_ID": self._outputs["UserPoolClientId"],
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers/core'}",
            }
        )


class Api:
    """The platform's public API, as one signed-in person sees it."""

    def __init__(self, url: str) -> None:
        import httpx

        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def sign_in(self, username: str, password: str) -> None:
        """Carry that person's token from now on."""
        answer = self.call("POST", "/v1/tokens", {"username": username, "password": password})
        self._client.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call; the JSON of its answer.

        Raises:
            UserError: It was refused; with the problem's own words.
        """
        answer = self._client.request(method, path, json=body)
        if answer.is_error:
            raise UserError(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def items(self, path: str) -> Iterable[dict[str, Any]]:
        """All items of a list."""
        cursor = None
        while True:
            found = self.call("GET", f"{path}?limit=200" + (f"&cursor={cursor}" if cursor else ""))
            yield from found["items"]
            cursor = found["next_cursor"]
            if cursor is None:
                return

    def upload(self, ticket: dict[str, Any], content: bytes) -> None:
        """Send a file to the presigned URL that the platform gave."""
        import httpx

        answer = httpx.request(
            ticket["method"],
            ticket["upload_url"],
            content=content,
            headers=ticket["headers"],
            timeout=60,
            trust_env=False,
        )
        if answer.is_error:
            raise UserError(
                f"The upload of {ticket['key']} answered {answer.status_code}: {answer.text[:500]}"
            )


def main(arguments: list[str]) -> int:
    """Plant everything: ``python -m infra.local.seed URL DATA-DIRECTORY``."""
    url, data = arguments[0], DataDir(Path(arguments[1]))
    with step("accounts"):
        logins = ensure_people(data)
    with step("store"):
        ensure_store()
    operator = Api(url)
    with step("sign-in"):
        operator.sign_in(logins[0]["username"], logins[0]["password"])
    with step("runtime"):
        ensure_runtime(operator, (data.path / "hypervisor.token").read_text().strip())
    with step("demo packages"):
        ensure_demo_packages(operator)
    return 0


def ensure_people(data: DataDir) -> list[dict[str, str]]:
    """Make the seeded accounts with the passwords in `logins.json`, or new random ones."""
    from pitrix import bootstrap
    from pitrix.identity.model import ROOT_PATH
    from pitrix.identity.service import random_password

    known = {login["username"]: login["password"] for login in read_json(data.logins, [])}
    logins = [
        {"role": role, "username": username, "password": known.get(username) or random_password()}
        for username, role in PEOPLE
    ]
    # Written first: were it lost, nobody would know the passwords of accounts that exist.
    write_private(data.logins, logins)
    for login in logins:
        owner_path = ROOT_PATH if login["role"] == "operator" else f":{login['username']}:"
        bootstrap.identity().ensure_user(login["username"], login["role"], login["password"], owner_path)
    return logins


def ensure_store() -> None:
    """Make the platform's repository, the categories and the price plan."""
    from pitrix import bootstrap
    from pitrix.identity.model import SYSTEM

    bootstrap.repos().ensure_platform_repo(SYSTEM)
    bootstrap.catalog().ensure_categories(SYSTEM)
    bootstrap.billing().ensure_default_plan()


def ensure_runtime(operator: Api, token: str) -> None:
    """Connect this machine as a runtime that everybody may use."""
    if any(runtime["name"] == RUNTIME_NAME for runtime in operator.items("/v1/runtimes")):
        return
    operator.call(
        "POST",
        "/v1/runtimes",
        {
            "name": RUNTIME_NAME,
            "provider": "local",
            "description": "Machines are processes on the computer that runs this platform.",
            "visibility": "public",
            "credential": {"token": token},
        },
    )


def ensure_demo_packages(operator: Api) -> None:
    """Upload the demo packages the way a vendor would, and wait until each is in the store."""
    from pitrix.packages.service import build
    from pitrix.repos.model import PLATFORM_REPO_ID

    repo = f"/v1/repos/{PLATFORM_REPO_ID}"
    present = {app["name"] for app in operator.items("/v1/apps")}
    waiting: dict[str, str] = {}
    for folder in sorted(DEMO.iterdir()):
        if not (folder / "package.json").exists():
            continue
        described = json.loads((folder / "package.json").read_text())
        if described["name"] in present:
            continue
        filename = f"{described['name']}-{described['version']}.tgz"
        content = build(folder)
        ticket = operator.call("POST", f"{repo}/packages", {"filename": filename, "size_bytes": len(content)})
        operator.upload(ticket, content)
        waiting[ticket["key"]] = filename
    deadline = time.monotonic() + _INDEXED_WITHIN_S
    while waiting:
        for event in operator.items(f"{repo}/events"):
            filename = waiting.pop(event["key"], "")
            if filename and event["outcome"] == "refused":
                raise UserError(f"The demo package {filename} was refused: {event['message']}")
        if waiting and time.monotonic() > deadline:
            raise UserError(f"Not indexed within {_INDEXED_WITHIN_S} s: {', '.join(waiting.values())}")
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as refused:
        sys.exit(str(refused))
