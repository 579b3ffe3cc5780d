"""One world a kind of source: a real server on the loopback, and how packages get into it and out again.

`WORLDS` names them by kind; `test_package_sources.py` runs the same laws in each. A kind that is added to the
registry needs a world here.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from infra.local.check import find_registry
from pitrix.packages.formats.helm import binary as helm_binary
from pitrix.repos.model import Credential, Repo, RepoKind
from pitrix.repos.ports import PackageSource
from pitrix.repos.sources import SourceRegistry
from tests.clouds.azurite.server import ACCOUNT, Azurite
from tests.loopback import Reply, Seen, loopback

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----"  # that a repository has one is all that sources look at


def chart(name: str, version: str, note: str = "") -> bytes:
    """A small chart that Helm takes; the same bytes for the same arguments."""
    files = {
        "Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n",
        "values.yaml": f"note: '{note}'\n",
    }
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def repo_of(kind: RepoKind, **fields: Any) -> Repo:
    """A repository with keys, so that provenance is fetched too."""
    return Repo(
        repo_id="repo_x",
        name="x",
        kind=kind,
        owner_path=":",
        owner_id="usr_x",
        created_at=NOW,
        updated_at=NOW,
        **({"keys": [KEY]} | fields),
    )


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class World(ABC):
    """A repository of one kind that is there; what it holds is changed by `put` and `remove`."""

    repo: Repo
    credential: Credential | None = None
    bucket: Any = None

    @cached_property
    def registry(self) -> SourceRegistry:
        """Of an operator who allowed the loopback, where all these servers are."""
        return SourceRegistry(allowed_networks=["127.0.0.0/8"], bucket=self.bucket)

    def source(self, **changes: Any) -> PackageSource:
        """The repository's source; with other fields, if any are given."""
        return self.registry.connect(replace(self.repo, **changes), self.credential)

    @abstractmethod
    def put(self, name: str, version: str, archive: bytes, provenance: bytes | None = None) -> None:
        """Publish one package, or publish it again."""

    @abstractmethod
    def remove(self, name: str, version: str) -> None:
        """Take one away."""

    @property
    @abstractmethod
    def gone(self) -> dict[str, Any]:
        """Fields of a repository of this kind whose server does not answer; empty where it cannot be."""


class HttpWorld(World):
    """A chart repository behind a login, with an ``index.yaml`` in JSON, entity tags and gzip."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.repo = repo_of("http", url=f"{server.url}/charts")
        self.credential = Credential(username="reader", password="open-sesame")
        self.held: dict[tuple[str, str], bytes] = {}
        self._write()

    @property
    def gone(self) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{free_port()}/charts"}

    def put(self, name: str, version: str, archive: bytes, provenance: bytes | None = None) -> None:
        self.held[name, version] = archive
        self._serve(f"/charts/{name}-{version}.tgz", archive)
        if provenance is not None:
            self._serve(f"/charts/{name}-{version}.tgz.prov", provenance)
        self._write()

    def remove(self, name: str, version: str) -> None:
        del self.held[name, version], self.server.routes[f"/charts/{name}-{version}.tgz"]
        self._write()

    def _write(self) -> None:
        entries: dict[str, list[dict[str, Any]]] = {}
        for (name, version), archive in self.held.items():
            url, digest = f"{name}-{version}.tgz", sha256(archive).hexdigest()
            listed = {"name": name, "version": version, "urls": [url], "digest": digest}
            entries.setdefault(name, []).append(listed)
        index = json.dumps({"apiVersion": "v1", "entries": entries}).encode()
        self._serve("/charts/index.yaml", index)

    def _serve(self, path: str, body: bytes) -> None:
        self.server.serve_file(path, body, etag=f'"{sha256(body).hexdigest()}"', packed=True)
        behind = self.server.routes[path]

        def with_login(seen: Seen) -> Any:
            logged_in = seen.headers.get("authorization") == "Basic cmVhZGVyOm9wZW4tc2VzYW1l"
            return behind(seen) if logged_in else Reply(status=401)

        self.server.routes[path] = with_login


class BucketWorld(World):
    """What both kinds of buckets have in common, on moto's S3."""

    folder: str

    def __init__(self, endpoint: str, bucket: str) -> None:
        import boto3

        self.endpoint, self.name = endpoint, bucket
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        self.s3.create_bucket(Bucket=bucket)

    def put(self, name: str, version: str, archive: bytes, provenance: bytes | None = None) -> None:
        key = f"{self.folder}{name}-{version}.tgz"
        self.s3.put_object(Bucket=self.name, Key=key, Body=archive)
        if provenance is not None:
            self.s3.put_object(Bucket=self.name, Key=f"{key}.prov", Body=provenance)

    def remove(self, name: str, version: str) -> None:
        self.s3.delete_object(Bucket=self.name, Key=f"{self.folder}{name}-{version}.tgz")

    def close(self) -> None:
        """Leave nothing for the next test."""
        for found in self.s3.list_objects_v2(Bucket=self.name).get("Contents", []):
            self.s3.delete_object(Bucket=self.name, Key=found["Key"])
        self.s3.delete_bucket(Bucket=self.name)
        self.s3.close()


