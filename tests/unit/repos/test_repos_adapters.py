"""What the repositories stand on in AWS, as moto plays it: DynamoDB, S3, Secrets Manager, Step Functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pitrix.catalog.dynamo import TableAppStore
from pitrix.catalog.s3 import S3PackageStore
from pitrix.catalog.service import CatalogService
from pitrix.clock import FixedClock
from pitrix.errors import Conflict
from pitrix.events import NullBus
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.packages import service as packages
from pitrix.repos.aws import StepFunctionsSyncs
from pitrix.repos.model import Credential, RepoRequest, Sync, SyncState
from pitrix.repos.s3 import S3SyncObjects, S3UploadBucket
from pitrix.repos.vault import RepoVault
from pitrix.table_dynamo import DynamoTable
from pitrix.vault import SecretsManagerVault
from tests.dynamo import create_dynamo_table
from tests.unit.catalog.kit import OPERATOR, START, package
from tests.unit.repos.kit import FakeSource, ReposKit

UPLOADS, KEPT, URL = "uploads", "kept", "https://charts.test"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The buckets' client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in (UPLOADS, KEPT):
            s3.create_bucket(Bucket=bucket)
        yield s3


def deployed(s3: Any) -> tuple[ReposKit, CatalogService, FixedClock]:
    """The context on real adapters, but for the sources and the state machine."""
    for name in ("repos", "catalog"):
        create_dynamo_table(name)
    clock = FixedClock(START)
    catalog = CatalogService(
        apps=TableAppStore(DynamoTable("catalog", region="us-east-1")),
        archives=S3PackageStore(lambda: s3, KEPT),
        reader=packages,
        events=NullBus(),
        clock=clock,
    )
    kit = ReposKit(
        table=DynamoTable("repos", region="us-east-1"),
        uploads=S3UploadBucket(lambda: s3, UPLOADS),
        catalog=catalog,
        events=NullBus(),
        clock=clock,
        objects=S3SyncObjects(lambda: s3, KEPT),
    )
    catalog.ensure_categories(SYSTEM)
    return kit, catalog, clock


def test_syncs_on_dynamodb_and_s3_do_what_they_do_in_memory(aws: Any) -> None:
    kit, catalog, clock = deployed(aws)
    source = kit.sources.by_url[URL] = FakeSource({f"app-{n}": package(f"app-{n}") for n in range(6)})
    repo = kit.service.create_repo(OPERATOR, RepoRequest(name="a", kind="http", url=URL, visibility="public"))
    kit.carry_out()
    del source.packages["app-0"]
    source.packages["bad"] = b"broken"
    clock.advance(3600)
    assert kit.syncs.start_due(SYSTEM) == 1
    kit.carry_out()
    assert sorted(app.name for app in catalog.list_apps(ANONYMOUS).apps) == [f"app-{n}" for n in range(1, 6)]
    found = kit.service.statistics(OPERATOR, repo.repo_id)
    assert found.last_sync is not None
    assert (found.last_sync.counts.removed, found.last_sync.counts.refused) == (1, 1)
    assert (found.totals.versions, found.totals.refused) == (5, 1)
    outcomes = [event.outcome for event in kit.service.list_events(OPERATOR, repo.repo_id).events]
    assert outcomes == ["synced", "refused", "synced"]
    assert len(kit.objects.keys("syncs/")) == 1
    kit.service.delete_repo(OPERATOR, repo.repo_id)
    kit.carry_out()
    assert catalog.list_apps(ANONYMOUS).apps == []
    assert kit.store.sync_state(repo.repo_id) is None


def test_a_state_is_written_by_one_of_those_who_read_it(aws: Any) -> None:
    kit, _, _ = deployed(aws)
    first = kit.store.save_sync_state(SyncState(repo_id="repo_1", next_at=START))
    with pytest.raises(Conflict):
        kit.store.save_sync_state(SyncState(repo_id="repo_1"))
    assert kit.store.due(START, limit=5) == ["repo_1"]
    second = kit.store.save_sync_state(replace(first, next_at=None))
    assert kit.store.due(START, limit=5) == []
    with pytest.raises(Conflict):
        kit.store.save_sync_state(first)
    assert kit.store.sync_state("repo_1") == second


def test_objects_of_syncs(aws: Any) -> None:
    objects = S3SyncObjects(lambda: aws, KEPT)
    assert objects.read("syncs/a") is None
    for key in ("syncs/a", "syncs/b", "other"):
        objects.write(key, key.encode())
    assert objects.read("syncs/a") == b"syncs/a"
    assert objects.keys("syncs/") == ["syncs/a", "syncs/b"]
    objects.delete(objects.keys("syncs/"))
    objects.delete([])
    assert objects.keys("") == ["other"]


def test_a_refused_upload_is_marked_for_the_lifecycle_rule(aws: Any) -> None:
    aws.put_object(Bucket=UPLOADS, Key="x.tgz", Body=b"x")
    S3UploadBucket(lambda: aws, UPLOADS).let_expire("x.tgz")
    marked = aws.get_object_tagging(Bucket=UPLOADS, Key="x.tgz")["TagSet"]
    assert marked == [{"Key": "refused", "Value": "true"}]


def test_credentials_lie_under_the_repositorys_name(aws: Any) -> None:
    client = boto3.client("secretsmanager", region_name="us-east-1")
    vault = RepoVault(SecretsManagerVault(lambda: client, of="repository"))
    assert vault.get("repo_1") is None
    secret = Credential(username="u", password="p")
    vault.put("repo_1", secret)
    assert vault.get("repo_1") == secret
    kept = client.get_secret_value(SecretId="pitrix/repos/repo_1")
    assert json.loads(kept["SecretString"]) == {"username": "u", "password": "p"}
    assert "repository" in client.describe_secret(SecretId="pitrix/repos/repo_1")["Description"]
    vault.delete("repo_1")
    vault.delete("repo_1")
    assert vault.get("repo_1") is None


def test_an_execution_is_named_after_its_sync(aws: Any) -> None:
    client = boto3.client("stepfunctions", region_name="us-east-1")
    machine = client.create_state_machine(
        name="m",
        definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
        roleArn="arn:aws:iam::123456789012:role/r",
    )
    sync = Sync(sync_id="sync_1", repo_id="repo_1", started_at=START)
    syncs = StepFunctionsSyncs(lambda: client, machine["stateMachineArn"])
    syncs.start(sync)
    syncs.start(sync)
    (execution,) = client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    assert execution["name"] == "sync_1"
    given = client.describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(given) == {"repo_id": "repo_1", "sync_id": "sync_1"}
