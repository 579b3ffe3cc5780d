"""Both dialects of templates; a value never changes the structure of the JSON it goes into."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitrix.packages.formats.vm.template import Choices, TemplateBroken, parse


def render(text: str, **values: Any) -> str:
    return parse(text).render(lambda key: values.get(key.replace(".", "_")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"n": {{cluster.name}}}', {"n": "my shop"}),
        ('{"n": "{{.cluster.name}}"}', {"n": "my shop"}),
        ('{"n": {{.cluster.name}}}', {"n": "my shop"}),
        ('{"n": "{{ .cluster.name }}"}', {"n": "my shop"}),
        ('{"n": "{{- .cluster.name -}}"}', {"n": "my shop"}),
        ('{"n": {{{cluster.name}}}}', {"n": "my shop"}),
        ('{"n": {{& cluster.name}}}', {"n": "my shop"}),
        ('{"n": "<{{.cluster.name}}>"}', {"n": "<my shop>"}),
        ('{"n": "{{.cluster.name}}-{{.count}}"}', {"n": "my shop-2"}),
        ('{"n": "\\"{{.cluster.name}}\\""}', {"n": '"my shop"'}),
        ('{"n": "{{.count}}"}', {"n": 2}),
        ('{"n": {{count}}}', {"n": 2}),
        ('{"n": "x{{.count}}"}', {"n": "x2"}),
        ('{"n": "{{.tls}}"}', {"n": True}),
        ('{"n": "{{.missing}}"}', {"n": None}),
        ('{"n": "a{{.list}}b"}', {"n": 'a["x"]b'}),
        ('{"n": {{! a comment }} 1}', {"n": 1}),
        ('{"n": {{/* a comment */}} 1}', {"n": 1}),
        ('{"n": "{{! c }}{{.count}}"}', {"n": 2}),
    ],
)
def test_values(text: str, expected: Any) -> None:
    made = render(text, cluster_name="my shop", count=2, tls=True, list=["x"])
    assert json.loads(made) == expected


@pytest.mark.parametrize(
    ("text", "on", "off"),
    [
        ('{"a": {{if .tls}}1{{else}}2{{end}}}', {"a": 1}, {"a": 2}),
        ('{"a": 1{{if .tls}}, "b": 2{{end}}}', {"a": 1, "b": 2}, {"a": 1}),
        ('{"a": {{if not .tls}}1{{else}}2{{end}}}', {"a": 2}, {"a": 1}),
        ('{"a": {{if eq .mode "x"}}1{{else if eq .mode "y"}}2{{else}}3{{end}}}', {"a": 1}, {"a": 2}),
        ('{"a": {{if ne .mode "x"}}1{{else}}2{{end}}}', {"a": 2}, {"a": 1}),
        ('{"a": 1{{#tls}}, "b": 2{{/tls}}{{^tls}}, "c": 3{{/tls}}}', {"a": 1, "b": 2}, {"a": 1, "c": 3}),
        ('{"a": "x{{if .tls}}y{{end}}z"}', {"a": "xyz"}, {"a": "xz"}),
    ],
)
def test_conditions(text: str, on: Any, off: Any) -> None:
    assert json.loads(render(text, tls=True, mode="x")) == on
    assert json.loads(render(text, tls=False, mode="y")) == off


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n"a": {{cluster.name', 2, "never closed"),
        ('{\n"a": {{}}\n}', 2, "empty"),
        ('{\n"a": {{cluster name}}\n}', 2, "not an expression"),
        ('{\n"a": {{define "x"}}\n{{end}}}', 2, "'define' is not supported"),
        ('{\n"a": {{.x | printf "%s"}}\n}', 2, "'|' is not supported"),
        ('{\n"a": {{printf "%s" .x}}\n}', 2, "'printf' is not supported"),
        ('{\n"a": {{$x}}\n}', 2, "'$x' is set nowhere"),
        ('{\n"a": {{range $i, $x := .x}}{{end}}\n{{$x}}}', 3, "'$x' is set nowhere"),
        ("{\n{{with $a, $b := .x}}{{end}}}", 2, "sets one variable"),
        ("{\n{{range .x}}{{else if .y}}{{end}}}", 2, "'else if .y' is not supported"),
        ("{\n{{if (eq .a 1}}{{end}}}", 2, "bracket is never closed"),
        ("{\n{{if eq .a 1)}}{{end}}}", 2, "closes nothing"),
        ("{\n{{if not .a .b}}{{end}}}", 2, "takes 1 arguments"),
        ("{{if " + "(" * 40 + ".a" + ")" * 40 + "}}{{end}}", 1, "more than 8 brackets"),
        ("{\n{{#a b}}{{/a b}}}", 2, "is not a key"),
        ("{\n{{if .a}}\n}", 2, "never closed by {{end}}"),
        ("{\n{{#a}}\n}", 2, "never closed by {{/a}}"),
        ("{\n{{end}}\n}", 2, "closes nothing"),
        ("{\n{{/a}}\n}", 2, "closes nothing"),
        ("{\n\n{{else}}\n}", 3, "'else' without 'if'"),
        ("{\n{{if eq .a}}{{end}}\n}", 2, "takes 2 or more arguments"),
        ('{"a": {{ "".__class__ }}}', 1, "not an expression"),
        ("{{if .a}}" * 20, 1, "more than"),
    ],
)
def test_what_does_not_parse_is_named_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(TemplateBroken) as caught:
        parse(text)
    assert any(fault[0] == line and message in fault[1] for fault in caught.value.faults), caught.value.faults


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(TemplateBroken) as caught:
        parse("{{}}\n{{a b}}\n{{end}}")
    assert [fault[0] for fault in caught.value.faults] == [1, 2, 3]


def test_references_carry_their_lines() -> None:
    found = parse('{\n"a": {{env.4lw.commands.whitelist}},\n"b": "{{.env.kafka-manager.port}}"}').references
    assert [(each.key, each.line) for each in found] == [
        ("env.4lw.commands.whitelist", 2),
        ("env.kafka-manager.port", 3),
    ]


def test_lines_stay_where_they_are() -> None:
    text = '{\n{{if .tls}}\n"a": 1,\n{{else}}\n"b": 2,\n"c": 3,\n{{end}}\n"last": {{n}}\n}'
    for tls in (True, False):
        made = render(text, tls=tls, n="x").splitlines()
        assert made[7].startswith('"last"'), made


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "{% for x in range(10) %}x{% endfor %}"}',
        '{"a": "{# gone #}"}',
        '{"a": "${{x}}"}',
        '{"a": "# for x in y"}',
    ],
)
def test_jinja_of_the_package_is_text(text: str) -> None:
    assert json.loads(render(text, x=1)) == json.loads(text.replace("{{x}}", "1"))


def of(values: dict[str, Any]) -> Any:
    return values.get


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[{{range $i, $x := .ips}}{{if $i}}, {{end}}{{$x}}{{end}}]", ["a", "b"]),
        ('[{{range $x := .ips}}"<{{$x}}>", {{end}}0]', ["<a>", "<b>", 0]),
        ('[{{range .ips}}"{{.}}", {{end}}0]', ["a", "b", 0]),
        ("[{{range .listeners}}{{.port}}, {{.deep.er}}, {{end}}0]", [80, "x", 81, None, 0]),
        ('[{{range .listeners}}"{{$.title}}:{{.port}}", {{end}}0]', ["T:80", "T:81", 0]),
        ('[{{range .listeners}}"{{title}}", {{end}}0]', ["T", "T", 0]),
        ("[{{range $k, $v := .map}}{{$k}}, {{$v}}, {{end}}0]", ["p", 1, "q", 2, 0]),
        ("[{{range .none}}1{{else}}2{{end}}]", [2]),
        ("[{{range .ips}}1, {{else}}2, {{end}}0]", [1, 1, 0]),
        ("[{{range .modules}}{{.}}, {{end}}{{.modules}}]", ["x", "y", "x|y"]),
        ("[{{with .map}}{{.p}}{{else}}0{{end}}]", [1]),
        ("[{{with $m := .map}}{{$m.q}}{{end}}]", [2]),
        ("[{{with .none}}{{.p}}{{else}}0{{end}}]", [0]),
        ("[{{range .ips}}{{range $.ips}}{{.}}, {{end}}{{end}}0]", ["a", "b", "a", "b", 0]),
        ("[{{#ips}}{{.}}, {{/ips}}0]", ["a", "b", 0]),
        ("[{{#listeners}}{{port}}, {{title}}, {{/listeners}}0]", [80, "T", 81, "T", 0]),
        ("[{{#map}}{{p}}{{/map}}]", [1]),
        ("[{{^none}}1{{/none}}{{^ips}}2{{/ips}}]", [1]),
        ("[{{#modules}}1{{/modules}}]", [1]),
        ("[{{len .ips}}, {{len .modules}}, {{len .none}}]", [2, 2, 0]),
        ('{"n": "a {{- .title -}} b"}', {"n": "aTb"}),
        ('{"n": "a {{.title}} b"}', {"n": "a T b"}),
    ],
)
def test_blocks_go_over_lists_and_into_objects(text: str, expected: Any) -> None:
    values = {
        "ips": ["a", "b"],
        "listeners": [{"port": 80, "deep": {"er": "x"}}, {"port": 81}],
        "map": {"q": 2, "p": 1},
        "title": "T",
        "modules": Choices("x|y", ["x", "y"]),
    }
    assert json.loads(parse(text).render(of(values))) == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("and .t .n", True),
        ("and .t .f", False),
        ("or .f .n", True),
        ("or .f .nothing", False),
        ("not (and .t .f)", True),
        ('eq .s "x"', True),
        ('eq .s "y" "x"', True),
        ('ne .s "x"', False),
        ("eq .n 3", True),
        ('eq .n "3"', True),
        ('eq .t "true"', True),
        ("gt .n 2", True),
        ("ge .n 3", True),
        ("lt .n 10", True),
        ("le .n 2", False),
        ('lt .s "y"', True),
        ("and (gt .n 2) (or (eq .s `x`) .f)", True),
        ("eq .nothing nil", True),
    ],
)
def test_conditions_of_go_templates(condition: str, holds: bool) -> None:
    values = {"t": True, "f": False, "n": 3, "s": "x"}
    made = parse("{{if " + condition + "}}1{{else}}0{{end}}").render(of(values))
    assert made == ("1" if holds else "0")


def test_a_loop_has_its_lines_in_its_first_turn() -> None:
    text = '{"a": [\n{{range .ips}}\n{{.}},\n{{else}}\n7,\n{{end}}\n0],\n"last": 1}'
    for ips in (["x"], ["x", "y", "z"], []):
        made = parse(text).render(of({"ips": ips}))
        assert made.splitlines()[7] == '"last": 1}', made
        assert json.loads(made)["a"] == [*(ips or [7]), 0]


def test_loops_that_write_nothing_are_stopped_too() -> None:
    nested = "{{range .many}}" * 4 + "{{end}}" * 4
    with pytest.raises(ValueError, match="turns"):
        parse(nested).render(of({"many": list(range(500))}))


def test_long_expressions_in_long_loops_are_stopped() -> None:
    wide = "(or " + ".f " * 19 + ")"
    text = "{{range .many}}{{if or " + f"{wide} " * 8 + "}}{{end}}{{end}}"
    with pytest.raises(ValueError, match="steps"):
        parse(text).render(of({"many": list(range(5000))}))


def test_what_a_block_refers_to_is_told_apart_from_its_elements() -> None:
    text = "{{range .cluster.ips}}{{.name}}{{.env.port}}{{$.env.host}}{{end}}{{#env.list}}{{x}}{{/env.list}}"
    assert [each.key for each in parse(text).references] == [
        "cluster.ips",
        "env.port",
        "env.host",
        "env.list",
    ]


def test_a_huge_result_is_stopped() -> None:
    template = parse("[" + ",".join(["{{x}}"] * 200) + "]")
    with pytest.raises(ValueError, match="larger than"):
        template.render(lambda _key: "y" * 65536)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON)
def test_a_value_arrives_as_it_is_and_changes_nothing_around_it(value: Any) -> None:
    text = '{"before": 1, "bare": {{v}}, "quoted": "{{.v}}", "inside": "<{{.v}}>", "after": [2]}'
    made = json.loads(parse(text).render(lambda _key: value))
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    assert made == {"before": 1, "bare": value, "quoted": value, "inside": f"<{shown}>", "after": [2]}


@given(st.text(alphabet='{}"\\.#^/!&abc \n-iflsendrgwth$,:=()', max_size=60))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    with contextlib.suppress(TemplateBroken):
        parse(text).render(lambda _key: "x")


@pytest.mark.parametrize("branches", [11, 300, 1500])
def test_a_chain_of_branches_that_python_could_not_compile_is_refused(branches: int) -> None:
    chain = "{{if .a}}1" + "{{else if .b}}2" * branches + "{{end}}"
    with pytest.raises(TemplateBroken):
        parse('{"n": ' + chain + "}")


def test_blocks_as_deep_and_as_wide_as_allowed_are_compiled() -> None:
    text = "1"
    for _ in range(8):
        text = "{{if .a}}" + text + "{{else if .b}}2" * 9 + "{{end}}"
    assert render('{"n": ' + text + "}", a="x").startswith('{"n": ')
    text = "1"
    for _ in range(8):
        text = "{{range .a}}" + text + "{{else}}2{{end}}"
    assert json.loads(parse('{"n": ' + text + "}").render(of({"a": [1]}))) == {"n": 1}
