"""Lint names file, line, key, what is wrong and how to mend it: all problems at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitrix.errors import NotFound, PackageInvalid
from pitrix.packages import archive, service
from pitrix.packages.model import Problem, Severity
from pitrix.packages.text import jsontext
from tests.unit.packages import samples


def lint(**changes: Any) -> list[Problem]:
    return service.lint(archive.write(samples.files(**changes), "shop"))


def errors(**changes: Any) -> list[Problem]:
    return [each for each in lint(**changes) if each.severity == Severity.ERROR]


def config_with(**field: Any) -> dict[str, Any]:
    """The sample's config with one more field in ``env``; its pointer is ``/properties/1/properties/6``."""
    config = copy.deepcopy(samples.CONFIG)
    config["properties"][1]["properties"].append({"key": "extra", **field})
    return config


def test_the_sample_is_clean() -> None:
    assert lint() == []


@pytest.mark.parametrize(
    ("changes", "file", "reason"),
    [
        ({"package": None}, "package.json", "is missing"),
        ({"config": None}, "config.json", "is missing"),
        ({"template": None}, "cluster.json.tmpl", "neither"),
        ({"package": "{"}, "package.json", "not valid JSON"),
        ({"package": "[]"}, "package.json", "not of type object"),
        ({"package": b'{"name": "\xff"}'}, "package.json", "is not UTF-8"),
        ({"package": {"name": "shop"}}, "package.json", "'version' is missing"),
        ({"package": {"name": "shop", "version": "1.0"}}, "package.json", "form"),
        ({"package": {"name": "shop", "version": "v1.0.0"}}, "package.json", "form"),
        ({"package": {"name": "shop", "version": "01.0.0"}}, "package.json", "form"),
        ({"package": {"name": "shop", "version": "1.0.0\n"}}, "package.json", "form"),
        ({"package": {"name": "../shop", "version": "1.0.0"}}, "package.json", "form"),
        ({"package": {"name": "shop", "version": 1}}, "package.json", "not of type string"),
        ({"config": "[" * 100_000}, "config.json", "nested deeper"),
        ({"config": '{"a":' * 40 + "1" + "}" * 40}, "config.json", "nested deeper"),
        ({"config": "[" + "1," * 30_000 + "1]"}, "config.json", "more than 20000 values"),
        ({"config": '"' + '\\"' * 300_000}, "config.json", "not valid JSON"),
        ({"template": "{{.a}}" * 6000}, "cluster.json.tmpl", "more than 5000 expressions"),
        ({"template": "{{" * 500_000}, "cluster.json.tmpl", "more than 5000 expressions"),
        ({"config": '{"properties": [NaN]}'}, "config.json", "NaN"),
        ({"config": '{"properties": [' + "9" * 5000 + "]}"}, "config.json", "not valid JSON"),
        ({"config": '{"properties": [], "a": "\\ud800"}'}, "config.json", "surrogate"),
        ({"config": " " * (jsontext.MAX_BYTES + 1)}, "config.json", "the limit is"),
        ({"config": {"properties": [{"key": "nodes", "type": "array"}]}}, "config.json", "nodes"),
        ({"config": config_with(type=["integer"])}, "config.json", "not of type string"),
        ({"config": config_with(range="1-3")}, "config.json", "not of type array"),
        ({"config": config_with(pattern="(")}, "config.json", "not a regular expression"),
        ({"config": config_with(pattern="(?:a?){1000000000}")}, "config.json", "its repeats multiply"),
        ({"config": config_with(pattern="((a?){500}){500}")}, "config.json", "its repeats multiply"),
        ({"config": config_with(type="integer", default="many")}, "config.json", "must be a whole number"),
        ({"config": config_with(type="integer", min=5, max=1)}, "config.json", "larger than max"),
        ({"config": config_with(required="maybe")}, "config.json", "maybe"),
        (
            {"template": samples.TEMPLATE.replace("{{.cluster.name}}", "{{.cluster.name}")},
            "cluster.json.tmpl",
            "parse",
        ),
        ({"template": samples.TEMPLATE.replace('"role": "web",', "")}, "cluster.json.tmpl", None),
        (
            {"template": samples.TEMPLATE.replace('"cpu": "{{.cluster.web.cpu}}",', "")},
            "cluster.json.tmpl",
            "'cpu'",
        ),
        ({"template": samples.TEMPLATE.replace("{{.cluster.web.cpu}}", "two")}, "cluster.json.tmpl", "two"),
        ({"template": samples.TEMPLATE.replace('"kvm"', '"kvm",')}, "cluster.json.tmpl", "filled in"),
        (
            {"template": samples.TEMPLATE.replace('"cmd": "halt"', '"timeout": 5')},
            "cluster.json.tmpl",
            "no cmd",
        ),
        (
            {"template": samples.TEMPLATE.replace('"web.env.port"', "70000")},
            "cluster.json.tmpl",
            "not a port",
        ),
        (
            {"template": samples.TEMPLATE.replace('"web.env.port"', '80, "role": "db"')},
            "cluster.json.tmpl",
            "no role",
        ),
        ({"template": b"\xff"}, "cluster.json.tmpl", "UTF-8"),
        ({"locale/en.json": '{"a": 1}'}, "locale/en.json", "not of type string"),
        ({"locale/en.json": "{"}, "locale/en.json", "not valid JSON"),
    ],
)
def test_what_is_wrong_is_an_error_in_its_file(
    changes: dict[str, Any], file: str, reason: str | None
) -> None:
    found = errors(**changes)
    if reason is None:  # a role may go without a name
        assert all(each.severity == Severity.WARNING for each in lint(**changes))
        return
    assert found
    assert {each.file for each in found} == {file}
    assert any(reason in each.message for each in found), found
    with pytest.raises(PackageInvalid) as caught:
        service.open_package(archive.write(samples.files(**changes), "shop"))
    assert caught.value.problems == found
    assert reason in " ".join(each.message for each in caught.value.errors)


