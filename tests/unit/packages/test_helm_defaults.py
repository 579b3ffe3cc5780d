"""Who answers nothing gets what Helm gives: default answers never change what a chart renders to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pitrix.packages import service as packages
from pitrix.packages.forms.answers import overrides
from tests.unit.packages.helm_charts import CHART, helm, opened, put, write

Files = dict[str, bytes]
#: Every value as the templates see it.
SEEN = "kind: ConfigMap\nmetadata: {name: seen}\ndata:\n  values: {{ .Values | toJson | quote }}\n"


def values(text: str | bytes, schema: object = None) -> Files:
    files = put(CHART, {"values.yaml": text, "templates/seen.yaml": SEEN, "templates/deployment.yaml": None})
    return put(files, {"values.schema.json": json.dumps(schema)}) if schema else files


@cache
def created() -> Files:
    """What `helm create` makes."""
    with TemporaryDirectory() as folder:
        helm("create", "demo", cwd=Path(folder))
        root = Path(folder, "demo")
        return {
            each.relative_to(root).as_posix(): each.read_bytes() for each in root.rglob("*") if each.is_file()
        }


def scalars() -> Files:
    return values(
        'text: "1e3"\nmode: 0755\nnothing: ~\nnumber: 1e3\noctal: "0755"\nyes_: "yes"\nswitch: yes\n'
        "huge: 12345678901234567890\nbig: 9007199254740993\nwhole: 1.0\nhex: 0x1F\nunder: 1_000\n"
        "day: 2001-01-01\nhalf: .5\ntime: 1:20\ntag: 1.10\nempty: ''\nlong: |\n  one line\n"
        "kept: |+\n  text\n\ntemplate: '{{ .Release.Name }}'\n"
    )


def keys() -> Files:
    return values(
        'a.b: 1\nannotations:\n  nginx.ingress.kubernetes.io/x: "1"\n  "": empty\n"back\\\\slash": 2\n'
        "x:\n  y.z: {q.r: 1}\n1: one\n2: {3: three}\ntrue: yes\n"
    )


def nothing() -> Files:
    return values(
        "a:\n  b: null\n  c: {d: null}\ne: {}\nf: []\ng: [null, 1]\nh: [{a: null}]\n"
        "global: {registry: '', class: null}\n"
    )


def anchors() -> Files:
    return values("base: &b {x: 1, list: [1, 2]}\nother:\n  <<: *b\n  z: 3\nthird: *b\n")


def described() -> Files:
    """draft-07, with defaults that Helm does not look at and values outside of what a form allows."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["size", "mixed"],
        "properties": {
            "size": {"type": ["integer", "null"], "default": 3},
            "maybe": {"oneOf": [{"type": "integer"}, {"type": "null"}], "default": 2},
            "mixed": {"enum": [1, "1", True, None, "auto"]},
            "replicas": {"type": "integer"},
            "missing": {"type": "string", "default": "hi"},
            "inner": {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}},
            "absent": {"type": ["object", "null"], "properties": {"z": {"type": "integer", "default": 4}}},
        },
    }
    return values("size: null\nmaybe: null\nmixed: 1\nreplicas: 5.0\nabsent: null\n", schema)


