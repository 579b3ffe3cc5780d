"""Syncs from start to end: what they publish, refuse, withdraw and tell, and when they happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pitrix.errors import Conflict, PackageInvalid, PermissionDenied, SourceUnavailable, StepFailed
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.repos import differences, sync_steps
from pitrix.repos.model import PLATFORM_REPO_ID, Repo, RepoPatch, RepoRequest, Sync
from tests.unit.catalog.kit import OPERATOR, RIVAL, USER, VENDOR, World, package
from tests.unit.repos.kit import FakeSource

URL = "https://charts.test/stable"


class Charts:
    """A remote repository with three apps, synced once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.source = world.kit.sources.by_url[URL] = FakeSource()
        self.source.packages = {f"app-{n}": package(f"app-{n}") for n in range(3)}
        request = RepoRequest(name="stable", kind="http", url=URL, visibility="public")
        self.repo: Repo = world.repos.create_repo(OPERATOR, request)
        world.kit.carry_out()

    def sync(self, **how: Any) -> Sync:
        """Sync, and return how it went."""
        self.source.fetched.clear()
        self.world.clock.advance(60)
        self.world.repos.sync(OPERATOR, self.repo.repo_id, **how)
        self.world.kit.carry_out()
        last = self.world.repos.statistics(OPERATOR, self.repo.repo_id).last_sync
        assert last is not None
        return last

    def store(self) -> list[str]:
        """The names of the public store."""
        return sorted(app.name for app in self.world.catalog.list_apps(ANONYMOUS).apps)

    def version(self, name: str) -> Any:
        """The first version of an app."""
        app = self.world.apps.app_by_name(self.repo.repo_id, name)
        assert app is not None
        return self.world.catalog.list_versions(OPERATOR, app.app_id).versions[-1]

    def events(self) -> list[tuple[str, str]]:
        return [(e.outcome, e.key) for e in self.world.repos.list_events(OPERATOR, self.repo.repo_id).events]


@pytest.fixture
def charts(world: World) -> Charts:
    return Charts(world)


def test_the_first_sync_publishes_everything(charts: Charts) -> None:
    assert charts.store() == ["app-0", "app-1", "app-2"]
    assert charts.events() == [("synced", "")]
    event = charts.world.repos.list_events(OPERATOR, charts.repo.repo_id).events[0]
    assert event.counts is not None
    assert (event.counts.added, event.counts.unchanged, event.message) == (3, 0, "3 added.")
    assert event.size_bytes == 100 + sum(map(len, charts.source.packages.values()))
    assert ("RepoSynced", {"added": 3}) in [
        (type_, {"added": data["added"]})
        for type_, _, data in charts.world.events.heard
        if type_ == "RepoSynced"
    ]
    assert charts.version("app-1").owner_path == ":"
    # Of all objects of the sync only the snapshot stays.
    assert len(charts.world.kit.objects.objects) == 1


def test_what_has_not_changed_costs_one_question(charts: Charts) -> None:
    tables = dict(charts.world.catalog_table._items)  # type: ignore[attr-defined]
    done = charts.sync()
    assert (done.status, done.counts.unchanged, charts.source.fetched) == ("unchanged", 3, [])
    assert charts.source.validators[-1]
    assert charts.events() == [("synced", "")]  # nothing to tell
    assert dict(charts.world.catalog_table._items) == tables  # type: ignore[attr-defined]


def test_a_change_costs_its_changes(charts: Charts) -> None:
    charts.source.packages["app-3"] = package("app-3")
    charts.source.packages["app-1b"] = package("app-1", "1.1.0")
    done = charts.sync()
    assert sorted(charts.source.fetched) == ["app-1b", "app-3"]
    assert (done.counts.added, done.counts.unchanged, done.status) == (2, 3, "succeeded")
    assert charts.store() == ["app-0", "app-1", "app-2", "app-3"]


