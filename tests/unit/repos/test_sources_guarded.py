"""The way out to the network: where it may go, where it may be led, and how much it takes."""

from __future__ import annotations

import gzip
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pitrix.addresses import NetworkPolicy
from pitrix.errors import InvalidInput, PitrixError, SourceUnavailable, TooLarge
from pitrix.repos.model import Credential
from pitrix.repos.sources.answers import Answer, refuse_failure
from pitrix.repos.sources.guarded import GuardedClient, Limits, login_of
from tests.loopback import Loopback, Reply, Seen, loopback

LIMIT = 1_000_000
QUICK = Limits(connect_s=2, read_s=2, total_s=3)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


_made: list[GuardedClient] = []


@pytest.fixture(autouse=True)
def _connections() -> Iterator[None]:
    """Close what the test's clients keep open."""
    yield
    while _made:
        _made.pop().close()


def guarded(*allowed: str, **kwargs: Any) -> GuardedClient:
    """A client of an operator who allowed these networks."""
    _made.append(GuardedClient(NetworkPolicy(allowed), **({"limits": QUICK} | kwargs)))
    return _made[-1]


@pytest.fixture
def client() -> GuardedClient:
    """A client of an operator who allowed the loopback, where the test's server is."""
    return guarded("127.0.0.0/8")


def closed_client(*addresses: str) -> GuardedClient:
    """A client of an operator who allowed nothing, whose name server answers with these addresses."""
    return guarded(resolver=lambda host, port: addresses)


def refused(client: GuardedClient, url: str, **kwargs: object) -> str:
    """What is said to somebody whose address is refused."""
    with pytest.raises(InvalidInput) as error:
        client.send("GET", url, at_most_bytes=LIMIT, **kwargs)  # type: ignore[arg-type]
    return error.value.detail


# --- where it may go ----------------------------------------------------------------------------------------


def test_a_page_is_read(server: Loopback, client: GuardedClient) -> None:
    server.serve("/x", b"hello", ETag='"1"')
    answer = client.send("GET", f"{server.url}/x?a=b", at_most_bytes=LIMIT)
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"hello", '"1"')
    assert server.seen[0].headers["host"] == f"127.0.0.1:{server.port}"
    assert server.seen[0].path == "/x?a=b"


def test_the_loopback_is_out_of_bounds_without_the_operators_word(server: Loopback) -> None:
    said = refused(guarded(), f"{server.url}/")
    assert "127.0.0.1" in said
    assert "loopback" in said
    assert "operator" in said
    assert server.seen == []


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "localhost",
    ],
)
def test_other_spellings_of_the_loopback_gain_nothing(server: Loopback, host: str) -> None:
    refused(guarded(), f"http://{host}:{server.port}/")
    assert server.seen == []


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::ffff:169.254.169.254"]
)
def test_a_name_of_an_inner_address_is_refused_with_both_named(address: str) -> None:
    said = refused(closed_client(address), "https://innocent.example.com/")
    assert "innocent.example.com" in said
    assert str(ip_address(address)) in said