def umbrella() -> Files:
    """As Bitnami's charts are: a library shared by the chart and a subchart that can be switched off."""
    library = {
        "Chart.yaml": "apiVersion: v2\nname: common\nversion: 2.31.3\ntype: library\n",
        "values.yaml": "exampleValue: common-chart\n",
        "templates/_names.tpl": '{{ define "common.name" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}\n',
    }
    database = {
        "Chart.yaml": "apiVersion: v2\nname: postgresql\nversion: 15.0.0\ndependencies:\n"
        "- {name: common, repository: oci://registry.example.com/charts, version: 2.x.x, tags: [common]}\n",
        "values.yaml": 'global: {imageRegistry: ""}\nauth: {username: u, password: "", port: 5432}\n',
        "templates/s.yaml": 'kind: S\nname: {{ include "common.name" . }}\nv: {{ .Values | toJson }}\n',
        **{f"charts/common/{path}": text for path, text in library.items()},
    }
    chart = {
        "Chart.yaml": "apiVersion: v2\nname: blog\nversion: 1.0.0\nappVersion: 6.4.2\n"
        "description: Die beliebteste Plattform für Blogs 博客\nicon: data:image/svg+xml;base64,PHN2Zy8+\n"
        "annotations:\n  category: CMS\n  artifacthub.io/changes: |\n    - kind: added\n"
        "dependencies:\n"
        "- {name: postgresql, repository: oci://registry.example.com/charts, version: 15.x.x,"
        " condition: postgresql.enabled}\n"
        "- {name: common, repository: oci://registry.example.com/charts, version: 2.x.x, tags: [common]}\n",
        "values.yaml": "# Copyright\n## @section Global\n## @param global.imageRegistry Registry\n"
        'global:\n  imageRegistry: ""\n  ## E.g.\n  ## imagePullSecrets: [key]\n  imagePullSecrets: []\n'
        "image: {repository: blog, tag: 6.4.2-debian-11-r12, debug: false}\n"
        "security: {defaultMode: 0755, sysctls: []}\nnodePorts: {http: '', https: ''}\n"
        "postgresql:\n  enabled: true\n  auth: {username: blog}\n",
        "README.md": "| a | b |\n|---|---|\n| `x` | y\\|z |\n",
        "templates/d.yaml": 'kind: D\nname: {{ include "common.name" . }}\nv: {{ .Values | toJson }}\n',
        **{f"charts/common/{path}": text for path, text in library.items()},
        **{f"charts/postgresql/{path}": text for path, text in database.items()},
    }
    return {path: text.encode() for path, text in chart.items()}


def first_generation() -> Files:
    """apiVersion v1: ``requirements.yaml`` with an alias, tags and imported values."""
    chart = {
        "Chart.yaml": "apiVersion: v1\nname: old\nversion: 0.1.0\n"
        "appVersion: '1.10'\ntillerVersion: '>=2.7'\n",
        "values.yaml": "a: 1\nmydb: {auth: {username: z}}\ntags: {x: true}\n",
        "requirements.yaml": "dependencies:\n- name: db\n  alias: mydb\n  version: ^15\n"
        "  repository: https://charts.example.com\n  tags: [x]\n"
        "  import-values: [{child: auth, parent: imported}]\n"
        "- {name: db, alias: two, version: ^15, repository: '@stable', condition: 'two.enabled,a.b'}\n",
        "templates/a.yaml": SEEN,
        "charts/db/Chart.yaml": "apiVersion: v1\nname: db\nversion: 15.0.0\n",
        "charts/db/values.yaml": "auth: {username: u, port: 1}\nn: 5\n",
        "charts/db/templates/s.yaml": SEEN,
    }
    return {path: text.encode() for path, text in chart.items()}


def monitoring() -> Files:
    """As kube-prometheus-stack is: some hundred values, most of them deep."""
    parts = (
        f"\n## Component {number}\n##\ncomp{number}:\n  enabled: {str(bool(number % 2)).lower()}\n"
        f"  labels: {{}}\n  service: {{port: {9000 + number}, nodePort: {30000 + number}, extra: []}}\n"
        "  monitor:\n    interval: ''\n    limit: 0\n"
        "    relabelings:\n      - sourceLabels: [__name__]\n        regex: 'x(a|b)\\.c'\n"
        "  spec:\n    config: |-\n      global: '{{ .Release.Name }}'\n    period: 1.5\n    storage: {}\n"
        for number in range(60)
    )
    return values("# Default values\n" + "".join(parts))


