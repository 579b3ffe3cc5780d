"""Repositories as Helm clients see them: the routes, who may read, and pushing with ChartMuseum's API."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from functions.repos.charts import app
from pitrix import bootstrap
from pitrix.catalog import charts as catalog_charts
from pitrix.identity.model import Principal
from pitrix.repos import pushed_form
from pitrix.repos.charts import ChartRepositories
from pitrix.repos.dynamo import TableRepoStore
from pitrix.repos.model import Repo
from pitrix.table import MemoryTable
from tests.api_gateway import authorizer_context, proxy_event
from tests.unit.catalog.kit import OPERATOR, RIVAL, START, USER, VENDOR, Answer, World, archive_of, package

ROUTE = "/v1/repos/{repo_id}/charts"
PLATFORM = "repo_platform"


class Objects:
    """`pitrix.repos.charts.PushedObjects` over the bucket in memory."""

    def __init__(self, world: World) -> None:
        self._objects = world.uploads.objects

    def put(self, key: str, data: bytes) -> None:
        self._objects[key] = data


@pytest.fixture(autouse=True)
def charts(deployed: World) -> Iterator[ChartRepositories]:
    made = ChartRepositories(
        repos=TableRepoStore(deployed.repos_table),
        charts=deployed.catalog,
        uploads=deployed.repos,
        objects=Objects(deployed),
    )
    with bootstrap.override("charts", made), bootstrap.override("settings", _settings()):
        yield made


def _settings() -> Any:
    return replace(bootstrap.settings(), public_url="http://127.0.0.1:4700")


@pytest.fixture
def private(deployed: World) -> str:
    """A repository that is its owner's alone."""
    made = Repo(
        repo_id="repo_private",
        name="private",
        visibility="private",
        owner_path=VENDOR.owner_path,
        owner_id=VENDOR.user_id,
        auto_release=True,
        created_at=START,
        updated_at=START,
    )
    TableRepoStore(deployed.repos_table).create(made)
    return made.repo_id


def chart(name: str = "shop", version: str = "1.0.0", **described: Any) -> bytes:
    metadata = {"apiVersion": "v2", "name": name, "version": version, "description": "d", **described}
    files = {
        f"{name}/Chart.yaml": json.dumps(metadata).encode(),
        f"{name}/values.yaml": b"a: 1\n",
        f"{name}/templates/map.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n",
    }
    return archive_of(files)


def form(**fields: bytes) -> tuple[str, bytes]:
    """A form as Go's mime/multipart writes it for helm cm-push: the file's whole path, and no length."""
    boundary = "6d1b1ba2ad3d6f9d8b6e9e5c2c3a1f0b7a5e4d3c2b1a09f8e7d6c5b4a392"
    parts = b"".join(
        f"--{boundary}\r\n".encode()
        + f'Content-Disposition: form-data; name="{name}"; filename="/tmp/helm-push-1/x.tgz"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n"
        + data
        + b"\r\n"
        for name, data in fields.items()
    )
    return f"multipart/form-data; boundary={boundary}", parts + f"--{boundary}--\r\n".encode()


def call(
    method: str,
    path: str,
    *,
    who: Principal | None = None,
    repo_id: str = PLATFORM,
    body: tuple[str, bytes] | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, list[str]] | None = None,
    context: dict[str, str] | None = None,
) -> Answer:
    """Call the app as API Gateway does: bodies of binary types come as Base64."""
    static = ("/index.yaml", "/api/charts", "/api/prov")
    event = proxy_event(
        method,
        ROUTE + (path if path in static else "/{file}"),
        path_parameters={"repo_id": repo_id, **({} if path in static else {"file": path[1:]})},
        query=query,
        headers={**(headers or {}), **({"content-type": body[0]} if body else {})},
        body=base64.b64encode(body[1]).decode() if body else None,
        authorizer=authorizer_context(who),
    )
    event["isBase64Encoded"] = body is not None
    event["requestContext"].update(context or {})
    answer = app(event, None)
    return Answer(answer["statusCode"], answer["headers"], answer["body"])


