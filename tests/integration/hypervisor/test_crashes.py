"""Who kills what: the hypervisor, a machine's init, or both; no process and no promise is lost."""

from __future__ import annotations

import os
import signal

import pytest

from providers.resources import MachineStatus
from tests.integration.hypervisor.conftest import FUGITIVE_NAMES, FUGITIVES, Lab, alive, eventually


@pytest.fixture
def lab(fresh_lab: Lab) -> Lab:
    return fresh_lab


def test_a_killed_hypervisor_finds_its_machines_again(lab: Lab) -> None:
    machine = lab.run(FUGITIVES)
    pids = lab.pids(machine, *FUGITIVE_NAMES)
    lab.end(signal.SIGKILL)
    assert all(map(alive, pids)), "machines outlive a hypervisor that crashed"
    lab.start()
    assert lab.cloud.get_machine(machine.machine_id).status is MachineStatus.RUNNING
    assert lab.pids(machine, *FUGITIVE_NAMES) == pids, "it was adopted, not booted again"
    lab.stop(machine)
    assert not any(map(alive, pids))


def test_a_hypervisor_that_ends_takes_its_machines_along_and_brings_them_back(lab: Lab) -> None:
    running, stopped = lab.run(FUGITIVES), lab.run("echo booted; sleep 600")
    lab.says(stopped, "booted")
    lab.stop(stopped)
    pids = lab.pids(running, *FUGITIVE_NAMES)
    assert lab.end() == 0
    assert not any(map(alive, pids))
    for name in FUGITIVE_NAMES:
        (lab.data / "machines" / running.machine_id / "root" / name).unlink()
    lab.start()
    lab.settled(running, MachineStatus.RUNNING)
    assert all(map(alive, lab.pids(running, *FUGITIVE_NAMES)))
    assert lab.cloud.get_machine(stopped.machine_id).status is MachineStatus.STOPPED
    assert lab.cloud.console_output(stopped.machine_id).count("booted") == 1


def test_a_killed_init_is_an_error_and_its_leftovers_are_ended_before_the_next_boot(lab: Lab) -> None:
    machine = lab.run("sleep 600 & echo $! > agent; wait")
    (pid,) = lab.pids(machine, "agent")
    init = int((lab.data / "machines" / machine.machine_id / "init.lock").read_text())
    os.kill(init, signal.SIGKILL)
    failed = lab.settled_in_error(machine)
    assert failed.reason == "The machine's first process was killed."
    assert alive(pid)
    lab.cloud.start_machine(machine.machine_id)
    lab.settled(machine, MachineStatus.RUNNING)
    assert not alive(pid)


def test_both_killed_nothing_is_left_behind_after_the_next_start(lab: Lab) -> None:
    machine = lab.run("sleep 600 & echo $! > agent; wait")
    (pid,) = lab.pids(machine, "agent")
    init = int((lab.data / "machines" / machine.machine_id / "init.lock").read_text())
    lab.end(signal.SIGKILL)
    os.kill(init, signal.SIGKILL)
    lab.start()
    lab.settled(machine, MachineStatus.RUNNING)
    assert not alive(pid)


def test_a_deletion_that_was_cut_short_is_finished(lab: Lab) -> None:
    machine = lab.run("trap '' TERM; echo up; while :; do sleep 1; done")
    lab.says(machine, "up")
    lab.cloud.delete_machine(machine.machine_id)
    lab.end(signal.SIGKILL)
    lab.start()
    eventually(lambda: lab.has(machine), lambda there: not there)
    assert not (lab.data / "machines" / machine.machine_id).exists()


def test_litter_of_an_interrupted_creation_is_cleared(lab: Lab) -> None:
    lab.end(signal.SIGKILL)
    litter = lab.data / "machines" / "machine-unborn"
    litter.mkdir()
    (litter / "user-data").write_text("one-time-token")
    lab.start()
    assert not litter.exists()


def test_the_token_is_kept_over_a_restart(lab: Lab) -> None:
    token = lab.token_file.read_text()
    lab.end(signal.SIGINT)
    lab.start()
    assert lab.token_file.read_text() == token
    assert len(token) > 30


def test_what_was_made_is_there_after_a_crash(lab: Lab) -> None:
    volume = lab.volume()
    lab.end(signal.SIGKILL)
    lab.start()
    assert lab.cloud.get_volume(volume).size_gib == 1
