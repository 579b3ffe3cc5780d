"""What is wrong with a chart is told by file, line and key, all of it at once."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from pitrix.packages import archive
from pitrix.packages import service as packages
from pitrix.packages.formats.helm import schema as helm_schema
from pitrix.packages.formats.helm import templates as helm_templates
from pitrix.packages.model import Severity
from tests.unit.packages.helm_charts import CHART, chart, helm, lint, put, said, write

V2 = "apiVersion: v2\nname: shop\nversion: 1.2.3\n"
LIBRARY = {
    "Chart.yaml": b"apiVersion: v2\nname: db\nversion: 1.0.0\ntype: library\n",
    "templates/_x.tpl": b'{{ define "db.x" }}x{{ end }}',
}


def below(files: dict[str, bytes], folder: str) -> dict[str, bytes]:
    return {f"{folder}/{path}": data for path, data in files.items()}


def test_a_sound_chart_has_no_problems() -> None:
    assert said(lint(CHART)) == []


def test_everything_is_told_at_once() -> None:
    files = put(
        CHART,
        {
            "Chart.yaml": (
                "apiVersion: v2\nname: 'no good'\nversion: one\nkubeVersion: '>>1'\ntype: thing\n"
                "dependencies:\n- name: db\n  version: '?'\n  repository: gopher://x\n"
            ),
            "values.yaml": "- 1\n",
            "values.schema.json": '{"type": "objekt"}',
            "templates/a.yaml": "ok\n{{ if .x }}\n",
            "templates/b.yaml": b"\xff\xfe",
        },
    )
    found = {(each.file, each.line, each.key) for each in lint(files) if each.severity == Severity.ERROR}
    assert found == {
        ("Chart.yaml", 2, "/name"),
        ("Chart.yaml", 3, "/version"),
        ("Chart.yaml", 4, "/kubeVersion"),
        ("Chart.yaml", 5, "/type"),
        ("Chart.yaml", 8, "/dependencies/0/version"),
        ("Chart.yaml", 9, "/dependencies/0/repository"),
        ("values.yaml", 1, ""),
        ("templates/a.yaml", 2, ""),
        ("templates/b.yaml", 1, ""),
    }


@pytest.mark.parametrize(
    ("described", "line", "severity", "words"),
    [
        ("name: shop\nversion: 1.2.3\n", 1, "error", "'apiVersion' is missing"),
        ("apiVersion: v3\nname: shop\nversion: 1.2.3\n", 1, "error", "v3"),
        ("apiVersion: v2\nname: shop\nversion: 1.0\n", 3, "error", "1.0 is not of type string"),
        ("apiVersion: v2\nname: ../shop\nversion: 1.0.0\n", 2, "error", "form"),
        ("apiVersion: v2\nname: shop\nversion: v1.2.3\n", 3, "warning", "to the letter"),
        ("apiVersion: v2\nname: shop\nversion: 1.2\n", 3, "error", "not of type string"),
        ("apiVersion: v2\nname: Shop_x\nversion: 1.0.0\n", 2, "warning", "unusual"),
        (f"{V2}appVersion: 1.10\n", 4, "warning", "the number 1.1"),
        (f"{V2}colour: red\n", 4, "warning", "'colour' is not known"),
        (f"{V2}icon: missing.png\n", 4, "warning", "no file 'missing.png'"),
        (f"{V2}deprecated: true\n", 4, "warning", "deprecated"),
        (f"{V2}annotations: {{a: [1]}}\n", 4, "error", "not of type string"),
        (f"{V2}dependencies: [3]\n", 4, "error", "not of type object"),
        ("apiVersion: v1\nname: shop\nversion: 1.2.3\ntype: application\n", 4, "warning", "no type"),
        ("[1, 2]", 1, "error", "not of type object"),
        ("a: [", 2, "error", "not valid YAML"),
    ],
)
def test_chart_yaml(described: str, line: int, severity: str, words: str) -> None:
    problems = lint(put(CHART, {"Chart.yaml": described}))
    found = [each for each in problems if each.severity == severity and words in each.message]
    assert [(each.file, each.line) for each in found] == [("Chart.yaml", line)], said(problems)


@pytest.mark.parametrize("icon", ["https://example.com/i.png", "data:image/png;base64,AA==", "icon.svg"])
def test_icons_that_are_fine(icon: str) -> None:
    assert said(lint(put(CHART, {"Chart.yaml": f"{V2}icon: {icon}\n", "icon.svg": "<svg/>"}))) == []


def test_a_chart_yaml_that_is_missing_or_misspelled_is_asked_for() -> None:
    for files in (put(CHART, {"Chart.yaml": None}), put(CHART, {"Chart.yaml": None, "chart.yml": V2})):
        assert "Chart.yaml is missing" in said(lint(files))[0]


# --- values ------------------------------------------------------------------------------------------------


def test_values_that_break_the_charts_own_schema_are_told_with_their_lines() -> None:
    files = put(
        CHART,
        {
            "values.yaml": "name: x\nreplicas: many\nextra: 1\n",
            "values.schema.json": (
                '{"properties": {"replicas": {"type": "integer"}, "name": {"pattern": "^[a-z]{3,}$"}},'
                ' "required": ["password"], "additionalProperties": false}'
            ),
        },
    )
    problems = lint(files)
    assert {each.severity for each in problems} == {Severity.WARNING}
    assert {(each.line, each.key) for each in problems} == {
        (1, "/name"),
        (2, "/replicas"),
        (3, "/extra"),
        (1, ""),
    }
    assert any("'password' is a required property" in each.message for each in problems)


def test_values_of_subcharts_count_as_they_do_for_helm() -> None:
    """A schema that demands ``size`` is kept by the subchart's own default, unless that is switched off."""
    child = {
        "Chart.yaml": b"apiVersion: v2\nname: db\nversion: 1.0.0\n",
        "values.yaml": b"size: 3\nglobal: {zone: a}\n",
        "templates/x.yaml": b"",
    }
    files = put(
        {**CHART, **below(child, "charts/db")},
        {
            "Chart.yaml": V2
            + "dependencies: [{name: db, version: 1.x, condition: db.enabled, alias: store}]\n",
            "values.yaml": "replicas: 1\n",
            "values.schema.json": '{"properties": {"store": {"required": ["size", "global"]}},'
            ' "required": ["store"]}',
        },
    )
    assert said(lint(files)) == []
    off = put(files, {"values.yaml": "db: {enabled: false}\n"})
    assert any("'store' is a required property" in each for each in said(lint(off)))


