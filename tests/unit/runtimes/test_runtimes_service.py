"""Connecting accounts, who sees which, where credentials go, and letting go again."""

from __future__ import annotations

import pytest

from pitrix.errors import (
    CapabilityMissing,
    Conflict,
    CredentialInvalid,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Unauthenticated,
)
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.runtimes.model import CheckRequest, RuntimePatch, RuntimeStatus
from tests.unit.runtimes.paper import ALICE, BOSS, OPERATOR, RIVAL, SECRET, PaperCloud, World, wanted


def fields(error: pytest.ExceptionInfo[InvalidInput]) -> set[str]:
    return {each.field for each in error.value.errors}


# --- connecting --------------------------------------------------------------------------------------------


def test_a_connected_account_is_there_and_its_credential_in_the_vault_alone(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted(zone="south", labels={"env": "prod"}))
    assert made.runtime_id.startswith("rt_")
    assert (made.status, made.zone, made.owner_path) == (RuntimeStatus.ACTIVE, "south", ":acme:shop:")
    assert world.runtimes.get(ALICE, made.runtime_id) == made
    assert world.vault.secrets == {f"pitrix/runtimes/{made.runtime_id}": {"secret": SECRET}}
    stored = list(world.table.query_all("RUNTIMES", index="g1"))
    assert SECRET not in repr(stored) + repr(made) + repr(wanted())


def test_without_a_zone_it_is_the_accounts_first(world: World) -> None:
    assert world.runtimes.create(ALICE, wanted()).zone == "north"


def test_a_refused_credential_leaves_nothing(world: World) -> None:
    for changes in ({"credential": {"secret": "wrong-horse"}}, {"zone": "west"}):
        with pytest.raises(CredentialInvalid):
            world.runtimes.create(ALICE, wanted(**changes))
    assert world.runtimes.list_runtimes(ALICE).runtimes == []
    assert world.vault.secrets == {}


def test_a_vault_that_fails_leaves_nothing(world: World) -> None:
    world.vault.broken = True
    with pytest.raises(ConnectionError):
        world.runtimes.create(ALICE, wanted())
    world.vault.broken = False
    world.runtimes.create(ALICE, wanted())  # the name is free