def test_all_problems_are_told_at_once() -> None:
    found = errors(package={"name": "Shop", "version": "one"}, config="{", template="{{")
    assert {each.file for each in found} == {"package.json", "config.json", "cluster.json.tmpl"}
    assert len([each for each in found if each.file == "package.json"]) == 2


def test_a_problem_has_line_key_and_hint() -> None:
    package = '{\n  "name": "shop",\n  "version": "1.0"\n}\n'
    (found,) = errors(package=package)
    assert (found.file, found.line, found.key) == ("package.json", 3, "/version")
    assert "MAJOR.MINOR.PATCH" in found.hint
    assert str(found).startswith("package.json:3: /version error: ")


def test_a_syntax_error_has_its_line() -> None:
    (found,) = errors(config='{\n  "properties": [\n  1,\n  ]\n}')
    assert found.line in (3, 4)
    assert "comma" in found.hint


def test_the_line_of_a_rendered_problem_is_that_of_the_template() -> None:
    (found,) = errors(template=samples.TEMPLATE.replace("{{.cluster.web.memory}}", "lots"))
    assert (found.line, found.key) == (9, "/nodes/0/memory")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"package": {**samples.METADATA, "colour": "red"}}, "'colour' is not known"),
        ({"config": config_with(type="colour")}, "'colour' is none of the values"),
        ({"config": config_with(multichoice=True)}, "nothing to choose from"),
        ({"config": config_with(resource_group=[1])}, "1 values are given for 0 sizes"),
        (
            {"config": config_with(dependencies=[{"refkey": "tsl", "values": ["true"]}])},
            "no field 'tsl' beside",
        ),
        (
            {
                "template": samples.TEMPLATE.replace(
                    '"role"', '"monitor": {"items": {"a": {}}, "alarm": ["b"]}, "role"'
                )
            },
            "'b' is none of the items",
        ),
        (
            {
                "template": samples.TEMPLATE.replace(
                    '"endpoints"',
                    '"display_tabs": {"t": {"cmd": "x", "roles_to_execute_on": ["db"]}}, "endpoints"',
                )
            },
            "no role 'db'",
        ),
        (
            {
                "template": samples.TEMPLATE.replace(
                    '"halt"', '"halt", "service_params": {"x": "{{.service_params.web.n}}"}'
                )
            },
            "{{service_params.web.n}} is not asked for in config.json; a custom service would get nothing",
        ),
        (
            {"replace_policy.json": '{"z": {"cpu": [{"src": 1, "dst": 2}]}}', "cluster.json.mustache": "{}"},
            "counts",
        ),
        (
            {"template": samples.TEMPLATE.replace('"halt"', '"halt", "type": "odd"')},
            "'odd' is none of the values",
        ),
        ({"template": samples.TEMPLATE.replace('"web.env.port"', '"30000-32767"')}, "leads to no number"),
        ({"config": config_with(tooltip="x")}, "'tooltip' is not known"),
        ({"template": samples.TEMPLATE.replace('"role"', '"shape": 1, "role"')}, "'shape' is not known"),
        (
            {"template": samples.TEMPLATE.replace("{{.env.title}}", "{{.env.titel}}", 1)},
            "{{env.titel}} is not asked",
        ),
        ({"config": config_with(type="integer", default=9, range=[1, 2])}, "the default 9 is not allowed"),
        ({"package": '{"name": "shop", "name": "shop", "version": "1.0.0"}'}, "more than once"),
        ({"package": b'\xef\xbb\xbf{"name": "shop", "version": "1.0.0"}'}, "byte order mark"),
        ({"package": {**samples.METADATA, "icon": "nothing.svg"}}, "no file 'nothing.svg'"),
        ({"cluster.json.mustache": "{}"}, "is the one that counts"),
        ({"template": samples.TEMPLATE.replace('"web.env.port"', '"web.env.prot"')}, "leads to no number"),
        ({"template": samples.TEMPLATE.replace('"stop"', '"halt"')}, "neither built in nor custom"),
    ],
)
def test_what_is_odd_is_a_warning_and_never_fatal(changes: dict[str, Any], reason: str) -> None:
    found = lint(**changes)
    assert [each.severity for each in found] == [Severity.WARNING]
    assert reason in found[0].message
    opened = service.open_package(archive.write(samples.files(**changes), "shop"))
    assert opened.warnings == found