@pytest.mark.parametrize(
    ("schema", "severity", "words"),
    [
        ('{"type": "objekt"}', "error", "this is no JSON Schema"),
        (
            '{"$schema": "http://json-schema.org/draft-07/schema#", "required": "x"}',
            "error",
            "no JSON Schema",
        ),
        ('{"properties": {"a": {"pattern": "("}}}', "error", "not a regular expression"),
        ('{"properties": {"a": {"pattern": "(?=x)"}}}', "error", "looks ahead"),
        ('{"$ref": "https://example.com/x.json"}', "warning", "is elsewhere"),
        ('{"$schema": "file:///etc/passwd"}', "warning", "is elsewhere"),
        ('{"$ref": "#/$defs/gone"}', "warning", "could not be checked"),
        ('{"$ref": "#"}', "warning", "without end"),
        ('{"a": ', "error", "not valid JSON"),
        ("[]", "error", "neither an object"),
    ],
)
def test_schemas(schema: str, severity: str, words: str) -> None:
    problems = lint(put(CHART, {"values.schema.json": schema}))
    assert [each.file for each in problems if each.severity == severity and words in each.message] == [
        "values.schema.json"
    ], said(problems)


def test_a_schema_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm_schema, "SECONDS", 0.3)
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    doubling["d60"] = {"type": "object"}
    text = json.dumps({"$defs": doubling, "$ref": "#/$defs/d0"})
    begun = time.monotonic()
    problems = lint(put(CHART, {"values.schema.json": text}))
    assert time.monotonic() - begun < 5
    assert any("takes longer" in each.message for each in problems)