def test_a_name_that_changes_its_mind_is_connected_to_what_was_checked(server: Loopback) -> None:
    """DNS rebinding: the second look-up would give the address that the attacker is after."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    server.serve("/", b"the checked one")
    client = guarded("127.0.0.1/32", resolver=rebinding)
    answer = client.send("GET", f"http://rebind.example.com:{server.port}/", at_most_bytes=LIMIT)
    assert answer.body == b"the checked one"
    assert asked == ["rebind.example.com"]
    assert server.seen[0].headers["host"] == f"rebind.example.com:{server.port}"
    # A new connection looks again, and what it finds is checked again.
    again = guarded("127.0.0.1/32", resolver=rebinding)
    assert "127.0.0.2" in refused(again, f"http://rebind.example.com:{server.port}/")


def test_of_several_addresses_only_the_allowed_are_tried(server: Loopback) -> None:
    server.serve("/", b"ok")
    client = guarded("127.0.0.1/32", resolver=lambda *_: ["10.0.0.1", "127.0.0.1", "::1"])
    assert client.send("GET", f"http://two.example.com:{server.port}/", at_most_bytes=LIMIT).body == b"ok"


def test_names_without_addresses_may_have_some_later(client: GuardedClient) -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    gone = guarded(resolver=nothing)
    with pytest.raises(SourceUnavailable, match=r"nowhere\.example\.com"):
        gone.send("GET", "https://nowhere.example.com/", at_most_bytes=LIMIT)


def test_ports_of_other_protocols_are_refused() -> None:
    assert "port 25" in refused(closed_client("93.184.216.34"), "http://mail.example.com:25/")


def test_the_environments_proxies_are_not_used(
    server: Loopback, client: GuardedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        server.serve("/", b"direct")
        assert client.send("GET", f"{server.url}/", at_most_bytes=LIMIT).body == b"direct"
        assert proxy.seen == []


# --- where it may be led ------------------------------------------------------------------------------------


def to(location: str, status: int = 302) -> Callable[[Seen], Reply]:
    """A route that leads somewhere else."""
    return lambda _: Reply(status=status, headers={"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Loopback, client: GuardedClient, status: int) -> None:
    server.routes["/a"] = to("b/../c?d=1", status)
    server.serve("/c", b"there")
    answer = client.send("GET", f"{server.url}/a", at_most_bytes=LIMIT)
    assert (answer.body, answer.url) == (b"there", f"{server.url}/c?d=1")


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://[::ffff:a9fe:a9fe]/",
        "//169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://localhost:1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://x\\@y/",
    ],
)
def test_redirects_lead_to_nothing_that_could_not_be_asked_for(server: Loopback, location: str) -> None:
    resolver: Callable[[str, int], list[str]] = lambda host, port: ["127.0.0.1" if host == "a.test" else {"localhost": "127.0.0.9"}.get(host, host)]  # noqa: E731, E501 # fmt: skip
    client = guarded("127.0.0.1/32", resolver=resolver)
    server.routes["/"] = to(location)
    assert refused(client, f"http://a.test:{server.port}/")
    assert len(server.seen) == 1


def test_endless_redirects_end(server: Loopback, client: GuardedClient) -> None:
    server.routes["/"] = to("/?again")
    assert "more than 5 times" in refused(client, f"{server.url}/")
    assert len(server.seen) == 6


def test_a_login_stays_with_its_origin(server: Loopback, client: GuardedClient) -> None:
    headers = {"Authorization": login_of(Credential(username="me", password="pässword"))}
    with loopback() as other:
        server.routes["/a"] = to("/b")
        server.routes["/b"] = to(f"{other.url}/c")
        other.routes["/c"] = to(f"{server.url}/d")
        server.serve("/d", b"done")
        client.send("GET", f"{server.url}/a", at_most_bytes=LIMIT, headers=headers)
        assert "authorization" not in other.seen[0].headers
    assert ["authorization" in seen.headers for seen in server.seen] == [True, True, False]
    assert server.seen[0].headers["authorization"] == "Basic bWU6cMOkc3N3b3Jk"


def test_a_login_does_not_cross_the_internet_in_the_clear() -> None:
    said = refused(
        closed_client("93.184.216.34"), "http://charts.example.com/", headers={"Authorization": "x"}
    )
    assert "https" in said


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for ``charts.test``, and its key; its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "charts.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("charts.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


def tls_client(certificate: tuple[Path, Path] | None) -> GuardedClient:
    """A client that finds every name on the loopback, and trusts one authority or the world's."""
    return guarded(
        "127.0.0.0/8",
        resolver=lambda *_: ["127.0.0.1"],
        ca_file=str(certificate[0]) if certificate else None,
    )


def test_tls_is_for_the_name_though_the_connection_is_to_the_address(certificate: tuple[Path, Path]) -> None:
    with loopback(certificate) as server:
        server.serve("/", b"sealed")
        url = f"https://charts.test:{server.port}/"
        assert tls_client(certificate).send("GET", url, at_most_bytes=LIMIT).body == b"sealed"
        assert server.seen[0].headers["host"] == f"charts.test:{server.port}"


