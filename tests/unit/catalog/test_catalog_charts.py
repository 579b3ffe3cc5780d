"""The index of charts: what it holds for whom, what a change costs, and what it survives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pitrix.catalog import chart_items, chart_names, charts
from pitrix.catalog.dynamo import TableAppStore
from pitrix.catalog.model import AppPatch, ChartIndex, Published
from pitrix.catalog.service import CatalogService
from pitrix.errors import Conflict, NotFound, PreconditionFailed
from pitrix.identity.model import ANONYMOUS, Principal
from pitrix.packages.model import Package, Signature, SignatureStatus
from pitrix.table import MemoryTable, Table, Write
from tests.dynamo import dynamo_table
from tests.unit.catalog.kit import (
    DEVELOPER,
    OPERATOR,
    RIVAL,
    START,
    USER,
    VENDOR,
    HeardEvents,
    MemoryArchives,
)
from tests.unit.catalog.kit import FixedClock as Clock

REPO = "repo_platform"


class CountedTable(MemoryTable):
    """A table that counts what is read and written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.read = 0

    def transact(self, writes: Any) -> None:
        super().transact(writes)
        self.written += len(writes)

    def query(self, *args: Any, **kwargs: Any) -> Any:
        page = super().query(*args, **kwargs)
        self.read += len(page.items)
        return page

    def get(self, pk: str, sk: str) -> Any:
        self.read += 1
        return super().get(pk, sk)


