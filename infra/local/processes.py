"""Processes by identity, not by number alone. Owns telling "the process I started" from "one that got its pid
later".

Never ends a process whose start time is not the recorded one, and never looks processes up by name.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process that cannot be mistaken for another: its pid, and when it was started (an opaque text)."""

    pid: int
    started: str


def identify(pid: int) -> Identity | None:
    """The identity of a live process; None when there is none, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except OSError:
        return None
    else:
        # The second field is the command in parentheses and may hold spaces: count from its end.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] == "Z" else Identity(pid=pid, started=fields[19])
    # No /proc (macOS).
    listed = subprocess.run(
        ["ps", "-o", "lstart=,state=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        None if not listed or listed.endswith("Z") else Identity(pid=pid, started=listed.rpartition(" ")[0])
    )


def is_running(identity: Identity) -> bool:
    """Whether that very process still lives."""
    return identify(identity.pid) == identity


def stop(identity: Identity, *, grace_s: float) -> bool:
    """Ask a process to end, wait, and end it by force when it does not.

    Args:
        identity: The process; nothing happens when it is gone or its pid was reused.
        grace_s: How long SIGTERM may take before SIGKILL.

    Returns:
        Whether it ended by itself within the grace.
    """
    if not _signal(identity, signal.SIGTERM) or wait_gone(identity, timeout_s=grace_s):
        return True
    _signal(identity, signal.SIGKILL)
    wait_gone(identity, timeout_s=5)
    return False


def wait_gone(identity: Identity, *, timeout_s: float) -> bool:
    """Wait until a process ended; False when it still runs after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while is_running(identity):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(identity: Identity, number: signal.Signals) -> bool:
    if not is_running(identity):
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listener_on(port: int) -> str | None:
    """Who listens on a TCP port, as "command (process 42)"; None when it cannot be found out."""
    inode = _listening_inode(port)
    if inode is None:
        return None
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) == f"socket:[{inode}]" for fd in (directory / "fd").iterdir()):
                command = (
                    (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                return f"{command[:80]} (process {directory.name})"
        except OSError:
            continue  # ended meanwhile, or belongs to another user
    return None


def _listening_inode(port: int) -> str | None:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None
