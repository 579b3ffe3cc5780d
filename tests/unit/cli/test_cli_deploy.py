"""From the store to a running cluster, its life, and the bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Line
from tests.unit.cli.platform import Platform

pytestmark = pytest.mark.usefixtures("store")


def deployed(line: Line, *args: str) -> Any:
    return line.json("deploy", "guestbook", *args)["cluster"]


def test_the_store_is_open_to_visitors(pitrix: Line) -> None:
    assert [app["name"] for app in pitrix.json("apps", "list")["items"]] == ["guestbook"]
    assert pitrix.json("apps", "search", "GUEST")["items"]
    assert "no such apps" in pitrix("apps", "search", "nothing-like-it").stdout
    shown = pitrix.json("apps", "show", "guestbook")
    assert shown["versions"][0]["status"] == "released"
    assert shown == pitrix.json("apps", "show", shown["app_id"])
    text = pitrix("apps", "show", "guestbook").stdout
    assert "VERSION" in text
    assert shown["versions"][0]["version_id"] in text
    result = pitrix("apps", "show", "nope")
    assert result.exit_code == 1
    assert "pitrix apps list" in result.stderr


def test_deploying_needs_a_login(pitrix: Line) -> None:
    assert pitrix("deploy", "guestbook").exit_code == 3


def test_a_deployment_with_answers_runs_to_its_end(alice: Line) -> None:
    result = alice("deploy", "guestbook", "--name", "book", "--set", "cluster.web.count=2")
    assert result.exit_code == 0, result.output
    assert "succeeded after" in result.stderr
    assert "http://127.0.12.2:8080/" in result.stdout
    # In a pipe: one line for each step, the last of them with the total.
    lines = [line for line in result.stderr.splitlines() if line.startswith("[")]
    total = len(lines)
    assert lines[-1].startswith(f"[{total}/{total}] ")
    cluster = alice.json("clusters", "show", "book")
    counts = {role["role"]: role["count"] for role in cluster["roles"]}
    assert counts["web"] == 2


def test_set_wins_over_the_file(alice: Line, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"cluster": {"web": {"count": 3, "memory": 1024}}}))
    cluster = deployed(alice, "--answers", str(file), "--set", "cluster.web.count=1")
    web = next(role for role in cluster["roles"] if role["role"] == "web")
    assert (web["count"], web["memory_mib"]) == (1, 1024)


@pytest.mark.parametrize(
    ("text", "message"), [("[]", "JSON object"), ("{", "not JSON"), (None, "cannot be read")]
)
def test_a_file_of_answers_that_cannot_be_read_is_named(
    alice: Line, tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "answers.json"
    if text is not None:
        file.write_text(text)
    result = alice("deploy", "guestbook", "--answers", str(file))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "answers.json" in result.stderr


def test_every_wrong_answer_is_named_and_nothing_is_deployed(alice: Line, platform: Platform) -> None:
    result = alice(
        "deploy", "guestbook", "--set", "cluster.web.count=99", "--set", "env.web.port=80",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "cluster.web.count" in result.stderr
    assert "env.web.port" in result.stderr
    result = alice("deploy", "guestbook", "--set", "cluster.web.cuont=2", "--set", "cluster.web.count=x")
    assert "cluster.web.cuont" in result.stderr
    assert "cluster.web.count" in result.stderr
    assert alice("deploy", "guestbook", "--set", "nonsense").exit_code == 2
    assert "POST /v1/clusters" not in platform.requests


def test_a_dry_run_shows_steps_and_price_and_does_nothing(alice: Line, platform: Platform) -> None:
    result = alice("deploy", "guestbook", "--dry-run", "--set", "cluster.web.count=2")
    assert result.exit_code == 0
    assert "LAYER" in result.stdout
    assert "an hour. Nothing was done." in result.stdout
    assert "POST /v1/clusters" not in platform.requests
    view = alice.json("deploy", "guestbook", "--dry-run")
    assert view["micros_per_hour_after"] > 0


def test_versions_and_runtimes_go_by_name(alice: Line) -> None:
    version = alice.json("apps", "show", "guestbook")["latest_version"]
    cluster = deployed(alice, "--version", version, "--runtime", "This laptop")
    assert cluster["version"] == version
    result = alice("deploy", "guestbook", "--version", "9.9.9")
    assert result.exit_code == 1
    assert f"there are: {version}" in result.stderr
    result = alice("deploy", "guestbook", "--runtime", "nope")
    assert result.exit_code == 1
    assert "pitrix runtimes list" in result.stderr
    assert "This laptop" in alice("runtimes", "list").stdout


def test_a_failed_deployment_ends_with_1_and_its_reason(alice: Line, platform: Platform) -> None:
    platform.failure = "web-1: init ended with exit code 1: disk full"
    result = alice("deploy", "guestbook")
    assert result.exit_code == 1
    assert "disk full" in result.stderr
    assert "Traceback" not in result.output


def test_not_waiting_tells_how_to_follow(alice: Line) -> None:
    begun = alice.json("deploy", "guestbook", "--no-wait")
    assert begun["job"]["status"] in ("pending", "running")
    view = alice.json("jobs", "watch", begun["job"]["job_id"])
    assert view["job"]["status"] == "succeeded"
    assert view["progress"]["done"] == view["progress"]["total"] > 0
    listed = alice.json("jobs", "list")["items"]
    assert [job["job_id"] for job in listed] == [begun["job"]["job_id"]]
    assert "succeeded" in alice("jobs", "show", begun["job"]["job_id"]).stdout


def test_watching_outlasts_a_platform_that_restarts(alice: Line, platform: Platform) -> None:
    begun = alice.json("deploy", "guestbook", "--no-wait")
    platform.away = 5
    assert alice("jobs", "watch", begun["job"]["job_id"]).exit_code == 0
    platform.away = 500
    assert alice("jobs", "watch", begun["job"]["job_id"]).exit_code == 4


def test_the_life_of_a_cluster(alice: Line, platform: Platform) -> None:
    cluster_id = deployed(alice, "--name", "book")["cluster_id"]
    assert [c["name"] for c in alice.json("clusters", "list")["items"]] == ["book"]
    assert "active" in alice("clusters", "list").stdout
    nodes = alice.json("clusters", "nodes", "book")["items"]
    assert {node["role"] for node in nodes} >= {"web", "store"}
    assert "127.0.12.2" in alice("clusters", "nodes", "book").stdout
    assert "http://127.0.12.2:8080/" in alice("clusters", "endpoints", "book").stdout
    assert "http://127.0.12.2:8080/" in alice("clusters", "show", "book").stdout
    view = alice.json("clusters", "stop", "book", "--dry-run")
    assert view["plan"]["layers"]
    assert alice.json("clusters", "stop", "book")["job"]["status"] == "succeeded"
    assert alice.json("clusters", "show", "book")["status"] == "stopped"
    result = alice("clusters", "stop", "book")
    assert result.exit_code == 1
    assert "stopped" in result.stderr
    assert alice.json("clusters", "start", "book", "--no-wait")["job"]["kind"] == "start"
    platform.world.run(alice.json("clusters", "show", "book")["job_id"])
    assert alice("clusters", "cease", "book").exit_code == 2  # nobody there to ask
    alice.interactive = True
    assert alice("clusters", "cease", "book", input="n\n").exit_code == 1
    assert alice("clusters", "cease", "book", input="y\n").exit_code == 0
    assert alice.json("clusters", "list")["items"] == []
    assert alice.json("clusters", "list", "--all")["items"][0]["status"] == "ceased"
    assert alice.json("clusters", "show", cluster_id)["status"] == "ceased"
    result = alice("clusters", "show", "book")
    assert result.exit_code == 1
    assert "pitrix clusters list" in result.stderr


def test_a_custom_service_runs_with_its_parameters(alice: Line, platform: Platform) -> None:
    deployed(alice, "--name", "book")
    result = alice("clusters", "run-service", "book", "no-such-service")
    assert result.exit_code == 1
    assert "no-such-service" in result.stderr
    assert alice("clusters", "run-service", "book", "x", "--param", "broken").exit_code == 2


def test_nobody_sees_anothers_cluster(alice: Line) -> None:
    cluster_id = deployed(alice, "--name", "book")["cluster_id"]
    alice.sign_in("bob")
    assert alice.json("clusters", "list")["items"] == []
    assert alice("clusters", "show", cluster_id).exit_code == 1


def test_the_bill_adds_up(alice: Line, platform: Platform) -> None:
    deployed(alice, "--name", "book", "--set", "cluster.web.count=2")
    platform.world.clock.advance(1800)
    invoice = alice.json("bill", "--period", "2026-11")
    assert invoice["lines"]
    assert invoice["total_micros"] == sum(line["amount_micros"] for line in invoice["lines"]) > 0
    assert invoice == alice.json("bill", "preview", "--period", "2026-11")
    text = alice("bill", "--period", "2026-11").stdout
    assert "SECONDS" in text
    assert "2026-11-01 00:00:00 to 2026-12-01 00:00:00 (UTC)" in text
    assert any(line.startswith("book ") for line in text.splitlines())
    assert text.splitlines()[-1].startswith("Total: ")
    report = alice.json("bill", "usage", "--from", "2026-11-01T00:00:00Z", "--to", "2026-12-01T00:00:00Z")
    assert report["total_micros"] == invoice["total_micros"]
    result = alice("bill", "--period", "november")
    assert result.exit_code == 1
    assert "period" in result.stderr


def test_interactive_answers_are_checked_one_by_one(alice: Line) -> None:
    alice.interactive = True
    # 22 questions or so: everything takes its default but the number of front ends, which is wrong at first.
    answers = "book\n\n" + "99\n2\n" + "\n" * 40
    result = alice("deploy", "guestbook", "--ask", "--dry-run", input=answers)
    assert result.exit_code == 0, result.output
    assert "20" in result.stderr  # what is allowed
    assert "Nothing was done." in result.stdout
