"""Deploying on every cloud that there is a target for, through the REST API and the same state machines.

Machines get real agents (``tests/clouds/guests.py``), charts go to a real API server, functions to what
stands for Lambda and Knative. Nothing is left of it when it is ceased, nor when it failed. The clouds do not
wait for each other: all that is :func:`side_by_side` begins when the platform is up.
"""

from __future__ import annotations

import functools
import os
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
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
MACHINES = ["openstack", "azure", "aws", "vmware", "qingcloud"]
FUNCTIONS = ["aws", "azure", "kubernetes"]
#: The platform is told the addresses of these when it starts; those of the others are in their credentials.
TOLD = {"aws", "azure", "qingcloud"}
CLOUDS = [*MACHINES, "kubernetes"]
#: More on two cores only makes each of them slower.
AT_ONCE = 6
VOLUME_GIB = 10
_CONNECTED_WITHIN_S = 90
_HELLO_WEB = Path(__file__).parents[2] / "infra" / "demo" / "hello-web"
_LISTED = {
    Capability.MACHINES: lambda cloud, tags: cloud.machines.list_machines(tags),
    Capability.VOLUMES: lambda cloud, tags: cloud.volumes.list_volumes(tags),
    Capability.NETWORKS: lambda cloud, tags: cloud.networks.list_networks(tags),
    Capability.SECURITY_GROUPS: lambda cloud, tags: cloud.security_groups.list_security_groups(tags),
    Capability.ADDRESSES: lambda cloud, tags: cloud.addresses.list_addresses(tags),
    Capability.RELEASES: lambda cloud, tags: cloud.releases.list_releases(tags),
    Capability.FUNCTIONS: lambda cloud, tags: cloud.functions.list_functions(tags),
}


class Clouds:
    """Clouds under test with guests for their machines, started side by side."""

    def __init__(self, names: set[str], folder: Path, running: ExitStack, crew: ThreadPoolExecutor) -> None:
        self.guests: dict[str, guests.Guests] = {}
        self._folder = folder
        self._running = running
        self._starting = {name: crew.submit(self._start, name) for name in CLOUDS if name in names}

    def _start(self, name: str) -> Target:
        place = self._folder / name
        (place / "guests").mkdir(parents=True)
        target = self._entered(targets.start(name)(place))
        if name in MACHINES:
            number = CLOUDS.index(name) + 1
            self.guests[name] = self._entered(guests.running(target, place / "guests", number))
        return target

    def _entered(self, what: AbstractContextManager[Any]) -> Any:
        return self._running.enter_context(what)

    def target(self, name: str) -> Target:
        """A cloud, once it has started; skips the test where it cannot be here, which CI does not allow."""
        try:
            return self._starting[name].result()
        except (Unavailable, KeyError) as error:
            if "CI" in os.environ:
                raise
            pytest.skip(f"{name}: {error}")

    def settings(self) -> list[str]:
        """What the platform is to be told about them, as options of ``infra/up``."""
        return [
            f"--cloud-setting={name}.{key}={value}"
            for name in sorted(TOLD & self._starting.keys())
            if self._starting[name].exception() is None
            for key, value in self._starting[name].result().account.settings.items()
            if key != "allowed_networks"  # as of all platforms under test
        ]