def test_what_is_removed_upstream_leaves_the_store_and_comes_back(charts: Charts) -> None:
    archive = charts.source.packages.pop("app-1")
    done = charts.sync()
    assert (done.counts.removed, done.counts.unchanged) == (1, 2)
    assert charts.store() == ["app-0", "app-2"]
    version = charts.version("app-1")
    assert (version.status, version.status_reason) == ("suspended", "removed upstream")
    assert charts.world.catalog.load_package(SYSTEM, version.version_id).name == "app-1"
    assert charts.sync().status == "unchanged"
    charts.source.packages["app-1"] = archive
    assert charts.sync().counts.added == 1
    assert charts.store() == ["app-0", "app-1", "app-2"]
    assert charts.version("app-1").version_id == version.version_id


def test_what_a_person_suspended_stays_so(charts: Charts) -> None:
    version = charts.version("app-1")
    charts.world.catalog.change_status(
        OPERATOR, version.app_id, version.version_id, "suspend", reason="a virus"
    )
    archive = charts.source.packages.pop("app-1")
    charts.sync()
    charts.source.packages["app-1"] = archive
    charts.sync()
    assert charts.version("app-1").status_reason == "a virus"
    assert charts.store() == ["app-0", "app-2"]


def test_a_package_under_another_name_is_not_removed(charts: Charts) -> None:
    charts.source.packages["moved/app-1"] = charts.source.packages.pop("app-1")
    done = charts.sync()
    assert (done.counts.added, done.counts.removed) == (1, 0)
    assert charts.store() == ["app-0", "app-1", "app-2"]


def test_an_object_with_another_version_in_it_replaces_the_old_one(charts: Charts) -> None:
    charts.source.packages["app-1"] = package("app-1", "2.0.0")
    done = charts.sync()
    assert (done.counts.changed, done.counts.removed) == (1, 1)
    assert charts.version("app-1").status == "suspended"
    assert charts.store() == ["app-0", "app-1", "app-2"]


def test_one_bad_package_stops_no_other_and_is_not_fetched_again(charts: Charts) -> None:
    charts.source.packages |= {"bad": b"broken", "app-3": package("app-3")}
    done = charts.sync()
    assert (done.counts.added, done.counts.refused) == (1, 1)
    assert [(failure.key, failure.outcome) for failure in done.failures] == [("bad", "refused")]
    assert charts.events()[:2] == [("synced", ""), ("refused", "bad")]
    assert charts.sync().status == "unchanged"
    charts.source.packages["app-4"] = package("app-4")
    assert charts.sync().counts.refused == 1
    assert charts.source.fetched == ["app-4"]
    assert charts.sync(retry_refused=True).counts.refused == 1
    assert charts.source.fetched == ["bad"]
    assert charts.events().count(("refused", "bad")) == 1
    charts.source.packages["bad"] = package("good")
    done = charts.sync()
    assert (done.counts.changed, done.counts.refused) == (1, 0)
    assert "good" in charts.store()


def test_an_archive_that_is_not_the_one_listed_is_refused_and_not_fetched_again(charts: Charts) -> None:
    charts.source.packages["app-3"] = package("app-3")
    charts.source.troubles["app-3"] = PackageInvalid("app-3.tgz has another digest than the index says.")
    done = charts.sync()
    assert [(each.key, each.outcome) for each in done.failures] == [("app-3", "refused")]
    assert "another digest" in done.failures[0].message
    assert charts.sync().status == "unchanged"


def test_other_content_under_a_published_version_is_refused_and_the_version_stays(charts: Charts) -> None:
    charts.source.packages["app-1"] = package("app-1", description="other")
    done = charts.sync()
    assert done.counts.refused == 1
    assert "published before with other content" in done.failures[0].message
    assert charts.store() == ["app-0", "app-1", "app-2"]
    del charts.source.packages["app-1"]
    assert charts.sync().counts.removed == 1  # the key still stood for that version
    assert charts.store() == ["app-0", "app-2"]


def test_what_could_not_be_fetched_is_tried_again(charts: Charts) -> None:
    charts.source.packages |= {"app-3": package("app-3"), "app-4": package("app-4")}
    charts.source.troubles["app-3"] = SourceUnavailable("charts.test answers 502.")
    done = charts.sync()
    assert (done.counts.added, done.counts.failed) == (1, 1)
    assert [(f.key, f.message) for f in done.failures] == [("app-3", "charts.test answers 502.")]
    charts.source.troubles.clear()
    done = charts.sync()  # without the validator, or nothing would seem to have changed
    assert charts.source.fetched == ["app-3"]
    assert (done.counts.added, done.counts.failed) == (1, 0)


