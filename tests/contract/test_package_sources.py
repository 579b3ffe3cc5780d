"""One suite for every kind of source, each on a real server: a web server, moto's S3, Debian's registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pitrix.errors import InvalidInput, NotFound, SourceUnavailable, TooLarge
from pitrix.repos.model import KINDS, Listing, SourceEntry
from pitrix.repos.ports import PackageSource
from pitrix.repos.sources import SourceRegistry, kinds
from tests.clouds.azurite.server import azurite
from tests.contract.providers.targets import Unavailable
from tests.contract.source_worlds import WORLDS, World, chart, docker_registry, moto_server

ENOUGH = 1_000_000
ONE, TWO, PLUS = chart("app", "1.0.0"), chart("app", "1.1.0"), chart("app", "2.0.0+build.7")
PROVENANCE = b"-----BEGIN PGP SIGNED MESSAGE-----\nnot checked here\n"

#: Those that are reached over the network by an address that somebody typed.
REMOTE = ["azure", "http", "oci", "s3"]
#: Those whose test server checks the login; moto's S3 checks no signature.
GUARDED = ["azure", "http", "oci"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts a server when it is first asked for."""
    running: dict[str, Any] = {}
    with ExitStack() as stack:

        def server(name: str) -> Any:
            if name not in running:
                start = {
                    "moto": moto_server,
                    "azurite": azurite,
                    "docker-registry": lambda: docker_registry(tmp_path_factory.mktemp("registry")),
                }[name]
                try:
                    running[name] = stack.enter_context(start())
                except Unavailable as why:
                    pytest.skip(str(why))
            return running[name]

        yield server


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest, servers: Any, tmp_path: Path) -> Iterator[World]:
    with WORLDS[request.param](servers, tmp_path) as made:
        yield made
        made.registry.close()


def listed(source: PackageSource, validator: str = "") -> Listing:
    """What there is; something must have changed."""
    found = source.listing(validator)
    assert found is not None
    return found


def tags(listing: Listing) -> dict[str, str]:
    """Tags by key, which must be unique."""
    found = {entry.key: entry.tag for entry in listing.entries}
    assert len(found) == len(listing.entries)
    assert all(found.values())
    return found


def holding(source: PackageSource, archive: bytes) -> SourceEntry:
    """The one entry behind which these bytes are."""
    [entry] = [
        entry
        for entry in listed(source).entries
        if source.fetch(entry, at_most_bytes=ENOUGH).archive == archive
    ]
    return entry


def test_every_kind_has_a_world() -> None:
    assert sorted(WORLDS) == kinds() == sorted(KINDS)
    assert sorted({*WORLDS} - {"platform"}) == REMOTE


def test_what_is_published_is_listed_and_fetched(world: World) -> None:
    source = world.source()
    world.put("app", "1.0.0", ONE)
    world.put("app", "2.0.0+build.7", PLUS)
    entries = listed(source).entries
    fetched = {source.fetch(entry, at_most_bytes=ENOUGH).archive for entry in entries}
    assert (len(entries), fetched) == (2, {ONE, PLUS})
    for entry in entries:
        assert entry.version in ("", "1.0.0", "2.0.0+build.7")
        assert entry.name in ("", "app")
        assert entry.size_bytes in (0, len(ONE), len(PLUS))


def test_nothing_new_is_nothing(world: World) -> None:
    world.put("app", "1.0.0", ONE)
    first = listed(world.source())
    assert first.validator
    assert world.source().listing(first.validator) is None
    assert world.source().listing(first.validator) is None
    assert tags(listed(world.source())) == tags(first)


def test_what_is_added_changes_nothing_else(world: World) -> None:
    source = world.source()
    world.put("app", "1.0.0", ONE)
    before = listed(source)
    world.put("app", "1.1.0", TWO)
    after = listed(source, before.validator)
    assert len(after.entries) == 2
    assert tags(before).items() <= tags(after).items()
    assert after.validator != before.validator


def test_what_is_replaced_keeps_its_key_and_changes_its_tag(world: World) -> None:
    source = world.source()
    world.put("app", "1.0.0", ONE)
    world.put("app", "1.1.0", TWO)
    before = listed(source)
    world.put("app", "1.1.0", chart("app", "1.1.0", "mended"))
    after = listed(source, before.validator)
    assert tags(after).keys() == tags(before).keys()
    changed = [entry for entry in after.entries if tags(before)[entry.key] != entry.tag]
    assert len(changed) == 1
    assert source.fetch(changed[0], at_most_bytes=ENOUGH).archive == chart("app", "1.1.0", "mended")