class Sky:
    """A platform of its own, and the clouds that it deploys to."""

    def __init__(self, platform: LocalPlatform, clouds: Clouds, crew: ThreadPoolExecutor) -> None:
        self.clouds = clouds
        self.user = ApiUser(platform.api_url, platform.passwords, "uma")
        self.vendor = ApiUser(platform.api_url, platform.passwords, "vera")
        self._crew = crew
        self._runtimes: dict[str, str] = {}
        self._alone: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._outcomes: dict[tuple[Callable[..., None], str], Future[None]] = {}

    def begin(self, scenario: Callable[..., None], name: str) -> Future[None]:
        """Begin a scenario in a cloud, or tell the one that has begun."""
        if (scenario, name) not in self._outcomes:
            self._outcomes[scenario, name] = self._crew.submit(scenario, self, name)
        return self._outcomes[scenario, name]

    def runtime(self, name: str) -> str:
        """The runtime of a cloud, connected as a user does it."""
        account = self.clouds.target(name).account
        body = {
            "name": f"{name}-{RUN}",
            "provider": name,
            "zone": account.zone,
            "credential": dict(account.credential),
        }
        with self._alone[name]:
            if name not in self._runtimes:
                # The first runtime of a cloud waits for its SDK to be installed.
                deadline = time.monotonic() + _CONNECTED_WITHIN_S
                while (answer := self.user.http.post("/runtimes", json=body)).status_code == 503:
                    assert time.monotonic() < deadline, answer.text
                    time.sleep(1)
                assert answer.status_code == 201, answer.text
                self._runtimes[name] = answer.json()["runtime_id"]
        return self._runtimes[name]

    def app(self, name: str, files: Callable[[str], dict[str, bytes]]) -> str:
        """The id of an app in the store, which a vendor pushes there when it is first asked for."""
        with self._alone["store"]:
            if not self.user.items("/apps", name=name):
                data = archive.write(files(name), name)
                assert self.vendor.upload(f"{name}-{RUN}.tgz", data)["outcome"] == "indexed"
            return str(self.user.app(name)["app_id"])

    def deploy(self, name: str, app_id: str, answers: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Plan, deploy and follow; the cluster's id and its job."""
        body = {"app_id": app_id, "runtime_id": self.runtime(name), "answers": answers}
        planned = self.user.call("POST", "/clusters:plan", body)
        begun = self.user.call("POST", "/clusters", body, status=202)
        view = self.user.follow(begun["job"]["job_id"], timeout_s=240)
        steps = [step["title"] for layer in planned["plan"]["layers"] for step in layer["steps"]]
        assert [step["title"] for step in view["steps"]][: len(steps)] == steps
        return begun["cluster"]["cluster_id"], view

    def cease(self, name: str, cluster_id: str) -> None:
        self.user.act(cluster_id, "cease")
        assert self.left(name, cluster_id) == []
        assert self.user.call("GET", f"/clusters/{cluster_id}")["status"] == "ceased"

    def left(self, name: str, cluster_id: str) -> list[str]:
        """What a cloud still has of a cluster."""
        target = self.clouds.target(name)
        cloud, found = target.connect(), []
        for capability, listed in _LISTED.items():
            if capability in cloud.capabilities() and capability.value not in target.lacks:
                found += [f"{capability}: {each}" for each in listed(cloud, {TAG_CLUSTER: cluster_id})]
        return found


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sky]:
    folder = tmp_path_factory.mktemp("sky")
    tests = [item for item in request.session.items if item.path == request.path]
    with ExitStack() as running, ThreadPoolExecutor(AT_ONCE) as crew:
        clouds = Clouds({test.callspec.params["name"] for test in tests}, folder, running, crew)
        platform = start(folder / "platform", options=clouds.settings())
        running.callback(platform.stop)
        made = Sky(platform, clouds, crew)
        for test in tests:
            made.begin(test.function.scenario, test.callspec.params["name"])
        yield made
        made.user.http.close()
        made.vendor.http.close()


def side_by_side(scenario: Callable[[Sky, str], None]) -> Callable[[Sky, str], None]:
    """A test of one cloud that goes on at the same time as all others: what pytest runs waits for its end."""

    @functools.wraps(scenario)
    def outcome(sky: Sky, name: str) -> None:
        sky.begin(scenario, name).result()

    outcome.scenario = scenario  # type: ignore[attr-defined]
    return outcome


# --- what is deployed --------------------------------------------------------------------------------------


def site(name: str, *changes: tuple[str, str]) -> dict[str, bytes]:
    """The demonstration hello-web under another name, with a volume and changes in its cluster's template."""
    files = {
        str(path.relative_to(_HELLO_WEB)): path.read_bytes()
        for path in _HELLO_WEB.rglob("*")
        if path.is_file()
    }
    template = files["cluster.json.tmpl"].decode()
    volume = f'"volume": {{"size": {VOLUME_GIB}, "mount_point": "/data"}}'
    for old, new in [('"role": "web"', f'"role": "web", {volume}'), *changes]:
        assert old in template
        template = template.replace(old, new)
    named = files["package.json"].replace(b'"hello-web"', f'"{name}"'.encode())
    return files | {"cluster.json.tmpl": template.encode(), "package.json": named}


def broken_site(name: str) -> dict[str, bytes]:
    """It never answers: its health check fails when machines, agents and services are there."""
    return site(name, ("python3 ctl.py start", "echo no luck >&2; exit 7"))


