"""A chart's values and their schema as a form, and its answers as values again."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.errors import InvalidInput
from pitrix.packages import service
from pitrix.packages.forms import values as form_schema
from pitrix.packages.forms.answers import overrides
from pitrix.packages.model import FieldType, Form, FormField


def build(values: Any, schema: Any = None, comments: Any = None, locale: str = "en", **messages: str) -> Form:
    return form_schema.build(values, schema, comments or {}, messages, locale)


def fields(asked: Form) -> dict[str, FormField]:
    return {each.key: each for each in asked.fields()}


def one(value: Any = None, **schema: Any) -> FormField:
    values = {} if value is None else {"x": value}
    (found,) = build(values, {"type": "object", "properties": {"x": schema}}).fields()
    return found


def refused(asked: Form, answers: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        service.complete_answers(asked, answers)
    return {each.field: each.message for each in caught.value.errors}


# --- without a schema --------------------------------------------------------------------------------------


def test_types_are_those_of_the_values() -> None:
    values = {
        "name": "web", "replicas": 2, "ratio": 0.5, "debug": False, "port": None, "args": [], "labels": {},
        "adminPassword": "", "passwordSecret": "s", "script": "a\nb\n",
    }  # fmt: skip
    found = fields(build(values))
    assert {key: (each.type.value, each.shape, each.default) for key, each in found.items()} == {
        "name": ("string", "", "web"),
        "replicas": ("integer", "", 2),
        "ratio": ("number", "", 0.5),
        "debug": ("boolean", "", False),
        "port": ("json", "", None),
        "args": ("json", "array", []),
        "labels": ("json", "object", {}),
        "adminPassword": ("password", "", ""),
        "passwordSecret": ("string", "", "s"),
        "script": ("string", "", "a\nb\n"),
    }
    assert found["script"].multiline
    assert not any(each.required for each in found.values())


def test_groups_follow_objects_in_the_order_of_the_values() -> None:
    values = {
        "image": {"repository": "nginx", "pull": {"policy": "Always"}},
        "replicas": 1,
        "metrics": {"service": {"port": 1}},
        "node.js/key": {"a.b": 1},
    }
    asked = build(values, locale="zh-cn")
    assert [(each.key, each.path, each.label) for each in asked.groups] == [
        ("", [], "常规"),
        ("image", ["image"], "image"),
        ("image.pull", ["image", "pull"], "image.pull"),
        ("metrics.service", ["metrics", "service"], "metrics.service"),
        ("node\\.js/key", ["node.js/key"], "node.js/key"),
    ]
    assert list(fields(asked)) == [
        "replicas",
        "image.repository",
        "image.pull.policy",
        "metrics.service.port",
        "node\\.js/key.a\\.b",
    ]


def test_answers_are_values_and_only_what_differs_is_sent() -> None:
    values = {
        "image": {"tag": "1", "pull": {"policy": "Always"}}, "replicas": 1, "port": None, "args": ["a"],
        "extra": {}, "a.b": {"c": 1}, "list": [{"x": 1}],
    }  # fmt: skip
    asked = build(values)
    everything = service.complete_answers(asked, {})
    assert everything == {key: value for key, value in values.items() if value is not None}
    assert service.default_answers(asked) == everything
    assert overrides(asked, everything, values) == {}
    answers = {"image": {"tag": "2"}, "port": 30080, "extra": {"k": [1]}, "a.b": {"c": 2}, "args": []}
    complete = service.complete_answers(asked, answers)
    assert complete["image"] == {"tag": "2", "pull": {"policy": "Always"}}
    assert overrides(asked, complete, values) == answers


def test_what_is_taken_out_of_an_object_becomes_null() -> None:
    schema = {"properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}}
    values = {"labels": {"a": "1", "b": "2", "c": {"d": 1, "e": 2}}}
    asked = build(values, schema)
    complete = service.complete_answers(asked, {"labels": {"a": "1", "b": "3", "c": {"d": 1}, "n": "4"}})
    assert overrides(asked, complete, values) == {"labels": {"b": "3", "c": {"e": None}, "n": "4"}}


def test_answers_may_be_texts() -> None:
    asked = build({"port": None, "args": [], "labels": {}, "on": True, "tag": "1", "a.b": 1})
    flat = {"port": "http", "args": '["x"]', "labels": '{"a": 1}', "on": "false", "tag": "2", "a\\.b": "3"}
    assert service.parse_answers(asked, flat) == {
        "port": "http", "args": ["x"], "labels": {"a": 1}, "on": False, "tag": "2", "a.b": 3,
    }  # fmt: skip
    assert service.parse_answers(asked, {"port": "80"}) == {"port": 80}
    for wrong in ({"args": "x"}, {"labels": "[" * 100_000}, {"args": "{}"}):
        with pytest.raises(InvalidInput):
            service.complete_answers(asked, service.parse_answers(asked, wrong))


# --- with a schema -----------------------------------------------------------------------------------------


def test_titles_descriptions_and_translations() -> None:
    schema = {
        "title": "Web", "properties": {
            "replicas": {"title": "Replicas", "description": "How many", "type": "integer"},
            "auth": {"title": "Login", "description": "Who may", "properties": {"user": {"type": "string"}}},
        },
    }  # fmt: skip
    comments = {"replicas": "not this", "auth.user": "The name"}
    messages = {"Replicas": "副本", "Login": "登录", "The name": "用户名"}
    asked = build({"replicas": 1}, schema, comments, "zh-cn", **messages)
    assert [(each.label, each.description) for each in asked.groups] == [("Web", ""), ("登录", "Who may")]
    found = fields(asked)
    assert (found["replicas"].label, found["replicas"].description) == ("副本", "How many")
    assert (found["auth.user"].label, found["auth.user"].description) == ("user", "用户名")


@pytest.mark.parametrize(
    ("schema", "kind", "shape"),
    [
        ({"type": "string"}, "string", ""),
        ({"type": ["string", "null"]}, "string", ""),
        ({"type": "string", "format": "password"}, "password", ""),
        ({"type": "string", "writeOnly": True}, "password", ""),
        ({"type": ["integer", "number"]}, "number", ""),
        ({"type": ["integer", "string"]}, "json", ""),
        ({"type": "array"}, "json", "array"),
        ({"type": "object"}, "json", "object"),
        ({"enum": ["a", "b"]}, "string", ""),
        ({"enum": [1, 2]}, "integer", ""),
        ({"const": True}, "boolean", ""),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string", ""),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "json", ""),
        ({"allOf": [{"type": "string"}, {"minLength": 3}]}, "string", ""),
        ({}, "json", ""),
        (True, "json", ""),
        ({"type": "colour"}, "json", ""),
    ],
)
def test_types_are_those_of_the_schema(schema: Any, kind: str, shape: str) -> None:
    (found,) = build({}, {"properties": {"x": schema}}).fields()
    assert (found.type.value, found.shape) == (kind, shape)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 3], [0, 4, "1", 1.5]),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [1, 3]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, [2], [1]),
        ({"type": "integer", "minimum": 0.5, "maximum": 2.5}, [1, 2], [0, 3]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, [0.1, 1], [0, 1.1]),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": 0}, [1], [0.5]),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": 1}, [1.5], [0, 1]),
        ({"type": "integer", "minimum": 5, "multipleOf": 10}, [10, 30], [5, 15]),
        ({"type": "number", "multipleOf": 0.1}, [0.3, 1], [0.35]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "abc"], ["", "a", "abcd"]),
        ({"type": "string", "pattern": "^a"}, ["a", "ab"], ["b"]),
        ({"type": "string", "pattern": "("}, ["anything"], [1]),
        ({"enum": ["a", 1, True, None]}, ["a", 1, True], ["b", 2, False]),
        ({"const": "a"}, ["a"], ["b"]),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]}, ["a", "b"], ["c"]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3], {}]),
        ({"type": "object", "maxProperties": 1}, [{}, {"a": 1}], [{"a": 1, "b": 2}, []]),
        (
            {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b"]}},
            [["a"], ["b", "a"]],
            ["a", ["c"]],
        ),
        ({"type": "boolean"}, [True, False], ["true", 1]),
        ({"$ref": "#/$defs/port"}, [1, 65535], [0, 65536]),
        ({"$ref": "#/definitions/a~1b"}, ["x"], [1]),
        ({"allOf": [{"$ref": "#/$defs/port"}, {"maximum": 9}], "minimum": 5}, [5, 9], [4, 10]),
    ],
)
def test_answers_are_held_to_the_schema(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    whole = {
        "properties": {"x": schema},
        "$defs": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}},
        "definitions": {"a/b": {"type": "string"}},
    }
    asked = build({}, whole)
    for answer in good:
        assert service.complete_answers(asked, {"x": answer}) == {"x": answer}
    for answer in bad:
        assert set(refused(asked, {"x": answer})) == {"x"}, answer


def test_the_values_win_over_the_defaults_of_the_schema() -> None:
    schema = {"type": "integer", "default": 3}
    assert (one(5, **schema).default, one(5.0, **schema).default) == (5, 5)


@pytest.mark.parametrize(
    ("values", "schema", "required", "expected"),
    [
        ({}, {"type": "integer"}, False, (None, False)),  # Helm renders without it, and so does the form
        ({}, {"type": "integer"}, True, (3, False)),  # Helm refuses the chart without it
        ({"x": None}, {"type": "integer"}, False, (3, False)),  # it refuses this null too
        ({"x": None}, {"type": ["integer", "null"]}, True, (None, False)),
        ({"x": None}, {"oneOf": [{"type": "integer"}, {"type": "null"}]}, True, (None, False)),
        ({"x": None}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}, True, (3, False)),
        ({"x": None}, {"enum": [1, 3, None]}, True, (None, False)),
        ({"x": None}, {"enum": [1, 3]}, True, (3, False)),
        ({"x": None}, {}, True, (None, False)),
    ],
)
def test_a_default_of_the_schema_counts_only_where_helm_refuses_the_chart_without(
    values: Any, schema: Any, required: bool, expected: tuple[Any, bool]
) -> None:
    described = {"properties": {"x": {"default": 3, **schema}}, "required": ["x"] if required else []}
    (found,) = build(values, described).fields()
    assert (found.default, found.required) == expected


@pytest.mark.parametrize("word", ["anyOf", "oneOf"])
def test_alternatives_that_go_in_circles_end(word: str) -> None:
    circle = {"$ref": "#/$defs/x"}
    schema = {"$defs": {"x": {word: [circle, circle]}}, "properties": {"x": circle}}
    assert build({"x": 1}, schema).fields()[0].type == FieldType.INTEGER
    assert build({}, schema).fields()[0].type == FieldType.JSON


def test_equal_is_of_one_type_at_any_depth() -> None:
    values: dict[str, Any] = {"flags": {"debug": 1, "list": [1, 0]}, "same": [1.0, {"a": True}]}
    schema = {"properties": {"flags": {"type": "object", "additionalProperties": True}}}
    asked = build(values, schema)
    complete = service.complete_answers(asked, {"flags": {"debug": True, "list": [True, 0]}})
    assert overrides(asked, complete, values) == {"flags": {"debug": True, "list": [True, 0]}}


def test_a_text_that_ends_with_a_new_line_is_asked_for_in_an_input_that_keeps_it() -> None:
    found = fields(build({"config": "a: 1\n", "name": "web"}))
    assert (found["config"].multiline, found["name"].multiline) == (True, False)


@pytest.mark.parametrize("locale", ["en", "zh-cn"])
def test_what_cannot_be_written_as_utf_8_is_no_answer(locale: str) -> None:
    asked = build({"text": "", "free": None, "list": []}, locale=locale)
    wrong = refused(asked, {"text": "a\ud800", "free": {"\udfff": 1}, "list": ["\ud800"]})
    assert set(wrong) == {"text", "free", "list"}
    assert set(wrong.values()) == {"cannot be read" if locale == "en" else "无法读取"}


def test_the_order_is_that_of_the_values_then_that_of_the_schema() -> None:
    schema = {"properties": {name: {"type": "string"} for name in ("d", "c", "b", "a")}}
    assert list(fields(build({"b": "", "e": "", "a": ""}, schema))) == ["b", "e", "a", "d", "c"]


def test_choices_have_their_titles() -> None:
    found = one(oneOf=[{"const": "a", "title": "Always"}, {"const": "n"}, {"type": "null"}])
    assert (found.choices, found.choice_labels) == (["a", "n"], ["Always", "n"])


def test_several_choices_are_a_list_of_values() -> None:
    found = one(["a"], type="array", uniqueItems=True, items={"enum": ["a", "b"]})
    assert (found.multichoice, found.type, found.choices) == (True, FieldType.STRING, ["a", "b"])
    assert found.default == ["a"]


def test_only_what_has_no_value_is_required() -> None:
    schema = {
        "required": ["host", "name", "key", "tls"],
        "properties": {
            "name": {"type": "string"},
            "host": {"type": "string"},
            "key": {"type": "string", "minLength": 1},
            "tls": {"required": ["cert"], "properties": {"cert": {"type": "string"}}},
            "more": {"required": ["cert"], "properties": {"cert": {"type": "string"}}},
        },
    }
    asked = build({"name": "", "key": ""}, schema)
    assert [key for key, each in fields(asked).items() if each.required] == ["key", "host", "tls.cert"]
    assert refused(asked, {}) == dict.fromkeys(("key", "host", "tls.cert"), "is required")
    assert service.complete_answers(asked, {"key": "k", "host": "h", "tls": {"cert": "c"}}) == {
        "name": "", "key": "k", "host": "h", "tls": {"cert": "c"},
    }  # fmt: skip


def test_an_object_that_the_schema_leaves_to_the_user_is_asked_for_as_a_whole() -> None:
    schema = {"properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}}
    (found,) = build({"labels": {"a": "b"}}, schema).fields()
    assert (found.type, found.shape, found.default) == (FieldType.JSON, "object", {"a": "b"})
    (partly,) = build({"labels": {"a": "b"}}, {"properties": {"labels": {"type": "object"}}}).fields()
    assert partly.key == "labels.a"


def test_a_schema_that_goes_in_circles_comes_to_an_end() -> None:
    tree = {
        "properties": {
            "name": {"type": "string"},
            "left": {"$ref": "#/$defs/tree"},
            "right": {"$ref": "#/$defs/tree"},
        }
    }
    both = {"allOf": [{"$ref": "#/$defs/both"}] * 9}
    schema = {
        "$defs": {"tree": tree, "self": {"$ref": "#/$defs/self"}, "both": both},
        "properties": {
            "t": {"$ref": "#/$defs/tree"},
            "s": {"$ref": "#/$defs/self"},
            "b": {"$ref": "#/$defs/both"},
            "away": {"$ref": "https://example.com/x"},
            "root": {"$ref": "#"},
        },
    }
    started = time.monotonic()
    asked = build({}, schema)
    assert time.monotonic() - started < 5
    assert len(asked.fields()) <= form_schema.MAX_FIELDS
    assert len({each.key for each in asked.fields()}) == len(asked.fields())


def test_a_form_has_a_bound() -> None:
    values = {f"v{number}": number for number in range(5000)}
    asked = build(values)
    assert len(asked.fields()) == form_schema.MAX_FIELDS
    assert overrides(asked, service.complete_answers(asked, {"v7": 8}), values) == {"v7": 8}


def test_a_chart_of_thousands_of_values_is_drawn_in_no_time() -> None:
    def service_values(number: int) -> dict[str, Any]:
        return {
            "enabled": bool(number % 2),
            "replicas": number,
            "image": {"repository": "r", "tag": "1", "pullSecrets": []},
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
            "affinity": {},
            "args": ["-v"],
        }

    values = {f"service{number}": service_values(number) for number in range(150)}
    started = time.monotonic()
    asked = build(values)
    assert len(asked.fields()) == 150 * 9
    assert service.complete_answers(asked, {}) == values
    assert time.monotonic() - started < 2
    huge = {f"s{number}": service_values(number) for number in range(1000)}
    asked = build(huge)
    assert len(asked.fields()) <= form_schema.MAX_FIELDS
    assert {each.path[0] for each in asked.fields()} == set(huge)
    assert (
        service.complete_answers(asked, {"s999": {**service_values(999), "replicas": 5}})["s999"]["replicas"]
        == 5
    )


KEYS = [
    "type",
    "properties",
    "items",
    "enum",
    "const",
    "default",
    "required",
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
]
KEYS += ["minimum", "exclusiveMaximum", "multipleOf", "minLength", "additionalProperties", "a", "b"]
WORDS = st.sampled_from(["object", "string", "integer", "null", "#", "#/properties/a", "#/$defs/x", "a", ""])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=5), JUNK, JUNK)
def test_no_schema_and_no_values_make_it_fail(values: Any, schema: Any, answers: Any) -> None:
    asked = build(values, {"properties": schema, **(schema if isinstance(schema, dict) else {})})
    keys = [each.key for each in asked.fields()]
    assert len(keys) == len(set(keys))
    with contextlib.suppress(InvalidInput):
        service.complete_answers(asked, answers)
    with contextlib.suppress(InvalidInput):
        complete = service.complete_answers(asked, {})
        assert overrides(asked, complete, complete) == {}


# --- comments ----------------------------------------------------------------------------------------------

VALUES = """\
# Default values of the chart.

