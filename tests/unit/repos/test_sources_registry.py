"""The registry of kinds: lazy, closed to replacement, open to plug-ins; and the platform's own bucket."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from pitrix.errors import InvalidInput, NotFound, ServiceUnavailable
from pitrix.repos import sources
from pitrix.repos.model import KINDS, Credential, SourceEntry
from pitrix.repos.ports import ObjectPage, StoredObject
from pitrix.repos.sources import SourceRegistry
from tests.contract.source_worlds import repo_of


class MemoryBucket:
    """The platform's bucket; pages of two objects."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = {key.replace("__", "/"): data for key, data in objects.items()}

    def read(self, key: str, *, at_most_bytes: int) -> bytes:
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    def list_objects(self, prefix: str, *, limit: int, cursor: str | None) -> ObjectPage:
        keys = [key for key in sorted(self.objects) if key.startswith(prefix) and key > (cursor or "")]
        found = [StoredObject(key=key, size_bytes=len(self.objects[key]), etag=key[-9:]) for key in keys[:2]]
        return ObjectPage(objects=found, next_cursor=found[-1].key if len(keys) > 2 else None)


class Plugged:
    """A kind of another distribution."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments


@pytest.fixture
def _plugins(monkeypatch: pytest.MonkeyPatch) -> object:
    here = f"{__name__}:Plugged"
    points = [metadata.EntryPoint(name, here, "pitrix.sources") for name in ("git", "http")]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == "pitrix.sources" else [])
    sys.modules.setdefault(__name__, sys.modules[Plugged.__module__])
    sources._registered.cache_clear()
    yield
    sources._registered.cache_clear()
    sources._loaded.cache_clear()


def test_the_kinds_are_those_of_the_model() -> None:
    assert sources.kinds() == sorted(KINDS)


@pytest.mark.usefixtures("_plugins")
def test_a_plug_in_adds_a_kind_and_replaces_none() -> None:
    from pitrix.repos.sources.http import HttpSource

    assert sources.kinds() == sorted([*KINDS, "git"])
    registry = SourceRegistry()
    assert type(registry.connect(repo_of("git"), None)).__name__ == "Plugged"  # type: ignore[arg-type]
    assert isinstance(registry.connect(repo_of("http", url="https://charts.example.com"), None), HttpSource)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="http, oci, platform, s3"):
        SourceRegistry().connect(repo_of("ftp"), None)  # type: ignore[arg-type]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = """
import sys
from pitrix.repos.sources import SourceRegistry, kinds
SourceRegistry(allowed_networks=["nonsense"], bucket=None)
kinds()
heavy = {"httpcore", "h11", "boto3", "botocore", "msgspec", "ssl"}
loaded = {name.split(".")[0] for name in sys.modules} & heavy
own = [name for name in sys.modules if name.startswith("pitrix.repos.sources.")]
assert not loaded and not own, (loaded, own)
from datetime import datetime
from pitrix.repos.model import Repo
at = datetime(2026, 1, 1)
registry = SourceRegistry()
repo = dict(repo_id="r", name="r", owner_path=":", owner_id="u", created_at=at, updated_at=at)
registry.connect(Repo(kind="s3", url="s3://bucket", **repo), None)
assert "boto3" not in sys.modules and "httpcore" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_operators_mistake_is_told() -> None:
    registry = SourceRegistry(allowed_networks=["intranet"])
    with pytest.raises(InvalidInput, match="'intranet'"):
        registry.connect(repo_of("oci", url="oci://r.example.com/app"), None)


def test_the_platforms_bucket_is_read_by_pages_below_the_repository() -> None:
    bucket = MemoryBucket(
        repo_x__usr_a__a_1=b"no archive",
        **{
            "repo_x/usr_a/a-1.0.0.tgz": b"one",
            "repo_x/usr_a/a-1.0.0.tgz.prov": b"signed",
            "repo_x/usr_b/a-1.0.0.tgz": b"another's",
            "repo_x/b-2.0.0.tar.gz": b"straight",
            "repo_x/usr_a/deep/er/c.tgz": b"in no layout",
            "repo_xx/usr_a/d.tgz": b"another repository's",
        },
    )
    source = SourceRegistry(bucket=bucket).connect(repo_of("platform"), None)  # type: ignore[arg-type]
    listing = source.listing()
    assert listing is not None
    found = {entry.key: source.fetch(entry, at_most_bytes=100) for entry in listing.entries}
    assert {key: fetched.archive for key, fetched in found.items()} == {
        "repo_x/usr_a/a-1.0.0.tgz": b"one",
        "repo_x/usr_b/a-1.0.0.tgz": b"another's",
        "repo_x/b-2.0.0.tar.gz": b"straight",
    }
    assert found["repo_x/usr_a/a-1.0.0.tgz"].provenance == b"signed"
    assert found["repo_x/b-2.0.0.tar.gz"].provenance is None


def test_another_repositorys_upload_is_not_fetched() -> None:
    bucket = MemoryBucket(repo_y__a=b"theirs")
    source = SourceRegistry(bucket=bucket).connect(repo_of("platform"), None)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        source.fetch(SourceEntry(key="a", tag="t", location="repo_y/a"), at_most_bytes=100)


def test_a_signature_that_comes_later_changes_the_tag() -> None:
    bucket = MemoryBucket(**{"repo_x/a.tgz": b"one"})
    source = SourceRegistry(bucket=bucket).connect(repo_of("platform"), None)  # type: ignore[arg-type]
    before = source.listing()
    assert before is not None
    bucket.objects["repo_x/a.tgz.prov"] = b"signed"
    after = source.listing(before.validator)
    assert after is not None
    assert after.entries[0].key == before.entries[0].key
    assert after.entries[0].tag != before.entries[0].tag


def test_the_platforms_repositories_have_no_address() -> None:
    registry = SourceRegistry(bucket=MemoryBucket())  # type: ignore[arg-type]
    for fields in ({"url": "https://example.com"}, {"endpoint": "https://example.com"}):
        with pytest.raises(InvalidInput):
            registry.connect(repo_of("platform", **fields), None)
    with pytest.raises(InvalidInput):
        registry.connect(repo_of("platform"), Credential(username="a", password="b"))
    with pytest.raises(ServiceUnavailable):
        SourceRegistry().connect(repo_of("platform"), None)