class Shop:
    """A catalog, and charts to put into it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.archives = MemoryArchives()
        self.clock = Clock(START)
        self.apps = TableAppStore(table)
        self.catalog = self.process()

    def process(self) -> CatalogService:
        """The catalog in another process: nothing is in its memory."""
        return CatalogService(
            apps=self.apps,
            archives=self.archives,
            reader=None,
            events=HeardEvents(),
            clock=self.clock,  # type: ignore[arg-type]
        )

    def publish(
        self,
        who: Principal = VENDOR,
        name: str = "shop",
        version: str = "1.0.0",
        *,
        public: bool = True,
        release: bool = True,
        type: str = "helm",
        repo: str = REPO,
        signed: tuple[Signature | None, bytes | None] = (None, None),
        archive: bytes = b"",
        **metadata: Any,
    ) -> Published:
        self.clock.advance(1)
        described = {"apiVersion": "v2", "name": name, "version": version, **metadata}
        package = Package(
            name=name,
            version=version,
            type=type,
            app_version=str(metadata.get("appVersion", "")),
            metadata=described,
            files={"Chart.yaml": b"x"},
        )
        signature, provenance = signed
        catalog = self.catalog
        catalog._publishing._reader = Unpayable()  # type: ignore[assignment]
        return catalog.publish_version(
            who,
            repo_id=repo,
            visibility="public" if public else "private",
            auto_release=release,
            package=package,
            archive=archive or f"{name} {version} {repo}".encode(),
            package_key=f"{repo}/x.tgz",
            signature=signature,
            provenance=provenance,
        )

    def provenance_at(self, url: str) -> bytes:
        """What a download of a provenance file would give."""
        return self.archives.provenances[url.removeprefix("https://archives.test/").partition(".prov")[0]]

    def index(self, who: Principal = ANONYMOUS, repo: str = REPO, **asked: Any) -> ChartIndex:
        return self.catalog.chart_index(who, repo, context_path="/v1/repos/r/charts", **asked)

    def listed(self, who: Principal = ANONYMOUS, repo: str = REPO) -> dict[str, list[str]]:
        """Chart names and their versions, as they stand in the index."""
        entries = self.entries(who, repo)
        return {name: [each["version"] for each in entries[name]] for name in entries}

    def entries(self, who: Principal = ANONYMOUS, repo: str = REPO) -> Any:
        text = self.index(who, repo).text
        assert text is not None
        return json.loads(text, object_pairs_hook=without_duplicates)["entries"]


class Unpayable:
    """A reader of packages that have no payload."""

    def payload_archive(self, package: Package) -> None:
        return None


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "old Helm refuses a key that is there twice"
    return dict(pairs)


@pytest.fixture(params=["memory", "dynamo"])
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    if request.param == "memory":
        yield Shop(MemoryTable())
        return
    with dynamo_table("charts", monkeypatch) as table:
        yield Shop(table)


@pytest.fixture
def quick() -> Shop:
    return Shop(MemoryTable())


def test_an_index_is_what_helm_reads(shop: Shop) -> None:
    shop.publish(version="1.9.0", appVersion=1.16, description="Shop")
    shop.publish(version="1.10.0", keywords=["a", "b"], annotations={"n": 1})
    shop.publish(name="café-店", version="0.1.0+build.1")
    index = shop.index()
    assert index.text is not None
    document = json.loads(index.text)
    assert (document["apiVersion"], document["serverInfo"]) == ("v1", {"contextPath": "/v1/repos/r/charts"})
    assert document["generated"].endswith("Z")
    newest, oldest = document["entries"]["shop"]
    assert (newest["version"], oldest["version"]) == ("1.10.0", "1.9.0"), "the highest first"
    assert oldest["appVersion"] == "1.16"
    assert newest["annotations"] == {"n": "1"}
    assert oldest["urls"] == ["shop-1.9.0.tgz"]
    assert len(oldest["digest"]) == 64
    assert oldest["created"].startswith("2026-11-2")
    assert document["entries"]["café-店"][0]["urls"] == ["caf%C3%A9-%E5%BA%97-0.1.0+build.1.tgz"]


def test_only_released_charts_are_listed(shop: Shop) -> None:
    published = shop.publish()
    shop.publish(version="2.0.0", release=False)
    shop.publish(name="vm", type="vm")
    app, version = published.app.app_id, published.version.version_id
    assert shop.listed() == {"shop": ["1.0.0"]}
    draft = shop.apps.version_by_name(app, "2.0.0")
    assert draft is not None
    for action, expected in [
        ("suspend", {}),
        ("recover", {"shop": ["1.0.0"]}),
        ("suspend", {}),
        ("delete", {}),
    ]:
        shop.catalog.change_status(VENDOR, app, version, action)  # type: ignore[arg-type]
        assert shop.listed() == expected, action
    shop.catalog.change_status(VENDOR, app, draft.version_id, "release")
    assert shop.listed() == {"shop": ["2.0.0"]}


def test_each_sees_the_public_charts_and_its_own(shop: Shop) -> None:
    shop.publish(VENDOR, "open")
    shop.publish(VENDOR, "of-acme", public=False)
    shop.publish(DEVELOPER, "of-acmes-shop", public=False)
    shop.publish(RIVAL, "of-acme-two", public=False)
    seen = {
        who.username: sorted(shop.listed(who))
        for who in (ANONYMOUS, USER, VENDOR, DEVELOPER, RIVAL, OPERATOR)
    }
    assert seen == {
        "anonymous": ["open"],
        "ulf": ["open"],
        "vera": ["of-acme", "of-acmes-shop", "open"],
        "dan": ["of-acmes-shop", "open"],
        "rita": ["of-acme-two", "open"],
        "olga": ["of-acme", "of-acme-two", "of-acmes-shop", "open"],
    }


def test_repositories_do_not_mix(shop: Shop) -> None:
    shop.publish(repo="repo_a")
    shop.publish(repo="repo_b", name="other")
    assert shop.listed(repo="repo_a") == {"shop": ["1.0.0"]}
    assert shop.listed(repo="repo_b") == {"other": ["1.0.0"]}
    assert shop.listed(repo="repo_nothing") == {}


def test_what_is_known_is_not_read_again(shop: Shop) -> None:
    shop.publish()
    first = shop.index()
    assert shop.index(known=first.etag) == ChartIndex(etag=first.etag)
    assert shop.index(known=f'"x", W/{first.etag}').text is None
    assert shop.index(known='"x"').text == first.text, "the same tag is the same text"
    shop.publish(version="1.0.1")
    second = shop.index(known=first.etag)
    assert second.etag != first.etag
    assert second.text is not None
    assert shop.process().chart_index(ANONYMOUS, REPO, context_path="/v1/repos/r/charts") == second


def test_a_strangers_private_chart_changes_nothing_for_others(shop: Shop) -> None:
    shop.publish()
    before = {who: shop.index(who).etag for who in (ANONYMOUS, USER, RIVAL)}
    assert len(set(before.values())) == 1, "who owns nothing here sees the same"
    shop.publish(VENDOR, "of-acme", public=False)
    assert {who: shop.index(who).etag for who in before} == before
    assert shop.index(VENDOR).etag != before[USER]


def test_visibility_moves_every_version(shop: Shop) -> None:
    for number in range(chart_items.MOVED_AT_ONCE * 2 + 1):
        app = shop.publish(version=f"1.{number}.0").app
    versions = len(shop.listed()["shop"])
    for visibility, seen in [("private", 0), ("private", 0), ("public", versions), ("public", versions)]:
        shop.catalog.edit_app(VENDOR, app.app_id, AppPatch(visibility=visibility))  # type: ignore[arg-type]
        assert len(shop.listed().get("shop", [])) == seen
        assert len(shop.listed(VENDOR)["shop"]) == len(shop.listed(OPERATOR)["shop"]) == versions
    partition = chart_items.partition(REPO, chart_items.owner_scope(":acme:"))
    assert shop.table.query(partition, prefix="ENTRY#").items == []


class InTheMiddle(MemoryTable):
    """A table where something else happens before a chosen transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, Any] = {}
        self.transactions = 0

    def transact(self, writes: list[Write]) -> None:  # type: ignore[override]
        self.transactions += 1
        happen = self.before.pop(self.transactions, None)
        if happen is not None:
            happen()
        super().transact(writes)


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_version_suspended_while_its_app_is_hidden_does_not_come_back(moment: int) -> None:
    """The fragments go in two transactions, the app follows in a third: it happens before each of them."""
    table = InTheMiddle()
    shop = Shop(table)
    for number in range(chart_items.MOVED_AT_ONCE + 1):
        published = shop.publish(version=f"1.{number}.0")
    app, version = published.app.app_id, published.version.version_id
    table.before[table.transactions + moment] = lambda: shop.catalog.change_status(
        VENDOR, app, version, "suspend"
    )
    with pytest.raises(PreconditionFailed):
        shop.catalog.edit_app(VENDOR, app, AppPatch(visibility="private"))
    assert table.before == {}, "it happened"
    assert len(shop.listed()["shop"]) == chart_items.MOVED_AT_ONCE, "all others are where they were"
    shop.catalog.edit_app(VENDOR, app, AppPatch(visibility="private"))
    assert shop.listed() == {}
    assert published.version.name not in shop.listed(VENDOR)["shop"]
    assert len(shop.listed(VENDOR)["shop"]) == chart_items.MOVED_AT_ONCE


