"""The main job through the REST API alone: package, store, deployment, the running application, the bill.

And what must not happen: a failure that leaves something behind, a tenant who sees another's things, wrong
input that is not named.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

import providers
from infra.local.paths import ROOT
from pitrix.packages import archive
from pitrix.packages import service as packages
from providers.base import TAG_CLUSTER
from providers.resources import Connection
from tests.e2e.api import ApiUser, wait_for
from tests.local_platform import LocalPlatform

#: Names of this run, so that the tests can be run again on a platform that keeps running.
RUN = secrets.token_hex(3)
GUESTBOOK = ROOT / "infra" / "demo" / "guestbook"
TWO_WEBS = {"cluster": {"web": {"count": 2}}, "env": {"web": {"title": "Die Pächterliste 客人"}}}


SignIn = Callable[[str | None], ApiUser]


@pytest.fixture(scope="module")
def sign_in(platform: LocalPlatform) -> Iterator[SignIn]:
    users: list[ApiUser] = []

    def one(username: str | None) -> ApiUser:
        users.append(ApiUser(platform.api_url, platform.passwords, username))
        return users[-1]

    yield one
    for user in users:
        user.http.close()


@pytest.fixture(scope="module")
def uma(sign_in: SignIn) -> ApiUser:
    return sign_in("uma")


@pytest.fixture(scope="module")
def vera(sign_in: SignIn) -> ApiUser:
    return sign_in("vera")


def package(tmp_path: Path, name: str, **changed: Callable[[str], str]) -> bytes:
    """Return the guestbook under another name, with changes to some of its files (by stem)."""
    files = {
        path.relative_to(GUESTBOOK): path.read_bytes() for path in GUESTBOOK.rglob("*") if path.is_file()
    }
    for path, data in files.items():
        change = changed.get(path.name.split(".")[0], lambda text: text)
        if path.name == "package.json":
            described = json.loads(data) | {"name": name, "title": name}
            data = json.dumps(described).encode()
        target = tmp_path / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if b"\0" in data else change(data.decode()).encode())
    return packages.build(tmp_path / name)


def left_at_the_cloud(platform: LocalPlatform, cluster_id: str) -> list[str]:
    """Return the ids of everything of a cluster that the hypervisor still has."""
    token = (platform.data / "hypervisor.token").read_text().strip()
    port = json.loads((platform.data / "kept.json").read_text())["hypervisor_port"]
    credential = {"token": token, "endpoint": f"http://127.0.0.1:{port}"}
    cloud = providers.connect("local", Connection(zone="local", credential=credential))
    tags = {TAG_CLUSTER: cluster_id}
    return [
        *(machine.machine_id for machine in cloud.machines.list_machines(tags)),
        *(volume.volume_id for volume in cloud.volumes.list_volumes(tags)),
        *(network.network_id for network in cloud.networks.list_networks(tags)),
    ]


def deploy(user: ApiUser, app_id: str, answers: Any, **more: Any) -> dict[str, Any]:
    body = {"app_id": app_id, "runtime_id": user.runtime(), "answers": answers, **more}
    begun: dict[str, Any] = user.call("POST", "/clusters", body, status=202)
    return begun


def test_from_package_to_bill(
    platform: LocalPlatform, uma: ApiUser, vera: ApiUser, sign_in: SignIn, tmp_path: Path
) -> None:
    # A vendor uploads a package; it appears in the store, for everybody.
    event = vera.upload(f"visitors-{RUN}.tgz", package(tmp_path, f"visitors-{RUN}"))
    assert event["outcome"] == "indexed", event
    visitor = sign_in(None)
    app = visitor.app(f"visitors-{RUN}")
    form = visitor.call(
        "GET", f"/apps/{app['app_id']}/versions/{app['latest_version_id']}/form", locale="zh-cn"
    )
    assert any(re.search("[一-鿿]", group["label"]) for group in form["groups"])

    # Somebody else sees what it would do and cost, and deploys it with two front ends.
    request = {"app_id": app["app_id"], "runtime_id": uma.runtime(), "answers": TWO_WEBS}
    preview = uma.call("POST", "/clusters:plan", request)
    begun = uma.call("POST", "/clusters", request, status=202)
    cluster_id = begun["cluster"]["cluster_id"]
    view = uma.follow(begun["job"]["job_id"])
    assert view["job"]["status"] == "succeeded", view["job"]["error"]
    assert len(view["steps"]) == sum(len(layer["steps"]) for layer in preview["plan"]["layers"])
    assert view["progress"] == {"done": len(view["steps"]), "total": len(view["steps"])}

    # The application answers: what is written through one front end is read through the other.
    urls = [door["url"] for door in uma.items(f"/clusters/{cluster_id}/endpoints")]
    assert len(urls) == 2
    assert "Die Pächterliste 客人" in httpx.get(urls[0]).text
    written = httpx.post(
        f"{urls[0]}messages", data={"name": "Ann", "text": "Grüße 你好"}, follow_redirects=True
    )
    assert written.status_code == 200, written.text
    wait_for("the message on the other node", lambda: "Grüße 你好" in httpx.get(urls[1]).text)

    # A custom service of the package does what it says.
    uma.act(cluster_id, "run-service", {"service": "wipe", "role": "store", "params": {"keep": 0}})
    wait_for("the wiped message", lambda: "Grüße 你好" not in httpx.get(urls[1]).text, timeout_s=15)

    # It stops and ceases; nothing stays at the cloud.
    uma.act(cluster_id, "stop")
    with pytest.raises(httpx.TransportError):
        httpx.get(urls[0], timeout=3)
    uma.act(cluster_id, "cease")
    assert left_at_the_cloud(platform, cluster_id) == []
    assert uma.call("GET", f"/clusters/{cluster_id}")["status"] == "ceased"

    # The bill is price x seconds.
    check_the_bill(uma, cluster_id, preview["micros_per_hour_after"], view["job"]["finished_at"])


def check_the_bill(user: ApiUser, cluster_id: str, quoted: int, active_at: str) -> None:
    """Compute the bill of a cluster by hand, from the events of its life and the price plan, and compare."""
    events = wait_for("the usage events", lambda: _events(user, cluster_id))
    plan = user.items("/price-plans")[0]
    first = min(datetime.fromisoformat(event["at"]) for event in events)
    assert abs((datetime.fromisoformat(active_at) - first).total_seconds()) < 5
    invoice = user.call("POST", "/invoices:preview", {"period": first.strftime("%Y-%m")})
    lines = {line["charge"]: line for line in invoice["lines"] if line["cluster_id"] == cluster_id}
    expected = {charge["key"]: _by_hand(events, charge) for charge in plan["charges"]}
    assert {key: line["amount_micros"] for key, line in lines.items()} == {
        key: amount for key, (_, amount) in expected.items() if key in lines
    }
    assert {key for key, (seconds, _) in expected.items() if seconds} == set(lines)
    assert {key: line["seconds"] for key, line in lines.items()} == {
        key: seconds for key, (seconds, _) in expected.items() if key in lines
    }
    assert quoted > 0
    hour = {
        charge["key"]: sum(
            Fraction(event["quantities"].get(charge["dimension"], 0)) * charge["unit_price_micros"]
            / charge["units"]
            for event in events
            if event["kind"] == "start" and datetime.fromisoformat(event["at"]) == first
        )
        for charge in plan["charges"]
    }  # fmt: skip
    assert quoted == sum(round(amount) for amount in hour.values())


def _events(user: ApiUser, cluster_id: str) -> list[dict[str, Any]] | None:
    """Return the cluster's usage events once the last stop has arrived through the queue."""
    events = [event for event in user.items("/usage") if event["cluster_id"] == cluster_id]
    last = {event["node_id"]: event["kind"] for event in sorted(events, key=lambda e: e["at"])}
    return events if last and set(last.values()) == {"stop"} else None