def test_errors_that_repeat_large_values_take_little_memory() -> None:
    """Each branch's error holds all of the values as text; without a bound, these would be 150 MB."""
    schema = json.dumps({"anyOf": [{"type": "string", "minLength": n} for n in range(150)]})
    values = "".join(f"k{n}: {'v' * 500}\n" for n in range(1900))
    tracemalloc.start()
    problems = lint(put(CHART, {"values.schema.json": schema, "values.yaml": values}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [each.file for each in problems]
    assert peak < 80_000_000


def test_aliases_of_aliases_are_not_written_out() -> None:
    """Each level mounts the next 200 times: written out, these would be 200 to the power of 4."""
    files = {"Chart.yaml": b"apiVersion: v2\nname: leaf\nversion: 1.0.0\n", "values.yaml": b"a: 1\n"}
    for level in range(4):
        child = f"c{level - 1}" if level else "leaf"
        needs = "".join(f"- {{name: {child}, version: 1.x, alias: x{n}}}\n" for n in range(200))
        described = f"apiVersion: v2\nname: c{level}\nversion: 1.0.0\ndependencies:\n{needs}"
        files = {"Chart.yaml": described.encode(), "charts/a.tgz": archive.write(files, "a")}
    begun = time.monotonic()
    assert said(lint(put(files, {"values.schema.json": '{"required": ["x1"]}'}))) == [
        "values.schema.json:1: warning: the chart's own value breaks values.schema.json: 'x1' is a required "
        "property (give a default that the schema allows; without, whoever installs the chart has to answer)"
    ]
    assert time.monotonic() - begun < 5


def test_many_expensive_patterns_are_not_all_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm_schema, "SECONDS", 0.3)
    patterns = {f"p{n}": {"pattern": f"(a{{1,90}}b){{1,90}}{n}"} for n in range(1500)}
    begun = time.monotonic()
    lint(put(CHART, {"values.schema.json": json.dumps({"properties": patterns})}))
    assert time.monotonic() - begun < 5


def test_a_pattern_cannot_stop_the_lint() -> None:
    evil = '{"properties": {"name": {"pattern": "^(a+)+$"}}, "patternProperties": {"^(a+)+$": {}}}'
    long = "a" * 40 + "!"
    begun = time.monotonic()
    lint(put(CHART, {"values.schema.json": evil, "values.yaml": f"name: {long}\n{long}x: 1\n"}))
    assert time.monotonic() - begun < 5


def test_references_inside_of_a_schema_are_kept() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/own.json",
        "definitions": {"a": {"type": "string"}},
        "properties": {"x": {"$ref": "#/definitions/a"}, "y": {"$ref": "https://example.com/own.json#/x"}},
    }
    assert helm_schema.remote(schema) == []
    assert helm_schema.offline(schema) == schema
    away = {"properties": {"x": {"$ref": "other.json"}, "$ref": {"type": "string"}}}
    assert helm_schema.remote(away) == [("/properties/x/$ref", "other.json")]
    assert helm_schema.offline(away) == {"properties": {"x": {}, "$ref": {"type": "string"}}}


# --- templates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a\n{{ if .x }}\nb\n", 2, "has no {{ end }}"),
        ("a\nb {{ .x\n", 2, "{{ has no }}"),
        ("{{ end }}", 1, "closes nothing"),
        ("{{ if .x }}{{ end }}{{ else }}", 1, "{{ else }} stands in no"),
        ('{{ define "a" }}{{ else }}{{ end }}', 1, "{{ else }} stands in no"),
        ("\n{{/* never", 2, "comment is not closed"),
        ('\n\n{{ "text\n" }}', 3, "is not closed"),
        ("{{ `raw }}", 1, "is not closed"),
        ("{{ if .x }}{{ range .y }}{{ end }}", 1, "{{ if }}"),
    ],
)
def test_templates_that_helm_would_not_parse(text: str, line: int, words: str) -> None:
    problems = lint(put(CHART, {"templates/x.yaml": text}))
    assert [(each.file, each.line) for each in problems] == [("templates/x.yaml", line)], said(problems)
    assert words in problems[0].message


@pytest.mark.parametrize(
    "text",
    [
        "{{- if .x -}}a{{- else if .y }}b{{ else }}c{{- end -}}",
        "{{ \"}}\" }} {{ `}}\n{{` }} {{ '}' }}",
        "{{- /* a {{ if }} comment */ -}}",
        "{{ with .x }}{{ else with .y }}{{ end }}",
        "{{ range $i, $e := .x }}{{ break }}{{ else }}none{{ end }}",
        "}} is plain text",
        "{{ .Values.endpoint }} {{ .if }} {{ $end }}",
        '{{ block "x" . }}{{ end }}{{ define "y" }}{{ end }}',
        '{{\n  include\n  "x" .\n}}',
    ],
)
def test_templates_that_are_fine(text: str, tmp_path: Path) -> None:
    assert list(helm_templates.scan(text)) == []


def test_scanning_a_template_takes_no_time() -> None:
    begun = time.monotonic()
    for text in ("{{" * 300_000, "{{ '" + "`'\"" * 200_000, "{{ if }}" * 100_000, "{{/*" * 200_000):
        list(helm_templates.scan(text))
    assert time.monotonic() - begun < 5


def test_crds_are_no_templates_and_large_files_are_refused() -> None:
    files = put(CHART, {"crds/x.yaml": "a\nb: {{ .x }}\n", "files/big.bin": b"\0" * (5 * 1024 * 1024 + 1)})
    problems = {each.file: each for each in lint(files)}
    assert (problems["crds/x.yaml"].line, problems["crds/x.yaml"].severity) == (2, Severity.WARNING)
    assert problems["files/big.bin"].severity == Severity.ERROR


