"""Warm requests of ``GET /v1/apps`` in the handler, with 100 apps in the store, next to a bare Chalice route.

Both are called as Lambda calls them, in one process; the storage is in memory, so this measures our own code.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from chalice.app import Chalice

from pitrix import bootstrap
from pitrix.table import MemoryTable
from tests.api_gateway import proxy_event
from tests.benchmarks.figures import Figure, median_s
from tests.unit.catalog.kit import fill_store

ROOT = Path(__file__).resolve().parents[2]
APPS = 100
REQUESTS = 300


def _bare() -> Chalice:
    app = Chalice(app_name="bare")
    answer = {"items": [{"n": n} for n in range(50)], "next_cursor": None}
    app.route("/v1/apps")(lambda: answer)
    return app


def run() -> list[Figure]:
    sys.path.insert(0, str(ROOT / "functions" / "catalog"))
    app = importlib.import_module("app").app
    table = MemoryTable()
    fill_store(table, apps=APPS)
    event = proxy_event("GET", "/v1/apps")
    with bootstrap.override("table", table, "catalog"):
        first = app(event, None)
        assert len(json.loads(first["body"])["items"]) == 50, "the benchmark measures a full page"
        seconds = median_s(lambda: app(event, None), times=REQUESTS)
    bare = _bare()
    reference = median_s(lambda: bare(event, None), times=REQUESTS)
    return [
        Figure(
            name=f"GET /v1/apps in the handler ({APPS:,} apps, 50 a page)",
            value=1 / seconds,
            unit="requests/s",
            reference_name="bare Chalice route, 50 items",
            reference=1 / reference,
        )
    ]
