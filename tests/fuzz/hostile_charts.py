"""Hostile YAML, charts and serverless packages."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.fuzz.case import Case
from tests.unit.packages import samples

YAML, CHART, SCHEMA, SERVERLESS = "YAML", "Charts", "values.schema.json", "Serverless packages"

CHART_FILES = {
    "Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 1.2.3\n",
    "values.yaml": b"replicas: 1\ntitle: Shop\n",
    "templates/all.yaml": (
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n"
        b"data: {title: {{ .Values.title | quote }}}\n"
    ),
}
SERVERLESS_METADATA: dict[str, Any] = {
    "type": "serverless",
    "name": "shop",
    "version": "1.2.3",
    "targets": ["aws-lambda"],
    "functions": [{"name": "web", "runtime": "python3.13", "handler": "app.main", "code": "src"}],
    "triggers": [],
}
SERVERLESS_FILES = {"src/app.py": b"def main(event, context):\n    return {}\n"}

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)
)


def chart(**changes: Any) -> bytes:
    """A small chart with files replaced: ``chart``, ``values``, ``schema``, ``template`` or by path."""
    names = {
        "chart": "Chart.yaml",
        "values": "values.yaml",
        "schema": "values.schema.json",
        "template": "templates/all.yaml",
    }
    files = dict(CHART_FILES)
    for key, value in changes.items():
        made = value if isinstance(value, (str, bytes)) else json.dumps(value)
        files[names.get(key, key)] = made.encode() if isinstance(made, str) else made
    return samples.tgz(files)


def serverless(files: dict[str, bytes] | None = None, **changes: Any) -> bytes:
    """A small serverless package with keys of its package.json replaced and files added."""
    metadata = json.dumps({**SERVERLESS_METADATA, **changes}).encode()
    return samples.tgz({"package.json": metadata, **SERVERLESS_FILES, **(files or {})})


def sam(text: str | bytes) -> bytes:
    """A serverless package around a SAM template."""
    metadata = {"type": "serverless", "name": "shop", "version": "1.2.3", "targets": ["aws-lambda"]}
    data = text.encode() if isinstance(text, str) else text
    return samples.tgz(
        {
            "package.json": json.dumps({**metadata, "template": "template.yaml"}).encode(),
            "template.yaml": data,
        }
    )


def _values(told: str, text: str | bytes) -> Case:
    return Case(YAML, told, lambda: chart(values=text))


def _schema(told: str, schema: Any) -> Case:
    return Case(SCHEMA, told, lambda: chart(schema=schema))


def _nested_schema(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _doubling(levels: int) -> dict[str, Any]:
    """Each definition names the next one twice: small to write down, endless to write out."""
    definitions: dict[str, Any] = {f"d{levels}": {"type": "string"}}
    for level in range(levels):
        below = {"$ref": f"#/definitions/d{level + 1}"}
        definitions[f"d{level}"] = {"type": "object", "properties": {"a": below, "b": below}}
    return {"definitions": definitions, "$ref": "#/definitions/d0"}


def _case(group: str, told: str, make: Callable[[], bytes]) -> Case:
    return Case(group, told, make)


_SAM = "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::Serverless-2016-10-31\n"
_RESOURCE = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      "

CASES: dict[str, Case] = {
    # YAML
    "YAML: a billion laughs": _values("aliases written out", LAUGHS),
    "YAML: a long text by 90,000 aliases": _values(
        "aliases written out", f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 90_000)}]\n"
    ),
    "YAML: merged without an end": _values(
        "more than 100000 values",
        "a0: &a0 {"
        + ", ".join(f"k{each}: 1" for each in range(9000))
        + "}\n"
        + "".join(f"b{each}: {{<<: *a0}}\n" for each in range(5000)),
    ),
    "YAML: an anchor in itself": _values("contains itself", "a: &a [*a]\n"),
    "YAML: an alias of nothing": _values("no anchor", "a: *b\n"),
    "YAML: 500,000 brackets": _values("deeper than 100", "[" * 500_000),
    "YAML: 400,000 dashes": _values("deeper than 100", "- " * 400_000),
    "YAML: deep by aliases": _values(
        "deeper than 100",
        "a0: &a0 [x]\n" + "".join(f"a{each}: &a{each} [*a{each - 1}]\n" for each in range(1, 3000)),
    ),
    "YAML: 400,000 values": _values("more than 100000 values", "[" + "a," * 400_000 + "]"),
    "YAML: 200,000 documents": _values("more than 100000 values", "---\n" * 200_000),
    "YAML: 2 MiB": _values("the limit is", "a: " + "x" * (2 * 1024 * 1024)),
    "YAML: an object of Python": _values(
        "the tag !!python/object/apply:os.system", "a: !!python/object/apply:os.system [id]\n"
    ),
    "YAML: a module of Python": _values("the tag !!python/module:os", "a: !!python/module:os x\n"),
    "YAML: an object of Ruby": _values("the tag !ruby/object:Gem", "a: !ruby/object:Gem {}\n"),
    "YAML: a class of Java": _values("the tag !!javax.script", "a: !!javax.script.ScriptEngineManager [x]\n"),
    "YAML: a tag of 900,000 characters": _values("the tag xxx", "a: !<" + "x" * 900_000 + "> b\n"),
    "YAML: a short tag of CloudFormation in a chart": _values("the tag !Ref", "a: !Ref b\n"),
    "YAML: NaN": _values("no number that JSON can hold", "a: .nan\n"),
    "YAML: a key that is a list": _values("used as a key", "? [a]\n: 1\n"),
    "YAML: a key that is nothing": _values("used as a key", "~: 1\n"),
    "YAML: a key that is a number": _values("is not a text", "a: 1\n5: 1\n"),
    "YAML: a key given twice": _values("more than once", "a: 1\na: 2\n"),
    "YAML: 50,000 keys given twice": _values("more than once", "a: 1\n" * 49_000),
    "YAML: a number of 900,000 digits": _values("", "a: " + "9" * 900_000),
    "YAML: binary that is not text": _values("not text in base64", "a: !!binary /w==\n"),
    "YAML: not UTF-8": _values("not UTF-8", b"a: \xff\n"),
    "YAML: UTF-16": _values("UTF-16", "a: 1\n".encode("utf-16")),
    "YAML: NUL bytes": _values("control characters", b"\0" * 1000),
    "YAML: half a surrogate pair": _values("not valid YAML", 'a: "\\ud800"\n'),
    "YAML: tabs": _values("tab", "a:\n\tb: 1\n"),
    "YAML: a quote without an end": _values("not valid YAML", 'a: "' + "x\n" * 400_000),
    "YAML: a line of 1,000,000 blanks": _values("", " " * 1_000_000 + "a: 1\n"),
    "YAML: 60,000 anchors": _values("", "l:\n" + "".join(f"- &a{each} x\n" for each in range(60_000))),
    "YAML: texts that cannot be seen": _values("", 'a: "\\x1b[2J\\u202e\\0"\n'),
    "YAML: keys that cannot be seen, twice": _values(
        "more than once", '"\\x1b\\u202e": 1\n"\\x1b\\u202e": 1\n'
    ),
    "YAML: another version": _values("", "%YAML 1.2\n---\na: 1\n"),
    # Charts
    "chart: Chart.yaml of laughs": _case(CHART, "aliases written out", lambda: chart(chart=LAUGHS)),
    "chart: Chart.yaml is a list": _case(CHART, "", lambda: chart(chart="- a\n")),
    "chart: Chart.yaml is nothing": _case(CHART, "", lambda: chart(chart="")),
    "chart: name that leads out": _case(
        CHART, "", lambda: chart(chart="apiVersion: v2\nname: ../../x\nversion: 1.0.0\n")
    ),
    "chart: version of 100,000 digits": _case(
        CHART, "", lambda: chart(chart=f"apiVersion: v2\nname: x\nversion: 1.0.{'9' * 100_000}\n")
    ),
    "chart: every value of the wrong type": _case(
        CHART,
        "",
        lambda: chart(
            chart="apiVersion: [1]\nname: {a: 1}\nversion: 1.0\nkeywords: x\nmaintainers: [x, 1]\n"
            "dependencies: {a: 1}\nannotations: [1]\nicon: 5\nhome: {}\nsources: 7\ntype: 9\n"
            "appVersion: [1]\n"
        ),
    ),
    "chart: 20,000 dependencies": _case(
        CHART,
        "",
        lambda: chart(
            chart=CHART_FILES["Chart.yaml"]
            + b"dependencies:\n"
            + b"".join(b"- {name: d%d, version: 1.0.0}\n" % each for each in range(10_000))
        ),
    ),
    "chart: dependency on a file outside": _case(
        CHART,
        "",
        lambda: chart(
            chart=CHART_FILES["Chart.yaml"]
            + b"dependencies:\n- {name: x, version: 1.0.0, repository: 'file://../../../etc'}\n"
        ),
    ),
    "chart: dependency on the network of the cloud": _case(
        CHART,
        "",
        lambda: chart(
            chart=CHART_FILES["Chart.yaml"]
            + b"dependencies:\n- {name: x, version: 1.0.0, repository: 'http://169.254.169.254/latest'}\n"
        ),
    ),
    "chart: version range for a slow pattern": _case(
        CHART,
        "",
        lambda: chart(
            chart=CHART_FILES["Chart.yaml"]
            + b"dependencies:\n- {name: x, version: '"
            + b">=1 || " * 20_000
            + b"!'}\n"
        ),
    ),
    "chart: a chart in a chart in a chart": _case(
        CHART,
        "",
        lambda: chart(
            **{f"{'charts/c/' * level}Chart.yaml": CHART_FILES["Chart.yaml"] for level in range(7)}
        ),
    ),
    "chart: packed chart that is a bomb": _case(
        CHART, "", lambda: chart(**{"charts/c-1.0.0.tgz": gzip.compress(b"\0" * (64 << 20), mtime=0) * 20})
    ),
    "chart: packed charts in each other": _case(CHART, "", lambda: _russian(40)),
    "chart: 400 packed charts of 12 MiB": _case(CHART, "", lambda: _many_packed()),
    "chart: packed chart with links and names that lead out": _case(
        CHART, "", lambda: chart(**{"charts/c-1.0.0.tgz": samples.tgz({"c/Chart.yaml": b"", "../x": b""})})
    ),
    "chart: values that are a list": _case(CHART, "", lambda: chart(values="- a\n")),
    "chart: values of 20,000 keys": _case(
        CHART, "", lambda: chart(values="".join(f"k{each}: {each}\n" for each in range(20_000)))
    ),
    "chart: values 90 levels deep": _case(
        CHART,
        "",
        lambda: chart(values="".join(f"{' ' * each}k{each}:\n" for each in range(90)) + " " * 90 + "x: 1\n"),
    ),
    "chart: template that never ends": _case(
        CHART, "", lambda: chart(template='{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}')
    ),
    "chart: template that repeats a billion times": _case(
        CHART, "", lambda: chart(template='a: {{ repeat 1000000000 "x" }}\n')
    ),
    "chart: template that counts to a billion": _case(
        CHART, "", lambda: chart(template="{{ range until 1000000000 }}{{ end }}a: 1\n")
    ),
    "chart: template that doubles a text 40 times": _case(
        CHART,
        "",
        lambda: chart(
            template='{{ $x := "xx" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}a: {{ $x }}\n'
        ),
    ),
    "chart: template that asks the network": _case(
        CHART, "", lambda: chart(template='a: {{ getHostByName "example.com" | quote }}\n')
    ),
    "chart: template that reads the environment": _case(
        CHART, "", lambda: chart(template='a: {{ env "HOME" }}\n')
    ),
    "chart: template that reads files outside": _case(
        CHART, "", lambda: chart(template='a: {{ .Files.Get "../../../../etc/passwd" | quote }}\n')
    ),
    "chart: template that makes keys": _case(
        CHART, "", lambda: chart(template='{{ range until 1000 }}{{ genPrivateKey "rsa" }}{{ end }}')
    ),
    "chart: template whose output is a bomb": _case(
        CHART,
        "",
        lambda: chart(template='{{ range until 5000 }}a{{ . }}: {{ repeat 100000 "x" }}\n{{ end }}'),
    ),
    "chart: template whose output is laughs": _case(CHART, "", lambda: chart(template=LAUGHS)),
    "chart: template that is not one": _case(CHART, "", lambda: chart(template="{{ if }}{{ end ")),
    "chart: template that fails with control characters": _case(
        CHART, "", lambda: chart(template='{{ fail "\\x1b[2J\\u202e" }}')
    ),
    "chart: template of 100,000 ifs": _case(
        CHART, "", lambda: chart(template="{{ if true }}" * 60_000 + "{{ end }}" * 60_000)
    ),
    # values.schema.json
    "schema: a loop of references": _schema("", {"$ref": "#"}),
    "schema: a loop of two": _schema(
        "",
        {
            "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
            "$ref": "#/definitions/a",
        },
    ),
    "schema: a tree of itself": _schema(
        "", {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}
    ),
    "schema: doubled 60 times": _schema("", _doubling(60)),
    "schema: allOf doubled 60 times": _schema(
        "",
        {
            "definitions": {
                f"d{level}": {"allOf": [{"$ref": f"#/definitions/d{level + 1}"}] * 2} for level in range(60)
            }
            | {"d60": {}},
            "$ref": "#/definitions/d0",
        },
    ),
    "schema: reference to the network": _schema("", {"$ref": "http://169.254.169.254/latest/meta-data"}),
    "schema: reference to a file": _schema("", {"$ref": "file:///etc/passwd"}),
    "schema: references as keys": _schema(
        "", {"properties": {"title": {"$ref": "https://example.com/s.json#/a"}}}
    ),
    "schema: an own vocabulary on the network": _schema(
        "", {"$schema": "http://169.254.169.254/x", "type": "object"}
    ),
    "schema: 25 levels": _schema("", _nested_schema(14)),
    "schema: a choice of 19,000": _schema("", {"properties": {"title": {"enum": list(range(19_000))}}}),
    "schema: a slow pattern": _schema(
        "", {"properties": {"title": {"type": "string", "pattern": "^(a+)+$", "default": "a" * 50 + "!"}}}
    ),
    "schema: a slow pattern of keys": _schema(
        "", {"patternProperties": {"^(([a-z])+.)+[A-Z]([a-z])+$": {"type": "string"}}}
    ),
    "schema: a slow pattern of long keys": _case(
        SCHEMA,
        "",
        lambda: chart(
            values=f"{'a' * 60}!: x\n", schema={"patternProperties": {"^(a+)+$": {"type": "string"}}}
        ),
    ),
    "schema: a slow pattern of names": _case(
        SCHEMA,
        "",
        lambda: chart(values=f"{'a' * 60}!: x\n", schema={"propertyNames": {"pattern": "^(a+)+$"}}),
    ),
    "schema: a slow pattern and a value for it": _case(
        SCHEMA,
        "",
        lambda: chart(
            values=f"title: {'a' * 60}!\n",
            schema={"properties": {"title": {"type": "string", "pattern": "^(a|a)*$"}}},
        ),
    ),
    "schema: a slow pattern in a branch": _case(
        SCHEMA,
        "",
        lambda: chart(
            values=f"title: {'a' * 60}!\n",
            schema={"anyOf": [{"properties": {"title": {"not": {"pattern": "^(a|a)*$"}}}}]},
        ),
    ),
    "schema: a pattern that is not one": _schema("", {"properties": {"title": {"pattern": "("}}}),
    "schema: a list of uniqueItems": _case(
        SCHEMA,
        "",
        lambda: chart(
            values="l: [" + ",".join(f"{{a: {each}}}" for each in range(20_000)) + "]\n",
            schema={"properties": {"l": {"uniqueItems": True}}},
        ),
    ),
    "schema: every value of the wrong type": _schema(
        "",
        {
            "type": 5,
            "properties": [1],
            "required": "x",
            "enum": 7,
            "$defs": [],
            "items": "x",
            "allOf": {},
            "minimum": "a",
        },
    ),
    "schema: a list": _schema("", []),
    "schema: false": _schema("", False),
    "schema: not JSON": _schema("not valid JSON", "{"),
    "schema: multiple of nought": _schema(
        "", {"properties": {"replicas": {"type": "integer", "multipleOf": 0}}}
    ),
    "schema: conditions in each other": _schema(
        "", {"if": {"$ref": "#"}, "then": {"$ref": "#"}, "else": {"$ref": "#"}}
    ),
    "schema: a dynamic reference": _schema(
        "",
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$dynamicAnchor": "x",
            "$dynamicRef": "#x",
        },
    ),
    # Serverless
    "serverless: code that leads out": _case(
        SERVERLESS,
        "",
        lambda: serverless(
            functions=[{"name": "web", "runtime": "python3.13", "handler": "a.b", "code": "../.."}]
        ),
    ),
    "serverless: code that is absolute": _case(
        SERVERLESS,
        "",
        lambda: serverless(
            functions=[{"name": "web", "runtime": "python3.13", "handler": "a.b", "code": "/etc"}]
        ),
    ),
    "serverless: 5,000 functions": _case(
        SERVERLESS,
        "",
        lambda: serverless(functions=[{"name": f"f{each}", "runtime": "python3.13"} for each in range(5000)]),
    ),
    "serverless: unknown runtime": _case(
        SERVERLESS,
        "",
        lambda: serverless(functions=[{"name": "web", "runtime": "bash; rm -rf /", "code": "src"}]),
    ),
    "serverless: handler that is a command": _case(
        SERVERLESS,
        "",
        lambda: serverless(
            functions=[{"name": "web", "runtime": "python3.13", "handler": "$(id)", "code": "src"}]
        ),
    ),
    "serverless: every value of the wrong type": _case(
        SERVERLESS,
        "",
        lambda: serverless(functions={"a": 1}, triggers=5, permissions="*", resources=[1], targets={}),
    ),
    "serverless: permission to do everything": _case(
        SERVERLESS, "", lambda: serverless(permissions=[{"actions": ["*"], "resources": ["*"]}])
    ),
    "serverless: memory of 1e300": _case(
        SERVERLESS,
        "",
        lambda: serverless(
            functions=[
                {
                    "name": "web",
                    "runtime": "python3.13",
                    "handler": "app.main",
                    "code": "src",
                    "memory_mib": 10**19,
                }
            ]
        ),
    ),
    "serverless: schedule of nonsense": _case(
        SERVERLESS,
        "",
        lambda: serverless(
            triggers=[{"type": "schedule", "function": "web", "schedule": "cron(" + "*/0 " * 30_000 + ")"}]
        ),
    ),
    "serverless: Python that nests 100,000 parentheses": _case(
        SERVERLESS, "", lambda: serverless({"src/app.py": b"x = " + b"(" * 100_000 + b")" * 100_000})
    ),
    "serverless: Python that nests 5,000 minus signs": _case(
        SERVERLESS, "", lambda: serverless({"src/app.py": b"x = " + b"-" * 50_000 + b"1"})
    ),
    "serverless: Python that is not UTF-8": _case(
        SERVERLESS, "", lambda: serverless({"src/app.py": b"\xff\xfe\0"})
    ),
    "serverless: Python with NUL": _case(
        SERVERLESS, "", lambda: serverless({"src/app.py": b"def main(e, c): 0\n\0"})
    ),
    "serverless: Python of 15 MiB": _case(
        SERVERLESS, "", lambda: serverless({"src/app.py": b"x = 1\n" * 2_500_000})
    ),
    "serverless: Python that would run when imported": _case(
        SERVERLESS, "", lambda: serverless({"src/app.py": b"import os\nos.abort()\ndef main(e, c): 0\n"})
    ),
    "serverless: Azure app that would run when imported": _case(
        SERVERLESS,
        "",
        lambda: serverless({"src/function_app.py": b"import os\nos.abort()\n"}, targets=["azure-functions"]),
    ),
    "SAM: laughs": _case(SERVERLESS, "aliases written out", lambda: sam(_SAM + LAUGHS)),
    "SAM: 500,000 brackets": _case(SERVERLESS, "deeper than", lambda: sam("[" * 500_000)),
    "SAM: a list": _case(SERVERLESS, "", lambda: sam("- a\n")),
    "SAM: nothing": _case(SERVERLESS, "", lambda: sam("")),
    "SAM: an object of Python": _case(
        SERVERLESS, "the tag", lambda: sam(_SAM + "Resources: !!python/object:os.x {}\n")
    ),
    "SAM: 600 resources": _case(
        SERVERLESS,
        "",
        lambda: sam(
            _SAM + "Resources:\n" + "".join(f"  R{each}: {{Type: AWS::SNS::Topic}}\n" for each in range(600))
        ),
    ),
    "SAM: functions in each other": _case(
        SERVERLESS,
        "",
        lambda: sam(_SAM + _RESOURCE + "CodeUri: " + "{Fn::Sub: " * 80 + "x" + "}" * 80 + "\n"),
    ),
    "SAM: a circle of references": _case(
        SERVERLESS,
        "",
        lambda: sam(
            _SAM
            + "Resources:\n  A: {Type: AWS::SNS::Topic, DependsOn: B}\n"
            + "  B: {Type: AWS::SNS::Topic, DependsOn: A}\n"
        ),
    ),
    "SAM: code outside": _case(
        SERVERLESS,
        "",
        lambda: sam(_SAM + _RESOURCE + "Handler: a.b\n      Runtime: python3.13\n      CodeUri: ../../etc\n"),
    ),
    "SAM: a macro of someone else": _case(
        SERVERLESS,
        "",
        lambda: sam("Transform: {Name: AWS::Include, Parameters: {Location: s3://x/y}}\nResources: {}\n"),
    ),
    "SAM: a pattern of parameters that is slow": _case(
        SERVERLESS,
        "",
        lambda: sam(
            _SAM + "Parameters:\n  P: {Type: String, AllowedPattern: '^(a+)+$', Default: " + "a" * 50 + "!}\n"
            "Resources:\n  T: {Type: AWS::SNS::Topic}\n"
        ),
    ),
}


def _russian(levels: int) -> bytes:
    inner = chart()
    for _ in range(levels):
        inner = chart(**{"charts/shop-1.2.3.tgz": inner})
    return inner


def _many_packed() -> bytes:
    inner = chart(**{"files/big": b"\0" * (12 << 20)})
    return chart(**{f"charts/c{each}-1.0.0.tgz": inner for each in range(400)})