def test_a_credential_that_does_not_fit_the_form_is_told_by_field_and_without_its_value(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.runtimes.create(ALICE, wanted(credential={"secret": "short", "colour": "red"}))
    assert fields(refused) == {"credential.secret", "credential.colour"}
    assert "short" not in refused.value.detail
    with pytest.raises(InvalidInput) as refused:
        world.runtimes.create(ALICE, wanted(credential={}))
    assert fields(refused) == {"credential.secret"}
    assert PaperCloud.asked == [], "the cloud is not asked about what cannot be right"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"description": "x" * 1001}, "description"),
        ({"labels": {"a b": "c"}}, "labels.a b"),
        ({"labels": {f"k{n}": "v" for n in range(21)}}, "labels"),
        ({"provider": "nowhere"}, "provider"),
    ],
)
def test_bad_fields_are_named(world: World, changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.runtimes.create(ALICE, wanted(**changes))
    assert fields(refused) == {field}


def test_a_name_is_taken_within_its_owner_only(world: World) -> None:
    world.runtimes.create(ALICE, wanted("Mine"))
    with pytest.raises(Conflict, match="mINE"):
        world.runtimes.create(ALICE, wanted("mINE"))
    world.runtimes.create(RIVAL, wanted("mine"))


def test_only_an_operator_connects_the_platforms_own_machines(world: World) -> None:
    with pytest.raises(PermissionDenied, match="engine-room"):
        world.runtimes.create(ALICE, wanted(provider="engine-room"))
    with pytest.raises(PermissionDenied):
        world.runtimes.validate(ALICE, CheckRequest(provider="engine-room", credential={"secret": SECRET}))
    assert PaperCloud.asked == []
    world.runtimes.create(OPERATOR, wanted(provider="engine-room"))


def test_validation_keeps_nothing(world: World) -> None:
    check = world.runtimes.validate(ALICE, CheckRequest(provider="paper", credential={"secret": SECRET}))
    assert (check.valid, check.zone, [zone.zone for zone in check.zones]) == (
        True,
        "north",
        ["north", "south"],
    )
    assert [zone.title for zone in check.zones] == ["The North", "south"]
    with pytest.raises(CredentialInvalid, match="not one of ours"):
        world.runtimes.validate(ALICE, CheckRequest(provider="paper", credential={"secret": "wrong-horse"}))
    assert world.runtimes.list_runtimes(OPERATOR).runtimes == []
    assert world.vault.secrets == {}


# --- who sees what -----------------------------------------------------------------------------------------


def test_a_runtime_is_its_owners_and_theirs_above(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    for who in (ALICE, BOSS, OPERATOR, SYSTEM):
        assert world.runtimes.get(who, made.runtime_id) == made
        assert world.runtimes.list_runtimes(who).runtimes == [made]
    with pytest.raises(NotFound):
        world.runtimes.get(RIVAL, made.runtime_id)
    assert world.runtimes.list_runtimes(RIVAL).runtimes == []
    for use in (
        world.provider_for,
        world.runtimes.zones,
        world.runtimes.subnets,
        world.runtimes.delete,
    ):
        with pytest.raises(NotFound):
            use(RIVAL, made.runtime_id)
    with pytest.raises(NotFound):
        world.runtimes.edit(RIVAL, made.runtime_id, RuntimePatch(name="theirs"))
    with pytest.raises(Unauthenticated):
        world.runtimes.get(ANONYMOUS, made.runtime_id)


def test_a_shared_one_is_used_by_all_and_edited_by_its_owner(world: World) -> None:
    shared = world.runtimes.create(OPERATOR, wanted("shared", visibility="public"))
    assert world.runtimes.list_runtimes(ALICE).runtimes == [shared]
    assert world.runtimes.list_runtimes(OPERATOR).runtimes == [shared], "listed once to its owner"
    assert world.provider_for(ALICE, shared.runtime_id).connection.zone == "north"
    assert world.runtimes.subnets(ALICE, shared.runtime_id) == [], "others' networks are not Alice's to see"
    assert world.runtimes.subnets(OPERATOR, shared.runtime_id) != []
    with pytest.raises(PermissionDenied):
        world.runtimes.edit(ALICE, shared.runtime_id, RuntimePatch(name="mine"))
    with pytest.raises(PermissionDenied):
        world.runtimes.delete(ALICE, shared.runtime_id)


def test_only_an_operator_shares(world: World) -> None:
    with pytest.raises(PermissionDenied):
        world.runtimes.create(ALICE, wanted(visibility="public"))
    made = world.runtimes.create(ALICE, wanted())
    with pytest.raises(PermissionDenied):
        world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(visibility="public"))
    world.runtimes.edit(OPERATOR, made.runtime_id, RuntimePatch(visibility="public"))
    assert len(world.runtimes.list_runtimes(RIVAL).runtimes) == 1
    world.runtimes.edit(OPERATOR, made.runtime_id, RuntimePatch(visibility="private"))
    assert world.runtimes.list_runtimes(RIVAL).runtimes == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
def test_pages_together_are_the_list(world: World, limit: int) -> None:
    shared = [world.runtimes.create(OPERATOR, wanted(f"s{n}", visibility="public")).name for n in range(3)]
    own = [world.runtimes.create(ALICE, wanted(f"o{n}")).name for n in range(3)]
    world.runtimes.create(RIVAL, wanted("theirs"))
    seen, cursor = [], None
    for _ in range(20):
        page = world.runtimes.list_runtimes(ALICE, limit=limit, cursor=cursor)
        assert len(page.runtimes) <= limit
        seen += [runtime.name for runtime in page.runtimes]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == shared + own


def test_a_cursor_of_somebody_else_is_refused(world: World) -> None:
    for n in range(3):
        world.runtimes.create(ALICE, wanted(f"o{n}"))
    cursor = world.runtimes.list_runtimes(ALICE, limit=1).next_cursor
    for who, given in ((RIVAL, cursor), (ALICE, "nonsense")):
        with pytest.raises(InvalidInput):
            world.runtimes.list_runtimes(who, limit=1, cursor=given)


def test_statistics_count_what_one_owns(world: World) -> None:
    world.runtimes.create(ALICE, wanted("a"))
    world.runtimes.create(ALICE, wanted("b", zone="south"))
    world.runtimes.create(RIVAL, wanted("c"))
    counts = world.runtimes.statistics(BOSS)
    assert (counts.total, counts.by_provider) == (2, {"paper": 2})
    assert counts.by_zone == {"paper/north": 1, "paper/south": 1}


# --- the account -------------------------------------------------------------------------------------------


def test_the_provider_has_the_credential_and_the_settings_that_hold_now(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted("a", credential={"secret": SECRET, "endpoint": "http://own"}))
    connection = world.provider_for(ALICE, made.runtime_id).connection
    assert connection.credential == {"secret": SECRET, "endpoint": "http://own"}
    assert connection.settings == {"endpoint": "http://default"}
    assert "http://default" not in str(world.vault.secrets), "the next deployment may have another"


def test_zones_and_machine_types_are_asked_of_the_cloud(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    assert [zone.zone for zone in world.runtimes.zones(ALICE, made.runtime_id)] == ["north", "south"]
    assert [size.machine_type for size in world.runtimes.machine_types(ALICE, made.runtime_id)] == ["a4"]


def test_what_a_cloud_lacks_is_said(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted(provider="bare"))
    with pytest.raises(CapabilityMissing, match="Bare does not offer machines"):
        world.runtimes.machine_types(ALICE, made.runtime_id)
    with pytest.raises(CapabilityMissing):
        world.runtimes.subnets(ALICE, made.runtime_id)


def test_providers_tell_their_form(world: World) -> None:
    assert [info.name for info in world.runtimes.providers(ALICE)] == [
        "bare",
        "engine-room",
        "local",
        "paper",
        "two-ways",
    ]
    paper = world.runtimes.provider(ALICE, "paper")
    assert paper.capabilities == ["machines", "networks"]
    assert paper.credential_schema["properties"]["secret"]["writeOnly"] is True
    assert world.runtimes.provider(ALICE, "engine-room").operator_only
    with pytest.raises(NotFound):
        world.runtimes.provider(ALICE, "nowhere")


# --- editing -----------------------------------------------------------------------------------------------


def test_an_edit_keeps_what_it_does_not_name(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted(description="first", labels={"a": "b"}))
    world.clock.advance(60)
    edited = world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(name="renamed"))
    assert (edited.name, edited.description, edited.labels) == ("renamed", "first", {"a": "b"})
    assert edited.updated_at > made.updated_at
    assert edited == world.runtimes.get(ALICE, made.runtime_id)
    world.runtimes.create(ALICE, wanted("mine"))  # the old name is free again
    with pytest.raises(Conflict):
        world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(name="mine"))