def _by_hand(events: list[dict[str, Any]], charge: dict[str, Any]) -> tuple[int, int]:
    """Return (running seconds, amount in micros) of one charge, node by node and second by second."""
    seconds, amount = 0, Fraction(0)
    for node_id in {event["node_id"] for event in events}:
        life = sorted((e for e in events if e["node_id"] == node_id), key=lambda e: (e["at"], e["kind"]))
        for event, following in pairwise(life):
            quantity = event["quantities"].get(charge["dimension"], 0) if event["kind"] == "start" else 0
            duration = _second(following["at"]) - _second(event["at"])
            if quantity:
                seconds += duration
                price = Fraction(charge["unit_price_micros"], charge["units"] * charge["seconds"])
                amount += quantity * duration * price
    return seconds, round(amount)  # half to even, as the bill rounds


def _second(at: str) -> int:
    return math.floor(datetime.fromisoformat(at).timestamp())


# --- failure -----------------------------------------------------------------------------------------------


def test_a_command_that_fails_ends_the_deployment_and_leaves_nothing(
    platform: LocalPlatform, uma: ApiUser, vera: ApiUser, tmp_path: Path
) -> None:
    broken = package(
        tmp_path,
        f"broken-{RUN}",
        cluster=lambda text: text.replace("python3 ctl.py start", "echo the disk is on fire >&2; exit 1"),
    )
    assert vera.upload(f"broken-{RUN}.tgz", broken)["outcome"] == "indexed"
    begun = deploy(uma, uma.app(f"broken-{RUN}")["app_id"], {})
    view = uma.follow(begun["job"]["job_id"])
    assert view["job"]["status"] == "failed"
    assert "the disk is on fire" in view["job"]["error"]["message"]
    cluster_id = begun["cluster"]["cluster_id"]
    assert uma.call("GET", f"/clusters/{cluster_id}")["status"] == "failed"
    assert left_at_the_cloud(platform, cluster_id) == []
    assert [e for e in uma.items("/usage") if e["cluster_id"] == cluster_id] == []


