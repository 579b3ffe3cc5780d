"""A small world in memory that clusters live in: a cloud, agents that answer, a runner of plans.

The cloud keeps the promises of ``providers/base.py`` that the executor relies on (idempotent by key, deleting
what is gone succeeds, everything is found by its tags); the real ones are tested in
``tests/contract/providers`` and end to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from pitrix.billing.model import Quote, UsageEvent
from pitrix.clock import FixedClock
from pitrix.clusters.dynamo import DynamoClusters
from pitrix.clusters.execution import Executor
from pitrix.clusters.lifecycle import JobClosing
from pitrix.clusters.model import Job, JobKind
from pitrix.clusters.requests import DeployRequest
from pitrix.clusters.service import ClusterService
from pitrix.clusters.sweeping import Sweeper
from pitrix.errors import JobCancelled, NotFound, PitrixError, ResourceNotFound, StepFailed
from pitrix.events import NullBus
from pitrix.identity.model import Principal
from pitrix.packages import service as packages
from pitrix.repos.model import Repo
from pitrix.table import MemoryTable
from providers.resources import (
    Image,
    Machine,
    MachineSpec,
    MachineStatus,
    Network,
    NetworkSpec,
    Volume,
    VolumeSpec,
    VolumeStatus,
)

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
UMA = Principal(user_id="usr_uma", username="uma", role="user", owner_path=":acme:uma:")
EVE = Principal(user_id="usr_eve", username="eve", role="user", owner_path=":evil:")


class MemoryCloud:
    """Machines, volumes and networks in dictionaries; ``broken_images``-like faults are set by the test."""

    def __init__(self) -> None:
        self.machines_by_key: dict[str, Machine] = {}
        self.volumes_by_key: dict[str, Volume] = {}
        self.networks_by_key: dict[str, Network] = {}
        self.specs: dict[str, MachineSpec] = {}
        self.broken: set[str] = set()
        self.dies_after_start: set[str] = set()
        self.lose_answer_of: set[str] = set()
        self.refuse_to_delete: list[PitrixError] = []

    @property
    def machines(self) -> MemoryCloud:
        return self

    volumes = networks = machines

    @property
    def everything(self) -> list[str]:
        return [*self.machines_by_key, *self.volumes_by_key, *self.networks_by_key]

    def machine_images(self) -> list[Image]:
        return [Image(image_id="local", name="local")]

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        if idempotency_key not in self.machines_by_key:
            number = len(self.machines_by_key) + 1
            failed = any(name in spec.name for name in self.broken)
            self.specs[idempotency_key] = spec
            self.machines_by_key[idempotency_key] = Machine(
                machine_id=f"m-{number}",
                name=spec.name,
                status=MachineStatus.ERROR if failed else MachineStatus.PENDING,
                reason="no host has room for it" if failed else "",
                cpu=spec.cpu,
                memory_mib=spec.memory_mib,
                image=spec.image,
                network_id=spec.network_id,
                created_at=START,
                private_ip=f"10.0.0.{number}",
                tags=spec.tags,
            )
            if any(name in spec.name for name in self.lose_answer_of):
                raise ConnectionError("the answer was lost")
        return self.machines_by_key[idempotency_key]

    def _machine(self, machine_id: str) -> tuple[str, Machine]:
        for key, machine in self.machines_by_key.items():
            if machine.machine_id == machine_id:
                return key, machine
        raise ResourceNotFound(f"There is no machine {machine_id}.")

    def get_machine(self, machine_id: str) -> Machine:
        key, machine = self._machine(machine_id)
        if machine.status is MachineStatus.PENDING:
            self.machines_by_key[key] = replace(machine, status=MachineStatus.RUNNING)
        elif any(name in machine.name for name in self.dies_after_start):
            return replace(machine, status=MachineStatus.ERROR, reason="its boot script ended with 1")
        return self.machines_by_key[key]

    def start_machine(self, machine_id: str) -> Machine:
        return self._set(machine_id, MachineStatus.RUNNING)

    def stop_machine(self, machine_id: str) -> Machine:
        return self._set(machine_id, MachineStatus.STOPPED)

    def _set(self, machine_id: str, status: MachineStatus) -> Machine:
        key, machine = self._machine(machine_id)
        self.machines_by_key[key] = replace(machine, status=status)
        return self.machines_by_key[key]

    def delete_machine(self, machine_id: str) -> None:
        if self.refuse_to_delete:
            raise self.refuse_to_delete.pop()
        self.machines_by_key = {
            key: m for key, m in self.machines_by_key.items() if m.machine_id != machine_id
        }

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        return [m for m in self.machines_by_key.values() if tags.items() <= dict(m.tags).items()]

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        made = Volume(
            volume_id=f"v-{len(self.volumes_by_key) + 1}",
            name=spec.name,
            status=VolumeStatus.AVAILABLE,
            size_gib=spec.size_gib,
            created_at=START,
            tags=spec.tags,
        )
        return self.volumes_by_key.setdefault(idempotency_key, made)

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return [v for v in self.volumes_by_key.values() if tags.items() <= dict(v.tags).items()]

    def delete_volume(self, volume_id: str) -> None:
        self.volumes_by_key = {k: v for k, v in self.volumes_by_key.items() if v.volume_id != volume_id}

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        made = Network(network_id="n-1", name=spec.name, cidr="10.0.0.0/24", created_at=START, tags=spec.tags)
        return self.networks_by_key.setdefault(idempotency_key, made)

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return [n for n in self.networks_by_key.values() if tags.items() <= dict(n.tags).items()]

    def delete_network(self, network_id: str) -> None:
        self.networks_by_key = {k: n for k, n in self.networks_by_key.items() if n.network_id != network_id}


@dataclass
class Agents:
    """Agents that register at once and succeed, but for the commands named in ``failing``."""

    callbacks: Callbacks
    known: dict[str, SimpleNamespace] = field(default_factory=dict)
    ran: list[tuple[str, str]] = field(default_factory=list)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)

    def enroll(self, cluster_id: str, node_id: str, role: str, **options: Any) -> SimpleNamespace:
        agent = SimpleNamespace(
            agent_id=f"agt_{node_id}", node_id=node_id, cluster_id=cluster_id, name=options["name"]
        )
        self.known.setdefault(agent.agent_id, agent)
        return SimpleNamespace(agent_id=agent.agent_id, token="t", user_data=f"agent of {role}")

    def agents(self, cluster_id: str) -> list[Any]:
        return [
            SimpleNamespace(**vars(agent), connected=agent.name not in self.away)
            for agent in self.known.values()
            if agent.cluster_id == cluster_id
        ]

    def await_agent(self, agent_id: str, *, task_token: str, deadline: datetime) -> None:
        if self.known[agent_id].name in self.away:
            self.callbacks.fail(task_token, "AgentUnreachable", "its agent never registered")
        else:
            self.callbacks.succeed(task_token, {"agent_id": agent_id})

    def put_metadata(self, cluster_id: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self.metadata.update(documents)

    def run_command(self, agent_id: str, *, task_token: str, name: str = "", **command: Any) -> None:
        self.ran.append((self.known[agent_id].name, command.get("cmd") or name))
        if name in self.failing:
            self.callbacks.fail(task_token, "CommandFailed", self.failing[name])
        else:
            self.callbacks.succeed(task_token, {"exit_code": 0})

    def forget(self, cluster_id: str, node_id: str | None = None) -> None:
        self.known = {k: a for k, a in self.known.items() if a.cluster_id != cluster_id}


@dataclass
class Callbacks:
    answers: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> None:
        self.answers[task_token] = ("ok", dict(output))

    def fail(self, task_token: str, error: str, cause: str) -> None:
        self.answers[task_token] = (error, cause)


@dataclass
class Meter:
    events: list[UsageEvent] = field(default_factory=list)

    def send(self, events: Sequence[UsageEvent]) -> None:
        self.events += events


@dataclass
class Machines:
    started: list[str] = field(default_factory=list)
    alive: bool = True

    def start(self, job: Job) -> str:
        self.started.append(f"{job.job_id}-{job.attempt}")
        return self.started[-1]

    def running(self, execution: str) -> bool:
        return self.alive


class World:
    """Everything wired together; :meth:`run` does what the state machines of ``stepfunctions/`` do."""

    def __init__(self, package: bytes) -> None:
        self.clock = FixedClock(START)
        self.cloud = MemoryCloud()
        self.callbacks = Callbacks()
        self.agents = Agents(self.callbacks)
        self.meter = Meter()
        self.machines = Machines()
        self.store = DynamoClusters(MemoryTable())
        self.package = packages.open_package(package)
        self.repo: Repo | None = None
        self.executor = Executor(
            store=self.store,
            provider_for=lambda _: self.cloud,  # type: ignore[arg-type, return-value]
            agents=self.agents,  # type: ignore[arg-type]
            archive=lambda app_id, version_id: SimpleNamespace(url="http://x/p.tgz", digest="sha256:00"),
            callbacks=self.callbacks,
            closing=JobClosing(store=self.store, meter=self.meter, events=NullBus(), clock=self.clock),
            clock=self.clock,
        )
        self.service = ClusterService(
            store=self.store,
            catalog=_Catalog(self.package),  # type: ignore[arg-type]
            runtime=_runtime,  # type: ignore[arg-type]
            repo=lambda repo_id: self.repo,
            quote=lambda who, spec, runtime: Quote(
                plan="standard",
                plan_version=1,
                currency="USD",
                nodes=1,
                lines=(),
                micros_per_hour=1000 * sum(role.machines for role in spec.roles),
            ),
            machines=self.machines,
            events=NullBus(),
            clock=self.clock,
            agent_deadline_s=60,
        )

        self.sweeper = Sweeper(store=self.store, machines=self.machines, clock=self.clock)

    def deploy(self, **answers: Any) -> Any:
        request = DeployRequest(app_id="app_1", runtime_id="rt_1", answers=answers)
        begun = self.service.create(UMA, request)
        self.run(begun.job.job_id)
        return begun

    def run(self, job_id: str, *, layers: int | None = None) -> None:
        """Carry a job out to its end, or only ``layers`` layers of it, as after a crash."""
        job = self.store.job(job_id)
        assert job is not None
        try:
            if not self._run_plan(job_id, layers):
                return
        except (StepFailed, JobCancelled) as error:
            if job.kind not in (JobKind.DEPLOY, JobKind.START):
                self.executor.fail_job(job_id, type(error).__name__, error.detail)
                return
            self.executor.plan_undo(job_id, type(error).__name__, error.detail)
            self._run_plan(job_id, None)
        self.executor.finish_job(job_id)

    def _run_plan(self, job_id: str, layers: int | None) -> bool:
        done = 0
        while True:
            layer = self.executor.next_layer(job_id)
            if layer["done"]:
                return True
            if layers is not None and done == layers:
                return False
            for step in layer["steps"]:
                self._run_step(job_id, step["step_id"], step["by_agent"])
            done += 1

    def _run_step(self, job_id: str, step_id: str, by_agent: bool) -> None:
        if by_agent:
            token = f"token-{job_id}-{step_id}"
            self.executor.ask_agent(job_id, step_id, token)
            outcome, found = self.callbacks.answers[token]
            if outcome == "ok":
                self.executor.finish_step(job_id, step_id, found)
            else:
                self.executor.fail_step(job_id, step_id, outcome, found)
            return
        try:
            while self.executor.run_step(job_id, step_id)["pending"]:
                pass
        except Exception as error:
            self.executor.fail_step(job_id, step_id, type(error).__name__, str(error))


class _Catalog:
    def __init__(self, package: packages.Package) -> None:
        self._package = package
        self.deployed: list[str] = []

    def get_app(self, who: Principal, app_id: str) -> Any:
        if app_id != "app_1":
            raise NotFound(f"App {app_id} does not exist.")
        return SimpleNamespace(
            app_id=app_id, name="guestbook", title="Guestbook", latest_version_id="ver_1", repo_id="repo_1"
        )

    def get_version(self, who: Principal, app_id: str, version_id: str) -> Any:
        return SimpleNamespace(version_id=version_id, name="1.0.0", status="released")

    def load_package(self, who: Principal, version_id: str) -> packages.Package:
        return self._package

    def count_deployment(self, who: Principal, app_id: str, cluster_id: str) -> None:
        self.deployed.append(cluster_id)


def _runtime(who: Principal, runtime_id: str) -> Any:
    if runtime_id != "rt_1":
        raise NotFound(f"Runtime {runtime_id} does not exist.")
    return SimpleNamespace(runtime_id=runtime_id, name="laptop", provider="local", labels={"room": "lab"})
