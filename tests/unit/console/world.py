"""A whole platform in memory behind the console: the real services on `MemoryTable`, with only the clouds,
the user pool and the state machines played by fakes. Used by the tests of this folder and by ``serve.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pitrix import bootstrap
from pitrix.billing.dynamo import DynamoLedger, DynamoPriceBook
from pitrix.billing.model import UsageEvent
from pitrix.billing.service import BillingService
from pitrix.billing.specs import DeploymentSpecs
from pitrix.catalog.dynamo import TableAppStore
from pitrix.catalog.service import CatalogService
from pitrix.clock import FixedClock
from pitrix.clusters.dynamo import DynamoClusters
from pitrix.clusters.model import (
    Cluster,
    ClusterStatus,
    Endpoint,
    Job,
    JobError,
    JobKind,
    JobStatus,
    NodeStatus,
    StepStatus,
)
from pitrix.clusters.service import ClusterService
from pitrix.errors import NotFound, Unauthenticated
from pitrix.events import NullBus
from pitrix.identity.dynamo import TableUserStore
from pitrix.identity.model import SYSTEM, Claims, Principal, TokenExpired, TokenInvalid, Tokens
from pitrix.identity.service import IdentityService
from pitrix.packages import service as packages
from pitrix.repos.model import PLATFORM_REPO_ID
from pitrix.repos.service import ReposService
from pitrix.runtimes.asking import CloudDesk
from pitrix.runtimes.dynamo import TableRuntimeStore
from pitrix.runtimes.model import Runtime, RuntimeStatus
from pitrix.runtimes.service import RuntimesService
from pitrix.table import MemoryTable
from tests.unit.repos.kit import ReposKit
from tests.unit.runtimes.paper import SECRET, DictVault, PaperClouds

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "infra/demo"
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PASSWORD = "correct-Horse-7"
ACCESS_S = 3600


class Archives:
    """`catalog.ports.PackageStore` in memory."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}

    def put_archive(self, digest: str, archive: bytes) -> None:
        self.files[digest, ""] = archive

    def archive(self, digest: str) -> bytes:
        return self.files[digest, ""]

    def put_file(self, digest: str, path: str, data: bytes, content_type: str) -> None:
        self.files[digest, path] = data

    def put_provenance(self, version_id: str, provenance: bytes) -> None:
        self.files[version_id, ".prov"] = provenance

    def archive_url(self, digest: str, filename: str, expires_in_s: int) -> str:
        return f"/pictures/{digest}/"

    def file_url(self, digest: str, path: str, expires_in_s: int) -> str:
        return f"/pictures/{digest}/{path}"


class Uploads:
    """The bucket of uploads, as far as the indexer reads it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, key: str, *, at_most_bytes: int) -> bytes:
        if key not in self.objects:
            raise NotFound(f"There is no {key}.")
        return self.objects[key]

    def let_expire(self, key: str) -> None:
        return None


class Pool:
    """Passwords and tokens: ``PasswordAuthority`` and ``AccessTokenVerifier`` in one, tokens that say who."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self._passwords: dict[str, str] = {}
        self.refresh_tokens: dict[str, str] = {}

    def subject_of(self, username: str) -> str | None:
        return f"sub-{username}" if username in self._passwords else None

    def create(self, username: str, password: str) -> str:
        self._passwords[username] = password
        return f"sub-{username}"

    def sign_in(self, username: str, password: str) -> Tokens:
        if self._passwords.get(username) != password:
            raise Unauthenticated("no")
        token = f"refresh-{username}-{len(self.refresh_tokens)}"
        self.refresh_tokens[token] = username
        return self._tokens(username, token)

    def refresh(self, refresh_token: str) -> Tokens:
        if refresh_token not in self.refresh_tokens:
            raise Unauthenticated("no")
        return self._tokens(self.refresh_tokens[refresh_token], refresh_token)

    def revoke(self, refresh_token: str) -> None:
        self.refresh_tokens.pop(refresh_token, None)

    def _tokens(self, username: str, refresh_token: str) -> Tokens:
        access = f"{username}.{refresh_token}.{int(self._clock.now().timestamp())}"
        return Tokens(access_token=access, refresh_token=refresh_token, expires_in_s=ACCESS_S)

    def verify(self, access_token: str) -> Claims:
        username, _, rest = access_token.partition(".")
        session, _, issued = rest.rpartition(".")
        if not issued.isdigit():
            raise TokenInvalid("no")
        issued_at = datetime.fromtimestamp(int(issued), UTC)
        expires_at = issued_at + timedelta(seconds=ACCESS_S)
        if expires_at <= self._clock.now():
            raise TokenExpired("no")
        return Claims(
            subject=f"sub-{username}",
            username=username,
            session_id=session,
            issued_at=issued_at,
            expires_at=expires_at,
        )


