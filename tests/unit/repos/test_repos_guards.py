"""What keeps a mistake small: an empty source, a moved address, a dead package, a rubbish request."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.repos.app import app
from pitrix.errors import Contended, InvalidInput, NotFound, Unprocessable
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.repos import indexing, sync_steps
from pitrix.repos import service as repos_service
from pitrix.repos.model import Credential, Listing, Repo, RepoPatch, RepoRequest, Sync
from pitrix.repos.sources.guarded import Limits
from pitrix.table import pack
from tests.unit.catalog.kit import OPERATOR, VENDOR, World, call, package
from tests.unit.repos.kit import FakeSource
from tests.unit.repos.test_repos_http import problem

URL = "https://charts.test/stable"


@pytest.fixture
def source(world: World) -> FakeSource:
    found = world.kit.sources.by_url[URL] = FakeSource()
    found.packages = {f"app-{n}": package(f"app-{n}") for n in range(3)}
    return found


@pytest.fixture
def repo(world: World, source: FakeSource) -> Repo:
    """A remote repository with three apps, synced once."""
    made = world.repos.create_repo(
        OPERATOR, RepoRequest(name="stable", kind="http", url=URL, visibility="public")
    )
    world.kit.carry_out()
    return made


def by_schedule(world: World, seconds: int = 3601) -> Sync | None:
    """What the schedule's next sync comes to."""
    world.clock.advance(seconds)
    assert world.kit.syncs.start_due(SYSTEM) == 1
    world.kit.carry_out()
    sync = world.kit.machine.started[-1]
    return world.repos.statistics(OPERATOR, sync.repo_id).last_sync


def in_store(world: World) -> int:
    return len(world.catalog.list_apps(ANONYMOUS).apps)


def wait_s(world: World, repo: Repo) -> float:
    """Seconds until the schedule looks again."""
    next_at = world.repos.statistics(OPERATOR, repo.repo_id).next_sync_at
    assert next_at is not None
    return (next_at - world.clock.now()).total_seconds()


# --- sources -----------------------------------------------------------------------------------------------


def test_a_source_that_lists_nothing_any_more_empties_no_store_by_itself(
    world: World, source: FakeSource, repo: Repo
) -> None:
    before, source.packages = source.packages, {}
    done = by_schedule(world)
    assert done is not None
    assert (done.status, in_store(world)) == ("failed", 3)
    assert "lists no package any more, and had 3" in done.message
    assert "by hand" in done.message
    # It was a mistake: nothing is fetched again, nothing was gone.
    source.packages, source.fetched = before, []
    again = by_schedule(world)
    assert again is not None
    assert (again.status, source.fetched, in_store(world)) == ("unchanged", [], 3)
    # It is meant: a person says so.
    source.packages = {}
    world.repos.sync(OPERATOR, repo.repo_id)
    world.kit.carry_out()
    assert in_store(world) == 0
    later = by_schedule(world)
    assert later is not None
    assert later.status != "failed"


def test_a_package_that_is_gone_for_good_holds_up_no_other(
    world: World, source: FakeSource, repo: Repo
) -> None:
    source.packages["dead"] = b"x"
    source.troubles["dead"] = NotFound("gone")
    waits = []
    for _ in range(6):
        world.clock.advance(1)
        world.repos.sync(OPERATOR, repo.repo_id)
        world.kit.carry_out()
        waits.append(wait_s(world, repo))
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_an_edit_in_the_middle_of_a_sync_is_followed_by_another_one(
    world: World, source: FakeSource, repo: Repo
) -> None:
    source.packages["app-3"] = package("app-3")
    running = world.repos.sync(OPERATOR, repo.repo_id)
    assert world.kit.steps.begin(repo.repo_id, running.sync_id) == [1]
    mirror = world.kit.sources.by_url["https://mirror.test"] = FakeSource()
    mirror.packages = {"other": package("other")}
    world.repos.edit_repo(OPERATOR, repo.repo_id, RepoPatch(url="https://mirror.test"))
    world.kit.carry_out(running)
    assert wait_s(world, repo) == 0
    by_schedule(world, 0)
    assert [found.name for found in world.catalog.list_apps(ANONYMOUS).apps] == ["other"]
    assert wait_s(world, repo) == 3600


def test_a_snapshot_that_is_lost_is_made_anew(world: World, source: FakeSource, repo: Repo) -> None:
    world.kit.objects.objects.clear()
    source.fetched.clear()
    assert by_schedule(world) is not None
    assert (source.validators[-1], sorted(source.fetched)) == ("", ["app-0", "app-1", "app-2"])
    done = by_schedule(world)
    assert done is not None
    assert (done.status, done.counts.unchanged) == ("unchanged", 3)


