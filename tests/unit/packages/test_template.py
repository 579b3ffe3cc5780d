"""Both dialects of templates; a value never changes the structure of the JSON it goes into."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitrix.packages.template import TemplateBroken, parse


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
        ('{\n"a": {{range .x}}\n{{end}}}', 2, "'range' is not supported"),
        ('{\n"a": {{.x | printf "%s"}}\n}', 2, "not an expression"),
        ("{\n{{if .a}}\n}", 2, "never closed by {{end}}"),
        ("{\n{{#a}}\n}", 2, "never closed by {{/a}}"),
        ("{\n{{end}}\n}", 2, "closes nothing"),
        ("{\n{{/a}}\n}", 2, "closes nothing"),
        ("{\n\n{{else}}\n}", 3, "'else' without 'if'"),
        ("{\n{{if eq .a}}{{end}}\n}", 2, "condition"),
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


@given(st.text(alphabet='{}"\\.#^/!&abc \n-iflsend', max_size=60))
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