def documents() -> Files:
    files: dict[str, str | bytes | None] = {
        "templates/many.yaml": "---\nkind: A\n---\n\n---\nkind: B\n---\n",
        "templates/crlf.yaml": "kind: C\r\nx: {{ .Values.replicas }}\r\n---\r\nkind: D\r\n",
        "templates/deep/er.yml": "kind: E\ntext: größe 中文\n",
        "values.yaml": b"\xef\xbb\xbfreplicas: 1\r\nsizes:\r\n  text: |\r\n    one\r\n    two\r\n",
    }
    return put(CHART, files)


CHARTS: list[Callable[[], Files]] = [
    created, scalars, keys, nothing, anchors, described, umbrella, first_generation, monitoring, documents,
    lambda: values(""), lambda: values("# only\n# comments\n"), lambda: values("---\ngröße: 5\n名称: 中文\n"),
]  # fmt: skip
NAMES = [each.__name__ for each in CHARTS[:-3]] + ["empty", "comments", "unicode"]


def parts(text: str) -> list[str]:
    """The documents of what Helm prints, without the marks of where they come from."""
    bare = (re.sub(r"(?m)^# Source: .*\n?", "", each).strip() for each in re.split(r"(?m)^---$", text))
    return sorted(each for each in bare if each)


def by_helm(files: Files, folder: Path) -> list[str]:
    """What the chart renders to with its own values."""
    write(folder / "chart", files)
    return parts(helm("template", "r1", "./chart", "--include-crds", cwd=folder))


def by_form(files: Files, answers: object = None, locale: str = "en") -> list[str]:
    package = opened(files)
    complete = packages.complete_answers(packages.form(package, locale), answers)  # type: ignore[arg-type]
    return parts("\n---\n".join(each.text for each in packages.manifests(package, complete, name="r1")))


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_default_answers_render_what_helm_renders(chart: Callable[[], Files], tmp_path: Path) -> None:
    files = chart()
    wanted = by_helm(files, tmp_path)
    assert wanted
    assert by_form(files, locale="zh-cn") == wanted
    asked = packages.form(opened(files))
    assert by_form(files, packages.default_answers(asked)) == wanted  # as a form sends them, all of them


def test_no_answer_but_the_changed_one_is_told_to_helm() -> None:
    """Each answer of the chart of `helm create` by itself: Helm is told that one alone."""
    import yaml

    files = created()
    asked, own = packages.form(opened(files)), yaml.safe_load(files["values.yaml"])
    assert len(asked.fields()) > 20
    for each in asked.fields():
        other = {bool: not each.default, int: 7, str: "other", list: [{"name": "x"}], dict: {"k": "v"}}
        answer = other.get(type(each.default), "other")
        nested: object = answer
        for key in reversed(each.path):
            nested = {key: nested}
        complete = packages.complete_answers(asked, nested)  # type: ignore[arg-type]
        assert overrides(asked, complete, own) == nested, each.key


def test_one_changed_answer_changes_what_it_is_for_alone(tmp_path: Path) -> None:
    files = created()
    before = "\n===\n".join(by_helm(files, tmp_path)).splitlines()
    after = "\n===\n".join(by_form(files, {"service": {"port": 8080}})).splitlines()
    assert len(before) == len(after)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [(old.strip(), new.strip()) for old, new in changed] == [
        ("containerPort: 80", "containerPort: 8080"),
        ("args: ['r1-demo:80']", "args: ['r1-demo:8080']"),
        ("- port: 80", "- port: 8080"),
    ]


def test_a_chart_whose_schema_goes_in_circles_has_a_form() -> None:
    """Helm finds the circle only where it checks a value by it."""
    circle = {"$ref": "#/$defs/x"}
    schema = {"$defs": {"x": {"anyOf": [circle, circle]}}, "properties": {"unset": circle}}
    files = values("a: 1\n", schema)
    assert [each.key for each in packages.form(opened(files)).fields()] == ["a", "unset"]
    assert by_form(files) == [SEEN.replace("{{ .Values | toJson | quote }}", '"{\\"a\\":1}"').strip()]
