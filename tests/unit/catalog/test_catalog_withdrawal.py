"""Versions that their source takes back: out of the store, not out of clusters, and back again."""

from __future__ import annotations

from typing import Any

import pytest

from pitrix.errors import Conflict, PermissionDenied
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.repos.model import PLATFORM_REPO_ID
from tests.unit.catalog.kit import OPERATOR, RIVAL, USER, VENDOR, World, package

WHY = "removed upstream"


def latest(world: World, name: str = "shop") -> str | None:
    found = world.apps.app_by_name(PLATFORM_REPO_ID, name)
    return None if found is None else found.latest_version


def test_a_withdrawn_version_is_suspended_once_and_restored_once(world: World) -> None:
    one = world.publish(VENDOR, package("shop", "1.0.0")).version
    two = world.publish(VENDOR, package("shop", "2.0.0")).version
    where = (two.app_id, two.version_id)
    assert world.catalog.withdraw_version(VENDOR, *where, reason=WHY)
    assert not world.catalog.withdraw_version(VENDOR, *where, reason="something else")
    assert world.catalog.get_version(VENDOR, *where).status_reason == WHY
    assert latest(world) == "1.0.0"
    assert world.catalog.load_package(SYSTEM, two.version_id).version == "2.0.0"
    assert not world.catalog.restore_version(VENDOR, *where, reason="something else")
    assert world.catalog.restore_version(VENDOR, *where, reason=WHY)
    assert not world.catalog.restore_version(VENDOR, *where, reason=WHY)
    assert latest(world) == "2.0.0"
    assert not world.catalog.withdraw_version(VENDOR, one.app_id, "ver_none", reason=WHY)


def test_drafts_and_what_others_own_are_left_alone(world: World) -> None:
    draft = world.publish(VENDOR, package(), release=False).version
    assert not world.catalog.withdraw_version(VENDOR, draft.app_id, draft.version_id, reason=WHY)
    released = world.publish(VENDOR, package("other")).version
    with pytest.raises(PermissionDenied):
        world.catalog.withdraw_version(RIVAL, released.app_id, released.version_id, reason=WHY)


def test_an_app_is_withdrawn_with_all_its_versions(world: World) -> None:
    for number in range(5):
        world.publish(VENDOR, package("shop", f"1.{number}.0"))
    app_id = world.apps.app_by_name(PLATFORM_REPO_ID, "shop").app_id  # type: ignore[union-attr]
    assert world.catalog.withdraw_app(SYSTEM, app_id, reason="The repository was deleted.") == 5
    assert world.catalog.withdraw_app(SYSTEM, app_id, reason="The repository was deleted.") == 0
    assert world.catalog.list_apps(ANONYMOUS).apps == []
    version = world.catalog.list_versions(VENDOR, app_id).versions[0]
    with pytest.raises(PermissionDenied):  # an operator's suspension is an operator's to end
        world.catalog.change_status(VENDOR, app_id, version.version_id, "recover")


def test_the_apps_of_a_repository(world: World) -> None:
    made = {world.publish(VENDOR, package(f"app-{n}"), release=n > 0).app.app_id for n in range(3)}
    assert set(world.catalog.apps_of(SYSTEM, PLATFORM_REPO_ID)) == made
    assert list(world.catalog.apps_of(SYSTEM, "repo_none")) == []
    with pytest.raises(PermissionDenied):
        world.catalog.apps_of(USER, PLATFORM_REPO_ID)


def test_a_status_that_changes_at_the_same_time_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = world.publish(VENDOR, package()).version
    lives, seen = world.catalog._lives, []
    change = lives.change_status

    def overtaken(*given: Any, **more: Any) -> Any:
        if not seen:
            seen.append(change(OPERATOR, version.app_id, version.version_id, "suspend", reason="a virus"))
            raise Conflict("It is suspended.")
        return change(*given, **more)

    monkeypatch.setattr(lives, "change_status", overtaken)
    assert not world.catalog.withdraw_version(VENDOR, version.app_id, version.version_id, reason=WHY)
    found = world.catalog.get_version(VENDOR, version.app_id, version.version_id)
    assert found.status_reason == "a virus"
