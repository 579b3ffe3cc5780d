"""The store's use cases over stores in memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pitrix.catalog import dynamo
from pitrix.catalog.model import DEFAULT_CATEGORIES, UNCATEGORIZED, AppPatch, CategoryPatch
from pitrix.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Unauthenticated,
)
from pitrix.identity.model import ANONYMOUS, SYSTEM, Principal
from pitrix.table import MemoryTable
from tests.unit.catalog.kit import DEVELOPER, OPERATOR, PNG, RIVAL, SVG, USER, VENDOR, World, package


def names(world: World, who: Principal = ANONYMOUS, **query: Any) -> list[str]:
    return [app.name for app in world.catalog.list_apps(who, **query).apps]


# --- publishing --------------------------------------------------------------------------------------------


def test_a_published_package_is_in_the_store_for_everyone(world: World) -> None:
    published = world.publish(VENDOR, package("shop", title="Shop", category="Web", keywords=["demo"]))
    assert published.outcome == "indexed"
    app = world.catalog.get_app(ANONYMOUS, published.app.app_id)
    assert (app.name, app.title, app.owner_path) == ("shop", "Shop", ":acme:")
    assert app.categories == ["cat_web"]
    assert (app.latest_version_id, app.latest_version) == (published.version.version_id, "1.0.0")
    assert names(world) == ["shop"]
    assert world.events.types == ["AppCreated", "AppVersionPublished"]


def test_the_same_bytes_again_change_nothing(world: World) -> None:
    first = world.publish(VENDOR, package())
    items = dict(world.catalog_table._items)  # type: ignore[attr-defined]
    again = world.publish(VENDOR, package())
    assert again.outcome == "unchanged"
    assert again.version.version_id == first.version.version_id
    assert world.catalog_table._items == items  # type: ignore[attr-defined]
    assert world.events.types == ["AppCreated", "AppVersionPublished"]


def test_a_version_never_changes_its_content(world: World) -> None:
    first = world.publish(VENDOR, package())
    with pytest.raises(Conflict, match="published before with other content"):
        world.publish(VENDOR, package(description="other"))
    assert world.catalog.get_version(ANONYMOUS, first.app.app_id, first.version.version_id).digest == (
        first.version.digest
    )


def test_a_name_belongs_to_who_came_first_whatever_its_letter_case(world: World) -> None:
    world.publish(VENDOR, package())
    with pytest.raises(Conflict, match="taken in this repository by another publisher"):
        world.publish(RIVAL, package(version="2.0.0"))
    # An organisation owns what its team publishes, and not the other way round.
    with pytest.raises(Conflict, match="another publisher"):
        world.publish(DEVELOPER, package(version="2.0.0"))
    assert names(world) == ["shop"]


def test_an_organisation_may_publish_what_its_team_began(world: World) -> None:
    first = world.publish(DEVELOPER, package())
    second = world.publish(VENDOR, package(version="1.1.0"))
    assert second.app.app_id == first.app.app_id
    assert second.app.owner_path == DEVELOPER.owner_path


def test_latest_is_the_highest_stable_version_in_whatever_order_they_come(world: World) -> None:
    for version in ("1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0"):
        published = world.publish(VENDOR, package(version=version, title=f"Shop {version}"))
    app = world.catalog.get_app(ANONYMOUS, published.app.app_id)
    assert (app.latest_version, app.title) == ("1.10.0", "Shop 1.10.0")
    listed = world.catalog.list_versions(ANONYMOUS, app.app_id).versions
    assert [version.name for version in listed] == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.0"]


def test_two_publishers_of_one_new_app_at_once_make_one_app(world: World) -> None:
    lost = world.apps.app_by_name
    raced: list[Any] = []

    def app_by_name(repo_id: str, name: str) -> Any:
        if not raced:  # the other one is faster, just after this one looked
            raced.append(None)
            raced.append(world.publish(VENDOR, package(version="1.0.0")))
            return None
        return lost(repo_id, name)

    world.apps.app_by_name = app_by_name  # type: ignore[method-assign]
    second = world.publish(VENDOR, package(version="1.1.0"))
    assert second.outcome == "indexed"
    assert second.app.app_id == raced[1].app.app_id
    assert names(world) == ["shop"]
    assert len(world.catalog.list_versions(ANONYMOUS, second.app.app_id).versions) == 2


def test_many_publishers_of_one_app_at_once_all_get_their_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = world.catalog_table.transact

    def as_slow_as_a_network(writes: Any) -> None:
        time.sleep(0.003)
        transact(writes)

    monkeypatch.setattr(world.catalog_table, "transact", as_slow_as_a_network)
    archives = [package(version=f"1.0.{n}") for n in range(24)]
    with ThreadPoolExecutor(len(archives)) as pool:
        done = list(pool.map(lambda archive: world.publish(VENDOR, archive), archives))
    assert {published.outcome for published in done} == {"indexed"}
    app = world.catalog.get_app(VENDOR, done[0].app.app_id)
    assert app.latest_version == "1.0.23"
    assert len(world.catalog.list_versions(VENDOR, app.app_id, limit=200).versions) == len(archives)


def test_publishing_costs_the_same_however_many_apps_there_are() -> None:
    class Counting(MemoryTable):
        calls = 0

        def __getattribute__(self, name: str) -> Any:
            if name in ("get", "put", "query", "query_all", "transact", "delete", "increment"):
                Counting.calls += 1
            return super().__getattribute__(name)

    world = World(catalog_table=Counting())
    costs = []
    for number in range(30):
        before = Counting.calls
        world.publish(VENDOR, package(f"app-{number:03}"))
        costs.append(Counting.calls - before)
    assert len(set(costs)) == 1
    assert costs[0] <= 4


def test_a_bus_that_is_away_does_not_fail_what_is_stored_already(world: World) -> None:
    world.events.fails = True
    world.publish(VENDOR, package())
    assert names(world) == ["shop"]


def test_users_may_not_publish(world: World) -> None:
    with pytest.raises(PermissionDenied):
        world.publish(USER, package())


# --- lists -------------------------------------------------------------------------------------------------


@pytest.fixture
def full(world: World) -> World:
    ids = {}
    for name, meta in {
        "alpha": {"title": "Alpha", "category": "Databases and caches", "keywords": ["sql"]},
        "beta": {"title": "贝塔", "description": "消息队列", "category": "中间件与消息"},
        "gamma": {"title": "Gamma", "category": "no such shelf"},
    }.items():
        ids[name] = world.publish(VENDOR, package(name, **meta)).app.app_id
    for cluster in ("cl_1", "cl_2"):
        world.catalog.count_deployment(SYSTEM, ids["beta"], cluster)
    world.catalog.count_deployment(SYSTEM, ids["alpha"], "cl_3")
    return world


def test_sorting(full: World) -> None:
    assert names(full, sort="newest") == ["gamma", "beta", "alpha"]
    assert names(full, sort="deployed") == ["beta", "alpha", "gamma"]
    assert names(full, sort="name") == ["alpha", "beta", "gamma"]


def test_filters(full: World) -> None:
    assert names(full, search="队列") == ["beta"]
    assert names(full, search="SQL alpha") == ["alpha"]
    assert names(full, category="cat_database") == ["alpha"]
    assert names(full, category="cat_middleware") == ["beta"]
    assert names(full, category=UNCATEGORIZED) == ["gamma"]
    assert names(full, repo="repo_platform") == ["gamma", "beta", "alpha"]
    assert names(full, repo="repo_other") == []
    assert names(full, type="helm") == []
    assert names(full, name="BETA") == ["beta"]
    assert names(full, name="bet") == []


@pytest.mark.parametrize("sort", ["newest", "deployed", "name"])
def test_pages_join_to_the_whole_list_also_while_it_grows(full: World, sort: Any) -> None:
    for number in range(20):
        full.publish(VENDOR, package(f"item-{number:02}"))
    whole = names(full, sort=sort, limit=200)
    seen: list[str] = []
    cursor = None
    while True:
        page = full.catalog.list_apps(ANONYMOUS, sort=sort, limit=4, cursor=cursor)
        seen += [app.name for app in page.apps]
        if len(seen) == 8:  # sorts before whatever was read, in every order
            full.publish(VENDOR, package("aaa"))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [name for name in seen if name != "aaa"] == whole
    assert len(seen) == len(set(seen))


def test_the_last_page_has_no_cursor_even_when_it_is_full(full: World) -> None:
    assert full.catalog.list_apps(ANONYMOUS, limit=3).next_cursor is None
    assert full.catalog.list_apps(ANONYMOUS, limit=1, search="alpha").next_cursor is None


def test_a_filter_that_rejects_very_many_apps_gives_a_short_page_to_go_on_from(
    full: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamo, "EXAMINED_AT_MOST", 2)
    page = full.catalog.list_apps(ANONYMOUS, search="alpha")
    assert page.apps == []
    page = full.catalog.list_apps(ANONYMOUS, search="alpha", cursor=page.next_cursor)
    assert [app.name for app in page.apps] == ["alpha"]
    assert page.next_cursor is None


@pytest.mark.parametrize("other", [{"sort": "name"}, {"search": "a"}, {"repo": "x"}, {"scope": "mine"}])
def test_a_cursor_of_another_list_is_refused(full: World, other: dict[str, Any]) -> None:
    cursor = full.catalog.list_apps(OPERATOR, limit=1).next_cursor
    with pytest.raises(InvalidInput) as refused:
        full.catalog.list_apps(OPERATOR, **{"limit": 1, "cursor": cursor, **other})
    assert refused.value.errors[0].field == "cursor"


# --- who sees what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [{"release": False}, {"public": False}])
def test_drafts_and_private_apps_exist_only_for_their_owner(world: World, hidden: dict[str, bool]) -> None:
    published = world.publish(DEVELOPER, package(), **hidden)
    app_id, version_id = published.app.app_id, published.version.version_id
    for stranger in (ANONYMOUS, USER, RIVAL):
        assert names(world, stranger) == []
        for look in (
            lambda who: world.catalog.get_app(who, app_id),
            lambda who: world.catalog.list_versions(who, app_id),
            lambda who: world.catalog.get_version(who, app_id, version_id),
            lambda who: world.catalog.form(who, app_id, version_id),
            lambda who: world.catalog.files(who, app_id, version_id),
            lambda who: world.catalog.file(who, app_id, version_id, "README.md"),
            lambda who: world.catalog.download(who, app_id, version_id),
            lambda who: world.catalog.icon(who, app_id),
            lambda who: world.catalog.load_package(who, version_id),
        ):
            with pytest.raises(NotFound):
                look(stranger)
    for owner in (DEVELOPER, VENDOR, OPERATOR, SYSTEM):
        assert world.catalog.get_version(owner, app_id, version_id).version_id == version_id
        assert names(world, owner, scope="mine") == ["shop"]
        assert world.catalog.load_package(owner, version_id).name == "shop"
    assert names(world, RIVAL, scope="mine") == []


def test_my_apps_need_a_login(world: World) -> None:
    with pytest.raises(Unauthenticated):
        world.catalog.list_apps(ANONYMOUS, scope="mine")


def test_a_draft_next_to_released_versions_stays_its_owners(world: World) -> None:
    world.publish(VENDOR, package())
    draft = world.publish(VENDOR, package(version="2.0.0"), release=False)
    app_id, draft_id = draft.app.app_id, draft.version.version_id
    assert draft.app.latest_version == "1.0.0"
    assert [v.name for v in world.catalog.list_versions(ANONYMOUS, app_id).versions] == ["1.0.0"]
    assert [v.name for v in world.catalog.list_versions(VENDOR, app_id).versions] == ["2.0.0", "1.0.0"]
    for look in (world.catalog.get_version, world.catalog.form, world.catalog.download):
        with pytest.raises(NotFound):
            look(RIVAL, app_id, draft_id)


def test_who_uploaded_and_to_where_is_told_to_the_owner_alone(world: World) -> None:
    published = world.publish(VENDOR, package())
    app_id, version_id = published.app.app_id, published.version.version_id
    assert world.catalog.get_version(VENDOR, app_id, version_id).created_by == VENDOR.user_id
    shown = world.catalog.get_version(USER, app_id, version_id)
    assert (shown.created_by, shown.package_key) == ("", "")
    assert world.catalog.list_versions(USER, app_id).versions[0].package_key == ""


def test_a_version_is_found_under_its_own_app_only(world: World) -> None:
    one, two = world.publish(VENDOR, package("one")), world.publish(VENDOR, package("two"))
    with pytest.raises(NotFound):
        world.catalog.get_version(VENDOR, one.app.app_id, two.version.version_id)


# --- life of a version -------------------------------------------------------------------------------------


def test_the_life_of_a_version(world: World) -> None:
    first = world.publish(VENDOR, package())
    app_id, version_id = first.app.app_id, first.version.version_id

    def act(action: Any, who: Principal = VENDOR) -> str:
        return world.catalog.change_status(who, app_id, version_id, action).status

    with pytest.raises(Conflict, match="is released"):
        act("delete")
    assert act("suspend") == "suspended"
    assert names(world) == []
    with pytest.raises(NotFound):
        world.catalog.get_app(USER, app_id)
    with pytest.raises(Conflict):
        act("suspend")
    assert act("recover") == "released"
    assert names(world) == ["shop"]
    act("suspend")
    assert act("delete") == "deleted"
    for action in ("release", "recover", "suspend", "delete"):
        with pytest.raises(Conflict):
            act(action)
    assert world.catalog.list_versions(VENDOR, app_id).versions == []
    with pytest.raises(Conflict, match="other content"):  # a name is used once
        world.publish(VENDOR, package(description="again"))
    assert world.events.types[-4:] == [
        "AppVersionSuspended",
        "AppVersionRecovered",
        "AppVersionSuspended",
        "AppVersionDeleted",
    ]


def test_latest_falls_back_to_the_next_best_release(world: World) -> None:
    for version in ("1.0.0", "1.1.0-rc.1", "1.2.0"):
        last = world.publish(VENDOR, package(version=version))
    app_id = last.app.app_id
    world.catalog.change_status(VENDOR, app_id, last.version.version_id, "suspend")
    assert world.catalog.get_app(ANONYMOUS, app_id).latest_version == "1.0.0"
    world.catalog.change_status(VENDOR, app_id, last.version.version_id, "recover")
    assert world.catalog.get_app(ANONYMOUS, app_id).latest_version == "1.2.0"


def test_releasing_a_draft_puts_it_into_the_store(world: World) -> None:
    draft = world.publish(VENDOR, package(), release=False)
    assert names(world) == []
    world.catalog.change_status(VENDOR, draft.app.app_id, draft.version.version_id, "release")
    assert names(world) == ["shop"]


def test_only_the_owner_and_the_operator_change_a_version(world: World) -> None:
    first = world.publish(VENDOR, package())
    for stranger in (RIVAL, USER, DEVELOPER):
        with pytest.raises(PermissionDenied):
            world.catalog.change_status(stranger, first.app.app_id, first.version.version_id, "suspend")
    with pytest.raises(Unauthenticated):
        world.catalog.change_status(ANONYMOUS, first.app.app_id, first.version.version_id, "suspend")


def test_what_an_operator_suspended_only_an_operator_recovers(world: World) -> None:
    first = world.publish(VENDOR, package())
    key = (first.app.app_id, first.version.version_id)
    world.catalog.change_status(OPERATOR, *key, "suspend", reason="malware")
    assert world.catalog.get_version(VENDOR, *key).status_reason == "malware"
    with pytest.raises(PermissionDenied, match="suspended by an operator"):
        world.catalog.change_status(VENDOR, *key, "recover")
    assert world.catalog.change_status(OPERATOR, *key, "recover").status == "released"


# --- editing -----------------------------------------------------------------------------------------------


def test_an_edit_is_kept_when_a_new_package_comes(world: World) -> None:
    app_id = world.publish(VENDOR, package(title="Shop", description="old")).app.app_id
    edited = world.catalog.edit_app(VENDOR, app_id, AppPatch(title="My shop", categories=["cat_ai"]))
    assert edited.revision == world.catalog.get_app(VENDOR, app_id).revision
    world.publish(VENDOR, package(version="1.1.0", title="Shop", description="new", category="Web"))
    app = world.catalog.get_app(ANONYMOUS, app_id)
    assert (app.title, app.description, app.categories) == ("My shop", "new", ["cat_ai"])
    assert names(world, category="cat_ai") == ["shop"]


def test_making_an_app_private_takes_it_out_of_the_store(world: World) -> None:
    app_id = world.publish(VENDOR, package()).app.app_id
    world.catalog.edit_app(VENDOR, app_id, AppPatch(visibility="private"))
    assert names(world) == []
    assert names(world, VENDOR, scope="mine") == ["shop"]
    world.catalog.edit_app(OPERATOR, app_id, AppPatch(visibility="public"))
    assert names(world) == ["shop"]


def test_who_may_not_release_may_not_make_a_private_app_public_either(world: World) -> None:
    app_id = world.publish(DEVELOPER, package(), public=False).app.app_id
    with pytest.raises(PermissionDenied, match="release"):
        world.catalog.edit_app(DEVELOPER, app_id, AppPatch(visibility="public"))
    assert world.catalog.get_app(DEVELOPER, app_id).visibility == "private"
    world.catalog.edit_app(VENDOR, app_id, AppPatch(visibility="public"))
    assert names(world) == ["shop"]


def test_an_edit_names_every_bad_field_at_once(world: World) -> None:
    app_id = world.publish(VENDOR, package()).app.app_id
    patch = AppPatch(
        title=" ", description="x" * 4001, keywords=["y" * 41], categories=["cat_no"], home="javascript:x"
    )
    with pytest.raises(InvalidInput) as refused:
        world.catalog.edit_app(VENDOR, app_id, patch)
    assert [error.field for error in refused.value.errors] == [
        "title",
        "description",
        "keywords",
        "categories",
        "home",
    ]
    with pytest.raises(InvalidInput, match="Nothing to change"):
        world.catalog.edit_app(VENDOR, app_id, AppPatch())


def test_an_edit_of_what_changed_since_is_refused(world: World) -> None:
    app = world.catalog.get_app(VENDOR, world.publish(VENDOR, package()).app.app_id)
    world.catalog.edit_app(VENDOR, app.app_id, AppPatch(title="One"), if_revision=app.revision)
    with pytest.raises(PreconditionFailed):
        world.catalog.edit_app(VENDOR, app.app_id, AppPatch(title="Two"), if_revision=app.revision)
    assert world.catalog.get_app(VENDOR, app.app_id).title == "One"


def test_strangers_do_not_edit(world: World) -> None:
    app_id = world.publish(VENDOR, package()).app.app_id
    for stranger in (RIVAL, USER):
        with pytest.raises(PermissionDenied):
            world.catalog.edit_app(stranger, app_id, AppPatch(title="Mine"))
    private = world.publish(VENDOR, package("hidden"), public=False).app.app_id
    with pytest.raises(NotFound):  # and do not learn that it exists
        world.catalog.edit_app(RIVAL, private, AppPatch(title="Mine"))


def test_a_deployment_is_counted_once_for_each_cluster(world: World) -> None:
    app_id = world.publish(VENDOR, package()).app.app_id
    for cluster in ("cl_1", "cl_1", "cl_2"):
        world.catalog.count_deployment(SYSTEM, app_id, cluster)
    assert world.catalog.get_app(ANONYMOUS, app_id).deploy_count == 2
    assert [app.deploy_count for app in world.catalog.list_apps(ANONYMOUS).apps] == [2]
    with pytest.raises(NotFound):
        world.catalog.count_deployment(SYSTEM, "app_none", "cl_1")


def test_statistics_are_of_ones_own_apps(full: World) -> None:
    full.publish(RIVAL, package("rivals"), release=False)
    everything = full.catalog.statistics(OPERATOR)
    assert (everything.apps, everything.released, everything.deployments) == (4, 3, 3)
    mine = full.catalog.statistics(RIVAL)
    assert (mine.apps, mine.released, mine.deployments) == (1, 0, 0)
    assert full.catalog.statistics(VENDOR).by_category == {
        "cat_database": 1,
        "cat_middleware": 1,
        UNCATEGORIZED: 1,
    }
    with pytest.raises(Unauthenticated):
        full.catalog.statistics(ANONYMOUS)


# --- what is inside ----------------------------------------------------------------------------------------


def test_the_form_speaks_both_languages(world: World) -> None:
    published = world.publish(VENDOR, package())
    key = (published.app.app_id, published.version.version_id)

    def label(locale: str) -> str:
        groups = world.catalog.form(ANONYMOUS, *key, locale).groups
        return next(f.label for group in groups for f in group.fields if f.key == "cluster.web.count")

    assert label("en") == "Nodes"
    assert label("zh-cn") == label("zh_CN") == label("zh") == "节点数"
    with pytest.raises(InvalidInput) as refused:
        world.catalog.form(ANONYMOUS, *key, "tlh")
    assert refused.value.errors[0].field == "locale"


def test_files_are_sent_so_that_no_browser_runs_them(world: World) -> None:
    extra = {
        "page.html": b"<script>alert(1)</script>",
        "icon.svg": SVG,
        "picture.png": PNG,
        "long.txt": b"x" * 300_000,
        "tool.bin": b"\0\1\2",
    }
    published = world.publish(VENDOR, package(extra=extra, icon="icon.svg"))
    key = (published.app.app_id, published.version.version_id)
    types = {entry.path: entry.content_type for entry in world.catalog.files(ANONYMOUS, *key)}
    assert types["package.json"] == "application/json"
    assert types["README.md"] == "text/markdown; charset=utf-8"
    for path in ("page.html", "icon.svg", "cluster.json.tmpl"):
        assert types[path] == "text/plain; charset=utf-8"
    assert types["picture.png"] == "image/png"
    assert types["tool.bin"] == "application/octet-stream"
    assert world.catalog.file(ANONYMOUS, *key, "page.html").text == "<script>alert(1)</script>"
    for path in ("picture.png", "long.txt", "tool.bin"):
        found = world.catalog.file(ANONYMOUS, *key, path)
        assert found.text is None
        assert found.url == f"https://files.test/{published.version.digest}/{path}"
    for path in ("../x", "nothing", "locale"):
        with pytest.raises(NotFound):
            world.catalog.file(ANONYMOUS, *key, path)


def test_an_icon_is_kept_beside_the_archive(world: World) -> None:
    published = world.publish(VENDOR, package(extra={"icon.svg": SVG}, icon="icon.svg"))
    app = published.app
    assert app.icon is not None
    assert app.icon.startswith(f"/v1/apps/{app.app_id}/icon?v=")
    assert world.archives.stored[published.version.digest, "icon.svg"] == (SVG, "image/svg+xml")
    assert world.catalog.icon(ANONYMOUS, app.app_id).endswith("/icon.svg")
    bare = world.publish(VENDOR, package("bare"))
    assert bare.app.icon is None
    with pytest.raises(NotFound, match="no icon"):
        world.catalog.icon(ANONYMOUS, bare.app.app_id)


def test_a_download_is_the_archive_as_it_was_uploaded(world: World) -> None:
    data = package()
    published = world.publish(VENDOR, data)
    found = world.catalog.download(ANONYMOUS, published.app.app_id, published.version.version_id)
    assert world.archives.archives[found.digest] == data
    assert (found.filename, found.size_bytes) == ("shop-1.0.0.tgz", len(data))


def test_an_opened_package_is_kept_until_memory_is_short(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (world.publish(VENDOR, package(name)).version.version_id for name in ("one", "two"))
    for _ in range(3):
        world.catalog.load_package(USER, one)
    assert world.archives.reads == 1
    monkeypatch.setattr("pitrix.catalog.service.CACHED_BYTES", 1)
    world.catalog.load_package(USER, two)
    world.catalog.load_package(USER, two)
    assert world.archives.reads == 2
    world.catalog.load_package(USER, one)
    assert world.archives.reads == 3


# --- categories --------------------------------------------------------------------------------------------


def test_categories_are_an_operators(world: World) -> None:
    made = world.catalog.create_category(OPERATOR, name={"en": "Games", "zh-cn": "游戏"}, position=5)
    assert world.catalog.categories(ANONYMOUS)[0].category_id == made.category_id
    changed = world.catalog.edit_category(
        OPERATOR, made.category_id, CategoryPatch(position=999), if_revision=made.revision
    )
    assert changed.name == made.name
    assert world.catalog.categories(ANONYMOUS)[-1].category_id == made.category_id
    with pytest.raises(PreconditionFailed):
        world.catalog.edit_category(
            OPERATOR, made.category_id, CategoryPatch(position=1), if_revision=made.revision
        )
    for stranger in (VENDOR, USER):
        with pytest.raises(PermissionDenied):
            world.catalog.create_category(stranger, name={"en": "Mine"})
        with pytest.raises(PermissionDenied):
            world.catalog.delete_category(stranger, made.category_id)
    world.catalog.delete_category(OPERATOR, made.category_id)
    with pytest.raises(NotFound):
        world.catalog.get_category(ANONYMOUS, made.category_id)
    with pytest.raises(Conflict):
        world.catalog.delete_category(OPERATOR, UNCATEGORIZED)


def test_a_category_needs_an_english_name_and_no_unknown_locale(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.catalog.create_category(OPERATOR, name={"zh-cn": "", "fr": "Jeux"})
    assert [error.field for error in refused.value.errors] == ["name.en", "name.zh-cn", "name.fr"]


def test_seeding_twice_leaves_edits_alone(world: World) -> None:
    world.catalog.edit_category(OPERATOR, "cat_web", CategoryPatch(name={"en": "Web sites"}))
    world.catalog.ensure_categories(SYSTEM)
    assert world.catalog.get_category(ANONYMOUS, "cat_web").name == {"en": "Web sites"}
    assert len(world.catalog.categories(ANONYMOUS)) == len(DEFAULT_CATEGORIES)
