"""Real agents run commands: once each, with a time-out that ends all of them, whatever the network does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.agents.harness import Machine, Platform, lives, until

Address = Callable[[], str]


@pytest.fixture
def drone(world: Platform, address: Address) -> Machine:
    machine = world.boot("web-1", address())
    world.await_connected(machine)
    return machine


def test_an_agent_registers_and_its_wait_is_answered(world: Platform, address: Address) -> None:
    machine = world.boot("web-1", address())
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    world.pilot.await_agent(machine.agent_id, task_token="t1", deadline=deadline)
    assert world.answers.of("t1") == (
        "succeeded",
        {"agent_id": machine.agent_id, "node_id": "node_web-1", "address": machine.address},
    )


def test_a_command_runs_with_its_environment_in_the_applications_folder(
    world: Platform, drone: Machine
) -> None:
    cmd = (
        'echo "$GREETING $PITRIX_ROLE $PITRIX_NODE_ID $PITRIX_NODE_IP"; pwd; echo "$PITRIX_APP_DIR"; '
        'echo "secret=$AWS_SECRET_ACCESS_KEY"; test -d "$PITRIX_DATA_DIR" && "$PITRIX_PYTHON" -c "print(6*7)"'
    )
    status, answer = world.run(drone, "cmd_1", cmd, env={"GREETING": "hällo 世界"})
    assert status == "succeeded"
    app_dir = str(drone.app_dir)
    assert answer["output_tail"].splitlines() == [
        f"hällo 世界 web node_web-1 {drone.address}", app_dir, app_dir, "secret=", "42",
    ]  # fmt: skip


def test_a_failing_command_is_explained_by_its_last_line(world: Platform, drone: Machine) -> None:
    answer = world.run(drone, "cmd_1", "echo one; echo 'no such store' >&2; exit 7", name="start")
    assert answer == ("CommandFailed", "command 'start' on node web-1 exited with 7: no such store")


def test_output_is_streamed_while_the_command_runs(world: Platform, drone: Machine) -> None:
    gate = drone.root / "gate"
    cmd = f"echo begun; until [ -e {gate} ]; do sleep 0.05; done; echo over"
    world.pilot.run_command(drone.agent_id, command_id="cmd_1", cmd=cmd, task_token="t1")
    until(lambda: world.command("cmd_1").output_tail == "begun\n")
    assert "t1" not in world.answers.given
    gate.touch()
    assert world.answers.of("t1") == ("succeeded", {"exit_code": 0, "output_tail": "begun\nover\n"})


def test_much_output_is_capped_and_its_end_is_kept(world: Platform, drone: Machine) -> None:
    _, answer = world.run(drone, "cmd_1", "yes 0123456789 | head -c 20000000; echo the end")
    assert answer["output_tail"].endswith("the end\n")
    command = world.command("cmd_1")
    assert len(command.output_tail) == 4_000
    assert command.output_truncated
    assert max(path.stat().st_size for path in drone.root.rglob("*.out")) < 21_000_000
    world.run(drone, "cmd_2", "true")


def test_a_time_out_ends_the_whole_process_group(world: Platform, drone: Machine) -> None:
    pids = drone.root / "pids"
    cmd = f"trap '' TERM; sleep 300 & echo $! > {pids}; echo $$ >> {pids}; echo waiting; wait; sleep 300"
    began = time.monotonic()
    error, cause = world.run(drone, "cmd_1", cmd, timeout_s=1, name="start")
    assert (error, cause) == (
        "CommandTimedOut",
        "command 'start' on node web-1 did not finish within 1 s and was killed; its last output: waiting",
    )
    assert time.monotonic() - began < 12
    for pid in map(int, pids.read_text().split()):
        until(lambda p=pid: not lives(p))  # type: ignore[misc]


def test_a_daemon_outlives_the_command_that_began_it(world: Platform, drone: Machine) -> None:
    pid_file = drone.root / "daemon.pid"
    # It keeps the command's output open, as careless start scripts do: the command must end all the same.
    cmd = f"(while :; do echo tick; sleep 0.1; done) & echo $! > {pid_file}"
    began = time.monotonic()
    assert world.run(drone, "cmd_1", cmd)[0] == "succeeded"
    assert time.monotonic() - began < 5
    daemon = int(pid_file.read_text())
    drone.kill_agent()
    time.sleep(0.5)
    os.kill(daemon, signal.SIGTERM)  # raises if it died with the agent


def test_a_lost_connection_neither_loses_nor_repeats_a_command(world: Platform, drone: Machine) -> None:
    ran, gate = drone.root / "ran", drone.root / "gate"
    cmd = f"echo x >> {ran}; until [ -e {gate} ]; do sleep 0.05; done; echo done"
    world.pilot.run_command(drone.agent_id, command_id="cmd_1", cmd=cmd, task_token="t1")
    until(ran.exists)
    world.gateway.stop()
    gate.touch()  # it ends while nobody can be told
    time.sleep(0.3)
    world.pilot.run_command(drone.agent_id, command_id="cmd_2", cmd="echo later", task_token="t2")
    world.gateway.start()
    assert world.answers.of("t1") == ("succeeded", {"exit_code": 0, "output_tail": "done\n"})
    assert world.answers.of("t2") == ("succeeded", {"exit_code": 0, "output_tail": "later\n"})
    assert ran.read_text() == "x\n"


def test_a_command_that_is_sent_twice_runs_once(world: Platform, drone: Machine) -> None:
    ran = drone.root / "ran"
    for token in ("t1", "t2", "t3"):
        world.pilot.run_command(
            drone.agent_id, command_id="cmd_1", cmd=f"echo x >> {ran}; sleep 0.3", task_token=token
        )
    assert world.answers.of("t3")[0] == "succeeded"
    assert world.run(drone, "cmd_1", f"echo x >> {ran}; sleep 0.3")[0] == "succeeded"
    assert ran.read_text() == "x\n"


def test_a_result_that_got_lost_is_sent_again(world: Platform, drone: Machine) -> None:
    lost: list[object] = []

    def lose_first(frame: dict[str, object]) -> bool:
        if frame["type"] == "result" and not lost:
            lost.append(frame)
            return True
        return False

    world.gateway.loses = lose_first
    world.pilot.run_command(drone.agent_id, command_id="cmd_1", cmd="echo hi", task_token="t1")
    until(lambda: lost)
    world.gateway.cut()
    assert world.answers.of("t1") == ("succeeded", {"exit_code": 0, "output_tail": "hi\n"})


def _is_journaled(drone: Machine, command_id: str) -> bool:
    """Whether the agent has written down which process runs a command; killed before, it can only say so."""
    return any('"pid"' in path.read_text() for path in drone.root.rglob(f"{command_id}.json"))


def test_a_restarted_agent_takes_up_what_still_runs(world: Platform, drone: Machine) -> None:
    ran, gate = drone.root / "ran", drone.root / "gate"
    cmd = f"echo x >> {ran}; until [ -e {gate} ]; do sleep 0.05; done; echo done; exit 5"
    world.pilot.run_command(drone.agent_id, command_id="cmd_1", cmd=cmd, task_token="t1", name="start")
    until(ran.exists)
    until(lambda: _is_journaled(drone, "cmd_1"))
    drone.kill_agent()
    drone.power_on()
    world.await_connected(drone)
    gate.touch()
    assert world.answers.of("t1") == ("CommandFailed", "command 'start' on node web-1 exited with 5: done")
    assert ran.read_text() == "x\n"


def test_a_stopped_agent_leaves_its_commands_running(world: Platform, drone: Machine) -> None:
    ran, gate = drone.root / "ran", drone.root / "gate"
    cmd = f"echo x >> {ran}; until [ -e {gate} ]; do sleep 0.05; done; echo done"
    world.pilot.run_command(drone.agent_id, command_id="cmd_1", cmd=cmd, task_token="t1")
    until(ran.exists)
    assert drone.stop_agent() == 0  # for an upgrade, say
    gate.touch()
    time.sleep(0.3)  # it ends while there is no agent
    drone.power_on()
    assert world.answers.of("t1") == ("succeeded", {"exit_code": 0, "output_tail": "done\n"})
    assert ran.read_text() == "x\n"


def test_a_command_that_was_given_up_is_killed(world: Platform, drone: Machine) -> None:
    pid_file = drone.root / "pid"
    world.pilot.run_command(
        drone.agent_id, command_id="cmd_1", cmd=f"echo $$ > {pid_file}; sleep 300", task_token="t1"
    )
    until(lambda: pid_file.exists() and pid_file.read_text().strip())
    world.pilot.expire(datetime.now(UTC) + timedelta(hours=1))
    assert world.answers.of("t1")[0] == "AgentUnreachable"
    until(lambda: not lives(int(pid_file.read_text())))


def test_a_command_that_a_crash_interrupted_is_not_repeated(world: Platform, drone: Machine) -> None:
    ran = drone.root / "ran"
    world.pilot.run_command(
        drone.agent_id, command_id="cmd_1", cmd=f"echo $PPID >> {ran}; sleep 300", task_token="t1",
        name="start"
    )  # fmt: skip
    until(lambda: ran.exists() and ran.read_text().strip())
    drone.kill_agent()
    os.killpg(os.getpgid(int(ran.read_text())), signal.SIGKILL)
    drone.power_on()
    error, cause = world.answers.of("t1")
    assert error == "CommandFailed"
    assert cause.endswith("failed: it was interrupted: the node or its agent restarted")
    assert len(ran.read_text().split()) == 1


def test_a_second_boot_needs_neither_token_nor_bundle(world: Platform, drone: Machine) -> None:
    assert world.run(drone, "cmd_1", "true")[0] == "succeeded"
    drone.kill_agent()
    until(lambda: not world.agent(drone).connected)
    bundle = world.web_folder / "agent.pyz"
    hidden = bundle.rename(bundle.with_suffix(".hidden"))
    try:
        drone.power_on()
        world.await_connected(drone)
    finally:
        hidden.rename(bundle)
    assert world.run(drone, "cmd_2", "echo again")[1]["output_tail"] == "again\n"


def test_a_copied_token_is_refused(world: Platform, drone: Machine, address: Address, tmp_path: Path) -> None:
    thief = Machine(tmp_path / "thief", address(), drone.agent_id, drone._script)
    thief.power_on()
    try:
        until(lambda: "bad_key" in thief.console)
    finally:
        thief.power_off()
    assert world.run(drone, "cmd_1", "echo mine")[1]["output_tail"] == "mine\n"
    assert "token" not in thief.console.replace("the token was used already", "")


def test_the_agents_secrets_are_its_owners_alone_and_it_stops_when_told(
    world: Platform, drone: Machine
) -> None:
    for name in ("config.json", "key"):
        assert (drone.root / "agent" / name).stat().st_mode & 0o077 == 0
    assert (drone.root / "agent").stat().st_mode & 0o077 == 0
    assert drone.stop_agent() == 0
    until(lambda: not world.agent(drone).connected)
    key = (drone.root / "agent" / "key").read_text()
    assert key not in drone.console