def test_a_chart_that_installs_nothing_is_warned_of() -> None:
    problems = lint(chart(templates__deployment=None, **{"templates__deployment.yaml": None}))
    assert [each.file for each in problems] == ["templates/"]


# --- dependencies ------------------------------------------------------------------------------------------


def real_parent(folder: Path, *, generation: str = "v2") -> Path:
    """A chart with a dependency that the real Helm has resolved, locked and put into ``charts/``."""
    child = {**LIBRARY, "Chart.yaml": b"apiVersion: v2\nname: db\nversion: 1.4.0\n", "values.yaml": b"a: 1\n"}
    write(folder / "db", child)
    needs = "dependencies:\n- name: db\n  version: ^1.2 <2\n  repository: file://../db\n  condition: db.on\n"
    if generation == "v2":
        files = put(CHART, {"Chart.yaml": f"{V2}{needs}"})
    else:
        files = put(CHART, {"Chart.yaml": V2.replace("v2", "v1"), "requirements.yaml": needs})
    write(folder / "shop", files)
    helm("dependency", "build" if generation == "v2" else "update", "shop", cwd=folder)
    return folder / "shop"


@pytest.mark.parametrize(("generation", "lock"), [("v2", "Chart.lock"), ("v1", "requirements.lock")])
def test_dependencies_that_helm_has_built_are_sound(tmp_path: Path, generation: str, lock: str) -> None:
    shop = real_parent(tmp_path, generation=generation)
    assert (shop / "charts" / "db-1.4.0.tgz").exists()
    assert (shop / lock).exists()
    assert said(packages.lint(shop)) == []
    assert said(packages.lint(shop, deeply=True)) == []


def test_a_lock_is_out_of_date_when_helm_says_so(tmp_path: Path) -> None:
    shop = real_parent(tmp_path)
    chart_yaml = shop / "Chart.yaml"
    chart_yaml.write_text(chart_yaml.read_text().replace("db.on", "db.off"))
    problems = packages.lint(shop)
    assert [(each.file, each.severity) for each in problems] == [("Chart.lock", Severity.WARNING)]
    assert "changed after" in problems[0].message
    from pitrix.packages.formats.helm import binary as helm_binary

    assert "out of sync" in helm_binary.run(["dependency", "build", "shop"], cwd=tmp_path).stderr


def test_dependencies_that_do_not_fit() -> None:
    other = put(LIBRARY, {"Chart.yaml": b"apiVersion: v2\nname: cache\nversion: 3.0.0\n"})
    packed = archive.write(LIBRARY, "db")
    needs = (
        f"{V2}dependencies:\n"
        "- {name: db, version: ^2, condition: replicas}\n"
        "- {name: queue, version: 1.x, repository: '@mine'}\n"
        "- {name: queue, version: 1.x}\n"
    )
    files = put(
        {**CHART, **below(other, "charts/cache")}, {"Chart.yaml": needs, "charts/db-1.0.0.tgz": packed}
    )
    files = put(files, {"Chart.lock": "dependencies:\n- {name: db, version: 1.0.0}\n"})
    problems = lint(files)
    told = {(each.file, each.line, each.severity.value): each.message for each in problems}
    assert "not in the range '^2'" in told["Chart.yaml", 5, "warning"]
    assert "neither true nor false" in told["Chart.yaml", 5, "error"]
    assert "'queue' is needed but not in charts/" in told["Chart.yaml", 6, "warning"]
    assert "two dependencies are called 'queue'" in told["Chart.yaml", 7, "error"]
    assert "not named among the dependencies" in told["charts/cache", 0, "warning"]
    assert "db 1.0.0, which is not in the range '^2'" in told["Chart.lock", 1, "warning"]


def test_files_of_the_other_generation_are_not_read() -> None:
    second = lint(put(CHART, {"requirements.yaml": "dependencies: []\n"}))
    assert "does not read requirements.yaml" in second[0].message
    first = V2.replace("v2", "v1") + "dependencies: [{name: db, version: 1.x}]\n"
    assert "from apiVersion v2 on" in lint(put(CHART, {"Chart.yaml": first}))[0].message


def test_what_lies_in_charts_is_taken_for_a_chart() -> None:
    files = put(CHART, {"charts/README.md": "x", "charts/empty/x.txt": "x", "charts/.hidden": "x"})
    errors = [each.file for each in lint(files) if each.severity == Severity.ERROR]
    assert sorted(errors) == ["charts/README.md", "charts/empty/Chart.yaml"]


