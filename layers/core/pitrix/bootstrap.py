"""The composition root: builds each context's service with its real parts, once, on first use.

Owns: what is read from the environment (:class:`Settings`) and which adapter stands behind which port.
Nothing is touched when this module is imported; a cold start pays only for what its first request needs.
Tests build services themselves, or put a table or a service in place with :func:`override`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pitrix.clock import Clock, SystemClock
from pitrix.table import Table

if TYPE_CHECKING:
    from pitrix.billing.service import BillingService
    from pitrix.billing.specs import DeploymentSpecs
    from pitrix.catalog.service import CatalogService
    from pitrix.clusters.aws import StepFunctionsMachines
    from pitrix.clusters.execution import Executor
    from pitrix.clusters.service import ClusterService
    from pitrix.clusters.sweeping import Sweeper
    from pitrix.events import EventBus
    from pitrix.identity.basic import BasicLogins
    from pitrix.identity.service import IdentityService
    from pitrix.pilot.service import PilotService
    from pitrix.repos.charts import ChartRepositories
    from pitrix.repos.indexing import Indexer
    from pitrix.repos.ports import Signatures
    from pitrix.repos.s3 import S3UploadBucket
    from pitrix.repos.service import ReposService
    from pitrix.repos.sources import SourceRegistry
    from pitrix.repos.sync_steps import SyncSteps
    from pitrix.repos.syncing import Syncs
    from pitrix.repos.vault import RepoVault
    from pitrix.runtimes.asking import CloudDesk
    from pitrix.runtimes.ports import CloudCalls
    from pitrix.runtimes.service import RuntimesService

P = ParamSpec("P")
R = TypeVar("R")

_built: dict[tuple[str, tuple[Any, ...]], Any] = {}


def _once(build: Callable[P, R]) -> Callable[P, R]:
    """Build once for the same arguments; :func:`override` may have put something else in place."""

    @functools.wraps(build)
    def cached(*args: P.args, **kwargs: P.kwargs) -> R:
        key = (build.__name__, args)
        if key not in _built:
            _built[key] = build(*args, **kwargs)
        found: R = _built[key]
        return found

    return cached


@contextmanager
def override(name: str, part: Any, *args: Any) -> Iterator[None]:
    """Put ``part`` in place of what the builder ``name`` makes (``override("table", t, "catalog")``)."""
    before = dict(_built)
    _built[(name, args)] = part
    try:
        yield
    finally:
        _built.clear()
        _built.update(before)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the deployment tells its functions; a function's environment holds only what it needs."""

    region: str
    endpoint_url: str
    public_url: str
    bucket_packages: str
    bucket_catalog: str
    user_pool_id: str
    user_pool_client_id: str
    queue_usage_url: str
    event_bus: str
    machine_deploy_arn: str
    machine_cease_arn: str
    machine_operate_arn: str
    machine_aggregate_arn: str
    machine_sync_arn: str
    repo_allowed_networks: tuple[str, ...]
    pilot_url: str
    pilot_management_url: str
    agent_bundle_key: str
    local_cloud_url: str
    cloud_settings: str
    runtime_allowed_networks: str
    cloud_functions: str
    agent_deadline_s: int


@_once
def settings() -> Settings:
    """Return the settings in the environment."""
    env = os.environ.get
    return Settings(
        region=env("AWS_REGION", env("AWS_DEFAULT_REGION", "us-east-1")) or "us-east-1",
        endpoint_url=env("AWS_ENDPOINT_URL", ""),
        public_url=env("PUBLIC_URL", "").rstrip("/"),
        bucket_packages=env("BUCKET_PACKAGES", ""),
        bucket_catalog=env("BUCKET_CATALOG", ""),
        user_pool_id=env("USER_POOL_ID", ""),
        user_pool_client_id=env("USER_POOL_CLIENT_ID", ""),
        queue_usage_url=env("QUEUE_USAGE_URL", ""),
        event_bus=env("EVENT_BUS", ""),
        machine_deploy_arn=env("MACHINE_DEPLOY_ARN", ""),
        machine_cease_arn=env("MACHINE_CEASE_ARN", ""),
        machine_operate_arn=env("MACHINE_OPERATE_ARN", ""),
        machine_aggregate_arn=env("MACHINE_AGGREGATE_ARN", ""),
        machine_sync_arn=env("MACHINE_SYNC_ARN", ""),
        repo_allowed_networks=tuple(
            n.strip() for n in env("REPO_ALLOWED_NETWORKS", "").split(",") if n.strip()
        ),
        pilot_url=env("PILOT_URL", ""),
        pilot_management_url=env("PILOT_MANAGEMENT_URL", ""),
        agent_bundle_key=env("AGENT_BUNDLE_KEY", ""),
        local_cloud_url=env("LOCAL_CLOUD_URL", ""),
        cloud_settings=env("CLOUD_SETTINGS", ""),
        runtime_allowed_networks=env("RUNTIME_ALLOWED_NETWORKS", ""),
        cloud_functions=env("CLOUD_FUNCTIONS", ""),
        agent_deadline_s=int(env("AGENT_DEADLINE_S", "900")),
    )


