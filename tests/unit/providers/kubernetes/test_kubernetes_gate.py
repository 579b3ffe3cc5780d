"""Helm's only way out: to one address, for whoever has the password."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from providers.kubernetes.gate import gate


@pytest.fixture
def upstream() -> Iterator[tuple[str, int]]:
    """A server that says back what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(connection.recv(100))
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()
        server.close()


def ask(proxy: str, target: str, password: str | None = None) -> tuple[bytes, socket.socket]:
    url = urlsplit(proxy)
    assert url.hostname is not None
    connection = socket.create_connection((url.hostname, url.port), 5)
    signed = b64encode(f"helm:{url.password if password is None else password}".encode()).decode()
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Basic {signed}\r\n\r\n".encode())
    return connection.recv(1000).split(b"\r\n")[0], connection


def test_it_leads_to_the_one_address_whatever_the_name(upstream: tuple[str, int]) -> None:
    with gate("k8s.example.com", 6443, upstream) as proxy:
        answer, connection = ask(proxy, "k8s.example.com:6443")
        with connection:
            assert b"200" in answer
            connection.sendall(b"hello")
            assert connection.recv(100) == b"hello"


@pytest.mark.parametrize("target", ["169.254.169.254:80", "k8s.example.com:443", "other.example.com:6443"])
def test_it_leads_nowhere_else(upstream: tuple[str, int], target: str) -> None:
    with gate("k8s.example.com", 6443, upstream) as proxy:
        answer, connection = ask(proxy, target)
        connection.close()
    assert b"403" in answer


def test_it_is_for_helm_alone(upstream: tuple[str, int]) -> None:
    with gate("k8s.example.com", 6443, upstream) as proxy:
        answer, connection = ask(proxy, "k8s.example.com:6443", password="guess")
        connection.close()
    assert b"403" in answer