def push(who: Principal | None, *fields: bytes, repo_id: str = PLATFORM, **asked: Any) -> Answer:
    named = dict(zip(("chart", "prov"), fields, strict=False))
    return call("POST", "/api/charts", who=who, repo_id=repo_id, body=form(**named), **asked)


def listed(who: Principal | None = None, repo_id: str = PLATFORM) -> dict[str, Any]:
    answer = call("GET", "/index.yaml", who=who, repo_id=repo_id)
    assert answer.status == 200
    found: dict[str, Any] = answer.json["entries"]
    return found


def test_what_is_pushed_is_in_the_index_at_once(deployed: World) -> None:
    answer = push(VENDOR, chart())
    assert (answer.status, answer.json) == (201, {"saved": True})
    [entry] = listed()["shop"]
    assert entry["urls"] == ["shop-1.0.0.tgz"]
    found = call("GET", "/shop-1.0.0.tgz")
    assert found.status == 302
    assert entry["digest"] in found.headers["Location"]
    [app_] = deployed.catalog.list_apps(VENDOR, name="shop").apps
    assert (app_.owner_path, app_.type) == (VENDOR.owner_path, "helm")


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "application/x-www-form-urlencoded", ""]
)
def test_the_bare_archive_does_too(content_type: str) -> None:
    """curl --data-binary calls everything a form."""
    assert call("POST", "/api/charts", who=VENDOR, body=(content_type, chart())).status == 201
    assert list(listed()) == ["shop"]


def test_what_is_there_already_is_a_conflict_that_the_plugin_can_show() -> None:
    push(VENDOR, chart())
    again = push(VENDOR, chart())
    assert again.status == 409
    assert "shop-1.0.0.tgz is in this repository already" in again.json["error"]
    assert again.json["detail"] == again.json["error"]
    assert again.json["instance"] == "/v1/repos/repo_platform/charts/api/charts"
    assert push(VENDOR, chart(), query={"force": [""]}).status == 201, "the same bytes, by force"
    other = push(VENDOR, chart(description="other"), query={"force": [""]})
    assert other.status == 409
    assert "a version never changes" in other.json["error"]


def test_a_refused_chart_says_why() -> None:
    broken = archive_of({"shop/Chart.yaml": b"apiVersion: v2\nname: shop\nversion: not a version\n"})
    for archive, why in [
        (broken, "version"),
        (b"\x1f\x8bnonsense", "no chart"),
        (package(), "no chart"),
        (archive_of({"shop/Chart.yaml": b"name: shop\n"}), "no version"),
        (archive_of({"shop/Chart.yaml": b"name: ../../etc\nversion: 1.0.0\n"}), "'../../etc'"),
    ]:
        answer = push(VENDOR, archive)
        assert answer.status == 400, answer.text
        assert why in answer.json["error"]
    assert listed() == {}


@pytest.mark.parametrize(
    "body",
    [
        ("multipart/form-data; boundary=x", b"nonsense"),
        ("multipart/form-data", b"--x\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\n" + b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n' * 50,
        ),
        ("application/octet-stream", b""),
    ],
)
def test_broken_forms_are_named(body: tuple[str, bytes]) -> None:
    answer = call("POST", "/api/charts", who=VENDOR, body=body)
    assert answer.status == 400
    assert answer.json["error"]


def test_the_first_of_two_files_of_one_name_counts() -> None:
    kind, body = form(chart=b"one")
    head = body.rpartition(b"--\r\n")[0].rpartition(b"--")[0]
    assert pushed_form.read(kind, head + form(chart=b"two")[1]).chart == b"one"


