"""How the QingCloud provider reaches its cloud: trust, statuses, answers that are none, pages."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pitrix.errors import ProviderError, ProviderThrottled, ProviderUnavailable
from providers.qingcloud.client import Client
from providers.qingcloud.kinds import KEY_PAIR

KEYS = {"access_key_id": "QYKEY", "secret_access_key": "very-secret"}
Reply = Callable[[dict[str, str]], tuple[int, bytes]]


@contextmanager
def cloud(reply: Reply, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers every request as ``reply`` says; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            status, body = reply(asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that does not trust us goes away."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def fine(asked: dict[str, str]) -> tuple[int, bytes]:
    return 200, json.dumps({"ret_code": 0, "heard": asked["action"]}).encode()


def client(endpoint: str, **settings: str) -> Client:
    return Client("pek3a", KEYS, {"endpoint": endpoint} | settings)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for the loopback that nobody knows, and where it lies."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test cloud")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "cloud.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = tmp_path / "cloud.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context, pem


def test_an_authority_of_ones_own_is_a_path_or_the_text_itself(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    context, pem = certificate
    with cloud(fine, context) as endpoint:
        for bundle in (str(pem), pem.read_text()):
            assert client(endpoint, ca_bundle=bundle).call("RunInstances")["heard"] == "RunInstances"


def test_a_cloud_that_nobody_knows_is_not_believed(certificate: tuple[ssl.SSLContext, Path]) -> None:
    with (
        cloud(fine, certificate[0]) as endpoint,
        pytest.raises(ProviderUnavailable, match="SSLCertVerification"),
    ):
        client(endpoint).call("RunInstances")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"slow down", ProviderThrottled),
        (502, b"<html>", ProviderUnavailable),
        (404, b"{}", ProviderError),
        (200, b"<html>", ProviderUnavailable),
        (200, b"", ProviderError),
        (200, b"[]", ProviderUnavailable),
        (200, b'{"ret_code": 5100, "message": "ServerBusy"}', ProviderThrottled),
    ],
)
def test_whatever_comes_back_has_a_class(status: int, body: bytes, kind: type) -> None:
    with cloud(lambda _: (status, body)) as endpoint, pytest.raises(ProviderError) as raised:
        client(endpoint).call("RunInstances")
    assert type(raised.value) is kind
    assert "very-secret" not in raised.value.detail


def test_what_changes_something_is_sent_once() -> None:
    heard: list[str] = []

    def broken(asked: dict[str, str]) -> tuple[int, bytes]:
        heard.append(asked["action"])
        return 503, b""

    with cloud(broken) as endpoint:
        for action in ("RunInstances", "DescribeInstances"):
            with pytest.raises(ProviderUnavailable):
                client(endpoint).call(action)
    assert heard == ["RunInstances", "DescribeInstances", "DescribeInstances"]


def test_nobody_there_is_unavailable_at_once() -> None:
    with cloud(fine) as endpoint:
        pass
    with pytest.raises(ProviderUnavailable):
        client(endpoint).call("RunInstances")


@pytest.mark.parametrize("endpoint", ["ftp://cloud", "cloud", "https://"])
def test_an_endpoint_that_is_none_is_named(endpoint: str) -> None:
    with pytest.raises(ProviderError, match="endpoint"):
        client(endpoint).call("DescribeZones")


def test_all_pages_are_read_however_small_the_cloud_makes_them() -> None:
    everybody = [{"keypair_id": f"kp-{n}"} for n in range(7)]

    def three(asked: dict[str, str]) -> tuple[int, bytes]:
        page = everybody[int(asked["offset"]) :][:3]
        return 200, json.dumps({"ret_code": 0, "total_count": 7, "keypair_set": page}).encode()

    with cloud(three) as endpoint:
        assert client(endpoint).rows(KEY_PAIR) == everybody
