"""Repositories' use cases, and the way of a package from the bucket to the store."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pitrix.errors import (
    InvalidInput,
    NotFound,
    PackageInvalid,
    PermissionDenied,
    ServiceUnavailable,
    TooLarge,
    Unauthenticated,
)
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.packages.model import Problem
from pitrix.repos import indexing, service
from pitrix.repos.model import PLATFORM_REPO_ID, is_package_filename, parse_key, tenant_of
from pitrix.table import pack
from tests.unit.catalog.kit import (
    DEVELOPER,
    OPERATOR,
    RIVAL,
    USER,
    VENDOR,
    World,
    archive_of,
    package,
    package_files,
)


def store(world: World) -> list[tuple[str, str | None]]:
    return [(app.name, app.latest_version) for app in world.catalog.list_apps(ANONYMOUS, sort="name").apps]


def snapshot(world: World) -> Any:
    return dict(world.catalog_table._items), dict(world.archives.archives)  # type: ignore[attr-defined]


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("repo_x/a.tgz", ("repo_x", None, "a.tgz")),
        ("repo_x/usr_1/a.tgz", ("repo_x", "usr_1", "a.tgz")),
        ("repo_x/", None),
        ("repo_x//a.tgz", None),
        ("a.tgz", None),
        ("a/b/c/d.tgz", None),
        ("", None),
    ],
)
def test_keys(key: str, parts: tuple[str, str | None, str] | None) -> None:
    found = parse_key(key)
    assert (None if found is None else (found.repo_id, found.user_id, found.filename)) == parts


def test_file_names() -> None:
    assert is_package_filename("guestbook-1.0.0.tgz")
    assert is_package_filename("a+b_1.0.0-rc.1.tar.gz")
    for bad in ("", ".tgz", "../a.tgz", "a/b.tgz", "a b.tgz", "a.zip", "a.tgz\n", "x" * 200 + ".tgz"):
        assert not is_package_filename(bad)


def test_a_tenant_is_the_topmost_name_of_an_owner_path() -> None:
    assert [tenant_of(path) for path in (":", ":acme:", ":acme:shop:")] == [":", ":acme:", ":acme:"]


# --- uploads -----------------------------------------------------------------------------------------------


def test_an_upload_goes_to_a_key_that_names_who_sends_it(world: World) -> None:
    ticket = world.repos.start_upload(VENDOR, PLATFORM_REPO_ID, filename="shop-1.0.0.tgz", size_bytes=10)
    assert ticket.key == "repo_platform/usr_ven/shop-1.0.0.tgz"
    assert "size=10" in ticket.upload_url
    assert ticket.method == "PUT"


def test_who_may_upload(world: World) -> None:
    for who in (VENDOR, DEVELOPER, OPERATOR):
        world.repos.start_upload(who, PLATFORM_REPO_ID, filename="a.tgz", size_bytes=1)
    with pytest.raises(PermissionDenied):
        world.repos.start_upload(USER, PLATFORM_REPO_ID, filename="a.tgz", size_bytes=1)
    with pytest.raises(Unauthenticated):
        world.repos.start_upload(ANONYMOUS, PLATFORM_REPO_ID, filename="a.tgz", size_bytes=1)


def test_a_bad_upload_names_each_field(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.repos.start_upload(VENDOR, PLATFORM_REPO_ID, filename="../x.tgz", size_bytes=0)
    assert [error.field for error in refused.value.errors] == ["filename", "size_bytes"]
    with pytest.raises(InvalidInput):
        world.repos.start_upload(
            VENDOR, PLATFORM_REPO_ID, filename="x.tgz", size_bytes=service.MAX_PACKAGE_BYTES + 1
        )


# --- indexing ----------------------------------------------------------------------------------------------


def test_an_upload_appears_in_the_store_as_its_uploaders(world: World) -> None:
    event = world.upload(VENDOR, package("shop"))
    assert (event.outcome, event.name, event.version) == ("indexed", "shop", "1.0.0")
    app = world.catalog.get_app(ANONYMOUS, event.app_id)
    assert app.owner_path == VENDOR.owner_path
    version = world.catalog.get_version(VENDOR, event.app_id, event.version_id)
    assert (version.created_by, version.status) == (VENDOR.user_id, "released")
    assert version.digest == event.digest
    assert world.repos.list_events(VENDOR, PLATFORM_REPO_ID).events == [event]


def test_the_same_upload_again_is_unchanged(world: World) -> None:
    world.upload(VENDOR, package())
    assert world.upload(VENDOR, package()).outcome == "unchanged"
    assert len(store(world)) == 1


def test_a_notification_delivered_twice_leaves_one_event(world: World) -> None:
    assert world.upload(VENDOR, package(), delivery_id="0A") is not None
    assert world.repos.index_object(SYSTEM, "repo_platform/usr_ven/x.tgz", delivery_id="0A") is None
    assert len(world.repos.list_events(OPERATOR, PLATFORM_REPO_ID).events) == 1
    again = world.repos.index_object(SYSTEM, "repo_platform/usr_ven/x.tgz", delivery_id="0B")
    assert again is not None
    assert again.outcome == "unchanged"


def test_a_broken_package_leaves_an_event_that_says_what_is_wrong_and_nothing_else(world: World) -> None:
    world.upload(VENDOR, package())
    before = snapshot(world)
    files = package_files("shop", "1.1.0")
    files["config.json"] = b'{\n  "type": "array",\n  oops\n}'
    event = world.upload(VENDOR, archive_of(files))
    assert event.outcome == "refused"
    assert any(problem.file == "config.json" and problem.line == 3 for problem in event.problems)
    assert all(problem.message for problem in event.problems)
    assert "config.json" in event.message
    assert snapshot(world) == before
    assert world.events.types[-1] == "PackageRefused"


def test_a_hostile_package_leaves_an_event_that_still_fits_into_the_table(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Problem(file="f" * 9999, key="k" * 9999, message="火" * 9999, hint="h" * 9999)

    def refuse(data: bytes) -> None:
        raise PackageInvalid("x" * 99_999, [endless] * 5000)

    monkeypatch.setattr("pitrix.packages.service.open_package", refuse)
    event = world.upload(VENDOR, package())
    assert 20 < len(event.problems) < indexing.PROBLEMS_KEPT
    assert len(json.dumps(pack(event))) < 400_000  # as PynamoDB writes it


@pytest.mark.parametrize("data", [b"", b"no archive", package()[:200], b"\x1f\x8b" + b"\0" * 50])
def test_what_is_no_archive_is_refused(world: World, data: bytes) -> None:
    before = snapshot(world)
    event = world.upload(VENDOR, data)
    assert event.outcome == "refused"
    assert event.message
    assert snapshot(world) == before


def test_an_upload_that_is_too_large_is_refused_unread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "MAX_PACKAGE_BYTES", 100)
    event = world.upload(VENDOR, package())
    assert (event.outcome, event.size_bytes) == ("refused", 0)
    assert store(world) == []


def test_other_content_under_a_published_version_is_refused(world: World) -> None:
    first = world.upload(VENDOR, package())
    before = snapshot(world)
    event = world.upload(VENDOR, package(description="changed"))
    assert event.outcome == "refused"
    assert "published before with other content" in event.message
    assert snapshot(world) == before
    kept = world.catalog.load_package(USER, first.version_id)  # though its upload was overwritten
    assert kept.digest == first.digest


def test_another_tenants_name_is_refused_to_the_one_who_came_second(world: World) -> None:
    world.upload(VENDOR, package())
    event = world.upload(RIVAL, package(version="9.0.0"))
    assert event.outcome == "refused"
    assert "another publisher" in event.message
    assert store(world) == [("shop", "1.0.0")]


def test_events_are_seen_by_who_uploaded_and_by_the_repositorys_owner(world: World) -> None:
    for who in (VENDOR, DEVELOPER, RIVAL):
        world.upload(who, package(f"of-{who.username}"))

    def seen(who: Any) -> list[str]:
        return [event.name for event in world.repos.list_events(who, PLATFORM_REPO_ID).events]

    assert seen(OPERATOR) == ["of-rita", "of-dan", "of-vera"]
    assert seen(VENDOR) == ["of-dan", "of-vera"]
    assert seen(DEVELOPER) == ["of-dan"]
    assert seen(RIVAL) == ["of-rita"]
    assert seen(USER) == []


def test_events_come_in_pages_newest_first(world: World) -> None:
    for number in range(5):
        world.upload(VENDOR, package(f"app-{number}"))
    first = world.repos.list_events(VENDOR, PLATFORM_REPO_ID, limit=3)
    rest = world.repos.list_events(VENDOR, PLATFORM_REPO_ID, limit=3, cursor=first.next_cursor)
    assert [event.name for event in first.events + rest.events] == [f"app-{n}" for n in (4, 3, 2, 1, 0)]
    with pytest.raises(InvalidInput):
        world.repos.list_events(OPERATOR, PLATFORM_REPO_ID, cursor=first.next_cursor)


def test_straight_to_the_bucket_belongs_to_the_repositorys_owner(world: World) -> None:
    world.uploads.objects["repo_platform/shop-1.0.0.tgz"] = package()
    event = world.repos.index_object(SYSTEM, "repo_platform/shop-1.0.0.tgz")
    assert event is not None
    assert event.outcome == "indexed"
    assert world.catalog.get_app(ANONYMOUS, event.app_id or "").owner_path == ":"


def test_an_object_that_nobody_announced_is_refused_unread(world: World) -> None:
    world.uploads.objects["repo_platform/usr_ven/x.tgz"] = package()
    event = world.repos.index_object(SYSTEM, "repo_platform/usr_ven/x.tgz")
    assert event is not None
    assert event.outcome == "refused"
    assert "announced" in event.message
    assert store(world) == []


def test_what_is_no_package_by_name_is_refused(world: World) -> None:
    world.uploads.objects["repo_platform/notes.txt"] = b"hello"
    event = world.repos.index_object(SYSTEM, "repo_platform/notes.txt")
    assert event is not None
    assert (event.outcome, event.problems) == ("refused", [])
    assert ".tgz" in event.message


@pytest.mark.parametrize("key", ["repo_none/a.tgz", "a.tgz", "repo_platform/a/b/c.tgz", "repo_platform/"])
def test_an_object_of_no_repository_is_left_alone(world: World, key: str) -> None:
    world.uploads.objects[key] = package()
    assert world.repos.index_object(SYSTEM, key) is None
    assert store(world) == []


def test_an_object_that_is_gone_when_its_notification_comes(world: World) -> None:
    event = world.repos.index_object(SYSTEM, "repo_platform/gone.tgz")
    assert event is not None
    assert event.outcome == "removed"


def test_deleting_an_upload_leaves_what_was_published(world: World) -> None:
    indexed = world.upload(VENDOR, package())
    del world.uploads.objects[indexed.key]
    for _ in range(2):
        world.repos.object_removed(SYSTEM, indexed.key, delivery_id="0C")
    events = world.repos.list_events(VENDOR, PLATFORM_REPO_ID).events
    assert [event.outcome for event in events] == ["removed", "indexed"]
    assert store(world) == [("shop", "1.0.0")]
    assert world.catalog.load_package(USER, indexed.version_id).name == "shop"


def test_a_fault_of_ours_is_raised_and_leaves_no_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for fault in (RuntimeError("boom"), ServiceUnavailable("The table is away.")):

        def broken(*_: Any, fault: Exception = fault, **__: Any) -> None:
            raise fault

        with monkeypatch.context() as patch:
            patch.setattr(world.catalog, "publish_version", broken)
            with pytest.raises(type(fault)):
                world.upload(VENDOR, package(), delivery_id="0D")
    assert world.repos.list_events(OPERATOR, PLATFORM_REPO_ID).events == []
    # The next delivery of the same notification succeeds.
    assert world.upload(VENDOR, package(), delivery_id="0D").outcome == "indexed"


def test_only_those_who_may_index_can(world: World) -> None:
    with pytest.raises(PermissionDenied):
        world.repos.index_object(USER, "repo_platform/x.tgz")


# --- the index action --------------------------------------------------------------------------------------


def test_indexing_one_object_again(world: World) -> None:
    key = world.upload(VENDOR, package()).key
    assert world.repos.index_one(VENDOR, PLATFORM_REPO_ID, key).outcome == "unchanged"
    for stranger in (RIVAL, DEVELOPER):
        with pytest.raises(NotFound):
            world.repos.index_one(stranger, PLATFORM_REPO_ID, key)
    for bad in ("repo_other/usr_ven/x.tgz", "nonsense", "repo_platform/usr_ven/never.tgz"):
        with pytest.raises(NotFound):
            world.repos.index_one(VENDOR, PLATFORM_REPO_ID, bad)


# --- validation --------------------------------------------------------------------------------------------


def test_validating_says_everything_that_is_wrong_and_publishes_nothing(world: World) -> None:
    good = world.repos.validate(USER, package=base64.b64encode(package()).decode())
    assert (good.valid, good.name, good.version) == (True, "shop", "1.0.0")
    bad = package_files()
    bad["config.json"], bad["package.json"] = b"{", b'{"name": 5}'
    report = world.repos.validate(USER, package=base64.b64encode(archive_of(bad)).decode())
    assert not report.valid
    assert {problem.file for problem in report.problems} >= {"config.json", "package.json"}
    assert store(world) == []


def test_validating_an_upload_is_for_who_uploaded_it(world: World) -> None:
    key = world.upload(VENDOR, package()).key
    assert world.repos.validate(VENDOR, repo_id=PLATFORM_REPO_ID, key=key).valid
    assert world.repos.validate(OPERATOR, key=key).valid
    for stranger in (RIVAL, USER):
        with pytest.raises(NotFound):
            world.repos.validate(stranger, key=key)
    world.uploads.objects[key] = b"x" * (service.MAX_PACKAGE_BYTES + 1)
    with pytest.raises(TooLarge):
        world.repos.validate(VENDOR, key=key)


@pytest.mark.parametrize(
    "given",
    [{}, {"package": "eA==", "key": "k"}, {"package": "no base64"}, {"package": "A" * 6_000_000}],
)
def test_validating_nothing_or_nonsense_names_the_field(world: World, given: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.repos.validate(USER, **given)
    assert refused.value.errors[0].field == "package"