@_once
def clock() -> Clock:
    """Return the clock that services use."""
    return SystemClock()


@_once
def client(service: str, endpoint_url: str | None = None) -> Any:
    """Return the boto3 client of an AWS service; boto3 is imported here and not before."""
    import boto3

    return boto3.client(service, region_name=settings().region, endpoint_url=endpoint_url)


@_once
def table(context: str) -> Table:
    """Return the table of a context, named by ``TABLE_<CONTEXT>``.

    Raises:
        KeyError: this function was not given that table; its template entry lacks the variable.
    """
    from pitrix.table_dynamo import DynamoTable

    return DynamoTable(os.environ[f"TABLE_{context.upper()}"], region=settings().region)


@_once
def presigning_s3() -> Any:
    """Return the S3 client for addresses that others use: signature version 4, and no checksum to be sent."""
    import boto3
    from botocore.config import Config

    plain = Config(
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # On AWS the region's own host: a fresh bucket redirects to it from elsewhere, which breaks what was
        # signed. Elsewhere than on AWS no name of a bucket resolves as a host.
        s3={"addressing_style": "path" if settings().endpoint_url else "virtual"},
    )
    return boto3.client("s3", region_name=settings().region, config=plain)


@_once
def events() -> EventBus:
    """Return the bus that events are published on; a function without one publishes nothing."""
    from pitrix.events import EventBridgeBus, NullBus

    name = settings().event_bus
    return EventBridgeBus(client("events"), name, clock()) if name else NullBus()


# --- contexts, in alphabetical order -----------------------------------------------------------------------


@_once
def billing() -> BillingService:
    """Return the billing service."""
    from pitrix.billing.aws import StepFunctionsAggregation
    from pitrix.billing.dynamo import DynamoLedger, DynamoPriceBook
    from pitrix.billing.service import BillingService

    return BillingService(
        ledger=DynamoLedger(table("billing")),
        prices=DynamoPriceBook(table("billing")),
        clock=clock(),
        specs=_deployment_specs,
        aggregation=StepFunctionsAggregation(
            lambda: client("stepfunctions"), settings().machine_aggregate_arn
        ),
    )


def _deployment_specs() -> DeploymentSpecs:
    from pitrix.billing.specs import DeploymentSpecs

    return DeploymentSpecs(catalog(), runtimes())


@_once
def catalog() -> CatalogService:
    """Return the catalog's service."""
    from pitrix.catalog.dynamo import TableAppStore
    from pitrix.catalog.s3 import S3PackageStore
    from pitrix.catalog.service import CatalogService
    from pitrix.packages import service as packages

    return CatalogService(
        apps=TableAppStore(table("catalog")),
        archives=S3PackageStore(presigning_s3, settings().bucket_catalog),
        reader=packages,
        events=events(),
        clock=clock(),
    )


@_once
def charts() -> ChartRepositories:
    """Return what Helm clients call."""
    from pitrix.repos.chart_uploads import S3PushedObjects
    from pitrix.repos.charts import ChartRepositories
    from pitrix.repos.dynamo import TableRepoStore

    return ChartRepositories(
        repos=TableRepoStore(table("repos")),
        charts=catalog(),
        uploads=repos(),
        objects=S3PushedObjects(presigning_s3, settings().bucket_packages),
    )


@_once
def clusters() -> ClusterService:
    """Return the service of clusters and jobs."""
    from pitrix.clusters.dynamo import DynamoClusters
    from pitrix.clusters.service import ClusterService
    from pitrix.repos.dynamo import TableRepoStore

    return ClusterService(
        store=DynamoClusters(table("clusters")),
        catalog=catalog(),
        clouds=runtimes,
        repo=lambda repo_id: TableRepoStore(table("repos")).repo(repo_id),
        quote=lambda who, spec, runtime: billing().quote(who, spec, runtime),
        machines=_job_machines(),
        events=events(),
        clock=clock(),
        agent_deadline_s=settings().agent_deadline_s,
    )


