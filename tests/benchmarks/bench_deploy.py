"""From ``POST /v1/clusters`` to ``active`` on the local provider, for 3 and 20 nodes.

Measures seconds and transitions on a platform of its own, started by ``./infra/up``. The reference of the
large deployment is the small one of the same run; that of the small one is starting as many machines, and
one for the frontgate, at the hypervisor itself.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import providers
from infra.local.deploy import Cloud
from pitrix.clusters.model import StepKind
from providers.resources import Connection, MachineSpec, MachineStatus, NetworkSpec
from tests.benchmarks.figures import Figure
from tests.e2e.api import ApiUser
from tests.local_platform import LocalPlatform, start

SMALL, LARGE = 3, 20


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        platform = start(Path(folder) / "data")
        try:
            return _measure(platform)
        finally:
            platform.stop()


def _measure(platform: LocalPlatform) -> list[Figure]:
    user = ApiUser(platform.api_url, platform.passwords, "uma")
    try:
        _deploy(platform, user, SMALL)  # warms every function up
        bare_s = _machines_s(platform, SMALL)
        small_s, small_transitions = _deploy(platform, user, SMALL)
        large_s, large_transitions = _deploy(platform, user, LARGE)
    finally:
        user.http.close()
    small, large = f"deploy {SMALL} nodes", f"deploy {LARGE} nodes"
    bare = f"{SMALL + 1} bare machines at the hypervisor"
    return [
        Figure(name=small, value=small_s, unit="s", reference_name=bare, reference=bare_s),
        Figure(name=large, value=large_s, unit="s", reference_name=small, reference=small_s),
        Figure(
            name=large,
            value=large_transitions,
            unit="transitions",
            reference_name=small,
            reference=small_transitions,
        ),
    ]


def _deploy(platform: LocalPlatform, user: ApiUser, nodes: int) -> tuple[float, int]:
    """Return the seconds until a guestbook of so many nodes is active, and its state transitions."""
    body = {
        "app_id": user.app("guestbook")["app_id"],
        "runtime_id": user.runtime(),
        "answers": {"cluster": {"web": {"count": nodes - 1}}},
    }
    begun_at = time.perf_counter()
    begun = user.call("POST", "/clusters", body, status=202)
    view = user.follow(begun["job"]["job_id"], timeout_s=600)
    seconds = time.perf_counter() - begun_at
    assert view["job"]["status"] == "succeeded", view["job"]["error"]
    transitions = _transitions(platform, view)
    user.act(begun["cluster"]["cluster_id"], "cease")
    return seconds, transitions


def _transitions(platform: LocalPlatform, job: dict[str, Any]) -> int:
    """Return how many states the executions of a job entered, those of its plan included.

    The emulator's history has no entry of the states inside a map, but it has their tasks. What goes with
    them follows from ``run_plan.asl.yaml``: two states around each step, one that looks at each answer of the
    cloud, and one that waits before each further question to it.
    """
    client = Cloud(platform.port).client("stepfunctions")
    entered = tasks = tasks_outside = 0
    for execution in _executions(client, job["job"]["job_id"]):
        pages = client.get_paginator("get_execution_history").paginate(executionArn=execution)
        types = [event["type"] for page in pages for event in page["events"]]
        entered += sum(kind.endswith("StateEntered") for kind in types)
        tasks += types.count("TaskScheduled")
        tasks_outside += types.count("TaskStateEntered")
    by_agent = sum(StepKind(step["kind"]).by_agent for step in job["steps"])
    by_cloud = len(job["steps"]) - by_agent
    asked = tasks - tasks_outside - 2 * by_agent  # an agent's step is asked for and written down
    assert asked >= by_cloud, "the history has every task"
    return entered + 2 * len(job["steps"]) + 2 * by_agent + 2 * asked + (asked - by_cloud)


def _executions(client: Any, job_id: str) -> Iterator[str]:
    for machine in client.list_state_machines()["stateMachines"]:
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"])
        for page in pages:
            for execution in page["executions"]:
                described = client.describe_execution(executionArn=execution["executionArn"])
                if json.loads(described["input"]).get("job_id") == job_id:
                    yield execution["executionArn"]


def _machines_s(platform: LocalPlatform, nodes: int) -> float:
    """Return the seconds until so many machines and one more run, asked of the hypervisor directly."""
    token = (platform.data / "hypervisor.token").read_text().strip()
    port = json.loads((platform.data / "kept.json").read_text())["hypervisor_port"]
    credential = {"token": token, "endpoint": f"http://127.0.0.1:{port}"}
    cloud = providers.connect("local", Connection(zone="local", credential=credential))
    begun_at = time.perf_counter()
    network = cloud.networks.create_network(NetworkSpec(name="bench"), idempotency_key="bench")
    specs = [
        MachineSpec(
            name=f"bench-{number}",
            cpu=1,
            memory_mib=512,
            image="local",
            network_id=network.network_id,
            user_data="sleep 600",
        )
        for number in range(nodes + 1)
    ]
    made = [cloud.machines.create_machine(spec, idempotency_key=spec.name) for spec in specs]
    while any(
        cloud.machines.get_machine(machine.machine_id).status is not MachineStatus.RUNNING for machine in made
    ):
        time.sleep(0.05)
    seconds = time.perf_counter() - begun_at
    for machine in made:
        cloud.machines.delete_machine(machine.machine_id)
    return seconds
