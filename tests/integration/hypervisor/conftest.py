"""A hypervisor that tests may stop, kill and start again, and a short way to ask it for machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from pitrix.errors import ResourceNotFound
from providers.local.driver import LocalProvider
from providers.resources import Connection, Machine, MachineSpec, MachineStatus, NetworkSpec, VolumeSpec

T = TypeVar("T")
ROOT = Path(__file__).parents[3]

# Ways out of a process tree, without the environment too; and one that will not be told.
FUGITIVES = """
sleep 600 & echo $! > plain
setsid sh -c 'echo $$ > session; exec sleep 600' &
(setsid sh -c 'echo $$ > orphan; exec sleep 600' &)
env -i setsid sh -c 'echo $$ > nameless; exec sleep 600' &
(env -i setsid sh -c 'echo $$ > lost; exec sleep 600' &)
setsid sh -c 'trap "" TERM; echo $$ > stubborn; while :; do sleep 1; done' &
wait
"""
FUGITIVE_NAMES = ("plain", "session", "orphan", "nameless", "lost", "stubborn")


class Lab:
    """One data folder and, most of the time, a hypervisor on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "cloud"
        self.token_file = folder / "token"
        self.process: subprocess.Popen[str] | None = None
        self.endpoint = ""
        self.cloud: LocalProvider

    def command(self, *options: str) -> list[str]:
        command = [sys.executable, "-m", "infra.local.hypervisor", "--data", str(self.data)]
        command += ["--token-file", str(self.token_file), "--grace-s", "1", "--log-level", "WARNING"]
        return command + list(options)

    def start(self) -> LocalProvider:
        environment = os.environ | {"OUTER_SECRET": "must not reach a machine"}
        self.process = subprocess.Popen(
            self.command(), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().partition(" ")[2].strip()
        credential = {"endpoint": self.endpoint, "token": self.token_file.read_text()}
        self.cloud = LocalProvider(Connection(zone="local", credential=credential))
        return self.cloud

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal the hypervisor and wait until it has ended; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def volume(self) -> str:
        spec = VolumeSpec(name="volume", size_gib=1)
        return self.cloud.create_volume(spec, idempotency_key=uuid4().hex).volume_id

    def ask(self, user_data: str = "", **changes: object) -> Machine:
        """Ask for a machine in the one network of the lab."""
        network = self.cloud.create_network(NetworkSpec(name="network"), idempotency_key="network")
        spec = MachineSpec(
            name="machine",
            cpu=1,
            memory_mib=128,
            image="local",
            network_id=network.network_id,
            user_data=user_data,
            **changes,  # type: ignore[arg-type]
        )
        return self.cloud.create_machine(spec, idempotency_key=uuid4().hex)

    def run(self, user_data: str = "", **changes: object) -> Machine:
        return self.settled(self.ask(user_data, **changes), MachineStatus.RUNNING)

    def settled(self, machine: Machine, wanted: MachineStatus) -> Machine:
        found = eventually(
            lambda: self.cloud.get_machine(machine.machine_id),
            lambda now: now.status is not MachineStatus.PENDING,
        )
        assert found.status is wanted, f"{found.status}: {found.reason}"
        return found

    def settled_in_error(self, machine: Machine) -> Machine:
        """Wait until the machine says ``error``; it may say ``running`` before its user data fails."""
        return eventually(
            lambda: self.cloud.get_machine(machine.machine_id),
            lambda now: now.status is MachineStatus.ERROR,
        )

    def stop(self, machine: Machine) -> None:
        self.cloud.stop_machine(machine.machine_id)
        self.settled(machine, MachineStatus.STOPPED)

    def delete(self, machine: Machine) -> None:
        self.cloud.delete_machine(machine.machine_id)
        eventually(lambda: self.has(machine), lambda there: not there)

    def has(self, machine: Machine) -> bool:
        try:
            self.cloud.get_machine(machine.machine_id)
        except ResourceNotFound:
            return False
        return True

    def says(self, machine: Machine, text: str) -> str:
        """Wait until the machine's console has ``text``; returns all of it."""
        return eventually(lambda: self.cloud.console_output(machine.machine_id), lambda said: text in said)

    def pids(self, machine: Machine, *names: str) -> list[int]:
        """The process ids that the machine wrote to files of these names in its home."""
        root = self.data / "machines" / machine.machine_id / "root"
        texts = [eventually(lambda p=root / name: p.exists() and p.read_text(), bool) for name in names]
        return [int(text) for text in texts]


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(look: Callable[[], T], good: Callable[[T], object], within_s: float = 20) -> T:
    """Look until what is seen is good; fails with what was seen last."""
    deadline = time.monotonic() + within_s
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"after {within_s} s it is still {seen!r}"
        time.sleep(0.03)
    return seen


@pytest.fixture
def fresh_lab(tmp_path: Path) -> Iterator[Lab]:
    """A hypervisor of the test's own, to be ended and started as it likes."""
    lab = Lab(tmp_path)
    lab.start()
    yield lab
    if lab.process is None:
        lab.start()  # whatever a test did: only a hypervisor can end the machines that are left
    assert lab.end() == 0


@pytest.fixture(scope="session")
def common_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("hypervisor"))
    lab.start()
    yield lab
    assert lab.end() == 0


@pytest.fixture
def lab(common_lab: Lab) -> Iterator[Lab]:
    """A hypervisor that other tests use too, each after the last one's machines are gone."""
    yield common_lab
    machines = common_lab.cloud.list_machines({})
    for machine in machines:
        common_lab.cloud.delete_machine(machine.machine_id)
    eventually(lambda: common_lab.cloud.list_machines({}), lambda left: not left)
