"""A catalog and its repositories in memory: stores, people, packages, and calls as API Gateway makes them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from pitrix import bootstrap
from pitrix.catalog.dynamo import TableAppStore
from pitrix.catalog.service import CatalogService
from pitrix.clock import FixedClock
from pitrix.errors import NotFound, TooLarge
from pitrix.events import NullBus
from pitrix.identity.model import SYSTEM, Principal
from pitrix.packages import service as packages
from pitrix.repos.model import PLATFORM_REPO_ID
from pitrix.repos.ports import ObjectPage, StoredObject
from pitrix.table import MemoryTable, Table
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.repos.kit import ReposKit

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

OPERATOR = Principal("usr_op", "olga", "operator", ":")
VENDOR = Principal("usr_ven", "vera", "vendor", ":acme:")
DEVELOPER = Principal("usr_dev", "dan", "developer", ":acme:shop:")
RIVAL = Principal("usr_riv", "rita", "vendor", ":acme-two:")
USER = Principal("usr_use", "ulf", "user", ":team:")

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """A .tgz of those files; the same files give the same bytes."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def package_files(name: str = "shop", version: str = "1.0.0", **metadata: Any) -> dict[str, bytes]:
    """The files of the smallest package that can be deployed; keyword arguments go into package.json."""
    described = {"api_version": "1.0", "type": "vm", "name": name, "version": version, **metadata}
    number = {"key": "count", "label": "Nodes", "type": "integer", "default": 1, "min": 1, "max": 5}
    role = {"key": "web", "label": "Web server", "type": "array", "properties": [number]}
    asked = {"key": "name", "label": "Name", "type": "string", "default": name, "required": False}
    cluster = {"key": "cluster", "label": "Cluster", "type": "array", "properties": [asked, role]}
    node = {
        "role": "web",
        "container": {"type": "kvm", "image": "python3"},
        "count": "{{.cluster.web.count}}",
        "cpu": 1,
        "memory": 512,
        "services": {"start": {"cmd": "true"}, "stop": {"cmd": "true"}},
    }
    chinese = {"Nodes": "节点数", "Web server": "网站"}
    return {
        "package.json": json.dumps(described).encode(),
        "config.json": json.dumps({"type": "array", "properties": [cluster]}).encode(),
        "cluster.json.tmpl": json.dumps({"name": "{{.cluster.name}}", "nodes": [node]}).encode(),
        "README.md": f"# {name}\n".encode(),
        "locale/zh-cn.json": json.dumps(chinese, ensure_ascii=False).encode(),
    }


def package(
    name: str = "shop", version: str = "1.0.0", extra: Mapping[str, bytes] | None = None, **metadata: Any
) -> bytes:
    """The archive of such a package, with extra files."""
    return archive_of({**package_files(name, version, **metadata), **(extra or {})})


class MemoryArchives:
    """`pitrix.catalog.ports.PackageStore` in memory."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.stored: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.provenances: dict[str, bytes] = {}
        self.indexes: dict[str, tuple[bytes, datetime]] = {}
        self.reads = 0

    def put_archive(self, digest: str, archive: bytes) -> None:
        self.archives[digest] = archive

    def archive(self, digest: str) -> bytes:
        self.reads += 1
        try:
            return self.archives[digest]
        except KeyError:
            raise NotFound(f"The archive {digest} is not in the store.") from None

    def put_file(self, digest: str, path: str, data: bytes, content_type: str) -> None:
        self.stored[digest, path] = (data, content_type)

    def archive_url(self, digest: str, filename: str, expires_in_s: int) -> str:
        assert digest in self.archives
        return f"https://archives.test/{digest}?filename={filename}&expires={expires_in_s}"

    def file_url(self, digest: str, path: str, expires_in_s: int) -> str:
        assert (digest, path) in self.stored
        return f"https://files.test/{digest}/{path}"

    def put_provenance(self, version_id: str, provenance: bytes) -> None:
        self.provenances[version_id] = provenance

    def provenance_url(self, version_id: str, filename: str, expires_in_s: int) -> str:
        assert version_id in self.provenances
        return f"https://archives.test/{version_id}.prov?filename={filename}&expires={expires_in_s}"

    def put_index(self, key: str, data: bytes, *, gzipped: bool) -> None:
        assert key.endswith(".gz") == gzipped
        self.indexes[key] = (data, START)

    def index_stored_at(self, key: str) -> datetime | None:
        return self.indexes[key][1] if key in self.indexes else None

    def index_url(self, key: str, expires_in_s: int) -> str:
        assert key in self.indexes
        return f"https://archives.test/indexes/{key}?expires={expires_in_s}"


class MemoryUploads:
    """`pitrix.repos.ports.UploadBucket` in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.expiring: set[str] = set()

    def upload_url(self, key: str, *, size_bytes: int, expires_in_s: int) -> str:
        return f"https://uploads.test/{key}?size={size_bytes}&expires={expires_in_s}"

    def let_expire(self, key: str) -> None:
        self.expiring.add(key)

    def read(self, key: str, *, at_most_bytes: int) -> bytes:
        if key not in self.objects:
            raise NotFound(f"There is no object {key!r}.")
        if len(self.objects[key]) > at_most_bytes:
            raise TooLarge(f"The package has {len(self.objects[key])} bytes.")
        return self.objects[key]

    def list_objects(self, prefix: str, *, limit: int, cursor: str | None) -> ObjectPage:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > (cursor or ""))
        found = [StoredObject(key=key, size_bytes=len(self.objects[key])) for key in keys[:limit]]
        return ObjectPage(objects=found, next_cursor=keys[limit - 1] if len(keys) > limit else None)