def test_types_of_the_specification_are_known() -> None:
    for kind in ("accesskey", "vxnet", "eip", "service", "loadbalancer", "password"):
        assert lint(config=config_with(type=kind)) == [], kind


def test_a_broken_config_does_not_hide_what_is_wrong_with_the_template() -> None:
    """What comes of the config's own faults is not told a second time."""
    template = samples.TEMPLATE.replace('"stop": {"cmd": "halt"}', '"stop": {"timeout": "x"}')
    broken = copy.deepcopy(samples.CONFIG)
    broken["properties"][0]["properties"][2]["properties"][0]["required"] = "maybe"
    broken["properties"][1]["properties"].append("not a field")
    for config in (None, "{", "[]", "{}", {"properties": [3]}, broken):
        found = errors(config=config, template=template)
        told = [each for each in found if each.file == "cluster.json.tmpl"]
        assert [(each.key, each.severity) for each in told] == [
            ("/nodes/0/services/stop/timeout", Severity.ERROR)
        ], (config, told)
        assert any(each.file == "config.json" for each in found)


def test_a_missing_reference_is_told_with_what_was_meant() -> None:
    (found,) = lint(template=samples.TEMPLATE.replace("{{.env.title}}", "{{.env.titel}}", 1))
    assert (found.line, found.hint) == (
        12,
        "did you mean {{env.title}}? Otherwise add the field to config.json",
    )


def test_parameters_that_no_service_takes_are_told() -> None:
    config = copy.deepcopy(samples.CONFIG)
    fields = [
        {"key": "keep", "type": "integer", "default": 1},
        {"key": "how", "type": "string", "default": ""},
    ]
    group = {"key": "web", "type": "array", "properties": fields}
    config["properties"].append({"key": "service_params", "type": "array", "properties": [group]})
    params = '{"n": "{{.service_params.web.keep}}"}'
    wipe = f'"wipe": {{"type": "custom", "cmd": "w", "service_params": {params}}}, "stop"'
    (found,) = lint(config=config, template=samples.TEMPLATE.replace('"stop"', wipe))
    assert (found.key, found.severity) == ("/properties/2/properties/0/properties/1", Severity.WARNING)
    assert "'service_params.web.how'" in found.message


