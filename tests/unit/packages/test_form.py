"""The form of a package, and what counts as an answer."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.errors import InvalidInput
from pitrix.packages import archive, service
from pitrix.packages.forms import config as form_config
from pitrix.packages.model import FieldType, Form, FormField
from tests.unit.packages import samples


@pytest.fixture(name="asked")
def asked_fixture() -> Form:
    return form_config.build(samples.CONFIG, {}, "en")


def fields(asked: Form) -> dict[str, FormField]:
    return {each.key: each for each in asked.fields()}


def refused(asked: Form, answers: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        service.complete_answers(asked, answers)
    return {each.field: each.message for each in caught.value.errors}


def one(**raw: Any) -> Form:
    return form_config.build({"properties": [{"key": "env", "properties": [{"key": "x", **raw}]}]}, {}, "en")


def test_groups_and_units_come_from_the_package(asked: Form) -> None:
    assert [(group.key, group.label) for group in asked.groups] == [
        ("cluster", "Cluster"),
        ("cluster.web", "Web"),
        ("env", "Settings"),
    ]
    found = fields(asked)
    assert (found["cluster.web.volume_size"].unit, found["cluster.web.memory"].unit) == ("GiB", "MiB")
    assert found["cluster.subnet"].type == FieldType.SUBNET
    assert found["cluster.subnet"].platform_provided
    assert found["env.log.level"].path == ["env", "log.level"]
    assert found["env.modules"].default == ["a", "c"]


def test_no_answers_become_the_defaults(asked: Form) -> None:
    assert service.complete_answers(asked, {}) == {
        "cluster": {
            "name": "shop",
            "subnet": "",
            "web": {"count": 2, "cpu": 1, "memory": 512, "volume_size": 10},
        },
        "env": {
            "title": "Shop",
            "log.level": "info",
            "ratio": 0.5,
            "tls": False,
            "port": 8080,
            "modules": ["a", "c"],
        },
    }
    assert service.complete_answers(asked, None) == service.default_answers(asked)


@pytest.mark.parametrize(
    ("answers", "field", "says"),
    [
        ({"cluster": {"web": {"count": 6}}}, "cluster.web.count", "6 is out of range; allowed: 1 to 5"),
        ({"cluster": {"web": {"count": 0}}}, "cluster.web.count", "1 to 5"),
        ({"cluster": {"web": {"count": "2"}}}, "cluster.web.count", 'must be a whole number, not "2"'),
        ({"cluster": {"web": {"count": 2.5}}}, "cluster.web.count", "must be a whole number"),
        ({"cluster": {"web": {"count": True}}}, "cluster.web.count", "must be a whole number"),
        ({"cluster": {"web": {"cpu": 3}}}, "cluster.web.cpu", "choose one of: 1, 2, 4"),
        ({"cluster": {"web": {"cpu": True}}}, "cluster.web.cpu", "must be a whole number"),
        ({"cluster": {"web": {"volume_size": 15}}}, "cluster.web.volume_size", "in steps of 10"),
        ({"cluster": {"web": {"volume_size": 60}}}, "cluster.web.volume_size", "10 to 50 GiB"),
        ({"cluster": {"web": 3}}, "cluster.web", "must be an object"),
        ({"cluster": {"wbe": {}}}, "cluster.wbe", "is not a field"),
        ({"clutser": {}}, "clutser", "is not a field"),
        ([], "answers", "must be an object"),
        ({"env": {"title": "shop"}}, "env.title", "does not match the pattern"),
        ({"env": {"title": ""}}, "env.title", "is required"),
        ({"env": {"title": 1}}, "env.title", "must be a text"),
        ({"env": {"title": "S" * 5000}}, "env.title", "the limit is 4096"),
        ({"env": {"log": {"level": "info"}}}, "env.log", "is not a field"),
        ({"env": {"ratio": 1.5}}, "env.ratio", "0 to 1"),
        ({"env": {"ratio": float("inf")}}, "env.ratio", "must be a number"),
        ({"env": {"tls": "yes"}}, "env.tls", "must be true or false"),
        ({"env": {"modules": ["a", "z"]}}, "env.modules", '"z" is not allowed'),
        ({"env": {"modules": "a"}}, "env.modules", "must be a list of"),
    ],
)
def test_a_wrong_answer_is_named_with_what_is_allowed(
    asked: Form, answers: Any, field: str, says: str
) -> None:
    found = refused(asked, answers)
    assert set(found) == {field}
    assert says in found[field]


def test_all_wrong_answers_are_named_at_once(asked: Form) -> None:
    found = refused(asked, {"cluster": {"web": {"count": 9, "cpu": 3}}, "env": {"nope": 1, "title": "x"}})
    assert set(found) == {"cluster.web.count", "cluster.web.cpu", "env.nope", "env.title"}


def test_null_means_no_answer(asked: Form) -> None:
    assert service.complete_answers(asked, {"env": {"port": None}})["env"]["port"] == 8080


@pytest.mark.parametrize(("spelling", "needed"), [(True, True), ("yes", True), ("no", False), (False, False)])
def test_required_in_each_of_its_spellings(spelling: Any, needed: bool) -> None:
    asked = one(type="string", required=spelling)
    if needed:
        assert refused(asked, {}) == {"env.x": "is required"}
    else:
        assert service.complete_answers(asked, {}) == {"env": {"x": ""}}


def test_a_required_service_must_be_chosen_and_a_load_balancer_need_not() -> None:
    assert refused(one(type="service", required="yes", default=""), {}) == {"env.x": "is required"}
    asked = one(type="loadbalancer", required="yes", default=[])
    assert service.complete_answers(asked, {}) == {"env": {"x": []}}
    assert "must be a list" in refused(asked, {"env": {"x": "lb-1"}})["env.x"]


def test_the_default_is_allowed_even_where_the_package_contradicts_itself() -> None:
    asked = one(type="integer", default=9, range=[1, 2])
    assert service.complete_answers(asked, {"env": {"x": 9}}) == {"env": {"x": 9}}
    assert refused(asked, {"env": {"x": 8}})


def test_values_of_the_package_are_read_in_the_type_they_should_have_had() -> None:
    (field,) = one(type="integer", default="3", range=["1", "2", "3"]).fields()
    assert (field.default, field.choices) == (3, [1, 2, 3])
    (field,) = one(type="string", default=8, range=[7, 8]).fields()
    assert (field.default, field.choices) == ("8", ["7", "8"])
    (field,) = one(type="boolean", default="true", range=["true", "false"]).fields()
    assert (field.default, field.choices) == (True, [True, False])


def test_a_pattern_that_never_ends_is_stopped() -> None:
    asked = one(type="string", pattern="^(a+)+$", default="a")
    started = time.monotonic()
    found = refused(asked, {"env": {"x": "a" * 60 + "!"}})
    assert time.monotonic() - started < 2
    assert "pattern" in found["env.x"]


def test_a_password_is_not_repeated_in_the_message() -> None:
    found = refused(one(type="password", pattern="^[0-9]+$", default="1"), {"env": {"x": "hunter2"}})
    assert "hunter2" not in found["env.x"]


def test_a_size_chooses_the_values_of_its_group() -> None:
    config = {
        "properties": [
            {
                "key": "cluster",
                "properties": [
                    {"key": "resource_group", "type": "string", "default": "Prod", "range": ["Test", "Prod"]},
                    {
                        "key": "cpu",
                        "type": "integer",
                        "default": 1,
                        "range": [1, 2, 4],
                        "resource_group": [1, 4],
                    },
                ],
            }
        ]
    }
    asked = form_config.build(config, {}, "en")
    assert asked.resource_groups == ["Test", "Prod"]

    def cpu(**cluster: Any) -> Any:
        return service.complete_answers(asked, {"cluster": cluster})["cluster"]["cpu"]

    assert (cpu(), cpu(resource_group="Test"), cpu(resource_group="Test", cpu=2)) == (4, 1, 2)


def test_a_field_counts_only_when_its_condition_holds() -> None:
    config = {
        "properties": [
            {
                "key": "env",
                "properties": [
                    {"key": "tls", "type": "boolean", "default": False},
                    {
                        "key": "domain",
                        "type": "string",
                        "required": "yes",
                        "dependencies": [{"refkey": "tls", "values": ["true"], "operator": "in"}],
                    },
                ],
            }
        ]
    }
    asked = form_config.build(config, {}, "en")
    assert service.complete_answers(asked, {})["env"]["tls"] is False
    assert refused(asked, {"env": {"tls": True}}) == {"env.domain": "is required"}


def test_a_wrong_answer_to_a_hidden_question_is_dropped_instead_of_refused_where_nobody_can_see_it() -> None:
    hidden = {"refkey": "mode", "values": ["own"], "operator": "in"}
    entries = [
        {"key": "mode", "type": "string", "range": ["own", "shared"], "default": "shared"},
        {"key": "port", "type": "integer", "min": 1, "max": 9, "default": 5, "dependencies": [hidden]},
        {"key": "size", "type": "integer", "min": 2, "dependencies": [hidden]},
    ]
    asked = form_config.build({"properties": [{"key": "env", "properties": entries}]}, {}, "en")
    answers = {"port": 77, "size": "x"}
    assert service.complete_answers(asked, {"env": answers})["env"] == {
        "mode": "shared",
        "port": 5,
        "size": 2,
    }
    assert service.complete_answers(asked, {"env": {"port": 7}})["env"]["port"] == 7
    assert set(refused(asked, {"env": {"mode": "own", **answers}})) == {"env.port", "env.size"}


@pytest.mark.parametrize(
    ("spelling", "means"),
    [
        ("Yes", True),
        ("TRUE", True),
        (1, True),
        ("1", True),
        ("on", True),
        ("No", False),
        (0, False),
        ("", False),
    ],
)
def test_flags_are_read_as_the_wild_writes_them(spelling: Any, means: bool) -> None:
    (field,) = one(type="string", required=spelling, system=spelling).fields()
    assert (field.required, field.system) == (means, means)


def test_bounds_written_as_texts_are_numbers() -> None:
    asked = one(type="integer", min="1", max="10", step="3", default=1)
    assert refused(asked, {"env": {"x": 11}}) == {
        "env.x": "11 is out of range; allowed: 1 to 10 in steps of 3"
    }
    assert refused(asked, {"env": {"x": 5}})["env.x"].startswith("5 is not a step")


def test_what_may_not_be_changed_when_a_cluster_is_made_stays_as_it_is() -> None:
    asked = one(type="integer", default=101, range=[101, 202], changeable_when_create=False)
    assert service.complete_answers(asked, {"env": {"x": 101}}) == {"env": {"x": 101}}
    assert refused(asked, {"env": {"x": 202}}) == {
        "env.x": "cannot be changed when a cluster is made; it is 101"
    }


@pytest.mark.parametrize("customizable", [True, False])
def test_a_size_may_be_departed_from_only_where_the_package_allows_it(customizable: bool) -> None:
    size = {"key": "resource_group", "type": "string", "default": "S", "range": ["S", "L"]}
    cpu = {"key": "cpu", "type": "integer", "default": 1, "range": [1, 2, 4], "resource_group": [1, 4]}
    fields = [{**size, "customizable": customizable}, cpu]
    asked = form_config.build({"properties": [{"key": "cluster", "properties": fields}]}, {}, "en")
    assert service.complete_answers(asked, {"cluster": {"resource_group": "L", "cpu": 4}})
    departing = {"cluster": {"resource_group": "L", "cpu": 2}}
    if customizable:
        assert service.complete_answers(asked, departing)["cluster"]["cpu"] == 2
    else:
        assert "belongs to the chosen size, which makes it 4" in refused(asked, departing)["cluster.cpu"]


def test_names_of_the_users_things_are_texts_that_say_what_they_name() -> None:
    for kind in ("accesskey", "vxnet", "eip"):
        (field,) = one(type=kind).fields()
        assert (field.type, field.resource) == (FieldType.STRING, kind)


def test_choices_are_shown_in_the_words_of_the_package() -> None:
    raw = {"key": "mode", "type": "string", "range": ["fast", "safe"], "default": "safe"}
    config = {"properties": [{"key": "env", "properties": [raw]}]}
    (field,) = form_config.build(config, {"fast": "快"}, "zh-cn").fields()
    assert (field.choices, field.choice_labels) == (["fast", "safe"], ["快", "safe"])
    (field,) = form_config.build(config, {}, "zh-cn").fields()
    assert field.choice_labels == []


def test_words_without_a_label_follow_the_language() -> None:
    config = {"properties": [{"key": "cluster", "properties": [{"key": "vxnet", "type": "string"}]}]}
    (chinese,) = form_config.build(config, {}, "zh-cn").groups
    assert (chinese.label, chinese.fields[0].label) == ("集群", "私有网络")
    (own,) = form_config.build(config, {"vxnet": "网"}, "zh-cn").groups
    assert own.fields[0].label == "网"


KEYS = [
    "key",
    "type",
    "properties",
    "default",
    "range",
    "min",
    "step",
    "resource_group",
    "port",
    "tag",
    "dependencies",
    "limits",
    "cluster",
    "multichoice",
    "values",
    "refkey",
    "label",
    "description",
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=100, deadline=None)
@given(JUNK, JUNK)
def test_a_form_can_be_drawn_of_any_json(config: Any, answers: Any) -> None:
    wrapped = {"properties": [{"key": "cluster", "properties": [{"key": "a", "properties": [config]}]}]}
    for each in (config, {"properties": [config]}, wrapped):
        asked = form_config.build(each, {}, "zh-cn")
        service.default_answers(asked)
        with contextlib.suppress(InvalidInput):
            service.complete_answers(asked, answers)


def test_labels_are_translated_and_fall_back_to_the_text() -> None:
    made = samples.files(**{"locale/zh-cn.json": {"Web": "网页", "Subnet": "子网"}})
    package = service.open_package(archive.write(made, "shop"))
    chinese, english = service.form(package, "zh-cn"), service.form(package, "en")
    assert [group.label for group in chinese.groups] == ["集群", "网页", "配置参数"]
    assert fields(chinese)["cluster.subnet"].label == "子网"
    assert fields(english)["cluster.subnet"].label == "Subnet"
    assert service.form(package, "zh_CN").groups == chinese.groups


def test_texts_become_typed_answers(asked: Form) -> None:
    flat = {
        "cluster.web.count": " 3 ",
        "cluster.web.cpu": "",
        "env.log.level": "debug",
        "env.ratio": "0.25",
        "env.tls": "on",
        "env.modules": ["a", "b"],
    }
    answers = service.parse_answers(asked, flat)
    assert answers == {
        "cluster": {"web": {"count": 3}},
        "env": {"log.level": "debug", "ratio": 0.25, "tls": True, "modules": ["a", "b"]},
    }
    assert service.complete_answers(asked, answers)["cluster"]["web"]["cpu"] == 1
    assert service.parse_answers(asked, {"env.modules": "a|b"}) == {"env": {"modules": ["a", "b"]}}


def test_texts_of_the_wrong_type_and_unknown_keys_are_named(asked: Form) -> None:
    with pytest.raises(InvalidInput) as caught:
        service.parse_answers(asked, {"cluster.web.count": "two", "env.tls": "maybe", "nope": "1"})
    assert {each.field: each.message for each in caught.value.errors} == {
        "cluster.web.count": 'must be a whole number, not "two"',
        "env.tls": 'must be true or false, not "maybe"',
        "nope": "is not a field of this application",
    }
