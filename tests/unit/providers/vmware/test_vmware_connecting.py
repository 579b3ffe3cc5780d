"""Ranges of networks, and what an endpoint and a certificate may be."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pitrix.errors import CredentialInvalid, InvalidInput
from providers.resources import Connection
from providers.vmware.client import Client
from providers.vmware.networks import free_range, private_range


def test_a_free_range_is_found_while_there_is_one() -> None:
    taken: list[IPv4Network] = []
    for number in range(4):
        taken.append(free_range("10.0.0.0/22", taken, f"key-{number}"))
    assert sorted(taken) == list(IPv4Network("10.0.0.0/22").subnets(new_prefix=24))
    with pytest.raises(InvalidInput, match="free"):
        free_range("10.0.0.0/22", taken, "another")


@pytest.mark.parametrize("within", ["somewhere", "10.0.0.0/25", "10.0.0.1/16"])
def test_what_is_no_range_of_networks_is_refused(within: str) -> None:
    with pytest.raises(InvalidInput, match="address_range"):
        free_range(within, [], "key")


@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/29", "8.8.8.0/24", "fd00::/64", "10.0.0.1/24"])
def test_a_range_is_private_and_of_a_useful_size(cidr: str) -> None:
    with pytest.raises(InvalidInput):
        private_range(cidr)
    assert str(private_range("192.168.7.0/24")) == "192.168.7.0/24"


def connection(**credential: str) -> Connection:
    settings = {"allowed_networks": "127.0.0.0/8"}
    good = {"endpoint": "https://127.0.0.1:9", "username": "somebody", "password": "secret"}
    return Connection(zone="a/b", credential=good | credential, settings=settings)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "vcenter",
        "http://vcenter.example.com",
        "https://a:b@vcenter.example.com",
        "https://v/ui",
        "https://v:x",
    ],
)
def test_an_endpoint_is_a_plain_address(endpoint: str) -> None:
    with pytest.raises(CredentialInvalid, match="endpoint"):
        Client(connection(endpoint=endpoint))


def test_a_tenant_names_no_file_as_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    for text in (str(tmp_path / "ca.pem"), "-----BEGIN CERTIFICATE-----\nnothing"):
        with pytest.raises(CredentialInvalid, match="ca_certificate"):
            _ = Client(connection(ca_certificate=text)).content


def test_no_address_is_talked_to_that_the_operator_did_not_allow() -> None:
    closed = Connection(zone="a/b", credential=connection().credential)
    with pytest.raises(CredentialInvalid, match="loopback"):
        _ = Client(closed).content
