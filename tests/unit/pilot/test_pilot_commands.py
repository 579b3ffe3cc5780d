"""The life of a command: delivered, executed once, answered with a reason a person understands."""

from __future__ import annotations

import json

import pytest

from pitrix.errors import Conflict, InvalidInput, NotFound
from pitrix.pilot.model import CommandStatus
from pitrix.pilot.service import DELIVERY_GRACE_S
from tests.unit.pilot.fakes import World


def delivered(world: World, connection_id: str) -> list[str]:
    return [frame["command"]["id"] for frame in world.connections.of(connection_id, "command")]


def test_a_command_goes_to_a_connected_agent_and_its_result_to_the_state_machine(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(
        agent_id,
        command_id="cmd_1",
        cmd="echo hi",
        env={"A": "b"},
        timeout_s=30,
        task_token="t1",
        name="start",
    )
    [frame] = world.connections.of("c1", "command")
    assert frame["command"] | {"payload": 0} == {
        "id": "cmd_1", "kind": "exec", "name": "start", "cmd": "echo hi", "env": {"A": "b"}, "cwd": "",
        "timeout_s": 30, "payload": 0, "metadata_version": 0,
    }  # fmt: skip
    world.result("c1", agent_id, "cmd_1", output_tail="hi\n")
    assert world.callbacks.succeeded == [("t1", {"exit_code": 0, "output_tail": "hi\n"})]
    assert world.connections.of("c1", "ack") == [{"type": "ack", "agent": agent_id, "command": "cmd_1"}]
    [command] = world.pilot.commands("cl_1")
    assert (command.status, command.answered, command.due_at) == (CommandStatus.SUCCEEDED, True, None)


@pytest.mark.parametrize(
    ("result", "error", "cause"),
    [
        (
            {"exit_code": 1, "output_tail": "binding\naddress in use\n\n"},
            "CommandFailed",
            "command 'start' on node web-1 exited with 1: address in use",
        ),
        ({"exit_code": 3}, "CommandFailed", "command 'start' on node web-1 exited with 3 and no output"),
        (
            {"exit_code": None, "timed_out": True, "output_tail": "waiting for store\n"},
            "CommandTimedOut",
            "command 'start' on node web-1 did not finish within 30 s and was killed; "
            "its last output: waiting for store",
        ),
        (
            {"exit_code": None, "error": "it was interrupted: the node or its agent restarted"},
            "CommandFailed",
            "command 'start' on node web-1 failed: it was interrupted: the node or its agent restarted",
        ),
    ],
)
def test_a_failure_is_explained(world: World, result: dict[str, object], error: str, cause: str) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(
        agent_id, command_id="cmd_1", cmd="x", timeout_s=30, task_token="t1", name="start"
    )
    world.result("c1", agent_id, "cmd_1", **result)
    assert world.callbacks.failed == [("t1", error, cause)]


def test_the_same_id_is_the_same_execution_and_the_newest_token_is_answered(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t2")
    world.result("c1", agent_id, "cmd_1")
    world.result("c1", agent_id, "cmd_1")
    assert [token for token, _ in world.callbacks.succeeded] == ["t2"]
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t3")
    assert [token for token, _ in world.callbacks.succeeded] == ["t2", "t3"]
    assert delivered(world, "c1") == ["cmd_1", "cmd_1"], "sent again while open; the agent knows the id"
    with pytest.raises(Conflict, match="names another command"):
        world.pilot.run_command(agent_id, command_id="cmd_1", cmd="y", task_token="t4")


def test_a_command_for_an_agent_that_is_away_is_delivered_at_its_hello(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.on_disconnect("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t1")
    world.hello("c2", agent_id)
    assert delivered(world, "c2") == ["cmd_1"]


def test_a_connection_found_dead_is_noted_and_the_command_kept(world: World) -> None:
    agent_id = world.connected("c1")
    world.connections.cut.add("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t1")
    assert not world.pilot.agents("cl_1")[0].connected
    world.hello("c2", agent_id)
    assert delivered(world, "c2") == ["cmd_1"]


def test_after_a_reconnect_only_what_the_agent_lacks_is_sent(world: World) -> None:
    agent_id = world.connected("c1")
    for command_id in ("cmd_1", "cmd_2", "cmd_3"):
        world.pilot.run_command(agent_id, command_id=command_id, cmd="x", task_token=command_id)
    world.result("c1", agent_id, "cmd_1")
    world.hello("c2", agent_id, commands=["cmd_2"])
    assert delivered(world, "c2") == ["cmd_3"]


def test_output_is_kept_in_order_and_capped(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t1")
    for seq, data in [(1, "a"), (2, "b"), (2, "b"), (1, "a"), (3, "c" * 3_999)]:
        world.say("c1", "output", agent_id, command="cmd_1", seq=seq, data=data)
    [command] = world.pilot.commands("cl_1")
    assert command.output_tail == "b" + "c" * 3_999


def test_a_lost_command_is_answered_at_its_deadline_and_may_be_asked_for_again(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.on_disconnect("c1")
    world.pilot.run_command(
        agent_id, command_id="cmd_1", cmd="x", timeout_s=30, task_token="t1", name="start"
    )
    world.clock.advance(30 + DELIVERY_GRACE_S - 1)
    assert world.pilot.expire(world.clock.now()).commands == 0
    world.clock.advance(1)
    assert world.pilot.expire(world.clock.now()).commands == 1
    assert world.pilot.expire(world.clock.now()).commands == 0
    [(token, error, cause)] = world.callbacks.failed
    assert (token, error) == ("t1", "AgentUnreachable")
    assert cause == (
        "command 'start' on node web-1 did not report a result within 90 s: "
        "its agent was last seen at 2026-11-22T10:00:00.000Z"
    )
    # Run again by the state machine: the agent executes an id at most once, so it may be asked anew.
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", timeout_s=30, task_token="t2")
    world.hello("c2", agent_id)
    assert delivered(world, "c2") == ["cmd_1"]
    world.result("c2", agent_id, "cmd_1")
    assert [token for token, _ in world.callbacks.succeeded] == ["t2"]


def test_a_result_that_comes_after_the_deadline_is_recorded_but_answers_nobody(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", timeout_s=1, task_token="t1")
    world.clock.advance(100)
    world.pilot.expire(world.clock.now())
    assert world.connections.of("c1", "cancel")
    world.result("c1", agent_id, "cmd_1")
    assert world.callbacks.succeeded == []
    assert world.pilot.commands("cl_1")[0].status is CommandStatus.SUCCEEDED


def test_an_answer_that_could_not_be_given_is_given_by_the_schedule(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t1")
    world.callbacks.broken = True
    world.result("c1", agent_id, "cmd_1")
    assert world.connections.of("c1", "ack") == []
    assert world.pilot.expire(world.clock.now()).failed == 1
    world.callbacks.broken = False
    assert world.pilot.expire(world.clock.now()).commands == 1
    assert world.callbacks.succeeded == [("t1", {"exit_code": 0, "output_tail": ""})]
    assert world.pilot.expire(world.clock.now()).commands == 0


def test_forgetting_a_cluster_answers_what_was_still_waited_for(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x", task_token="t1", name="start")
    world.pilot.forget("cl_1")
    assert world.callbacks.failed == [("t1", "JobCancelled", "command 'start': node web-1 was removed")]


def test_forgetting_one_node_leaves_the_others(world: World) -> None:
    world.connected("c1")
    other = world.connected("c2", "node_2")
    world.pilot.forget("cl_1", "node_1")
    assert [agent.agent_id for agent in world.pilot.agents("cl_1")] == [other]


def test_what_no_agent_would_take_is_refused_at_once(world: World) -> None:
    agent_id = world.connected("c1")
    with pytest.raises(InvalidInput) as caught:
        world.pilot.run_command(agent_id, command_id="../up", cmd=" ", timeout_s=0)
    assert [error.field for error in caught.value.errors] == ["command_id", "cmd", "timeout_s"]
    with pytest.raises(InvalidInput, match="kind"):
        world.pilot.run_command(agent_id, command_id="cmd_1", kind="reboot")
    with pytest.raises(NotFound):
        world.pilot.run_command("agt_nobody", command_id="cmd_1", cmd="x")


# --- waiting for an agent ---------------------------------------------------------------------------------


def test_a_state_machine_waits_until_the_agent_registers(world: World) -> None:
    enrollment = world.enroll()
    deadline = world.clock.now().replace(hour=11)
    world.pilot.await_agent(enrollment.agent_id, task_token="t1", deadline=deadline)
    assert world.callbacks.succeeded == []
    world.hello("c1", enrollment.agent_id, token=enrollment.token)
    presence = {"agent_id": enrollment.agent_id, "node_id": "node_1", "address": "10.0.0.5"}
    assert world.callbacks.succeeded == [("t1", presence)]
    world.pilot.await_agent(enrollment.agent_id, task_token="t2", deadline=deadline)
    assert world.callbacks.succeeded[1:] == [("t2", presence)]
    world.clock.advance(7200)
    assert world.pilot.expire(world.clock.now()).agents == 0


def test_an_agent_that_never_comes_fails_the_wait_once(world: World) -> None:
    enrollment = world.enroll()
    world.pilot.await_agent(enrollment.agent_id, task_token="t1", deadline=world.clock.now())
    world.callbacks.broken = True
    assert world.pilot.expire(world.clock.now()).failed == 1
    world.callbacks.broken = False
    assert world.pilot.expire(world.clock.now()).agents == 1
    assert world.pilot.expire(world.clock.now()).agents == 0
    [(token, error, cause)] = world.callbacks.failed
    assert (token, error) == ("t1", "AgentUnreachable")
    assert cause.startswith("the agent of node web-1 did not register in time")


# --- metadata ---------------------------------------------------------------------------------------------


def test_metadata_is_sent_when_it_changes_and_required_by_later_commands(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.put_metadata("cl_1", {agent_id: {"env": {"port": 1}}})
    world.pilot.put_metadata("cl_1", {agent_id: {"env": {"port": 1}}})
    world.pilot.put_metadata("cl_1", {agent_id: {"env": {"port": 2}}})
    sent = world.connections.of("c1", "metadata")
    assert [(frame["version"], frame["document"]["env"]["port"]) for frame in sent] == [(1, 1), (2, 2)]
    world.pilot.run_command(agent_id, command_id="cmd_1", cmd="x")
    assert world.connections.of("c1", "command")[0]["command"]["metadata_version"] == 2
    with pytest.raises(NotFound):
        world.pilot.put_metadata("cl_other", {agent_id: {}})


def test_an_agent_that_was_away_gets_the_metadata_at_its_hello_and_on_demand(world: World) -> None:
    agent_id = world.connected("c1")
    world.pilot.on_disconnect("c1")
    world.pilot.put_metadata("cl_1", {agent_id: {"env": {"port": 1}}})
    assert [frame["type"] for frame in world.hello("c2", agent_id)] == ["welcome", "metadata"]
    assert [frame["type"] for frame in world.hello("c2", agent_id, metadata_version=1)] == ["welcome"]
    world.say("c2", "sync", agent_id)
    assert len(world.connections.of("c2", "metadata")) == 2


def test_a_document_too_large_for_a_frame_goes_in_parts(world: World) -> None:
    from infra.agent.pitrix_agent.frames import Parts

    agent_id = world.connected("c1")
    import random

    noise = random.Random(7)
    document = {"hosts": {f"node_{n}": {"token": noise.randbytes(40).hex()} for n in range(1_500)}}
    world.pilot.put_metadata("cl_1", {agent_id: document})
    parts = world.connections.of("c1", "part")
    assert len(parts) > 2
    assert all(len(json.dumps(part)) <= 32_000 for part in parts)
    whole = Parts()
    frames = [whole.add(part) for part in reversed(parts)]
    assert frames[:-1] == [None] * (len(parts) - 1)
    assert frames[-1] == {
        "type": "metadata", "agent": agent_id, "version": 1, "document": document,
    }  # fmt: skip


def test_health_is_kept_and_its_changes_published(world: World) -> None:
    agent_id = world.connected("c1")
    for health in ("healthy", "healthy", "unhealthy"):
        world.say("c1", "event", agent_id, health=health, detail="the check exited with 1")
    assert world.pilot.agents("cl_1")[0].health == "unhealthy"
    assert [(type, subject, data["health"]) for type, subject, data in world.bus.published] == [
        ("NodeHealthChanged", "node_1", "healthy"),
        ("NodeHealthChanged", "node_1", "unhealthy"),
    ]
