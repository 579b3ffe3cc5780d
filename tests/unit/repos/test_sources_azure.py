"""Containers of Azure Blob Storage: addresses, signatures, and servers that answer otherwise than Azure's.

What a container is like that works is in ``tests/contract/test_package_sources.py``, on Azurite.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pitrix.errors import InvalidInput, SourceUnavailable
from pitrix.repos.model import Credential, Repo
from pitrix.repos.sources import Surroundings
from pitrix.repos.sources.azure import AzureSource
from tests.loopback import Loopback, Reply, Seen, loopback

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SURROUNDINGS = Surroundings(["127.0.0.0/8"])
SAS = "?sv=2021-12-02&sp=rl&sr=c&sig=a%2Bb%3D"


def source(credential: Credential | None = None, **fields: Any) -> AzureSource:
    """A source as a repository with these fields has it, of an operator who allowed the loopback."""
    given = {"url": "azure://acme/packages"} | fields
    repo = Repo(repo_id="r", name="x", kind="azure", owner_path=":", owner_id="u", created_at=NOW,
                updated_at=NOW, **given)  # fmt: skip
    return AzureSource(repo, credential, SURROUNDINGS)


@pytest.fixture(autouse=True)
def _no_connection_stays_open() -> Iterator[None]:
    yield
    SURROUNDINGS.client.close()


@pytest.fixture
def store() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


def page(*names: str, more: str = "") -> bytes:
    blobs = "".join(
        f"<Blob><Name>{name}</Name><Properties><Etag>0x{n}</Etag><Content-Length>9</Content-Length>"
        "</Properties></Blob>"
        for n, name in enumerate(names)
    )
    text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{more}</NextMarker></EnumerationResults>"
    return f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()


@pytest.mark.parametrize(
    ("endpoint", "answers_at"),
    [
        ("", "https://acme.blob.core.windows.net/packages"),
        ("https://acme.blob.core.chinacloudapi.cn", "https://acme.blob.core.chinacloudapi.cn/packages"),
        ("http://127.0.0.1:10000", "http://127.0.0.1:10000/acme/packages"),
        ("http://127.0.0.1:10000/acme/", "http://127.0.0.1:10000/acme/packages"),
    ],
    ids=["public cloud", "national cloud", "emulator", "emulator with the account"],
)
def test_where_a_container_answers(endpoint: str, answers_at: str) -> None:
    assert source(endpoint=endpoint)._container == answers_at


@pytest.mark.parametrize(
    "url",
    ["azure://", "azure://acme", "azure://Acme/packages", "azure://acme/a", "azure://acme/pack--ages",
     "azure://acme/../x", "https://acme.blob.core.windows.net/packages", "azure://acme/packages/a\nb"],
)  # fmt: skip
def test_what_is_no_address_of_a_container(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        source(url=url)
    assert [each.field for each in refused.value.errors] == ["url"]


@pytest.mark.parametrize(
    "credential",
    [
        Credential(password="Zm9vYmFy"),
        Credential(username="acme", password=SAS),
        Credential(access_key_id="acme", secret_access_key="key"),
        Credential(password="sv=2021-12-02&sp=rl"),
    ],
    ids=["an account's key", "a username too", "keys", "not signed"],
)
def test_only_a_shared_access_signature_is_taken(credential: Credential) -> None:
    with pytest.raises(InvalidInput, match="shared access signature") as refused:
        source(credential)
    assert [each.field for each in refused.value.errors] == ["credential"]
    assert credential.password not in refused.value.detail or not credential.password


def test_pages_follow_each_other_and_the_signature_is_sent_with_each(store: Loopback) -> None:
    seen = []

    def answer(request: Seen) -> Reply:
        seen.append(request.path)
        return Reply(page("b-1.0.0.tgz") if "marker=two" in request.path else page("a-1.0.0.tgz", more="two"))

    store.routes["/acme/packages"] = answer
    found = source(Credential(password=SAS), endpoint=store.url).listing()
    assert found is not None
    assert [entry.key for entry in found.entries] == ["a-1.0.0.tgz", "b-1.0.0.tgz"]
    assert len(seen) == 2
    assert all("sig=a%2Bb%3D" in path for path in seen)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>hello",
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><EnumerationResults>&a;</EnumerationResults>',
    ],
    ids=["nothing", "json", "half a page", "a document type"],
)
def test_what_is_no_list_is_refused(store: Loopback, body: bytes) -> None:
    store.serve("/acme/packages", body)
    with pytest.raises(SourceUnavailable, match="does not answer as Azure's store does"):
        source(endpoint=store.url).listing()


def test_a_signature_does_not_cross_the_internet_in_the_clear() -> None:
    given = source(Credential(password=SAS), endpoint="http://192.0.2.7:80")
    with pytest.raises((InvalidInput, SourceUnavailable)) as refused:
        given.listing()
    assert isinstance(refused.value, InvalidInput)
    assert "sig" not in refused.value.detail
