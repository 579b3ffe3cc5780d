"""The real Helm on the running platform: every repository is one of its own kind.

`helm` is the program that the platform renders charts with. The push plugin has no build in a package
registry, so `push` sends what its source sends: to the context path of the index, one field of a form, no
length.
"""

from __future__ import annotations

import gzip
import http.client
import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx
import pytest
from pysequoia import Tsk

from pitrix.packages import provenance
from pitrix.packages.formats.helm import binary as helm_binary
from tests.e2e.api import ApiUser, wait_for
from tests.local_platform import LocalPlatform

pytestmark = pytest.mark.emulator

#: Names of this run, so that the tests can be run again on a platform that keeps running.
RUN = secrets.token_hex(3)
SHOP = f"shop-{RUN}"
PASSWORD = f"Long-enough-{RUN}"


@dataclass
class Helm:
    """The program with a home of its own that stays from one command to the next."""

    home: Path
    work: Path

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Run a command; returns what it printed, and its complaint where it is to fail."""
        homes = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [str(helm_binary.path()), *arguments],
            cwd=self.work,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **homes},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    def chart(self, name: str, version: str = "0.1.0") -> Path:
        """Make and package a chart as its author would."""
        if not (self.work / name).is_dir():
            self("create", name)
        self("package", name, "--version", version)
        return self.work / f"{name}-{version}.tgz"

    def found(self, what: str) -> dict[str, str]:
        """Versions by the names that `search repo` finds."""
        self("repo", "update")
        rows = json.loads(self("search", "repo", what, "--output", "json"))
        return {row["name"]: row["version"] for row in rows}


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    (tmp_path / "home").mkdir()
    (tmp_path / "work" / "pulled").mkdir(parents=True)
    return Helm(tmp_path / "home", tmp_path / "work")


@pytest.fixture(scope="module")
def people(platform: LocalPlatform) -> Iterator[dict[str, ApiUser]]:
    """Two vendors of different organisations, as they are after signing in."""
    operator = ApiUser(platform.api_url, platform.passwords, "operator")
    found = {"operator": operator}
    for name in ("acme", "globex"):
        username = f"{name}-{RUN}"
        body = {"username": username, "password": PASSWORD, "role": "vendor", "owner_path": f":{name}-{RUN}:"}
        operator.call("POST", "/users", body, status=201)
        found[name] = ApiUser(platform.api_url, {username: PASSWORD}, username)
    yield found
    for user in found.values():
        user.http.close()


@pytest.fixture(scope="module")
def private(people: dict[str, ApiUser]) -> str:
    """The id of a repository that is Acme's alone and releases what comes in."""
    body = {"name": f"acme-{RUN}", "visibility": "private", "auto_release": True}
    made = people["acme"].call("POST", "/repos", body, status=201)
    assert made["auto_release"], "a pushed chart is in the index without a review"
    return str(made["repo_id"])


def address(platform: LocalPlatform, repo_id: str) -> str:
    return f"{platform.api_url}/repos/{repo_id}/charts"


def push(
    platform: LocalPlatform,
    repo_id: str,
    archive: Path,
    login: tuple[str, str] | None,
    *,
    provenance_: bytes | None = None,
    force: bool = False,
) -> tuple[int, dict[str, object]]:
    """Push as `helm cm-push` does (pkg/chartmuseum/upload.go): the index tells where, the body has chunks."""
    repository = address(platform, repo_id)
    index = httpx.get(f"{repository}/index.yaml", auth=login)
    assert index.status_code == 200, index.text
    context = index.json()["serverInfo"]["contextPath"]
    rest = urlsplit(repository).path.removeprefix(context).lstrip("/")
    path = str(PurePosixPath(context, "api", rest, "charts"))
    boundary = secrets.token_hex(30)
    parts = {"chart": (str(archive), archive.read_bytes())}
    if provenance_ is not None:
        parts["prov"] = (f"{archive}.prov", provenance_)
    chunks = []
    for name, (filename, data) in parts.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
        chunks += [f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode(), data]
        chunks.append(b"\r\n")
    chunks.append(f"--{boundary}--\r\n".encode())
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "User-Agent": "Go-http-client/1.1",
        "Accept-Encoding": "gzip",
    }
    if login:
        headers["Authorization"] = httpx.BasicAuth(*login)._auth_header
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=60)
    try:
        target = path + ("?force" if force else "")
        connection.request("POST", target, body=iter(chunks), headers=headers, encode_chunked=True)
        answer = connection.getresponse()
        raw = answer.read()
    finally:
        connection.close()
    text = gzip.decompress(raw) if answer.headers.get("Content-Encoding") == "gzip" else raw
    return answer.status, json.loads(text)