def test_an_edit_of_what_has_changed_is_refused(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(description="x"), if_revision=made.revision)
    with pytest.raises(PreconditionFailed):
        world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(description="y"), if_revision=made.revision)


def test_a_new_credential_is_tried_before_it_replaces_the_old(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    with pytest.raises(CredentialInvalid):
        world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(credential={"secret": "wrong-horse"}))
    assert world.vault.secrets[made.secret_name] == {"secret": SECRET}
    replaced = {"secret": SECRET, "endpoint": "http://new"}
    world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(credential=replaced))
    assert world.vault.secrets[made.secret_name] == replaced


def test_a_conflicting_edit_leaves_the_credential(world: World) -> None:
    world.runtimes.create(ALICE, wanted("taken"))
    made = world.runtimes.create(ALICE, wanted())
    patch = RuntimePatch(name="taken", credential={"secret": SECRET, "endpoint": "http://new"})
    with pytest.raises(Conflict):
        world.runtimes.edit(ALICE, made.runtime_id, patch)
    assert world.vault.secrets[made.secret_name] == {"secret": SECRET}


def test_a_zone_is_left_when_nothing_lives_there(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    world.used.add(made.runtime_id)
    with pytest.raises(Conflict):
        world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(zone="south"))
    world.used.clear()
    assert world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(zone="south")).zone == "south"
    with pytest.raises(CredentialInvalid):
        world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(zone="west"))


# --- letting go --------------------------------------------------------------------------------------------


def test_a_deleted_one_is_gone_with_its_credential(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    world.runtimes.delete(ALICE, made.runtime_id)
    assert world.vault.secrets == {}
    with pytest.raises(NotFound):
        world.runtimes.get(ALICE, made.runtime_id)
    world.runtimes.create(ALICE, wanted())


def test_one_with_clusters_stays_and_stays_usable(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    world.used.add(made.runtime_id)
    with pytest.raises(Conflict, match="cease them first"):
        world.runtimes.delete(ALICE, made.runtime_id)
    assert world.runtimes.get(ALICE, made.runtime_id) == made


def test_a_cluster_that_comes_while_it_is_deleted_saves_it(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    answers = iter([False, True])
    world.runtimes._in_use = lambda runtime_id: next(answers)
    with pytest.raises(Conflict):
        world.runtimes.delete(ALICE, made.runtime_id)
    assert world.runtimes.get(ALICE, made.runtime_id).status is RuntimeStatus.ACTIVE
    world.provider_for(ALICE, made.runtime_id)


def test_a_deletion_that_was_interrupted_is_unusable_and_can_be_finished(world: World) -> None:
    made = world.runtimes.create(ALICE, wanted())
    world.vault.broken = True
    with pytest.raises(ConnectionError):
        world.runtimes.delete(ALICE, made.runtime_id)
    assert world.runtimes.get(ALICE, made.runtime_id).status is RuntimeStatus.DELETING
    for use in (
        lambda: world.provider_for(SYSTEM, made.runtime_id),
        lambda: world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(name="other")),
    ):
        with pytest.raises(Conflict):
            use()
    world.vault.broken = False
    world.runtimes.delete(ALICE, made.runtime_id)
    assert world.vault.secrets == {}
