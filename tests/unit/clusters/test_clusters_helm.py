"""A Helm chart where machines are expected: said clearly, never an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.clusters.app import app
from pitrix import bootstrap
from pitrix.packages import archive
from pitrix.packages import service as packages
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.clusters.world import UMA, World


@pytest.fixture
def world() -> World:
    return World(archive.write(packages.scaffold("site", "helm"), "site"))


@pytest.mark.parametrize("route", ["/v1/clusters", "/v1/clusters:plan"])
@pytest.mark.parametrize("answers", [{}, {"replicas": 2}])
def test_a_chart_cannot_be_deployed_on_machines(world: World, route: str, answers: dict[str, Any]) -> None:
    request = {"app_id": "app_1", "runtime_id": "rt_1", "answers": answers}
    event = proxy_event("POST", route, body=request, authorizer=authorizer_context(UMA))
    with bootstrap.override("clusters", world.service):
        answer = app(event, None)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["code"]) == (422, "capability_missing")
    assert "Kubernetes" in problem["detail"]
    assert world.store.clusters(UMA.owner_path, limit=10, cursor=None)[0] == []
    assert world.machines.started == []


def test_wrong_answers_for_a_chart_are_told_first(world: World) -> None:
    request = {"app_id": "app_1", "runtime_id": "rt_1", "answers": {"replicas": 0}}
    event = proxy_event("POST", "/v1/clusters:plan", body=request, authorizer=authorizer_context(UMA))
    with bootstrap.override("clusters", world.service):
        answer = app(event, None)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], [each["field"] for each in problem["errors"]]) == (400, ["replicas"])
