"""Finding and ending the processes of a machine.

Every process of a machine descends from its init, which on Linux also adopts those whose parent ended
(it is their *subreaper*), so the tree is complete there whatever sessions they made. The mark
:data:`MARK` in their environment is the second way: it finds what is left when an init was killed, and
on macOS, which has no subreapers, what has left the tree.

It is loaded inside every machine as well (by ``init``): standard library only, cheap imports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "PITRIX_MACHINE_ID"

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> bool:
    """Make this process the parent of descendants whose own parent ends; False where that cannot be."""
    if sys.platform != "linux":
        return False
    import ctypes

    refused: int = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return refused == 0


def _parents() -> dict[int, int]:
    """Every living process of this system and its parent. Zombies are left out: they need no ending."""
    parents = {}
    if sys.platform == "linux":
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path(f"/proc/{entry}/stat").read_text()
                except OSError:
                    continue  # it ended meanwhile
                state, parent = stat.rpartition(")")[2].split()[:2]  # the name before may hold anything
                if state not in "ZX":
                    parents[int(entry)] = int(parent)
        return parents
    for line in _ps("-axo", "pid=,ppid=,state="):
        pid, parent, state = line.split()[:3]
        if not state.startswith("Z"):
            parents[int(pid)] = int(parent)
    return parents


def _ps(*arguments: str) -> list[str]:
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False).stdout.splitlines()


def descendants(pid: int) -> set[int]:
    """All living processes below one, itself left out."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        children.setdefault(parent, []).append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def marked(machine_id: str) -> set[int]:
    """All living processes that were started with the machine's mark in their environment."""
    mark = f"{MARK}={machine_id}"
    found = set()
    if sys.platform == "linux":
        for pid in _parents():
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue  # it ended meanwhile, or is another user's
            if mark.encode() in environment.split(b"\0"):
                found.add(pid)
    else:
        for line in _ps("-axEwwo", "pid=,command="):
            if mark in line.split():
                found.add(int(line.split()[0]))
    return found - {os.getpid()}


def send(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # ended; or became another user's
            os.kill(pid, number)


def kill_marked(machine_id: str, *, within_s: float = 5.0) -> None:
    """Kill what is left of a machine without an init, again and again until nothing is.

    Raises:
        TimeoutError: Something is still there after ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while left := marked(machine_id):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(left)} of {machine_id} cannot be killed")
        send(left, signal.SIGKILL)
        time.sleep(0.02)
