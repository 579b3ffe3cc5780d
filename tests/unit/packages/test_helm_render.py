"""What a chart becomes, by the real Helm; hostile charts are bounded and learn nothing."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pitrix.errors import InvalidInput, PackageInvalid, ServiceUnavailable, TooLarge
from pitrix.packages import archive
from pitrix.packages import service as packages
from pitrix.packages.formats.helm import render as helm_render
from pitrix.packages.forms.answers import overrides
from tests.unit.packages.helm_charts import CHART, helm, opened, put, rendered, write

V2 = "apiVersion: v2\nname: shop\nversion: 1.2.3\n"


def template(text: str, **more: str) -> dict[str, bytes]:
    """A chart with one template."""
    return put(CHART, {"templates/deployment.yaml": None, "templates/a.yaml": text, **more})


def refusal(files: dict[str, bytes], answers: Any = None) -> PackageInvalid:
    """Why a chart that opens cannot be rendered."""
    package = opened(files)
    with pytest.raises(PackageInvalid) as caught:
        packages.preview(package, answers, name="r1")
    return caught.value


def test_answers_reach_the_templates_and_each_file_is_one_manifest() -> None:
    two = "kind: A\nn: {{ .Values.replicas }}\n---\nkind: B\n"
    files = put(CHART, {"templates/two.yaml": two, "crds/c.yaml": "kind: C\n---\nkind: D\n"})
    made = rendered(files, {"replicas": 7})
    assert made["templates/two.yaml"] == "kind: A\nn: 7\n---\nkind: B\n"
    assert made["crds/c.yaml"] == "kind: C\n---\nkind: D\n"
    assert 'replicas: "7"' in made["templates/deployment.yaml"]
    assert "name: r1" in made["templates/deployment.yaml"]


def test_only_what_differs_is_given_to_helm() -> None:
    """What is untouched is not said, a key that is taken away is null; a default of the schema counts where
    Helm asks for a value."""
    values = "tag: null\nlabels: {a: one, b: two}\nport: 80\n"
    schema = {
        "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "size": {"type": "integer", "default": 5},
            "note": {"type": "string", "default": "unasked"},
        },
        "required": ["size"],
    }
    files = template("values: {{ .Values | toJson }}\n", **{"values.yaml": values})
    files = put(files, {"values.schema.json": json.dumps(schema)})
    asked = packages.form(opened(files))
    own = {"tag": None, "labels": {"a": "one", "b": "two"}, "port": 80}
    assert overrides(asked, packages.complete_answers(asked, {}), own) == {"size": 5}
    complete = packages.complete_answers(asked, {"port": 81, "labels": {"a": "x"}})
    given = overrides(asked, complete, own)
    assert given == {"port": 81, "size": 5, "labels": {"a": "x", "b": None}}
    shown = rendered(files, {"port": 81, "labels": {"a": "x"}})["templates/a.yaml"]
    assert json.loads(shown.removeprefix("values: ")) == {
        "tag": None,
        "labels": {"a": "x"},
        "port": 81,
        "size": 5,
    }


def test_a_dependency_that_was_built_is_rendered_with_its_values(tmp_path: Path) -> None:
    child = {
        "Chart.yaml": b"apiVersion: v2\nname: db\nversion: 1.4.0\n",
        "values.yaml": b"size: 1\n",
        "templates/db.yaml": b"kind: Db\nsize: {{ .Values.size }}\n",
    }
    write(tmp_path / "db", child)
    needs = V2 + (
        "dependencies:\n- name: db\n  version: 1.x\n  repository: file://../db\n"
        "  alias: store\n  condition: store.enabled\n"
    )
    write(
        tmp_path / "shop",
        put(CHART, {"Chart.yaml": needs, "values.yaml": "replicas: 1\nstore: {enabled: true, size: 2}\n"}),
    )
    helm("dependency", "build", "shop", cwd=tmp_path)
    helm("package", "shop", cwd=tmp_path)
    package = packages.open_package((tmp_path / "shop-1.2.3.tgz").read_bytes())
    made = {each.path: each.text for each in packages.preview(package, {"store": {"size": 9}})}
    assert made["charts/store/templates/db.yaml"] == "kind: Db\nsize: 9\n"
    off = packages.preview(package, {"store": {"enabled": False}})
    assert [each.path for each in off] == ["templates/deployment.yaml"]


def test_a_chart_of_the_first_generation_is_rendered() -> None:
    files = put(CHART, {"Chart.yaml": V2.replace("v2", "v1"), "requirements.yaml": "dependencies: []\n"})
    assert "templates/deployment.yaml" in rendered(files)


def test_a_chart_for_old_clusters_is_rendered_for_one() -> None:
    files = template("v: {{ .Capabilities.KubeVersion }}\n", **{"Chart.yaml": f"{V2}kubeVersion: '<1.25'\n"})
    assert rendered(files)["templates/a.yaml"] == "v: v1.24.0\n"


# --- what is refused ---------------------------------------------------------------------------------------


def test_a_dependency_that_is_not_carried_is_named() -> None:
    error = refusal(put(CHART, {"Chart.yaml": f"{V2}dependencies: [{{name: db, version: 1.x}}]\n"}))
    assert [(each.file, each.line, each.key) for each in error.problems] == [
        ("Chart.yaml", 4, "/dependencies/0")
    ]
    assert "'db' is needed but not in charts/" in error.detail


def test_a_library_cannot_be_deployed() -> None:
    files = put(CHART, {"Chart.yaml": f"{V2}type: library\n"})
    assert packages.form(opened(files)).fields() == []
    error = refusal(files)
    assert "library" in error.detail
    assert error.problems[0].key == "/type"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: {{ .Values.replicas.x.y }}\n", 2, "can't evaluate field x"),
        ('{{ required "a name is needed" .Values.name }}', 1, "a name is needed"),
        ('\n\n{{ fail "not on Mondays" }}', 3, "not on Mondays"),
        ("a: {{ nosuchfunction }}", 1, 'function "nosuchfunction" not defined'),
        ("a: [", 0, "YAML parse error"),
        ('{{ include "shop.deep" . }}', 3, "nil pointer"),
        ('a: {{ env "HOME" }}', 1, 'function "env" not defined'),
    ],
)
def test_errors_of_templates_name_file_and_line(text: str, line: int, words: str) -> None:
    helpers = '\n{{ define "shop.deep" }}\n{{ .Values.gone.more }}{{ end }}'
    error = refusal(template(text, **{"templates/_h.tpl": helpers}))
    (problem,) = error.problems
    file = "templates/_h.tpl" if "shop.deep" in text else "templates/a.yaml"
    assert (problem.file, problem.line) == (file, line), problem
    assert words in problem.message
    assert error.errors[0].field == file


def test_values_that_the_schema_refuses_are_told() -> None:
    """What a form cannot draw is checked by Helm: here a rule between two values."""
    schema = '{"if": {"properties": {"replicas": {"const": 2}}}, "then": {"required": ["zone"]}}'
    error = refusal(put(CHART, {"values.schema.json": schema}), {"replicas": 2})
    assert "zone" in error.detail


@pytest.mark.parametrize("name", ["-x", "A", "a_b", "x" * 54, "a/b", "--post-renderer=x", "a\n"])
def test_names_of_releases_are_checked(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        packages.manifests(opened(CHART), {}, name=name)
    assert caught.value.errors[0].field == "name"


def test_without_helm_the_preview_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PITRIX_HELM", str(tmp_path / "gone"))
    with pytest.raises(ServiceUnavailable, match="PITRIX_HELM"):
        rendered(CHART)


# --- hostile charts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}',
        '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}',
        '{{ repeat 2000000000 "x" }}',
        "{{ range until 2000000000 }}x{{ end }}",
        '{{ $x := "0123456789" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ $x }}',
        "{{ range until 20000 }}{{ range until 20000 }}{{ end }}{{ end }}",
        '{{ $x := "{{ tpl .Values.x . }}" }}{{ tpl $x (dict "Values" (dict "x" $x) "Template" .Template) }}',
        'x: {{ repeat 9000000 "y" }}',
        '{{ fail (repeat 4000000 "shop/templates/") }}',
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 9)),
    ],
)
def test_charts_without_end_are_stopped(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm_render, "TIMEOUT_S", 0.7)
    begun = time.monotonic()
    error = refusal(template(text))
    assert time.monotonic() - begun < 6
    assert len(error.detail) < 1000


def test_a_chart_that_wants_all_memory_is_told_so() -> None:
    error = refusal(template("{{ range until 2000000000 }}x{{ end }}"))
    assert "MiB of memory" in error.detail


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('a: {{ lookup "v1" "Secret" "kube-system" "" | toJson }}', "a: {}\n"),
        ('a: {{ .Files.Get "../../etc/passwd" | quote }}', 'a: ""\n'),
        ('a: {{ .Files.Get "/etc/passwd" | quote }}', 'a: ""\n'),
        ('a: {{ .Files.Get "templates/../../values.json" | quote }}', 'a: ""\n'),
        ('a: {{ getHostByName "localhost" | quote }}', 'a: ""\n'),
        ('a: {{ .Files.Glob "../**" | toJson }}', "a: {}\n"),
    ],
)
def test_charts_learn_nothing_of_the_machine(text: str, result: str) -> None:
    assert rendered(template(text))["templates/a.yaml"] == result


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("packed", [False, True])
def test_schemas_make_helm_ask_nobody(listener: tuple[str, list[str]], packed: bool, tmp_path: Path) -> None:
    url, asked = listener
    schema = json.dumps({"$schema": f"{url}/meta", "properties": {"a": {"$ref": f"{url}/ref"}}})
    plain = put(CHART, {"values.schema.json": schema, "values.yaml": "a: 1\n"})
    folder = write(tmp_path / "shop", plain)
    from pitrix.packages.formats.helm import binary as helm_binary

    assert "failing loading" in helm_binary.run(["template", "shop"], cwd=tmp_path).stderr or asked
    asked.clear()
    if packed:
        child = {**plain, "Chart.yaml": V2.replace("shop", "inner").encode()}
        plain = {
            **put(CHART, {"Chart.yaml": f"{V2}dependencies: [{{name: inner, version: 1.x}}]\n"}),
            "charts/inner-1.2.3.tgz": archive.write(child, "inner"),
        }
        folder = write(tmp_path / "outer", plain)
    rendered(plain)
    packages.lint(folder, deeply=True)
    assert asked == []


def test_schemas_do_not_read_files_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"const": "hidden"}')
    schema = json.dumps({"properties": {"replicas": {"$ref": f"file://{secret}"}}})
    assert "templates/deployment.yaml" in rendered(put(CHART, {"values.schema.json": schema}))


def test_a_template_cannot_forge_the_path_of_a_manifest() -> None:
    text = "a: 1\n---\n# Source: shop/../../etc/cron.d/x\nb: 2\n---\n# Source: /etc/passwd\nc: 3\n"
    crd = "kind: X\n---\n# Source: shop/../../etc/cron.d/x\nkind: Y\n"
    made = rendered(template(text, **{"crds/x.yaml": crd}))
    assert set(made) == {"templates/a.yaml", "crds/x.yaml"}


def test_an_answer_of_the_api_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    files = template('x: {{ repeat 20 "text" | quote }}\n')
    assert rendered(files)
    monkeypatch.setattr(packages, "PREVIEW_BYTES", 100)
    with pytest.raises(TooLarge, match="pitrix package render"):
        rendered(files)
