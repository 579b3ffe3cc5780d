"""Which addresses a repository may have, and which machines the platform may talk to for it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pitrix.addresses import NetworkPolicy, parse
from pitrix.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://charts.example.com/stable", "https://charts.example.com/stable"),
        ("https://Charts.Example.COM:443", "https://charts.example.com/"),
        ("http://example.com:8080/a?b=c&d=%20", "http://example.com:8080/a?b=c&d=%20"),
        ("https://example.com/a/ü", "https://example.com/a/%C3%BC"),
        ("http://[2001:DB8::1]:5000/x", "http://[2001:db8::1]:5000/x"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("https://example.com/x#fragment", "https://example.com/x"),
        ("https://under_score.example.com/", "https://under_score.example.com/"),
    ],
)
def test_an_address_has_one_spelling(url: str, whole: str) -> None:
    assert parse(url).url == whole
    assert parse(whole).url == whole


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("gopher://127.0.0.1:6379/_SET", "must begin with"),
        ("//example.com/", "must begin with"),
        ("", "must begin with"),
        ("https://", "is not a host name"),
        ("https:///x", "is not a host name"),
        ("https://user:secret@example.com/", "user name"),
        ("https://example.com@169.254.169.254/", "user name"),
        ("https://169.254.169.254\\@example.com/", "backslashes"),
        ("https://example.com/\r\nX: y", "control characters"),
        ("https://example.com/a b", "spaces"),
        ("https://exa mple.com/", "spaces"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
        ("https://017700000001/", "four decimal numbers"),
        ("https://127.1/", "four decimal numbers"),
        ("https://0x7f.0.0.1/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://127.0.0.0x1/", "four decimal numbers"),
        ("https://127.0.0.1./", "four decimal numbers"),
        ("https://[::1", "not a valid address"),
        ("https://[fe80::1%25eth0]/", "IPv6"),
        ("https://[127.0.0.1]/", "address"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:/", "names no port"),
        ("https://example.com:99999/", "not a valid address"),
        ("https://example.com:8x/", "not a valid address"),
        ("https://ⓔxample.com/", "xn--"),
        ("https://exam%70le.com/", "is not a host name"),
        ("https://-x.example.com/", "is not a host name"),
        ("https://a..b/", "is not a host name"),
        ("https://example.com/" + "a" * 5000, "4096"),
    ],
)
def test_an_address_that_two_readers_may_read_differently_is_refused(url: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(url)
    assert why in refused.value.detail
    assert "secret" not in refused.value.detail


PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "64:ff9b::7f00:1": "loopback",
    "2002:7f00:1::": "loopback",
    "::127.0.0.1": "reserved",
    "::8.8.8.8": "reserved",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "::ffff:10.1.2.3": "private",
    "64:ff9b::a00:1": "private",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "fec0::1": "private",
    "100.64.0.1": "carrier-grade",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "::": "unspecified",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "ff02::1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "192.0.0.8": "reserved",
    "192.0.2.1": "reserved",
    "198.18.0.1": "reserved",
    "198.51.100.1": "reserved",
    "203.0.113.1": "reserved",
    "2001::1": "reserved",
    "2001:db8::1": "reserved",
    "64:ff9b:1::1": "NAT64",
    "100::1": "reserved",
}
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert NetworkPolicy().refusal(ip_address(address), 443) == ""


@pytest.mark.parametrize(("address", "word"), REFUSED.items())
def test_special_addresses_may_not(address: str, word: str) -> None:
    refusal = NetworkPolicy().refusal(ip_address(address), 443)
    assert word in refusal
    assert "operator" in refusal


@pytest.mark.parametrize("address", METADATA)
def test_not_even_the_operator_opens_metadata_services(address: str) -> None:
    everything = NetworkPolicy(["0.0.0.0/0", "::/0"])
    assert "metadata" in everything.refusal(ip_address(address), 80)
    assert not everything.is_inside(ip_address(address))


def test_the_operator_opens_networks() -> None:
    policy = NetworkPolicy(["10.20.0.0/16", " fd12::/48 "])
    assert policy.refusal(ip_address("10.20.3.4"), 443) == ""
    assert policy.refusal(ip_address("::ffff:10.20.3.4"), 443) == ""
    assert policy.refusal(ip_address("fd12::9"), 8080) == ""
    assert "private" in policy.refusal(ip_address("10.21.0.1"), 443)
    assert "private" in policy.refusal(ip_address("fd13::1"), 443)


@pytest.mark.parametrize("listed", ["10.0.0.0/33", "10.0.0.1/8", "intranet", ""])
def test_the_operators_list_is_read_strictly(listed: str) -> None:
    with pytest.raises(InvalidInput, match="CIDR"):
        NetworkPolicy([listed])


@pytest.mark.parametrize(
    ("port", "open_"),
    [(80, True), (443, True), (1024, True), (8443, True), (25, False), (22, False), (53, False)],
)
def test_ports_of_other_protocols_are_refused(port: int, open_: bool) -> None:
    refusal = NetworkPolicy().refusal(ip_address("8.8.8.8"), port)
    assert (refusal == "") is open_
    assert NetworkPolicy(["8.8.8.0/24"]).refusal(ip_address("8.8.8.8"), port) == ""
