"""Every key of the specifications is where the table says it is; the schemas are schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pitrix.errors import InvalidInput, NotFound
from pitrix.packages import archive, schema, service
from pitrix.packages.formats.vm import cluster_spec
from pitrix.packages.forms import config as form_config
from pitrix.packages.model import Package, Severity
from pitrix.packages.text import jsontext
from tests.unit.packages import samples, specification
from tests.unit.packages.specification import CLUSTER, CONFIG, PACKAGE, TYPES, Honoured

NODE: dict[str, Any] = {"role": "web", "count": 1, "cpu": 1, "memory": 512, "env": {"port": 8080}}
BASE: dict[str, Any] = {"nodes": [NODE, {**NODE, "role": "db"}]}


def test_the_page_is_what_the_schemas_and_declarations_give() -> None:
    said = "run: python -m tests.unit.packages.specification"
    assert specification.PAGE.read_text(encoding="utf-8") == specification.page(), said


def test_every_key_of_the_schemas_is_declared_and_nothing_else() -> None:
    assert set(CLUSTER) == set(specification.keys("cluster"))
    assert set(CONFIG) == set(specification.question_keys())
    assert set(PACKAGE) == set(specification.keys("package"))
    known = service.schema("config")["$defs"]["property"]["properties"]["type"]["suggested"]
    assert {*TYPES, "array"} == set(known)


def built(key: str, value: Any, beside: dict[str, Any]) -> Any:
    document = specification.with_value(BASE, key, value, beside)
    found = schema.check(jsontext.parse("cluster.json", json.dumps(document)), "cluster")
    needed = ("is missing", "cmd")  # a half-made tab or role is enough to look at one key of it
    assert [each for each in found if not each.message.endswith(needed)] == []
    return cluster_spec.build(document)


@pytest.mark.parametrize("key", CLUSTER)
def test_a_key_of_cluster_json_is_honoured_where_the_table_says(key: str) -> None:
    each = CLUSTER[key]
    one, other = (
        specification.look(built(key, value, each.beside), each.at) for value in (each.one, each.other)
    )
    assert one != other
    if each.why:
        assert (one, other) == (each.one, each.other)


def asked(key: str, value: Any, each: Honoured) -> Any:
    raw = specification.with_value({"key": "x"}, key, value, {})
    raw = specification.with_value(raw, key, value, each.beside)
    document = {"type": "array", "properties": [{"key": "env", "type": "array", "properties": [raw]}]}
    assert schema.check(jsontext.parse("config.json", json.dumps(document)), "config") == []
    (field,) = form_config.build(document, {}, "en").fields()
    return specification.look(field, each.at)


@pytest.mark.parametrize("key", CONFIG)
def test_a_key_of_config_json_is_honoured_where_the_table_says(key: str) -> None:
    each = CONFIG[key]
    one, other = (asked(key, value, each) for value in (each.one, each.other))
    assert one != other
    if each.why:
        assert (one, other) == (each.one, each.other)


@pytest.mark.parametrize("name", TYPES)
def test_a_type_of_field_is_honoured_where_the_table_says(name: str) -> None:
    at, value, good, bad = TYPES[name]
    group = {"key": "env", "type": "array", "properties": [{"key": "x", "type": name}]}
    form = form_config.build({"properties": [group]}, {}, "en")
    assert getattr(form.fields()[0], at) == value
    assert service.complete_answers(form, {"env": {"x": good}}) == {"env": {"x": good}}
    with pytest.raises(InvalidInput):
        service.complete_answers(form, {"env": {"x": bad}})


def opened(key: str, value: Any, each: Honoured) -> Package:
    metadata = specification.with_value(samples.METADATA, key, value, each.beside)
    return service.open_package(archive.write(samples.files(package=metadata), "shop"))


@pytest.mark.parametrize("key", PACKAGE)
def test_a_key_of_package_json_is_honoured_where_the_table_says(key: str) -> None:
    each = PACKAGE[key]
    packages = [opened(key, value, each) for value in (each.one, each.other)]
    assert [package.warnings for package in packages] == [[], []]
    one, other = (specification.look(package, each.at) for package in packages)
    assert one != other


def test_a_key_that_nobody_knows_is_warned_of_and_kept_wherever_it_is() -> None:
    document = json.loads(json.dumps(BASE))
    volume, container = {"size": 1, "odd": 1}, {"image": "i", "odd": 2}
    document["nodes"][0] |= {
        "odd": 3,
        "volume": volume,
        "container": container,
        "services": {"s": {"cmd": "c", "odd": 4}},
    }
    document["odd"] = 5
    found = schema.check(jsontext.parse("cluster.json", json.dumps(document)), "cluster")
    assert {(each.key, each.severity) for each in found} == {
        (f"{at}/odd", Severity.WARNING)
        for at in ("", "/nodes/0", "/nodes/0/volume", "/nodes/0/container", "/nodes/0/services/s")
    }
    spec = cluster_spec.build(document)
    assert spec.other == {"odd": 5}
    assert spec.roles[0].other == {"odd": 3, "volume.odd": 1, "container.odd": 2}
    assert spec.roles[0].services["s"].other == {"odd": 4}
    (field,) = form_config.build(
        {"properties": [{"key": "env", "properties": [{"key": "x", "odd": 6}]}]}, {}, "en"
    ).fields()
    assert field.other == {"odd": 6}


# --- the schemas themselves --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", service.schema_names())
def test_a_schema_is_one_of_2020_12(name: str) -> None:
    from jsonschema import Draft202012Validator

    found = service.schema(name)
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", ["cluster", "config", "package", "locale", "replace_policy"])
def test_a_schema_is_named_and_described(name: str) -> None:
    found = service.schema(name)
    assert found["$id"] == f"urn:pitrix:schema:{name}"
    assert found["title"]
    assert found["description"]


@pytest.mark.parametrize("name", ["cluster", "config", "package"])
def test_every_key_of_a_schema_has_a_title_and_a_description(name: str) -> None:
    for key, node in specification.keys(name).items():
        assert key.endswith((".*", "[]")) or (node.get("title") and node.get("description")), key


def test_schemas_are_given_by_name() -> None:
    assert {"cluster", "config", "package", "locale"} <= set(service.schema_names())
    with pytest.raises(NotFound, match="cluster"):
        service.schema("../cluster")
    service.schema("cluster")["title"] = "changed"
    assert service.schema("cluster")["title"] != "changed"