def test_a_machine_that_the_cloud_refuses_ends_the_deployment_and_leaves_nothing(
    platform: LocalPlatform, uma: ApiUser, vera: ApiUser, tmp_path: Path
) -> None:
    """A GPU is nothing that a plan is held against: the cloud says no when the network is made already."""
    shiny = package(
        tmp_path,
        f"shiny-{RUN}",
        cluster=lambda text: text.replace('"{{.cluster.web.memory}}"', '"{{.cluster.web.memory}}", "gpu": 1'),
    )
    assert vera.upload(f"shiny-{RUN}.tgz", shiny)["outcome"] == "indexed"
    begun = deploy(uma, uma.app(f"shiny-{RUN}")["app_id"], {})
    view = uma.follow(begun["job"]["job_id"])
    assert view["job"]["status"] == "failed"
    assert "GPUs cannot be given" in view["job"]["error"]["message"]
    assert any(s["kind"] == "create_network" and s["status"] == "succeeded" for s in view["steps"])
    assert left_at_the_cloud(platform, begun["cluster"]["cluster_id"]) == []


def test_what_the_account_has_no_room_for_is_said_in_the_plan_and_not_begun(
    uma: ApiUser, vera: ApiUser, tmp_path: Path
) -> None:
    """The hypervisor has a quota: machines of 96 GiB are more than it gives."""
    greedy = package(
        tmp_path,
        f"greedy-{RUN}",
        cluster=lambda text: text.replace('"{{.cluster.web.memory}}"', "98304"),
    )
    assert vera.upload(f"greedy-{RUN}.tgz", greedy)["outcome"] == "indexed"
    request = {
        "app_id": uma.app(f"greedy-{RUN}")["app_id"],
        "runtime_id": uma.runtime(),
        "answers": {"cluster": {"web": {"count": 2}}},
    }
    notes = uma.call("POST", "/clusters:plan", request)["plan"]["notes"]
    assert any("of memory, and the account has" in note for note in notes), notes
    before = len(uma.items("/clusters"))
    refused = uma.call("POST", "/clusters", request, status=422)
    assert (refused["code"], refused["detail"] in notes) == ("quota_exceeded", True)
    assert len(uma.items("/clusters")) == before


def test_a_deployment_that_is_cancelled_leaves_nothing(platform: LocalPlatform, uma: ApiUser) -> None:
    begun = deploy(uma, uma.app("hello-web")["app_id"], {})
    uma.call("POST", f"/jobs/{begun['job']['job_id']}/actions/cancel", status=202)
    assert uma.follow(begun["job"]["job_id"])["job"]["status"] == "cancelled"
    assert left_at_the_cloud(platform, begun["cluster"]["cluster_id"]) == []


# --- wrong input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("truncated", lambda data: data[: len(data) // 2], "archive"),
        ("no-archive", lambda data: b"this is no archive at all", "archive"),
    ],
)
def test_a_broken_archive_leaves_an_event_and_changes_nothing_else(
    vera: ApiUser, tmp_path: Path, name: str, damage: Callable[[bytes], bytes], words: str
) -> None:
    before = {app["name"] for app in vera.items("/apps")}
    event = vera.upload(f"{name}-1.0.0.tgz", damage(package(tmp_path, name)))
    assert event["outcome"] == "refused"
    assert words in json.dumps(event).lower()
    assert {app["name"] for app in vera.items("/apps")} == before


