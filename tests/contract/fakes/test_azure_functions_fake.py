"""Functions on the fake Azure: what Azure refuses it refuses, and what is beyond the contract holds.

The apps run in Microsoft's worker, from archives in Azurite that only a signature opens.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from pitrix.errors import InvalidInput, ProviderUnavailable, ResourceNotFound
from providers.azure.driver import AzureProvider
from providers.base import TAG_CLUSTER
from providers.resources import Function, FunctionSpec, FunctionStatus
from tests.contract.providers.bench import Bench
from tests.contract.providers.targets import Target, Unavailable
from tests.contract.providers.targets import azure as targets

_APP = """\
import json
import os

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.function_name("greet")
@app.route(route="greet/{name}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def greet(req: func.HttpRequest) -> func.HttpResponse:
    told = {"name": req.route_params["name"], "query": dict(req.params), "word": os.environ["WORD"]}
    return func.HttpResponse(json.dumps(told))


@app.function_name("break")
@app.route(route="break", methods=["POST"])
def breaks(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("a secret of the log")


@app.function_name("tick")
@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
def tick(timer: func.TimerRequest) -> None:
    print("tick")
"""


def spec(word: str) -> FunctionSpec:
    """An application of three functions, with a container and a queue of its own."""
    made = targets.application(word)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("src/function_app.py", _APP)
    door: dict[str, Any] = {"type": "httpTrigger"}
    functions = [
        {"name": "greet", "bindings": [{**door, "route": "greet/{name}", "methods": ["get"]}]},
        {"name": "break", "bindings": [{**door, "route": "break", "methods": ["post"]}]},
        {"name": "tick", "bindings": [{"type": "timerTrigger", "schedule": "0 0 * * * *"}]},
    ]
    resources = [{"type": "bucket", "name": "pictures"}, {"type": "queue", "name": "letters"}]
    app = {**json.loads(made.manifests["function-app.json"]), "functions": functions, "resources": resources}
    return replace(
        made, code=packed.getvalue(), manifests={**made.manifests, "function-app.json": json.dumps(app)}
    )


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    try:
        with targets.start(tmp_path_factory.mktemp("azure")) as found:
            yield found
    except Unavailable as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"azure: {why}")


@pytest.fixture(scope="module")
def bench(target: Target) -> Iterator[Bench]:
    bench = Bench(replace(target, applications=spec))
    yield bench
    bench.sweep()


@pytest.fixture(scope="module")
def made(bench: Bench) -> Function:
    return bench.function("app", word="hello")


def call(bench: Bench, made: Function, function: str, **payload: Any) -> Any:
    return bench.provider.functions.invoke_function(
        made.function_id, function, json.dumps(payload).encode(), timeout_s=30
    )


def test_a_route_and_a_query_are_filled_by_the_payload(bench: Bench, made: Function) -> None:
    assert sorted(made.urls) == ["break", "greet"]
    answer = call(bench, made, "greet", name="Uma Vera", times=2)
    assert json.loads(answer.payload) == {"name": "Uma Vera", "query": {"times": "2"}, "word": "hello"}
    with pytest.raises(InvalidInput, match="name"):
        call(bench, made, "greet")


def test_what_a_function_raises_is_told_by_its_status_alone(bench: Bench, made: Function) -> None:
    answer = call(bench, made, "break")
    assert answer.error.startswith("HTTP 500")
    assert "secret" not in answer.error


def test_what_has_no_door_is_not_called(bench: Bench, made: Function) -> None:
    with pytest.raises(InvalidInput, match="no HTTP trigger"):
        call(bench, made, "tick")
    with pytest.raises(ResourceNotFound, match="break, greet, tick"):
        call(bench, made, "")


def test_without_its_key_a_function_does_not_answer(bench: Bench, made: Function) -> None:
    verify = bench.target.account.settings["ca_bundle"]
    assert requests.post(made.urls["break"], verify=verify, timeout=10).status_code == 401
    public = made.urls["greet"].replace("{name}", "you")
    assert requests.get(public, verify=verify, timeout=10).status_code == 200


def test_going_back_to_a_version_brings_its_settings_back(bench: Bench) -> None:
    first = bench.function("back", word="hello")
    functions = bench.provider.functions
    key = bench.key("second")
    functions.publish_version(first.function_id, spec("goodbye"), idempotency_key=key)
    assert json.loads(call(bench, first, "greet", name="x").payload)["word"] == "goodbye"
    functions.point_alias(first.function_id, alias="live", version=first.version)
    assert json.loads(call(bench, first, "greet", name="x").payload)["word"] == "hello"
    told = functions.publish_version(first.function_id, spec("goodbye"), idempotency_key=key)
    assert told.aliases["live"] == first.version, "the key did so already: nothing is set again"


def test_there_is_no_other_alias(bench: Bench, made: Function) -> None:
    with pytest.raises(InvalidInput, match="live"):
        bench.provider.functions.point_alias(made.function_id, alias="beta", version=made.version)


def test_archives_and_settings_are_nobodys_but_the_apps(bench: Bench, made: Function) -> None:
    provider = bench.provider
    assert isinstance(provider, AzureProvider)
    account = provider._account(made.function_id)
    container = f"{account['properties']['primaryEndpoints']['blob']}pitrix-versions"
    for ending in ("zip", "json"):
        url = f"{container}/{made.version}.{ending}"
        assert requests.get(url, timeout=10).status_code in (401, 403, 404)
        other = provider._signature(account, "pictures", "r")
        assert requests.get(f"{url}?{other}", timeout=10).status_code == 403
    assert requests.get(f"{container}?restype=container&comp=list", timeout=10).status_code in (401, 403, 404)


def test_an_app_that_was_deleted_by_hand_is_told(bench: Bench) -> None:
    lost = bench.function("lost")
    provider = bench.provider
    assert isinstance(provider, AzureProvider)
    group, name = provider._place(provider._account(lost.function_id))
    provider._cloud.ask(provider._cloud.web.web_apps.delete, group, name)
    told = provider.get_function(lost.function_id)
    assert (told.status, told.aliases) == (FunctionStatus.FAILED, {})
    provider.remove_function(lost.function_id)


def test_an_archive_that_cannot_be_read_keeps_the_app_pending(bench: Bench, made: Function) -> None:
    provider = bench.provider
    assert isinstance(provider, AzureProvider)
    account = provider._account(made.function_id)
    manifest = provider._manifest(account, made.version)
    assert manifest is not None
    told = provider._answer_with(account, "0" * 12, manifest, newest=made.version)
    assert told.status is FunctionStatus.PENDING
    assert "does not start yet" in told.reason
    assert "sig=" not in told.reason
    assert bench.provider.functions.point_alias(
        made.function_id, alias="live", version=made.version
    ).status is (FunctionStatus.ACTIVE)


def test_a_cluster_of_functions_leaves_no_resource_group(bench: Bench, target: Target) -> None:
    alone = Bench(replace(target, applications=spec))
    alone.function("app")
    alone.sweep()
    provider = alone.provider
    assert isinstance(provider, AzureProvider)
    group = f"pitrix-{alone.tags[TAG_CLUSTER]}"
    assert provider._cloud.find(provider._cloud.resources.resource_groups.get, group) is None


def test_names_are_taken_in_all_of_azure(target: Target, made: Function) -> None:
    """Two subscriptions never ask for one name; somebody else may have it."""
    from pitrix.errors import Conflict

    assert target.small is not None
    provider = target.connect(target.small)
    assert isinstance(provider, AzureProvider)
    taken = made.function_id.rsplit("/", 1)[1]
    body = {"location": "eastus", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    with pytest.raises(Conflict, match="taken"):
        provider._cloud.create(provider._cloud.storage.storage_accounts.begin_create, "group", taken, body)


def test_an_app_that_does_not_answer_is_unavailable(bench: Bench) -> None:
    provider = bench.provider
    assert isinstance(provider, AzureProvider)
    with pytest.raises(ProviderUnavailable):
        provider._cloud.call("GET", "https://127.0.0.1:9/", query={}, body=b"", key="k", timeout_s=1)