# This says how many.
# More about it: https://example.com
replicaCount: 1

# -- (string) Which image,
# in two lines
image:
  # image.repository -- Where it comes from
  repository: nginx
  # Overrides the tag
  #
  # and more that is left out
  tag: ""

  # Leave it:
  #   limits: {cpu: 1}
  pull: x
## @section Login
## @param auth.password [string] Password of root
## @param auth.extra.key [array, nullable] Some key
## @skip auth.nothing
auth:
  password: ""
  extra:
    "a.b/c": 3
  # a list of things
  users:
    # not a key
    - name: x
      # neither
      role: y
  script: |
    # -- no comment
    key: no key
  # after the text
  after: 1
# ----------
# Framed
# ----------
framed: {}
# - example: 1
example: []
"""


def test_comments_are_descriptions_in_each_of_their_styles() -> None:
    assert form_schema.comments(VALUES) == {
        "replicaCount": "This says how many. More about it: https://example.com",
        "image": "Which image, in two lines",
        "image.repository": "Where it comes from",
        "image.tag": "Overrides the tag",
        "image.pull": "Leave it:",
        "auth.password": "Password of root",
        "auth.extra.key": "Some key",
        "auth.users": "a list of things",
        "auth.after": "after the text",
        "framed": "Framed",
    }


@given(st.text(alphabet="#-@ \n:ab'\"|>[]{}.", max_size=200))
def test_no_text_makes_the_comments_fail(text: str) -> None:
    form_schema.comments(text)


@pytest.mark.parametrize("text", ["# " * 200_000, "a:" * 200_000, "#\n" * 200_000, " " * 500_000 + "a: 1"])
def test_odd_texts_take_no_time(text: str) -> None:
    started = time.monotonic()
    form_schema.comments(text)
    assert time.monotonic() - started < 2