def test_a_batch_that_nobody_answers_is_retried_by_the_machine(charts: Charts) -> None:
    charts.source.packages["app-3"] = package("app-3")
    charts.source.troubles["app-3"] = SourceUnavailable("away")
    started = charts.world.repos.sync(OPERATOR, charts.repo.repo_id)
    where = (charts.repo.repo_id, started.sync_id)
    assert charts.world.kit.steps.begin(*where) == [1]
    with pytest.raises(SourceUnavailable):
        charts.world.kit.steps.fetch(*where, 1)
    charts.source.troubles.clear()
    charts.world.kit.carry_out(started)
    assert "app-3" in charts.store()


def test_a_fault_of_ours_fails_one_package_and_tells_nothing_of_us(
    charts: Charts, monkeypatch: pytest.MonkeyPatch
) -> None:
    charts.source.packages["app-3"] = package("app-3")
    with monkeypatch.context() as patch:
        patch.setattr(charts.world.catalog, "publish_version", lambda *_, **__: 1 / 0)
        done = charts.sync()
    assert done.counts.failed == 1
    assert "division" not in done.failures[0].message
    assert charts.sync().counts.added == 1


def test_an_oversized_package_is_refused(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_steps, "MAX_PACKAGE_BYTES", 10)
    charts.source.packages["app-3"] = package("app-3")
    assert charts.sync().counts.refused == 1
    monkeypatch.undo()
    assert charts.sync().status == "unchanged"


def test_a_source_that_is_away_is_looked_at_later_and_later(charts: Charts) -> None:
    charts.source.troubles[""] = SourceUnavailable("charts.test is away.")
    waits = []
    for _ in range(12):
        done = charts.sync()
        assert (done.status, done.message) == ("failed", "charts.test is away.")
        next_at = charts.world.repos.statistics(OPERATOR, charts.repo.repo_id).next_sync_at
        assert next_at is not None
        waits.append((next_at - charts.world.clock.now()).total_seconds())
    assert waits[:3] == [300, 600, 1200]
    assert waits[-1] == 24 * 3600
    assert charts.events()[0] == ("failed", "")
    charts.source.troubles.clear()
    charts.sync()
    next_at = charts.world.repos.statistics(OPERATOR, charts.repo.repo_id).next_sync_at
    assert next_at is not None
    assert (next_at - charts.world.clock.now()).total_seconds() == 3600


def test_a_fault_in_a_step_is_logged_and_not_told(charts: Charts) -> None:
    started = charts.world.repos.sync(OPERATOR, charts.repo.repo_id)
    cause = '{"errorMessage": "secret /var/task", "errorType": "KeyError"}'
    charts.world.kit.steps.fail(charts.repo.repo_id, started.sync_id, "KeyError", cause)
    event = charts.world.repos.list_events(OPERATOR, charts.repo.repo_id).events[0]
    assert event.outcome == "failed"
    assert "secret" not in event.message


# --- when --------------------------------------------------------------------------------------------------


def test_a_second_start_answers_with_the_running_sync(charts: Charts) -> None:
    first = charts.world.repos.sync(OPERATOR, charts.repo.repo_id)
    assert charts.world.repos.sync(OPERATOR, charts.repo.repo_id) == first
    assert charts.world.repos.statistics(OPERATOR, charts.repo.repo_id).running == first
    assert len(charts.world.kit.machine.started) == 2


