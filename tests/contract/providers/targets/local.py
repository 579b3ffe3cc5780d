"""The local cloud: the real hypervisor, twice, once with room and once with next to none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from providers.resources import Connection
from tests.contract.providers.targets import ROOT, Target


@contextmanager
def hypervisor(data: Path, *options: str) -> Iterator[tuple[str, int, str]]:
    """Run the local cloud in ``data``: its host, port and token. Stops it, and so its machines."""
    token = data / "token"
    command = [sys.executable, "-m", "infra.local.hypervisor", "--data", str(data / "cloud")]
    command += ["--token-file", str(token), "--grace-s", "2", "--log-level", "WARNING", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            assert ready.startswith("hypervisor: http://127.0.0.1:"), (
                f"it ended with {process.poll()}: {ready}"
            )
            yield "127.0.0.1", int(ready.rpartition(":")[2]), token.read_text()
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    with ExitStack() as running:
        for name in ("account", "small"):
            (folder / name).mkdir()
        limits = ("--max-machines", "1", "--max-memory-mib", "1024", "--max-volume-gib", "10")
        host, port, token = running.enter_context(hypervisor(folder / "account"))
        _, small_port, small_token = running.enter_context(hypervisor(folder / "small", *limits))

        def connection(port: int, token: str, zone: str = "local") -> Connection:
            endpoint = f"http://{host}:{port}"
            return Connection(zone=zone, credential={"endpoint": endpoint, "token": token})

        account = connection(port, token)
        yield Target(
            name="local",
            kind="real",
            account=account,
            small=connection(small_port, small_token),
            refused={
                "a wrong token": connection(port, "wrong"),
                "another account's token": connection(port, small_token),
            },
            upstream=f"http://{host}:{port}",
            through=lambda url: replace(account, credential={**account.credential, "endpoint": url}),
            runs_guests=True,
            lacks={"throttling": "the hypervisor answers whoever may ask, as often as they ask"},
        )
