"""The routes of clusters and the tasks of their state machines, called as AWS calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.clouds.tasks import handler as run_at_cloud
from functions.clusters.app import app
from functions.clusters.tasks import handler as run_task
from pitrix import bootstrap
from pitrix.identity.model import Principal
from pitrix.table import MemoryTable
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.clusters.world import EVE, UMA, World

DEPLOY = {"app_id": "app_1", "runtime_id": "rt_1", "answers": {"cluster": {"web": {"count": 2}}}}


@pytest.fixture(autouse=True)
def wired(world: World) -> Iterator[None]:
    with (
        bootstrap.override("clusters", world.service),
        bootstrap.override("executor", world.executor),
        bootstrap.override("table", MemoryTable(), "clusters"),
    ):
        yield


def call(
    method: str, resource: str, who: Principal = UMA, *, body: Any = None, query: Any = None, **path: str
) -> tuple[int, Any]:
    event = proxy_event(
        method,
        resource,
        path_parameters=path,
        query=query,
        body=body,
        authorizer=authorizer_context(who),
    )
    answer = app(event, None)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_deployment_is_accepted_and_followed(world: World) -> None:
    status, begun = call("POST", "/v1/clusters", body=DEPLOY)
    assert status == 202
    assert begun["cluster"]["transition"] == "creating"
    world.run(begun["job"]["job_id"])
    status, view = call("GET", "/v1/jobs/{job_id}", job_id=begun["job"]["job_id"])
    assert (status, view["job"]["status"]) == (200, "succeeded")
    cluster_id = begun["cluster"]["cluster_id"]
    _, nodes = call("GET", "/v1/clusters/{cluster_id}/nodes", cluster_id=cluster_id)
    assert [node["name"] for node in nodes["items"]] == ["web-1", "web-2", "store-1", "frontgate"]
    _, doors = call("GET", "/v1/clusters/{cluster_id}/endpoints", cluster_id=cluster_id)
    assert len(doors["items"]) == 2
    _, jobs = call("GET", "/v1/jobs", query={"cluster_id": [cluster_id]})
    assert [job["job_id"] for job in jobs["items"]] == [begun["job"]["job_id"]]


@pytest.mark.parametrize("resource", ["/v1/clusters:plan", "/v1/clusters"])
@pytest.mark.parametrize(
    ("language", "said"), [("zh-CN,zh;q=0.9", "超出范围"), ("de", "out of range"), ("", "out")]
)
def test_wrong_answers_are_told_in_the_language_of_the_request(
    resource: str, language: str, said: str
) -> None:
    body = {**DEPLOY, "answers": {"cluster": {"web": {"count": 99}}}}
    event = proxy_event(
        "POST",
        resource,
        body=body,
        authorizer=authorizer_context(UMA),
        headers={"Accept-Language": language},
    )
    answer = app(event, None)
    (error,) = json.loads(answer["body"])["errors"]
    assert (answer["statusCode"], error["field"]) == (400, "cluster.web.count")
    assert said in error["message"]


def test_a_dry_run_answers_with_the_plan_and_does_nothing(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    status, view = call(
        "POST",
        "/v1/clusters/{cluster_id}/actions/{action}",
        query={"dry_run": ["true"]},
        cluster_id=cluster_id,
        action="cease",
    )
    assert status == 200
    assert [layer["name"] for layer in view["plan"]["layers"]][-1] == "search"
    assert view["micros_per_hour_after"] == 0
    assert world.service.get(UMA, cluster_id).transition == ""


def test_a_cluster_is_renamed_at_the_version_that_was_read(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    event = proxy_event(
        "PATCH",
        "/v1/clusters/{cluster_id}",
        path_parameters={"cluster_id": cluster_id},
        body={"name": "renamed"},
        headers={"if-match": '"1"'},
        authorizer=authorizer_context(UMA),
    )
    assert app(event, None)["statusCode"] == 412
    event["headers"]["if-match"] = "*"
    answer = app(event, None)
    assert (answer["statusCode"], json.loads(answer["body"])["name"]) == (200, "renamed")


@pytest.mark.parametrize(
    ("method", "resource", "path", "body", "status", "field"),
    [
        ("POST", "/v1/clusters", {}, {**DEPLOY, "colour": 1}, 400, "colour"),
        ("POST", "/v1/clusters", {}, {"app_id": "app_1"}, 400, "runtime_id"),
        ("POST", "/v1/clusters:plan", {}, {**DEPLOY, "answers": {"env": {"web": {"port": 1}}}}, 400,
         "env.web.port"),
        ("POST", "/v1/clusters", {}, {**DEPLOY, "app_id": "app_9"}, 404, None),
        ("POST", "/v1/clusters", {}, {**DEPLOY, "name": ""}, 202, None),
        ("POST", "/v1/clusters", {}, {**DEPLOY, "name": "x" * 101}, 400, "name"),
        ("GET", "/v1/clusters/{cluster_id}", {"cluster_id": "cl_9"}, None, 404, None),
        ("POST", "/v1/jobs/{job_id}/actions/{action}", {"job_id": "job_9", "action": "explode"}, None, 404,
         None),
    ],
)  # fmt: skip
def test_wrong_requests_are_named(
    method: str, resource: str, path: dict[str, str], body: Any, status: int, field: str | None
) -> None:
    found, answer = call(method, resource, body=body, **path)
    assert found == status, answer
    if field is not None:
        assert field in {error["field"] for error in answer["errors"]}


def test_a_stranger_is_told_nothing(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    assert call("GET", "/v1/clusters/{cluster_id}", EVE, cluster_id=cluster_id)[0] == 404
    assert call("GET", "/v1/clusters", EVE)[1]["items"] == []


# --- the tasks ---------------------------------------------------------------------------------------------


def test_a_task_answers_with_ids_where_it_has_nothing_to_say(world: World) -> None:
    begun = call("POST", "/v1/clusters", body=DEPLOY)[1]
    job_id = begun["job"]["job_id"]
    layer = run_task({"task": "next_layer", "job_id": job_id}, None)
    assert layer["steps"][0]["step_id"] == "000-0000"
    assert run_at_cloud({"task": "run_step", "job_id": job_id, "step_id": "000-0000"}, None) == {
        "pending": False, "wait_s": 0,
    }  # fmt: skip
    error = {
        "Error": "StepFailed",
        "Cause": '{"errorMessage": "no host has room", "errorType": "StepFailed"}',
    }
    failed = {"task": "fail_step", "job_id": job_id, "step_id": "001-0000", "error": error}
    assert run_at_cloud(failed, None) == {"job_id": job_id}
    assert "no host has room" in world.service.job(UMA, job_id).job.error.message  # type: ignore[union-attr]


def test_the_error_inside_a_nested_execution_is_what_counts(world: World) -> None:
    """Step Functions wraps what failed in the execution's own description."""
    begun = call("POST", "/v1/clusters", body=DEPLOY)[1]
    job_id = begun["job"]["job_id"]
    inner = {"errorMessage": "The job was cancelled by its user.", "errorType": "JobCancelled"}
    nested = {
        "ExecutionArn": "arn:…",
        "Status": "FAILED",
        "Error": "JobCancelled",
        "Cause": json.dumps(inner),
    }
    error = {"Error": "States.TaskFailed", "Cause": json.dumps(nested)}
    run_task({"task": "plan_undo", "job_id": job_id, "error": error}, None)
    found = world.service.job(UMA, job_id).job.error
    assert found is not None
    assert (found.code, found.message) == ("JobCancelled", "The job was cancelled by its user.")
