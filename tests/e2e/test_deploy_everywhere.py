"""Deploying on every cloud that there is a target for, through the REST API and the same state machines.

Machines get real agents (``tests/clouds/guests.py``), charts go to a real API server, functions to what
stands for Lambda. Nothing of it is left when it is ceased, nor when it failed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from pitrix.packages import archive
from pitrix.packages import service as packages
from providers.base import TAG_CLUSTER, Capability
from tests.clouds import guests
from tests.contract.providers import targets
from tests.contract.providers.targets import Target, Unavailable
from tests.e2e.api import ApiUser, wait_for
from tests.local_platform import LocalPlatform, start

RUN = secrets.token_hex(3)
MACHINES = ["aws", "azure", "openstack", "qingcloud", "vmware"]
FUNCTIONS = ["aws"]
_CONNECTED_WITHIN_S = 90
_LISTED = {
    Capability.MACHINES: lambda cloud, tags: cloud.machines.list_machines(tags),
    Capability.VOLUMES: lambda cloud, tags: cloud.volumes.list_volumes(tags),
    Capability.NETWORKS: lambda cloud, tags: cloud.networks.list_networks(tags),
    Capability.SECURITY_GROUPS: lambda cloud, tags: cloud.security_groups.list_security_groups(tags),
    Capability.ADDRESSES: lambda cloud, tags: cloud.addresses.list_addresses(tags),
    Capability.RELEASES: lambda cloud, tags: cloud.releases.list_releases(tags),
    Capability.FUNCTIONS: lambda cloud, tags: cloud.functions.list_functions(tags),
}


@dataclass
class Sky:
    """A platform of its own and the clouds that it was told of; ``missing`` says why others are not here."""

    platform: LocalPlatform
    user: ApiUser
    vendor: ApiUser
    targets: dict[str, Target]
    guests: dict[str, guests.Guests]
    missing: dict[str, str]
    runtimes: dict[str, str] = field(default_factory=dict)

    def target(self, name: str) -> Target:
        if name in self.missing:
            pytest.skip(f"{name}: {self.missing[name]}")
        return self.targets[name]

    def runtime(self, name: str) -> str:
        """The runtime of a cloud, connected as a user does it."""
        target = self.target(name)
        if name not in self.runtimes:
            account = target.account
            body = {
                "name": f"{name}-{RUN}",
                "provider": name,
                "zone": account.zone,
                "credential": dict(account.credential),
            }
            # The first runtime of a cloud waits for its SDK to be installed.
            deadline = time.monotonic() + _CONNECTED_WITHIN_S
            while (answer := self.user.http.post("/runtimes", json=body)).status_code == 503:
                assert time.monotonic() < deadline, answer.text
                time.sleep(2)
            assert answer.status_code == 201, answer.text
            self.runtimes[name] = answer.json()["runtime_id"]
        return self.runtimes[name]

    def app(self, name: str, kind: str) -> str:
        """The id of an app of that kind in the store, pushed by a vendor."""
        if not self.user.items("/apps", name=name):
            files = packages.scaffold(name, kind)
            if "Chart.yaml" in files:  # it wants a newer Kubernetes than the one that can be built here
                lines = files["Chart.yaml"].splitlines(keepends=True)
                files["Chart.yaml"] = b"".join(x for x in lines if not x.startswith(b"kubeVersion"))
            data = archive.write(files, name)
            assert self.vendor.upload(f"{name}-{RUN}.tgz", data)["outcome"] == "indexed"
        return str(self.user.app(name)["app_id"])

    def left(self, name: str, cluster_id: str) -> list[str]:
        """What the cloud still has of a cluster."""
        cloud, found = self.targets[name].connect(), []
        for capability, listed in _LISTED.items():
            if capability in cloud.capabilities() and capability.value not in self.targets[name].lacks:
                found += [f"{capability}: {each}" for each in listed(cloud, {TAG_CLUSTER: cluster_id})]
        return found


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    folder = tmp_path_factory.mktemp("sky")
    started: dict[str, Target] = {}
    visitors: dict[str, guests.Guests] = {}
    missing: dict[str, str] = {}
    with ExitStack() as running:
        for number, name in enumerate([*MACHINES, "kubernetes"], start=1):
            place = folder / name
            place.mkdir()
            try:
                started[name] = running.enter_context(targets.start(name)(place))
            except (Unavailable, KeyError) as error:
                missing[name] = str(error)
                continue
            if name in MACHINES:
                (place / "guests").mkdir()
                visitors[name] = running.enter_context(
                    guests.running(started[name], place / "guests", number)
                )
        options = [
            f"--cloud-setting={name}.{key}={value}"
            for name, target in started.items()
            for key, value in target.account.settings.items()
            if key != "allowed_networks"
        ]
        platform = start(folder / "platform", options=options)
        running.callback(platform.stop)
        user = ApiUser(platform.api_url, platform.passwords, "uma")
        vendor = ApiUser(platform.api_url, platform.passwords, "vera")
        running.callback(user.http.close)
        running.callback(vendor.http.close)
        yield Sky(platform, user, vendor, started, visitors, missing)


def deploy(sky: Sky, name: str, app_id: str, answers: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Plan, deploy and follow; the cluster's id and its job."""
    body = {"app_id": app_id, "runtime_id": sky.runtime(name), "answers": answers}
    planned = sky.user.call("POST", "/clusters:plan", body)
    begun = sky.user.call("POST", "/clusters", body, status=202)
    view = sky.user.follow(begun["job"]["job_id"], timeout_s=240)
    cluster_id = begun["cluster"]["cluster_id"]
    steps = [step["title"] for layer in planned["plan"]["layers"] for step in layer["steps"]]
    assert [step["title"] for step in view["steps"]][: len(steps)] == steps
    return cluster_id, view