def test_the_schedule_takes_up_what_is_due_and_what_died(charts: Charts) -> None:
    syncs, clock = charts.world.kit.syncs, charts.world.clock
    assert syncs.start_due(SYSTEM) == 0
    clock.advance(3600)
    assert syncs.start_due(SYSTEM) == 1
    dead = charts.world.kit.machine.started[-1]
    assert syncs.start_due(SYSTEM) == 0  # it runs
    clock.advance(421)
    assert syncs.start_due(SYSTEM) == 1  # nobody heard of it for longer than a step may take
    charts.world.kit.carry_out()
    with pytest.raises(StepFailed):  # the dead one wakes up
        charts.world.kit.steps.begin(charts.repo.repo_id, dead.sync_id)
    charts.world.kit.steps.fail(charts.repo.repo_id, dead.sync_id, "StepFailed", "")
    last = charts.world.repos.statistics(OPERATOR, charts.repo.repo_id).last_sync
    assert last is not None
    assert last.status == "unchanged"
    with pytest.raises(PermissionDenied):
        syncs.start_due(USER)


def test_steps_renew_the_lease(charts: Charts) -> None:
    charts.source.packages["app-3"] = package("app-3")
    started = charts.world.repos.sync(OPERATOR, charts.repo.repo_id)
    where = (charts.repo.repo_id, started.sync_id)
    charts.world.clock.advance(400)
    charts.world.kit.steps.begin(*where)
    charts.world.clock.advance(400)
    assert charts.world.kit.syncs.start_due(SYSTEM) == 0
    charts.world.kit.carry_out(started)
    assert "app-3" in charts.store()


def test_whoever_asks_while_a_sync_is_under_way_gets_another_look(charts: Charts) -> None:
    world, repo_id = charts.world, charts.repo.repo_id
    first = world.repos.sync(OPERATOR, repo_id)
    charts.source.packages["app-3"] = package("app-3")
    world.kit.steps.begin(repo_id, first.sync_id)  # it lists the source
    charts.source.packages["app-4"] = package("app-4")  # and this came too late for it
    for _ in range(2):
        assert world.repos.sync(OPERATOR, repo_id).sync_id == first.sync_id
    world.kit.carry_out(first)
    assert "app-4" not in charts.store()
    assert world.kit.syncs.start_due(SYSTEM) == 1
    world.kit.carry_out()
    assert "app-4" in charts.store()
    assert world.kit.syncs.start_due(SYSTEM) == 0


def test_a_repository_that_cannot_be_started_keeps_no_other_waiting(
    charts: Charts, monkeypatch: pytest.MonkeyPatch
) -> None:
    charts.world.repos.create_repo(OPERATOR, RepoRequest(name="b", kind="http", url="https://b.test"))
    charts.world.kit.carry_out()
    start, tried = charts.world.kit.machine.start, []

    def first_fails(sync: Sync) -> None:
        tried.append(sync)
        if len(tried) == 1:
            raise ConnectionError("Step Functions is away")
        start(sync)

    monkeypatch.setattr(charts.world.kit.machine, "start", first_fails)
    charts.world.clock.advance(3700)
    with pytest.raises(ConnectionError):  # the schedule's dead-letter queue hears of it
        charts.world.kit.syncs.start_due(SYSTEM)
    assert len({sync.repo_id for sync in tried}) == 2
    charts.world.clock.advance(301)
    assert charts.world.kit.syncs.start_due(SYSTEM) == 1


def test_a_repository_is_made_even_if_its_first_sync_does_not_start(world: World) -> None:
    world.kit.machine.fails = True
    repo = world.repos.create_repo(OPERATOR, RepoRequest(name="b", kind="http", url="https://b.test"))
    world.kit.machine.fails = False
    world.clock.advance(301)
    assert world.kit.syncs.start_due(SYSTEM) == 1
    assert world.kit.machine.started[-1].repo_id == repo.repo_id


def test_intervals(charts: Charts) -> None:
    charts.world.repos.edit_repo(OPERATOR, charts.repo.repo_id, RepoPatch(sync_interval_s=600))
    charts.world.clock.advance(601)
    assert charts.world.kit.syncs.start_due(SYSTEM) == 1
    charts.world.kit.carry_out()
    charts.world.repos.edit_repo(OPERATOR, charts.repo.repo_id, RepoPatch(sync_interval_s=0))
    charts.world.clock.advance(10**6)
    assert charts.world.kit.syncs.start_due(SYSTEM) == 0


