"""Repositories that trust keys: what is verified, what is refused, and signatures that come later."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from pitrix.errors import InvalidInput
from pitrix.identity.model import ANONYMOUS, SYSTEM
from pitrix.packages import provenance
from pitrix.packages import service as packages
from pitrix.packages.model import SignatureStatus
from pitrix.repos.model import PLATFORM_REPO_ID, Repo, RepoPatch, RepoRequest
from tests.unit.catalog.kit import OPERATOR, VENDOR, World, package
from tests.unit.packages.openpgp import secret_key
from tests.unit.repos.kit import FakeSource

URL = "https://charts.test/stable"
_DELIVERIES = itertools.count()


@dataclass(frozen=True)
class Signer:
    secret: bytes
    certificate: str

    def sign(self, archive: bytes, filename: str) -> bytes:
        facts = provenance.metadata_yaml(packages.open_package(archive))
        return provenance.sign(archive, filename, facts, key=self.secret)


@pytest.fixture(scope="module")
def alice() -> Signer:
    secret = secret_key("Alice <alice@example.com>")
    return Signer(secret, provenance.public_key(secret))


@pytest.fixture(scope="module")
def mallory() -> Signer:
    secret = secret_key("Mallory <mallory@example.com>")
    return Signer(secret, provenance.public_key(secret))


def trusting(world: World, signer: Signer, **more: Any) -> Repo:
    return world.repos.create_repo(VENDOR, RepoRequest(name="signed", keys=[signer.certificate], **more))


def put(world: World, repo: Repo, filename: str, data: bytes) -> Any:
    """Upload a file and let its notification come."""
    size = max(1, len(data))
    key = world.repos.start_upload(VENDOR, repo.repo_id, filename=filename, size_bytes=size).key
    world.uploads.objects[key] = data
    return world.repos.index_object(SYSTEM, key, delivery_id=f"{next(_DELIVERIES):04d}")


def version(world: World, event: Any) -> Any:
    return world.catalog.get_version(VENDOR, event.app_id, event.version_id)


def test_a_signed_package_is_verified_whichever_file_comes_first(world: World, alice: Signer) -> None:
    repo = trusting(world, alice)
    archive = package()
    assert put(world, repo, "shop-1.0.0.tgz.prov", alice.sign(archive, "shop-1.0.0.tgz")) is None
    event = put(world, repo, "shop-1.0.0.tgz", archive)
    signature = version(world, event).signature
    assert (signature.status, signature.signer) == (SignatureStatus.VERIFIED, "Alice <alice@example.com>")

    later = package("later")
    event = put(world, repo, "later-1.0.0.tgz", later)
    assert version(world, event).signature is None
    event = put(world, repo, "later-1.0.0.tgz.prov", alice.sign(later, "later-1.0.0.tgz"))
    assert event.outcome == "unchanged"
    found = version(world, event)
    assert (found.signature.status, found.has_provenance) == (SignatureStatus.VERIFIED, True)


def test_what_has_to_be_signed_waits_for_its_signature(world: World, alice: Signer, mallory: Signer) -> None:
    repo = trusting(world, alice, require_signature=True)
    archive = package()
    event = put(world, repo, "shop-1.0.0.tgz", archive)
    assert event.outcome == "refused"
    assert "only packages signed by one of its keys" in event.message
    event = put(world, repo, "shop-1.0.0.tgz.prov", mallory.sign(archive, "shop-1.0.0.tgz"))
    assert event.outcome == "refused"
    event = put(world, repo, "shop-1.0.0.tgz.prov", alice.sign(archive, "shop-1.0.0.tgz"))
    assert event.outcome == "indexed"
    assert version(world, event).signature.status is SignatureStatus.VERIFIED


def test_a_broken_signature_is_refused_and_an_unknown_one_is_not(
    world: World, alice: Signer, mallory: Signer
) -> None:
    repo = trusting(world, alice)
    archive = package()
    for broken in (b"nonsense", alice.sign(package("other"), "shop-1.0.0.tgz")):
        put(world, repo, "shop-1.0.0.tgz.prov", broken)
        event = put(world, repo, "shop-1.0.0.tgz", archive)
        assert event.outcome == "refused"
        assert "signature is not valid" in event.message
    event = put(world, repo, "shop-1.0.0.tgz.prov", mallory.sign(archive, "shop-1.0.0.tgz"))
    assert event.outcome == "indexed"
    assert version(world, event).signature.status is SignatureStatus.UNKNOWN_KEY


def test_a_provenance_without_an_archive_or_of_no_package_is_left_alone(world: World) -> None:
    world.uploads.objects["repo_platform/alone-1.0.0.tgz.prov"] = b"x"
    assert world.repos.index_object(SYSTEM, "repo_platform/alone-1.0.0.tgz.prov") is None
    assert world.repos.list_events(OPERATOR, PLATFORM_REPO_ID).events == []
    world.uploads.objects["repo_platform/notes.prov"] = b"x"
    event = world.repos.index_object(SYSTEM, "repo_platform/notes.prov")
    assert event is not None
    assert event.outcome == "refused"


def test_an_oversized_provenance_is_refused(world: World, alice: Signer) -> None:
    repo = trusting(world, alice)
    with pytest.raises(InvalidInput) as refused:
        world.repos.start_upload(VENDOR, repo.repo_id, filename="a-1.tgz.prov", size_bytes=10**6)
    assert [error.field for error in refused.value.errors] == ["size_bytes"]
    world.uploads.objects[f"{repo.repo_id}/a-1.tgz.prov"] = b"x" * 10**6
    world.uploads.objects[f"{repo.repo_id}/a-1.tgz"] = package()
    event = world.repos.index_object(SYSTEM, f"{repo.repo_id}/a-1.tgz")
    assert event is not None
    assert event.outcome == "refused"


def test_a_remote_repository_is_verified_and_verified_anew_when_its_keys_change(
    world: World, alice: Signer, mallory: Signer
) -> None:
    source = world.kit.sources.by_url[URL] = FakeSource()
    for name, signer in (("good", alice), ("evil", mallory)):
        source.packages[name] = package(name)
        source.provenances[name] = signer.sign(source.packages[name], f"{name}-1.0.0.tgz")
    source.packages["plain"] = package("plain")
    request = RepoRequest(
        name="signed",
        kind="http",
        url=URL,
        visibility="public",
        keys=[alice.certificate],
        require_signature=True,
    )
    repo = world.repos.create_repo(OPERATOR, request)
    world.kit.carry_out()
    assert [app.name for app in world.catalog.list_apps(ANONYMOUS).apps] == ["good"]
    last = world.repos.statistics(OPERATOR, repo.repo_id).last_sync
    assert last is not None
    assert [failure.key for failure in last.failures] == ["evil", "plain"]
    source.fetched.clear()
    keys = [alice.certificate, mallory.certificate]
    world.repos.edit_repo(OPERATOR, repo.repo_id, RepoPatch(keys=keys))
    world.kit.carry_out()
    assert sorted(source.fetched) == ["evil", "good", "plain"]
    assert sorted(app.name for app in world.catalog.list_apps(ANONYMOUS).apps) == ["evil", "good"]
