"""Uploads into a container of Azure become index events, through Microsoft's worker and Microsoft's emulator.

The app in ``functions/azure_repo_events`` runs in the real worker runtime; Azurite holds the container; what
answers as Pitrix is the real function of the repositories over a table in memory, behind a loopback server.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.azure_functions.host import FunctionsHost, functions_host, poisoned
from tests.clouds.azurite.server import Azurite, azurite
from tests.contract.providers.targets import Unavailable
from tests.loopback import Loopback, Reply, Seen, loopback

APP = Path(__file__).parents[3] / "functions" / "azure_repo_events"


@pytest.fixture(scope="module")
def storage() -> Iterator[Azurite]:
    try:
        with azurite() as running:
            yield running
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.fixture
def container(storage: Azurite) -> Iterator[Any]:
    made = storage.container()
    yield made
    made.delete_container()


@pytest.fixture
def pitrix() -> Iterator[Loopback]:
    """What is asked of Pitrix; answers as ``POST …/actions/index`` does."""
    with loopback() as running:
        running.routes["/v1/repos/repo_x/actions/index"] = lambda _: Reply(b'{"sync": {}}', 202)
        yield running


@pytest.fixture
def host(container: Any, pitrix: Loopback, storage: Azurite) -> Iterator[FunctionsHost]:
    settings = {
        "PITRIX_CONTAINER": container.container_name,
        "PITRIX_STORAGE": storage.connection_string,
        "PITRIX_URL": f"{pitrix.url}/",
        "PITRIX_REPO": "repo_x",
        "PITRIX_USERNAME": "robot",
        "PITRIX_PASSWORD": "open-sesame",
    }
    try:
        with functions_host(APP, settings) as running:
            yield running
    except Unavailable as why:
        pytest.skip(str(why))


def test_it_waits_for_blobs_of_the_container(host: FunctionsHost) -> None:
    [(name, [binding])] = host.functions.items()
    assert name == "on_package_uploaded"
    assert (binding["type"], binding["path"]) == ("blobTrigger", "%PITRIX_CONTAINER%/{name}")
    assert binding["connection"] == "PITRIX_STORAGE"


def test_a_package_is_told_of_once_for_every_change(
    host: FunctionsHost, container: Any, storage: Azurite, pitrix: Loopback
) -> None:
    container.upload_blob("stable/app-1.0.0.tgz", b"one")
    assert host.deliver_blobs(storage, container) == []
    assert host.deliver_blobs(storage, container) == []
    assert len(pitrix.seen) == 1
    [asked] = pitrix.seen
    assert (asked.method, asked.path) == ("POST", "/v1/repos/repo_x/actions/index")
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"robot:open-sesame").decode()
    container.upload_blob("stable/app-1.0.0.tgz", b"two", overwrite=True)
    container.upload_blob("stable/app-1.0.0.tgz.prov", b"signed")
    assert host.deliver_blobs(storage, container) == []
    assert len(pitrix.seen) == 3


def test_what_is_no_package_is_nobodys_business(
    host: FunctionsHost, container: Any, storage: Azurite, pitrix: Loopback
) -> None:
    for name in ("README.md", "index.yaml", "archive.zip"):
        container.upload_blob(name, b"x")
    assert host.deliver_blobs(storage, container) == []
    assert pitrix.seen == []


def test_it_tries_again_and_then_gives_up_into_the_queue(
    host: FunctionsHost, container: Any, storage: Azurite, pitrix: Loopback
) -> None:
    answers = iter([Reply(status=503), Reply(b"{}", 202)])
    pitrix.routes["/v1/repos/repo_x/actions/index"] = lambda _: next(answers)
    container.upload_blob("a-1.0.0.tgz", b"one")
    assert host.deliver_blobs(storage, container) == []
    assert len(pitrix.seen) == 2

    def refuse(_: Seen) -> Reply:
        return Reply(json.dumps({"detail": "Repository repo_x does not exist."}).encode(), 404)

    pitrix.routes["/v1/repos/repo_x/actions/index"] = refuse
    container.upload_blob("b-1.0.0.tgz", b"one")
    [said] = host.deliver_blobs(storage, container)
    assert "b-1.0.0.tgz: Pitrix answered 404: Repository repo_x does not exist." in said
    assert "open-sesame" not in said
    assert poisoned(storage) == ["b-1.0.0.tgz"]


def test_nobody_at_home_is_said(
    host: FunctionsHost, container: Any, storage: Azurite, monkeypatch: pytest.MonkeyPatch, pitrix: Loopback
) -> None:
    def hang_up(seen: Seen) -> None:
        """Close without an answer."""

    pitrix.routes["/v1/repos/repo_x/actions/index"] = hang_up
    container.upload_blob("c-1.0.0.tgz", b"one")
    [said] = host.deliver_blobs(storage, container)
    assert "c-1.0.0.tgz: Pitrix does not answer" in said
    poisoned(storage)
