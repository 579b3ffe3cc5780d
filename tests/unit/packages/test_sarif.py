"""Findings as SARIF 2.1.0: what the standard requires, and what code scanning needs to tell alerts apart.

`LOG` says what the OASIS standard says of the objects that are used here: their required properties, the
types and the values (sections 3.13 to 3.52), and that there are no others.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from pitrix.packages import sarif
from pitrix.packages.model import Problem, Severity


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
BAG = {"type": "object"}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = _object("text", text=TEXT, markdown=TEXT)
ARTIFACT = _object("uri", uri={"type": "string", "pattern": r"^[^\s\\]+$"}, uriBaseId=TEXT)
REGION = _object("startLine", startLine={"type": "integer", "minimum": 1})
LOCATION = _object(
    "physicalLocation",
    physicalLocation=_object("artifactLocation region", artifactLocation=ARTIFACT, region=REGION),
    logicalLocations={"type": "array", "items": _object("", fullyQualifiedName=TEXT, kind=TEXT)},
)
RULE = _object(
    "id shortDescription fullDescription help",
    id=TEXT,
    name={"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=_object("", level=LEVEL),
    properties=BAG,
)
RESULT = _object(
    "ruleId message locations partialFingerprints",
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=MESSAGE,
    locations={"type": "array", "items": LOCATION, "minItems": 1, "maxItems": 1},
    partialFingerprints={"type": "object", "additionalProperties": TEXT, "minProperties": 1},
    properties=BAG,
)
DRIVER = _object("name", name=TEXT, version=TEXT, rules={"type": "array", "items": RULE, "uniqueItems": True})
RUN = _object(
    "tool results",
    tool=_object("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": RESULT},
)
LOG = _object(
    "version runs",
    **{
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN},
    },
)

FOUND = [
    Problem(
        file="config.json", line=12, key="/properties/0", message="the key 'x' has 3 faults", hint="mend it"
    ),
    Problem(file="values.yaml", severity=Severity.WARNING, message="no such\tthing: 冰箱"),
    Problem(file="templates/a b%.yaml", line=3, message="broken"),
    Problem(file="", message="the archive is damaged"),
]


def _run(found: list[Problem], path: str = "shop", *, archive: bool = False) -> dict[str, Any]:
    log = sarif.report(found, path=path, archive=archive, tool_version="1.2.3")
    jsonschema.Draft202012Validator(LOG).validate(json.loads(json.dumps(log)))
    return dict(log["runs"][0])


def _places(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [result["locations"][0]["physicalLocation"] for result in run["results"]]


@pytest.mark.parametrize("archive", [False, True])
def test_a_log_is_valid(archive: bool) -> None:
    run = _run(FOUND, archive=archive)
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "error", "error"]
    assert run["results"][0]["message"]["text"].endswith("the key 'x' has 3 faults\nmend it")


def test_nothing_found_is_a_log_without_results() -> None:
    assert _run([])["results"] == []


def test_files_are_named_from_where_the_package_was_given() -> None:
    places = _places(_run(FOUND, "apps/my shop"))
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "apps/my%20shop/config.json",
        "apps/my%20shop/values.yaml",
        "apps/my%20shop/templates/a%20b%25.yaml",
        "apps/my%20shop",
    ]
    assert [place["region"]["startLine"] for place in places] == [12, 1, 3, 1]
    assert _places(_run(FOUND, "."))[0]["artifactLocation"]["uri"] == "config.json"
    assert _places(_run(FOUND, "."))[3]["artifactLocation"]["uri"] == "."


def test_a_path_elsewhere_on_the_machine_is_a_whole_uri() -> None:
    assert _places(_run(FOUND, "/srv/shop"))[0]["artifactLocation"] == {"uri": "file:///srv/shop/config.json"}


def test_of_an_archive_the_archive_is_named() -> None:
    run = _run(FOUND, "dist/shop-1.0.0.tgz", archive=True)
    assert {place["artifactLocation"]["uri"] for place in _places(run)} == {"dist/shop-1.0.0.tgz"}
    assert {place["region"]["startLine"] for place in _places(run)} == {1}
    first = run["results"][0]
    assert first["message"]["text"].startswith("config.json: ")
    assert first["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "config.json#/properties/0"


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("", "package-archive"),
        ("package.json", "package-description"),
        ("config.json", "package-form"),
        ("cluster.json.tmpl", "package-template"),
        ("cluster.json.mustache", "package-template"),
        ("locale/zh-cn.json", "package-translation"),
        ("Chart.yaml", "chart-description"),
        ("charts/redis/Chart.yaml", "chart-dependencies"),
        ("values.yaml", "chart-values"),
        ("values.schema.json", "chart-schema"),
        ("templates/tests/a.yaml", "chart-template"),
        ("template.yaml", "serverless-template"),
        ("src/handler.py", "package-file"),
        ("a\nb", "package-file"),
    ],
)
def test_rules_have_names_that_stay(file: str, rule: str) -> None:
    # alerts in the wild are kept apart by these: add rules, but do not rename them
    assert sarif.rule_of(file).id == rule


def test_fingerprints_survive_moved_lines_and_tell_problems_apart() -> None:
    def prints(found: list[Problem]) -> list[str]:
        return [each["partialFingerprints"]["primaryLocationLineHash"] for each in _run(found)["results"]]

    moved = [replace(each, line=each.line + 7) for each in FOUND]
    counted = [replace(FOUND[0], message="the key 'x' has 4 faults"), *FOUND[1:]]
    assert prints(moved) == prints(counted) == prints(FOUND)
    assert len(set(prints([*FOUND, FOUND[0], replace(FOUND[0], key="/other")]))) == len(FOUND) + 2
