"""A small world in memory that clusters live in: a cloud, agents that answer, a runner of plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
from pitrix.errors import JobCancelled, NotFound, PitrixError, StepFailed
from pitrix.events import NullBus
from pitrix.identity.model import Principal
from pitrix.packages import service as packages
from pitrix.packages.model import ClusterSpec
from pitrix.repos.model import Repo
from pitrix.table import MemoryTable
from providers.resources import Quota
from tests.unit.clusters.memory_cloud import START, MemoryCloud

UMA = Principal(user_id="usr_uma", username="uma", role="user", owner_path=":acme:uma:")
EVE = Principal(user_id="usr_eve", username="eve", role="user", owner_path=":evil:")


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
        self.clouds = Clouds(self.cloud)
        self.quoted: list[ClusterSpec] = []
        self.executor = Executor(
            store=self.store,
            provider_for=lambda _: self.cloud,  # type: ignore[arg-type, return-value]
            agents=self.agents,  # type: ignore[arg-type]
            archive=lambda app_id, version_id: SimpleNamespace(url="http://x/p.tgz", digest="sha256:00"),
            package=lambda version_id: self.package,
            callbacks=self.callbacks,
            closing=JobClosing(store=self.store, meter=self.meter, events=NullBus(), clock=self.clock),
            clock=self.clock,
        )
        self.service = ClusterService(
            store=self.store,
            catalog=_Catalog(self.package),  # type: ignore[arg-type]
            clouds=lambda: self.clouds,  # type: ignore[arg-type, return-value]
            repo=lambda repo_id: self.repo,
            quote=self._quote,
            machines=self.machines,
            events=NullBus(),
            clock=self.clock,
            agent_deadline_s=60,
        )

        self.sweeper = Sweeper(store=self.store, machines=self.machines, clock=self.clock)

    def _quote(self, who: Principal, spec: ClusterSpec, runtime: Any) -> Quote:
        self.quoted.append(spec)
        return Quote(
            plan="standard",
            plan_version=1,
            currency="USD",
            nodes=1,
            lines=(),
            micros_per_hour=1000 * spec.copies,
            notes=tuple(spec.unmetered),
        )

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


@dataclass
class Clouds:
    """The runtimes' service: one runtime, of the provider ``named``."""

    cloud: MemoryCloud
    named: str = "local"
    room: list[Quota] | PitrixError = field(default_factory=list)

    def usable(self, who: Principal, runtime_id: str) -> Any:
        if runtime_id != "rt_1":
            raise NotFound(f"Runtime {runtime_id} does not exist.")
        labels = {"room": "lab"}
        return SimpleNamespace(runtime_id=runtime_id, name="laptop", provider=self.named, labels=labels)

    def provider(self, who: Principal, name: str) -> Any:
        return SimpleNamespace(
            name=name, title=self.cloud.title, capabilities=sorted(self.cloud.capabilities())
        )

    def quotas(self, who: Principal, runtime_id: str) -> list[Quota]:
        if isinstance(self.room, PitrixError):
            raise self.room
        return self.room