def chart(name: str) -> dict[str, bytes]:
    """The chart that vendors begin with, for the Kubernetes that can be built here, which is older."""
    files = packages.scaffold(name, "helm")
    lines = files["Chart.yaml"].splitlines(keepends=True)
    return files | {"Chart.yaml": b"".join(each for each in lines if not each.startswith(b"kubeVersion"))}


def greeter(name: str) -> dict[str, bytes]:
    """The functions that vendors begin with; what stands for Knative answers with the variable WORD."""
    files = packages.scaffold(name, "serverless")
    return {path: content.replace(b"GREETING", b"WORD") for path, content in files.items()}


# --- the tests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MACHINES)
@side_by_side
def test_machines(sky: Sky, name: str) -> None:
    target = sky.clouds.target(name)
    app_id = sky.app(f"site-{RUN}", site)
    cluster_id, view = sky.deploy(name, app_id, {"env": {"title": f"Hello from {name}"}})
    assert view["job"]["status"] == "succeeded", (view["job"]["error"], sky.clouds.guests[name].faults)
    nodes = {node["name"]: node for node in sky.user.items(f"/clusters/{cluster_id}/nodes")}
    assert all(node["private_ip"] for node in nodes.values())
    (volume,) = target.connect().volumes.list_volumes({TAG_CLUSTER: cluster_id})
    assert (volume.size_gib, volume.machine_id) == (VOLUME_GIB, nodes["web-1"]["machine_id"])
    (door,) = sky.user.items(f"/clusters/{cluster_id}/endpoints")
    assert door["host"] in (nodes["web-1"]["private_ip"], nodes["web-1"]["public_ip"])
    loopback = sky.clouds.guests[name].address(nodes["web-1"]["machine_id"])
    assert f"Hello from {name}" in httpx.get(f"http://{loopback}:{door['port']}/", timeout=10).text
    sky.cease(name, cluster_id)


@pytest.mark.parametrize("name", MACHINES)
@side_by_side
def test_a_deployment_that_fails_leaves_nothing(sky: Sky, name: str) -> None:
    sky.clouds.target(name)
    cluster_id, view = sky.deploy(name, sky.app(f"luckless-{RUN}", broken_site), {})
    assert view["job"]["status"] == "failed"
    assert "no luck" in view["job"]["error"]["message"], sky.clouds.guests[name].faults
    assert sky.left(name, cluster_id) == []


@pytest.mark.parametrize("name", ["kubernetes"])
@side_by_side
def test_a_chart(sky: Sky, name: str) -> None:
    app_id = sky.app(f"chart-{RUN}", chart)
    cluster_id, view = sky.deploy(name, app_id, {"replicas": 2})
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
    sky.cease(name, cluster_id)


@pytest.mark.parametrize("name", FUNCTIONS)
@side_by_side
def test_functions(sky: Sky, name: str) -> None:
    target = sky.clouds.target(name)
    target.need(Capability.FUNCTIONS)
    answers: dict[str, Any] = {"env": {"WORD": "Servus"}}
    if name == "kubernetes":
        answers["deploy"] = {"image_hello": "greeter:1", "image_tick": "greeter:1"}
    cluster_id, view = sky.deploy(name, sky.app(f"greeter-{RUN}", greeter), answers)
    assert view["job"]["status"] == "succeeded", view["job"]["error"]
    assert all(door["url"] for door in sky.user.items(f"/clusters/{cluster_id}/endpoints"))
    (made,) = target.connect().functions.list_functions({TAG_CLUSTER: cluster_id})
    answer = target.connect().functions.invoke_function(
        made.function_id, "hello", b'{"name": "Uma"}', timeout_s=30
    )
    assert (answer.error, b"Servus" in answer.payload) == ("", True), answer
    sky.cease(name, cluster_id)


@pytest.mark.parametrize("name", ["vmware"])
@side_by_side
def test_a_cloud_without_the_capability_is_refused_before_anything_is_made(sky: Sky, name: str) -> None:
    app_id = sky.app(f"chart-{RUN}", chart)
    body = {"app_id": app_id, "runtime_id": sky.runtime(name), "answers": {}}
    for route in ("/clusters:plan", "/clusters"):
        refused = sky.user.call("POST", route, body, status=422)
        assert refused["code"] == "capability_missing"
        assert "does not offer releases" in refused["detail"]
