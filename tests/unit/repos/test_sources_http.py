"""Chart repositories: what of an index is kept, and how it is asked for again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from pitrix.errors import InvalidInput, NotFound, PackageInvalid, PitrixError, SourceUnavailable
from pitrix.repos.model import Credential, Listing
from pitrix.repos.ports import PackageSource
from pitrix.repos.sources import SourceRegistry, index
from tests.contract.source_worlds import chart, repo_of
from tests.loopback import Loopback, Reply, Seen, loopback

ARCHIVE = chart("app", "1.0.0")
DIGEST = sha256(ARCHIVE).hexdigest()
BASE = "https://charts.example.com/stable"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def registry() -> Iterator[SourceRegistry]:
    made = SourceRegistry(allowed_networks=["127.0.0.0/8"])
    yield made
    made.close()


def listed(source: PackageSource, validator: str = "") -> Listing:
    found = source.listing(validator)
    assert found is not None
    return found


def indexed(*charts: Any, **fields: Any) -> bytes:
    """An index in JSON of one application with these versions."""
    return json.dumps({"apiVersion": "v1", "entries": {"app": list(charts)}} | fields).encode()


def entry(**fields: Any) -> dict[str, Any]:
    """A good entry, but for these fields; ``None`` leaves one away."""
    whole = {"name": "app", "version": "1.0.0", "urls": ["app-1.0.0.tgz"], "digest": DIGEST} | fields
    return {name: value for name, value in whole.items() if value is not None}


YAML = b"""\
apiVersion: v1
entries:
  app:
  - apiVersion: v2
    created: 2024-02-29T10:00:00.123456789Z
    digest: %s
    name: app
    urls: [app-1.0.0.tgz]
    version: 1.0.0
  other:
  - {name: other, version: "0.1.0", created: "2024-01-01T00:00:00Z", urls: [https://cdn.example.com/o.tgz]}
generated: 2024-03-01T00:00:00Z
""" % DIGEST.encode()


def test_yaml_and_json_mean_the_same() -> None:
    import yaml

    as_json = json.dumps(yaml.safe_load(YAML), default=str).encode()
    from_yaml, _ = index.read(YAML, BASE, with_provenance=True)
    from_json, _ = index.read(as_json, BASE, with_provenance=True)
    assert [e.key for e in from_yaml] == ["app/1.0.0", "other/0.1.0"]
    assert [(e.key, e.location, e.provenance) for e in from_yaml] == [
        (e.key, e.location, e.provenance) for e in from_json
    ]
    assert from_yaml[0].tag == from_json[0].tag == f"sha256:{DIGEST}"
    assert from_yaml[0].location == f"{BASE}/app-1.0.0.tgz"
    assert from_yaml[1].provenance == "https://cdn.example.com/o.tgz.prov"


@pytest.mark.parametrize(
    ("base", "reference", "resolved"),
    [
        (BASE, "app.tgz", f"{BASE}/app.tgz"),
        (f"{BASE}/", "app.tgz", f"{BASE}/app.tgz"),
        (BASE, "charts/app.tgz", f"{BASE}/charts/app.tgz"),
        (BASE, "../app.tgz", "https://charts.example.com/app.tgz"),
        (BASE, "/app.tgz", "https://charts.example.com/app.tgz"),
        (BASE, "//cdn.example.com/app.tgz", "https://cdn.example.com/app.tgz"),
        (BASE, "https://cdn.example.com/app.tgz?x=1", "https://cdn.example.com/app.tgz?x=1"),
        (f"{BASE}?token=t", "app.tgz", f"{BASE}/app.tgz?token=t"),
        (f"{BASE}?token=t", "app.tgz?own=o", f"{BASE}/app.tgz?own=o"),
        (f"{BASE}?token=t", "https://cdn.example.com/app.tgz", "https://cdn.example.com/app.tgz"),
        (BASE, "oci://registry.example.com/app:1.0.0", "oci://registry.example.com/app:1.0.0"),
    ],
)
def test_addresses_are_resolved_as_helm_does(base: str, reference: str, resolved: str) -> None:
    assert index.resolve_url(base, reference) == resolved


BROKEN = [
    (entry(version=None), "no text"),
    (entry(version=1.1), "in quotes"),
    (entry(version=""), "is none"),
    (entry(version="1.0.0/../../x"), "is none"),
    (entry(version="1.0.0\n"), "is none"),
    (entry(name="../x"), "cannot be kept"),
    (entry(name=["app"]), "cannot be kept"),
    (entry(name=""), "cannot be kept"),
    (entry(urls=None), "no address"),
    (entry(urls=[]), "no address"),
    (entry(urls="app.tgz"), "no address"),
    (entry(urls=[None, 5, ""]), "no address"),
    (entry(urls=["file:///etc/passwd"]), "none that packages"),
    (entry(urls=["javascript:alert(1)"]), "none that packages"),
    (entry(urls=["https://[::1"]), "none"),
    ("a text", "no mapping"),
    (None, "no mapping"),
    (entry(), "listed twice"),
]


@pytest.mark.parametrize(("broken", "why"), BROKEN)
@pytest.mark.parametrize("dialect", ["json", "yaml"])
def test_a_broken_entry_is_skipped_alone(broken: Any, why: str, dialect: str) -> None:
    data = indexed(entry(), broken, entry(version="2.0.0"))
    data = data if dialect == "json" else b"# YAML, therefore\n" + data
    entries, skipped = index.read(data, BASE, with_provenance=False)
    assert [found.key for found in entries] == ["app/1.0.0", "app/2.0.0"]
    assert skipped.count == 1
    assert why in skipped.reasons[0]
    assert "app" in skipped.reasons[0]


def test_versions_that_are_no_list_hide_no_other_app() -> None:
    data = json.dumps({"apiVersion": "v1", "entries": {"a": {"x": 1}, "b": None, "app": [entry()]}}).encode()
    entries, skipped = index.read(data, BASE, with_provenance=False)
    assert ([found.key for found in entries], skipped.count) == (["app/1.0.0"], 2)


def test_reasons_are_kept_for_the_first_hundred() -> None:
    _, skipped = index.read(indexed(*[entry(urls=[])] * 500), BASE, with_provenance=False)
    assert (skipped.count, len(skipped.reasons)) == (500, 100)


def test_without_a_digest_the_address_and_the_date_tell_a_change() -> None:
    def tag(**fields: Any) -> str:
        [found], _ = index.read(indexed(entry(digest=None, **fields)), BASE, with_provenance=False)
        return found.tag

    assert tag(created="2024-01-01") == tag(created="2024-01-01")
    assert len({tag(created="2024-01-01"), tag(created="2024-01-02"), tag(urls=["x.tgz"])}) == 3
    [found], _ = index.read(indexed(entry(digest="md5:abc")), BASE, with_provenance=False)
    assert found.tag.startswith("url:")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<!DOCTYPE html><title>Not found</title>", "index"),
        (b"", "no mapping"),
        (b"[]", "no mapping"),
        (b"{}", "apiVersion"),
        (b'{"apiVersion": "", "entries": {}}', "apiVersion"),
        (b'{"apiVersion": 1, "entries": {}}', "apiVersion"),
        (b'{"apiVersion": "v2", "entries": {}}', "'v2'"),
        (b'{"apiVersion": "v1", "entries": []}', "entries are no mapping"),
        (b"apiVersion: v1\nentries: &a [*a]\n", "index"),
        (b"\xff\xfe\x00", "index"),
        (b'{"apiVersion": "v1", "entries": {"a": [{"urls": ' + b"[" * 100_000 + b"]" * 100_000, "index"),
        (b"entries: {a: " + b"[" * 5000, "index"),
    ],
)
def test_what_is_no_index_is_refused_for_good(data: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        index.read(data, BASE, with_provenance=False)


def test_what_is_no_index_is_not_quoted() -> None:
    with pytest.raises(InvalidInput, match=r"line 2") as refused:
        index.read(b"a: 1\n  password: %secret\n", BASE, with_provenance=False)
    assert "secret" not in refused.value.detail
    assert "password" not in refused.value.detail


@pytest.mark.parametrize("value", [b"{}", b'{"urls": ["a", "a"]}', b"1"])
def test_a_million_tiny_values_are_not_built(monkeypatch: pytest.MonkeyPatch, value: bytes) -> None:
    monkeypatch.setattr(index, "MAX_MARKS", 1000)
    data = b'{"apiVersion": "v1", "entries": {"a": [' + b",".join([value] * 1000) + b"]}}"
    with pytest.raises(InvalidInput, match="1,000 values"):
        index.read(data, BASE, with_provenance=False)


def test_an_empty_index_is_one() -> None:
    assert index.read(b"apiVersion: v1\nentries: {}\n", BASE, with_provenance=False)[0] == []
    assert index.read(b'{"apiVersion": "v1", "entries": null}', BASE, with_provenance=False)[0] == []


# --- over the wire -----------------------------------------------------------------------------------------


def test_an_unchanged_index_costs_one_304(server: Loopback, registry: SourceRegistry) -> None:
    server.serve_file("/c/index.yaml", YAML, etag='W/"abc"', packed=True)
    source = registry.connect(repo_of("http", url=f"{server.url}/c"), None)
    first = listed(source)
    assert first.size_bytes == len(gzip.compress(YAML))
    assert source.listing(first.validator) is None
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None, 'W/"abc"']


def test_dates_do_where_there_is_no_entity_tag(server: Loopback, registry: SourceRegistry) -> None:
    date = "Mon, 02 Jan 2006 15:04:05 GMT"

    def answer(seen: Seen) -> Reply:
        if seen.headers.get("if-modified-since") == date:
            return Reply(status=304)
        return Reply(YAML, headers={"Last-Modified": date})

    server.routes["/index.yaml"] = answer
    source = registry.connect(repo_of("http", url=server.url), None)
    assert source.listing(listed(source).validator) is None


def test_a_server_without_conditions_is_not_read_twice(server: Loopback, registry: SourceRegistry) -> None:
    server.serve("/index.yaml", YAML)
    source = registry.connect(repo_of("http", url=server.url), None)
    first = listed(source)
    assert source.listing(first.validator) is None
    server.serve("/index.yaml", YAML.replace(b"0.1.0", b"0.1.1"))
    assert listed(source, first.validator).entries[1].key == "other/0.1.1"


def test_a_validator_is_good_for_its_repository_alone(server: Loopback, registry: SourceRegistry) -> None:
    for path in ("/a/index.yaml", "/b/index.yaml"):
        server.serve_file(path, YAML, etag='"same"')
    first = listed(registry.connect(repo_of("http", url=f"{server.url}/a"), None))
    other = registry.connect(repo_of("http", url=f"{server.url}/b"), None)
    assert other.listing(first.validator) is not None
    for broken in ("{", "[]", '{"scope": 5}', "null"):
        assert other.listing(broken) is not None


def test_a_304_that_nobody_asked_for_is_no_answer(server: Loopback, registry: SourceRegistry) -> None:
    server.routes["/index.yaml"] = lambda _: Reply(status=304)
    with pytest.raises(SourceUnavailable):
        registry.connect(repo_of("http", url=server.url), None).listing()


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (404, InvalidInput, "no index.yaml"),
        (410, InvalidInput, "no index.yaml"),
        (401, InvalidInput, "credential"),
        (403, InvalidInput, "credential"),
        (429, SourceUnavailable, "slow down"),
        (502, SourceUnavailable, "502"),
    ],
)
def test_failures_are_told_without_what_the_server_said(
    server: Loopback, registry: SourceRegistry, status: int, error: type[PitrixError], word: str
) -> None:
    server.routes["/index.yaml"] = lambda _: Reply(b"inner secret", status=status)
    with pytest.raises(error, match=word) as raised:
        registry.connect(repo_of("http", url=server.url), None).listing()
    assert "secret" not in raised.value.detail


def test_an_index_that_is_too_large(
    server: Loopback, registry: SourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MAX_INDEX_BYTES", 1000)
    server.serve("/index.yaml", gzip.compress(b" " * 1001), Content_Encoding="gzip")
    with pytest.raises(InvalidInput, match="too large"):
        registry.connect(repo_of("http", url=server.url), None).listing()


def serve_one(server: Loopback, **fields: Any) -> None:
    """An index of one entry, and its archive."""
    server.serve("/index.yaml", indexed(entry(**fields)))
    server.serve("/app-1.0.0.tgz", ARCHIVE)


def fetched(source: PackageSource) -> Any:
    """What is behind the one entry."""
    [found] = listed(source).entries
    return source.fetch(found, at_most_bytes=1_000_000)


def test_an_archive_that_was_not_listed_is_refused(server: Loopback, registry: SourceRegistry) -> None:
    serve_one(server, digest="0" * 64)
    with pytest.raises(PackageInvalid, match="digest") as refused:
        fetched(registry.connect(repo_of("http", url=server.url), None))
    assert DIGEST in refused.value.detail


def test_the_next_address_is_tried(server: Loopback, registry: SourceRegistry) -> None:
    with loopback() as gone:
        dead = gone.url
    serve_one(server, urls=[f"{dead}/x.tgz", "missing.tgz", "app-1.0.0.tgz", "never-asked.tgz"])
    assert fetched(registry.connect(repo_of("http", url=server.url), None)).archive == ARCHIVE
    assert server.paths() == ["/index.yaml", "/missing.tgz", "/app-1.0.0.tgz", "/app-1.0.0.tgz.prov"]


def test_an_archive_that_is_gone(server: Loopback, registry: SourceRegistry) -> None:
    serve_one(server, urls=["missing.tgz"])
    with pytest.raises(NotFound, match="404"):
        fetched(registry.connect(repo_of("http", url=server.url), None))


def test_an_archive_labelled_as_packed_stays_as_it_is(server: Loopback, registry: SourceRegistry) -> None:
    """Some servers say of a .tgz that it is a tar packed with gzip; Helm keeps the bytes, and so do we."""
    serve_one(server)
    server.serve("/app-1.0.0.tgz", ARCHIVE, Content_Encoding="gzip")
    assert fetched(registry.connect(repo_of("http", url=server.url), None)).archive == ARCHIVE


def test_the_login_goes_to_its_own_origin_only(server: Loopback, registry: SourceRegistry) -> None:
    with loopback() as cdn:
        cdn.serve("/app.tgz", ARCHIVE)
        server.serve("/index.yaml", indexed(entry(urls=[f"{cdn.url}/app.tgz"])))
        credential = Credential(username="me", password="secret")
        source = registry.connect(repo_of("http", url=server.url), credential)
        assert fetched(source).archive == ARCHIVE
        assert "authorization" in server.seen[0].headers
        assert [seen.path for seen in cdn.seen] == ["/app.tgz", "/app.tgz.prov"]
        assert not any("authorization" in seen.headers for seen in cdn.seen)


@pytest.mark.parametrize("status", [404, 403])
def test_no_provenance_is_none(server: Loopback, registry: SourceRegistry, status: int) -> None:
    serve_one(server)
    server.routes["/app-1.0.0.tgz.prov"] = lambda _: Reply(status=status)
    assert fetched(registry.connect(repo_of("http", url=server.url), None)).provenance is None


def test_provenance_that_cannot_be_had_now_is_no_none(server: Loopback, registry: SourceRegistry) -> None:
    """Otherwise a repository that requires signatures would refuse a package over a moment's failure."""
    serve_one(server)
    server.routes["/app-1.0.0.tgz.prov"] = lambda _: Reply(status=503)
    with pytest.raises(SourceUnavailable):
        fetched(registry.connect(repo_of("http", url=server.url), None))


@pytest.mark.parametrize(
    ("url", "credential", "field"),
    [
        ("", None, "url"),
        ("ftp://example.com", None, "url"),
        ("https://me:secret@example.com", None, "url"),
        ("https://example.com", Credential(access_key_id="A", secret_access_key="s"), "credential"),
        ("https://example.com", Credential(username="a:b", password="c"), "credential"),
    ],
)
def test_what_cannot_be_a_chart_repository(
    registry: SourceRegistry, url: str, credential: Credential | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        registry.connect(repo_of("http", url=url), credential)
    assert [error.field for error in refused.value.errors] == [field]
    assert "secret" not in refused.value.detail