def test_who_may_sync(charts: Charts) -> None:
    for stranger in (VENDOR, RIVAL):
        with pytest.raises(PermissionDenied):
            charts.world.repos.sync(stranger, charts.repo.repo_id)


# --- rules that change -------------------------------------------------------------------------------------


def test_another_address_is_asked_for_everything_and_fetched_where_it_differs(charts: Charts) -> None:
    mirror = charts.world.kit.sources.by_url["https://mirror.test"] = FakeSource()
    mirror.packages = dict(charts.source.packages) | {"app-3": package("app-3")}
    charts.world.repos.edit_repo(OPERATOR, charts.repo.repo_id, RepoPatch(url="https://mirror.test"))
    charts.world.kit.carry_out()
    assert mirror.validators == ["", ""]  # of the trial, and of the sync
    assert mirror.fetched == ["app-3"]


def test_other_rules_have_every_package_looked_at_again(
    charts: Charts, monkeypatch: pytest.MonkeyPatch
) -> None:
    charts.source.packages["bad"] = b"broken"
    charts.sync()
    monkeypatch.setattr(sync_steps, "RULES", 99)
    done = charts.sync()
    assert sorted(charts.source.fetched) == ["app-0", "app-1", "app-2", "bad"]
    assert (done.counts.refused, done.counts.removed) == (1, 0)
    assert charts.sync().status == "unchanged"


# --- a very large repository -------------------------------------------------------------------------------


def test_more_than_one_sync_takes_goes_on_at_once(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "BATCH", 2)
    monkeypatch.setattr(differences, "MAX_BATCHES", 2)
    charts.source.packages |= {f"more-{n}": package(f"more-{n}") for n in range(6)}
    done = charts.sync()
    assert (done.counts.added, done.counts.pending, done.counts.removed) == (4, 2, 0)
    assert charts.world.kit.syncs.start_due(SYSTEM) == 1
    charts.world.kit.carry_out()
    assert len(charts.store()) == 9
    assert charts.sync().status == "unchanged"


# --- the platform's own bucket -----------------------------------------------------------------------------


def test_the_platforms_bucket_is_synced_by_who_uploaded(world: World) -> None:
    source = world.kit.sources.by_url[""] = FakeSource()
    key = world.repos.start_upload(VENDOR, PLATFORM_REPO_ID, filename="shop-1.0.0.tgz", size_bytes=1).key
    source.packages = {
        key: package("shop"),
        "repo_platform/straight.tgz": package("straight"),
        "repo_platform/usr_x/never-announced.tgz": package("stranger"),
        "repo_platform/notes.txt": b"hello",
    }
    world.repos.sync(OPERATOR, PLATFORM_REPO_ID)
    world.kit.carry_out()
    owners = {app.name: app.owner_path for app in world.catalog.list_apps(ANONYMOUS).apps}
    assert owners == {"shop": ":acme:", "straight": ":"}
    events = world.repos.list_events(OPERATOR, PLATFORM_REPO_ID).events
    assert sorted((e.outcome, e.key) for e in events) == [
        ("indexed", "repo_platform/straight.tgz"),
        ("indexed", key),
        ("refused", "repo_platform/notes.txt"),
        ("refused", "repo_platform/usr_x/never-announced.tgz"),
        ("synced", ""),
    ]
    totals = world.repos.statistics(OPERATOR, PLATFORM_REPO_ID).totals
    assert (totals.versions, totals.refused) == (2, 2)
    # What is deleted from the bucket stays in the store.
    source.packages.pop(key)
    world.repos.sync(OPERATOR, PLATFORM_REPO_ID)
    world.kit.carry_out()
    assert len(world.catalog.list_apps(ANONYMOUS).apps) == 2
    assert world.repos.statistics(OPERATOR, PLATFORM_REPO_ID).next_sync_at is None


def test_a_state_is_written_on_condition_of_its_revision(charts: Charts) -> None:
    state = charts.world.kit.syncs.state(charts.repo.repo_id)
    charts.world.kit.store.save_sync_state(state)
    with pytest.raises(Conflict):
        charts.world.kit.store.save_sync_state(replace(state, failures=9))
