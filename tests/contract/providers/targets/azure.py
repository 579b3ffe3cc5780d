"""Azure: a fake of ours, true to Azure's REST specifications, with the unmodified SDK in front of it.

Storage accounts are Azurite's, and function apps run in Microsoft's own worker.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from providers.resources import Connection, FunctionSpec
from tests.clouds.azure.catalogue import Application, Limits, Subscription
from tests.clouds.azure.certificates import for_loopback
from tests.clouds.azure.server import running
from tests.clouds.azure.specification import FOLDER
from tests.clouds.azurite.server import azurite
from tests.contract.providers.targets import Target, Unavailable
from tests.contract.providers.targets.interposer import Answer, Asked

TENANT, OTHER_TENANT = "7e7a0001-0000-4000-8000-000000000001", "7e7a0001-0000-4000-8000-000000000002"
ROOMY, SMALL, OTHER, FOREIGN = (f"5ab50000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3, 4))
CONTRIBUTOR = Application(
    "c11e0000-0000-4000-8000-000000000001",
    "a secret of an application",
    TENANT,
    {ROOMY: "Contributor", SMALL: "Contributor", OTHER: "Contributor"},
)
STRANGER = Application("c11e0000-0000-4000-8000-000000000002", "a stranger's secret", OTHER_TENANT)
SUBSCRIPTIONS = [
    Subscription(ROOMY, TENANT),
    Subscription(SMALL, TENANT, Limits(cores=1, disk_gib=10)),
    Subscription(OTHER, TENANT),
    Subscription(FOREIGN, TENANT),
]

ACCOUNTS = 300
"""So many storage accounts may be made in a run: each takes an account of Azurite for good."""

_ECHO = """\
import json
import os

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.function_name("echo")
@app.route(route="echo", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    asked = req.get_json()
    if "fail" in asked:
        return func.HttpResponse(asked["fail"], status_code=500)
    return func.HttpResponse(json.dumps({"word": os.environ["WORD"], "asked": asked}))
"""


def credential(
    application: Application = CONTRIBUTOR, subscription: str = ROOMY, **changes: str
) -> Mapping[str, str]:
    """The credential of an application in a subscription."""
    return {
        "method": "client-secret",
        "tenant_id": application.tenant_id,
        "client_id": application.client_id,
        "client_secret": application.secret,
        "subscription_id": subscription,
        **changes,
    }


def throttle(asked: Asked) -> Answer:
    """What ARM answers above its limits; Source: *Understand how ARM throttles requests*, Microsoft Learn."""
    body = b'{"error":{"code":"TooManyRequests","message":"The request was throttled."}}'
    headers = {"Content-Type": "application/json", "Retry-After": "17"}
    return Answer(429, headers, body)


def application(word: str) -> FunctionSpec:
    """One function behind HTTP, its word a setting."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("README.md", "An application of one function.")
        archive.writestr("src/function_app.py", _ECHO)
    door = {"type": "httpTrigger", "authLevel": "function", "route": "echo", "methods": ["post"]}
    app = {
        "runtime": {"name": "python", "version": "3.12"},
        "code": "src",
        "scaleAndConcurrency": {"instanceMemoryMB": 512},
        "functions": [{"name": "echo", "scriptFile": "function_app.py", "bindings": [door]}],
        "resources": [],
        "roleAssignments": [],
    }
    settings = {
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "WORD": word,
    }
    manifests = {
        "host.json": {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}},
        "app-settings.json": [{"name": name, "value": each} for name, each in settings.items()],
        "function-app.json": app,
    }
    return FunctionSpec(
        name="echo",
        manifests={path: json.dumps(each) for path, each in manifests.items()},
        code=code.getvalue(),
    )


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    if not FOLDER.exists():
        raise Unavailable(f"Azure's REST specifications are not in {FOLDER}")
    tls = for_loopback(folder)
    with (
        azurite(ACCOUNTS) as storage,
        running(tls, [CONTRIBUTOR, STRANGER], SUBSCRIPTIONS, storage) as azure,
    ):

        def connection(**changes: str) -> Connection:
            settings = {"endpoint": azure.url, "authority": azure.url, "ca_bundle": str(tls[0])}
            return Connection(zone="eastus", credential=credential(**changes), settings=settings)

        account = connection()
        yield Target(
            name="azure",
            kind="spec-checked",
            account=account,
            small=connection(subscription_id=SMALL),
            refused={
                "a wrong secret": connection(client_secret="not-the-one"),
                "an application that is none": connection(client_id="c11e0000-0000-4000-8000-00000000000f"),
                "a tenant that is none": connection(tenant_id="7e7a0001-0000-4000-8000-00000000000f"),
                "a subscription that is none": connection(subscription_id=FOREIGN[:-1] + "f"),
                "no role in the subscription": connection(subscription_id=FOREIGN),
                "another tenant's application": replace(account, credential=credential(STRANGER)),
            },
            upstream=azure.url,
            through=lambda url: replace(account, settings={**account.settings, "endpoint": url}),
            throttle=throttle,
            tls=tls,
            other_account=(OTHER, connection(subscription_id=OTHER)),
            other_zone="westeurope",
            user_data=azure.user_data,
            applications=application,
        )
        assert azure.dishonest == [], "the fake broke Azure's specification"
