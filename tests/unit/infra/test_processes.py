"""Telling processes apart, ending the right one, and naming who has a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from infra.local.processes import (
    free_port,
    identify,
    is_running,
    listener_on,
    port_is_free,
    stop,
    wait_gone,
)


def test_a_process_that_ended_is_no_process_even_as_a_zombie() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    identity = identify(child.pid)
    assert identity is not None
    assert wait_gone(identity, timeout_s=10)  # not reaped yet: a zombie
    assert identify(child.pid) is None
    child.wait()


def test_the_same_pid_started_at_another_time_is_another_process() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert is_running(me)
    impostor = type(me)(pid=me.pid, started="long ago")
    assert not is_running(impostor)
    assert stop(impostor, grace_s=0)  # ends nobody: we are still here to see it


def test_stop_lets_a_process_end_by_itself_and_forces_one_that_does_not() -> None:
    polite = subprocess.Popen(["sleep", "60"])
    stubborn = subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
         "print('ready', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    one, other = identify(polite.pid), identify(stubborn.pid)
    assert one is not None
    assert other is not None
    assert stop(one, grace_s=10)
    assert not stop(other, grace_s=0.2)
    assert polite.wait() == -15
    assert stubborn.wait() == -9
    stubborn.stdout.close()


def test_a_taken_port_is_seen_and_its_owner_named() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free(port)
        owner = listener_on(port)
        if sys.platform == "linux":
            assert owner is not None
            assert f"process {os.getpid()}" in owner
    assert port_is_free(port)
    assert listener_on(port) is None


def test_a_free_port_is_free() -> None:
    assert port_is_free(free_port())
