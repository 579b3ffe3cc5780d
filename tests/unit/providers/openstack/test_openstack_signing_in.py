"""Signing in: the form, where the services are, and where a tenant may not lead the platform."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pitrix.addresses import NetworkPolicy
from pitrix.errors import CredentialInvalid, ProviderError, ProviderUnavailable, ResourceNotFound
from providers.openstack import client, key_pairs, networks, transport
from providers.openstack.driver import OpenStackProvider
from providers.resources import Connection

SECRET = "a-secret-nobody-may-see"
PASSWORD = {
    "method": "password",
    "auth_url": "http://127.0.0.1:9/v3",
    "username": "u",
    "password": SECRET,
    "project_name": "p",
}


def provider(**changes: str) -> OpenStackProvider:
    settings = {"allowed_networks": "127.0.0.0/8"}
    return OpenStackProvider(Connection(zone="nova", credential=PASSWORD | changes, settings=settings))


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything with a redirect to a metadata service, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.mark.parametrize(
    ("credential", "good"),
    [
        (PASSWORD, True),
        (PASSWORD | {"region_name": "RegionOne", "user_domain_name": "d"}, True),
        (PASSWORD | {"application_credential_id": "x"}, False),
        ({**PASSWORD, "method": "token"}, False),
        ({name: value for name, value in PASSWORD.items() if name != "password"}, False),
    ],
)
def test_each_way_has_its_own_fields(credential: dict[str, str], good: bool) -> None:
    assert Draft202012Validator(OpenStackProvider.credential_schema).is_valid(credential) is good


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://cloud.example.com:5000", "https://cloud.example.com:5000/v3"),
        ("https://cloud.example.com:5000/v3/", "https://cloud.example.com:5000/v3"),
        ("https://cloud.example.com/identity/v2.0", "https://cloud.example.com/identity/v3"),
        ("http://[fd00::1]:5000/v3", "http://[fd00::1]:5000/v3"),
    ],
)
def test_the_identity_service_is_found_however_it_is_written(written: str, meant: str) -> None:
    assert client._identity(written) == meant


@pytest.mark.parametrize("written", ["", "cloud.example.com", "ftp://x/v3", "http://user:secret@x/v3"])
def test_what_is_no_address_is_refused_without_being_repeated(written: str) -> None:
    with pytest.raises(CredentialInvalid) as refused:
        provider(auth_url=written).zones()
    assert "secret" not in refused.value.detail


@pytest.mark.parametrize(
    ("catalog", "base"),
    [
        ("http://c/compute/v2.1", "http://c/compute"),
        ("http://c:8774/v2.1/0123abcd", "http://c:8774"),
        ("http://c:9292", "http://c:9292"),
        ("http://c/volume/v3/0123abcd/", "http://c/volume"),
        ("http://v2.example.com/network", "http://v2.example.com/network"),
    ],
)
def test_versions_in_the_catalog_are_replaced_by_ours(catalog: str, base: str) -> None:
    assert client._VERSION.sub("", catalog.rstrip("/")) == base


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:169.254.169.254]", "localhost"]
)
def test_a_tenant_cannot_lead_the_platform_into_its_own_network(host: str) -> None:
    credential = PASSWORD | {"auth_url": f"http://{host}:5000/v3"}
    with pytest.raises(CredentialInvalid, match="may not be used"):
        OpenStackProvider(Connection(zone="nova", credential=credential)).zones()


def test_a_redirect_is_not_followed(elsewhere: tuple[str, list[str]]) -> None:
    url, asked = elsewhere
    with pytest.raises(CredentialInvalid) as refused:
        provider(auth_url=f"{url}/v3").zones()
    assert asked == ["/v3/auth/tokens"]
    assert SECRET not in refused.value.detail


def test_a_cloud_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(ProviderUnavailable):
        provider().zones()


def test_allowed_networks_never_open_a_metadata_service() -> None:
    with pytest.raises(CredentialInvalid, match="metadata"):
        transport.checked(NetworkPolicy(["0.0.0.0/0"]), "169.254.169.254", 80)


def test_a_certificate_that_is_none_is_named() -> None:
    with pytest.raises(CredentialInvalid, match="ca_certificate"):
        provider(ca_certificate="-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----").zones()


def test_a_certificate_names_no_file_of_the_platform(tmp_path: Path) -> None:
    import certifi

    with pytest.raises(CredentialInvalid, match="ca_certificate"):  # though it holds certificates
        provider(ca_certificate=certifi.where()).zones()


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(gzip.compress(bytes(3_000_000)))  # 3 KB on the way

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setattr(transport, "MOST_BYTES", 2**20)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        with (
            transport.session(NetworkPolicy(["127.0.0.0/8"])) as session,
            pytest.raises(ProviderError, match="more than 1 MiB"),
        ):
            session.get(f"http://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()


def test_no_secret_is_shown() -> None:
    made = provider()
    assert SECRET not in repr(made.connection) + repr(made._cloud)


def test_a_token_is_shared_by_the_same_credential_alone() -> None:
    same, again, other = provider(), provider(), provider(password="another")
    assert same._cloud._signed_in() is again._cloud._signed_in()
    assert same._cloud._signed_in() is not other._cloud._signed_in()
    before = again._cloud._signed_in()
    again._cloud.sign_in_again()
    assert again._cloud._signed_in() is not before


@pytest.mark.parametrize(
    "resource_id", ["nothing-0000", "", "../flavors", "D0C0FFEE-0000-4000-8000-000000000001"]
)
def test_ids_of_other_clouds_are_never_asked_for(resource_id: str) -> None:
    with pytest.raises(ResourceNotFound):
        provider().get_machine(resource_id)


@pytest.mark.parametrize("key_pair_id", ["", "mine", "pitrix-", "pitrix-../x-1", "pitrix-a-b-c"])
def test_key_pairs_of_others_are_not_ours(key_pair_id: str) -> None:
    with pytest.raises(ResourceNotFound):
        key_pairs.name_of(key_pair_id)


@pytest.mark.parametrize("cidr", ["10.0.0.0/24", "192.168.7.0/28", "172.16.0.0/12"])
def test_private_ranges_are_taken(cidr: str) -> None:
    assert str(networks.private(cidr)) == cidr
