"""YAML of strangers: read as Helm itself reads it (it is asked), refused by line, in bounded time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pitrix.packages.formats.helm import binary as helm_binary
from pitrix.packages.text import jsontext, yamlreader, yamltext
from pitrix.packages.text.jsontext import JsonRefused


def value(text: str | bytes, **options: Any) -> Any:
    return yamltext.read("f.yaml", text.encode() if isinstance(text, str) else text, **options).value


def refused(text: str | bytes, **options: Any) -> jsontext.Problem:
    with pytest.raises(JsonRefused) as caught:
        value(text, **options)
    problem = caught.value.problem
    assert problem.file == "f.yaml"
    assert problem.message.isprintable()
    return problem


# fmt: off
SCALARS = [
    "yes", "no", "on", "off", "y", "n", "Y", "N", "True", "TRUE", "tRue", "False", "null", "~", "Null",
    "NULL", "010", "0o10", "0x1F", "0b11", "-0x1F", "-0b11", "-010", "1_000", "1e3", "1.", ".5", "5e-2",
    "+1", "+.5", "1:20", "190:20:30", "2024-01-01", "2024-01-01T00:00:00Z", "=", "12345678901",
    "9223372036854775808", "18446744073709551616", "99999999999999999999999", "0.1", "1.0", "08", "0o8",
    "1e400", "0x", "1__2", "_1", "1_", "+0x1F", "0X1F", "0B11", "--", ".5.", "1.2.3", "1e", "+12e03",
    "-2E+05", "0x1.8p3", "Infinity", "NaN", "'yes'", '"1"', "! 12", "!!str 1", "!!int '3'", "!!float 3",
    "!!bool 'yes'", "!!null ''", "a#b", "!!timestamp 2024-01-01", "!!binary aGVsbG8=", "\"a\\x00\\u202e\"",
    "|\n yes", ">-\n a\n b", "", "0", "-0", "00", "0.", "-.5", "1E5", "0x1f_f", "1.5e3", "é", "'it''s'",
    "[a, [b], {c: d}]", "{a: , b: ~}", "!!set {a, b}", "[&a 1, *a, &a 2, *a]", "{<<: {a: 1, b: 2}, a: 3}",
    "{a: 3, <<: {a: 1, b: 2}}", "{'<<': {a: 1}}", "{<<: [{a: 1}, {a: 2, b: 3}]}", "{a: 1, a: 2}",
    "{1: a, 1.5: b, 1e3: c, 2024-01-01: d}", "{true: a, no: b}", "{1: a, '1': b}", "{0x10: a}", "{.inf: a}",
    "{1e1000: a}", "\n- a\n- b", "&x {k: &y 1}", "{k: !!map {a: b}}",
]
REFUSED_BY_HELM_TOO = [
    ".inf", "-.inf", ".nan", "-", "{<<: 3}", "{~: 1}", "{? [a] : 1}", "!!int abc", "&a [*a]", "*b", "[1",
    '"a', "\ta: 1", "\"a\x01b\"", "\"\\ud800\"", "a\x7fb", "@a", "`a", "a: b: c", "{a: b", "%x",
    "!!float x", "&a {b: *a}",
]
# fmt: on


@pytest.fixture(scope="module")
def helm_reads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the real Helm makes of each scalar as a value of a chart, by the scalar."""
    chart = tmp_path_factory.mktemp("oracle")
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: oracle\nversion: 1.0.0\n")
    (chart / "templates").mkdir()
    (chart / "templates" / "all.yaml").write_text("all: {{ toJson .Values | quote }}\n")
    # One file takes anchors of one name many times over, so each scalar gets a file of its own.
    reads = []
    for index, scalar in enumerate(SCALARS):
        (chart / f"{index}.yaml").write_text(f"v{index}: {scalar}\n")
        reads += ["-f", f"{index}.yaml"]
    ran = helm_binary.run(["template", "x", ".", *reads], cwd=chart)
    assert ran.returncode == 0, ran.stderr
    line = next(each for each in ran.stdout.decode().splitlines() if each.startswith("all: "))
    found = json.loads(json.loads(line.removeprefix("all: ")))
    return {scalar: found.get(f"v{index}") for index, scalar in enumerate(SCALARS)}


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_a_value_is_what_helm_says_it_is(scalar: str, helm_reads: dict[str, Any]) -> None:
    index = SCALARS.index(scalar)
    mine = value(f"v{index}: {scalar}\n")[f"v{index}"]
    helms = helm_reads[scalar]
    assert json.dumps(_as_go(mine), sort_keys=True) == json.dumps(_as_go(helms), sort_keys=True)


