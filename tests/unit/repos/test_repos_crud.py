"""Making, describing, trying and letting go of repositories."""

from __future__ import annotations

from typing import Any

import pytest

from pitrix.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PitrixError,
    PreconditionFailed,
    SourceUnavailable,
    Unprocessable,
)
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.repos.model import (
    PLATFORM_REPO_ID,
    Credential,
    Repo,
    RepoPatch,
    RepoRequest,
    SourceRequest,
)
from pitrix.table import pack
from tests.unit.catalog.kit import DEVELOPER, OPERATOR, RIVAL, USER, VENDOR, World, package
from tests.unit.repos.kit import FakeSource

URL = "https://charts.test/stable"


def create(world: World, who: Any = VENDOR, name: str = "mine", **more: Any) -> Repo:
    return world.repos.create_repo(who, RepoRequest(name=name, **more))


def edit(world: World, repo: Repo, who: Any = VENDOR, **changes: Any) -> Repo:
    return world.repos.edit_repo(who, repo.repo_id, RepoPatch(**changes))


def fields(refused: pytest.ExceptionInfo[PitrixError]) -> list[str]:
    return [error.field for error in refused.value.errors]


def test_no_cursor_tells_of_a_strangers_repository(world: World) -> None:
    create(world, name="acme secret")
    page = world.repos.list_repos(RIVAL, limit=1)
    assert [repo.name for repo in page.repos] == ["platform"]
    assert world.repos.list_repos(RIVAL, limit=1, cursor=page.next_cursor).repos == []
    own = world.repos.list_repos(VENDOR, limit=1)
    assert [r.name for r in world.repos.list_repos(VENDOR, limit=1, cursor=own.next_cursor).repos] == [
        "acme secret"
    ]
    with pytest.raises(InvalidInput):
        world.repos.list_repos(RIVAL, limit=1, cursor=own.next_cursor)


def test_a_team_may_have_a_repository_of_its_own(world: World) -> None:
    repo = create(world, name="acme stable", labels={"team": "shop"}, selectors={"room": "lab"})
    assert (repo.owner_path, repo.visibility, repo.auto_release) == (":acme:", "private", True)
    assert [r.name for r in world.repos.list_repos(VENDOR).repos] == ["platform", "acme stable"]
    assert [r.name for r in world.repos.list_repos(RIVAL).repos] == ["platform"]
    for look in (world.repos.get_repo, world.repos.list_events, world.repos.statistics):
        with pytest.raises(NotFound):
            look(RIVAL, repo.repo_id)
    with pytest.raises(NotFound):
        world.repos.start_upload(RIVAL, repo.repo_id, filename="a.tgz", size_bytes=1)
    key = world.repos.start_upload(VENDOR, repo.repo_id, filename="a.tgz", size_bytes=1).key
    world.uploads.objects[key] = package()
    event = world.repos.index_object(SYSTEM, key)
    assert event is not None
    assert event.outcome == "indexed"
    assert world.catalog.list_apps(ANONYMOUS).apps == []  # a private one
    own = world.catalog.get_version(VENDOR, event.app_id or "", event.version_id or "")
    assert own.status == "released"  # but deployable to its team


def test_a_name_is_one_owners_and_tells_nobody_else_that_it_is_taken(world: World) -> None:
    create(world, name="stable")
    assert create(world, RIVAL, name="Stable").name == "Stable"
    with pytest.raises(Conflict, match="You have"):
        create(world, name="STABLE")
    assert create(world, DEVELOPER, name="stable").owner_path == ":acme:shop:"


def test_what_is_released_at_once(world: World) -> None:
    world.kit.sources.by_url[URL] = FakeSource()
    made = [
        create(world, OPERATOR, name="a", visibility="public"),
        create(world, OPERATOR, name="b", visibility="public", auto_release=True),
        create(world, OPERATOR, name="c", visibility="public", kind="http", url=URL),
        create(world, VENDOR, name="d"),
        create(world, VENDOR, name="e", auto_release=False),
    ]
    assert [repo.auto_release for repo in made] == [False, True, True, True, False]


def test_a_public_repository_is_an_operators(world: World) -> None:
    with pytest.raises(PermissionDenied):
        create(world, visibility="public")
    repo = create(world)
    with pytest.raises(PermissionDenied):
        edit(world, repo, visibility="public")
    assert edit(world, repo, OPERATOR, visibility="public").visibility == "public"


