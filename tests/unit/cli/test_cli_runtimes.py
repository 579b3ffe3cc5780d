"""Runtimes from the command line: asked by the form of the cloud, tried, kept, looked into, let go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Line
from tests.unit.cli.platform import Platform
from tests.unit.runtimes.paper import SECRET


@pytest.fixture
def asked(alice: Line) -> Line:
    """Alice at a terminal."""
    alice.interactive = True
    return alice


def kept(platform: Platform) -> list[dict[str, str]]:
    """The credentials in the vault, but for that of the seeded runtime."""
    secrets = platform.world.runtimes._vault.secrets  # type: ignore[attr-defined]
    return [credential for name, credential in secrets.items() if not name.endswith("rt_local")]


def test_the_clouds_are_told_with_their_ways(alice: Line) -> None:
    told = alice("runtimes", "providers").stdout
    assert "Paper Cloud" in told
    assert "secret, file" in told


def test_connecting_asks_what_the_cloud_wants_to_know(
    asked: Line, platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "cloud.conf"
    file.write_text(f"{SECRET}\n")
    #            cloud        way     the file           size  account  zone
    said = f"two-ways\nmagic\n2\n@{tmp_path}/none\n@{file}\n2\n\n2\n"
    result = asked("runtimes", "connect", "mine", input=said)
    assert result.exit_code == 0, result.output
    assert kept(platform) == [{"method": "file", "secret": f"{SECRET}\n", "size": "large"}]
    assert "Say 1 to 2" in result.stderr
    assert "cannot be read" in result.stderr
    assert "south" in result.stdout
    assert SECRET not in result.output


def test_a_secret_is_typed_unseen_and_taken_as_it_is(asked: Line, platform: Platform) -> None:
    refused = asked(
        "runtimes", "connect", "mine", "--provider", "two-ways", "--way", "secret", input="@$HOME-x\n"
    )
    assert "The secret is not one of ours." in refused.stderr
    assert "@$HOME-x" not in refused.output
    assert kept(platform) == []


def test_all_of_it_by_options(alice: Line, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_SECRET", SECRET)
    credential = ("--provider", "two-ways", "--way", "secret", "--set", "secret=$CLOUD_SECRET")
    assert alice.json("runtimes", "check", *credential)["zone"] == "north"
    assert kept(platform) == []
    made = alice.json("runtimes", "connect", "mine", *credential, "--zone", "south", "--label", "team=shop")
    assert (made["zone"], made["labels"], made["visibility"]) == ("south", {"team": "shop"}, "private")
    assert kept(platform) == [{"method": "secret", "secret": SECRET}]
    assert alice.json("runtimes", "zones", "mine")["items"][0]["zone"] == "north"
    assert "a4" in alice("runtimes", "machine-types", "mine").stdout
    assert "10.0.0.0/24" in alice("runtimes", "subnets", "mine").stdout
    assert "Paper OS" in alice("runtimes", "images", "mine").stdout
    assert ["sheets", "1", "-"] in [
        row.split() for row in alice("runtimes", "quotas", "mine").stdout.splitlines()
    ]
    changed = alice.json("runtimes", "edit", "mine", "--rename", "ours", "--zone", "north")
    assert (changed["name"], changed["zone"]) == ("ours", "north")
    assert alice("runtimes", "edit", "ours", "--way", "secret", "--set", "secret=wrong-horse").exit_code == 1
    assert "Two" not in alice("runtimes", "show", "ours").stderr
    assert alice("runtimes", "delete", "ours").exit_code == 2
    assert alice("runtimes", "delete", "ours", "--yes").exit_code == 0
    assert kept(platform) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--provider: "),
        (("--provider", "nowhere"), "no provider 'nowhere'"),
        (("--provider", "two-ways"), "--way: secret, file"),
        (("--provider", "two-ways", "--way", "magic"), "secret, file"),
        (("--provider", "paper", "--way", "magic"), "but one way"),
        (("--provider", "paper"), "secret: Secret"),
        (("--provider", "paper", "--set", "colour=red"), "endpoint, secret"),
        (("--provider", "paper", "--set", "secret=@/nowhere"), "cannot be read"),
        (("--provider", "paper", "--set", "secret=$NOT_THERE_AT_ALL"), "is not set"),
        (("--provider", "paper", "--set", "secret=short"), "at least 8 characters"),
        (("--provider", "local", "--set", f"secret={SECRET}"), "Only an operator"),
    ],
)
def test_what_is_wrong_or_missing_is_named(alice: Line, options: tuple[str, ...], told: str) -> None:
    result = alice("runtimes", "connect", "mine", *options)
    assert result.exit_code in (1, 2, 3)
    assert told in " ".join(result.stderr.split())


def test_leaving_a_runtime_unchanged_is_said(alice: Line) -> None:
    alice("runtimes", "connect", "mine", "--provider", "paper", "--set", f"secret={SECRET}")
    assert "nothing to change" in alice("runtimes", "edit", "mine").stderr
