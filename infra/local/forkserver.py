"""Starts the local cloud's functions by forking a process that has boto3 already.

Owns nothing but the forking. Importing boto3 takes longer than most functions run, and on a laptop every
function starts cold after each `infra/up`; forked, a start costs a tenth. Only what AWS preinstalls is
imported beforehand, so a function still fails here, as it would there, when its layer or its own code lacks
something.

Two ends, both `python -I -S`: `serve` is one process beside the emulator; `call` is what the emulator knows
as the function's process. It hands its output and environment to the server, and lives exactly as long as its
fork: they watch each other over their connection.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

SOCKET = "forkserver"
_CONNECT_WITHIN_S = 10


def serve(directory: str) -> None:
    """Listen in a directory and fork a function for each caller, until standard input ends."""
    runtime, root = os.environ["PITRIX_LOCAL_RUNTIME"], str(Path(__file__).resolve().parents[2])
    sys.path += [runtime, root]
    import boto3.session  # noqa: F401 - imported for the forks

    from infra.local import bootstrap

    # What was imported for the forks is not on their search path; each function brings its own.
    sys.path.remove(runtime)
    sys.path.remove(root)
    os.chdir(directory)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    server = socket.socket(socket.AF_UNIX)
    server.bind(SOCKET)
    server.listen(64)
    while True:
        # No thread watches standard input: a process with threads should not fork.
        ready, _, _ = select.select([server, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        caller, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _become_function(caller, bootstrap.main)
        caller.close()


def call(directory: str) -> None:
    """Ask for a fork, and wait until it ends."""
    home = os.getcwd()
    os.chdir(directory)  # a socket's path may have 100 characters at most; a relative one is short
    server = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + _CONNECT_WITHIN_S
    while True:
        try:
            server.connect(SOCKET)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    message = json.dumps({"environment": dict(os.environ), "directory": home}).encode()
    socket.send_fds(server, [len(message).to_bytes(4, "big")], [1])
    server.sendall(message)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the fork sees the connection end
    server.recv(1)


def _become_function(caller: socket.socket, run: Callable[[], object]) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        header, fds, _, _ = socket.recv_fds(caller, 4, 1)
        wanted = int.from_bytes(header, "big")
        message = b""
        while len(message) < wanted:
            chunk = caller.recv(wanted - len(message))
            if not chunk:
                os._exit(1)
            message += chunk
        described = json.loads(message)
        os.dup2(fds[0], 1)
        os.dup2(fds[0], 2)
        os.close(fds[0])
        os.close(0)
        os.environ.clear()
        os.environ.update(described["environment"])
        os.chdir(described["directory"])
        threading.Thread(target=_end_with, args=(caller,), daemon=True).start()
        run()
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _end_with(caller: socket.socket) -> NoReturn:
    caller.recv(1)
    os._exit(0)


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](sys.argv[2])
