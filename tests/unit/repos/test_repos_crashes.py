"""Whatever is killed, repeated, reordered or done twice at once: the catalog ends up the same.

A process is killed before or after each single write of a sync, in turn (tables, objects, archives), and
nothing of it runs on; what comes after is what the platform does: the machine's retry, or the next sync.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pitrix.catalog.model import Version
from pitrix.errors import NotFound
from pitrix.identity.model import SYSTEM
from pitrix.repos import differences, sync_steps
from pitrix.repos.differences import Snapshot, unpacked
from pitrix.repos.model import PLATFORM_REPO_ID, RepoRequest, Sync
from pitrix.table import MemoryTable
from tests.unit.catalog.kit import DEVELOPER, OPERATOR, RIVAL, VENDOR, MemoryArchives, World, package
from tests.unit.repos.kit import FakeSource, MemoryObjects, run

URL = "https://charts.test/stable"


class Killed(BaseException):
    """The process is gone; no ``except Exception`` sees it."""


class Fate:
    """Counts writes and kills at one of them: before it is made, or right after."""

    def __init__(self) -> None:
        self.writes = 0
        self.at = 0
        self.after = False
        self.dead = False

    def kill(self, at: int, *, after: bool) -> None:
        self.writes, self.at, self.after, self.dead = 0, at, after, False

    def spare(self) -> None:
        """A new process."""
        self.at, self.dead = 0, False

    def write(self, make: Callable[[], Any]) -> Any:
        if self.dead:
            raise Killed
        self.writes += 1
        if self.writes != self.at:
            return make()
        self.dead = True
        if self.after:
            make()
        raise Killed


class FatefulTable(MemoryTable):
    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def put(self, *args: Any, **more: Any) -> Any:
        return self._fate.write(lambda: MemoryTable.put(self, *args, **more))

    def delete(self, *args: Any, **more: Any) -> None:
        self._fate.write(lambda: MemoryTable.delete(self, *args, **more))

    def transact(self, *args: Any) -> None:
        self._fate.write(lambda: MemoryTable.transact(self, *args))


class FatefulObjects(MemoryObjects):
    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def write(self, key: str, data: bytes) -> None:
        self._fate.write(lambda: MemoryObjects.write(self, key, data))

    def delete(self, keys: Any) -> None:
        self._fate.write(lambda: MemoryObjects.delete(self, keys))


class FatefulArchives(MemoryArchives):
    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def put_archive(self, digest: str, archive: bytes) -> None:
        self._fate.write(lambda: MemoryArchives.put_archive(self, digest, archive))


class Stage:
    """A repository that was synced once, whose source has changed in every way there is."""

    def __init__(self) -> None:
        self.fate = Fate()
        self.world = World(
            catalog_table=FatefulTable(self.fate),
            repos_table=FatefulTable(self.fate),
            archives=FatefulArchives(self.fate),
        )
        self.kit = self.world.kit
        self.objects = FatefulObjects(self.fate)
        self.kit.objects = self.objects
        self.kit.__post_init__()
        self.world.repos = self.kit.service
        self.source = self.kit.sources.by_url[URL] = FakeSource()
        self.source.packages = {f"app-{n}": package(f"app-{n}") for n in range(4)}
        request = RepoRequest(name="stable", kind="http", url=URL, visibility="public")
        self.repo = self.world.repos.create_repo(OPERATOR, request)
        self.kit.carry_out()
        self.source.packages |= {
            "new": package("new"),
            "fix": package("app-0", "1.1.0"),
            "app-1": package("app-1", "2.0.0"),  # another version in the same place
            "bad": b"broken",
        }
        del self.source.packages["app-2"]
        self.source.packages["moved"] = self.source.packages.pop("app-3")
        self.world.clock.advance(3601)

    def start(self) -> Sync:
        assert self.kit.syncs.start_due(SYSTEM) == 1
        return self.kit.machine.started[-1]

    def outcome(self) -> Any:
        """Everything that must be the same in the end."""
        state = self.kit.syncs.state(self.repo.repo_id)
        snapshot = unpacked(self.objects.objects[state.snapshot], Snapshot)
        events = self.world.repos.list_events(OPERATOR, self.repo.repo_id, limit=200).events
        return {
            "catalog": catalog_of(self.world),
            "records": {
                key: (each.tag, each.outcome, each.name, each.version, each.stale)
                for key, each in snapshot.records.items()
            },
            "totals": state.totals,
            "refused": sorted(event.key for event in events if event.outcome == "refused"),
            "validator": state.validator,
            "running": state.running,
        }


def catalog_of(world: World) -> Any:
    """Every version of every app: its name, status and content; and what the app says of it."""
    found = {}
    for app in world.apps.all_apps(":"):
        versions: list[Version] = world.catalog.list_versions(OPERATOR, app.app_id, limit=100).versions
        shown = sorted((v.name, v.status, v.status_reason, v.digest, v.owner_path) for v in versions)
        found[app.name] = (app.latest_version, app.owner_path, shown)
    return found


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_steps, "THREADS", 1)  # so that the n-th write is always the same one
    monkeypatch.setattr(differences, "SPREAD", 3)


def undisturbed() -> tuple[Any, int]:
    """What comes of a sync that nothing happens to, and how many writes it takes."""
    stage = Stage()
    sync = stage.start()
    stage.fate.kill(0, after=False)
    run(stage.kit.steps, sync)
    return stage.outcome(), stage.fate.writes


def test_the_undisturbed_sync_is_right() -> None:
    found, writes = undisturbed()
    assert writes > 20
    assert {name: each[0] for name, each in found["catalog"].items()} == {
        "app-0": "1.1.0",
        "app-1": "2.0.0",
        "app-2": None,
        "app-3": "1.0.0",
        "new": "1.0.0",
    }
    assert found["refused"] == ["bad"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_killed_at_any_write_is_followed_by_a_sync_that_puts_it_right(after: bool) -> None:
    expected, writes = undisturbed()
    for number in range(1, writes + 1):
        stage = Stage()
        sync = stage.start()
        stage.fate.kill(number, after=after)
        with pytest.raises(Killed):
            run(stage.kit.steps, sync)
        stage.fate.spare()
        stage.world.clock.advance(3601)  # the schedule finds the lease over, or the next look due
        fetched = list(stage.source.fetched)
        run(stage.kit.steps, stage.start())
        assert stage.outcome() == expected, f"killed {'after' if after else 'before'} write {number}"
        # What one batch had written down was not fetched again by the next sync.
        again = stage.source.fetched[len(fetched) :]
        assert len(fetched) + len(again) <= 4 + 5 + 2, f"write {number}: {again}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_step_killed_at_any_write_may_be_called_again(after: bool) -> None:
    expected, writes = undisturbed()
    for number in range(1, writes + 1):
        stage = Stage()
        sync = stage.start()
        stage.fate.kill(number, after=after)

        def retried(step: Callable[..., Any], *given: Any, fate: Fate = stage.fate) -> Any:
            try:
                return step(*given)
            except Killed:
                fate.spare()
                return step(*given)

        run(stage.kit.steps, sync, call=retried)
        assert stage.outcome() == expected, f"killed {'after' if after else 'before'} write {number}"


def test_every_step_may_be_called_twice() -> None:
    expected, _ = undisturbed()
    stage = Stage()

    def twice(step: Callable[..., Any], *given: Any) -> Any:
        step(*given)
        return step(*given)

    run(stage.kit.steps, stage.start(), call=twice)
    assert stage.outcome() == expected


def test_two_syncs_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = undisturbed()
    monkeypatch.setattr(sync_steps, "THREADS", 4)
    for _ in range(5):
        stage = Stage()
        with ThreadPoolExecutor(6) as pool:
            started = list(pool.map(lambda _, at=stage: at.kit.syncs.start(at.repo), range(6)))
            assert len({sync.sync_id for sync in started}) == 1
            # Its execution runs twice: that of a retry of the start, say.
            list(pool.map(lambda sync, at=stage: run(at.kit.steps, sync), started[:2]))
        stage.world.clock.advance(3601)
        run(stage.kit.steps, stage.start())
        assert stage.outcome() == expected


def test_a_deletion_killed_at_any_write_comes_to_its_end() -> None:
    def deleted(kill: int, *, after: bool) -> tuple[Any, int]:
        stage = Stage()
        stage.fate.kill(kill, after=after)
        for _ in range(4):  # whoever deletes tries again; then the schedule does
            try:
                stage.world.repos.delete_repo(OPERATOR, stage.repo.repo_id)
                run(stage.kit.steps, stage.kit.machine.started[-1])
            except NotFound:
                break
            except Killed:
                stage.fate.spare()
        writes = stage.fate.writes
        stage.world.clock.advance(3601)
        if stage.kit.syncs.start_due(SYSTEM):
            run(stage.kit.steps, stage.kit.machine.started[-1])
        assert stage.kit.store.repo(stage.repo.repo_id) is None
        assert stage.kit.store.sync_state(stage.repo.repo_id) is None
        assert stage.objects.keys("syncs/") == []
        return catalog_of(stage.world), writes

    expected, writes = deleted(0, after=False)
    assert {status for _, _, shown in expected.values() for _, status, *_ in shown} == {"suspended"}
    for number in range(1, writes + 1):
        for after in (False, True):
            assert deleted(number, after=after)[0] == expected, f"write {number}, after: {after}"


# --- notifications -----------------------------------------------------------------------------------------


def uploads() -> tuple[dict[str, bytes], list[str]]:
    """Objects as they lie in the bucket in the end, and their keys in the order of their notifications."""
    objects = {}
    for who in (VENDOR, DEVELOPER, RIVAL):
        for number in range(2):
            name = f"{who.username}-{number}"
            objects[f"repo_platform/{who.user_id}/{name}-1.tgz"] = package(name, "1.0.0")
            objects[f"repo_platform/{who.user_id}/{name}-2.tgz"] = package(name, "2.0.0-rc.1")
        objects[f"repo_platform/{who.user_id}/bad.tgz"] = b"broken"
    return objects, [*objects, *objects]


def notified(seed: int, *, kill: int = 0) -> Any:
    """The catalog after every notification came twice, in some order, with a process killed in between."""
    fate, chance = Fate(), random.Random(seed)
    world = World(catalog_table=FatefulTable(fate), repos_table=FatefulTable(fate))
    objects, deliveries = uploads()
    for key in objects:
        who = next(each for each in (VENDOR, DEVELOPER, RIVAL) if each.user_id in key)
        filename = key.rpartition("/")[2]
        world.repos.start_upload(who, PLATFORM_REPO_ID, filename=filename, size_bytes=len(objects[key]))
    world.uploads.objects = objects
    chance.shuffle(deliveries)
    fate.kill(kill, after=chance.random() < 0.5)
    for key in deliveries:
        sequencer = f"0{len(key)}"
        try:
            world.repos.index_object(SYSTEM, key, delivery_id=sequencer)
        except Killed:
            fate.spare()
            world.repos.index_object(SYSTEM, key, delivery_id=sequencer)
    events = world.repos.list_events(OPERATOR, PLATFORM_REPO_ID, limit=200).events
    return catalog_of(world), sorted((event.key, event.outcome == "refused") for event in events)


def test_notifications_in_any_order_twice_and_with_crashes_end_the_same() -> None:
    catalog, events = notified(0)
    assert len(catalog) == 6
    assert len(events) == 15
    for seed in range(1, 9):
        assert notified(seed) == (catalog, events), seed
    for kill in range(1, 40, 3):
        assert notified(kill, kill=kill) == (catalog, events), kill


def test_the_same_upload_notified_by_many_threads_at_once_is_published_once(world: World) -> None:
    key = "repo_platform/shop.tgz"
    world.uploads.objects[key] = package()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: world.repos.index_object(SYSTEM, key, delivery_id=f"0{n % 2}"), range(8)))
    events = world.repos.list_events(OPERATOR, PLATFORM_REPO_ID).events
    assert len(events) == 2
    assert len(catalog_of(world)["shop"][2]) == 1