def _as_go(found: Any) -> Any:
    """Every number as a float, and without members that are null (Helm's merge of values drops them)."""
    if isinstance(found, dict):
        return {key: _as_go(each) for key, each in found.items() if each is not None}
    if isinstance(found, list):
        return [_as_go(each) for each in found]
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return float(found) + 0.0  # -0.0 is 0 in Go's JSON
    return found


@pytest.mark.parametrize("text", REFUSED_BY_HELM_TOO, ids=repr)
def test_what_helm_cannot_read_is_refused(text: str) -> None:
    assert refused(f"v: {text}\n").line


def test_helm_refuses_them_indeed(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: oracle\nversion: 1.0.0\n")
    for text in REFUSED_BY_HELM_TOO[::6]:  # each costs a start of Helm
        (tmp_path / "values.yaml").write_text(f"v: {text}\n")
        assert helm_binary.run(["template", "x", "."], cwd=tmp_path).returncode, text


def test_what_is_wrong_is_shown_with_its_line_and_how_to_mend_it() -> None:
    for text, line, message, hint in [
        ("a: 1\n\tb: 2\n", 2, "a tab character", "indent with spaces"),
        ("a: 1\nb: {{ .x }}\n", 2, "list or a mapping is used as a key", "keys are texts"),
        ("a: 1\nb: {{ .x }} y\nc: 1", 2, "key", ""),
        ("a: 1\nb: @x\n", 2, "cannot start any token", "in quotes"),
        ("a: 1\nb: c: d\n", 2, "mapping values are not allowed", "check the indentation"),
        ("a: 1\nb: .nan\n", 2, ".nan is no number that JSON can hold", "put it in quotes"),
        ("a: 1\n\nb: *x\n", 3, "the alias *x has no anchor &x before it", ""),
        ("a:\n  - &x [1, *x]\n", 2, "the anchor &x contains itself", ""),
        ("a: 1\nb: !!python/object:os.x [x]\n", 2, "the tag !!python/object:os.x is not one", "without"),
        ("a: !ruby/object:Gem 1\n", 1, "the tag !ruby/object:Gem is not one that is read here", "without"),
        ("a: !!int x\n", 1, "'x' is not what its tag !!int says", ""),
        ("a: !!binary '///'\n", 1, "not text in base64", ""),
        ("a: b\x01c\n", 1, "control characters are not allowed", ""),
        ("a:\n  b: [1, 2\nc: 3\n", 3, "did not find expected ',' or ']'", ""),
    ]:  # fmt: skip
        problem = refused(text)
        assert (problem.line, message in problem.message, hint in problem.hint) == (line, True, True), problem


def test_the_encoding_is_utf8_and_nothing_else() -> None:
    assert refused("a: é".encode("utf-16")).message == "the file is UTF-16 or UTF-32"
    assert refused(b"a: 1\nb: \xff\n").line == 2
    assert "not UTF-8" in refused(b"a: 1\nb: \xff\n").message
    assert "control characters" in refused(b"a: 1\n\x00\x00").message
    marked = yamltext.read("f.yaml", b"\xef\xbb\xbfa: 1\n")
    assert marked.value == {"a": 1}
    assert [each.message for each in marked.warnings] == ["the file starts with a byte order mark"]


def test_lines_are_found_by_pointer() -> None:
    document = yamltext.read(
        "f.yaml", b"# head\na:\n  b/c:\n    - 1\n    - x: 2\n      z: 3\n  ~d: &k\n    e: 1\nf: *k\n"
    )
    wanted = {"": 2, "/a": 2, "/a/b~1c": 3, "/a/b~1c/0": 4, "/a/b~1c/1": 5, "/a/b~1c/1/z": 6, "/a/~0d/e": 8}
    assert {pointer: document.line(pointer) for pointer in wanted} == wanted
    assert document.line("/f") == 9
    assert document.line("/f/e") == 8  # where it is written
    assert document.line("/a/nothing/there") == 2
    assert document.problem("/a/b~1c/1", "wrong").line == 5


def test_what_is_odd_but_read_is_warned_of() -> None:
    text = "a: 1\nb: 2\na: 3\nyes: 4\nc:\n  d: 1\n  <<: {d: 2}\n"
    found = yamltext.read("f.yaml", text.encode())
    assert found.value == {"a": 3, "b": 2, "true": 4, "c": {"d": 2}}
    assert [(each.line, each.message) for each in found.warnings] == [
        (3, "the key 'a' is given more than once in one mapping (lines 1 and 3); the last one counts"),
        (4, "the key yes is not a text; it is read as 'true'"),
        (7, "<< replaces the key 'd', which is given before it"),
    ]
    many = yamltext.read("f.yaml", b"".join(b"%d: x\n" % each for each in range(5000)))
    assert len(many.warnings) == yamlreader.MAX_WARNINGS


def test_documents() -> None:
    both = yamltext.read_all("f.yaml", b"a: 1\n---\n- b\n---\n")
    assert [each.value for each in both] == [{"a": 1}, ["b"], None]
    assert both[1].line("/0") == 3
    first = yamltext.read("f.yaml", b"a: 1\n---\nb: 1\n")
    assert first.value == {"a": 1}
    assert [each.line for each in first.warnings] == [3]
    for empty in (b"", b"# nothing\n", b"\xef\xbb\xbf"):
        assert yamltext.read("f.yaml", empty).value is None
        assert yamltext.read("f.yaml", empty).line("/a") == 1
    assert [
        "does not read" in each.message for each in yamltext.read("f", b"%YAML 1.2\n---\na: 1").warnings
    ] == [True]


def test_the_short_tags_of_cloudformation_become_its_long_ones() -> None:
    text = """
a: !Ref Bucket
b: !GetAtt Table.Stream.Arn
c: !Sub ["${x}", {x: !Ref Y}]
d: !If [Prod, !Ref A, !Ref "AWS::NoValue"]
e: !GetAZs
f: !Sub "${AWS::Region}-1"
g: {Fn::Join: [",", !Split [" ", !ImportValue z]]}
h: !Condition Prod
i: !Select [0, !GetAZs '']
"""
    found = yamltext.read("template.yaml", text.encode(), tags=yamltext.CLOUDFORMATION)
    assert found.value == {
        "a": {"Ref": "Bucket"},
        "b": {"Fn::GetAtt": ["Table", "Stream.Arn"]},
        "c": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]},
        "d": {"Fn::If": ["Prod", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]},
        "e": {"Fn::GetAZs": ""},
        "f": {"Fn::Sub": "${AWS::Region}-1"},
        "g": {"Fn::Join": [",", {"Fn::Split": [" ", {"Fn::ImportValue": "z"}]}]},
        "h": {"Condition": "Prod"},
        "i": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
    }
    assert found.line("/c/Fn::Sub/1/x/Ref") == 4
    assert "the tag !Ref is not one" in refused(text).message
    assert "the tag !Fn is not one" in refused("a: !Fn x", tags=yamltext.CLOUDFORMATION).message


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)
)
BOMBS = {
    "laughs": (LAUGHS, "more than 100000 values, aliases written out"),
    "long text": (f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 90_000)}]\n", "characters, aliases"),
    "merge": (
        "a0: &a0 {" + ", ".join(f"k{each}: 1" for each in range(9000)) + "}\n"
        + "".join(f"b{each}: {{<<: *a0}}\n" for each in range(5000)),
        "more than 100000 values",
    ),
    "deep flow": ("[" * 500_000, "deeper than 100"),
    "deep flow mapping": ("{a: " * 200_000, "deeper than 100"),
    "deep block": ("- " * 400_000, "deeper than 100"),
    "deep by aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{each}: &a{each} [*a{each - 1}]\n" for each in range(1, 3000)),
        "deeper than 100",
    ),
    "deep keys": ("? " * 400_000, "used as a key"),
    "many": ("[" + "," .join("a" * 400_000) + "]", "more than 100000 values"),
    "many documents": ("---\n" * 200_000, "more than 100000 values"),
    "large": ("a: " + "x" * 2_000_000, "the limit is 1048576"),
    "comments": ("#" * 1_000_000 + "\n", ""),
    "spaces": (" " * 1_000_000 + "a", ""),
    "anchors": ("".join(f"- &a{each} x\n" for each in range(60_000)), ""),
    "open quote": ('a: "' + "x\n" * 400_000, "quoted scalar"),
    "digits": ("a: " + "9" * 900_000, ""),
    "underscores": ("a: 1" + "_" * 900_000, ""),
    "long key": ("? " + "x" * 900_000 + "\n:\n" + "".join(f"  - a{each}: b\n" for each in range(8_000)), ""),
    "percent": ("%" * 900_000, "not valid YAML"),
    "tag": ("a: !<" + "x" * 900_000 + "> b", "the tag xxx"),
    "colons": (": " * 400_000, "did not find expected key"),
    "question": ("?\n" * 300_000, "null"),
    "flow lines": ("[\n" * 90 + "a,\n" * 40_000 + "]" * 90, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_soon(name: str) -> None:
    text, message = BOMBS[name]
    started = time.process_time()
    if message:
        problem = refused(text)
        assert message in problem.message
        assert len(problem.message) < 400
    else:
        document = yamltext.read("f.yaml", text.encode())
        assert document.line("/" + "x" * 900_000 + "/7999/a7999") in (1, 8002)
    assert time.process_time() - started < 3


def test_an_index_is_loaded_fast_whether_json_or_yaml() -> None:
    entries = {
        f"chart{each}": [
            {"name": f"chart{each}", "version": f"1.0.{step}", "urls": ["u"]} for step in range(5)
        ]
        for each in range(2000)
    }
    index = {"apiVersion": "v1", "entries": entries, "generated": "2024-01-01T00:00:00Z"}
    import yaml

    assert yamltext.load(json.dumps(index).encode()) == index
    text = yaml.dump(index, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)).encode()
    started = time.process_time()
    assert yamltext.load(text) == index
    assert time.process_time() - started < 3
    assert yamltext.load(b"\xef\xbb\xbf\n{a: b}") == {"a": b"b".decode()}
    assert yamltext.load(b"") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: [", r"not valid YAML.*line 2"),
        (b'{"a": NaN, "b": .nan}', "no number that JSON can hold"),
        (b"[" * 200_000, "deeper than 100"),
        (b"[" * 500 + b"1" + b"]" * 500, "deeper than 100"),
        (b"[" + b"[]," * 5_000_000 + b"[]]", "more than 4000000 values"),
        (b"a: \xff", "not valid YAML"),
        (b'{"a": "\xff"}', "not valid YAML"),
        (LAUGHS.encode(), "more than 4000000 values"),
        (b"a: !!python/name:os.system x", "the tag !!python/name:os.system"),
        (b"x" * (yamltext.LOAD_BYTES + 1), "the limit is"),
    ],
    ids=range(10),
)
def test_an_index_that_cannot_be_loaded_says_why(data: bytes, message: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=message):
        yamltext.load(data)
    assert time.process_time() - started < 5


def test_the_parser_in_python_does_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.delattr(yaml, "CSafeLoader")
    assert value("a: &x [1, yes]\nb: *x\n") == {"a": [1, True], "b": [1, True]}
    assert "not UTF-8" in refused(b"a: \xff").message
    assert "half of a surrogate pair" in refused('a: "\\ud800"').message
    assert "deeper than 100" in refused("[" * 5000).message
