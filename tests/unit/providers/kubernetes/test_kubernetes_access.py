"""Signing in to a cluster: each way, and what is refused before anything is asked."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from pitrix.errors import CredentialInvalid, ProviderError, ProviderThrottled, ProviderUnavailable
from providers.kubernetes import access
from providers.kubernetes.client import MOST_BYTES, Client
from providers.resources import Connection

CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(
    user: Mapping[str, Any] | None = None, cluster: Mapping[str, Any] | None = None, **changes: Any
) -> str:
    plain = {"server": "https://k8s.example.com:6443", "certificate-authority-data": encoded(CA)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {**plain, **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": "secret-token"} if user is None else dict(user)}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return yaml.safe_dump({**config, **changes})


@pytest.fixture
def service() -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """A service over HTTP: its address, what it was asked, and what it answers (status, body)."""
    asked: list[Any] = []
    answer: dict[str, Any] = {"status": 200, "body": {}}

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked.append((self.path, parse_qs(body)))
            data = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked, answer
        server.shutdown()
        thread.join()


def test_a_kubeconfig_with_a_token() -> None:
    found = access.read({"method": "kubeconfig", "kubeconfig": kubeconfig()}, {})
    assert (found.server, found.ca, found.token) == ("https://k8s.example.com:6443", CA, "secret-token")


def test_a_kubeconfig_with_a_client_certificate() -> None:
    user = {"client-certificate-data": encoded("certificate"), "client-key-data": encoded("key")}
    found = access.from_kubeconfig(kubeconfig(user))
    assert (found.token, found.certificate, found.key) == ("", "certificate", "key")


def test_another_context_may_be_chosen() -> None:
    contexts = [{"name": each, "context": {"cluster": "c", "user": each}} for each in ("a", "b")]
    users = [{"name": each, "user": {"token": f"token-{each}"}} for each in ("a", "b")]
    text = kubeconfig(contexts=contexts, users=users)
    assert access.from_kubeconfig(text, "b").token == "token-b"
    with pytest.raises(CredentialInvalid, match="no context named 'x'"):
        access.from_kubeconfig(text)


@pytest.mark.parametrize(
    ("user", "cluster", "says"),
    [
        ({"exec": {"command": "sh", "args": ["-c", "id"]}}, {}, "runs a program"),
        ({"auth-provider": {"name": "gcp"}}, {}, "plug-in"),
        ({"tokenFile": "/var/run/token"}, {}, "tokenFile"),
        ({"client-certificate": "/etc/a", "client-key": "/etc/b"}, {}, "client-certificate-data"),
        ({"token": "t", "client-key": "/etc/b"}, {}, "client-key-data"),
        ({"username": "me", "password": "secret"}, {}, "user name and password"),
        ({"token": "t", "as": "root"}, {}, "somebody else"),
        ({}, {}, "neither a token nor"),
        ({"client-certificate-data": "???", "client-key-data": "AAAA"}, {}, "not base64"),
        (None, {"certificate-authority": "/etc/ca"}, "certificate-authority-data"),
        (None, {"insecure-skip-tls-verify": True}, "does not verify"),
        (None, {"proxy-url": "http://10.0.0.1"}, "proxy"),
        (None, {"server": "http://k8s.example.com"}, "https://"),
        (None, {"server": "ftp://k8s"}, "no address"),
    ],
)
def test_what_a_kubeconfig_may_not_say(user: Any, cluster: Any, says: str) -> None:
    with pytest.raises(CredentialInvalid, match=says) as refused:
        access.read({"method": "kubeconfig", "kubeconfig": kubeconfig(user, cluster)}, {})
    assert "secret" not in refused.value.detail


def test_aliases_of_aliases_do_not_grow() -> None:
    rows = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"b{each}: &a{each + 1} [{', '.join([f'*a{each}'] * 9)}]" for each in range(12)]
    bomb = kubeconfig().replace("https://k8s.example.com:6443", "*a12")
    with pytest.raises(CredentialInvalid):
        access.from_kubeconfig("\n".join(rows) + "\n" + bomb)


@pytest.mark.parametrize(
    ("user", "cluster", "says"),
    [({"token": ["a"]}, {}, "token is no text"), (None, {"server": {"a": 1}}, "server is no text")],
)
def test_what_should_be_text_and_is_not(user: Any, cluster: Any, says: str) -> None:
    with pytest.raises(CredentialInvalid, match=says):
        access.from_kubeconfig(kubeconfig(user, cluster))


@pytest.mark.parametrize("text", ["", "[", "a: 1", "- 1", "clusters: 1\ncurrent-context: x"])
def test_what_is_no_kubeconfig(text: str) -> None:
    with pytest.raises(CredentialInvalid):
        access.from_kubeconfig(text)


def test_a_credential_that_lacks_something_says_what() -> None:
    with pytest.raises(CredentialInvalid, match="'token'"):
        access.read({"method": "token", "server": "https://a"}, {})
    with pytest.raises(CredentialInvalid, match="kubeconfig, token, eks or aks"):
        access.read({"method": "magic"}, {})


EKS = {
    "method": "eks",
    "region": "eu-west-1",
    "cluster": "shop",
    "access_key_id": "AKIAEXAMPLE",
    "secret_access_key": "very-secret",
}


def test_a_token_for_eks_is_a_signed_question(service: Any) -> None:
    url, asked, answer = service
    told = {"status": "ACTIVE", "endpoint": "https://x.eks.amazonaws.com"}
    answer["body"] = {"cluster": {**told, "certificateAuthority": {"data": encoded(CA)}}}
    found = access.read(EKS, {"eks_endpoint": url})
    assert (found.server, found.ca) == ("https://x.eks.amazonaws.com", CA)
    assert asked[0][0] == "/clusters/shop"
    assert found.token.startswith("k8s-aws-v1.")
    text = found.token.removeprefix("k8s-aws-v1.")
    signed = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    query = parse_qs(signed.query)
    assert signed.netloc == "sts.eu-west-1.amazonaws.com"
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Expires"] == ["60"]
    assert "very-secret" not in signed.query


def test_eks_says_why_it_refuses(service: Any) -> None:
    url, _, answer = service
    answer.update(status=404, body={"message": "No cluster found"})
    with pytest.raises(CredentialInvalid, match="eks:DescribeCluster") as refused:
        access.read(EKS, {"eks_endpoint": url})
    assert "very-secret" not in refused.value.detail


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "ThrottlingException", ProviderThrottled),
        (429, "TooManyRequestsException", ProviderThrottled),
        (503, "ServiceUnavailableException", ProviderUnavailable),
        (403, "AccessDeniedException", CredentialInvalid),
    ],
)
def test_what_passes_at_aws_is_no_bad_credential(
    service: Any, status: int, code: str, error: type[Exception]
) -> None:
    url, _, answer = service
    answer.update(status=status, body={"__type": code, "message": "no"})
    with pytest.raises(error):
        access.read(EKS, {"eks_endpoint": url})


def test_a_token_for_eks_in_china_is_for_the_sts_there() -> None:
    from botocore.session import Session

    session = Session()
    session.set_credentials("AKIAEXAMPLE", "very-secret")
    text = access.eks_token(session, "cn-north-1", "shop").removeprefix("k8s-aws-v1.")
    signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    assert urlsplit(signed).netloc == "sts.cn-north-1.amazonaws.com.cn"


AKS = {
    "method": "aks",
    "server": "https://a.azmk8s.io:443",
    "ca": CA,
    "tenant_id": "t-1",
    "client_id": "c-1",
    "client_secret": "very-secret",
}


def test_a_token_for_aks(service: Any) -> None:
    url, asked, answer = service
    answer["body"] = {"access_token": "of-entra"}
    assert access.read(AKS, {"aks_authority": url}).token == "of-entra"
    path, form = asked[0]
    assert path == "/t-1/oauth2/v2.0/token"
    assert (form["grant_type"], form["scope"]) == (["client_credentials"], [access.AKS_SCOPE])


@pytest.mark.parametrize(
    ("status", "error"), [(401, CredentialInvalid), (429, ProviderThrottled), (500, ProviderUnavailable)]
)
def test_entra_says_why_it_refuses(service: Any, status: int, error: type[Exception]) -> None:
    url, _, answer = service
    answer.update(status=status, body={"error": "invalid_client", "error_description": "AADSTS7000215: no"})
    with pytest.raises(error) as refused:
        access.read(AKS, {"aks_authority": url})
    assert "very-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:6443", "https://10.1.2.3", "https://169.254.169.254", "https://[::1]"]
)
def test_a_tenant_cannot_send_the_platform_into_its_own_network(server: str) -> None:
    connection = Connection(zone="cluster", credential={"method": "token", "server": server, "token": "t"})
    with pytest.raises(CredentialInvalid, match="may not be talked to"):
        Client(connection).get("/version")


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server sends is bounded as it is read: a tenant runs it."""

    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size > 0, "read to its end, which it has not"
            self.taken += size
            return b" " * size

    endless = Endless()
    answer = SimpleNamespace(status=200, response=endless, read=endless.read)
    client = Client(
        Connection(
            zone="cluster",
            credential={"method": "token", "server": "https://127.0.0.1", "token": "t"},
            settings={"allowed_networks": "127.0.0.0/8"},
        )
    )
    rest = SimpleNamespace(request=lambda *_, **__: answer)
    monkeypatch.setattr(client, "_rest", lambda: rest)
    with pytest.raises(ProviderError, match="more than 64 MiB"):
        client.get("/version")
    assert endless.taken == MOST_BYTES + 1
    assert endless.closed


def test_no_repr_shows_a_secret() -> None:
    shown = repr(access.Access(server="https://a", token="secret-token", key="secret-key"))
    assert "secret" not in shown


def test_a_server_is_reached_where_the_deployment_allows(unused: Callable[[], int]) -> None:
    server = f"https://127.0.0.1:{unused()}"
    connection = Connection(
        zone="cluster",
        credential={"method": "token", "server": server, "token": "t"},
        settings={"allowed_networks": "127.0.0.0/8"},
    )
    with pytest.raises(ProviderUnavailable):
        Client(connection).get("/version")


@pytest.fixture
def unused() -> Callable[[], int]:
    import socket

    def port() -> int:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            number: int = held.getsockname()[1]
            return number

    return port
