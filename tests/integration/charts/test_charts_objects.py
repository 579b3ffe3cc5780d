"""Long indexes and provenance files as objects of S3, by the addresses that clients are sent to."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
import requests
from moto import mock_aws

from pitrix import bootstrap
from pitrix.catalog.s3 import S3PackageStore

BUCKET = "pitrix-catalog"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3PackageStore]:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(bootstrap, "_built", {})
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield S3PackageStore(bootstrap.presigning_s3, BUCKET)


def test_an_index_is_sent_plain_or_packed(store: S3PackageStore) -> None:
    assert store.index_stored_at("repo_a/1.json") is None
    store.put_index("repo_a/1.json", b'{"a": 1}', gzipped=False)
    store.put_index("repo_a/1.json.gz", gzip.compress(b'{"a": 1}'), gzipped=True)
    stored_at = store.index_stored_at("repo_a/1.json")
    assert stored_at is not None
    assert abs(datetime.now(UTC) - stored_at) < timedelta(minutes=1)
    plain = requests.get(store.index_url("repo_a/1.json", 60), timeout=10)
    packed = requests.get(store.index_url("repo_a/1.json.gz", 60), timeout=10)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.json() == packed.json() == {"a": 1}


def test_a_provenance_has_a_name(store: S3PackageStore) -> None:
    store.put_provenance("ver_1", b"signed")
    answer = requests.get(store.provenance_url("ver_1", "shop-1.0.0.tgz.prov", 60), timeout=10)
    assert answer.content == b"signed"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="shop-1.0.0.tgz.prov"'
