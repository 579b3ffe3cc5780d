"""Clouds: how many calls a machine takes, many machines at once, and what a driver costs at import.

On the targets of the contract tests (``tests/contract/providers/targets``), those that are there. Each figure
stands beside its reference from the same run: calls beside the least that a cloud can do with, many machines
beside the bare SDK doing the same with the same patience, a driver beside the import of its SDK.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import providers
from providers.base import Capability, smallest_type
from providers.resources import MachineStatus
from tests.benchmarks.figures import Figure, import_times_s
from tests.contract.providers import targets
from tests.contract.providers.bench import Bench, eventually
from tests.contract.providers.targets import Target, Unavailable

ROOT = Path(__file__).resolve().parents[2]
MACHINES = 50
AT_ONCE = 20  # as many steps as the state machine of a job takes at once (stepfunctions/run_plan.asl.yaml)
POLL_S = 0.3
ROUNDS = 5

SDKS = {
    "aws": "import boto3",
    "azure": "import azure.identity, azure.mgmt.compute, azure.mgmt.network",
    "kubernetes": "import kubernetes",
    "openstack": "import openstack",
    "qingcloud": "import qingcloud.iaas",
    "vmware": "import pyVmomi, pyVim.connect",
}


def run(options: str = "") -> list[Figure]:
    """Measure; ``options`` are names of clouds, with commas, to be content with."""
    wanted = options.split(",") if options else providers.names()
    figures = []
    for name in wanted:
        with ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            try:
                target = running.enter_context(targets.start(name)(folder))
            except Unavailable as why:
                print(f"  {name}: {why}")
                continue
            if Capability.MACHINES in providers.get(name).capabilities():
                figures += _calls(target)
            if name in BARE:
                figures.append(_many(target, BARE[name]))
    return figures + _imports([name for name in wanted if name in SDKS])


def _calls(target: Target) -> list[Figure]:
    """Calls of a machine's creation, of a look at it, and of its deletion."""
    with target.interposed() as (provider, between):
        bench = Bench(target, provider)
        spec = bench.machine_spec()

        def counted(call: Callable[[], Any]) -> tuple[int, Any]:
            before = len(between.asked)
            result = call()
            return len(between.asked) - before, result

        machines = provider.machines
        key = bench.key("machine")
        made, machine = counted(lambda: machines.create_machine(spec, idempotency_key=key))
        bench.settled(machine.machine_id, MachineStatus.RUNNING)
        looked, _ = counted(lambda: machines.get_machine(machine.machine_id))
        deleted, _ = counted(lambda: machines.delete_machine(machine.machine_id))
        bench.sweep()
    return [
        Figure(
            name=f"{target.name}: {what}",
            value=calls,
            unit="calls",
            reference_name="least possible",
            reference=1,
        )
        for what, calls in {"create": made, "look at": looked, "delete": deleted}.items()
    ]


def _many(target: Target, bare: Callable[[Bench], Callable[[int], None]]) -> Figure:
    """Fifty machines, created side by side and waited for; then the same with the bare SDK."""

    def timed(one: Callable[[int], None]) -> float:
        begun = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as callers:
            list(callers.map(one, range(MACHINES)))
        return time.perf_counter() - begun

    ours, theirs = Bench(target), Bench(target)
    spec = ours.machine_spec()

    def create(number: int) -> None:
        machines = target.connect().machines
        machine = machines.create_machine(spec, idempotency_key=ours.key(f"m{number}"))
        while machine.status is MachineStatus.PENDING:
            time.sleep(POLL_S)
            machine = machines.get_machine(machine.machine_id)
        assert machine.status is MachineStatus.RUNNING, machine.reason

    seconds = timed(create)
    eventually(lambda: _swept(ours), bool, within_s=120)
    reference = timed(bare(theirs))
    theirs.sweep()
    return Figure(
        name=f"{target.name}: {MACHINES} machines at once",
        value=seconds,
        unit="s",
        reference_name="the bare SDK",
        reference=reference,
    )


def _swept(bench: Bench) -> bool:
    bench.sweep()
    return True


def _imports(names: list[str]) -> list[Figure]:
    folders = (str(ROOT / "layers" / "core"), str(ROOT))
    statements: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name in names:
        statements[name] = (f"import providers; providers.get({name!r})", folders)
        statements[f"{name} sdk"] = (SDKS[name], ())
    times = import_times_s(statements, rounds=ROUNDS)
    return [
        Figure(
            name=f"load the driver of {name}",
            value=times[name] * 1000,
            unit="ms",
            reference_name=SDKS[name].split(",")[0],
            reference=times[f"{name} sdk"] * 1000,
        )
        for name in names
    ]


# --- the bare SDKs -----------------------------------------------------------------------------------------


def _bare_aws(bench: Bench) -> Callable[[int], None]:
    import boto3

    account, spec = bench.target.account, bench.machine_spec()

    def client() -> Any:
        return boto3.client(
            "ec2",
            region_name=account.zone[:-1],
            endpoint_url=account.settings["endpoint"],
            aws_access_key_id=account.credential["access_key_id"],
            aws_secret_access_key=account.credential["secret_access_key"],
        )

    network = [{"Name": "vpc-id", "Values": [spec.network_id]}]
    subnet = client().describe_subnets(Filters=network)["Subnets"][0]["SubnetId"]
    tags = [{"Key": key, "Value": value} for key, value in bench.tags.items()]

    def create(number: int) -> None:
        ec2 = client()
        made = ec2.run_instances(
            ImageId=spec.image,
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )["Instances"][0]["InstanceId"]
        while True:
            [found] = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"]
            if found["State"]["Name"] == "running":
                return
            time.sleep(POLL_S)

    return create


def _bare_openstack(bench: Bench) -> Callable[[int], None]:
    import openstack

    account, spec = bench.target.account, bench.machine_spec()
    size = smallest_type(bench.provider.machines.machine_types(), cpu=spec.cpu, memory_mib=spec.memory_mib)
    metadata = dict(bench.tags)

    def create(number: int) -> None:
        cloud = openstack.connect(
            auth_type="v3applicationcredential",
            auth={name: value for name, value in account.credential.items() if name != "method"},
            identity_api_version="3",
            region_name=account.credential.get("region_name"),
        )
        made = cloud.compute.create_server(
            name=f"bare-{number}",
            image_id=spec.image,
            flavor_id=size.machine_type,
            networks=[{"uuid": spec.network_id}],
            metadata=metadata,
        )
        while (found := cloud.compute.get_server(made.id)).status != "ACTIVE":
            assert found.status != "ERROR", found.fault
            time.sleep(POLL_S)

    return create


#: By provider, what makes the function that creates one machine with the SDK alone and waits for it.
BARE: dict[str, Callable[[Bench], Callable[[int], None]]] = {
    "aws": _bare_aws,
    "openstack": _bare_openstack,
}
