"""The first process of a machine: runs its user data, adopts its orphans, ends them all on SIGTERM.

Started by ``machines`` with one argument, the machine's folder, in which it finds
``boot-order.json`` (what to run) and leaves ``boot.json`` (how it went) and ``console.log``. It holds a
lock on ``init.lock`` for as long as it lives: that, not a process id that may be reused, is how a
hypervisor knows the machine is up, also one that was started after this process. The lock's file tells
the process id.

It outlives the hypervisor on purpose: the next one adopts it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import processes

CONSOLE_LIMIT = 1 << 20
"""Bytes of console kept in ``console.log``; as much again in ``console.log.1``."""


class Console:
    """The machine's output: bounded on disk, with its last line at hand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._tail = b""

    def write(self, data: bytes) -> None:
        if self._file.tell() + len(data) > CONSOLE_LIMIT:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab", buffering=0)
        self._file.write(data)
        self._tail = (self._tail + data)[-4096:]

    def last_line(self) -> str:
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")[:500]


class Init:
    """One boot of one machine."""

    def __init__(self, folder: Path, order: dict[str, Any]) -> None:
        self._folder = folder
        self._order = order
        self._console = Console(folder / "console.log")
        self._ending = False
        self._output = -1
        self._shell: subprocess.Popen[bytes] | None = None
        # A signal makes the pipe readable, so that select() notices it however it is timed.
        self._wake, wake_end = os.pipe()
        for end in (self._wake, wake_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _end(self, *_: object) -> None:
        self._ending = True

    def run(self) -> None:
        processes.adopt_orphans()
        self._boot()
        while not self._ending:
            self._turn(None)
        self._end_all()

    def _boot(self) -> None:
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        # In a session of its own, so that a signal to its group never reaches this process.
        self._shell = subprocess.Popen(
            ["/bin/sh", str(self._folder / "user-data")],
            cwd=self._order["env"]["PITRIX_MACHINE_DIR"],
            env=self._order["env"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        os.close(output)
        self._tell("running")

    def _turn(self, timeout_s: float | None) -> None:
        """Wait for output or a signal, ``timeout_s`` seconds at most, and deal with what came."""
        watched = [self._wake] if self._output < 0 else [self._wake, self._output]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if self._wake in ready:
            os.read(self._wake, 4096)
        self._copy_output()
        self._reap()

    def _copy_output(self) -> None:
        while self._output >= 0:
            try:
                data = os.read(self._output, 65536)
            except BlockingIOError:
                return
            if not data:  # nobody is left who could write to it
                os.close(self._output)
                self._output = -1
                return
            self._console.write(data)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._shell is not None and pid == self._shell.pid:
                self._copy_output()  # its last words, which may have come after the look above
                self._shell.returncode = os.waitstatus_to_exitcode(status)
                self._judge(self._shell.returncode)

    def _judge(self, code: int) -> None:
        """The user data ended: well, or as a failed boot. What it left running goes on either way."""
        if code == 0 or self._ending:
            return
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        last = self._console.last_line()
        self._tell("failed", f"The user data ended with {how}" + (f": {last}" if last else "."))

    def _tell(self, phase: str, reason: str = "") -> None:
        tell(self._folder, self._order["boot"], phase, reason)

    def _left(self) -> set[int]:
        left = processes.descendants(os.getpid())
        if sys.platform != "linux":  # no subreaper: an orphan of another session is not below us
            left |= processes.marked(self._order["env"][processes.MARK])
        return left

    def _end_all(self) -> None:
        """TERM everything, KILL what is left after the grace time, until nothing is."""
        deadline = time.monotonic() + self._order["grace_s"]
        told: set[int] = set()
        while left := self._left():
            late = time.monotonic() > deadline
            fresh = left if late else left - told
            processes.send(fresh, signal.SIGKILL if late else signal.SIGTERM)
            if not late:
                processes.send(fresh, signal.SIGCONT)  # a stopped process takes no TERM
            told |= fresh
            self._turn(0.05)
        self._copy_output()  # last words, which nobody is left to add to


def tell(folder: Path, boot: int, phase: str, reason: str = "") -> None:
    """Say how this boot goes: ``booting``, ``running`` or ``failed`` (with the reason)."""
    fresh = folder / "boot.json.new"
    fresh.write_text(json.dumps({"boot": boot, "phase": phase, "reason": reason}))
    fresh.replace(folder / "boot.json")


def _lock(folder: Path) -> int:
    """Take the machine's lock; its holder is the machine's init. Exits when another one is."""
    lock = os.open(folder / "init.lock", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(100):  # a hypervisor that looks whether the lock is held holds it for a moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(0.02)
    sys.exit("another init is up")


def main() -> None:
    folder = Path(sys.argv[1])
    order = json.loads((folder / "boot-order.json").read_text())
    lock = _lock(folder)
    tell(folder, order["boot"], "booting")
    # Going into the background with the lock held: when the first process ends, the machine is up.
    if pid := os.fork():
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(pid).encode(), 0)
        os._exit(0)
    try:
        Init(folder, order).run()
    except Exception as error:
        processes.kill_marked(order["env"][processes.MARK])
        raise SystemExit(f"init: {error!r}") from error


if __name__ == "__main__":
    main()
