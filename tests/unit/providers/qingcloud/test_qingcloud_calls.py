"""What the QingCloud provider sends: creation, locks, user data, sizes, and who may sign in."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pitrix.errors import CapabilityMissing, CredentialInvalid, InvalidInput, ProviderUnavailable
from providers.qingcloud import creation, machines, volumes
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once
from providers.qingcloud.driver import QingCloudProvider
from providers.qingcloud.kinds import SECURITY_GROUP
from providers.resources import Connection, MachineSpec

KEYS = {"access_key_id": "QYKEY", "secret_access_key": "very-secret"}


class Paper(Client):
    """A client whose cloud is a list of tags and of security groups."""

    def __init__(self) -> None:
        super().__init__("pek3a", KEYS, {})
        self.calls: list[str] = []
        self.tags: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self.lost: set[str] = set()
        self.made_at = "2026-11-23T06:00:00Z"

    def call(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        self.calls.append(action)
        answer: dict[str, Any] = getattr(self, action)(**parameters) or {}
        if action in self.lost:
            self.lost.remove(action)
            raise ProviderUnavailable("the answer was lost")
        return answer

    def CreateTag(self, tag_name: str) -> dict[str, Any]:
        tag = {"tag_id": f"tag-{len(self.tags)}", "tag_name": tag_name, "create_time": self.made_at}
        self.tags.append(tag)
        return tag

    def DeleteTags(self, tags: list[str]) -> None:
        self.tags = [tag for tag in self.tags if tag["tag_id"] not in tags]

    def DescribeTags(self, search_word: str, limit: int, offset: int) -> dict[str, Any]:
        return {"tag_set": [tag for tag in self.tags[offset:] if search_word in tag["tag_name"]]}

    def DescribeSecurityGroups(self, **filters: Any) -> dict[str, Any]:
        word = filters.get("search_word") or ""
        return {"security_group_set": [g for g in self.groups if word in g["security_group_name"]]}

    def ModifySecurityGroupAttributes(self, security_group: str, description: str) -> None:
        self.groups[int(security_group[3:])]["description"] = description

    def make(self, name: str) -> str:
        group = {
            "security_group_id": f"sg-{len(self.groups)}",
            "security_group_name": name,
            "create_time": self.made_at,
        }
        self.groups.append(group)
        if "make" in self.lost:
            self.lost.remove("make")
            raise ProviderUnavailable("the answer was lost")
        return str(group["security_group_id"])

    def create(self) -> Mapping[str, Any]:
        return create_once(self, SECURITY_GROUP, key="k", name="n", tags={"t": "1"}, make=self.make)


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setattr(creation, "PATIENCE_S", 0.05)
    monkeypatch.setattr(creation, "PAUSE_S", 0.01)
    return Paper()


# --- creating once -----------------------------------------------------------------------------------


def test_a_creation_costs_eight_calls_and_a_repeat_one(paper: Paper) -> None:
    paper.create()
    assert len(paper.calls) == 7  # and the creating call itself
    assert paper.tags == []
    paper.calls.clear()
    paper.create()
    assert paper.calls == ["DescribeSecurityGroups"]


@pytest.mark.parametrize("lost", ["CreateTag", "make", "ModifySecurityGroupAttributes", "DeleteTags"])
def test_whichever_answer_is_lost_one_is_made_and_no_lock_stays(paper: Paper, lost: str) -> None:
    paper.lost = {lost}
    if lost == "DeleteTags":
        paper.create()  # the lock is gone, whether that was heard or not
    else:
        with pytest.raises(ProviderUnavailable):
            paper.create()
    assert paper.tags == []
    row = paper.create()
    assert len(paper.groups) == 1
    assert row["description"]


def test_while_somebody_else_makes_it_nothing_is_made(paper: Paper) -> None:
    with creation._locked(paper, "security_group:k") as locked:
        assert locked
        with pytest.raises(ProviderUnavailable, match="Another call is making"):
            paper.create()
        assert paper.groups == []
    paper.create()
    assert len(paper.groups) == 1


def test_a_lock_of_another_resource_hinders_nobody(paper: Paper) -> None:
    with creation._locked(paper, "security_group:other"):
        paper.create()
    assert len(paper.groups) == 1


@pytest.mark.parametrize(("age", "made"), [("05:56:00", 0), ("05:50:00", 1)])
def test_a_lock_whose_owner_was_killed_is_taken_away_after_a_while(paper: Paper, age: str, made: int) -> None:
    with creation._locked(paper, "security_group:k"):
        [left] = paper.tags
    paper.tags = [left | {"tag_id": "tag-left", "create_time": f"2026-11-23T{age}Z"}]
    if made:
        paper.create()
    else:
        with pytest.raises(ProviderUnavailable):
            paper.create()
    assert len(paper.groups) == made


# --- machines and volumes ----------------------------------------------------------------------------


def sent(script: str) -> str:
    value: str = machines._user_data(script)["userdata_value"]
    assert base64.b64decode(value)
    return base64.b64decode(value).decode()


def test_user_data_is_a_script_that_every_boot_runs() -> None:
    assert sent("echo hello") == "#!/bin/sh\necho hello"
    assert sent("#!/usr/bin/python3\nprint(1)") == "#!/usr/bin/python3\nprint(1)"
    assert machines._user_data("x")["userdata_type"] == "exec"
    assert machines._user_data("") == {}


def test_long_user_data_is_sent_compressed_and_runs_all_the_same(tmp_path: Path) -> None:
    script = "#!/bin/sh\n# Pitrix node\nx=0\n" + "x=$((x+1))\n" * 2000 + "echo counted $x; exit 3"
    packed = sent(script)
    assert len(packed) < 1000
    assert packed.startswith("#!/bin/sh\n# Pitrix node\n")
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", packed], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.returncode) == ("counted 2000\n", 3)
    assert list(tmp_path.iterdir()) == []  # it holds a token


def test_without_a_key_pair_nobody_knows_the_password() -> None:
    first, second = (machines._login(None)["login_passwd"] for _ in "ab")
    assert first != second
    assert len(first) >= 20
    assert machines._login("kp-1") == {"login_mode": "keypair", "login_keypair": "kp-1"}


def test_a_machine_is_in_one_security_group() -> None:
    spec = MachineSpec(
        name="a", cpu=1, memory_mib=1, image="i", network_id="n", security_group_ids=("sg-1", "sg-2")
    )
    with pytest.raises(InvalidInput, match="one security group"):
        provider().machines.create_machine(spec, idempotency_key="k")


@pytest.mark.parametrize(("wanted", "given"), [(1, 10), (10, 10), (11, 20), (95, 100)])
def test_a_volume_is_rounded_up_to_what_is_sold(
    monkeypatch: pytest.MonkeyPatch, wanted: int, given: int
) -> None:
    limits = {"min-size": 10, "max-size": 100, "step": 10}
    monkeypatch.setattr(Client, "call", lambda *_, **__: limits)
    disks = provider()
    assert volumes.QingCloudVolumes._size(disks, "", wanted) == given
    with pytest.raises(InvalidInput, match="at most 100 GiB"):
        volumes.QingCloudVolumes._size(disks, "0", 101)
    with pytest.raises(InvalidInput, match="number"):
        volumes.QingCloudVolumes._size(disks, "fast", 10)


def test_images_are_not_copied_to_another_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"image_id": "img-1", "image_name": "a", "status": "available", "create_time": ""}
    monkeypatch.setattr(Client, "call", lambda *_, **__: {"image_set": [row]})
    assert provider().images.copy_image("img-1", zone="pek3a", idempotency_key="k").image_id == "img-1"
    with pytest.raises(CapabilityMissing, match="sh1a"):
        provider().images.copy_image("img-1", zone="sh1a", idempotency_key="k")


# --- credentials -------------------------------------------------------------------------------------


def provider(**credential: str) -> QingCloudProvider:
    return QingCloudProvider(Connection(zone="pek3a", credential=KEYS | credential))


@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_key_never_makes_the_sdk_ask_the_metadata_service(field: str, value: str) -> None:
    with pytest.raises(CredentialInvalid, match="empty"):
        provider(**{field: value})


def test_no_repr_shows_a_secret() -> None:
    made = provider()
    assert "very-secret" not in f"{made!r} {made._cloud!r} {vars(made)!r}"
