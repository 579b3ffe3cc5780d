"""Bringing one machine up and down: its folder, its volumes' places, its init.

Owns everything between a machine's record and its processes. It decides nothing about who may have a
machine (that is ``cloud``) and looks into none (that is ``init``).

A machine's folder: ``record.json``, ``user-data``, ``boot-order.json``, ``boot.json``, ``console.log``,
``init.log``, ``init.lock`` and ``root/``, which is the machine's own disk and its home. In ``root``,
``data`` is where the first attached volume is seen, ``data2`` the second, and so on, the way a cloud
would mount them; without a volume ``data`` is on the machine's own disk.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock

import msgspec

from . import processes
from .model import Boot, Machine
from .store import write_atomically

log = logging.getLogger("hypervisor")

_PACKAGE = __name__.rpartition(".")[0]
_PACKAGE_ROOT = Path(__file__).parents[len(_PACKAGE.split("."))]

_PATHS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
if sys.platform == "darwin":
    _PATHS.insert(0, "/opt/homebrew/bin")


class Chassis:
    """The power button and the cables of one machine. Its methods may be called by several threads."""

    def __init__(self, folder: Path, *, python: str, grace_s: float) -> None:
        self._folder = folder
        self._python = python
        self._grace_s = grace_s
        self._looking = Lock()  # a look at the lock holds it for an instant; never two at once
        self.in_hand = Lock()
        """Held by whoever is bringing the machine up or down."""

    @property
    def root(self) -> Path:
        return self._folder / "root"

    # --- state ---------------------------------------------------------------------------------------

    def is_up(self) -> bool:
        """Whether the machine's init lives, whoever started it."""
        with self._looking:
            try:
                lock = os.open(self._folder / "init.lock", os.O_RDWR)
            except FileNotFoundError:
                return False
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(lock)
            return False

    def last_boot(self) -> Boot | None:
        """What the last init said of itself; None before the first boot."""
        try:
            return msgspec.json.decode((self._folder / "boot.json").read_bytes(), type=Boot)
        except FileNotFoundError:
            return None

    def console(self, limit: int = 65536) -> str:
        """The last ``limit`` bytes of output, from a whole line on."""
        text = b""
        for name in ("console.log.1", "console.log"):
            try:
                with (self._folder / name).open("rb") as file:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
                    text += file.read()
            except FileNotFoundError:
                pass
        if len(text) > limit:
            text = text[-limit:].partition(b"\n")[2]
        return text.decode(errors="replace")

    # --- power ---------------------------------------------------------------------------------------

    def install(self, user_data: str) -> None:
        """Put the user data of a new machine in its folder, apart from its record: it holds secrets."""
        self._folder.mkdir(mode=0o700)
        write_atomically(self._folder / "user-data", user_data.encode())

    def prepare(self, machine: Machine, *, authorized_key: str, volumes: list[Path]) -> None:
        """Lay out the machine's disk, and what its init is to do; the machine is off.

        Raises:
            OSError: The folder cannot be written.
        """
        self.root.mkdir(mode=0o700, exist_ok=True)
        self.connect(volumes)
        if authorized_key:
            (self.root / ".ssh").mkdir(mode=0o700, exist_ok=True)
            write_atomically(self.root / ".ssh" / "authorized_keys", f"{authorized_key}\n".encode())
        order = {"boot": machine.boot, "grace_s": self._grace_s, "env": self._environment(machine)}
        write_atomically(self._folder / "boot-order.json", msgspec.json.encode(order))

    def power_on(self, machine_id: str) -> None:
        """Start the init. When this returns it is up, and ``last_boot`` is this one.

        Raises:
            OSError: It does not start.
        """
        # -E -s -S: it needs the standard library alone, so it starts in a fraction of time and memory.
        command = [sys.executable, "-E", "-s", "-S", "-m", f"{_PACKAGE}.init", str(self._folder)]
        with (self._folder / "init.log").open("ab") as init_log, self._looking:
            started = subprocess.run(
                command,
                cwd=_PACKAGE_ROOT,
                env={processes.MARK: machine_id},
                stdin=subprocess.DEVNULL,
                stdout=init_log,
                stderr=init_log,
                start_new_session=True,
                timeout=30,
                check=False,
            )
        if started.returncode != 0:
            raise OSError(f"the init of {machine_id} ended with {started.returncode}, see its init.log")

    def note_failure(self, boot: int, reason: str) -> None:
        """Say of a boot, in the init's place, that it failed."""
        failure = Boot(boot=boot, phase="failed", reason=reason)
        write_atomically(self._folder / "boot.json", msgspec.json.encode(failure))

    def power_off(self, machine_id: str) -> None:
        """End every process of the machine: TERM, KILL after the grace time. Off already: no effect.

        Raises:
            TimeoutError: Something cannot be killed.
        """
        if self.is_up():
            init = int((self._folder / "init.lock").read_text())
            processes.send({init}, signal.SIGTERM)
            if not self._is_down_within(self._grace_s + 5):
                log.warning("the init of %s does not end; killing it", machine_id)
                processes.send({init}, signal.SIGKILL)
                self._is_down_within(5)
        processes.kill_marked(machine_id)  # what an init that was killed has left

    def _is_down_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.is_up():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.03)
        return True

    def _environment(self, machine: Machine) -> dict[str, str]:
        return {
            "PATH": ":".join(_PATHS),
            "HOME": str(self.root),
            "LANG": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
            processes.MARK: machine.id,
            "PITRIX_MACHINE_DIR": str(self.root),
            "PITRIX_MACHINE_ADDRESS": machine.address,
            "PITRIX_PYTHON": self._python,
            "PITRIX_DATA_DIR": str(self.root / "data"),
        }

    # --- volumes -------------------------------------------------------------------------------------

    def connect(self, volumes: list[Path]) -> None:
        """Make exactly these volumes visible, in this order, at ``root/data``, ``root/data2``, …

        What the machine's own disk has at ``data`` is set aside while a volume is there, as a mount
        would hide it.
        """
        own, place = self.root / "data.own-disk", self.root / "data"
        for link in self.root.glob("data*"):
            if link.is_symlink():
                link.unlink()
        if not volumes:
            if own.exists() and not place.exists():
                own.rename(place)
            place.mkdir(mode=0o700, exist_ok=True)
            return
        if place.exists():
            place.rename(own)
        for number, volume in enumerate(volumes, start=1):
            (self.root / ("data" if number == 1 else f"data{number}")).symlink_to(volume)
