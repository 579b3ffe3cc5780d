"""Rules that need nothing but their own fields."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pitrix.catalog.model import (
    TRANSITIONS,
    App,
    AppFilter,
    fold,
    is_prerelease,
    outranks,
    owner_scopes,
    version_sort_key,
)
from tests.unit.catalog.kit import START


def app(**fields: object) -> App:
    base = {"app_id": "app_1", "name": "shop", "title": "Shop", "owner_path": ":", "repo_id": "repo_1"}
    return App(**{**base, "created_at": START, "updated_at": START, **fields})  # type: ignore[arg-type]


def test_version_names_sort_as_semantic_versions_do() -> None:
    # The example of semver.org §11.4, and beyond.
    ascending = [
        "nightly",
        "0.9.9",
        "1.0.0-1",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2",
        "1.10.0",
        "v2.0.0",
        "10.0.0",
    ]
    keys = [version_sort_key(name) for name in ascending]
    assert all(lower < higher for lower, higher in pairwise(keys))


def test_a_stable_version_is_latest_before_any_prerelease() -> None:
    assert outranks("1.0.0", "2.0.0-rc.1")
    assert not outranks("2.0.0-rc.1", "1.0.0")
    assert outranks("2.0.0-rc.2", "2.0.0-rc.1")
    assert outranks("0.1.0", None)
    assert not outranks("1.0.0", "1.0.0")
    assert is_prerelease("1.0.0-rc.1")
    assert not is_prerelease("1.0.0+build.5")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("SHOP", True),
        ("数据", True),
        ("数据 shop", True),
        ("数据 other", False),
        ("Ｓｈｏｐ", True),  # full-width letters
        ("straße", True),
        ("STRASSE", True),
        ("", True),
        ("shops", False),
    ],
)
def test_search_folds_case_and_width_and_finds_chinese(search: str, found: bool) -> None:
    shop = app(title="商店", description="一个数据库。Hauptstraße", keywords=["demo"])
    assert AppFilter(words=tuple(fold(search).split())).accepts(shop) is found


def test_an_owner_path_is_seen_from_each_place_above_it() -> None:
    assert owner_scopes(":") == [":"]
    assert owner_scopes(":acme:shop:") == [":", ":acme:", ":acme:shop:"]


def test_no_status_change_leads_out_of_deleted_and_each_needs_a_permission() -> None:
    assert all("deleted" not in transition.sources for transition in TRANSITIONS.values())
    assert all(transition.permission and transition.event for transition in TRANSITIONS.values())