def _job_machines() -> StepFunctionsMachines:
    from pitrix.clusters.aws import StepFunctionsMachines
    from pitrix.clusters.model import JobKind

    given = settings()
    return StepFunctionsMachines(
        lambda: client("stepfunctions"),
        {
            JobKind.DEPLOY: given.machine_deploy_arn,
            JobKind.START: given.machine_deploy_arn,
            JobKind.CEASE: given.machine_cease_arn,
        },
        given.machine_operate_arn,
    )


@_once
def sweeper() -> Sweeper:
    """Return what resumes interrupted jobs."""
    from pitrix.clusters.dynamo import DynamoClusters
    from pitrix.clusters.sweeping import Sweeper

    return Sweeper(store=DynamoClusters(table("clusters")), machines=_job_machines(), clock=clock())


@_once
def executor() -> Executor:
    """Return what the state machines of clusters call."""
    from pitrix.clusters.aws import SqsMeter
    from pitrix.clusters.dynamo import DynamoClusters
    from pitrix.clusters.execution import Executor
    from pitrix.clusters.lifecycle import JobClosing
    from pitrix.identity.model import SYSTEM
    from pitrix.pilot.aws import StepFunctionsCallbacks

    store = DynamoClusters(table("clusters"))
    meter = SqsMeter(lambda: client("sqs"), settings().queue_usage_url)
    return Executor(
        store=store,
        provider_for=lambda runtime_id: cloud_desk().connect(runtimes().account(SYSTEM, runtime_id)),
        function_for=lambda runtime_id: _function_of(runtimes().get(SYSTEM, runtime_id).provider),
        agents=pilot(),
        archive=lambda app_id, version_id: catalog().payload(SYSTEM, app_id, version_id),
        package=lambda version_id: catalog().load_package(SYSTEM, version_id),
        callbacks=StepFunctionsCallbacks(lambda: client("stepfunctions")),
        closing=JobClosing(store=store, meter=meter, events=events(), clock=clock()),
        clock=clock(),
    )


@_once
def basic_logins() -> BasicLogins:
    """Return what turns usernames and passwords into sessions."""
    from pitrix.identity.basic import BasicLogins

    return BasicLogins(identity(), clock())


@_once
def identity() -> IdentityService:
    """Return the identity service."""
    from pitrix.identity.cognito import CognitoPasswords
    from pitrix.identity.dynamo import TableUserStore
    from pitrix.identity.service import IdentityService
    from pitrix.identity.tokens import CognitoTokenVerifier, JwksKeys, cognito_issuer, cognito_jwks_url

    given = settings()
    pool, client_id = given.user_pool_id, given.user_pool_client_id
    return IdentityService(
        users=TableUserStore(table("identity")),
        passwords=CognitoPasswords(
            user_pool_id=pool, client_id=client_id, connect=lambda: client("cognito-idp")
        ),
        verifier=CognitoTokenVerifier(
            issuer=cognito_issuer(pool),
            client_id=client_id,
            keys=JwksKeys(cognito_jwks_url(pool, given.endpoint_url or None), clock=clock()),
            clock=clock(),
        ),
        clock=clock(),
    )


@_once
def pilot() -> PilotService:
    """Return Pilot's service."""
    from pitrix.pilot.aws import ApiGatewayConnections, S3AgentBundle, StepFunctionsCallbacks
    from pitrix.pilot.dynamo import DynamoPilotStore
    from pitrix.pilot.service import PilotService

    given = settings()
    return PilotService(
        store=DynamoPilotStore(table("pilot")),
        connections=ApiGatewayConnections(
            lambda: client("apigatewaymanagementapi", given.pilot_management_url)
        ),
        callbacks=StepFunctionsCallbacks(lambda: client("stepfunctions")),
        bundle=S3AgentBundle(presigning_s3, given.bucket_catalog, given.agent_bundle_key),
        events=events(),
        clock=clock(),
        pilot_url=given.pilot_url,
    )


@_once
def repos() -> ReposService:
    """Return the service of the repositories."""
    from pitrix.packages import service as packages
    from pitrix.repos.dynamo import TableRepoStore
    from pitrix.repos.service import ReposService

    return ReposService(
        repos=TableRepoStore(table("repos")),
        bucket=_uploads(),
        packages=packages,
        indexer=_indexer(),
        syncs=syncs(),
        sources=_sources(),
        vault=_repo_vault(),
        clock=clock(),
    )