def test_an_edit_that_lost_the_race_leaves_the_charts_where_they_were() -> None:
    table = InTheMiddle()
    shop = Shop(table)
    app = shop.publish().app
    table.before[table.transactions + 2] = lambda: shop.catalog.edit_app(
        VENDOR, app.app_id, AppPatch(title="T")
    )
    with pytest.raises(PreconditionFailed):
        shop.catalog.edit_app(VENDOR, app.app_id, AppPatch(visibility="private"))
    assert shop.listed() == {"shop": ["1.0.0"]}
    assert shop.listed(VENDOR) == {"shop": ["1.0.0"]}


def test_a_chart_in_two_places_is_listed_once(quick: Shop) -> None:
    """While an app changes its visibility, some of its versions are here and some are there."""
    app = quick.publish(version="1.0.0").app
    quick.publish(version="2.0.0")
    partition = chart_items.partition(REPO, chart_items.PUBLIC)
    [first] = quick.table.query(partition, prefix="ENTRY#", limit=1).items
    hidden = replace(app, visibility="private")
    quick.table.transact(chart_items.moves(hidden, chart_items.PUBLIC, [first]))
    assert sorted(quick.listed(VENDOR)["shop"]) == ["1.0.0", "2.0.0"]


def test_publishing_costs_the_same_in_every_repository() -> None:
    table = CountedTable()
    shop = Shop(table)
    costs = []
    for number in range(300):
        read, written = table.read, table.written
        shop.publish(name=f"app-{number}")
        costs.append((table.read - read, table.written - written))
    assert set(costs) == {costs[0]}


