"""What the local cloud's machines are: real processes, none of which gets away, whoever is killed."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from providers.resources import MachineStatus
from tests.integration.hypervisor.conftest import FUGITIVE_NAMES, FUGITIVES, Lab, alive, eventually


def test_user_data_sees_its_machine_and_nothing_else(lab: Lab) -> None:
    machine = lab.run("env; echo at $(pwd); echo end; sleep 600")
    lines = lab.says(machine, "end").splitlines()
    root = lab.data / "machines" / machine.machine_id / "root"
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen.pop("PATH").startswith("/")
    assert {name: value for name, value in seen.items() if name not in ("PWD", "SHLVL", "_", "OLDPWD")} == {
        "HOME": str(root),
        "LANG": seen["LANG"],
        "PITRIX_MACHINE_ID": machine.machine_id,
        "PITRIX_MACHINE_DIR": str(root),
        "PITRIX_MACHINE_ADDRESS": machine.private_ip,
        "PITRIX_PYTHON": sys.executable,
        "PITRIX_DATA_DIR": str(root / "data"),
    }
    assert f"at {root}" in lines


def test_machines_listen_on_the_same_port_at_their_own_addresses(lab: Lab) -> None:
    serve = (
        'echo $PITRIX_MACHINE_ID > id; exec "$PITRIX_PYTHON" -m http.server -b "$PITRIX_MACHINE_ADDRESS" 8080'
    )
    machines = [lab.run(serve), lab.run(serve)]
    for machine in machines:

        def fetch(address: str | None = machine.private_ip) -> str:
            try:
                with urllib.request.urlopen(f"http://{address}:8080/id", timeout=5) as answer:
                    return str(answer.read().decode().strip())
            except OSError:
                return ""

        assert eventually(fetch, bool) == machine.machine_id


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_no_process_outlives_its_machine(lab: Lab, end: str) -> None:
    machine = lab.run(FUGITIVES)
    pids = lab.pids(machine, *FUGITIVE_NAMES)
    assert all(map(alive, pids))
    getattr(lab, end)(machine)
    assert not any(map(alive, pids))


def test_processes_are_asked_before_they_are_killed(lab: Lab) -> None:
    machine = lab.run("trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    lab.says(machine, "up")
    lab.stop(machine)
    assert "saved" in lab.cloud.console_output(machine.machine_id)


def test_a_stopped_process_is_ended_too(lab: Lab) -> None:
    machine = lab.run("trap 'echo saved; exit 0' TERM; echo $$ > shell; while :; do sleep 0.1; done")
    (pid,) = lab.pids(machine, "shell")
    os.kill(pid, signal.SIGSTOP)
    lab.stop(machine)
    assert not alive(pid)
    assert "saved" in lab.cloud.console_output(machine.machine_id), "it was woken, and asked like the others"


def test_a_background_agent_outlives_the_user_data(lab: Lab) -> None:
    machine = lab.run("sleep 600 & echo $! > agent; exit 0")
    (pid,) = lab.pids(machine, "agent")
    assert lab.cloud.get_machine(machine.machine_id).status is MachineStatus.RUNNING
    assert alive(pid)


def test_a_failed_boot_tells_its_last_line_and_can_be_tried_again(lab: Lab) -> None:
    machine = lab.ask(
        "if [ -e ~/second ]; then sleep 600; fi; touch ~/second; echo; echo 'no route'; echo; exit 3"
    )
    failed = lab.settled_in_error(machine)
    assert failed.reason == "The user data ended with exit code 3: no route"
    lab.cloud.start_machine(machine.machine_id)
    lab.settled(machine, MachineStatus.RUNNING)


def test_user_data_that_is_killed_is_a_failed_boot(lab: Lab) -> None:
    failed = lab.settled_in_error(lab.ask("kill -9 $$"))
    assert failed.reason == "The user data ended with signal 9."


def test_the_console_is_bounded(lab: Lab) -> None:
    lines = 400_000
    machine = lab.run(f"yes 'a line of text' | head -n {lines}; echo the end; sleep 600")
    said = lab.says(machine, "the end")
    assert len(said) <= 65536
    assert set(said.splitlines()) == {"a line of text", "the end"}, "it begins in the middle of a line"
    folder = lab.data / "machines" / machine.machine_id
    assert sum(path.stat().st_size for path in folder.glob("console.log*")) <= 2 << 20


# --- volumes -----------------------------------------------------------------------------------------------


def test_data_on_a_volume_outlives_the_machine(lab: Lab) -> None:
    volume = lab.volume()
    first = lab.run('echo precious > "$PITRIX_DATA_DIR/file"; echo done; sleep 600', volume_ids=(volume,))
    lab.says(first, "done")
    lab.delete(first)
    second = lab.run('cat "$PITRIX_DATA_DIR/file"; sleep 600', volume_ids=(volume,))
    lab.says(second, "precious")


def test_data_without_a_volume_outlives_a_restart(lab: Lab) -> None:
    machine = lab.run('echo boot >> "$PITRIX_DATA_DIR/file"; wc -l < "$PITRIX_DATA_DIR/file"; sleep 600')
    lab.says(machine, "1")
    lab.stop(machine)
    lab.cloud.start_machine(machine.machine_id)
    lab.says(machine, "2")


def test_volumes_come_and_go_while_the_machine_runs(lab: Lab) -> None:
    machine = lab.run("echo own > $PITRIX_DATA_DIR/file; echo up; sleep 600")
    lab.says(machine, "up")
    root = lab.data / "machines" / machine.machine_id / "root"
    first, second = lab.volume(), lab.volume()
    lab.cloud.attach_volume(first, machine.machine_id)
    assert list((root / "data").iterdir()) == [], "the volume hides what is on the machine's own disk"
    lab.cloud.attach_volume(second, machine.machine_id)
    (root / "data2" / "file").write_text("second")
    lab.cloud.detach_volume(first)
    assert (root / "data" / "file").read_text() == "second"
    lab.cloud.detach_volume(second)
    assert (root / "data" / "file").read_text() == "own\n"
    assert not (root / "data2").exists()


# --- many, and in a hurry ---------------------------------------------------------------------------------


def test_starting_while_it_still_stops_boots_it_afterwards(lab: Lab) -> None:
    machine = lab.run("trap '' TERM; echo booted; while :; do sleep 0.1; done")
    lab.says(machine, "booted")
    lab.cloud.stop_machine(machine.machine_id)
    lab.cloud.start_machine(machine.machine_id)
    eventually(lambda: lab.cloud.console_output(machine.machine_id).count("booted"), lambda count: count == 2)
    lab.settled(machine, MachineStatus.RUNNING)


def test_many_machines_at_once(lab: Lab) -> None:
    machines = [lab.ask("echo up; sleep 600") for _ in range(20)]
    for machine in machines:
        lab.settled(machine, MachineStatus.RUNNING)
    assert len({machine.private_ip for machine in machines}) == 20


# --- secrets -----------------------------------------------------------------------------------------------


def test_user_data_is_kept_for_its_owner_alone_and_shown_to_nobody(lab: Lab) -> None:
    machine = lab.run("true 'one-time-token'")
    holders = [
        path for path in lab.data.rglob("*") if path.is_file() and b"one-time-token" in path.read_bytes()
    ]
    assert [path.name for path in holders] == ["user-data"]
    assert [path.stat().st_mode & 0o077 for path in [*holders, lab.token_file, lab.data]] == [0, 0, 0]
    assert "one-time-token" not in repr(lab.cloud.get_machine(machine.machine_id))
    commands = [Path(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    shown = [path.read_bytes() for path in commands if path.exists()]
    assert not any(b"one-time-token" in line for line in shown)