@pytest.mark.parametrize(("host", "trusted"), [("other.test", True), ("charts.test", False)])
def test_certificates_are_checked(certificate: tuple[Path, Path], host: str, trusted: bool) -> None:
    with loopback(certificate) as server, pytest.raises(SourceUnavailable, match="certificate of") as error:
        tls_client(certificate if trusted else None).send(
            "GET", f"https://{host}:{server.port}/", at_most_bytes=LIMIT
        )
    assert host in error.value.detail


def test_tls_is_never_left_for_plain_http(certificate: tuple[Path, Path], server: Loopback) -> None:
    with loopback(certificate) as sealed:
        sealed.routes["/"] = to(f"http://charts.test:{server.port}/")
        assert "from https to http" in refused(tls_client(certificate), f"https://charts.test:{sealed.port}/")
    assert server.seen == []


def test_plain_http_where_tls_is_expected(server: Loopback, client: GuardedClient) -> None:
    with pytest.raises(SourceUnavailable, match="does not speak TLS"):
        client.send("GET", server.url.replace("http", "https"), at_most_bytes=LIMIT)


# --- how much it takes --------------------------------------------------------------------------------------


def raw(*pieces: bytes, pause_s: float = 0.0) -> Callable[[Seen], None]:
    """A route that writes pieces to the connection as they are, with pauses, and closes it."""

    def write(seen: Seen) -> None:
        for piece in pieces:
            seen.write(piece)
            time.sleep(pause_s)

    return write


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Callable[[Seen], None]:
    """A route that writes a head, and then the same piece until nobody listens any more."""

    def write(seen: Seen) -> None:
        seen.write(head)
        for _ in range(100_000):
            seen.write(piece)
            time.sleep(pause_s)

    return write


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
DRIPPING = {
    "body": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.05),
    "chunks": endless(CHUNKED, b"1\r\nx\r\n", 0.05),
    "status line": endless(b"HTTP/1.1 200 ", b"O", 0.05),
    "headers": endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05),
    "informational answers": endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.05),
}


@pytest.mark.parametrize("what", DRIPPING)
def test_what_drips_is_ended_by_the_time_for_the_whole(server: Loopback, what: str) -> None:
    server.routes["/"] = DRIPPING[what]
    client = guarded("127.0.0.0/8", limits=Limits(connect_s=1, read_s=1, total_s=0.4))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="in time"):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT)
    assert time.monotonic() - began < 1.0


def test_silence_is_ended_by_the_time_between_two_bytes(server: Loopback) -> None:
    over = threading.Event()
    server.routes["/"] = lambda _: Reply() if over.wait(5) else None
    client = guarded("127.0.0.0/8", limits=Limits(connect_s=1, read_s=0.2, total_s=9))
    with pytest.raises(SourceUnavailable, match="in time"):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT)
    over.set()


ENDLESS = {
    "chunks": (endless(CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n"), TooLarge),
    "until closed": (endless(UNTIL_CLOSED, b"x" * 4096), TooLarge),
    "declared": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), TooLarge),
    "headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1024 + b"\r\n"), SourceUnavailable),
    "one header": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 4096), SourceUnavailable),
    "chunk extension": (endless(CHUNKED + b"1;", b"x" * 4096), SourceUnavailable),
    "trailers": (endless(CHUNKED + b"0\r\n", b"X: " + b"y" * 1024 + b"\r\n"), SourceUnavailable),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_off(server: Loopback, client: GuardedClient, what: str) -> None:
    route, expected = ENDLESS[what]
    server.routes["/"] = route
    with pytest.raises(expected):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT)


def test_the_limit_is_exact(server: Loopback, client: GuardedClient) -> None:
    server.serve("/", b"x" * 100)
    server.serve("/packed", gzip.compress(b"x" * 100), Content_Encoding="gzip")
    for path in ("/", "/packed"):
        assert len(client.send("GET", f"{server.url}{path}", at_most_bytes=100, unpack=True).body) == 100
        with pytest.raises(TooLarge, match="99 bytes"):
            client.send("GET", f"{server.url}{path}", at_most_bytes=99, unpack=True)


def test_bodies_of_failures_are_not_read_to_their_end(server: Loopback, client: GuardedClient) -> None:
    server.routes["/"] = endless(UNTIL_CLOSED.replace(b"200 OK", b"500 No"), b"x" * 4096)
    answer = client.send("GET", f"{server.url}/", at_most_bytes=10)
    assert answer.status == 500
    assert len(answer.body) == 64 * 1024