def test_a_template_that_does_not_parse_is_named_with_file_and_line(vera: ApiUser, tmp_path: Path) -> None:
    good = package(tmp_path, "untied")
    assert good
    template = tmp_path / "untied" / "cluster.json.tmpl"
    template.write_text(template.read_text().replace('"{{.cluster.web.cpu}}"', '"{{.cluster.web.cpu"'))
    files = {
        str(path.relative_to(tmp_path / "untied")): path.read_bytes()
        for path in (tmp_path / "untied").rglob("*")
        if path.is_file()
    }
    event = vera.upload("untied-1.0.0.tgz", archive.write(files, "untied"))
    assert event["outcome"] == "refused"
    found = event["problems"][0]
    assert (found["file"], found["line"] > 0) == ("cluster.json.tmpl", True)


def problem(answer: Any, *fields: str) -> None:
    """Check that an answer is a problem document that names the fields."""
    assert answer["type"].startswith("urn:pitrix:error:"), answer
    assert set(fields) <= {error["field"] for error in answer.get("errors", [])}, answer


def test_wrong_requests_are_named(uma: ApiUser) -> None:
    app_id, runtime_id = uma.app("guestbook")["app_id"], uma.runtime()
    good = {"app_id": app_id, "runtime_id": runtime_id}
    problem(uma.call("POST", "/clusters", {**good, "colour": "red"}, status=400), "colour")
    out_of_range = {**good, "answers": {"cluster": {"web": {"count": 99, "cpu": 3}, "typo": 1}}}
    problem(
        uma.call("POST", "/clusters", out_of_range, status=400),
        "cluster.web.count", "cluster.web.cpu", "cluster.typo",
    )  # fmt: skip
    problem(uma.call("POST", "/clusters", {**good, "runtime_id": "rt_nobody"}, status=404))
    problem(uma.call("GET", "/apps", status=400, limit=0), "limit")
    problem(uma.call("POST", "/invoices:preview", {"period": "2026-13"}, status=400), "period")


def test_a_cursor_of_another_list_is_refused(uma: ApiUser) -> None:
    cursor = uma.call("GET", "/apps", limit=1)["next_cursor"]
    assert cursor
    problem(uma.call("GET", "/jobs", status=400, cursor=cursor), "cursor")
    problem(uma.call("GET", "/apps", status=400, cursor=cursor, sort="name"), "cursor")
    problem(uma.call("GET", "/apps", status=400, cursor="rubbish"), "cursor")


def test_every_route_but_the_public_store_needs_a_token(sign_in: SignIn) -> None:
    visitor = sign_in(None)
    assert visitor.call("GET", "/apps")["items"]
    for path in ("/clusters", "/jobs", "/runtimes", "/repos", "/usage", "/me", "/users"):
        problem(visitor.call("GET", path, status=401))
    visitor.http.headers["Authorization"] = "Bearer not-a-token"
    for path in ("/clusters", "/apps"):
        problem(visitor.call("GET", path, status=401))


def test_a_route_that_does_not_exist_is_a_problem_document(uma: ApiUser) -> None:
    problem(uma.call("GET", "/nonsense", status=404))


def test_no_tenant_sees_anothers_things(uma: ApiUser, sign_in: SignIn) -> None:
    cluster_id = uma.items("/clusters")[0]["cluster_id"]
    job_id = uma.items("/jobs")[0]["job_id"]
    for name in ("dev", "vera"):
        other = sign_in(name)
        assert cluster_id not in {cluster["cluster_id"] for cluster in other.items("/clusters")}
        assert job_id not in {job["job_id"] for job in other.items("/jobs")}
        for method, path in (
            ("GET", f"/clusters/{cluster_id}"),
            ("GET", f"/clusters/{cluster_id}/nodes"),
            ("GET", f"/jobs/{job_id}"),
            ("POST", f"/clusters/{cluster_id}/actions/cease"),
        ):
            problem(other.call(method, path, status=404))
        assert not {e["cluster_id"] for e in other.items("/usage")} & {cluster_id}


def test_an_order_that_is_sent_twice_is_carried_out_once(uma: ApiUser) -> None:
    uma.http.headers["Idempotency-Key"] = f"order-{RUN}"
    try:
        body = {"app_id": uma.app("cron-clock")["app_id"], "runtime_id": uma.runtime(), "answers": {}}
        first = uma.call("POST", "/clusters", body, status=202)
        again = uma.call("POST", "/clusters", body, status=202)
    finally:
        del uma.http.headers["Idempotency-Key"]
    assert again["cluster"]["cluster_id"] == first["cluster"]["cluster_id"]
    assert uma.follow(first["job"]["job_id"])["job"]["status"] == "succeeded"
    uma.act(first["cluster"]["cluster_id"], "cease")
