"""Who may speak for an agent: one-time tokens, keys, and the connection they were shown on."""

from __future__ import annotations

import json
import logging

import pytest

from pitrix.pilot.service import TOKEN_LIFETIME_S
from pitrix.table import MemoryTable
from tests.unit.pilot.fakes import KEY, World


def refusal(answers: list[dict[str, object]]) -> object:
    assert [frame["type"] for frame in answers] == ["refused"], answers
    return answers[0]["code"]


def test_a_token_registers_its_agent_and_the_key_works_from_then_on(world: World) -> None:
    enrollment = world.enroll()
    assert world.hello("c1", enrollment.agent_id, token=enrollment.token)[0] == {
        "type": "welcome",
        "agent": enrollment.agent_id,
        "nonce": "nonce-123",
    }
    assert world.hello("c2", enrollment.agent_id)[0]["type"] == "welcome"
    [agent] = world.pilot.agents("cl_1")
    assert (agent.connection_id, agent.address) == ("c2", "10.0.0.5")


def test_a_token_works_once(world: World) -> None:
    enrollment = world.enroll()
    world.hello("c1", enrollment.agent_id, token=enrollment.token)
    thief = world.hello("c2", enrollment.agent_id, token=enrollment.token, key="t" * 43)
    assert refusal(thief) == "bad_key"
    assert "c2" in world.connections.closed
    assert world.pilot.agents("cl_1")[0].connection_id == "c1"


def test_a_hello_whose_welcome_was_lost_may_be_repeated(world: World) -> None:
    enrollment = world.enroll()
    world.connections.cut.add("c1")
    world.hello("c1", enrollment.agent_id, token=enrollment.token)
    assert world.hello("c2", enrollment.agent_id, token=enrollment.token)[0]["type"] == "welcome"


def test_a_token_expires(world: World) -> None:
    enrollment = world.enroll()
    world.clock.advance(TOKEN_LIFETIME_S)
    assert refusal(world.hello("c1", enrollment.agent_id, token=enrollment.token)) == "bad_token"


def test_a_wrong_token_and_an_unknown_agent_are_refused_and_hung_up_on(world: World) -> None:
    enrollment = world.enroll()
    assert refusal(world.hello("c1", enrollment.agent_id, token="x" * 43)) == "bad_token"
    assert refusal(world.hello("c2", "agt_nobody", token=enrollment.token)) == "unknown_agent"
    assert world.connections.closed == {"c1", "c2"}


def test_nothing_counts_before_a_hello(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="true", task_token="t1")
    world.result("c2", agent_id, "cmd_1")
    assert refusal(world.connections.sent["c2"]) == "not_authenticated"
    assert "c2" in world.connections.closed
    assert world.callbacks.succeeded == []


def test_an_agent_cannot_speak_for_another_on_its_connection(world: World) -> None:
    mine, other = world.connected("c1"), world.connected("c2", "node_2")
    world.pilot.run_command(other, command_id="cmd_1", cmd="true", task_token="t1")
    world.result("c1", other, "cmd_1")
    assert world.callbacks.succeeded == []
    assert "c1" not in world.connections.closed, "the agent that belongs there is cut off"
    world.say("c1", "ping", mine)
    assert world.connections.of("c1", "pong")


def test_a_drone_behind_a_frontgate_comes_by_that_frontgate_only(world: World) -> None:
    frontgate = world.connected("fg", "gate", kind="frontgate")
    enrollment = world.enroll("node_1", frontgate_id=frontgate, frontgate_address="10.0.0.4")
    assert refusal(world.hello("c1", enrollment.agent_id, token=enrollment.token)) == "wrong_route"
    assert world.hello("fg", enrollment.agent_id, token=enrollment.token)[0]["type"] == "welcome"
    assert "ws://10.0.0.4:9111" in enrollment.user_data


def test_a_drone_learns_where_its_frontgate_really_listens(world: World) -> None:
    enrollment = world.enroll("gate", kind="frontgate")
    world.hello("fg", enrollment.agent_id, token=enrollment.token, listens="ws://127.0.0.1:40001")
    behind = world.enroll("node_1", frontgate_id=enrollment.agent_id, frontgate_address="127.0.0.1")
    assert "ws://127.0.0.1:40001" in behind.user_data


def test_enrolling_again_keeps_the_agent_and_the_first_token(world: World) -> None:
    first, second = world.enroll(), world.enroll()
    assert first.agent_id == second.agent_id
    assert first.token != second.token
    # The machine of the first run is booting, the step was run again: its token must still work ...
    assert world.hello("c1", first.agent_id, token=first.token)[0]["type"] == "welcome"
    # ... and voids the other one.
    assert refusal(world.hello("c2", first.agent_id, token=second.token, key="o" * 43)) == "bad_key"


def test_a_forgotten_agent_is_cut_off_and_stays_out(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.forget("cl_1")
    assert "c1" in world.connections.closed
    assert refusal(world.hello("c2", agent_id)) == "unknown_agent"
    world.pilot.forget("cl_1")  # harmless
    assert world.pilot.agents("cl_1") == []


def test_secrets_are_neither_stored_nor_logged_nor_shown(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    enrollment = world.enroll()
    world.hello("c1", enrollment.agent_id, token=enrollment.token)
    world.hello("c2", enrollment.agent_id, token=enrollment.token, key="wrong" * 9)
    assert isinstance(world.table, MemoryTable)
    stored = json.dumps([item.data for item in world.table._items.values()])
    for secret in (enrollment.token, KEY, "wrong" * 9):
        assert secret not in stored
        assert secret not in caplog.text
        assert secret not in repr(enrollment)
    assert "sha256" not in repr(world.pilot.agents("cl_1"))


def test_what_is_no_frame_spoils_nothing_else_in_its_message(world: World) -> None:
    agent_id = world.connected("c1")
    ping = {"type": "ping", "agent": agent_id}
    world.pilot.on_message("c1", json.dumps([{"type": "nonsense"}, 7, ping, {"type": "ping"}, ping]))
    assert len(world.connections.of("c1", "pong")) == 2
    world.pilot.on_message("c1", "{not json")
    assert "c1" not in world.connections.closed
    world.pilot.on_message("stranger", "{not json")
    assert "stranger" in world.connections.closed


def test_a_late_disconnect_of_the_old_connection_does_not_lose_the_new_one(world: World) -> None:
    agent_id = world.connected("c1")
    world.hello("c2", agent_id)
    world.pilot.on_disconnect("c1")
    assert world.pilot.agents("cl_1")[0].connection_id == "c2"
    world.pilot.on_disconnect("c2")
    assert not world.pilot.agents("cl_1")[0].connected