def test_editing_a_repository(world: World) -> None:
    repo = create(world)
    create(world, name="other")
    changed = world.repos.edit_repo(VENDOR, repo.repo_id, RepoPatch(name="Mine 2"), if_revision=repo.revision)
    assert world.repos.get_repo(VENDOR, repo.repo_id) == changed
    with pytest.raises(PreconditionFailed):
        world.repos.edit_repo(VENDOR, repo.repo_id, RepoPatch(name="x"), if_revision=repo.revision)
    with pytest.raises(Conflict):
        edit(world, changed, name="other")
    create(world)  # the old name is free again
    with pytest.raises(PermissionDenied):
        world.repos.edit_repo(VENDOR, PLATFORM_REPO_ID, RepoPatch(description="ours"))


def test_a_bad_repository_names_each_field(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(
            world,
            name=" x",
            description="x" * 1001,
            providers=["a b"],
            labels={"a b": "c", "d": "!"},
            selectors={"?": ""},
            require_signature=True,
            url=URL,
            sync_interval_s=5,
        )
    assert fields(refused) == [
        "name",
        "description",
        "providers",
        "labels.a b",
        "labels.d",
        "selectors.?",
        "url",
        "sync_interval_s",
        "require_signature",
    ]
    with pytest.raises(InvalidInput) as refused:
        create(world, kind="http", endpoint="https://s3.test", region="r")
    assert fields(refused) == ["url", "endpoint", "region"]
    with pytest.raises(InvalidInput) as refused:
        create(world, credential=Credential(username="u"))
    assert fields(refused) == ["credential"]
    with pytest.raises(InvalidInput) as refused:
        create(world, keys=["no key"], require_signature=True)
    assert fields(refused) == ["keys/0"]


def test_seeding_twice_is_harmless(world: World) -> None:
    edited = world.repos.edit_repo(OPERATOR, PLATFORM_REPO_ID, RepoPatch(description="Ours"))
    assert world.repos.ensure_platform_repo(SYSTEM) == edited
    with pytest.raises(PermissionDenied):
        world.repos.ensure_platform_repo(VENDOR)


# --- addresses and credentials -----------------------------------------------------------------------------


def test_a_remote_repository_is_tried_before_it_is_saved(world: World) -> None:
    source = world.kit.sources.by_url[URL] = FakeSource()
    for trouble, expected, field in (
        (SourceUnavailable("charts.test does not answer."), Unprocessable, "url"),
        (
            InvalidInput("charts.test gives nothing away (401): a credential is missing."),
            InvalidInput,
            "credential",
        ),
        (InvalidInput("that is no index."), InvalidInput, "url"),
    ):
        source.troubles[""] = trouble
        request = SourceRequest(kind="http", url=URL)
        for attempt in (
            lambda: create(world, kind="http", url=URL),
            lambda request=request: world.repos.check_source(VENDOR, request),  # type: ignore[misc]
        ):
            with pytest.raises(expected) as refused:
                attempt()
            assert fields(refused) == [field]
    assert [repo.name for repo in world.repos.list_repos(VENDOR).repos] == ["platform"]
    assert world.kit.machine.started == []


def test_a_credential_goes_in_and_never_comes_out(world: World) -> None:
    secret = Credential(username="robot", password="hunter2")
    repo = create(world, kind="http", url=URL, credential=secret)
    assert world.kit.sources.credentials == [secret]
    assert world.kit.vault.kept == {repo.repo_id: secret}
    assert repo.has_credential
    assert "hunter2" not in repr([secret, pack(repo), world.repos_table._items])  # type: ignore[attr-defined]
    # An edit of the address is tried with the credential that is kept, another one with the new one.
    edit(world, repo, url=URL + "2")
    other = Credential(username="robot", password="hunter3")
    repo = edit(world, repo, credential=other)
    assert world.kit.sources.credentials[-2:] == [secret, other]
    assert world.kit.vault.kept == {repo.repo_id: other}
    world.repos.check_repo(VENDOR, repo.repo_id)
    assert world.kit.sources.credentials[-1] == other
    repo = edit(world, repo, credential=Credential())
    assert (repo.has_credential, world.kit.vault.kept) == (False, {})
    assert world.kit.sources.credentials[-1] is None
    with pytest.raises(NotFound):
        world.repos.check_repo(RIVAL, repo.repo_id)


def test_a_credential_that_cannot_be_kept_leaves_no_repository(world: World) -> None:
    world.kit.vault.fails = True
    with pytest.raises(ConnectionError):
        create(world, kind="http", url=URL, credential=Credential(username="u"))
    assert [repo.name for repo in world.repos.list_repos(VENDOR).repos] == ["platform"]
    world.kit.vault.fails = False
    assert create(world, kind="http", url=URL).name == "mine"


def test_an_edit_that_cannot_be_read_changes_nothing(world: World) -> None:
    repo = create(world, kind="http", url=URL)
    world.kit.sources.by_url["https://gone.test"] = FakeSource(troubles={"": SourceUnavailable("gone")})
    with pytest.raises(Unprocessable):
        edit(world, repo, url="https://gone.test", credential=Credential(username="x"))
    assert world.repos.get_repo(VENDOR, repo.repo_id) == repo
    assert world.kit.vault.kept == {}
    edit(world, repo, description="no address")  # nothing is tried
    assert world.kit.sources.by_url[URL].listings == 1


def test_a_check_says_what_is_there(world: World) -> None:
    world.kit.sources.by_url[URL] = FakeSource({f"app-{n}": package(f"app-{n}") for n in range(9)})
    found = world.repos.check_source(VENDOR, SourceRequest(kind="http", url=URL))
    assert (found.valid, found.packages, len(found.sample)) == (True, 9, 5)
    with pytest.raises(PermissionDenied):
        world.repos.check_source(USER, SourceRequest(kind="http", url=URL))


# --- letting go --------------------------------------------------------------------------------------------


def filled(world: World, packages: int = 3) -> Repo:
    """A remote repository with some apps in the catalog."""
    source = world.kit.sources.by_url[URL] = FakeSource()
    source.packages = {f"app-{n}": package(f"app-{n}") for n in range(packages)}
    repo = create(
        world, OPERATOR, kind="http", url=URL, visibility="public", credential=Credential(username="u")
    )
    world.kit.carry_out()
    return repo


def names(world: World) -> list[str]:
    return sorted(app.name for app in world.catalog.list_apps(ANONYMOUS).apps)


def test_a_deleted_repository_leaves_the_store_but_not_the_clusters(world: World) -> None:
    repo = filled(world)
    assert names(world) == ["app-0", "app-1", "app-2"]
    app = world.catalog.list_apps(ANONYMOUS, name="app-1").apps[0]
    world.repos.delete_repo(OPERATOR, repo.repo_id)
    # It is gone at once, with its credential, for everybody; its name is free.
    with pytest.raises(NotFound):
        world.repos.get_repo(OPERATOR, repo.repo_id)
    assert [r.name for r in world.repos.list_repos(OPERATOR).repos] == ["platform"]
    assert world.kit.vault.kept == {}
    create(world, OPERATOR)
    world.kit.carry_out()
    assert names(world) == []
    version = world.catalog.get_version(OPERATOR, app.app_id, app.latest_version_id or "")
    assert (version.status, version.status_reason) == ("suspended", "The repository mine was deleted.")
    assert world.catalog.load_package(SYSTEM, version.version_id).name == "app-1"
    assert world.kit.objects.keys(f"syncs/{repo.repo_id}/") == []
    assert world.kit.store.repo(repo.repo_id) is None
    assert world.kit.store.sync_state(repo.repo_id) is None
    assert world.events.types[-1] == "RepoDeleted"
    with pytest.raises(NotFound):
        world.repos.delete_repo(OPERATOR, repo.repo_id)
    world.kit.carry_out(world.kit.machine.started[-1])  # called once more
    assert world.events.types[-1] == "RepoDeleted"


def test_deleting_waits_for_the_sync_that_is_under_way(world: World) -> None:
    repo = filled(world)
    world.kit.sources.by_url[URL].packages["late"] = package("late")
    running = world.repos.sync(OPERATOR, repo.repo_id)
    assert world.kit.steps.begin(repo.repo_id, running.sync_id) == [1]
    started = len(world.kit.machine.started)
    world.repos.delete_repo(OPERATOR, repo.repo_id)
    world.repos.delete_repo(OPERATOR, repo.repo_id)  # a second time does no harm
    assert len(world.kit.machine.started) == started
    world.kit.carry_out(running)
    assert "late" not in names(world)
    assert world.kit.syncs.start_due(SYSTEM) == 1
    world.kit.carry_out()
    assert names(world) == []
    assert world.kit.store.repo(repo.repo_id) is None


def test_a_deletion_that_breaks_off_goes_on_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = filled(world)
    with monkeypatch.context() as patch:
        patch.setattr(world.catalog, "withdraw_app", lambda *_, **__: 1 / 0)
        world.repos.delete_repo(OPERATOR, repo.repo_id)
        world.kit.carry_out()
        assert world.kit.syncs.start_due(SYSTEM) == 1
        world.kit.carry_out()
    assert world.kit.store.repo(repo.repo_id) is not None
    assert names(world) == ["app-0", "app-1", "app-2"]
    assert world.kit.syncs.start_due(SYSTEM) == 0  # not at once
    world.clock.advance(301)
    assert world.kit.syncs.start_due(SYSTEM) == 1
    world.kit.carry_out()
    assert names(world) == []
    assert world.kit.store.repo(repo.repo_id) is None


def test_who_may_delete_what(world: World) -> None:
    repo = create(world)
    with pytest.raises(NotFound):
        world.repos.delete_repo(RIVAL, repo.repo_id)
    with pytest.raises(PermissionDenied):
        world.repos.delete_repo(VENDOR, PLATFORM_REPO_ID)
    with pytest.raises(Conflict, match="cannot be deleted"):
        world.repos.delete_repo(OPERATOR, PLATFORM_REPO_ID)
    with pytest.raises(PermissionDenied):
        world.repos.delete_repo(USER, repo.repo_id)
    assert world.repos.get_repo(VENDOR, repo.repo_id) == repo


def test_nothing_is_indexed_into_a_repository_that_is_being_deleted(world: World) -> None:
    repo = create(world)
    key = world.repos.start_upload(VENDOR, repo.repo_id, filename="a.tgz", size_bytes=1).key
    world.uploads.objects[key] = package()
    world.repos.delete_repo(VENDOR, repo.repo_id)
    assert world.repos.index_object(SYSTEM, key) is None


# --- statistics --------------------------------------------------------------------------------------------


def test_statistics_of_uploads_count_what_became_of_them(world: World) -> None:
    first = world.upload(VENDOR, package("shop"))
    world.upload(VENDOR, package("shop", "1.1.0"), "y.tgz")
    world.upload(RIVAL, package("shop-two"), "z.tgz")
    world.upload(VENDOR, b"broken", "b.tgz", delivery_id="0A")
    world.repos.index_object(SYSTEM, "repo_platform/usr_ven/b.tgz", delivery_id="0A")
    world.repos.index_object(SYSTEM, first.key)  # unchanged: counts nothing
    totals = world.repos.statistics(OPERATOR, PLATFORM_REPO_ID).totals
    assert (totals.apps, totals.versions, totals.refused) == (2, 3, 1)
    assert totals.size_bytes == sum(
        map(len, (package("shop"), package("shop", "1.1.0"), package("shop-two")))
    )


def test_statistics_of_a_remote_repository_are_what_its_source_holds(world: World) -> None:
    repo = filled(world)
    source = world.kit.sources.by_url[URL]
    source.packages["bad"] = b"broken"
    world.repos.sync(OPERATOR, repo.repo_id)
    world.kit.carry_out()
    found = world.repos.statistics(OPERATOR, repo.repo_id)
    assert (found.totals.apps, found.totals.versions, found.totals.refused) == (3, 3, 1)
    assert found.last_sync is not None
    assert [failure.key for failure in found.last_sync.failures] == ["bad"]
    assert found.next_sync_at is not None
    for stranger in (VENDOR, USER):
        shown = world.repos.statistics(stranger, repo.repo_id)
        assert shown.totals == found.totals
        assert shown.last_sync is not None
        assert (shown.last_sync.failures, shown.last_sync.by) == ([], "")
