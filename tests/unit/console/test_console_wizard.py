"""Forms of packages as inputs of a browser, and back."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import wizard
from chalicelib.i18n import Texts
from pitrix.errors import FieldError, InvalidInput
from pitrix.packages import service as packages
from pitrix.packages.model import FieldCondition, FieldType, Form, FormField, FormGroup

T = Texts("en")


def field(key: str, **facts: Any) -> FormField:
    return FormField(key=f"cluster.{key}", path=["cluster", key], label=key.title(), **facts)


def form(*fields: FormField, sizes: list[str] | None = None) -> Form:
    group = FormGroup(key="cluster", path=["cluster"], label="Cluster", fields=list(fields))
    return Form(groups=[group], resource_groups=sizes or [])


def only(asked: Form, **drawn: Any) -> wizard.Question:
    ((question,),) = [section.questions for section in wizard.draw(asked, T, **drawn)]
    return question


def posted(asked: Form, **changes: Any) -> dict[str, list[str]]:
    """What a browser sends for the form as it is drawn, with changes."""
    sent: dict[str, list[str]] = {wizard.SIZE_SHOWN: [wizard.size_shown(asked)]}
    for section in wizard.draw(asked, T):
        for question in section.questions:
            if question.options:
                sent[question.name] = [option.value for option in question.options if option.chosen]
            else:
                sent[question.name] = [question.value]
            if question.kind == "checkboxes":
                sent[f"{wizard.PRESENT}{question.name}"] = ["1"]
    return sent | {f"/cluster/{name}": value for name, value in changes.items()}


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"type": FieldType.INTEGER}, "number"),
        ({"type": FieldType.NUMBER}, "number"),
        ({"type": FieldType.STRING}, "text"),
        ({"type": FieldType.PASSWORD}, "password"),
        ({"type": FieldType.BOOLEAN}, "radio"),
        ({"type": FieldType.INTEGER, "choices": [1, 2, 4]}, "radio"),
        ({"type": FieldType.INTEGER, "choices": list(range(13))}, "select"),
        ({"type": FieldType.STRING, "choices": ["a", "b"], "multichoice": True}, "checkboxes"),
        ({"type": FieldType.SERVICE}, "select"),
        ({"type": FieldType.JSON}, "json"),
        ({"type": FieldType.JSON, "shape": "array"}, "json"),
        ({"type": FieldType.JSON, "choices": ["a", 1]}, "radio"),
        ({"type": FieldType.STRING, "multiline": True}, "lines"),
    ],
)
def test_a_field_is_drawn_by_its_type(facts: dict[str, Any], kind: str) -> None:
    assert only(form(field("x", **facts))).kind == kind


def test_what_the_platform_provides_is_not_asked() -> None:
    asked = form(field("subnet", type=FieldType.SUBNET, required=True, platform_provided=True))
    assert wizard.draw(asked, T) == []
    assert wizard.read(asked, {"/cluster/subnet": [""]}) == {}


def test_defaults_are_chosen_and_units_said() -> None:
    question = only(
        form(field("memory", type=FieldType.INTEGER, choices=[512, 2048], default=2048, unit="MiB"))
    )
    assert [(option.text, option.chosen) for option in question.options] == [
        ("512 MiB", False),
        ("2 GiB", True),
    ]


def test_keys_with_dots_and_slashes_stay_apart() -> None:
    dotted = FormField(
        key="env.log.hours", path=["env", "log.hours"], label="Hours", type=FieldType.INTEGER, default=1
    )
    slashed = FormField(key="env.a/b", path=["env", "a/b"], label="Path")
    asked = Form(groups=[FormGroup(key="env", path=["env"], label="Env", fields=[dotted, slashed])])
    names = [question.name for question in wizard.draw(asked, T)[0].questions]
    assert names == ["/env/log.hours", "/env/a~1b"]
    assert wizard.read(asked, {names[0]: ["7"], names[1]: ["x"]}) == {"env": {"log.hours": 7, "a/b": "x"}}


@pytest.mark.parametrize(
    ("facts", "text", "value"),
    [
        ({"type": FieldType.INTEGER}, "12", 12),
        ({"type": FieldType.INTEGER}, " -3 ", -3),
        ({"type": FieldType.INTEGER}, "two", "two"),
        ({"type": FieldType.INTEGER}, "9" * 5_000, "9" * 5_000),
        ({"type": FieldType.NUMBER}, "0.5", 0.5),
        ({"type": FieldType.NUMBER}, "nan", "nan"),
        ({"type": FieldType.BOOLEAN}, "true", True),
        ({"type": FieldType.BOOLEAN}, "perhaps", "perhaps"),
        ({"type": FieldType.INTEGER, "choices": [1, 2]}, "2", 2),
        ({"type": FieldType.STRING, "choices": ["1", "2"]}, "2", "2"),
        ({"type": FieldType.STRING}, " a ", "a"),
        ({"type": FieldType.PASSWORD}, " a ", " a "),
        ({"type": FieldType.STRING, "multiline": True}, "a\r\n b\r\n", "a\n b\n"),
        ({"type": FieldType.JSON, "shape": "array"}, ' ["a", 1] ', ["a", 1]),
        ({"type": FieldType.JSON, "shape": "object"}, '{"a": {"b": null}}', {"a": {"b": None}}),
        ({"type": FieldType.JSON, "shape": "object"}, '{"a": ', '{"a":'),
        ({"type": FieldType.JSON}, "8080", 8080),
        ({"type": FieldType.JSON}, "http", "http"),
        ({"type": FieldType.JSON}, "[" * 100_000, "[" * 100_000),
        ({"type": FieldType.JSON, "choices": ["1", 1]}, "1", "1"),
    ],
)
def test_a_text_is_read_by_its_type(facts: dict[str, Any], text: str, value: Any) -> None:
    assert wizard.read(form(field("x", **facts)), {"/cluster/x": [text]}) == {"cluster": {"x": value}}


def test_blanks_leave_the_default_but_an_emptied_text_is_an_answer() -> None:
    number, text = field("n", type=FieldType.INTEGER, default=5), field("t", default="hello")
    assert wizard.read(form(number, text), {"/cluster/n": [""], "/cluster/t": [""]}) == {"cluster": {"t": ""}}
    assert wizard.read(form(field("t")), {"/cluster/t": [""]}) == {}


def test_lists_and_objects_are_drawn_as_json_and_come_back_as_they_were() -> None:
    asked = form(
        field("args", type=FieldType.JSON, shape="array", default=["é", {"a": 1}]),
        field("labels", type=FieldType.JSON, shape="object", default={}),
        field("port", type=FieldType.JSON),
    )
    args, labels, port = wizard.draw(asked, T)[0].questions
    assert (args.value.count("\n"), args.rows, labels.value, labels.rows, port.value) == (5, 7, "{}", 3, "")
    assert "é" in args.value
    assert wizard.read(asked, posted(asked)) == {"cluster": {"args": ["é", {"a": 1}], "labels": {}}}
    ((_, told),) = wizard.in_words(asked, posted(asked), T)
    assert [line.text for line in told] == ['["é", {"a": 1}]']
    ((_, told),) = wizard.in_words(asked, posted(asked, labels=['{"a": 1}'], port=["80"]), T)
    assert [line.text for line in told] == ['["é", {"a": 1}]', '{"a": 1}', "80"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"min_length": 3, "max_length": 9}, "3 to 9 characters"),
        ({"max_length": 9}, "at most 9 characters"),
        ({"min_length": 3, "type": FieldType.PASSWORD}, "at least 3 characters"),
        ({"type": FieldType.JSON, "min_items": 1, "max_items": 2}, "1 to 2 entries"),
        ({"choices": ["a", "b"], "multichoice": True, "max_items": 1}, "at most 1 entries"),
        ({"min_length": 0}, ""),
        ({}, ""),
    ],
)
def test_lengths_are_said_and_belong_to_the_input(facts: dict[str, Any], said: str) -> None:
    question = only(form(field("x", **facts)))
    assert question.limits == said
    assert ("-limits" in question.described_by) is bool(said)


def test_choices_are_shown_by_their_labels() -> None:
    asked = form(field("mode", choices=["fast", "safe"], choice_labels=["快", "稳"], default="safe"))
    assert [(each.value, each.text) for each in only(asked).options] == [("fast", "快"), ("safe", "稳")]
    ((_, told),) = wizard.in_words(asked, posted(asked), T)
    assert [line.text for line in told] == ["稳"]


def test_groups_of_a_chart_are_one_part_in_their_order() -> None:
    groups = [
        FormGroup(
            key=".".join(path),
            path=path,
            label="x",
            fields=[FormField(key="a", path=[*path, "a"], label="a")],
        )
        for path in ([], ["zeta"], ["image", "pull"])
    ]
    assert [each.part for each in wizard.draw(Form(groups=groups, sparse=True), T)] == ["", "", ""]
    assert len({each.html_id for each in wizard.draw(Form(groups=groups, sparse=True), T)}) == 3


def test_no_choice_of_several_is_an_answer() -> None:
    asked = form(field("days", choices=["mon", "tue"], multichoice=True, default=["mon"]))
    assert wizard.read(asked, posted(asked)) == {"cluster": {"days": ["mon"]}}
    assert wizard.read(asked, posted(asked, days=[])) == {"cluster": {"days": []}}
    assert wizard.read(asked, {}) == {}


def test_a_size_answers_what_was_not_touched() -> None:
    size = field("resource_group", choices=["Test", "Prod"], default="Prod")
    cpu = field("cpu", type=FieldType.INTEGER, choices=[1, 2, 4], default=1, resource_group=[1, 2])
    count = field("count", type=FieldType.INTEGER, default=1, resource_group=[1, 3])
    asked = form(size, cpu, count, sizes=["Test", "Prod"])
    drawn = wizard.draw(asked, T)[0].questions
    assert [each.is_size for each in drawn] == [True, False, False]
    assert drawn[2].value == "3"
    assert wizard.read(asked, posted(asked))["cluster"] == {"resource_group": "Prod", "cpu": 2, "count": 3}
    changed = posted(asked, resource_group=["Test"], count=["7"])
    assert wizard.read(asked, changed)["cluster"] == {"resource_group": "Test", "count": 7}
    assert packages.complete_answers(asked, wizard.read(asked, changed))["cluster"]["cpu"] == 1


def test_errors_go_to_their_fields_however_they_are_named() -> None:
    asked = form(field("count", type=FieldType.INTEGER))
    for name in ("cluster.count", "/cluster/count", "/answers/cluster/count", "answers.cluster.count"):
        errors = [FieldError(name, "is wrong"), FieldError("runtime_id", "is unknown")]
        assert only(asked, errors=errors).error == "is wrong"
        assert [each.field for each in wizard.strangers(asked, errors)] == ["runtime_id"]


def test_a_condition_reaches_the_page() -> None:
    condition = FieldCondition(path=["cluster", "mode"], values=["on"], negated=False)
    asked = form(field("port", type=FieldType.INTEGER, conditions=[condition]))
    assert '"/cluster/mode"' in only(asked).when


def test_answers_are_told_in_words_and_passwords_are_not() -> None:
    asked = form(
        field("secret", type=FieldType.PASSWORD),
        field("on", type=FieldType.BOOLEAN, default=True),
        field("memory", type=FieldType.INTEGER, unit="MiB", default=2048),
        field("note"),
    )
    sent = posted(asked, secret=["hunter2"])
    ((_, lines),) = wizard.in_words(asked, sent, T)
    assert [(line.label, line.text) for line in lines] == [
        ("Secret", "••••••"),
        ("On", "Yes"),
        ("Memory", "2 GiB"),
    ]


def test_ids_of_inputs_are_unique() -> None:
    paths = [["env", "a.b"], ["env", "a-b"], ["env", "a_b"], ["env", "a", "b"], ["env", "a/b"], ["env", "日"]]
    fields = [FormField(key=".".join(path), path=path, label="x") for path in paths]
    asked = Form(groups=[FormGroup(key="env", path=["env"], label="Env", fields=fields)])
    ids = [question.html_id for question in wizard.draw(asked, T)[0].questions]
    assert len(set(ids)) == len(paths)


def test_an_untouched_form_of_each_sample_is_complete() -> None:
    from tests.unit.console.world import DEMO

    for folder in sorted(path.parent for path in DEMO.glob("*/package.json")):
        asked = packages.form(packages.open_package(packages.build(folder)))
        try:
            packages.complete_answers(asked, wizard.read(asked, posted(asked)))
        except InvalidInput as error:
            pytest.fail(f"{folder.name}: {error.errors}")


def test_the_page_draws_lists_lengths_and_several_lines() -> None:
    from chalicelib.render import environment

    asked = form(
        field("args", type=FieldType.JSON, shape="array", default=["</textarea><b>"], max_items=3),
        field("notes", multiline=True, default="\na\nb"),
        field("title", min_length=2, max_length=9, required=True),
    )
    macros = environment().get_template("fields.html").make_module({"t": T})
    drawn = [str(macros.question(each)) for each in wizard.draw(asked, T)[0].questions]
    assert '<textarea class="input code"' in drawn[0]
    assert "</textarea><b>" not in drawn[0]
    assert 'placeholder="[]"' in drawn[0]
    assert "at most 3 entries" in drawn[0]
    assert ">\n\na\nb</textarea>" in drawn[1]  # a browser drops the first new line of a textarea
    assert 'minlength="2" maxlength="9" required' in " ".join(drawn[2].split())
