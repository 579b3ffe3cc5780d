"""Registries that misbehave, and the token dance; well-behaved ones are in the contract tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from pitrix.errors import InvalidInput, NotFound, PackageInvalid, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential, SourceEntry
from pitrix.repos.ports import PackageSource
from pitrix.repos.sources import SourceRegistry
from pitrix.repos.sources.oci import CHART, CONFIG
from pitrix.repos.sources.registry import MANIFEST, parse_reference
from tests.contract.source_worlds import chart, repo_of
from tests.loopback import Loopback, Reply, Seen, loopback

ARCHIVE = chart("app", "1.0.0")
LOGIN = Credential(username="me", password="secret")


def digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


class Scripted:
    """A registry of one chart, whose answers a test may replace."""

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.layer: dict[str, Any] = {"mediaType": CHART[0], "digest": digest(ARCHIVE), "size": len(ARCHIVE)}
        self.write()

    def write(self, tag: str = "1.0.0", **fields: Any) -> None:
        """Put a manifest under a tag."""
        config = {"mediaType": CONFIG, "digest": digest(b"{}"), "size": 2}
        held = {"schemaVersion": 2, "config": config, "layers": [self.layer]} | fields
        manifest = json.dumps(held).encode()
        kind = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest(manifest)}
        for name in (tag, digest(manifest)):
            self.server.routes[f"/v2/c/app/manifests/{name}"] = lambda _: Reply(manifest, headers=kind)
        self.server.serve("/v2/c/app/tags/list", json.dumps({"tags": [tag]}).encode())
        self.server.serve(f"/v2/c/app/blobs/{digest(ARCHIVE)}", ARCHIVE)

    def behind_tokens(self, realm: str, token: str = "t0ken") -> None:
        """Ask for a token on every path."""
        for path, route in list(self.server.routes.items()):

            def asking(seen: Seen, route: Any = route) -> Any:
                if seen.headers.get("authorization") == f"Bearer {token}":
                    return route(seen)
                challenge = f'Bearer realm="{realm}",service="the registry",scope="repository:other:push"'
                return Reply(status=401, headers={"WWW-Authenticate": challenge})

            self.server.routes[path] = asking


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with loopback() as running:
        yield Scripted(running)


@pytest.fixture
def registry() -> Iterator[SourceRegistry]:
    made = SourceRegistry(allowed_networks=["127.0.0.0/8"])
    yield made
    made.close()


def source(registry: SourceRegistry, scripted: Scripted, login: Credential | None = None) -> PackageSource:
    url = scripted.server.url.replace("http://", "oci+http://")
    return registry.connect(repo_of("oci", url=f"{url}/c/app"), login)


def entries(made: PackageSource) -> list[SourceEntry]:
    found = made.listing()
    assert found is not None
    return found.entries


def fetch(made: PackageSource) -> bytes:
    [entry] = entries(made)
    return made.fetch(entry, at_most_bytes=10_000).archive


def test_a_chart_is_read(scripted: Scripted, registry: SourceRegistry) -> None:
    assert fetch(source(registry, scripted)) == ARCHIVE


# --- the token dance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, LOGIN])
@pytest.mark.parametrize("field", ["token", "access_token"])
def test_a_token_is_fetched_once_and_used(
    scripted: Scripted, registry: SourceRegistry, login: Credential | None, field: str
) -> None:
    with loopback() as realm:
        realm.serve("/token", json.dumps({field: "t0ken"}).encode())
        scripted.behind_tokens(f"{realm.url}/token?x=y")
        assert fetch(source(registry, scripted, login)) == ARCHIVE
        [asked] = realm.seen
    assert asked.path == "/token?x=y&scope=repository%3Ac%2Fapp%3Apull&service=the+registry"
    assert asked.headers.get("authorization") == ("Basic bWU6c2VjcmV0" if login else None)
    assert not any(seen.headers.get("authorization", "").startswith("Basic") for seen in scripted.server.seen)


def test_an_expired_token_is_fetched_again(scripted: Scripted, registry: SourceRegistry) -> None:
    with loopback() as realm:
        realm.serve("/token", b'{"token": "old"}')
        scripted.behind_tokens(f"{realm.url}/token", "old")
        made = source(registry, scripted)
        entries(made)
        realm.serve("/token", b'{"token": "new"}')
        scripted.write()
        scripted.behind_tokens(f"{realm.url}/token", "new")
        assert fetch(made) == ARCHIVE
        assert len(realm.seen) == 2


@pytest.mark.parametrize(
    "answer", [b"{}", b"[]", b"no", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}', b'{"token": ""}']
)
def test_what_is_no_token(scripted: Scripted, registry: SourceRegistry, answer: bytes) -> None:
    with loopback() as realm:
        realm.serve("/token", answer)
        scripted.behind_tokens(f"{realm.url}/token")
        with pytest.raises(SourceUnavailable):
            source(registry, scripted, LOGIN).listing()


@pytest.mark.parametrize(
    "realm", ["http://169.254.169.254/token", "https://10.0.0.1/token", "file:///etc/passwd", ""]
)
def test_a_realm_is_an_address_like_any_other(
    scripted: Scripted, registry: SourceRegistry, realm: str
) -> None:
    scripted.behind_tokens(realm)
    with pytest.raises(InvalidInput) as refused:
        source(registry, scripted, LOGIN).listing()
    assert "secret" not in refused.value.detail


def test_a_token_that_does_not_help_is_a_wrong_login(scripted: Scripted, registry: SourceRegistry) -> None:
    with loopback() as realm:
        realm.serve("/token", b'{"token": "another"}')
        scripted.behind_tokens(f"{realm.url}/token")
        with pytest.raises(InvalidInput, match="credential"):
            source(registry, scripted, LOGIN).listing()
        realm.routes["/token"] = lambda _: Reply(status=401)
        with pytest.raises(InvalidInput, match="credential"):
            source(registry, scripted, LOGIN).listing()


# --- what is no chart --------------------------------------------------------------------------------------


def test_tags_that_are_no_versions_are_no_packages(scripted: Scripted, registry: SourceRegistry) -> None:
    tags = [
        "1.0.0",
        "latest",
        "sha256-abc.sig",
        "main",
        "1.0",
        "../x",
        5,
        None,
        "v1.0.0",
        "1.0.0_b.1",
        "9.9.9",
    ]
    for tag in ("v1.0.0", "1.0.0_b.1"):
        scripted.write(tag)
    scripted.server.serve("/v2/c/app/tags/list", json.dumps({"tags": tags}).encode())
    made = source(registry, scripted)
    assert {entry.key for entry in entries(made)} == {"app/1.0.0", "app/v1.0.0", "app/1.0.0+b.1"}
    found = made.listing()
    assert found is not None
    assert found.skips == ["c/app has no tag 9.9.9 any more."]


def test_a_registry_without_tags_is_empty(scripted: Scripted, registry: SourceRegistry) -> None:
    scripted.server.serve("/v2/c/app/tags/list", b'{"name": "c/app", "tags": null}')
    assert entries(source(registry, scripted)) == []


def test_images_of_containers_are_skipped_or_refused(scripted: Scripted, registry: SourceRegistry) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    scripted.server.routes["/v2/c/app/manifests/1.0.0"] = lambda _: Reply(
        b"{}", headers={"Content-Type": kind, "Docker-Content-Digest": digest(b"{}")}
    )
    found = source(registry, scripted).listing()
    assert found is not None
    assert (found.entries, found.skipped) == ([], 1)
    assert kind in found.skips[0]
    scripted.write(config={"mediaType": "application/vnd.oci.image.config.v1+json"})
    with pytest.raises(PackageInvalid, match="no Helm chart"):
        fetch(source(registry, scripted))


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": []},
        {"layers": None},
        {"layers": ["x", {"mediaType": "application/gzip"}]},
        {"layers": [{"mediaType": CHART[0]}]},
        {"layers": [{"mediaType": CHART[0], "digest": "sha512:" + "0" * 128, "size": 5}]},
        {"layers": [{"mediaType": CHART[0], "digest": "../../../x", "size": 5}]},
        {"layers": [{"mediaType": CHART[0], "digest": digest(ARCHIVE), "size": "5"}]},
        {"config": None},
    ],
)
def test_manifests_that_lack_something(
    scripted: Scripted, registry: SourceRegistry, fields: dict[str, Any]
) -> None:
    scripted.write(**fields)
    with pytest.raises(PackageInvalid):
        fetch(source(registry, scripted))


def test_a_blob_of_another_digest_is_refused(scripted: Scripted, registry: SourceRegistry) -> None:
    scripted.server.serve(f"/v2/c/app/blobs/{digest(ARCHIVE)}", chart("app", "1.0.0", "evil"))
    with pytest.raises(PackageInvalid, match="other content"):
        fetch(source(registry, scripted))


def test_a_manifest_of_another_digest_is_refused(scripted: Scripted, registry: SourceRegistry) -> None:
    made = source(registry, scripted)
    [entry] = entries(made)
    scripted.server.serve(f"/v2/c/app/manifests/{entry.location}", b'{"config": {}}')
    with pytest.raises(PackageInvalid, match="other content"):
        made.fetch(entry, at_most_bytes=10_000)


def test_a_registry_that_tells_no_digest_is_asked_for_the_manifest(
    scripted: Scripted, registry: SourceRegistry
) -> None:
    behind = scripted.server.routes["/v2/c/app/manifests/1.0.0"]
    scripted.server.routes["/v2/c/app/manifests/1.0.0"] = lambda seen: Reply(behind(seen).body)  # type: ignore[union-attr]
    assert fetch(source(registry, scripted)) == ARCHIVE


def test_a_layer_that_says_it_is_too_large_is_not_asked_for(
    scripted: Scripted, registry: SourceRegistry
) -> None:
    scripted.layer["size"] = 10**12
    scripted.write()
    with pytest.raises(TooLarge, match="1,000,000,000,000"):
        fetch(source(registry, scripted))
    assert not any("blobs" in path for path in scripted.server.paths())


def test_a_layer_larger_than_it_says_is_cut_off(scripted: Scripted, registry: SourceRegistry) -> None:
    scripted.server.serve(f"/v2/c/app/blobs/{digest(ARCHIVE)}", b"x" * 20_000)
    with pytest.raises(TooLarge):
        fetch(source(registry, scripted))


def test_what_is_gone_is_not_found(scripted: Scripted, registry: SourceRegistry) -> None:
    made = source(registry, scripted)
    [entry] = entries(made)
    del scripted.server.routes[f"/v2/c/app/blobs/{digest(ARCHIVE)}"]
    with pytest.raises(NotFound):
        made.fetch(entry, at_most_bytes=10_000)
    scripted.server.routes.clear()
    with pytest.raises(NotFound):
        made.fetch(entry, at_most_bytes=10_000)
    with pytest.raises(InvalidInput, match="no chart 'c/app'"):
        made.listing()


# --- paging ------------------------------------------------------------------------------------------------


def paged(*links: str) -> Any:
    """A route that gives one tag a page, and where the next is."""
    count = iter(range(10**6))

    def answer(_: Seen) -> Reply:
        number = next(count)
        link = {"Link": links[min(number, len(links) - 1)]} if links[min(number, len(links) - 1)] else {}
        return Reply(json.dumps({"tags": ["1.0.0"]}).encode(), headers=link)

    return answer


@pytest.mark.parametrize(
    "form",
    ['</v2/c/app/tags/list?n=1&last=x>; rel="next"', "<{0}/v2/c/app/tags/list?last=x>; rel=next"],
)
def test_pages_are_followed(scripted: Scripted, registry: SourceRegistry, form: str) -> None:
    scripted.server.routes["/v2/c/app/tags/list"] = paged(form.format(scripted.server.url), "")
    assert len(entries(source(registry, scripted))) == 1
    assert sum("tags/list" in path for path in scripted.server.paths()) == 2
    assert "last=x" in [path for path in scripted.server.paths() if "tags/list" in path][1]


def test_pages_of_another_server_are_not(scripted: Scripted, registry: SourceRegistry) -> None:
    with loopback() as other:
        scripted.server.routes["/v2/c/app/tags/list"] = paged(f"<{other.url}/v2/>; rel=next")
        with pytest.raises(InvalidInput, match="another server"):
            source(registry, scripted, LOGIN).listing()
        assert other.seen == []


def test_endless_pages_end(scripted: Scripted, registry: SourceRegistry) -> None:
    scripted.server.routes["/v2/c/app/tags/list"] = paged("</v2/c/app/tags/list?again>; rel=next")
    with pytest.raises(InvalidInput, match="100 pages"):
        source(registry, scripted).listing()


def test_too_many_tags_are_refused(scripted: Scripted, registry: SourceRegistry) -> None:
    scripted.server.serve("/v2/c/app/tags/list", json.dumps({"tags": ["x"] * 5001}).encode())
    with pytest.raises(InvalidInput, match="5,000"):
        source(registry, scripted).listing()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"[" * 100_000])
def test_what_is_no_registry(scripted: Scripted, registry: SourceRegistry, body: bytes) -> None:
    scripted.server.serve("/v2/c/app/tags/list", body)
    with pytest.raises(SourceUnavailable, match="as a registry does"):
        source(registry, scripted).listing()


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base", "name", "version"),
    [
        ("oci://registry.example.com/charts/app", "https://registry.example.com", "charts/app", ""),
        ("oci://registry.example.com:5000/app/", "https://registry.example.com:5000", "app", ""),
        ("oci+http://registry.example.com/a/b__c/d-e", "http://registry.example.com", "a/b__c/d-e", ""),
        ("oci://docker.io/library/app", "https://registry-1.docker.io", "library/app", ""),
        ("oci://r.example.com/app:1.0.0+b", "https://r.example.com", "app", "1.0.0_b"),
        (
            f"oci://r.example.com/app:x@sha256:{'0' * 64}",
            "https://r.example.com",
            "app",
            f"sha256:{'0' * 64}",
        ),
    ],
)
def test_references(url: str, base: str, name: str, version: str) -> None:
    found = parse_reference(url)
    assert (found.base, found.name, found.version) == (base, name, version)


@pytest.mark.parametrize(
    "url",
    [
        "", "https://r.example.com/app", "oci://", "oci://r.example.com", "oci://r.example.com/",
        "oci://r.example.com/App", "oci://r.example.com/a/../b", "oci://r.example.com/a//b",
        "oci://r.example.com/app?x=y", "oci://me:secret@r.example.com/app", "oci://r.example.com/app:a b",
        "oci://r.example.com/app@sha256:0", "oci://2130706433/app", "oci://r.example.com/" + "a/" * 200 + "a",
    ],
)  # fmt: skip
def test_what_cannot_be_a_registry(registry: SourceRegistry, url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        registry.connect(repo_of("oci", url=url), None)
    assert "secret" not in refused.value.detail


def test_a_repository_is_a_chart_with_all_its_tags(registry: SourceRegistry) -> None:
    with pytest.raises(InvalidInput, match="leave the tag away"):
        registry.connect(repo_of("oci", url="oci://r.example.com/app:1.0.0"), None)


def test_plain_http_stays_in_the_operators_networks() -> None:
    """A public registry would be asked without TLS."""
    from pitrix.addresses import NetworkPolicy
    from pitrix.repos.sources import Surroundings
    from pitrix.repos.sources.guarded import GuardedClient
    from pitrix.repos.sources.oci import OciSource

    surroundings = Surroundings()
    client = GuardedClient(NetworkPolicy(["10.0.0.0/8"]), resolver=lambda *_: ["93.184.216.34"])
    surroundings.__dict__["client"] = client
    made = OciSource(repo_of("oci", url="oci+http://r.example.com/app"), None, surroundings)
    with pytest.raises(InvalidInput, match="https"):
        made.listing()


def test_an_index_may_name_charts_in_a_registry(scripted: Scripted, registry: SourceRegistry) -> None:
    """As Bitnami's does. The registry is https: what is tried here is that it is asked, and so."""
    url = scripted.server.url.replace("http://", "oci://") + "/c/app:1.0.0"
    listed = {"apiVersion": "v1", "entries": {"app": [{"version": "1.0.0", "urls": [url]}]}}
    scripted.server.serve("/index.yaml", json.dumps(listed).encode())
    made = registry.connect(repo_of("http", url=scripted.server.url), None)
    [entry] = entries(made)
    assert (entry.location, entry.provenance) == (url, "")
    with pytest.raises(SourceUnavailable, match="TLS"):
        made.fetch(entry, at_most_bytes=10_000)