def test_a_public_repository_needs_no_login(platform: LocalPlatform, helm: Helm) -> None:
    vera = ("vera", platform.passwords["vera"])
    archive = helm.chart(SHOP)
    assert push(platform, "repo_platform", archive, vera) == (201, {"saved": True})
    helm("repo", "add", "pitrix", address(platform, "repo_platform"))
    assert helm.found(SHOP) == {f"pitrix/{SHOP}": "0.1.0"}, "right after the push"
    assert "replicaCount" in helm("show", "values", f"pitrix/{SHOP}")
    helm("pull", f"pitrix/{SHOP}", "--destination", "pulled")
    assert (helm.work / "pulled" / archive.name).read_bytes() == archive.read_bytes()
    assert "kind: Deployment" in helm("template", "mine", f"pitrix/{SHOP}")
    assert "STATUS: pending-install" in helm("install", "mine", f"pitrix/{SHOP}", "--dry-run=client")
    push(platform, "repo_platform", helm.chart(SHOP, "0.2.0"), vera)
    assert helm.found(SHOP) == {f"pitrix/{SHOP}": "0.2.0"}
    helm("pull", f"pitrix/{SHOP}", "--version", "0.1.0")


def test_a_push_tells_what_is_wrong(platform: LocalPlatform, helm: Helm) -> None:
    vera = ("vera", platform.passwords["vera"])
    archive = helm.chart(f"twice-{RUN}")
    assert push(platform, "repo_platform", archive, vera)[0] == 201
    status, answer = push(platform, "repo_platform", archive, vera)
    assert (status, "already" in str(answer["error"])) == (409, True)
    assert push(platform, "repo_platform", archive, vera, force=True)[0] == 201
    assert push(platform, "repo_platform", archive, None)[0] == 401
    uma = ("uma", platform.passwords["uma"])
    assert push(platform, "repo_platform", archive, uma)[0] == 403
    big = helm.work / "big-1.0.0.tgz"
    big.write_bytes(bytes(11 * 1024 * 1024))
    status, answer = push(platform, "repo_platform", big, vera)
    assert (status, "/packages" in str(answer["error"])) == (413, True)


def test_a_private_repository_wants_a_password(
    platform: LocalPlatform, helm: Helm, people: dict[str, ApiUser], private: str
) -> None:
    acme, globex = (f"acme-{RUN}", PASSWORD), (f"globex-{RUN}", PASSWORD)
    name = f"secret-{RUN}"
    assert push(platform, private, helm.chart(name), acme)[0] == 201
    url = address(platform, private)
    assert "401" in helm("repo", "add", "none", url, fails=True)
    wrong = ("--username", acme[0], "--password", "wrong")
    assert "401" in helm("repo", "add", "none", url, *wrong, fails=True)
    helm("repo", "add", "acme", url, "--username", acme[0], "--password", acme[1])
    assert helm.found(name) == {f"acme/{name}": "0.1.0"}
    helm("pull", f"acme/{name}")
    assert "kind: Service" in helm("template", "mine", f"acme/{name}")
    token = people["acme"].http.headers["Authorization"].removeprefix("Bearer ")
    helm("repo", "add", "by-token", url, "--username", "token", "--password", token)
    assert "404" in helm(
        "repo", "add", "none", url, "--username", globex[0], "--password", globex[1], fails=True
    )
    assert httpx.get(f"{url}/{name}-0.1.0.tgz", auth=globex).status_code == 404
    public = httpx.get(f"{address(platform, 'repo_platform')}/index.yaml", auth=acme).text
    assert name not in public


