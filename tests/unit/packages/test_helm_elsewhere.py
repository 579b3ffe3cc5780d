"""Schemas of charts that pretend to hold what they refer to: Helm must ask nobody for it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.packages.helm_charts import CHART, put, rendered


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def pretended(url: str) -> dict[str, Any]:
    """Schemas with an ``$id`` where it names nothing, and a reference to it."""
    asks = {"properties": {"replicas": {"$ref": f"{url}/x"}}}
    return {
        "a value": {**asks, "default": {"$id": f"{url}/x"}},
        "an unknown keyword": {**asks, "x-more": {"$id": f"{url}/x"}},
        "the id of an older draft": {**asks, "$defs": {"a": {"id": f"{url}/x"}}},
        "a relative one": {
            "$id": f"{url}/",
            "properties": {"replicas": {"$ref": "x"}},
            "default": {"$id": "x"},
        },
    }


@pytest.mark.parametrize("how", list(pretended("")))
def test_an_id_that_names_nothing_opens_no_way_out(listener: tuple[str, list[str]], how: str) -> None:
    url, asked = listener
    made = rendered(put(CHART, {"values.schema.json": json.dumps(pretended(url)[how])}), {})
    assert "templates/deployment.yaml" in made
    assert asked == []


@pytest.mark.parametrize("name", ["values.json", "helm", "a..b"])
def test_a_chart_may_be_called_as_a_file_of_ours(name: str) -> None:
    described = f"apiVersion: v2\nname: {name}\nversion: 1.2.3\n"
    assert "templates/deployment.yaml" in rendered(put(CHART, {"Chart.yaml": described}), {})
