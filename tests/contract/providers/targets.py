"""What each provider is tested against; a registered one without an entry in ``TARGETS`` fails the suite.

A target gives the suite an account with room, one that is nearly full, credentials that are refused, and
a way to lose an answer. Nothing else about a cloud is known to the tests.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import providers
from providers.base import Connection, Provider

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cloud for one provider.

    ``small`` is an account for one machine of at most 1 GiB and volumes of 10 GiB in all. ``refused``
    are credentials by what is wrong with them. ``through`` is the account over an address of the test's own.
    ``runs_guests``: machines really run their user data (a simulator's do not).
    """

    name: str
    account: Connection
    small: Connection
    refused: dict[str, Connection]
    address: tuple[str, int]
    through: Callable[[tuple[str, int]], Connection]
    runs_guests: bool

    def connect(self, connection: Connection | None = None) -> Provider:
        return providers.connect(self.name, connection or self.account)

    @contextmanager
    def answers_lost(self) -> Iterator[Provider]:
        """A provider whose calls all reach the cloud and whose answers never come back."""
        with _deaf(self.address) as address:
            yield self.connect(self.through(address))


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
def local(folder: Path) -> Iterator[Target]:
    """The real hypervisor, twice: once with room, once with next to none."""
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
            account=account,
            small=connection(small_port, small_token),
            refused={
                "a wrong token": connection(port, "wrong"),
                "another account's token": connection(port, small_token),
            },
            address=(host, port),
            through=lambda at: replace(
                account, credential={**account.credential, "endpoint": f"http://{at[0]}:{at[1]}"}
            ),
            runs_guests=True,
        )


TARGETS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {"local": local}


@contextmanager
def _deaf(upstream: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """A TCP proxy that passes requests on and drops each connection when the first byte of answer comes."""

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(upstream, timeout=10) as cloud:
            cloud.settimeout(0.01)
            client.settimeout(0.01)
            while True:
                try:
                    data = client.recv(65536)
                    if not data:
                        return
                    cloud.sendall(data)
                except TimeoutError:
                    pass
                try:
                    cloud.recv(1)
                    return
                except TimeoutError:
                    pass

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # the test is over
            serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