def test_of_charts_inside_only_errors_are_told() -> None:
    broken = put(LIBRARY, {"Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\nodd: 1\n"})
    broken = put(broken, {"templates/_x.tpl": "{{ if }"})
    files = {**put(CHART, {"Chart.yaml": f"{V2}dependencies: [{{name: db, version: 1.x}}]\n"})}
    files["charts/db-1.0.0.tgz"] = archive.write(broken, "db")
    assert [each.file for each in lint(files)] == ["charts/db-1.0.0.tgz/templates/_x.tpl"]


def test_archives_inside_of_archives_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from pitrix.packages.formats.helm import chart as helm_chart

    monkeypatch.setattr(helm_chart, "NESTED_BYTES", 3_000_000)
    large = put(LIBRARY, {"files/x": b"\0" * 2_000_000})
    files = {**CHART, **{f"charts/db{n}.tgz": archive.write(large, "db") for n in range(4)}}
    errors = [each for each in lint(files) if each.severity == Severity.ERROR]
    assert any("inside of the package" in each.message for each in errors)
    assert any("unpacks to more" in each.message for each in errors)


def test_charts_are_not_nested_without_end() -> None:
    files = dict(CHART)
    for _ in range(10):
        files = {**put(CHART, {"Chart.yaml": V2}), "charts/a.tgz": archive.write(files, "shop")}
    assert any("nested deeper" in each.message for each in lint(files))


# --- the real helm lint ------------------------------------------------------------------------------------


def test_helm_lint_adds_what_only_it_finds(tmp_path: Path) -> None:
    files = put(CHART, {"templates/bad.yaml": "a: 1\nb:\n  - {{ .Values.replicas.x.y }}\n"})
    folder = write(tmp_path / "shop", files)
    assert packages.lint(folder) == []
    found = packages.lint(folder, deeply=True)
    assert [(each.file, each.line, each.severity) for each in found] == [
        ("templates/bad.yaml", 3, Severity.ERROR)
    ], said(found)


def test_helm_lint_does_not_repeat_what_was_said(tmp_path: Path) -> None:
    files = put(
        CHART,
        {
            "Chart.yaml": f"{V2}odd: 1\ndependencies: [{{name: db, version: 1.x}}]\n",
            "values.schema.json": '{"properties": {"replicas": {"type": "string"}}}',
        },
    )
    folder = write(tmp_path / "shop", files)
    assert said(packages.lint(folder, deeply=True)) == said(packages.lint(folder))


def test_without_helm_the_deep_lint_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PITRIX_HELM", str(tmp_path / "gone"))
    found = packages.lint(write(tmp_path / "shop", CHART), deeply=True)
    assert [each.severity for each in found] == [Severity.WARNING]
    assert "was not run" in found[0].message


# --- anything at all ---------------------------------------------------------------------------------------

ODD = [
    "null",
    "[]",
    "{}",
    "[null]",
    "[[1]]",
    "{a: {b: 1}}",
    "1",
    "1.5",
    "true",
    "''",
    "'x'",
    "[{}]",
    "2024-01-01",
]
KEYS = sorted(packages.schema("chart")["properties"])


@pytest.mark.parametrize("key", KEYS)
def test_whatever_a_key_holds_lint_and_what_follows_it_hold_too(key: str) -> None:
    """Nothing raises but `PackageInvalid`, and what lint lets through has its fields and its form."""
    plain = {"apiVersion": "v2", "name": "shop", "version": "1.2.3"}
    for odd in ODD:
        described = "".join(f"{name}: {text}\n" for name, text in {**plain, key: odd}.items())
        for more in (
            {},
            {"values.yaml": f"a: {odd}\n{odd}: 1\n"},
            {"values.schema.json": json.dumps({key: 1})},
        ):
            files = put(CHART, {"Chart.yaml": described, **more})
            if any(each.severity == Severity.ERROR for each in lint(files)):
                continue
            package = packages.open_package(archive.write(files, "shop"))
            assert package.type == "helm"
            assert all(isinstance(each, str) for each in [*package.keywords, package.icon, package.home])
            assert packages.form(package).locale == "en"


@pytest.mark.parametrize("path", ["requirements.yaml", "requirements.lock", "Chart.lock", "values.yaml"])
def test_whatever_another_file_holds(path: str) -> None:
    for odd in (*ODD, "dependencies: 1", "dependencies: [1, {}]", "dependencies: [{name: [1], version: {}}]"):
        for generation in ("v1", "v2"):
            described = (
                f"apiVersion: {generation}\nname: shop\nversion: 1.2.3\ndependencies: [{{name: db}}]\n"
            )
            lint(put(CHART, {"Chart.yaml": described, path: odd}))