class HeardEvents:
    """An event bus that remembers; told to fail, it fails."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        self.fails = False

    def publish(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        if self.fails:
            raise ConnectionError("the bus is away")
        self.heard.append((type, subject, dict(data)))

    @property
    def types(self) -> list[str]:
        return [type for type, _, _ in self.heard]


@dataclass
class World:
    """Both contexts over the same fakes, seeded as a new platform is."""

    catalog_table: Table = field(default_factory=MemoryTable)
    repos_table: Table = field(default_factory=MemoryTable)
    archives: MemoryArchives = field(default_factory=MemoryArchives)
    uploads: MemoryUploads = field(default_factory=MemoryUploads)
    events: HeardEvents = field(default_factory=HeardEvents)
    clock: FixedClock = field(default_factory=lambda: FixedClock(START))

    def __post_init__(self) -> None:
        self.apps = TableAppStore(self.catalog_table)
        self.catalog = CatalogService(
            apps=self.apps, archives=self.archives, reader=packages, events=self.events, clock=self.clock
        )
        self.kit = ReposKit(
            table=self.repos_table,
            uploads=self.uploads,
            catalog=self.catalog,
            events=self.events,
            clock=self.clock,
        )
        self.repos = self.kit.service
        self.catalog.ensure_categories(SYSTEM)
        self.repos.ensure_platform_repo(SYSTEM)

    def publish(self, who: Principal, data: bytes, *, release: bool = True, public: bool = True) -> Any:
        """Publish an archive straight into the catalog, a second after whatever was before."""
        self.clock.advance(1)
        return self.catalog.publish_version(
            who,
            repo_id=PLATFORM_REPO_ID,
            visibility="public" if public else "private",
            auto_release=release,
            package=packages.open_package(data),
            archive=data,
            package_key=f"{PLATFORM_REPO_ID}/{who.user_id}/x.tgz",
        )

    def upload(self, who: Principal, data: bytes, filename: str = "x.tgz", **delivery: str) -> Any:
        """Announce an upload, put it into the bucket, and index it as its notification does."""
        self.clock.advance(1)
        ticket = self.repos.start_upload(
            who, PLATFORM_REPO_ID, filename=filename, size_bytes=max(1, len(data))
        )
        key = ticket.key
        self.uploads.objects[key] = data
        return self.repos.index_object(SYSTEM, key, **delivery)


@dataclass(frozen=True)
class Answer:
    """What API Gateway would send."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def call(
    app: Any,
    method: str,
    resource: str,
    *,
    who: Principal | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    **path: str,
) -> Answer:
    """Call a Chalice app with the event that API Gateway makes of a request to a route of its."""
    event = proxy_event(
        method,
        resource,
        path_parameters=path,
        query={name: [str(value)] for name, value in (query or {}).items()},
        headers=headers,
        body=body,
        authorizer=authorizer_context(who),
    )
    answer = app(event, None)
    return Answer(answer["statusCode"], answer["headers"], answer["body"])


def fill_store(table: Table, *, apps: int) -> None:
    """Publish so many small released apps into a table, through the catalog's own service."""
    catalog = CatalogService(
        apps=TableAppStore(table),
        archives=MemoryArchives(),
        reader=packages,
        events=NullBus(),
        clock=FixedClock(START),
    )
    for number in range(apps):
        archive = package(f"app-{number:05}", title=f"App {number}", description="Benchmarked")
        catalog.publish_version(
            SYSTEM,
            repo_id=PLATFORM_REPO_ID,
            visibility="public",
            auto_release=True,
            package=packages.open_package(archive),
            archive=archive,
            package_key=f"{PLATFORM_REPO_ID}/app-{number:05}.tgz",
        )


# --- fixtures, for the conftest of each context ------------------------------------------------------------


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def deployed(world: World) -> Iterator[World]:
    """The world behind the handlers, as `pitrix.bootstrap` would build it."""
    with (
        bootstrap.override("catalog", world.catalog),
        bootstrap.override("repos", world.repos),
        bootstrap.override("syncs", world.kit.syncs),
        bootstrap.override("sync_steps", world.kit.steps),
        bootstrap.override("table", world.catalog_table, "catalog"),
        bootstrap.override("table", world.repos_table, "repos"),
    ):
        yield world