def test_reading_after_a_change_reads_what_changed() -> None:
    table = CountedTable()
    shop = Shop(table)
    for number in range(300):
        shop.publish(name=f"app-{number}")
    read = table.read
    shop.index()
    whole = table.read - read
    shop.publish(name="app-0", version="1.0.1")
    read = table.read
    assert len(shop.listed()) == 300
    assert table.read - read < whole / 4
    read = table.read
    shop.index(known=shop.index().etag)
    assert table.read - read <= 2 * chart_items.SHARDS


def test_a_long_index_is_kept_as_an_object(quick: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "INLINE_BYTES", 2000)
    for number in range(100):
        quick.publish(name=f"app-{number}")
    plain = quick.index()
    packed = quick.index(gzipped=True)
    assert plain.etag == packed.etag
    assert plain.text is packed.text is None
    assert sorted(key.rpartition(".")[2] for key in quick.archives.indexes) == ["gz", "json"]
    elsewhere = quick.process()
    stored = dict(quick.archives.indexes)
    asked: list[str] = []
    monkeypatch.setattr(quick.apps, "chart_shard", lambda *args: asked.append(args[2]) or [])
    again = elsewhere.chart_index(ANONYMOUS, REPO, context_path="/v1/repos/r/charts")
    assert (again.url, asked) == (plain.url, []), "another process reads no charts"
    quick.clock.advance(25 * 3600)
    monkeypatch.undo()
    monkeypatch.setattr(charts, "INLINE_BYTES", 2000)
    assert elsewhere.chart_index(ANONYMOUS, REPO, context_path="/v1/repos/r/charts").url is not None
    assert set(quick.archives.indexes) == set(stored)


def test_memory_is_bounded(quick: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "CACHED_BYTES", 5000)
    for number in range(200):
        quick.publish(name=f"app-{number}")
    assert len(quick.listed()) == 200
    reader = quick.catalog._indexes
    held = sum(charts._size(found) for _, found in reader._shards.values())
    assert held == reader._weight <= 5000 + 2000


def test_an_entry_too_long_for_the_table_loses_its_annotations(shop: Shop) -> None:
    shop.publish(annotations={"changes": "x" * 100_000}, description="kept")
    [entry] = shop.entries()["shop"]
    assert "annotations" not in entry
    assert entry["description"] == "kept"


# --- files -------------------------------------------------------------------------------------------------


def test_a_file_is_found_by_its_name(shop: Shop) -> None:
    shop.publish(name="my-app-2", version="1.0.0-rc.1+b-2")
    found = shop.catalog.chart_file(ANONYMOUS, REPO, "my-app-2-1.0.0-rc.1+b-2.tgz")
    assert found.url.startswith(f"https://archives.test/{found.digest}?filename=my-app-2")


