"""Charts in the console: shown like any app; that they need Kubernetes is said where one deploys."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from functions.billing.app import app as billing
from pitrix.packages import archive
from pitrix.packages import service as packages
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.console import world as worlds
from tests.unit.console.gateway import Visitor
from tests.unit.console.test_console_pages import filled


@pytest.fixture
def world(world: worlds.World) -> Iterator[worlds.World]:
    world.push("site", archive.write(packages.scaffold("site", "helm"), "site"))
    return world


def test_a_chart_stands_in_the_store(visitor: Visitor, world: worlds.World) -> None:
    assert "site" in visitor.get("/?search=site").body
    page = visitor.get(f"/apps/{world.apps['site']}")
    assert page.status == 200
    assert "A web server, to be replaced by your application" in page.body


def test_it_is_offered_for_deployment_and_to_helm(visitor: Visitor, world: worlds.World) -> None:
    page = visitor.get(f"/apps/{world.apps['site']}").body
    assert "helm install site site" in page
    assert "/v1/repos/repo_platform/charts" in page
    for name in ("site", "guestbook"):
        assert "/deploy" in visitor.get(f"/apps/{world.apps[name]}").body.split("<main")[1]


def test_its_form_is_drawn_and_previewing_says_what_is_missing(alice: Visitor, world: worlds.World) -> None:
    path = f"/apps/{world.apps['site']}/deploy"
    page = alice.get(path)
    assert page.status == 200
    assert "Reachable from outside" in page.body
    for intent in ("preview", "deploy"):
        answer = alice.post(path, filled(page, intent=intent))
        assert answer.status == 422
        assert "Kubernetes" in answer.body
        assert "This cannot be deployed as asked" in answer.body
        assert "Reachable from outside" in answer.body  # the form again, with what was answered


def test_its_price_is_that_of_what_it_requests(alice: Visitor, world: worlds.World) -> None:
    page = alice.get(f"/apps/{world.apps['site']}/deploy")
    answer = alice.post(f"/apps/{world.apps['site']}/quote", filled(page))
    assert answer.status == 200
    who = world.principal("alice")
    body = {"app_id": world.apps["site"], "answers": {}}
    said = billing(proxy_event("POST", "/v1/quotes", body=body, authorizer=authorizer_context(who)), None)
    quote = json.loads(said["body"])
    assert {line["charge"] for line in quote["lines"]} == {"memory", "pod_vcpu"}
    assert "Processors of pods" in answer.body
    assert f"{quote['micros_per_hour'] / 1_000_000:.6f}" in answer.body