class Machines:
    """State machines that never move by themselves: `World.run` moves them."""

    def start(self, job: Job) -> str:
        return f"run-{job.job_id}-{job.attempt}"

    def running(self, kind: JobKind, execution: str) -> bool:
        return True


@dataclass
class World:
    """The platform, and hands to move it."""

    clock: FixedClock
    pool: Pool
    identity: IdentityService
    catalog: CatalogService
    repos: ReposService
    kit: ReposKit
    runtimes: RuntimesService
    billing: BillingService
    clusters: ClusterService
    archives: Archives
    uploads: Uploads
    store: DynamoClusters
    runtime_store: TableRuntimeStore
    apps: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def in_place(self) -> Iterator[World]:
        """Put every service where the console looks for it."""
        with ExitStack() as stack:
            for name in ("identity", "catalog", "repos", "runtimes", "billing", "clusters", "clock"):
                stack.enter_context(bootstrap.override(name, getattr(self, name)))
            yield self

    def push(self, name: str, archive: bytes) -> None:
        """Upload an archive to the platform's repository and index it."""
        key = f"{PLATFORM_REPO_ID}/{name}.tgz"
        self.uploads.objects[key] = archive
        event = self.repos.index_object(SYSTEM, key)
        if event and event.app_id:
            self.apps[event.name] = event.app_id

    def principal(self, username: str) -> Principal:
        """Who a user is."""
        tokens = self.pool.sign_in(username, PASSWORD)
        return self.identity.authenticate(tokens.access_token).principal

    def run(self, job_id: str, steps: int | None = None, *, error: str = "") -> None:
        """Carry out so many steps of a job (all by default); with ``error``, the last of them fails."""
        job = self.store.job(job_id)
        assert job is not None
        todo = [step for step in self.store.steps(job_id, "main") if step.status is not StepStatus.SUCCEEDED]
        chosen = todo if steps is None else todo[:steps]
        for step in chosen:
            step.started_at = self.clock.now()
            self.clock.advance(1.5)
            step.finished_at = self.clock.now()
            step.status = StepStatus.SUCCEEDED
        if error:
            chosen[-1].status, chosen[-1].error = StepStatus.FAILED, error
        elif len(chosen) < len(todo):
            todo[len(chosen)].status = StepStatus.RUNNING
            todo[len(chosen)].started_at = self.clock.now()
        self.store.put_steps(job_id, "main", todo)
        ended = error or len(chosen) == len(todo)
        self.store.change_job(job_id, lambda job: self._note(job, bool(ended), error))
        if ended:
            self.store.change_cluster(job.cluster_id, lambda cluster: self._settle(cluster, job.kind, error))

    def _note(self, job: Job, ended: bool, error: str) -> None:
        job.status = JobStatus.RUNNING
        if ended:
            job.status, job.finished_at = JobStatus.FAILED if error else JobStatus.SUCCEEDED, self.clock.now()
            job.error = JobError(code="CommandFailed", message=error) if error else None

    def _settle(self, cluster: Cluster, kind: JobKind, error: str) -> None:
        cluster.transition, cluster.job_id = "", None
        cluster.status = {
            JobKind.DEPLOY: ClusterStatus.FAILED if error else ClusterStatus.ACTIVE,
            JobKind.START: ClusterStatus.ACTIVE,
            JobKind.STOP: ClusterStatus.STOPPED,
            JobKind.CEASE: ClusterStatus.CEASED,
        }.get(kind, cluster.status)
        if kind is JobKind.DEPLOY and not error:
            self._bring_up(cluster)

    def _bring_up(self, cluster: Cluster) -> None:
        """Nodes with addresses, an endpoint, and the usage events that a deployment sends."""
        for number, node in enumerate(self.store.nodes(cluster.cluster_id), start=2):
            self.store.change_node(
                cluster.cluster_id, node.node_id, lambda each, n=number: _activate(each, n)
            )
            if node.frontgate:
                continue
            self.billing.record(
                SYSTEM,
                [
                    UsageEvent(
                        event_id=f"evt-{node.node_id}",
                        account=cluster.account,
                        cluster_id=cluster.cluster_id,
                        node_id=node.node_id,
                        app_id=cluster.app_id,
                        kind="start",
                        at=self.clock.now(),
                        quantities={
                            "vcpu": node.cpu,
                            "memory_mib": node.memory_mib,
                            "volume_gib": node.volume_gib,
                        },
                    )
                ],
            )
            if not cluster.endpoints:
                cluster.endpoints = [
                    Endpoint(
                        name="web",
                        node_id=node.node_id,
                        role=node.role,
                        protocol="http",
                        host="127.0.12.2",
                        port=8080,
                        url="http://127.0.12.2:8080/",
                    )
                ]


