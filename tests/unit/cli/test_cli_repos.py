"""Repositories from the command line: made, tried, synced, looked at, let go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pitrix.cli.repos import SECRET_VARIABLE
from pitrix.errors import InvalidInput, SourceUnavailable
from pitrix.packages import archive
from pitrix.packages import service as packages
from tests.unit.cli.conftest import Line
from tests.unit.cli.platform import Platform
from tests.unit.repos.kit import FakeSource

URL = "https://charts.test/stable"


@pytest.fixture
def source(platform: Platform, guestbook: bytes, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """A remote repository with the guestbook and something broken; syncs are carried out at once."""
    kit = platform.world.kit
    monkeypatch.setattr(kit.machine, "start", kit.carry_out)
    kit.sources.by_url[URL] = FakeSource({"guestbook-1.0.0": guestbook, "bad-1.0.0": b"broken"})
    return kit.sources.by_url[URL]


def test_a_remote_repository_from_address_to_store(
    vera: Line, source: FakeSource, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "hunter2")
    assert "It holds 2 packages" in vera("repos", "validate", "--address", URL).stdout
    made = vera.json(
        "repos", "create", "stable", "--address", URL, "--user", "robot", "--label", "team=shop",
        "--selector", "room=lab", "--provider", "local", "--every", "600",
    )  # fmt: skip
    assert (made["kind"], made["has_credential"], made["labels"]) == ("http", True, {"team": "shop"})
    (secret,) = platform.world.kit.vault.kept.values()
    assert (secret.username, secret.password) == ("robot", "hunter2")
    result = vera("repos", "show", "stable")
    assert "1 added, 1 refused" in result.stdout
    assert "neither a .tgz" in result.stdout
    assert "hunter2" not in result.output
    listed = vera("repos", "list").stdout
    assert URL in listed
    assert "platform" in listed
    assert vera("repos", "validate", "stable").exit_code == 0
    changed = vera.json("repos", "edit", "stable", "--rename", "steady", "--no-credential")
    assert (changed["name"], changed["has_credential"]) == ("steady", False)
    shown = vera.json("repos", "show", made["repo_id"])
    assert shown["statistics"]["totals"]["versions"] == 1
    assert vera.json("repos", "statistics", "steady")["totals"]["refused"] == 1
    events = vera.json("repos", "events", "steady")["items"]
    assert [event["outcome"] for event in events] == ["synced", "refused"]
    assert "(sync)" in vera("repos", "events", "steady").stdout


def test_sync_waits_and_says_what_came_of_it(vera: Line, source: FakeSource, platform: Platform) -> None:
    vera.json("repos", "create", "stable", "--address", URL)
    assert vera.json("repos", "sync", "stable")["status"] == "running"  # as it was begun
    done = vera.json("repos", "sync", "stable", "--wait")
    assert (done["status"], done["counts"]["unchanged"]) == ("unchanged", 1)
    del source.packages["bad-1.0.0"]
    assert "1 unchanged" in vera("repos", "sync", "stable", "--wait", "--refused").stdout
    source.troubles[""] = SourceUnavailable("charts.test is away.")
    result = vera("repos", "sync", "stable", "--wait")
    assert result.exit_code == 1
    assert "charts.test is away." in result.stdout


def test_waiting_for_a_sync_ends(vera: Line, platform: Platform) -> None:
    vera.json("repos", "create", "stable", "--address", URL)
    result = vera("repos", "sync", "stable", "--wait", "--timeout", "1")
    assert result.exit_code == 1
    assert "did not end within 1 s" in result.stderr


def test_an_address_that_cannot_be_read_is_named(vera: Line, source: FakeSource) -> None:
    source.troubles[""] = InvalidInput("charts.test is no chart repository.")
    for command in (("create", "stable"), ("validate",)):
        result = vera("repos", *command, "--address", URL)
        assert result.exit_code == 1
        assert result.stderr.count("charts.test is no chart repository.") == 1
    assert "stable" not in vera("repos", "list").stdout


def test_deleting_asks_first(vera: Line, source: FakeSource) -> None:
    vera.json("repos", "create", "stable", "--address", URL)
    assert vera("repos", "delete", "stable").exit_code == 2
    vera.interactive = True
    assert vera("repos", "delete", "stable", input="n\n").exit_code == 1
    assert "stable is deleted" in vera("repos", "delete", "stable", input="y\n").stdout
    assert vera("repos", "show", "stable").exit_code == 1
    vera.json("repos", "create", "stable", "--address", URL)
    assert vera.json("repos", "delete", "stable", "--yes")["deleted"] is True


def test_wrong_usage_is_named(
    vera: Line, source: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    assert vera("repos", "create", "s", "--address", URL, "--label", "nonsense").exit_code == 2
    assert vera("repos", "create", "s", "--address", URL, "--key", str(tmp_path / "none.asc")).exit_code == 2
    assert vera("repos", "create", "s", "--address", URL, "--user", "u").exit_code == 2
    assert vera("repos", "validate").exit_code == 2
    assert vera("repos", "edit", "platform").exit_code == 2
    assert vera("repos", "show", "nothing").exit_code == 1
    key = tmp_path / "key.asc"
    key.write_text("no key")
    result = vera("repos", "create", "s", "--address", URL, "--key", str(key), "--require-signature")
    assert "keys/0" in result.stderr


def test_the_secret_is_asked_for_at_a_terminal(
    vera: Line, source: FakeSource, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    vera.interactive = True
    platform.world.kit.sources.by_url["s3://bucket/x"] = FakeSource()
    result = vera(
        "repos", "create", "s", "--kind", "s3", "--address", "s3://bucket/x", "--user", "AKIA", input="s3cr\n"
    )
    assert result.exit_code == 0
    assert "s3cr" not in result.output
    (secret,) = platform.world.kit.vault.kept.values()
    assert (secret.access_key_id, secret.secret_access_key) == ("AKIA", "s3cr")


def test_an_address_is_asked_for_before_the_platform_is(vera: Line) -> None:
    for kind, example in (("http", "https://"), ("s3", "s3://"), ("oci", "oci://")):
        result = vera("repos", "create", "stable", "--kind", kind)
        assert result.exit_code == 2
        assert "needs an address" in result.stderr
        assert f"--address {example}" in result.stderr
    result = vera("repos", "create", "stable", "--kind", "git", "--address", URL)
    assert result.exit_code == 2
    assert all(f"'{kind}'" in result.stderr for kind in ("platform", "s3", "http", "oci"))


def test_the_apps_of_a_private_repository_are_listed_by_its_name(vera: Line, source: FakeSource) -> None:
    source.packages.clear()
    source.packages["inside-0.1.0"] = archive.write(packages.scaffold("inside", "helm"), "inside")
    vera.json("repos", "create", "team", "--address", URL)
    names = lambda *options: [app["name"] for app in vera.json("apps", *options)["items"]]  # noqa: E731
    assert names("list", "--repo", "team") == ["inside"]
    assert "inside" not in names("list")
    assert "inside" in names("list", "--mine")
    assert names("search", "inside") == []
    assert names("search", "inside", "--mine") == ["inside"]
    assert vera.json("apps", "show", "inside")["type"] == "helm"
    assert "There is no repository 'nope'" in vera("apps", "list", "--repo", "nope").stderr


def test_a_repository_says_where_helm_finds_it(vera: Line, source: FakeSource) -> None:
    repo_id = vera.json("repos", "create", "team", "--address", URL)["repo_id"]
    assert f"/v1/repos/{repo_id}/charts" in vera("repos", "show", "team").stdout
