"""What answers become, on a machine without a platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pitrix.cli import package_render
from pitrix.packages import service as packages
from pitrix.packages.model import Manifest
from tests.unit.cli.conftest import GUESTBOOK, Line


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    for path, data in packages.scaffold("web", "helm").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize("kind", packages.types())
def test_a_new_package_renders_without_answers(kind: str, pitrix: Line, tmp_path: Path) -> None:
    assert pitrix("package", "create", "web", "--type", kind, "--dir", str(tmp_path / "web")).exit_code == 0
    made = pitrix.json("package", "render", str(tmp_path / "web"))["manifests"]
    assert made
    assert all(set(each) == {"path", "text"} and each["text"] for each in made)


def test_a_vm_package_becomes_its_cluster_json(pitrix: Line, tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text("cluster:\n  name: from the file\n  web:\n    count: 2\n")
    options = ("--answers", str(tmp_path / "answers.yaml"), "--set", "cluster.name=from the line")
    result = pitrix("package", "render", str(GUESTBOOK), *options)
    assert result.exit_code == 0, result.stderr
    cluster = json.loads(result.stdout)
    assert cluster["name"] == "from the line"
    assert {node["role"]: node["count"] for node in cluster["nodes"]}["web"] == 2


def test_an_archive_renders_as_its_directory_does(pitrix: Line, tmp_path: Path, guestbook: bytes) -> None:
    (tmp_path / "g.tgz").write_bytes(guestbook)
    archive = pitrix("package", "render", str(tmp_path / "g.tgz"))
    assert (archive.exit_code, archive.stdout) == (0, pitrix("package", "render", str(GUESTBOOK)).stdout)


def test_a_chart_becomes_a_stream_that_says_where_each_part_comes_from(pitrix: Line, chart: Path) -> None:
    result = pitrix("package", "render", str(chart), "--set", "replicas=3", "--name", "mine")
    assert result.exit_code == 0, result.stderr
    assert "---\n# Source: templates/deployment.yaml\n" in result.stdout
    assert "replicas: 3" in result.stdout
    assert "app.kubernetes.io/instance: mine" in result.stdout


def test_answers_come_from_standard_input(pitrix: Line, chart: Path) -> None:
    result = pitrix("package", "render", str(chart), "--answers", "-", input='{"replicas": 4}')
    assert (result.exit_code, "replicas: 4" in result.stdout) == (0, True), result.stderr


def test_files_are_written_below_a_directory(pitrix: Line, chart: Path, tmp_path: Path) -> None:
    made = pitrix.json("package", "render", str(chart), "--out", str(tmp_path / "out"))
    assert str(tmp_path / "out" / "templates" / "service.yaml") in made["files"]
    assert "kind: Service" in (tmp_path / "out" / "templates" / "service.yaml").read_text()
    result = pitrix("package", "render", str(chart), "--out", str(tmp_path / "out"))
    assert f"Wrote {tmp_path / 'out' / 'templates' / 'service.yaml'}" in result.stdout


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil"])
def test_no_file_is_written_outside_of_it(
    path: str, pitrix: Line, chart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        package_render.packages, "manifests", lambda *_, **__: [Manifest(path=path, text="x")]
    )
    result = pitrix("package", "render", str(chart), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "would be written outside" in result.stderr
    assert not (tmp_path / "evil").exists()


def test_every_bad_answer_is_named_at_once(pitrix: Line, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text('{"cluster": {"web": {"count": 99}}}')
    options = (
        "--set",
        "nope=1",
        "--set",
        "cluster.web.cpu=many",
        "--answers",
        str(tmp_path / "answers.json"),
    )
    result = pitrix("package", "render", str(GUESTBOOK), *options)
    assert result.exit_code == 1
    for field in ("nope", "cluster.web.cpu", "cluster.web.count"):
        assert f"  {field}: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "answers.yaml is not JSON or YAML: "),
        ("- 1\n", "must hold a JSON object"),
        ("a: &x [*x]", "not JSON"),
    ],
)
def test_answers_that_cannot_be_read(text: str, says: str, pitrix: Line, tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text(text)
    result = pitrix("package", "render", str(GUESTBOOK), "--answers", str(tmp_path / "answers.yaml"))
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_broken_package_is_shown_and_not_rendered(pitrix: Line, chart: Path) -> None:
    (chart / "Chart.yaml").write_text("name: web\nversion: one\n")
    result = pitrix("package", "render", str(chart))
    assert result.exit_code == 1
    assert "Chart.yaml:" in result.stdout


def test_without_helm_it_says_how_to_get_it(
    pitrix: Line, chart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PITRIX_HELM", str(tmp_path / "none"))
    result = pitrix("package", "render", str(chart))
    assert result.exit_code == 1
    assert result.stderr.startswith("This machine cannot render it: PITRIX_HELM names ")
    assert pitrix("package", "lint", str(chart)).exit_code == 0


@pytest.mark.parametrize("name", packages.schema_names())
def test_schemas_are_printed_for_editors(name: str, pitrix: Line) -> None:
    result = pitrix("package", "schema", name)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_schemas_are_listed(pitrix: Line) -> None:
    lines = pitrix("package", "schema").stdout.splitlines()
    assert [line.split()[0] for line in lines] == packages.schema_names()
    assert any("config.json: what a package asks" in line for line in lines)


def test_a_schema_that_is_not_there(pitrix: Line) -> None:
    result = pitrix("package", "schema", "nope")
    assert result.exit_code == 1
    assert "config" in result.stderr


def test_an_unknown_key_is_told_what_is_asked_instead(pitrix: Line, chart: Path) -> None:
    result = pitrix("package", "render", str(chart), "--set", "replicaCount=2")
    assert result.exit_code == 1
    assert "replicaCount: is not a field of this application" in result.stderr
    assert "It asks for: replicas, " in result.stderr
    assert "It asks for" not in pitrix("package", "render", str(chart), "--set", "replicas=99").stderr