def test_what_is_removed_is_listed_no_more(world: World) -> None:
    source = world.source()
    world.put("app", "1.0.0", ONE)
    world.put("app", "1.1.0", TWO)
    before = listed(source)
    gone = holding(source, ONE)
    world.remove("app", "1.0.0")
    after = listed(source, before.validator)
    assert tags(after).keys() == tags(before).keys() - {gone.key}
    with pytest.raises(NotFound):
        source.fetch(gone, at_most_bytes=ENOUGH)


def test_provenance_comes_along_where_there_is_one(world: World) -> None:
    world.put("app", "1.0.0", ONE, PROVENANCE)
    world.put("app", "1.1.0", TWO)
    source = world.source()
    fetched = [source.fetch(entry, at_most_bytes=ENOUGH) for entry in listed(source).entries]
    assert {found.archive: found.provenance for found in fetched} == {ONE: PROVENANCE, TWO: None}


def test_provenance_is_left_alone_where_nobody_checks_it(world: World) -> None:
    world.put("app", "1.0.0", ONE, PROVENANCE)
    source = world.source(keys=[])
    listing = listed(source)
    assert source.fetch(listing.entries[0], at_most_bytes=ENOUGH).provenance is None
    # Keys that come later make everything worth another look.
    assert world.source().listing(listing.validator) is not None


def test_a_package_that_is_too_large_is_not_read(world: World) -> None:
    world.put("app", "1.0.0", ONE)
    source = world.source()
    [entry] = listed(source).entries
    with pytest.raises(TooLarge):
        source.fetch(entry, at_most_bytes=len(ONE) - 1)
    assert source.fetch(entry, at_most_bytes=len(ONE)).archive == ONE


def test_many_threads_may_fetch(world: World) -> None:
    for archive, version in ((ONE, "1.0.0"), (TWO, "1.1.0"), (PLUS, "2.0.0+build.7")):
        world.put("app", version, archive)
    source = world.source()
    wanted = {
        entry.key: source.fetch(entry, at_most_bytes=ENOUGH).archive for entry in listed(source).entries
    }
    with ThreadPoolExecutor(8) as pool:
        entries = listed(source).entries * 8
        found = list(pool.map(lambda entry: source.fetch(entry, at_most_bytes=ENOUGH).archive, entries))
    assert found == [wanted[entry.key] for entry in entries]


def test_what_lies_elsewhere_is_not_fetched(world: World) -> None:
    world.put("app", "1.0.0", ONE)
    source = world.source()
    [entry] = listed(source).entries
    for location in (
        "",
        "repo_xy/usr_x/other-1.0.0.tgz",
        "../x.tgz",
        "file:///etc/passwd",
        "sha256:" + "0" * 64,
    ):
        with pytest.raises((NotFound, InvalidInput)):
            source.fetch(replace(entry, location=location), at_most_bytes=ENOUGH)


def test_entries_and_validators_survive_storage(world: World) -> None:
    world.put("app", "1.0.0", ONE, PROVENANCE)
    listing = listed(world.source())
    assert json.loads(json.dumps(listing.validator)) == listing.validator
    assert len(listing.validator) < 2000
    kept = json.loads(json.dumps({name: getattr(listing.entries[0], name) for name in SourceEntry.__slots__}))
    assert world.source().fetch(SourceEntry(**kept), at_most_bytes=ENOUGH).provenance == PROVENANCE


@pytest.mark.parametrize("world", REMOTE, indirect=True)
def test_a_server_that_is_gone_may_come_back(world: World) -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1"):
        world.source(**world.gone).listing()


@pytest.mark.parametrize("world", REMOTE, indirect=True)
def test_the_loopback_is_out_of_bounds_without_the_operators_word(world: World) -> None:
    registry = SourceRegistry(allowed_networks=["10.0.0.0/8"], bucket=None)
    source = registry.connect(world.repo, world.credential)
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1.*"):
        source.listing()
    registry.close()


@pytest.mark.parametrize("world", GUARDED, indirect=True)
def test_a_login_is_needed_and_must_be_right(world: World) -> None:
    world.put("app", "1.0.0", ONE)
    assert world.credential is not None
    for credential in (None, replace(world.credential, password="guessed")):
        with pytest.raises(InvalidInput, match="credential") as refused:
            world.registry.connect(world.repo, credential).listing()
        assert "guessed" not in refused.value.detail
