"""What is no security rule and no public key, whatever the cloud."""

from __future__ import annotations

import base64

import pytest

from pitrix.errors import InvalidInput
from providers import checks
from providers.resources import SecurityRule

BLOB = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
KEY = f"ssh-ed25519 {BLOB}"


@pytest.mark.parametrize("text", [KEY, f"{KEY} me@home, my laptop", f"  {KEY}\n"])
def test_a_key_with_and_without_a_comment(text: str) -> None:
    assert checks.public_key(text) == text.strip()
    assert checks.public_key(text, kinds=("ssh-ed25519",)) == text.strip()
    assert checks.fingerprint(text) == "SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk"


@pytest.mark.parametrize(
    "text",
    [
        "", "ssh-ed25519", "ssh-ed25519 ###", f"ssh-rsa {BLOB}", f"{KEY}\n{KEY}", "-----BEGIN KEY-----",
        f"ssh-ed25519 {base64.b64encode(bytes(4)).decode()}", f"ssh-ed25519  {BLOB[:20]}",
        f'command="id" {KEY}',
    ],
)  # fmt: skip
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a public key"):
        checks.public_key(text)


def test_a_kind_that_the_cloud_does_not_take() -> None:
    with pytest.raises(InvalidInput, match="ssh-rsa"):
        checks.public_key(KEY, kinds=("ssh-rsa",))


@pytest.mark.parametrize("text", ["", "ssh-rsa", "ssh-rsa ###"])
def test_what_is_no_key_has_no_fingerprint(text: str) -> None:
    assert checks.fingerprint(text) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"protocol": "icmp"}, "tcp or udp"),
        ({"port_from": 0}, "no range of ports"),
        ({"port_to": 79}, "no range of ports"),
        ({"port_to": 65536}, "no range of ports"),
        ({"cidr": "10.0.0.1/8"}, "no range of addresses"),
        ({"cidr": "anywhere"}, "no range of addresses"),
    ],
)
def test_what_is_no_security_rule(changes: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"protocol": "tcp", "port_from": 80, "port_to": 80} | changes
    with pytest.raises(InvalidInput, match=says):
        checks.rule_range(SecurityRule(**given))  # type: ignore[arg-type]


def test_whom_a_rule_lets_in() -> None:
    rule = SecurityRule(protocol="udp", port_from=1, port_to=65535, cidr="2001:db8::/32")
    assert str(checks.rule_range(rule)) == "2001:db8::/32"