@_once
def syncs() -> Syncs:
    """Return what starts the syncs of repositories."""
    from pitrix.repos.aws import StepFunctionsSyncs
    from pitrix.repos.dynamo import TableRepoStore
    from pitrix.repos.syncing import Syncs

    return Syncs(
        repos=TableRepoStore(table("repos")),
        machine=StepFunctionsSyncs(lambda: client("stepfunctions"), settings().machine_sync_arn),
        clock=clock(),
    )


@_once
def sync_steps() -> SyncSteps:
    """Return what the state machine of syncs calls."""
    from pitrix.repos.dynamo import TableRepoStore
    from pitrix.repos.s3 import S3SyncObjects
    from pitrix.repos.sync_steps import SyncSteps

    return SyncSteps(
        repos=TableRepoStore(table("repos")),
        objects=S3SyncObjects(presigning_s3, settings().bucket_catalog),
        sources=_sources(),
        vault=_repo_vault(),
        indexer=_indexer(),
        catalog=catalog(),
        events=events(),
        clock=clock(),
    )


@_once
def _indexer() -> Indexer:
    from pitrix.packages import service as packages
    from pitrix.repos.dynamo import TableRepoStore
    from pitrix.repos.indexing import Indexer

    return Indexer(
        repos=TableRepoStore(table("repos")),
        bucket=_uploads(),
        catalog=catalog(),
        packages=packages,
        signatures=_signatures(),
        events=events(),
        clock=clock(),
    )


def _signatures() -> Signatures:
    from pitrix.packages import provenance

    return provenance


def _uploads() -> S3UploadBucket:
    from pitrix.repos.s3 import S3UploadBucket

    return S3UploadBucket(presigning_s3, settings().bucket_packages)


def _sources() -> SourceRegistry:
    from pitrix.repos.sources import SourceRegistry

    return SourceRegistry(allowed_networks=settings().repo_allowed_networks, bucket=_uploads())


def _repo_vault() -> RepoVault:
    from pitrix.repos.vault import RepoVault
    from pitrix.vault import SecretsManagerVault

    # Remembered, a credential would still be sent to the address that was replaced together with it.
    return RepoVault(SecretsManagerVault(lambda: client("secretsmanager"), of="repository", remembered_s=0))


@_once
def cloud_desk() -> CloudDesk:
    """Return what speaks to clouds where their SDKs are: in the functions of ``functions/clouds``."""
    import providers
    from pitrix.runtimes.asking import CloudDesk
    from pitrix.vault import SecretsManagerVault

    vault = SecretsManagerVault(lambda: client("secretsmanager"))
    return CloudDesk(clouds=providers, vault=vault, settings=_settings_of)


def _settings_of(provider: str) -> dict[str, str]:
    """The deployment's own values for a provider: ``CloudSettings`` and what the other parameters say."""
    import json

    given = settings()
    own = {"endpoint": given.local_cloud_url} if provider == "local" else {}
    told = json.loads(given.cloud_settings or "{}").get(provider, {})
    return {"allowed_networks": given.runtime_allowed_networks, **own, **told}


@_once
def _cloud_calls() -> CloudCalls:
    """Return what asks clouds: each cloud's own function, or this machine's SDKs where there is none."""
    import providers
    from pitrix.runtimes.aws import LambdaClouds

    given = settings()
    if not given.cloud_functions:
        return cloud_desk()
    return LambdaClouds(_patient_lambda, prefix=given.cloud_functions, registry=providers)


def _function_of(provider: str) -> str:
    from pitrix.runtimes.aws import function_name

    return function_name(settings().cloud_functions, provider)


@_once
def _patient_lambda() -> Any:
    """The Lambda client for questions to clouds: sent once, and waited for as long as an answer is of use."""
    import boto3
    from botocore.config import Config

    from pitrix.runtimes.aws import ANSWER_WITHIN_S

    once = Config(connect_timeout=3, read_timeout=ANSWER_WITHIN_S, retries={"total_max_attempts": 1})
    return boto3.client("lambda", region_name=settings().region, config=once)


@_once
def runtimes() -> RuntimesService:
    """Return the service of the runtimes."""
    from pitrix.clusters.dynamo import DynamoClusters
    from pitrix.runtimes.dynamo import TableRuntimeStore
    from pitrix.runtimes.service import RuntimesService
    from pitrix.vault import SecretsManagerVault

    return RuntimesService(
        runtimes=TableRuntimeStore(table("runtimes")),
        vault=SecretsManagerVault(lambda: client("secretsmanager")),
        clouds=_cloud_calls(),
        in_use=lambda runtime_id: DynamoClusters(table("clusters")).runtime_in_use(runtime_id),
        clock=clock(),
    )
