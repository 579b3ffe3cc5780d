"""Runs Azurite on the loopback and speaks to it as an account's owner does, with Microsoft's own client."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from uuid import uuid4

from tests.clouds import cache

ACCOUNT = "pitrixtest"
KEY = "cGl0cml4LXRlc3RzLW9ubHktcGl0cml4LXRlc3RzLW9ubHktcGl0cml4LXRlc3RzLW9ubHktcGl0cml4LXRlc3Rz"
_LISTENS = re.compile(r"Azurite (Blob|Queue) service is successfully listening at (http://127\.0\.0\.1:\d+)")


class Azurite:
    """A running one: where its services are, and its accounts, which all have the same key."""

    def __init__(self, blob: str, queue: str, accounts: tuple[str, ...] = (ACCOUNT,)) -> None:
        self.blob, self.queue, self.accounts = blob, queue, accounts

    @property
    def connection_string(self) -> str:
        return self.connection(ACCOUNT)

    def connection(self, account: str) -> str:
        """The connection string of an account."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={KEY};"
            f"BlobEndpoint={self.blob}/{account};QueueEndpoint={self.queue}/{account};"
        )

    def container(self) -> Any:
        """A new container's client."""
        from azure.storage.blob import BlobServiceClient

        service = BlobServiceClient.from_connection_string(self.connection_string)
        return service.create_container(f"packages-{uuid4().hex[:12]}")

    def signature(self, container: str, permission: str = "rl") -> str:
        """A shared access signature of a container, good for an hour."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        text: str = generate_container_sas(
            ACCOUNT,
            container,
            account_key=KEY,
            permission=ContainerSasPermissions.from_string(permission),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return text


@contextmanager
def azurite(accounts: int = 1) -> Iterator[Azurite]:
    """Run it on free ports, with so many accounts; it keeps everything in memory.

    Raises:
        Unavailable: It is not installed.
    """
    program = cache.built("azurite") / "node_modules/.bin/azurite"
    # Newer clients than this Azurite name a newer version of the protocol; what is asked here is old.
    command = [str(program), "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    names = (ACCOUNT, *(f"{ACCOUNT}{number}" for number in range(1, accounts)))
    held = ";".join(f"{name}:{KEY}" for name in names)
    environment = {"AZURITE_ACCOUNTS": held, "PATH": os.environ["PATH"]}
    with (
        NamedTemporaryFile("r") as log,
        Path(log.name).open("w") as said,
        subprocess.Popen(command, stdout=said, stderr=said, env=environment) as process,
    ):
        try:
            yield Azurite(**_listening(process, Path(log.name)), accounts=names)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _listening(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """The addresses of its services, once it has told them."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = {match[1].lower(): match[2] for match in _LISTENS.finditer(log.read_text())}
        if len(found) == 2:
            return found
        assert process.poll() is None, f"azurite ended: {log.read_text()[-500:]}"
        time.sleep(0.05)
    raise AssertionError(f"azurite does not start: {log.read_text()[-500:]}")