def test_files_of_others_and_withdrawn_ones_do_not_exist(shop: Shop) -> None:
    published = shop.publish(VENDOR, "secret", public=False)
    shop.publish(VENDOR, "draft", release=False)
    assert shop.catalog.chart_file(VENDOR, REPO, "secret-1.0.0.tgz").digest == published.version.digest
    for who, name in [
        (ANONYMOUS, "secret-1.0.0.tgz"),
        (RIVAL, "secret-1.0.0.tgz"),
        (VENDOR, "secret-1.0.0.tgz.prov"),
        (VENDOR, "secret-1.0.1.tgz"),
        (VENDOR, "secret-1.0.0.zip"),
        (VENDOR, "draft-1.0.0.tgz"),
        (VENDOR, "-1.0.0.tgz"),
        (VENDOR, "-" * 500 + ".tgz"),
    ]:
        with pytest.raises(NotFound):
            shop.catalog.chart_file(who, REPO, name)
    shop.catalog.change_status(VENDOR, published.app.app_id, published.version.version_id, "suspend")
    with pytest.raises(NotFound):
        shop.catalog.chart_file(VENDOR, REPO, "secret-1.0.0.tgz")


@pytest.mark.parametrize(
    ("filename", "first"),
    [
        ("shop-1.0.0.tgz", ("shop", "1.0.0")),
        ("my-shop-v1.2.tgz", ("my-shop", "v1.2")),
        ("a-1-2.0.0.tgz", ("a-1", "2.0.0")),
        ("k8s-at-home-1.0.0-beta-2.tgz", ("k8s-at-home", "1.0.0-beta-2")),
        ("old-7.tar.gz", ("old", "7")),
    ],
)
def test_names_are_taken_apart(filename: str, first: tuple[str, str]) -> None:
    assert next(chart_names.candidates(filename)) == first


def test_names_that_could_be_anything_are_not_tried_for_ever() -> None:
    assert len(list(chart_names.candidates("-1" * 150 + ".tgz"))) <= 6
    assert list(chart_names.candidates("shop.tgz")) == []


# --- signatures --------------------------------------------------------------------------------------------

VERIFIED = Signature(status=SignatureStatus.VERIFIED, fingerprint="ab" * 20, signer="Jane", message="ok")


def test_a_signature_stays_with_its_version(shop: Shop) -> None:
    published = shop.publish(signed=(VERIFIED, b"signed"), appVersion="7")
    kept = shop.catalog.get_version(ANONYMOUS, published.app.app_id, published.version.version_id)
    assert (kept.signature, kept.has_provenance, kept.app_version) == (VERIFIED, True, "7")
    found = shop.catalog.chart_file(ANONYMOUS, REPO, "shop-1.0.0.tgz.prov")
    assert ".prov" in found.url
    assert shop.archives.provenances == {published.version.version_id: b"signed"}


def test_a_signature_that_comes_later_is_added(shop: Shop) -> None:
    first = shop.publish()
    assert first.version.signature is None
    later = shop.publish(signed=(VERIFIED, b"signed"))
    assert (later.outcome, later.version.signature, later.version.has_provenance) == (
        "unchanged",
        VERIFIED,
        True,
    )
    again = shop.publish(signed=(VERIFIED, b"signed"))
    assert again.version.revision == later.version.revision == 2, "nothing is written for nothing"
    assert shop.publish().version.signature == VERIFIED, "it is not lost by a file that is lost"
    assert shop.listed() == {"shop": ["1.0.0"]}


def test_a_published_chart_never_changes(shop: Shop) -> None:
    shop.publish()
    with pytest.raises(Conflict):
        shop.publish(RIVAL)


def test_a_transaction_of_the_deepest_owner_fits() -> None:
    """100 writes is the limit; the table says so."""
    deep = Principal("usr_d", "deep", "vendor", ":" + ":".join("abcdefgh") + ":")
    shop = Shop(MemoryTable())
    for number in range(10):
        published = shop.publish(deep, version=f"1.{number}.0", public=False)
    for visibility in ("public", "private"):
        shop.catalog.edit_app(deep, published.app.app_id, AppPatch(visibility=visibility))  # type: ignore[arg-type]
    for action in ("suspend", "recover"):
        shop.catalog.change_status(deep, published.app.app_id, published.version.version_id, action)  # type: ignore[arg-type]
    assert len(shop.listed(deep)["shop"]) == 10
