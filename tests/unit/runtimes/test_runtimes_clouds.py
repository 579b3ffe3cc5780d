"""Asking clouds: in this process, by the function of a cloud, and again a moment later."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

from functions.clouds import tasks
from pitrix import bootstrap
from pitrix.errors import (
    CapabilityMissing,
    CredentialInvalid,
    FieldError,
    InvalidInput,
    NotFound,
    PitrixError,
    ProviderError,
    ProviderUnavailable,
)
from pitrix.runtimes import answers, asking, aws
from pitrix.runtimes.model import Account, RuntimePatch
from tests.unit.runtimes.paper import ALICE, OPERATOR, RIVAL, SECRET, PaperCloud, PaperClouds, World, wanted

MINE = Account(provider="paper", zone="north", credential={"secret": SECRET})


class Lambda:
    """The API of Lambda with the functions of the clouds behind it; ``broken`` answers in their place."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[str] = []
        self.broken: Callable[[], dict[str, Any]] | None = None

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        self.asked.append(FunctionName)
        if self.broken:
            return self.broken()
        with bootstrap.override("cloud_desk", self.world.desk):
            answered = tasks.handler(json.loads(Payload), None)
        return {"Payload": io.BytesIO(json.dumps(answered).encode())}


@pytest.fixture
def functions(world: World) -> Lambda:
    return Lambda(world)


@pytest.fixture
def remote(functions: Lambda) -> aws.LambdaClouds:
    return aws.LambdaClouds(lambda: functions, prefix="stack-cloud-", registry=PaperClouds())


def test_the_function_answers_what_the_provider_would(world: World, remote: aws.LambdaClouds) -> None:
    for question in ("check", "zones", "machine_types", "subnets"):
        assert getattr(remote, question)(MINE) == getattr(world.desk, question)(MINE)
    assert remote.providers() == world.desk.providers()
    assert remote.provider("paper") == world.desk.provider("paper")
    with pytest.raises(NotFound, match="nowhere"):
        remote.provider("nowhere")


def test_each_cloud_has_its_function_and_all_others_share_one(
    remote: aws.LambdaClouds, functions: Lambda
) -> None:
    remote.zones(MINE)
    assert functions.asked == ["stack-cloud-plugins"]
    assert aws.function_name("stack-cloud-", "openstack") == "stack-cloud-openstack"


def test_errors_arrive_whole(world: World, remote: aws.LambdaClouds, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialInvalid, match=r"^The secret is not one of ours\.$"):
        remote.check(Account(provider="paper", credential={"secret": "wrong-horse"}))
    with pytest.raises(CapabilityMissing, match="Bare does not offer machines"):
        remote.machine_types(Account(provider="bare"))

    def refuse(_: object) -> None:
        raise InvalidInput("Not there.", errors=[FieldError("credential.endpoint", "not there")])

    monkeypatch.setattr(PaperCloud, "zones", refuse)
    with pytest.raises(InvalidInput) as refused:
        remote.zones(MINE)
    assert refused.value.errors == (FieldError("credential.endpoint", "not there"),)


def test_a_kept_credential_never_leaves_the_function(world: World, remote: aws.LambdaClouds) -> None:
    made = world.runtimes.create(ALICE, wanted())
    account = world.runtimes.account(ALICE, made.runtime_id)
    assert SECRET not in repr(account) + json.dumps(asking.question("zones", account))
    assert [zone.zone for zone in remote.zones(account)] == ["north", "south"]


def test_a_question_that_is_none_is_no_way_to_anything_else(world: World) -> None:
    for name in ("connect", "__init__", "nothing"):
        with pytest.raises(PitrixError, match="no question"):
            asking.read("zones", asking.answer(world.desk, asking.question(name, MINE)))


def test_a_function_that_does_not_answer_is_unavailable(remote: aws.LambdaClouds, functions: Lambda) -> None:
    def late() -> dict[str, Any]:
        raise botocore.exceptions.ReadTimeoutError(endpoint_url="http://lambda")

    def failed() -> dict[str, Any]:
        body = {"errorType": "ImportError", "errorMessage": f"{SECRET} is secret"}
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(body).encode())}

    def missing() -> dict[str, Any]:
        raise botocore.exceptions.ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Invoke")

    for broken, expected in (
        (late, ProviderUnavailable),
        (failed, ProviderUnavailable),
        (missing, ProviderError),
    ):
        functions.broken = broken
        with pytest.raises(expected) as refused:
            remote.zones(MINE)
        assert type(refused.value) is expected
        assert SECRET not in str(refused.value)


# --- answers that are kept ---------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The zones in which the cloud was asked for its sizes."""
    seen: list[str] = []
    real = PaperCloud.machine_types

    def machine_types(self: PaperCloud) -> Any:
        seen.append(self.connection.zone)
        return real(self)

    monkeypatch.setattr(PaperCloud, "machine_types", machine_types)
    return seen


def test_an_answer_is_good_for_some_minutes(world: World, asked: list[str]) -> None:
    made = world.runtimes.create(ALICE, wanted())
    first = world.runtimes.machine_types(ALICE, made.runtime_id)
    world.clock.advance(answers.ANSWER_KEPT_S - 1)
    assert world.runtimes.machine_types(ALICE, made.runtime_id) == first
    assert asked == ["north"]
    world.clock.advance(2)
    world.runtimes.machine_types(ALICE, made.runtime_id)
    assert asked == ["north", "north"]


def test_an_answer_is_told_to_nobody_who_may_not_ask(world: World, asked: list[str]) -> None:
    mine = world.runtimes.create(ALICE, wanted())
    theirs = world.runtimes.create(RIVAL, wanted())
    world.runtimes.machine_types(ALICE, mine.runtime_id)
    with pytest.raises(NotFound):
        world.runtimes.machine_types(RIVAL, mine.runtime_id)
    world.runtimes.machine_types(RIVAL, theirs.runtime_id)
    assert len(asked) == 2, "another runtime's answer is not for this one, though the account be the same"
    shared = world.runtimes.create(OPERATOR, wanted("shared", visibility="public"))
    assert len(world.runtimes.subnets(OPERATOR, shared.runtime_id)) == 1
    assert world.runtimes.subnets(ALICE, shared.runtime_id) == []


def test_an_edit_makes_answers_void_and_the_next_ones_wait(world: World, asked: list[str]) -> None:
    made = world.runtimes.create(ALICE, wanted())
    world.runtimes.machine_types(ALICE, made.runtime_id)
    world.clock.advance(1)
    world.runtimes.edit(ALICE, made.runtime_id, RuntimePatch(zone="south"))
    for _ in "ab":  # some function may still remember the old credential: nothing is kept yet
        world.runtimes.machine_types(ALICE, made.runtime_id)
    assert asked == ["north", "south", "south"]
    world.clock.advance(120)
    for _ in "ab":
        world.runtimes.machine_types(ALICE, made.runtime_id)
    assert asked == ["north", "south", "south", "south"]


def test_an_answer_too_long_for_the_table_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pitrix.runtimes.dynamo._LONGEST_ANSWER", 10)
    made = world.runtimes.create(ALICE, wanted())
    for _ in "ab":
        assert len(world.runtimes.zones(ALICE, made.runtime_id)) == 2
    assert world.table.get(f"RUNTIME#{made.runtime_id}", "ANSWER#zones") is None