def test_what_a_broken_sync_refused_is_known_after_the_next_one(
    world: World, source: FakeSource, repo: Repo
) -> None:
    source.packages["bad"] = b"broken"
    running = world.repos.sync(OPERATOR, repo.repo_id)
    where = (repo.repo_id, running.sync_id)
    world.kit.steps.begin(*where)
    world.kit.steps.fetch(*where, 1)
    world.kit.steps.fail(*where, "States.Timeout", "")
    done = by_schedule(world)
    assert done is not None
    assert (done.status, done.counts.refused) == ("succeeded", 1)


def test_a_package_in_progress_fits_into_its_functions_time() -> None:
    template = Path("template.yaml").read_text()
    found = re.search(r"Handler: tasks.handler\n\s+Timeout: (\d+)", template)
    assert found is not None
    assert sync_steps.STEP_TIME_S + Limits().total_s + 30 <= int(found[1])


# --- one package among others ------------------------------------------------------------------------------


def test_an_event_that_cannot_be_kept_fails_its_package_alone(
    world: World, source: FakeSource, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.packages |= {"bad": b"broken", "good": package("good")}
    with monkeypatch.context() as patch:
        patch.setattr(world.kit.store, "add_event", lambda *_, **__: 1 / 0)
        world.repos.sync(OPERATOR, repo.repo_id)
        world.kit.carry_out()
    done = world.repos.statistics(OPERATOR, repo.repo_id).last_sync
    assert done is not None
    assert (done.counts.added, done.counts.failed, [f.key for f in done.failures]) == (1, 1, ["bad"])


def test_an_archive_with_another_package_in_it_than_listed_is_refused(
    world: World, source: FakeSource, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.packages |= {"bait": package("other", "2.0.0"), "good": package("good", "1.0.0")}
    plain = source.listing

    def listing(validator: str = "") -> Listing | None:
        found = plain(validator)
        assert found is not None
        entries = [replace(each, version="1.0.0") for each in found.entries]
        return replace(found, entries=entries)

    monkeypatch.setattr(source, "listing", listing)
    world.repos.sync(OPERATOR, repo.repo_id)
    world.kit.carry_out()
    done = world.repos.statistics(OPERATOR, repo.repo_id).last_sync
    assert done is not None
    assert (done.counts.added, done.counts.refused) == (1, 1)
    assert [failure.message for failure in done.failures] == [
        "The source lists it as bait 1.0.0, but other 2.0.0 is inside."
    ]


def test_who_never_got_his_turn_is_not_refused(
    world: World, source: FakeSource, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise Contended("shop is being published by many at once; try again.")

    source.packages["late"] = package("late")
    with monkeypatch.context() as patch:
        patch.setattr(world.catalog, "publish_version", busy)
        with pytest.raises(Contended):  # so that Lambda delivers it again
            world.upload(VENDOR, package())
        world.repos.sync(OPERATOR, repo.repo_id)
        world.kit.carry_out()
    done = world.repos.statistics(OPERATOR, repo.repo_id).last_sync
    assert done is not None
    assert (done.counts.failed, done.counts.refused) == (1, 0)
    by_schedule(world)
    assert in_store(world) == 4


def test_failures_of_a_sync_fit_into_the_table(world: World, source: FakeSource, repo: Repo) -> None:
    source.packages |= {f"bad-{n}": b"broken" for n in range(60)}
    source.troubles |= {f"bad-{n}": Unprocessable("\U0001f525" * 5000) for n in range(60)}
    world.repos.sync(OPERATOR, repo.repo_id)
    world.kit.carry_out()
    done = world.repos.statistics(OPERATOR, repo.repo_id).last_sync
    assert done is not None
    assert done.counts.failed == 60
    assert 20 < len(done.failures) < 60
    kept = [item.data for item in world.repos_table._items.values()]  # type: ignore[attr-defined]
    assert max(len(sync_steps.json.dumps(data)) for data in kept) < indexing.KEPT_BYTES + 10_000
    assert pack(done)["failures"]


# --- when --------------------------------------------------------------------------------------------------


def test_a_repository_is_due_from_the_moment_it_is_written(
    world: World, source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the function had been killed before it could start the first sync.
    monkeypatch.setattr(world.repos, "_sync_soon", lambda *_: None)
    world.repos.create_repo(VENDOR, RepoRequest(name="x", kind="http", url=URL, sync_interval_s=0))
    assert world.kit.syncs.start_due(SYSTEM) == 1
    world.kit.carry_out()
    world.clock.advance(10**7)
    assert world.kit.syncs.start_due(SYSTEM) == 0


def test_a_repository_that_is_gone_is_not_due_for_ever(world: World, repo: Repo) -> None:
    world.repos.delete_repo(OPERATOR, repo.repo_id)
    world.kit.carry_out()
    world.kit.syncs.look_at(repo, world.clock.now())  # a second deletion, a moment late
    assert world.kit.store.due(world.clock.now(), limit=10) == [repo.repo_id]
    assert world.kit.syncs.start_due(SYSTEM) == 0
    assert world.kit.store.due(world.clock.now(), limit=10) == []


# --- edits and requests ------------------------------------------------------------------------------------


def test_a_kept_credential_is_not_sent_to_another_server(world: World, source: FakeSource) -> None:
    secret = Credential(username="robot", password="hunter2")
    made = world.repos.create_repo(VENDOR, RepoRequest(name="mine", kind="http", url=URL, credential=secret))
    for elsewhere in ("https://evil.test/stable", "https://charts.test:8443/", "http://charts.test/stable"):
        with pytest.raises(InvalidInput) as refused:
            world.repos.edit_repo(VENDOR, made.repo_id, RepoPatch(url=elsewhere))
        assert [error.field for error in refused.value.errors] == ["credential"]
        assert elsewhere not in world.kit.sources.by_url  # nobody was asked
    world.repos.edit_repo(VENDOR, made.repo_id, RepoPatch(url="https://Charts.test/other"))
    moved = RepoPatch(url="https://new.test", credential=Credential())
    assert not world.repos.edit_repo(VENDOR, made.repo_id, moved).has_credential
    assert world.kit.sources.credentials[-1] is None


def test_a_check_of_an_address_ends_before_the_gateway_gives_up(
    deployed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repos_service.CHECK_TIME_S < 25
    monkeypatch.setattr(repos_service, "CHECK_TIME_S", 0.05)
    answered = threading.Event()

    class Silent(FakeSource):
        def listing(self, validator: str = "") -> Listing | None:
            answered.wait(10)
            return super().listing(validator)

    deployed.kit.sources.by_url[URL] = Silent()
    tried = call(app, "POST", "/v1/repos/validate", who=VENDOR, body={"kind": "http", "url": URL})
    answered.set()
    assert "within" in problem(tried, 422, "url")["detail"]


RUBBISH: list[tuple[dict[str, Any], set[str]]] = [
    ({"name": "\ufdfa" * 60}, {"name"}),  # 60 letters that fold to 1,080
    ({"name": ["x"]}, {"name"}),
    ({"name": None}, {"name"}),
    ({"name": "x", "labels": {f"k {n}": "v v" for n in range(50_000)}}, {"labels"}),
    ({"name": "x", "labels": {"a": 1}}, {"labels[...]"}),
    ({"name": "x", "keys": "k"}, {"keys"}),
    ({"name": "x", "kind": "ftp"}, {"kind"}),
    ({"name": "x", "sync_interval_s": 10**30}, {"sync_interval_s"}),
    ({"name": "x", "sync_interval_s": 1.5}, {"sync_interval_s"}),
    ({"name": "x", "kind": "http", "url": ""}, {"url"}),
    ({"name": "x", "credential": []}, {"credential"}),
    ({"name": "x", "credential": {"token": "t"}}, {"credential.token"}),
]


@pytest.mark.parametrize(("body", "fields"), RUBBISH)
def test_rubbish_is_refused_by_name(deployed: World, body: dict[str, Any], fields: set[str]) -> None:
    problem(call(app, "POST", "/v1/repos", who=VENDOR, body=body), 400, *fields)


def test_a_million_unknown_fields_are_not_all_named(deployed: World) -> None:
    body = {f"f{n}": 1 for n in range(10_000)}
    answer = call(app, "POST", "/v1/repos", who=VENDOR, body=body)
    assert answer.status == 400
    assert len(answer.json["errors"]) == 20


def test_half_a_character_is_refused(deployed: World) -> None:
    body = {"name": "x", "description": "\ud800"}
    assert "surrogate" in problem(call(app, "POST", "/v1/repos", who=VENDOR, body=body), 400)["detail"]
    assert call(app, "POST", "/v1/repos", who=VENDOR, body={"name": "\u5e97"}).status == 201


@pytest.mark.parametrize("tag", ["9" * 5000, "\u00b2", "x", '"1", "2"'])
def test_an_entity_tag_that_is_none_is_refused(deployed: World, tag: str) -> None:
    route, headers = "/v1/repos/{repo_id}", {"If-Match": tag}
    answer = call(app, "PATCH", route, who=OPERATOR, body={}, headers=headers, repo_id="repo_platform")
    problem(answer, 400, "If-Match")


@pytest.mark.parametrize("who", [OPERATOR, VENDOR])
def test_a_key_longer_than_any_is_nobodys_upload(deployed: World, who: Any) -> None:
    body = {"repo_id": "repo_platform", "key": f"repo_platform/usr_ven/{'a' * 3000}.tgz"}
    problem(call(app, "POST", "/v1/packages/validate", who=who, body=body), 404)