def cease(sky: Sky, name: str, cluster_id: str) -> None:
    sky.user.act(cluster_id, "cease")
    assert sky.left(name, cluster_id) == []
    assert sky.user.call("GET", f"/clusters/{cluster_id}")["status"] == "ceased"


@pytest.mark.parametrize("name", MACHINES)
def test_machines(sky: Sky, name: str) -> None:
    sky.target(name)
    app_id = sky.user.app("hello-web")["app_id"]
    cluster_id, view = deploy(sky, name, app_id, {"env": {"title": f"Hello from {name}"}})
    assert view["job"]["status"] == "succeeded", (view["job"]["error"], sky.guests[name].faults)
    nodes = {node["name"]: node for node in sky.user.items(f"/clusters/{cluster_id}/nodes")}
    assert all(node["private_ip"] for node in nodes.values())
    (door,) = sky.user.items(f"/clusters/{cluster_id}/endpoints")
    assert door["host"] in (nodes["web-1"]["private_ip"], nodes["web-1"]["public_ip"])
    loopback = next(at for made, at in sky.guests[name].addresses.items() if made.endswith("web-1"))
    assert f"Hello from {name}" in httpx.get(f"http://{loopback}:{door['port']}/", timeout=10).text
    cease(sky, name, cluster_id)


@pytest.mark.parametrize("name", MACHINES)
def test_a_deployment_that_fails_leaves_nothing(sky: Sky, name: str) -> None:
    """The application never answers: its health check fails after machines, agents and services are there."""
    sky.target(name)
    demo = Path(__file__).parents[2] / "infra" / "demo" / "hello-web"
    files = {str(path.relative_to(demo)): path.read_bytes() for path in demo.rglob("*") if path.is_file()}
    template = files["cluster.json.tmpl"].decode().replace("python3 ctl.py start", "echo no luck >&2; exit 7")
    files["cluster.json.tmpl"] = template.encode()
    files["package.json"] = files["package.json"].replace(b'"hello-web"', f'"luckless-{RUN}"'.encode())
    if not sky.user.items("/apps", name=f"luckless-{RUN}"):
        data = archive.write(files, f"luckless-{RUN}")
        assert sky.vendor.upload(f"luckless-{RUN}.tgz", data)["outcome"] == "indexed"
    cluster_id, view = deploy(sky, name, sky.user.app(f"luckless-{RUN}")["app_id"], {})
    assert view["job"]["status"] == "failed"
    assert "no luck" in view["job"]["error"]["message"], sky.guests[name].faults
    assert sky.left(name, cluster_id) == []


def test_a_chart(sky: Sky) -> None:
    sky.target("kubernetes")
    app_id = sky.app(f"site-{RUN}", "helm")
    cluster_id, view = deploy(sky, "kubernetes", app_id, {"replicas": 2})
    assert view["job"]["status"] == "succeeded", view["job"]["error"]
    nodes = sky.user.items(f"/clusters/{cluster_id}/nodes")
    assert [node["status"] for node in nodes] == ["active", "active"]
    assert sky.user.items(f"/clusters/{cluster_id}/endpoints")
    hour = sky.user.call("GET", f"/clusters/{cluster_id}")["micros_per_hour"]
    plan = sky.user.items("/price-plans")[0]
    events = wait_for(
        "usage events",
        lambda: [e for e in sky.user.items("/usage") if e["cluster_id"] == cluster_id],
    )
    by_hand = sum(
        round(
            sum(e["quantities"].get(charge["dimension"], 0) for e in events)
            * charge["unit_price_micros"]
            / charge["units"]
        )
        for charge in plan["charges"]
    )
    assert hour == by_hand > 0
    refused = sky.user.call("POST", f"/clusters/{cluster_id}/actions/stop", status=422)
    assert "it can cease" in refused["detail"]
    cease(sky, "kubernetes", cluster_id)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(sky: Sky, name: str) -> None:
    target = sky.target(name)
    if Capability.FUNCTIONS not in target.connect().capabilities() or "functions" in target.lacks:
        pytest.skip(f"{name}: {target.lacks.get('functions', 'its driver offers no functions')}")
    cluster_id, view = deploy(sky, name, sky.app(f"greeter-{RUN}", "serverless"), {})
    assert view["job"]["status"] == "succeeded", view["job"]["error"]
    cease(sky, name, cluster_id)


def test_a_cloud_without_the_capability_is_refused_before_anything_is_made(sky: Sky) -> None:
    name = next(iter(set(MACHINES) & set(sky.targets)))
    body = {"app_id": sky.app(f"site-{RUN}", "helm"), "runtime_id": sky.runtime(name), "answers": {}}
    for route in ("/clusters:plan", "/clusters"):
        refused = sky.user.call("POST", route, body, status=422)
        assert refused["code"] == "capability_missing"
        assert "does not offer releases" in refused["detail"]
