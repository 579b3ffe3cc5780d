"""What a real agent does for its node: metadata, files, payloads, health; and relaying for others."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.integration.agents.harness import CLUSTER, Machine, Platform, until

Address = Callable[[], str]

DOCUMENT = {
    "hosts": {"web": {"node_1": {"ip": "10.0.0.5", "sid": 1}, "node_2": {"ip": "10.0.0.6", "sid": 2}}},
    "host": {"ip": "10.0.0.5", "role": "web"},
    "cluster": {"cluster_id": "cl_1"},
    "env": {"port": 8080, "debug": False, "names": ["a", "b"]},
}


@pytest.fixture
def drone(world: Platform, address: Address) -> Machine:
    machine = world.boot("web-1", address())
    world.await_connected(machine)
    return machine


# --- metadata ---------------------------------------------------------------------------------------------


def test_metadata_is_served_on_the_paths_of_the_appcenter(world: Platform, drone: Machine) -> None:
    world.pilot.put_metadata(CLUSTER, {drone.agent_id: DOCUMENT})
    # A command given after it sees it, without waiting for anything.
    _, answer = world.run(
        drone,
        "cmd_1",
        '"$PITRIX_PYTHON" -c "import os, urllib.request as u; '
        "print(u.urlopen(os.environ['PITRIX_METADATA_URL'] + '/self/env/port').read().decode())\"",
    )
    assert answer["output_tail"] == "8080\n"
    assert drone.metadata("/self/hosts/web/node_2/ip") == "10.0.0.6"
    assert drone.metadata("/self/env/debug") == "false"
    assert drone.metadata("/self/env/names/1") == "b"
    assert drone.metadata("/self/hosts/web") == (
        "/node_1/ip\t10.0.0.5\n/node_1/sid\t1\n/node_2/ip\t10.0.0.6\n/node_2/sid\t2\n"
    )
    found = json.loads(drone.metadata("/self/hosts/web/node_1/", accept="application/json"))
    assert found == {"ip": "10.0.0.5", "sid": "1"}
    everything = json.loads(drone.metadata("/", accept="application/json"))
    assert everything["self"]["cluster"] == {"cluster_id": "cl_1"}
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        drone.metadata("/self/env/nothing")
    caught.value.close()


def test_a_client_can_wait_for_a_change(world: Platform, drone: Machine) -> None:
    world.pilot.put_metadata(CLUSTER, {drone.agent_id: DOCUMENT})
    until(lambda: drone.metadata("/self/env/port") == "8080" if _serves(drone) else False)
    found: list[str] = []
    path = "/self/env/port?wait=true&prev_version=1"
    watcher = threading.Thread(target=lambda: found.append(drone.metadata(path)))
    watcher.start()
    time.sleep(0.2)
    assert found == []
    world.pilot.put_metadata(CLUSTER, {drone.agent_id: DOCUMENT | {"env": {"port": 9090}}})
    watcher.join(10)
    assert found == ["9090"]


def _serves(drone: Machine) -> bool:
    try:
        return bool(drone.metadata("/self/env/port"))
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_metadata_that_did_not_arrive_is_asked_for_and_survives_a_restart(
    world: Platform, drone: Machine
) -> None:
    drone.stop_agent()
    until(lambda: not world.agent(drone).connected)
    nodes = {f"node_{n}": {"ip": f"10.1.{n // 250}.{n % 250}", "n": n * 7919} for n in range(20_000)}
    world.pilot.put_metadata(CLUSTER, {drone.agent_id: {"hosts": nodes}})  # too large for one frame
    drone.power_on()
    world.await_connected(drone)
    assert world.run(drone, "cmd_1", "true")[0] == "succeeded"
    assert drone.metadata("/self/hosts/node_19999/n") == str(19999 * 7919)
    world.gateway.stop()
    drone.kill_agent()
    drone.power_on()
    until(lambda: _up(drone))
    assert drone.metadata("/self/hosts/node_1/ip") == "10.1.0.1"
    world.gateway.start()


def _up(drone: Machine) -> bool:
    try:
        return bool(drone.metadata("/self/hosts/node_1/ip"))
    except OSError:
        return False


# --- files and payloads -----------------------------------------------------------------------------------


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname = mode, kind, link
    return info


def test_a_payload_becomes_the_applications_folder(world: Platform, drone: Machine) -> None:
    data = archive((member("bin/start", mode=0o755), b"#!/bin/sh\necho started\n"), (member("a.txt"), b"a"))
    (world.web_folder / "payload.tgz").write_bytes(data)
    payload = {"url": f"{world.web_url}/payload.tgz", "sha256": hashlib.sha256(data).hexdigest()}
    assert world.run(drone, "cmd_1", kind="install_payload", payload=payload)[0] == "succeeded"
    assert world.run(drone, "cmd_2", "bin/start; cat a.txt")[1]["output_tail"] == "started\na"

    wrong = payload | {"sha256": "0" * 64}
    error, cause = world.run(drone, "cmd_3", kind="install_payload", payload=wrong, name="install")
    assert error == "CommandFailed"
    assert "its SHA-256 differs" in cause
    missing = {"url": f"{world.web_url}/nothing?signature=secret"}
    error, cause = world.run(drone, "cmd_4", kind="install_payload", payload=missing, name="install")
    assert cause == "command 'install' on node web-1 failed: the payload cannot be fetched: HTTP status 404"
    assert world.run(drone, "cmd_5", "cat a.txt")[1]["output_tail"] == "a", "a failed one left the old"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((member("../evil"), b"x"), "no path inside"),
        ((member("/tmp/evil"), b"x"), "no path inside"),
        ((member("link", kind=tarfile.SYMTYPE, link="/etc"), b""), "no file or folder"),
        ((member("dev", kind=tarfile.CHRTYPE), b""), "no file or folder"),
    ],
)
def test_a_payload_that_reaches_out_of_its_folder_is_refused(
    world: Platform, drone: Machine, bad: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    (world.web_folder / "bad.tgz").write_bytes(archive((member("ok"), b"ok"), bad))
    payload = {"url": f"{world.web_url}/bad.tgz"}
    error, cause = world.run(drone, "cmd_1", kind="install_payload", payload=payload)
    assert error == "CommandFailed"
    assert reason in cause
    assert list(drone.app_dir.iterdir()) == []


def test_files_are_written_below_the_applications_folder_only(world: Platform, drone: Machine) -> None:
    files = [{"path": "conf/app.cfg", "content": "port=1\n", "mode": "0600"}]
    assert world.run(drone, "cmd_1", kind="write_files", payload={"files": files})[0] == "succeeded"
    written = drone.app_dir / "conf" / "app.cfg"
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("port=1\n", 0o600)
    world.run(drone, "cmd_2", "ln -s / outside")
    for path in ("../agent/key", "/tmp/pitrix-evil", "outside/tmp/pitrix-evil"):
        files = [{"path": path, "content": "x"}]
        command_id = "cmd_" + hashlib.sha256(path.encode()).hexdigest()[:6]
        error, cause = world.run(drone, command_id, kind="write_files", payload={"files": files})
        assert error == "CommandFailed"
    error, cause = world.run(drone, "cmd_9", "true", cwd="../..", name="start")
    assert "outside of the application's" in cause


# --- health -----------------------------------------------------------------------------------------------


def test_health_is_watched_reported_and_acted_upon(world: Platform, drone: Machine) -> None:
    check = {
        "check_cmd": "test -e alive", "action_cmd": "echo acted >> actions; touch alive",
        "interval_s": 0.1, "timeout_s": 5, "action_timeout_s": 5,
        "healthy_threshold": 2, "unhealthy_threshold": 2,
    }  # fmt: skip
    world.run(drone, "cmd_1", "touch alive")
    assert world.run(drone, "cmd_2", kind="start_health_check", payload=check)[0] == "succeeded"
    until(lambda: world.agent(drone).health == "healthy")
    world.run(drone, "cmd_3", "rm alive")
    until(lambda: (drone.app_dir / "actions").exists())
    until(lambda: world.agent(drone).health == "healthy")
    told = [frame["health"] for frame in world.gateway.received if frame["type"] == "event"]
    assert told == ["healthy", "unhealthy", "healthy"]
    drone.kill_agent()
    drone.power_on()
    (drone.app_dir / "actions").unlink()
    (drone.app_dir / "alive").unlink()
    until(lambda: (drone.app_dir / "actions").exists())  # it goes on after a restart
    world.await_connected(drone)
    assert world.run(drone, "cmd_4", kind="stop_health_check")[0] == "succeeded"
    (drone.app_dir / "alive").unlink()
    time.sleep(0.6)
    assert not (drone.app_dir / "alive").exists()


# --- frontgate --------------------------------------------------------------------------------------------


@pytest.fixture
def network(world: Platform, address: Address) -> tuple[Machine, list[Machine]]:
    gate = world.boot("gate", address(), kind="frontgate")
    drones = [
        world.boot(name, address(), frontgate_id=gate.agent_id, frontgate_address=gate.address)
        for name in ("web-1", "web-2")
    ]
    world.await_connected(gate, *drones)
    return gate, drones


def test_a_frontgate_relays_for_its_drones_on_one_connection(
    world: Platform, network: tuple[Machine, list[Machine]]
) -> None:
    gate, drones = network
    assert len(world.gateway.connection_ids) == 1
    assert len({world.agent(machine).connection_id for machine in (gate, *drones)}) == 1
    for number, machine in enumerate(drones):
        world.pilot.put_metadata(CLUSTER, {machine.agent_id: {"host": {"ip": machine.address}}})
        status, answer = world.run(machine, "cmd_1", "echo $PITRIX_NODE_NAME")
        assert (status, answer["output_tail"]) == ("succeeded", f"web-{number + 1}\n")
        assert machine.metadata("/self/host/ip") == machine.address


def test_drones_come_back_when_the_way_out_was_lost(
    world: Platform, network: tuple[Machine, list[Machine]]
) -> None:
    _, drones = network
    gates = [machine.root / "gate" for machine in drones]
    for machine, gate_file in zip(drones, gates, strict=True):
        cmd = f"echo x >> ran; until [ -e {gate_file} ]; do sleep 0.05; done"
        world.pilot.run_command(machine.agent_id, command_id="cmd_1", cmd=cmd, task_token=machine.agent_id)
        until(lambda m=machine: (m.app_dir / "ran").exists())
    world.gateway.stop()
    for gate_file in gates:
        gate_file.touch()
    time.sleep(0.3)
    world.gateway.start()
    for machine in drones:
        assert world.answers.of(machine.agent_id)[0] == "succeeded"
        assert (machine.app_dir / "ran").read_text() == "x\n"


def test_in_a_storm_every_command_runs_once_and_is_answered(
    world: Platform, network: tuple[Machine, list[Machine]]
) -> None:
    gate, drones = network
    luck = random.Random(20261122)
    world.gateway.loses = lambda frame: luck.random() < 0.15
    tokens = []
    for number in range(30):
        machine = drones[number % 2]
        cmd = f"echo {number} >> ran; sleep 0.{number % 4}; echo did {number}"
        token = f"t{number}"
        world.pilot.run_command(machine.agent_id, command_id=f"cmd_{number}", cmd=cmd, task_token=token)
        if luck.random() < 0.3:  # the state machine tries again
            token = f"again{number}"
            world.pilot.run_command(machine.agent_id, command_id=f"cmd_{number}", cmd=cmd, task_token=token)
        tokens.append(token)
        if number % 7 == 3:
            world.gateway.cut()
        if number == 12:
            drones[0].kill_agent()
            drones[0].power_on()
        if number == 20:
            gate.kill_agent()
            gate.power_on()
        time.sleep(0.1)
    world.gateway.loses = lambda frame: False
    world.gateway.cut()  # whoever waits for a lost answer begins again
    interrupted = 0
    for number, token in enumerate(tokens):
        status, answer = world.answers.of(token, 40)
        if status == "succeeded":
            assert answer["output_tail"] == f"did {number}\n"
        else:  # the agent was killed between noting the command and seeing it start
            assert "it was interrupted" in answer
            interrupted += 1
    assert interrupted <= 2
    ran = sorted(int(line) for machine in drones for line in (machine.app_dir / "ran").read_text().split())
    assert len(ran) == len(set(ran)), "a command ran twice"
    assert len(ran) >= 30 - interrupted


def test_a_restarted_frontgate_and_a_lost_drone_are_noticed(
    world: Platform, network: tuple[Machine, list[Machine]]
) -> None:
    gate, (first, second) = network
    first.kill_agent()
    until(lambda: not world.agent(first).connected)
    assert world.agent(second).connected
    gate.kill_agent()
    until(lambda: not world.agent(second).connected)
    gate.power_on()
    world.await_connected(gate, second)
    first.power_on()
    world.await_connected(first)
    assert world.run(first, "cmd_1", "echo back")[1]["output_tail"] == "back\n"
