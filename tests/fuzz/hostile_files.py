"""Hostile JSON: package.json, config.json and locale files of VM packages."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from tests.fuzz.case import Case
from tests.unit.packages import samples

JSON, CONFIG, METADATA, LOCALE = "JSON", "config.json", "package.json", "locale/*.json"


def vm(**changes: Any) -> bytes:
    """The small valid VM package with files replaced; see `samples.files`."""
    return samples.tgz(samples.files(**changes))


def env(*fields: dict[str, Any]) -> dict[str, Any]:
    """config.json of the small package with these fields in env besides."""
    config = copy.deepcopy(samples.CONFIG)
    config["properties"][1]["properties"] += fields
    return config


def metadata(**changes: Any) -> dict[str, Any]:
    """package.json of the small package with these keys besides."""
    return {**samples.METADATA, **changes}


def _pattern(pattern: str, default: str = "a" * 4000) -> Callable[[], bytes]:
    return lambda: vm(config=env({"key": "x", "type": "string", "pattern": pattern, "default": default}))


def _nested(depth: int) -> dict[str, Any]:
    group: dict[str, Any] = {"key": "leaf", "type": "string", "default": ""}
    for level in range(depth):
        group = {"key": f"g{level}", "type": "array", "properties": [group]}
    return group


def _fields(count: int) -> list[dict[str, Any]]:
    return [{"key": f"k{each}", "type": "string", "default": ""} for each in range(count)]


def _locale(text: str | bytes) -> Callable[[], bytes]:
    return lambda: vm(**{"locale/zh-cn.json": text, "locale/en.json": text})


def _case(group: str, told: str, make: Callable[[], bytes]) -> Case:
    return Case(group, told, make)


def _json(told: str, text: str | bytes) -> Case:
    return Case(JSON, told, lambda: vm(package=text))


def _config(told: str, *fields: dict[str, Any]) -> Case:
    return Case(CONFIG, told, lambda: vm(config=env(*fields)))


CASES: dict[str, Case] = {
    "JSON: 500,000 brackets": _json("deeper than", "[" * 500_000),
    "JSON: 200,000 objects in each other": _json("deeper than", '{"a":' * 200_000),
    "JSON: 33 levels": _json("deeper than 32", '{"name":' + "[" * 33 + "]" * 33 + "}"),
    "JSON: a string without an end, of quotes": _json("not valid JSON", '{"a": "' + '\\"' * 400_000),
    "JSON: half a million commas": _json("more than 20000 values", "[" + "," * 500_000 + "]"),
    "JSON: 100,000 values": _json("more than 20000 values", json.dumps(list(range(100_000)))),
    "JSON: 4,500 keys given twice": _json(
        "mend these first", "{" + ",".join(f'"k{each // 2}":1' for each in range(9_000)) + "}"
    ),
    "JSON: 2 MiB": _json("the limit is 1048576", b'{"name": "' + b"x" * (2 * 1024 * 1024) + b'"}'),
    "JSON: NaN": _json("NaN is not a JSON number", '{"name": NaN}'),
    "JSON: -Infinity": _json("-Infinity is not a JSON number", '{"name": -Infinity}'),
    "JSON: a number that becomes infinite": _json("too large", '{"name": 1e999}'),
    "JSON: a number of 100,000 digits": _json("64 bits", '{"name": ' + "9" * 100_000 + "}"),
    "JSON: a number of 5,000 digits behind the point": _json("", '{"name": 0.' + "9" * 5000 + "}"),
    "JSON: a negative number of 21 digits": _json("64 bits", '{"name": -100000000000000000000}'),
    "JSON: half a surrogate pair": _json("half of a surrogate pair", '{"name": "\\ud800"}'),
    "JSON: half a surrogate pair as a key": _json("half of a surrogate pair", '{"\\udfff": 1}'),
    "JSON: a byte that is not UTF-8": _json("not UTF-8", b'{"name": "\xff"}'),
    "JSON: overlong UTF-8": _json("not UTF-8", b'{"name": "\xc0\xae"}'),
    "JSON: UTF-16": _json("UTF-16", '{"name": "x"}'.encode("utf-16")),
    "JSON: UTF-32": _json("UTF-16", '{"name": "x"}'.encode("utf-32")),
    "JSON: byte order mark": _json(
        "byte order mark", b"\xef\xbb\xbf" + json.dumps(samples.METADATA).encode()
    ),
    "JSON: NUL bytes": _json("not valid JSON", b"\0" * 1000),
    "JSON: nothing": _json("not valid JSON", b""),
    "JSON: a comment": _json("no comments", "// x\n{}"),
    "JSON: comma at the end": _json("remove the comma", '{"name": "shop",\n}'),
    "JSON: single quotes": _json("double quotes", "{'name': 1}"),
    "JSON: control character in a string": _json("not valid JSON", '{"name": "a\x01b"}'),
    "JSON: a list": _json("", "[]"),
    "JSON: null": _json("", "null"),
    "JSON: a key of 500,000 characters above 8,000 values": _json(
        "", json.dumps({**samples.METADATA, "x" * 500_000: [{"a": {"b": 1}}] * 4000})
    ),
    "JSON: keys that cannot be seen": _json("", json.dumps({"\u202e\x1b[2J\0": 1, **samples.METADATA})),
    "JSON: Python's own keys": _json("", json.dumps({"__class__": {"__init__": {"__globals__": 1}}})),
    # package.json
    "package.json: name that leads out": _case(METADATA, "", lambda: vm(package=metadata(name="../../etc"))),
    "package.json: name of 100,000 letters": _case(
        METADATA, "", lambda: vm(package=metadata(name="a" * 100_000))
    ),
    "package.json: name with line break at its end": _case(
        METADATA, "", lambda: vm(package=metadata(name="shop\n"))
    ),
    "package.json: name of bidirectional marks": _case(
        METADATA, "", lambda: vm(package=metadata(name="\u202ex"))
    ),
    "package.json: version of 100,000 digits": _case(
        METADATA, "", lambda: vm(package=metadata(version="1.0." + "9" * 100_000))
    ),
    "package.json: version for a slow pattern": _case(
        METADATA, "", lambda: vm(package=metadata(version="1.0.0-" + "a.-" * 100_000 + "!"))
    ),
    "package.json: home that is a script": _case(
        METADATA, "", lambda: vm(package=metadata(home="javascript:alert(1)"))
    ),
    "package.json: icon that leads out": _case(
        METADATA, "", lambda: vm(package=metadata(icon="../../etc/passwd"))
    ),
    "package.json: 18,000 keywords": _case(
        METADATA, "", lambda: vm(package=metadata(keywords=["k"] * 18_000))
    ),
    "package.json: 9,000 maintainers": _case(
        METADATA, "", lambda: vm(package=metadata(maintainers=[{"name": "x"}] * 9000))
    ),
    "package.json: description of 900,000 characters": _case(
        METADATA, "", lambda: vm(package=metadata(description="x" * 900_000))
    ),
    "package.json: every value of the wrong type": _case(
        METADATA,
        "",
        lambda: vm(
            package={
                key: {"a": [1]} for key in (*samples.METADATA, "home", "icon", "keywords", "maintainers")
            }
        ),
    ),
    "package.json: 5,000 unknown keys": _case(
        METADATA, "", lambda: vm(package=metadata(**{f"x{each}": each for each in range(5000)}))
    ),
    "package.json: several of them, by case": _case(
        METADATA, "differs from", lambda: vm(**{"Package.json": b"{}"})
    ),
    "package.json: a folder": _case(
        METADATA, "", lambda: samples.tgz({"package.json/x": b"", "config.json": b"{}"})
    ),
    # config.json
    "config.json: 100,000 fields": _case(CONFIG, "the limit is", lambda: vm(config=env(*_fields(100_000)))),
    "config.json: 5,000 fields": _case(
        CONFIG, "more than 20000 values", lambda: vm(config=env(*_fields(5000)))
    ),
    "config.json: 1,500 fields": _case(CONFIG, "", lambda: vm(config=env(*_fields(1500)))),
    "config.json: 15 groups in each other": _config("deeper than", _nested(15)),
    "config.json: one field 1,000 times": _config("", *[{"key": "same", "type": "string"}] * 1000),
    "config.json: a choice of 15,000": _config(
        "", {"key": "x", "type": "integer", "range": list(range(15_000))}
    ),
    "config.json: a choice of long texts": _config(
        "", {"key": "x", "type": "string", "range": [str(each) * 2000 for each in range(40)]}
    ),
    "config.json: keys of Python": _config(
        "",
        *(
            {"key": key, "type": "string", "default": "x"}
            for key in ("__class__", "__proto__", "constructor")
        ),
    ),
    "config.json: key of 100,000 dots": _config("", {"key": "a." * 50_000, "type": "string"}),
    "config.json: empty key": _config("", {"key": "", "type": "string"}),
    "config.json: key that is a list": _config("", {"key": ["x"], "type": "string"}),
    "config.json: key with braces": _config("", {"key": "}}{{7*7}}", "type": "string"}),
    "config.json: unknown type": _config("", {"key": "x", "type": "os.system"}),
    "config.json: default of the wrong type": _config(
        "", {"key": "x", "type": "integer", "default": {"a": 1}}
    ),
    "config.json: default that is too long": _config(
        "", {"key": "x", "type": "string", "default": "x" * 900_000}
    ),
    "config.json: smallest above largest": _config("", {"key": "x", "type": "integer", "min": 5, "max": 1}),
    "config.json: step of nought": _config("", {"key": "x", "type": "integer", "step": 0, "default": 3}),
    "config.json: step that is tiny": _config(
        "", {"key": "x", "type": "number", "step": 1e-300, "min": 0, "max": 1e300, "default": 1}
    ),
    "config.json: bounds at the edge of numbers": _config(
        "", {"key": "x", "type": "integer", "min": -(2**63), "max": 2**64 - 1, "default": 1e308}
    ),
    "config.json: separator of 100,000 characters": _config(
        "", {"key": "x", "type": "string", "multichoice": True, "separator": "x" * 100_000, "range": ["a"]}
    ),
    "config.json: empty separator": _config(
        "",
        {"key": "x", "type": "string", "multichoice": True, "separator": "", "range": ["a"], "default": "a"},
    ),
    "config.json: properties that are a number": _case(
        CONFIG, "", lambda: vm(config={"type": "array", "properties": 5})
    ),
    "config.json: fields that are lists": _case(
        CONFIG, "", lambda: vm(config={"type": "array", "properties": [[], [[]], None, 1, "x"]})
    ),
    "config.json: everything null": _config(
        "",
        dict.fromkeys(
            (
                "key",
                "label",
                "type",
                "default",
                "range",
                "min",
                "max",
                "step",
                "pattern",
                "required",
                "separator",
            )
        ),
    ),
    "pattern: nested repeats": _case(CONFIG, "", _pattern("^(a+)+$", "a" * 40 + "!")),
    "pattern: overlapping choices": _case(CONFIG, "", _pattern("^(a|a)*$", "a" * 4000 + "!")),
    "pattern: overlapping choices of words": _case(CONFIG, "", _pattern(r"^(\w+\s?)*$", "a " * 2000 + "!")),
    "pattern: look-behind": _case(CONFIG, "", _pattern(r"(?<=(a+)+)b")),
    "pattern: back references": _case(CONFIG, "", _pattern(r"^(a*)(a*)(a*)\1\2\3$", "a" * 3000 + "!")),
    "pattern: counted a million times": _case(CONFIG, "", _pattern("(?:a{1000}){1000}")),
    "pattern: counted in counted": _case(CONFIG, "", _pattern("((((a{99}){99}){99}){99}){99}")),
    "pattern: counted a billion times": _case(CONFIG, "", _pattern("a{1000000000}")),
    "pattern: 100,000 parentheses": _case(CONFIG, "", _pattern("(" * 100_000 + ")" * 100_000)),
    "pattern: recursion": _case(CONFIG, "", _pattern(r"^(?R)?a$")),
    "pattern: fuzzy matching": _case(CONFIG, "", _pattern(r"(?:aaaaaaaaaaaaaaaaaaaab){e<=10}")),
    "pattern: 100,000 choices": _case(CONFIG, "", _pattern("|".join(["a"] * 100_000))),
    "pattern: a named list": _case(CONFIG, "", _pattern(r"\L<names>")),
    "pattern: not one": _case(CONFIG, "", _pattern("(", "x")),
    # locale
    "locale: a bomb of brackets": _case(LOCALE, "deeper than", _locale("[" * 500_000)),
    "locale: a list": _case(LOCALE, "", _locale("[]")),
    "locale: values that are no texts": _case(LOCALE, "", _locale('{"Web": {"a": 1}, "Subnet": [1]}')),
    "locale: not UTF-8": _case(LOCALE, "not UTF-8", _locale(b'{"Web": "\xff"}')),
    "locale: texts of 900,000 characters": _case(LOCALE, "", _locale(json.dumps({"Web": "x" * 900_000}))),
    "locale: texts that cannot be seen": _case(LOCALE, "", _locale(json.dumps({"Web": "\u202e\x1b[2J\0"}))),
    "locale: a page with a script": _case(
        LOCALE, "", _locale(json.dumps({"Web": "<script>alert(1)</script>"}))
    ),
    "locale: 1,900 languages": _case(
        LOCALE, "", lambda: vm(**{f"locale/x{each}.json": b'{"Web": "x"}' for each in range(1900)})
    ),
    "locale: a language that leads out": _case(
        LOCALE, "leads out", lambda: vm(**{"locale/../x.json": b"{}"})
    ),
}
