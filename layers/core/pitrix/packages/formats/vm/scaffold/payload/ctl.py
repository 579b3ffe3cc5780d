#!/usr/bin/env python3
"""Starts, stops and asks the application of this node; the commands of ``cluster.json.tmpl``.

    ctl.py start | stop | restart | check | monitor
    ctl.py call METHOD PATH [JSON]     ask the application itself; fails when it does

The application is ``<role>.py`` beside this file: an HTTP server on the port of its role's env (``port``).
Every command can be given twice without harm.  Python 3.8 or later, standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import node

START_S = 30.0
STOP_S = 10.0
MAX_LOG = 1024 * 1024
NAME = node.ROLE or "app"
PID_FILE = node.RUN_DIR / (NAME + ".pid")
LOG_FILE = node.RUN_DIR / (NAME + ".log")


def main(arguments: list[str]) -> int:
    commands = {
        "start": start,
        "stop": stop,
        "restart": restart,
        "check": check,
        "monitor": monitor,
        "call": call,
    }
    if not arguments or arguments[0] not in commands:
        return fail(__doc__ or "")
    try:
        return commands[arguments[0]](*arguments[1:])
    except OSError as error:
        return fail(f"{arguments[0]}: {error}")
    except TypeError:
        return fail(__doc__ or "")


def start() -> int:
    """Start the application and wait until it answers on its port."""
    node.RUN_DIR.mkdir(parents=True, exist_ok=True)
    with PID_FILE.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0 if wait_until_up(None) else fail("it runs but does not answer\n" + log_tail())
        if LOG_FILE.exists() and LOG_FILE.stat().st_size > MAX_LOG:
            LOG_FILE.replace(LOG_FILE.with_suffix(".log.1"))
        with LOG_FILE.open("ab") as log:
            # The application inherits the locked file: the lock lives and dies with it, so a process id
            # that was left behind (or given to somebody else) is never taken for a running application.
            process = subprocess.Popen(
                [sys.executable, str(node.APP_DIR / (NAME + ".py"))],
                cwd=str(node.APP_DIR),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
        lock.truncate(0)
        lock.write(str(process.pid))
        lock.flush()
    if wait_until_up(process):
        return 0
    process.kill()
    return fail(f"it does not answer on {base_url()}\n{log_tail()}")


def stop() -> int:
    """Ask the application to end; kill it when it does not."""
    for number, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        pid = running()
        if not pid:
            return 0
        os.kill(pid, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not running():
                return 0
            time.sleep(0.05)
    return fail("it does not end")


def restart() -> int:
    return stop() or start()


def check() -> int:
    """The health check: exit 0 when the application answers for itself."""
    answer = node.request("GET", base_url() + "/healthz")
    return 0 if answer.status == 200 else fail(answer.text)


def monitor() -> int:
    """Print the application's figures as one JSON object."""
    return call("GET", "/stats")


def call(method: str, path: str, body: str = "") -> int:
    """Ask the application, print its answer, fail when it refuses."""
    if body:
        json.loads(body)
    answer = node.request(method, base_url() + path, body.encode("utf-8") or None, timeout=60)
    if answer.status >= 300:
        return fail(f"{method} {path} was answered by {answer.status}: {answer.text}")
    print(answer.text)
    return 0


def running() -> int:
    """The process id of the application; 0 when it does not run."""
    try:
        with PID_FILE.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except FileNotFoundError:
        pass
    return 0


def wait_until_up(process: subprocess.Popen | None) -> bool:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            return False
        try:
            if node.request("GET", base_url() + "/healthz", timeout=2).status == 200:
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def base_url() -> str:
    return f"http://{node.NODE_IP}:{node.env('port')}"


def log_tail() -> str:
    if not LOG_FILE.exists():
        return ""
    return "".join(LOG_FILE.read_text("utf-8", "replace").splitlines(keepends=True)[-15:])


def fail(message: str) -> int:
    print(message.rstrip(), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