BOMB = gzip.compress(b"\0" * 50_000_000, 9)


def test_a_bomb_is_not_unpacked(server: Loopback, client: GuardedClient) -> None:
    assert len(BOMB) < 60_000
    server.serve("/", BOMB, Content_Encoding="gzip")
    with pytest.raises(TooLarge):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT, unpack=True)
    assert (
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT).body == BOMB
    )  # as it came, when not unpacked


def test_a_bomb_of_many_members_is_not_unpacked(server: Loopback, client: GuardedClient) -> None:
    server.serve("/", gzip.compress(b"\0" * 100_000) * 20, Content_Encoding="gzip")
    with pytest.raises(TooLarge):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT, unpack=True)


def test_gzip_of_several_members_is_one_body(server: Loopback, client: GuardedClient) -> None:
    server.serve("/", gzip.compress(b"one ") + gzip.compress(b"two"), Content_Encoding="gzip")
    answer = client.send("GET", f"{server.url}/", at_most_bytes=LIMIT, unpack=True)
    assert (answer.body, answer.wire_bytes) == (
        b"one two",
        len(gzip.compress(b"one ") + gzip.compress(b"two")),
    )
    assert server.seen[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(os.urandom(5000))[:-9], "gzip"),
        (b"no gzip at all", "gzip"),
        (zlib.compress(b"x"), "deflate"),
        (b"x", "br"),
        (gzip.compress(gzip.compress(b"x")), "gzip, gzip"),
    ],
    ids=["cut off", "no gzip", "deflate", "brotli", "gzip twice"],
)
def test_other_packing_is_refused(
    server: Loopback, client: GuardedClient, body: bytes, encoding: str
) -> None:
    server.serve("/", body, Content_Encoding=encoding)
    with pytest.raises(SourceUnavailable):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT, unpack=True)


@pytest.mark.parametrize(
    "written",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_http_is_no_answer(server: Loopback, client: GuardedClient, written: bytes) -> None:
    server.routes["/"] = raw(written)
    with pytest.raises(SourceUnavailable) as error:
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT)
    assert "OpenSSH" not in error.value.detail


def test_nobody_there(client: GuardedClient) -> None:
    with loopback() as server:
        url = server.url
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        client.send("GET", url, at_most_bytes=LIMIT)


def test_headers_cannot_be_smuggled_in(server: Loopback, client: GuardedClient) -> None:
    with pytest.raises(PitrixError):
        client.send("GET", f"{server.url}/", at_most_bytes=LIMIT, headers={"If-None-Match": "x\r\nX-Evil: y"})
    assert server.seen == []


def test_many_threads_share_connections(server: Loopback, client: GuardedClient) -> None:
    for number in range(64):
        server.serve(f"/{number}", str(number).encode() * 1000)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: client.send("GET", f"{server.url}/{n}", at_most_bytes=LIMIT).body, range(64))
        )
    assert answers == [str(number).encode() * 1000 for number in range(64)]


# --- what an answer means -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "error", "word"),
    [
        (401, {}, InvalidInput, "credential"),
        (403, {}, InvalidInput, "credential"),
        (400, {}, InvalidInput, "refuses"),
        (429, {"retry-after": "17"}, SourceUnavailable, "wait for 17 s"),
        (429, {"retry-after": "<script>"}, SourceUnavailable, "slow down"),
        (500, {}, SourceUnavailable, "500"),
        (503, {}, SourceUnavailable, "503"),
        (304, {}, SourceUnavailable, "304"),
    ],
)
def test_failures_say_whether_to_come_again(
    status: int, headers: dict[str, str], error: type[PitrixError], word: str
) -> None:
    answer = Answer(status, headers, b"the inner machine's secret", "https://charts.example.com/x", 0)
    with pytest.raises(error) as raised:
        refuse_failure(answer, "index.yaml")
    assert word in raised.value.detail
    assert "charts.example.com" in raised.value.detail
    assert "secret" not in raised.value.detail
    assert "script" not in raised.value.detail
