"""From a request to a deployment that could begin: its cluster, its nodes, its plan and its price.

Owns everything that is said before anything is made: whether the version may be deployed and to that runtime,
whether the answers are right, whether the cloud offers what it takes and has room for it. Stores nothing.

Next: ``placement.py`` for fits, ``members.py`` for the nodes, ``planning.py`` for the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pitrix import ids
from pitrix.billing.model import Quote
from pitrix.catalog.model import App, Version
from pitrix.clock import Clock
from pitrix.clusters import placement, planning
from pitrix.clusters.members import new_nodes
from pitrix.clusters.model import Cluster, Node, Plan
from pitrix.clusters.requests import DeployRequest, checked_name
from pitrix.errors import CapabilityMissing, InvalidInput, ProviderError, ServiceUnavailable, Unprocessable
from pitrix.identity.model import Principal, require
from pitrix.packages import service as packages
from pitrix.packages.model import ClusterSpec, Package
from pitrix.repos.model import Repo
from pitrix.runtimes.model import ProviderInfo, Runtime
from providers.resources import Quota

#: A plan larger than this is refused: a job's execution ends at 25,000 events (Step Functions quota), and a
#: machine of a deployment takes up to 300 of them.
MAX_NODES = 50


class Catalog(Protocol):
    """What clusters ask of the catalog."""

    def get_app(self, who: Principal, app_id: str) -> App: ...
    def get_version(self, who: Principal, app_id: str, version_id: str) -> Version: ...
    def load_package(self, who: Principal, version_id: str) -> Package: ...
    def count_deployment(self, who: Principal, app_id: str, cluster_id: str) -> None: ...


class Clouds(Protocol):
    """What clusters ask of the runtimes."""

    def usable(self, who: Principal, runtime_id: str) -> Runtime: ...
    def provider(self, who: Principal, name: str) -> ProviderInfo: ...
    def quotas(self, who: Principal, runtime_id: str) -> list[Quota]: ...


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A deployment that could begin. ``warnings`` say why its cloud would refuse it."""

    cluster: Cluster
    nodes: list[Node]
    plan: Plan
    warnings: list[str]


class Drafts:
    """See the module."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        clouds: Callable[[], Clouds],
        repo: Callable[[str], Repo | None],
        quote: Callable[[Principal, ClusterSpec, Runtime], Quote],
        clock: Clock,
        agent_deadline_s: int,
    ) -> None:
        self._catalog = catalog
        self._clouds = clouds
        self._repo = repo
        self._quote = quote
        self._clock = clock
        self._agent_deadline_s = agent_deadline_s

    def prepare(self, who: Principal, request: DeployRequest, locale: str) -> Draft:
        """Return the deployment that a request asks for; wrong answers are told in the language ``locale``.

        Raises:
            InvalidInput: an answer is wrong; names each.
            NotFound: no such app, version or runtime, for this user.
            Unprocessable: the version cannot be deployed, or not to that runtime.
            CapabilityMissing: the runtime's cloud does not offer what the application needs.
        """
        require(who, "clusters", "create")
        app = self._catalog.get_app(who, request.app_id)
        version_id = request.version_id or app.latest_version_id
        if version_id is None:
            raise Unprocessable(f"{app.title or app.name} has no released version that could be deployed.")
        version = self._catalog.get_version(who, app.app_id, version_id)
        if version.status != "released":
            raise Unprocessable(
                f"Version {version.name} is {version.status}; only released ones are deployed."
            )
        runtime = self._clouds().usable(who, request.runtime_id)
        self._check_placement(app, runtime)
        package = self._catalog.load_package(who, version_id)
        answers = packages.aimed(package, request.answers, provider=runtime.provider)
        complete = packages.complete_answers(packages.form(package, locale), answers)
        cloud = self._clouds().provider(who, runtime.provider)
        if why := placement.unfit(package, cloud.title, cloud.capabilities, public=request.public):
            raise CapabilityMissing(f"{why}.")
        spec = packages.demand(package, complete)
        if packages.becomes(package.type) == "vm":
            _check_machines(spec)
        if why := placement.unkept(spec, cloud.title, cloud.capabilities):
            raise CapabilityMissing(f"{app.title or app.name} cannot be deployed there: {why}.")
        cluster = self._new_cluster(who, request, app, version, runtime, package, spec, answers)
        quote = self._quote(who, spec, runtime)
        cluster.currency, cluster.micros_per_hour = quote.currency, quote.micros_per_hour
        nodes = new_nodes(cluster) if cluster.of_machines else []
        plan = self._plan(cluster, nodes, package, cloud)
        plan.notes += quote.notes
        return Draft(cluster=cluster, nodes=nodes, plan=plan, warnings=self._room(who, runtime, nodes, plan))

    def _plan(self, cluster: Cluster, nodes: list[Node], package: Package, cloud: ProviderInfo) -> Plan:
        if not cluster.of_machines:
            return planning.deploy_software(cluster)
        return planning.deploy(
            cluster,
            nodes,
            agent_deadline_s=self._agent_deadline_s,
            payload=bool(package.payload),
            offers=cloud.capabilities,
        )

    def _room(self, who: Principal, runtime: Runtime, nodes: list[Node], plan: Plan) -> list[str]:
        """Say what the account has no room for; a cloud that does not answer now is noted in the plan."""
        if not nodes:
            return []
        try:
            return placement.shortfalls(nodes, plan, self._clouds().quotas(who, runtime.runtime_id))
        except (ProviderError, ServiceUnavailable) as error:
            plan.notes.append(f"The account's quotas could not be asked for now: {error.detail}")
            return []

    def _check_placement(self, app: App, runtime: Runtime) -> None:
        """Refuse a runtime that the app's repository does not allow its apps to run on."""
        repo = self._repo(app.repo_id)
        why = repo.mismatch(runtime.provider, runtime.labels) if repo is not None else ""
        if why:
            raise Unprocessable(f"Runtime {runtime.name} cannot run {app.title or app.name}: {why}.")

    def _new_cluster(
        self,
        who: Principal,
        request: DeployRequest,
        app: App,
        version: Version,
        runtime: Runtime,
        package: Package,
        spec: ClusterSpec,
        answers: Mapping[str, Any],
    ) -> Cluster:
        name = checked_name(request.name or spec.name or app.name)
        now = self._clock.now()
        return Cluster(
            cluster_id=ids.new("cl"),
            name=name,
            description=spec.description,
            owner_id=who.user_id,
            owner_path=who.owner_path,
            account=who.owner_path,
            app_id=app.app_id,
            app_name=app.name,
            version_id=version.version_id,
            version=version.name,
            runtime_id=runtime.runtime_id,
            package_type=packages.becomes(package.type),
            public=request.public,
            roles=spec.roles,
            workloads=spec.workloads,
            env=spec.env,
            endpoint_ports={
                name: {"port": door.port, "protocol": door.protocol, "roles": door.roles}
                for name, door in spec.endpoints.items()
            },
            answers=dict(answers),
            created_at=now,
            status_at=now,
        )


def _check_machines(spec: ClusterSpec) -> None:
    machines = sum(role.machines for role in spec.roles)
    if machines == 0:
        raise InvalidInput("These answers ask for no machine at all; give at least one role a count.")
    if machines > MAX_NODES:
        raise InvalidInput(f"These answers ask for {machines} machines; {MAX_NODES} is the most.")
