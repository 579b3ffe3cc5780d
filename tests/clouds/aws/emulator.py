"""The emulator of ``./infra/up`` (ministack, in ``.venv-emulator``): CloudFormation, S3 and Lambda.

It runs functions for real, without containers. Owns its start and end; writes nothing outside of ``folder``.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from infra.local.paths import EMULATOR_VENV, venv_python
from infra.local.processes import free_port

_START_WITHIN_S = 30


def is_installed() -> bool:
    """Whether ``./infra/up`` has made its environment."""
    return venv_python(EMULATOR_VENV).exists()


@contextmanager
def emulator(folder: Path) -> Iterator[int]:
    """Run it on a free port of the loopback address; yields the port."""
    folder.mkdir()
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(venv_python(EMULATOR_VENV)), "-m", "ministack"]
    with (
        (folder / "emulator.log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + _START_WITHIN_S
            while not _answers(port):
                ended = process.poll() is not None or time.monotonic() > deadline
                assert not ended, (folder / "emulator.log").read_text()[-2000:]
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