def test_a_visitor_is_asked_for_a_password_and_a_stranger_finds_nothing(private: str) -> None:
    assert push(VENDOR, chart(), repo_id=private).status == 201
    for path in ("/index.yaml", "/shop-1.0.0.tgz"):
        visitor = call("GET", path, repo_id=private)
        assert visitor.status == 401
        assert visitor.headers["WWW-Authenticate"].startswith("Basic ")
        assert call("GET", path, repo_id="repo_nothing").status == 401, "nor can he tell what there is"
        for stranger in (USER, RIVAL):
            assert call("GET", path, who=stranger, repo_id=private).status == 404
    assert list(listed(VENDOR, private)) == list(listed(OPERATOR, private)) == ["shop"]
    assert listed() == {}
    assert push(None, chart()).status == 401
    assert push(USER, chart()).status == 403
    assert push(RIVAL, chart(), repo_id=private).status == 404


def test_unchanged_costs_a_304() -> None:
    push(VENDOR, chart())
    first = call("GET", "/index.yaml")
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = {"if-none-match": first.headers["ETag"]}
    again = call("GET", "/index.yaml", headers=known)
    assert (again.status, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    push(VENDOR, chart(version="1.0.1"))
    assert call("GET", "/index.yaml", headers=known).status == 200


def test_a_long_index_is_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_charts, "INLINE_BYTES", 10)
    push(VENDOR, chart())
    plain = call("GET", "/index.yaml")
    packed = call("GET", "/index.yaml", headers={"accept-encoding": "gzip, br"})
    assert (plain.status, packed.status) == (302, 302)
    assert ".json?" in plain.headers["Location"]
    assert ".json.gz?" in packed.headers["Location"]


@pytest.mark.parametrize(
    ("context", "before"),
    [
        ({}, ""),
        (
            {
                "domainName": "a1.execute-api.eu-west-1.amazonaws.com",
                "path": "/live/v1/repos/repo_platform/charts/index.yaml",
            },
            "/live",
        ),
        ({"domainName": "store.example.com", "path": "/v1/repos/repo_platform/charts/index.yaml"}, ""),
        (
            {"domainName": "store.example.com", "path": "/base/v1/repos/repo_platform/charts/index.yaml"},
            "/base",
        ),
    ],
)
def test_the_push_plugin_finds_its_way(context: dict[str, str], before: str) -> None:
    """helm cm-push joins the context path, ``api``, what the repository's path has beyond, and ``charts``."""
    answer = call("GET", "/index.yaml", context=context)
    context_path = answer.json["serverInfo"]["contextPath"]
    repository = f"{before}/v1/repos/{PLATFORM}/charts"
    rest = repository.removeprefix(context_path).strip("/")
    assert "/".join(filter(None, [context_path, "api", rest, "charts"])) == f"{repository}/api/charts"


SIGNED = b"""-----BEGIN PGP SIGNED MESSAGE-----

name: shop

...
files:
  shop-1.0.0.tgz: sha256:00
-----BEGIN"""


def test_a_provenance_comes_with_the_chart_or_after_it(deployed: World) -> None:
    assert push(VENDOR, chart(), SIGNED).status == 201
    assert call("GET", "/shop-1.0.0.tgz.prov").status == 302
    assert push(VENDOR, chart(version="1.0.1")).status == 201
    assert call("GET", "/shop-1.0.1.tgz.prov").status == 404
    later = SIGNED.replace(b"1.0.0", b"1.0.1")
    assert call("POST", "/api/prov", who=VENDOR, body=("", later)).json == {"saved": True}
    assert call("GET", "/shop-1.0.1.tgz.prov").status == 302
    assert call("POST", "/api/prov", who=VENDOR, body=("", b"nothing")).status == 400
    form_only = call("POST", "/api/charts", who=VENDOR, body=form(prov=later))
    assert form_only.status == 201


def test_a_repository_that_is_being_deleted_is_gone(deployed: World, private: str) -> None:
    store = TableRepoStore(deployed.repos_table)
    repo = store.repo(private)
    assert repo is not None
    store.save(repo, replace(repo, status="deleting"))
    assert call("GET", "/index.yaml", who=VENDOR, repo_id=private).status == 404
    assert isinstance(deployed.repos_table, MemoryTable)