def _activate(node: Any, number: int) -> None:
    node.status, node.private_ip, node.health = NodeStatus.ACTIVE, f"127.0.12.{number}", "healthy"


def build(*, demo: bool = True) -> World:
    """A fresh platform: four users, one runtime, and (with ``demo``) the sample packages in the store."""
    clock = FixedClock(START)
    pool = Pool(clock)
    archives, uploads, store = Archives(), Uploads(), DynamoClusters(MemoryTable())
    catalog = CatalogService(
        apps=TableAppStore(MemoryTable()),
        archives=archives,
        reader=packages,
        events=NullBus(),
        clock=clock,
    )
    runtime_store, vault = TableRuntimeStore(MemoryTable()), DictVault()
    runtimes = RuntimesService(
        runtimes=runtime_store,
        vault=vault,
        clouds=CloudDesk(clouds=PaperClouds(), vault=vault, settings=lambda _: {}),
        in_use=store.runtime_in_use,
        clock=clock,
    )
    prices = MemoryTable()
    billing = BillingService(
        ledger=DynamoLedger(prices),
        prices=DynamoPriceBook(prices),
        clock=clock,
        specs=lambda: DeploymentSpecs(catalog, runtimes),
        aggregation=_no_clouds(),
    )
    kit = ReposKit(table=MemoryTable(), uploads=uploads, catalog=catalog, events=NullBus(), clock=clock)
    world = World(
        clock=clock,
        pool=pool,
        catalog=catalog,
        runtimes=runtimes,
        billing=billing,
        archives=archives,
        uploads=uploads,
        store=store,
        runtime_store=runtime_store,
        identity=IdentityService(
            users=TableUserStore(MemoryTable()),
            passwords=pool,
            verifier=pool,
            clock=clock,  # type: ignore[arg-type]
        ),
        repos=kit.service,
        kit=kit,
        clusters=ClusterService(
            store=store,
            catalog=catalog,
            clouds=lambda: runtimes,
            repo=lambda repo_id: None,
            quote=billing.quote,
            machines=Machines(),
            events=NullBus(),
            clock=clock,
            agent_deadline_s=60,
        ),
    )
    vault.put("pitrix/runtimes/rt_local", {"secret": SECRET})
    _seed(world, demo=demo)
    return world


def _seed(world: World, *, demo: bool) -> None:
    for username, role, path in (
        ("root", "operator", ":"),
        ("vera", "vendor", ":vera:"),
        ("alice", "user", ":acme:"),
        ("bob", "user", ":bob:"),
    ):
        world.identity.ensure_user(username, role, PASSWORD, path)
    world.catalog.ensure_categories(SYSTEM)
    world.repos.ensure_platform_repo(SYSTEM)
    world.billing.ensure_default_plan()
    now = world.clock.now()
    world.runtime_store.create(
        Runtime(
            runtime_id="rt_local",
            name="This laptop",
            provider="local",
            zone="local",
            visibility="public",
            owner_path=":",
            owner_id="system",
            status=RuntimeStatus.ACTIVE,
            created_at=now,
            updated_at=now,
        )
    )
    if demo:
        for manifest in sorted(DEMO.glob("*/package.json")):
            world.push(manifest.parent.name, packages.build(manifest.parent))
            world.clock.advance(60)


def _no_clouds() -> Any:
    return _Nothing()


class _Nothing:
    """Stands where the console must not reach."""

    def __getattr__(self, name: str) -> Mapping[str, Any]:
        raise AssertionError(f"the console asked for {name}")
