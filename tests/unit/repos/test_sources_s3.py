"""Buckets of others: whose keys they are read with, over which connection, and what their errors mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pitrix.errors import InvalidInput, NotFound, PitrixError, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential, SourceEntry
from pitrix.repos.ports import PackageSource
from pitrix.repos.sources import SourceRegistry, objects
from tests.contract.source_worlds import repo_of
from tests.loopback import Loopback, Reply, Seen, loopback

KEYS = Credential(access_key_id="AKIDTHEIRS", secret_access_key="their-secret")
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nxx"
ENTRY = SourceEntry(key="a-1.0.0.tgz", tag="t", location="a-1.0.0.tgz")


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def registry() -> Iterator[SourceRegistry]:
    made = SourceRegistry(allowed_networks=["127.0.0.0/8"])
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _platform_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's own credentials, as a function finds them in its environment; and no waiting."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDPLATFORM")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "platform-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "platform-token")
    monkeypatch.setattr(time, "sleep", lambda _: None)


def source(registry: SourceRegistry, server: Loopback, credential: Credential | None = KEYS) -> PackageSource:
    return registry.connect(repo_of("s3", url="s3://bucket", endpoint=server.url), credential)


def page(*keys: str, more: str = "") -> bytes:
    """A page of a listing."""
    found = "".join(
        f'<Contents><Key>{key}</Key><ETag>"e-{key}"</ETag><Size>7</Size></Contents>' for key in keys
    )
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{token}{found}</ListBucketResult>"
    ).encode()


def failure(status: int, code: str) -> Any:
    """A route that answers as S3 does when it fails."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>inner secret</Message></Error>'
    return lambda _: Reply(body.encode(), status=status, headers={"Content-Type": "application/xml"})


def test_requests_are_signed_with_the_repositorys_keys(server: Loopback, registry: SourceRegistry) -> None:
    server.serve("/bucket", page("a-1.0.0.tgz"))
    assert source(registry, server).listing() is not None
    sent = server.seen[0].headers
    assert "Credential=AKIDTHEIRS/" in sent["authorization"]
    assert "x-amz-security-token" not in sent


def test_without_keys_requests_are_anonymous_and_never_the_platforms(
    server: Loopback, registry: SourceRegistry
) -> None:
    server.serve("/bucket", page("a-1.0.0.tgz"))
    server.serve("/bucket/a-1.0.0.tgz", b"archive")
    anonymous = source(registry, server, None)
    assert anonymous.listing() is not None
    assert anonymous.fetch(ENTRY, at_most_bytes=10).archive == b"archive"
    for seen in server.seen:
        assert "authorization" not in seen.headers
        assert "x-amz-security-token" not in seen.headers
        assert "AKIDPLATFORM" not in seen.path


def test_the_environments_endpoint_and_proxies_are_not_used(
    server: Loopback, registry: SourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback() as other:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, other.url)
        server.serve("/bucket", page())
        assert source(registry, server).listing() is not None
        assert other.seen == []


def test_every_page_is_read(server: Loopback, registry: SourceRegistry) -> None:
    def pages(seen: Seen) -> Reply:
        if "continuation-token=next" in seen.path:
            return Reply(page("b-1.0.0.tgz", "b-1.0.0.tgz.prov"))
        return Reply(page("a-1.0.0.tgz", "notes.txt", more="next"))

    server.routes["/bucket"] = pages
    found = source(registry, server).listing()
    assert found is not None
    assert [(entry.key, entry.provenance) for entry in found.entries] == [
        ("a-1.0.0.tgz", ""), ("b-1.0.0.tgz", "b-1.0.0.tgz.prov"),
    ]  # fmt: skip
    assert [entry.size_bytes for entry in found.entries] == [7, 7]


def test_a_listing_that_never_ends_is_given_up(
    server: Loopback, registry: SourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = iter(range(10_000))
    server.routes["/bucket"] = lambda _: Reply(page(f"a-{next(count)}.tgz", more="again"))
    monkeypatch.setattr(objects, "MAX_ENTRIES", 20)
    with pytest.raises(InvalidInput, match="more than 20 packages"):
        source(registry, server).listing()
    monkeypatch.setattr("pitrix.repos.sources.s3.LISTING_TIME_S", 0.0)
    with pytest.raises(SourceUnavailable, match="takes more than"):
        source(registry, server).listing()


@pytest.mark.parametrize(
    ("status", "code", "error", "word"),
    [
        (403, "AccessDenied", InvalidInput, "may not be read with this credential"),
        (403, "InvalidAccessKeyId", InvalidInput, "credential"),
        (403, "SignatureDoesNotMatch", InvalidInput, "credential"),
        (404, "NoSuchBucket", InvalidInput, "no bucket 'bucket'"),
        (400, "AuthorizationHeaderMalformed", InvalidInput, "another region"),
        (301, "PermanentRedirect", InvalidInput, "another region"),
        (307, "TemporaryRedirect", InvalidInput, "another region"),
        (400, "PermanentRedirect", InvalidInput, "another region"),
        (400, "IllegalLocationConstraintException", InvalidInput, "another region"),
        (400, "InvalidRequest", InvalidInput, "refuses"),
        (503, "SlowDown", SourceUnavailable, "cannot answer now"),
        (500, "InternalError", SourceUnavailable, "cannot answer now"),
    ],
)
def test_errors_of_the_store_say_whether_to_come_again(
    server: Loopback, registry: SourceRegistry, status: int, code: str, error: type[PitrixError], word: str
) -> None:
    server.routes["/bucket"] = failure(status, code)
    with pytest.raises(error, match=word) as raised:
        source(registry, server).listing()
    assert "secret" not in raised.value.detail


def test_passing_failures_are_tried_again(server: Loopback, registry: SourceRegistry) -> None:
    answers = [failure(503, "SlowDown"), failure(500, "InternalError"), lambda _: Reply(page("a-1.0.0.tgz"))]
    server.routes["/bucket"] = lambda seen: answers[len(server.seen) - 1](seen)
    found = source(registry, server).listing()
    assert found is not None
    assert len(server.seen) == 3


def test_redirects_of_an_endpoint_are_not_followed(server: Loopback, registry: SourceRegistry) -> None:
    with loopback() as other:
        server.routes["/bucket"] = lambda _: Reply(status=307, headers={"Location": f"{other.url}/bucket"})
        with pytest.raises(InvalidInput):
            source(registry, server).listing()
        assert other.seen == []


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b"<?xml version='1.0'?><Other/>"])
def test_what_is_no_store_is_told_or_empty(server: Loopback, registry: SourceRegistry, body: bytes) -> None:
    server.serve("/bucket", body)
    try:
        found = source(registry, server).listing()
    except SourceUnavailable as error:
        assert "cannot answer now" in error.detail or "as S3 does" in error.detail  # noqa: PT017
    else:
        assert found is not None
        assert found.entries == []


