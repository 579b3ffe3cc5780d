"""Remote repositories on the whole platform: a chart repository on the loopback, the real state machine.

The first sync, an unchanged one (one question, answered 304), and one with a chart added, one removed and one
broken; then the repository's end.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pitrix.packages.formats.helm import binary as helm_binary
from tests.e2e.api import ApiUser, wait_for
from tests.local_platform import LocalPlatform
from tests.loopback import Loopback, loopback

RUN = secrets.token_hex(3)


class ChartRepository:
    """Charts made by the real Helm, with its index, on a web server that knows entity tags."""

    def __init__(self, server: Loopback, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.url = f"{server.url}/charts"

    def add(self, name: str) -> None:
        """Make a chart and package it."""
        helm_binary.run(["create", name], cwd=self._folder)
        helm_binary.run(["package", name, "--destination", "packed"], cwd=self._folder)

    def spoil(self, name: str) -> None:
        """Put something under a chart's name that is none."""
        (self._folder / "packed" / f"{name}-0.1.0.tgz").write_bytes(b"no chart at all")

    def publish(self, *hidden: str) -> None:
        """Write the index and serve it with all archives, as `helm repo index` finds them."""
        packed = self._folder / "packed"
        helm_binary.run(["repo", "index", "."], cwd=packed)
        for name in hidden:
            self.spoil(name)
        index = (packed / "index.yaml").read_bytes()
        self._server.routes.clear()
        for file in packed.glob("*.tgz"):
            self._server.serve_file(f"/charts/{file.name}", file.read_bytes())
        etag = f'"{hashlib.sha256(index).hexdigest()[:16]}"'
        self._server.serve_file("/charts/index.yaml", index, etag=etag, packed=True)
        self._server.seen.clear()

    def remove(self, name: str) -> None:
        (self._folder / "packed" / f"{name}-0.1.0.tgz").unlink()

    def asked(self) -> list[str]:
        """The paths that were asked for since the last `publish`."""
        return [path.removeprefix("/charts/") for path in self._server.paths()]


@pytest.fixture
def charts(tmp_path: Path) -> Iterator[ChartRepository]:
    (tmp_path / "packed").mkdir()
    with loopback() as server:
        yield ChartRepository(server, tmp_path)


@pytest.fixture
def vera(platform: LocalPlatform) -> Iterator[ApiUser]:
    user = ApiUser(platform.api_url, platform.passwords, "vera")
    yield user
    user.http.close()


def synced(user: ApiUser, repo_id: str, after: str = "") -> dict[str, Any]:
    """The last sync, once there is one later than ``after``."""

    def look() -> dict[str, Any] | None:
        figures: dict[str, Any] = user.call("GET", f"/repos/{repo_id}/statistics")
        last = figures["last_sync"]
        return figures if last and last["sync_id"] > after and not figures["running"] else None

    return wait_for("the end of a sync", look)


def test_a_chart_repository_from_its_first_sync_to_its_end(charts: ChartRepository, vera: ApiUser) -> None:
    kept, dropped = f"kept-{RUN}", f"dropped-{RUN}"
    charts.add(kept)
    charts.add(dropped)
    charts.publish()
    body = {"name": f"charts {RUN}", "kind": "http", "url": charts.url}
    found = vera.call("POST", "/repos/validate", {"kind": "http", "url": charts.url})
    assert (found["valid"], found["packages"]) == (True, 2)
    refused = vera.call("POST", "/repos", {**body, "url": charts.url + "/nowhere"}, status=400)
    assert [error["field"] for error in refused["errors"]] == ["url"]

    repo = vera.call("POST", "/repos", body)
    where = f"/repos/{repo['repo_id']}"
    first = synced(vera, repo["repo_id"])
    assert first["last_sync"]["status"] == "succeeded", first
    assert first["last_sync"]["counts"]["added"] == 2
    apps = {app["name"]: app for app in vera.items("/apps", scope="mine", repo=repo["repo_id"])}
    assert sorted(apps) == sorted([kept, dropped])
    assert {app["latest_version"] for app in apps.values()} == {"0.1.0"}
    assert (first["totals"]["apps"], first["totals"]["versions"]) == (2, 2)

    charts.publish()
    begun = vera.call("POST", f"{where}/actions/index", status=202)["sync"]
    same = synced(vera, repo["repo_id"], first["last_sync"]["sync_id"])
    assert (same["last_sync"]["sync_id"], same["last_sync"]["status"]) == (begun["sync_id"], "unchanged"), (
        same
    )
    assert charts.asked() == ["index.yaml"]

    charts.add(f"new-{RUN}")
    charts.add(f"broken-{RUN}")
    charts.remove(dropped)
    charts.publish(f"broken-{RUN}")
    vera.call("POST", f"{where}/actions/index", status=202)
    changed = synced(vera, repo["repo_id"], begun["sync_id"])["last_sync"]
    assert changed["status"] == "succeeded", changed
    counts = {name: count for name, count in changed["counts"].items() if count}
    assert counts.pop("refused", 0) + counts.pop("failed", 0) == 1
    assert counts == {"added": 1, "unchanged": 1, "removed": 1}
    assert f"broken-{RUN}" in changed["failures"][0]["key"]
    assert f"{kept}-0.1.0.tgz" not in charts.asked()
    app_id = apps[dropped]["app_id"]
    (version,) = vera.items(f"/apps/{app_id}/versions")
    assert (version["status"], version["status_reason"]) == ("suspended", "removed upstream")
    events = vera.items(f"{where}/events")
    assert [event["outcome"] for event in events if event["counts"]] == ["synced", "synced"]
    assert events[0]["counts"]["removed"] == 1
    assert events[0]["duration_ms"] > 0

    vera.call("DELETE", where)
    vera.call("GET", where, status=404)

    def withdrawn() -> bool:
        (each,) = vera.items(f"/apps/{apps[kept]['app_id']}/versions")
        return bool(each["status"] == "suspended")

    wait_for("the end of the repository", withdrawn)


def test_private_networks_are_out_of_reach_unless_the_operator_allows_them(vera: ApiUser) -> None:
    for address in ("http://169.254.169.254/latest", "http://10.0.0.1/charts"):
        refused = vera.call("POST", "/repos/validate", {"kind": "http", "url": address}, status=400)
        assert [error["field"] for error in refused["errors"]] == ["url"]


def test_the_platforms_own_repository_is_synced_by_the_same_machine(platform: LocalPlatform) -> None:
    operator = ApiUser(platform.api_url, platform.passwords, "operator")
    before = operator.call("GET", "/repos/repo_platform/statistics")["last_sync"]
    operator.call("POST", "/repos/repo_platform/actions/index", status=202)
    done = synced(operator, "repo_platform", before["sync_id"] if before else "")["last_sync"]
    assert done["status"] in ("succeeded", "unchanged"), done
    assert done["counts"]["failed"] == 0
    operator.http.close()