class S3World(BucketWorld):
    """A folder of a bucket at an endpoint of its own."""

    folder = "charts/stable/"

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, "their-bucket")
        self.repo = repo_of("s3", url="s3://their-bucket/charts/stable", endpoint=endpoint)
        self.credential = Credential(access_key_id="AKIDEXAMPLE", secret_access_key="secret")
        # What must not be seen: other folders, and what is no archive.
        for key in (
            "charts/stable-not/other-1.0.0.tgz",
            "charts/stable/README.md",
            "charts/stable/empty.tgz",
        ):
            self.s3.put_object(Bucket=self.name, Key=key, Body=b"" if "empty" in key else b"x")

    @property
    def gone(self) -> dict[str, Any]:
        return {"endpoint": f"http://127.0.0.1:{free_port()}"}


class PlatformWorld(BucketWorld):
    """The platform's own bucket, with uploads of two repositories."""

    folder = "repo_x/usr_x/"

    def __init__(self, endpoint: str) -> None:
        from pitrix.repos.s3 import S3UploadBucket

        super().__init__(endpoint, "packages")
        self.repo = repo_of("platform")
        self.bucket = S3UploadBucket(lambda: self.s3, "packages")
        self.s3.put_object(Bucket=self.name, Key="repo_xy/usr_x/other-1.0.0.tgz", Body=b"x")

    @property
    def gone(self) -> dict[str, Any]:
        return {}  # the platform's own parts fail as they do everywhere


class AzureWorld(World):
    """A folder of a private container of Azurite, read with a shared access signature."""

    folder = "charts/stable/"

    def __init__(self, azurite: Azurite) -> None:
        self.container = azurite.container()
        name = self.container.container_name
        self.repo = repo_of("azure", url=f"azure://{ACCOUNT}/{name}/charts/stable", endpoint=azurite.blob)
        self.credential = Credential(password=azurite.signature(name))
        for key in (
            "charts/stable-not/other-1.0.0.tgz",
            "charts/stable/README.md",
            "charts/stable/empty.tgz",
        ):
            self.container.upload_blob(key, b"" if "empty" in key else b"x")

    @property
    def gone(self) -> dict[str, Any]:
        return {"endpoint": f"http://127.0.0.1:{free_port()}"}

    def put(self, name: str, version: str, archive: bytes, provenance: bytes | None = None) -> None:
        key = f"{self.folder}{name}-{version}.tgz"
        self.container.upload_blob(key, archive, overwrite=True)
        if provenance is not None:
            self.container.upload_blob(f"{key}.prov", provenance, overwrite=True)

    def remove(self, name: str, version: str) -> None:
        self.container.delete_blob(f"{self.folder}{name}-{version}.tgz")