def test_entities_do_not_blow_a_page_up(server: Loopback, registry: SourceRegistry) -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "0123456789">{levels}]><x>&a11;</x>'
    server.serve("/bucket", bomb.encode())
    began = time.monotonic()
    with pytest.raises(SourceUnavailable):
        source(registry, server).listing()
    assert time.monotonic() - began < 5


def test_an_object_larger_than_listed_is_not_read(server: Loopback, registry: SourceRegistry) -> None:
    def endless(seen: Seen) -> None:
        seen.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(100_000):
            seen.write(b"x" * 4096)

    server.routes["/bucket/a-1.0.0.tgz"] = endless
    with pytest.raises(TooLarge):
        source(registry, server).fetch(ENTRY, at_most_bytes=100_000)


def test_an_object_that_is_gone(server: Loopback, registry: SourceRegistry) -> None:
    server.routes["/bucket/a-1.0.0.tgz"] = failure(404, "NoSuchKey")
    with pytest.raises(NotFound, match=r"a-1\.0\.0\.tgz"):
        source(registry, server).fetch(ENTRY, at_most_bytes=100)


def test_keys_of_every_spelling_are_fetched(server: Loopback, registry: SourceRegistry) -> None:
    server.routes["/bucket/a%20b/%C3%BC%2B1.tgz"] = lambda _: Reply(b"found")
    entry = SourceEntry(key="x", tag="t", location="a b/ü+1.tgz")
    assert source(registry, server).fetch(entry, at_most_bytes=100).archive == b"found"


def test_amazons_own_buckets_go_to_amazons_hosts(
    registry: SourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a request would go, without sending it."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    made: Any = registry.connect(repo_of("s3", url="s3://bucket.name/x", region="eu-west-1"), None)
    assert made._client().meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"
    made._client().close()


def test_without_an_endpoint_botocore_connects_and_the_platforms_role_stays_out(
    server: Loopback, registry: SourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)  # in place of Amazon, as on a laptop
    server.serve("/bucket", page("a-1.0.0.tgz"))
    server.serve("/bucket/a-1.0.0.tgz", b"x" * 1000)
    made: Any = registry.connect(repo_of("s3", url="s3://bucket"), None)
    listing = made.listing()
    assert made.fetch(listing.entries[0], at_most_bytes=1000).archive == b"x" * 1000
    with pytest.raises(TooLarge):
        made.fetch(listing.entries[0], at_most_bytes=999)

    def cut_off(seen: Seen) -> None:
        seen.write(CUT_OFF)

    server.routes["/bucket/a-1.0.0.tgz"] = cut_off
    with pytest.raises(SourceUnavailable):
        made.fetch(listing.entries[0], at_most_bytes=1000)
    assert not any("authorization" in seen.headers for seen in server.seen)
    made._client().close()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"url": "https://bucket"}, "s3://"),
        ({"url": "s3://"}, "s3://"),
        ({"url": "s3://Bucket"}, "s3://"),
        ({"url": "s3://a..b"}, "s3://"),
        ({"url": "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/x"}, "s3://"),
        ({"url": "s3://bucket@evil.example.com/x"}, "s3://"),
        ({"url": "s3://bucket/" + "x" * 1000}, "900"),
        ({"url": "s3://bucket", "region": "x.evil.example.com/"}, "region"),
        ({"url": "s3://bucket", "region": "eu-west-1#"}, "region"),
        ({"url": "s3://bucket", "endpoint": "minio:9000"}, "http"),
        ({"url": "s3://bucket", "endpoint": "https://a:b@minio.example.com"}, "user name"),
        ({"url": "s3://bucket", "endpoint": "https://minio.example.com/?x=y"}, "query"),
    ],
)
def test_what_cannot_be_a_bucket(registry: SourceRegistry, fields: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidInput, match=word) as refused:
        registry.connect(repo_of("s3", **fields), None)
    assert [error.field for error in refused.value.errors] == [list(fields)[-1]]


@pytest.mark.parametrize(
    "credential",
    [
        Credential(username="a", password="b"),
        Credential(access_key_id="A\nB", secret_access_key="s"),
        Credential(access_key_id="A"),
    ],
)
def test_what_cannot_be_a_key(registry: SourceRegistry, credential: Credential) -> None:
    with pytest.raises(InvalidInput, match="access key"):
        registry.connect(repo_of("s3", url="s3://bucket"), credential)
