"""From the presigned address to the store over moto's S3 and DynamoDB, wired as on AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import boto3
import pytest
from moto import mock_aws

from functions.catalog.app import app as catalog_app
from functions.repos.app import app as repos_app
from functions.repos.on_package_uploaded import handler
from pitrix import bootstrap
from pitrix.catalog.model import AppPatch
from pitrix.errors import NotFound, TooLarge
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.repos.s3 import S3UploadBucket
from tests.dynamo import create_dynamo_table
from tests.unit.catalog.kit import OPERATOR, PNG, RIVAL, VENDOR, call, package

UPLOADS, KEPT = "pitrix-packages", "pitrix-catalog"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Tables and buckets of a deployment, seeded; the buckets' client."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "TABLE_CATALOG": "pitrix-catalog-table",
        "TABLE_REPOS": "pitrix-repos-table",
        "BUCKET_PACKAGES": UPLOADS,
        "BUCKET_CATALOG": KEPT,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "EVENT_BUS"):
        monkeypatch.delenv(name, raising=False)
    # An empty cache, so that every part is built for this deployment, and the old one back afterwards.
    monkeypatch.setattr(bootstrap, "_built", {})
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in (UPLOADS, KEPT):
            s3.create_bucket(Bucket=bucket)
        for table in ("pitrix-catalog-table", "pitrix-repos-table"):
            create_dynamo_table(table)
        bootstrap.catalog().ensure_categories(SYSTEM)
        bootstrap.repos().ensure_platform_repo(SYSTEM)
        yield s3


def announce(filename: str, who: Any = VENDOR, **more: Any) -> Any:
    return call(
        repos_app,
        "POST",
        "/v1/repos/{repo_id}/packages",
        who=who,
        body={"filename": filename, "size_bytes": 1, **more},
        repo_id="repo_platform",
    ).json


def notify(key: str) -> None:
    """Deliver what S3 says of an upload, twice, as it may."""
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": UPLOADS}, "object": {"key": quote_plus(key), "sequencer": f"1{key}"}},
    }
    for _ in range(2):
        handler({"Records": [record]}, None)


def test_an_uploaded_package_is_sold_from_a_copy(aws: Any) -> None:
    data = package("shop", extra={"icon.png": PNG}, icon="icon.png", category="Web")
    ticket = announce("shop-1.0.0.tgz", size_bytes=len(data))
    address = urlsplit(ticket["upload_url"])
    assert address.path.endswith(ticket["key"])
    signed = parse_qs(address.query)
    assert signed["X-Amz-SignedHeaders"] == ["content-length;host"]
    assert not [name for name in signed if "checksum" in name.lower()]

    aws.put_object(Bucket=UPLOADS, Key=ticket["key"], Body=data)
    notify(ticket["key"])
    listed = call(catalog_app, "GET", "/v1/apps", query={"search": "SHOP"}).json["items"]
    assert [(app["name"], app["categories"]) for app in listed] == [("shop", ["cat_web"])]

    key = {"app_id": listed[0]["app_id"], "version_id": listed[0]["latest_version_id"]}
    aws.delete_object(Bucket=UPLOADS, Key=ticket["key"])
    assert bootstrap.catalog().load_package(ANONYMOUS, key["version_id"]).name == "shop"
    version = "/v1/apps/{app_id}/versions/{version_id}"
    assert call(catalog_app, "GET", version + "/form", query={"locale": "zh-cn"}, **key).status == 200
    readme = call(catalog_app, "GET", version + "/files/{path+}", path="README.md", **key)
    assert readme.text == "# shop\n"

    download = urlsplit(call(catalog_app, "GET", version + "/package", **key).headers["Location"])
    kept = aws.get_object(Bucket=KEPT, Key=download.path.removeprefix("/"))
    assert kept["Body"].read() == data
    shown = call(catalog_app, "GET", "/v1/apps/{app_id}/icon", app_id=key["app_id"])
    icon = urlsplit(shown.headers["Location"])
    picture = aws.get_object(Bucket=KEPT, Key=icon.path.removeprefix("/"))
    assert (picture["Body"].read(), picture["ContentType"]) == (PNG, "image/png")
    assert picture["ContentDisposition"] == "attachment"

    events = call(repos_app, "GET", "/v1/repos/{repo_id}/events", who=VENDOR, repo_id="repo_platform").json
    assert [event["outcome"] for event in events["items"]] == ["indexed"]


def test_a_broken_upload_and_a_taken_name_change_nothing(aws: Any) -> None:
    for who, filename, data in (
        (VENDOR, "shop.tgz", package()),
        (VENDOR, "broken.tgz", b"no archive"),
        (RIVAL, "shop.tgz", package(version="2.0.0")),
    ):
        key = announce(filename, who)["key"]
        aws.put_object(Bucket=UPLOADS, Key=key, Body=data)
        notify(key)
    listed = call(catalog_app, "GET", "/v1/apps").json["items"]
    assert [(app["name"], app["latest_version"]) for app in listed] == [("shop", "1.0.0")]
    events = call(repos_app, "GET", "/v1/repos/{repo_id}/events", who=OPERATOR, repo_id="repo_platform").json
    assert [event["outcome"] for event in events["items"]] == ["refused", "refused", "indexed"]
    assert events["items"][1]["problems"][0]["message"]


def test_lists_on_dynamodb_are_what_they_are_in_memory(aws: Any) -> None:
    repos, catalog = bootstrap.repos(), bootstrap.catalog()
    for number in range(5):
        key = f"repo_platform/a{number}.tgz"
        aws.put_object(Bucket=UPLOADS, Key=key, Body=package(f"app-{number}"))
        assert repos.index_one(OPERATOR, "repo_platform", key).outcome == "indexed"
    assert repos.statistics(OPERATOR, "repo_platform").totals.versions == 5
    ids = {app.name: app.app_id for app in catalog.list_apps(ANONYMOUS).apps}
    for cluster in ("cl_1", "cl_1", "cl_2"):
        catalog.count_deployment(SYSTEM, ids["app-3"], cluster)
    catalog.edit_app(OPERATOR, ids["app-1"], AppPatch(visibility="private"))

    def names(**query: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = catalog.list_apps(ANONYMOUS, limit=2, cursor=cursor, **query)
            found += [app.name for app in page.apps]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert names(sort="newest") == ["app-4", "app-3", "app-2", "app-0"]
    assert names(sort="name") == ["app-0", "app-2", "app-3", "app-4"]
    assert names(sort="deployed")[0] == "app-3"
    assert names(name="APP-2") == ["app-2"]
    assert catalog.statistics(OPERATOR).deployments == 2


def test_an_upload_that_is_too_large_or_gone(aws: Any) -> None:
    bucket = S3UploadBucket(lambda: aws, UPLOADS)
    aws.put_object(Bucket=UPLOADS, Key="repo_platform/a.tgz", Body=b"x" * 11)
    assert bucket.read("repo_platform/a.tgz", at_most_bytes=11) == b"x" * 11
    with pytest.raises(TooLarge):
        bucket.read("repo_platform/a.tgz", at_most_bytes=10)
    with pytest.raises(NotFound):
        bucket.read("repo_platform/b.tgz", at_most_bytes=10)


def test_objects_of_a_bucket_come_in_pages(aws: Any) -> None:
    for number in range(3):
        aws.put_object(Bucket=UPLOADS, Key=f"repo_platform/{number}.tgz", Body=b"x")
    aws.put_object(Bucket=UPLOADS, Key="repo_platform_two/0.tgz", Body=b"x")
    bucket = S3UploadBucket(lambda: aws, UPLOADS)
    first = bucket.list_objects("repo_platform/", limit=2, cursor=None)
    rest = bucket.list_objects("repo_platform/", limit=2, cursor=first.next_cursor)
    keys = [found.key for found in first.objects + rest.objects]
    assert keys == [f"repo_platform/{number}.tgz" for number in range(3)]
    assert rest.next_cursor is None