def test_a_bare_metal_role_needs_no_cores() -> None:
    bare = samples.TEMPLATE.replace(
        '"cpu": "{{.cluster.web.cpu}}",\n    "memory": "{{.cluster.web.memory}}",',
        '"instance_type": "bm1.large",',
    )
    assert bare != samples.TEMPLATE
    assert errors(template=bare) == []


def test_keys_asked_twice_are_an_error() -> None:
    config = copy.deepcopy(samples.CONFIG)
    config["properties"][1]["properties"].append(
        {"key": "log", "type": "array", "properties": [{"key": "level", "type": "string"}]}
    )
    assert ["asked twice" in each.message for each in errors(config=config)] == [True]


def test_a_directory_is_linted_like_its_archive(tmp_path: Path) -> None:
    for name, data in samples.files(package={"name": "shop", "version": "one"}).items():
        (tmp_path / name).write_bytes(data)
    assert service.lint(tmp_path) == errors(package={"name": "shop", "version": "one"})
    with pytest.raises(PackageInvalid):
        service.build(tmp_path)


def test_links_in_a_directory_are_refused(tmp_path: Path) -> None:
    for name, data in samples.files().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "secrets").symlink_to("/etc")
    (tmp_path / "secret").symlink_to("/etc/passwd")
    assert {each.file for each in service.lint(tmp_path)} == {"secrets", "secret"}


def test_building_gives_the_same_bytes_whatever_the_times(tmp_path: Path) -> None:
    import os

    for name, data in samples.files().items():
        (tmp_path / name).write_bytes(data)
    first = service.build(tmp_path)
    for name in samples.files():
        os.utime(tmp_path / name, (1, 1))
        (tmp_path / name).chmod(0o600)
    assert service.build(tmp_path) == first
    opened = service.open_package(first)
    assert (opened.name, opened.version, opened.type, opened.title) == ("shop", "1.2.3", "vm", "shop")
    assert opened.digest.startswith("sha256:")


def test_a_path_with_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        service.lint(tmp_path / "nothing")


def test_an_unknown_kind_of_package_says_what_is_expected() -> None:
    (found,) = service.lint(archive.write({"Readme.txt": b"x"}, "x"))
    assert "config.json" in found.hint


def test_every_scaffold_is_clean_and_deployable() -> None:
    data = archive.write(service.scaffold("my-shop"), "my-shop")
    assert service.lint(data) == []
    package = service.open_package(data)
    assert package.name == "my-shop"
    spec = service.render(package, service.complete_answers(service.form(package), {}))
    assert spec.endpoints["http"].port == 8080
    assert "ctl.py" in package.payload


KEYS = [
    "key",
    "type",
    "properties",
    "default",
    "range",
    "min",
    "max",
    "nodes",
    "role",
    "name",
    "cluster",
    "env",
    "count",
    "cpu",
    "memory",
    "endpoints",
    "port",
    "services",
    "cmd",
    "volume",
    "size",
    "links",
    "monitor",
    "health_check",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, JSON)
def test_no_json_makes_lint_fail(package: Any, config: Any, template: Any) -> None:
    service.lint(archive.write(samples.files(
        package=json.dumps(package), config=json.dumps(config), template=json.dumps(template)
    ), "x"))  # fmt: skip
    service.lint(archive.write(samples.files(config=json.dumps({"properties": [config]})), "x"))
    service.lint(archive.write(samples.files(template=json.dumps({"nodes": [template]})), "x"))


@given(JSON)
def test_lines_are_found_for_every_pointer(value: Any) -> None:
    text = json.dumps(value, indent=1, allow_nan=True)
    try:
        document = jsontext.parse("x", text)
    except jsontext.JsonRefused:
        return

    def walk(node: Any, path: list[Any]) -> None:
        line = text.splitlines()[document.line(jsontext.pointer_of(path)) - 1]
        if path and isinstance(path[-1], str):
            assert json.dumps(path[-1]) in line
        elif not isinstance(node, dict | list):
            assert json.dumps(node) in line
        for key, child in (
            node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        ):
            walk(child, [*path, key])

    walk(document.value, [])
