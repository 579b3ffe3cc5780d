"""Charts on the deployed platform: uploaded, shown, and rendered by the Helm of the function's layer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from pitrix.packages import archive
from pitrix.packages import service as packages
from tests.e2e.api import ApiUser
from tests.local_platform import LocalPlatform


@pytest.fixture(scope="module")
def vera(platform: LocalPlatform) -> Iterator[ApiUser]:
    user = ApiUser(platform.api_url, platform.passwords, "vera")
    yield user
    user.http.close()


def test_an_uploaded_chart_is_rendered_and_is_not_deployed_on_machines(vera: ApiUser) -> None:
    name = f"site-{secrets.token_hex(3)}"
    data = archive.write(packages.scaffold(name, "helm"), name)
    event = vera.upload(f"{name}-0.1.0.tgz", data)
    assert event["app_id"], event
    (version,) = vera.items(f"/apps/{event['app_id']}/versions")
    place = f"/apps/{event['app_id']}/versions/{version['version_id']}"
    form = vera.call("GET", f"{place}/form")
    assert "replicas" in {field["key"] for group in form["groups"] for field in group["fields"]}
    answers = {"replicas": 3, "ingress": {"enabled": True, "host": "shop.example.com"}}
    made = vera.call("POST", f"{place}/render", {"answers": answers, "name": "shop"})["items"]
    texts = {each["path"]: each["text"] for each in made}
    assert "replicas: 3" in texts["templates/deployment.yaml"]
    assert "shop.example.com" in texts["templates/ingress.yaml"]
    wrong = vera.call("POST", f"{place}/render", {"answers": {"replicas": 0}}, status=400)
    assert [each["field"] for each in wrong["errors"]] == ["replicas"]


def test_the_schemas_are_served_to_everyone(platform: LocalPlatform) -> None:
    visitor = ApiUser(platform.api_url, {})
    assert "chart" in visitor.items("/schemas")
    assert visitor.call("GET", "/schemas/chart")["title"].startswith("Chart.yaml")
    visitor.http.close()