def test_a_signed_chart_is_verified(platform: LocalPlatform, helm: Helm, private: str) -> None:
    acme = (f"acme-{RUN}", PASSWORD)
    archive = helm.chart(f"signed-{RUN}")
    key = Tsk.generate(f"Jane <jane-{RUN}@example.com>")
    described = f"apiVersion: v2\nname: signed-{RUN}\nversion: 0.1.0\n"
    signed = provenance.sign(archive.read_bytes(), archive.name, described, key=bytes(key))
    assert push(platform, private, archive, acme, provenance_=signed)[0] == 201
    helm("repo", "add", "acme", address(platform, private), "--username", acme[0], "--password", acme[1])
    helm("pull", "--prov", f"acme/signed-{RUN}", "--destination", "pulled")
    assert (helm.work / "pulled" / f"{archive.name}.prov").read_bytes() == signed
    ring = helm.work / "ring.gpg"
    ring.write_bytes(bytes(key.extract_certificate()))
    helm("pull", "--verify", "--keyring", str(ring), f"acme/signed-{RUN}")
    other = helm.work / "other.gpg"
    other.write_bytes(bytes(Tsk.generate("Eve <eve@example.com>").extract_certificate()))
    helm("pull", "--verify", "--keyring", str(other), f"acme/signed-{RUN}", fails=True)


def test_what_is_withdrawn_vanishes_and_comes_back(
    platform: LocalPlatform, helm: Helm, people: dict[str, ApiUser], private: str
) -> None:
    acme = people["acme"]
    name = f"fickle-{RUN}"
    login = (f"acme-{RUN}", PASSWORD)
    push(platform, private, helm.chart(name), login)
    helm("repo", "add", "acme", address(platform, private), "--username", login[0], "--password", login[1])
    assert list(helm.found(name)) == [f"acme/{name}"]
    [app] = acme.items("/apps", scope="mine", name=name)
    [version] = acme.items(f"/apps/{app['app_id']}/versions")
    place = f"/apps/{app['app_id']}/versions/{version['version_id']}"
    file = f"{address(platform, private)}/{name}-0.1.0.tgz"
    for action, there in [("suspend", False), ("recover", True), ("suspend", False)]:
        acme.call("POST", f"{place}/actions/{action}")
        assert bool(helm.found(name)) == there
        assert httpx.get(file, auth=login).status_code == (302 if there else 404)
    acme.call("DELETE", place)
    assert helm.found(name) == {}


def test_caches_are_told_when_nothing_changed(platform: LocalPlatform, helm: Helm) -> None:
    vera = ("vera", platform.passwords["vera"])
    push(platform, "repo_platform", helm.chart(f"cached-{RUN}"), vera)
    index = f"{address(platform, 'repo_platform')}/index.yaml"
    with httpx.Client(headers={"Accept-Encoding": "identity"}) as plain:
        first = plain.get(index)
        again = plain.get(index, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        packed = httpx.get(index, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.num_bytes_downloaded < len(first.content)
        assert packed.content == first.content
        push(platform, "repo_platform", helm.chart(f"cached-{RUN}", "0.1.1"), vera)
        changed = plain.get(index, headers={"If-None-Match": first.headers["ETag"]})
        assert (changed.status_code, changed.headers["ETag"] == first.headers["ETag"]) == (200, False)


def test_an_upload_by_presigned_address_is_listed_too(
    platform: LocalPlatform, helm: Helm, people: dict[str, ApiUser]
) -> None:
    archive = helm.chart(f"uploaded-{RUN}")
    event = people["acme"].upload(archive.name, archive.read_bytes())
    assert event["outcome"] == "indexed", event
    helm("repo", "add", "pitrix", address(platform, "repo_platform"))
    wait_for("the chart in the index", lambda: helm.found(f"uploaded-{RUN}"))
