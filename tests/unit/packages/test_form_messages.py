"""Forms speak the language of whoever fills them in."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest

from pitrix.errors import InvalidInput
from pitrix.packages import service
from pitrix.packages.formats.serverless import answers as serverless_answers
from pitrix.packages.forms import answers as form
from pitrix.packages.forms import check as form_check
from pitrix.packages.forms import config as form_config
from pitrix.packages.forms import messages
from pitrix.packages.model import FieldType, Form, FormField, FormGroup
from tests.unit.packages import samples

HAN = re.compile("[一-鿿]")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_catalogs_say_everything_with_the_same_placeholders() -> None:
    english, chinese = messages.CATALOGS["en"], messages.CATALOGS["zh-cn"]
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert placeholders(text) == placeholders(chinese[key]), key
        assert HAN.search(chinese[key]) or key in ("label.cpu", "label.gpu", "bounds.and", "entry"), key


def test_every_message_is_said_somewhere() -> None:
    speakers = (form, form_check, form_config, serverless_answers)
    sources = "".join(Path(each.__file__).read_text("utf-8") for each in speakers)
    left = {
        key
        for key in messages.ENGLISH
        if f'"{key}"' not in sources and f"'{key}'" not in sources and not key.startswith(("label.", "type."))
    }
    assert left == set()
    assert set(re.findall(r'say\([\w.]+, "([^"]+)"', sources)) <= set(messages.ENGLISH)


def field(**facts: Any) -> FormField:
    return FormField(key="x", path=["x"], label="X", **facts)


WRONG: list[tuple[FormField, Any, str, str]] = [
    (
        field(type=FieldType.INTEGER, minimum=1, maximum=5, unit="GiB"),
        6,
        "6 is out of range; allowed: 1 to 5 GiB",
        "6 超出范围；允许：1 到 5 GiB",
    ),
    (field(type=FieldType.INTEGER), "6", 'must be a whole number, not "6"', '必须是整数，而不是 "6"'),
    (
        field(type=FieldType.NUMBER, minimum=0, exclusive_minimum=True),
        0,
        "0 is out of range; allowed: more than 0",
        "0 超出范围；允许：大于 0",
    ),
    (
        field(type=FieldType.NUMBER, minimum=0, maximum=1, exclusive_maximum=True),
        1,
        "1 is out of range; allowed: 0 or more and less than 1",
        "1 超出范围；允许：不小于 0，小于 1",
    ),
    (
        field(type=FieldType.INTEGER, minimum=10, step=10),
        15,
        "15 is not a step; allowed: 10 or more in steps of 10",
        "15 不符合步长；允许：不小于 10 步长 10",
    ),
    (
        field(choices=["a", "b"]),
        "c",
        '"c" is not allowed; choose one of: "a", "b"',
        '不允许 "c"；可选值："a", "b"',
    ),
    (field(choices=["a"], multichoice=True), "a", 'must be a list of: "a"', '必须是列表，可选值："a"'),
    (
        field(choices=["a", "b"], multichoice=True, min_items=2),
        ["a"],
        "has 1 entries; at least 2 are needed",
        "有 1 项；至少需要 2 项",
    ),
    (field(pattern="^a$"), "b", '"b" does not match the pattern ^a$', '"b" 不符合格式 ^a$'),
    (field(type=FieldType.PASSWORD, pattern="^a$"), "b", "does not match the pattern ^a$", "不符合格式 ^a$"),
    (field(type=FieldType.PASSWORD), 12, "must be a text, not •••", "必须是文本，而不是 •••"),
    (field(min_length=3), "ab", "has 2 characters; at least 3 are needed", "有 2 个字符；至少需要 3 个"),
    (field(min_length=1), "", "has 0 characters; at least 1 are needed", "有 0 个字符；至少需要 1 个"),
    (field(max_length=3), "abcd", "has 4 characters; the limit is 3", "有 4 个字符；上限为 3"),
    (field(type=FieldType.JSON, shape="array"), {}, "must be a list, not {}", "必须是列表，而不是 {}"),
    (field(type=FieldType.JSON, shape="object"), [], "must be an object, not []", "必须是对象，而不是 []"),
    (
        field(type=FieldType.JSON, shape="array", max_items=1),
        [1, 2],
        "has 2 entries; the limit is 1",
        "有 2 项；上限为 1",
    ),
    (field(type=FieldType.JSON), float("nan"), "cannot be read", "无法读取"),
    (
        field(type=FieldType.JSON),
        ["x" * 70_000],
        "has 70004 characters; the limit is 65536",
        "有 70004 个字符；上限为 65536",
    ),
    (
        field(type=FieldType.LOADBALANCER),
        ["x"],
        'must be a list of listeners, not ["x"]',
        '必须是监听器列表，而不是 ["x"]',
    ),
    (field(type=FieldType.BOOLEAN), 1, "must be true or false, not 1", "必须是true 或 false，而不是 1"),
]


@pytest.mark.parametrize(("asked", "answer", "english", "chinese"), WRONG, ids=lambda each: str(each)[:30])
def test_a_wrong_answer_is_told_in_each_language(
    asked: FormField, answer: Any, english: str, chinese: str
) -> None:
    group = FormGroup(key="", path=[], label="", fields=[asked])
    for locale, said in (("en", english), ("zh-cn", chinese), ("fr", english)):
        assert form_check.check(asked, answer, locale) == said
        with pytest.raises(InvalidInput) as caught:
            service.complete_answers(Form(locale=locale, groups=[group]), {"x": answer})
        assert [(each.field, each.message) for each in caught.value.errors] == [("x", said)]


def test_the_keys_of_errors_are_the_same_in_each_language() -> None:
    answers = {"cluster": {"web": {"count": 9, "nope": 1}}, "env": {"title": "", "modules": "a"}, "x": []}
    told = {}
    for locale in ("en", "zh-cn"):
        asked = form_config.build(samples.CONFIG, {}, locale)
        with pytest.raises(InvalidInput) as caught:
            service.complete_answers(asked, answers)
        told[locale] = caught.value
    assert [each.field for each in told["en"].errors] == [each.field for each in told["zh-cn"].errors]
    assert all(HAN.search(each.message) for each in told["zh-cn"].errors)
    assert told["zh-cn"].detail.startswith("5 个填写项不可用：")
    with pytest.raises(InvalidInput) as caught:
        service.parse_answers(asked, {"cluster.web.count": "二", "nope": "1"})
    assert [each.message for each in caught.value.errors] == ['必须是整数，而不是 "二"', "不是此应用的填写项"]


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-cn"),
        ("zh_TW", "zh-cn"),
        ("fr, zh-Hans;q=0.5, en;q=0.4", "zh-cn"),
        ("en-GB;q=0.9, zh;q=0.3", "en"),
        ("zh;q=0, *;q=0.1", "en"),
        ("fr;q=x, ;;;, de", "en"),
        ("," * 5000 + "zh", "en"),
    ],
)
def test_the_language_of_a_request(header: str, locale: str) -> None:
    assert messages.negotiate(header) == locale


def test_a_locale_that_nobody_knows_is_english_and_the_packages_own_is_used() -> None:
    from pitrix.packages import archive

    made = samples.files(**{"locale/fr.json": {"Web": "Toile"}, "locale/zh_CN.json": {"Web": "网页"}})
    package = service.open_package(archive.write(made, "shop"))

    def labels(locale: str) -> list[str]:
        return [group.label for group in service.form(package, locale).groups]

    assert labels("fr") == ["Cluster", "Toile", "Settings"]
    assert labels("xx") == ["Cluster", "Web", "Settings"]
    assert labels("zh-cn") == labels("zh") == labels("zh-Hans-CN") == ["集群", "网页", "配置参数"]
