"""The routes of packages: schemas, and what a version becomes; and a chart wherever machines are expected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.packages.app import app
from pitrix import bootstrap
from pitrix.packages import archive
from pitrix.packages import service as packages
from tests.unit.catalog.kit import USER, VENDOR, Answer, World, call
from tests.unit.catalog.kit import package as vm_package
from tests.unit.packages.helm_charts import CHART, put

RENDER = "/v1/apps/{app_id}/versions/{version_id}/render"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with bootstrap.override("catalog", world.catalog):
        yield world


def publish(world: World, data: bytes, **options: Any) -> dict[str, str]:
    published = world.publish(VENDOR, data, **options)
    return {"app_id": published.app.app_id, "version_id": published.version.version_id}


def render(place: dict[str, str], body: Any = None, who: Any = None) -> Answer:
    return call(app, "POST", RENDER, who=who, body={} if body is None else body, **place)


def test_a_visitor_sees_what_a_chart_would_install(world: World) -> None:
    place = publish(world, archive.write(CHART, "shop"))
    answer = render(place, {"answers": {"replicas": 4}, "name": "my-shop"})
    assert answer.status == 200
    assert answer.json["next_cursor"] is None
    (item,) = answer.json["items"]
    assert item["path"] == "templates/deployment.yaml"
    assert 'replicas: "4"' in item["text"]
    assert "name: my-shop" in item["text"]


def test_a_vm_package_shows_its_cluster_json(world: World) -> None:
    place = publish(world, vm_package())
    answer = render(place, {"answers": {"cluster": {"web": {"count": 3}}}})
    assert [each["path"] for each in answer.json["items"]] == ["cluster.json"]
    assert '"count": 3' in answer.json["items"][0]["text"]


def test_what_is_wrong_is_told_by_field(world: World) -> None:
    place = publish(world, archive.write(CHART, "shop"))
    wrong = render(place, {"answers": {"replicas": "many", "gone": 1}})
    assert wrong.status == 400
    assert {each["field"] for each in wrong.json["errors"]} == {"replicas", "gone"}
    name = render(place, {"name": "No Good"})
    assert (name.status, name.json["errors"][0]["field"]) == (400, "name")
    assert render(place, {"answer": {}}).status == 400
    assert render(place, [1]).status == 400


def test_a_template_that_fails_is_no_error_of_ours(world: World) -> None:
    files = put(CHART, {"templates/a.yaml": '\n{{ fail "not today" }}'})
    answer = render(publish(world, archive.write(files, "shop")))
    assert (answer.status, answer.json["code"]) == (422, "package_invalid")
    assert "not today" in answer.json["detail"]
    assert answer.json["errors"][0]["field"] == "templates/a.yaml"
    assert "templates/a.yaml:2" in answer.json["errors"][0]["message"]


def test_only_versions_that_are_seen_are_rendered(world: World) -> None:
    place = publish(world, archive.write(CHART, "shop"), release=False)
    assert render(place).status == 404
    assert render(place, who=USER).status == 404
    assert render(place, who=VENDOR).status == 200
    other = publish(world, vm_package("other"))
    assert render({**place, "app_id": other["app_id"]}, who=VENDOR).status == 404


def test_answers_that_are_too_large_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PREVIEW_BYTES", 50)
    answer = render(publish(world, archive.write(CHART, "shop")))
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_the_largest_preview_fits_into_an_answer_of_lambda(world: World) -> None:
    """1.2 MB of quotes become 4.8 MB inside of two layers of JSON; Lambda takes 6 MB."""
    text = 'x: |\n  {{ repeat 1200000 "\\"" }}\n'
    answer = render(publish(world, archive.write(put(CHART, {"templates/a.yaml": text}), "shop")))
    assert answer.status == 200
    assert 4_500_000 < len(json.dumps(answer.text)) < 6_000_000
    more = text.replace("1200000", "1300000")
    files = put(
        CHART, {"templates/a.yaml": more, "Chart.yaml": b"apiVersion: v2\nname: big\nversion: 1.0.0\n"}
    )
    assert render(publish(world, archive.write(files, "big"))).status == 413


def test_the_schemas_of_packages_are_public() -> None:
    names = call(app, "GET", "/v1/schemas").json["items"]
    assert {"chart", "package", "config", "cluster"} <= set(names)
    for name in names:
        schema = call(app, "GET", "/v1/schemas/{name}", name=name)
        assert schema.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    missing = call(app, "GET", "/v1/schemas/{name}", name="../errors")
    assert (missing.status, missing.json["code"]) == (404, "not_found")


def test_the_layer_and_the_laptop_have_the_same_helm() -> None:
    from infra.local.paths import ROOT
    from infra.local.venvs import pin
    from pitrix.packages.formats.helm.binary import DISTRIBUTION

    layer, laptop = ROOT / "layers/helm/requirements.txt", ROOT / "infra/local/requirements.txt"
    assert pin(layer, DISTRIBUTION) == pin(laptop, DISTRIBUTION)