class OciWorld(World):
    """A repository of charts in Debian's ``docker-registry``, pushed to by the real Helm."""

    def __init__(self, port: int, path: str, folder: Path) -> None:
        self.port, self.path, self.folder = port, path, folder
        self.repo = repo_of("oci", url=f"oci+http://127.0.0.1:{port}/{path}/app")
        self.credential = Credential(username="reader", password="open-sesame")
        self.home = folder / "home"
        self._helm("registry", "login", f"127.0.0.1:{port}", "--username", "reader",
                   "--password-stdin", "--plain-http", input=b"open-sesame")  # fmt: skip

    @property
    def gone(self) -> dict[str, Any]:
        return {"url": f"oci+http://127.0.0.1:{free_port()}/charts/app"}

    def put(self, name: str, version: str, archive: bytes, provenance: bytes | None = None) -> None:
        archive_file = self.folder / f"{name}-{version}.tgz"
        archive_file.write_bytes(archive)
        signed_by = archive_file.with_name(f"{archive_file.name}.prov")
        signed_by.unlink(missing_ok=True)
        if provenance is not None:
            signed_by.write_bytes(provenance)
        self._helm("push", str(archive_file), f"oci://127.0.0.1:{self.port}/{self.path}", "--plain-http")

    def remove(self, name: str, version: str) -> None:
        from pitrix.repos.sources.registry import Registry, parse_reference

        client = self.registry._surroundings.client
        reference = parse_reference(f"oci+http://127.0.0.1:{self.port}/{self.path}/{name}")
        digest, _ = Registry(client, reference, self.credential).head(version.replace("+", "_"))
        login = {"authorization": "Basic cmVhZGVyOm9wZW4tc2VzYW1l"}
        url = f"{reference.base}/v2/{reference.name}/manifests/{digest}"
        deleted = client.send("DELETE", url, at_most_bytes=1000, headers=login, follow=False)
        assert deleted.status == 202

    def _helm(self, *args: str, input: bytes | None = None) -> None:
        self.home.mkdir(exist_ok=True)
        done = helm_binary.run(args, home=self.home, input=input)
        assert done.returncode == 0, done.stderr


# --- servers -----------------------------------------------------------------------------------------------

#: ``reader`` with the password ``open-sesame``.
_HTPASSWD = "reader:$2b$04$c.rdWmgj/cW2v.xWWoXUKuuljJgNDysYkXD4BQe.yVFxcghC5/MLu\n"
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""


@contextmanager
def moto_server() -> Iterator[str]:
    """The address of moto's S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def docker_registry(folder: Path) -> Iterator[int]:
    """The port of a real registry behind a login; skips the test where the program is not installed."""
    program = find_registry()
    if program is None:
        pytest.skip("There is no docker-registry on this machine: apt-get install docker-registry")
    port = free_port()
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port))
    with (folder / "log").open("wb") as log:
        command = [program, "serve", str(folder / "config.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(port, process)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the registry did not start")


# --- worlds ------------------------------------------------------------------------------------------------

#: Gives a running server (moto's address, the registry's port), the same one for every test of a module.
Servers = Callable[[str], Any]


@contextmanager
def _http(servers: Servers, folder: Path) -> Iterator[World]:
    with loopback() as server:
        yield HttpWorld(server)


@contextmanager
def _s3(servers: Servers, folder: Path) -> Iterator[World]:
    world = S3World(servers("moto"))
    yield world
    world.close()


@contextmanager
def _platform(servers: Servers, folder: Path) -> Iterator[World]:
    world = PlatformWorld(servers("moto"))
    yield world
    world.close()


@contextmanager
def _oci(servers: Servers, folder: Path) -> Iterator[World]:
    # A path of its own for every test: the registry keeps what others pushed.
    yield OciWorld(servers("docker-registry"), f"t{sha256(bytes(folder)).hexdigest()[:12]}", folder)


@contextmanager
def _azure(servers: Servers, folder: Path) -> Iterator[World]:
    world = AzureWorld(servers("azurite"))
    yield world
    world.container.delete_container()


WORLDS = {"http": _http, "s3": _s3, "azure": _azure, "platform": _platform, "oci": _oci}
