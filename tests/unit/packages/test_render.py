"""What a filled-in template means: defaults, units, inheritance, endpoints, services."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pitrix.errors import InvalidInput, NotFound, PackageInvalid
from pitrix.packages import archive, service
from pitrix.packages.formats.vm import cluster_spec
from pitrix.packages.model import ClusterSpec, Package, VolumeSpec
from tests.unit.packages import samples


def package(**changes: Any) -> Package:
    return service.open_package(archive.write(samples.files(**changes), "shop"))


def render(answers: Any = None, **changes: Any) -> ClusterSpec:
    opened = package(**changes)
    return service.render(opened, service.complete_answers(service.form(opened), answers))


def node(**keys: Any) -> dict[str, Any]:
    return {"role": "a", "count": 1, "cpu": 1, "memory": 512, **keys}


def spec(*nodes: dict[str, Any], **keys: Any) -> ClusterSpec:
    return cluster_spec.build({"nodes": list(nodes or [node()]), **keys})


def test_answers_reach_the_spec_in_their_types() -> None:
    made = render({"cluster": {"web": {"count": 3, "cpu": 4}}, "env": {"port": 9000, "tls": True}})
    (web,) = made.roles
    assert (made.name, web.count, web.cpu, web.memory_mib) == ("shop", 3, 4, 512)
    assert web.volumes == [VolumeSpec(size_gib=10, mount_points=["/data"])]
    assert web.env == {
        "port": 9000,
        "title": "Shop",
        "modules": "a|c",
        "log.level": "info",
        "tls": True,
        "ratio": 0.5,
    }
    assert web.services["start"].cmd == "serve --title 'Shop' --port 9000"
    assert made.endpoints["http"].port == 9000
    assert made.endpoints["http"].roles == ["web"]


def test_an_answer_cannot_leave_its_place() -> None:
    evil = 'S", "count": 99, "x": "{{.env.port}}'
    (web,) = render({"env": {"title": evil}}).roles
    assert (web.count, web.env["title"]) == (2, evil)


def test_the_appcenter_dialect_says_the_same() -> None:
    unquoted = re.sub(r'"\{\{\.([^}]+)\}\}"', r"{{\1}}", samples.TEMPLATE).replace("{{.", "{{")
    unquoted = unquoted.replace('"subnet": {{cluster.subnet}}', '"vxnet": {{cluster.subnet}}')
    assert '"name": {{cluster.name}}' in unquoted
    assert render(template=None, **{"cluster.json.mustache": unquoted}) == render()


def test_a_cluster_without_nodes_is_refused() -> None:
    config: Any = {"properties": [{"key": "cluster", "type": "array", "properties": [
        {"key": "n", "type": "integer", "default": 1, "min": 0}]}]}  # fmt: skip
    opened = package(config=config, template='{"nodes": [{"count": {{cluster.n}}, "cpu": 1, "memory": 1}]}')
    assert service.render(opened, {"cluster": {"n": 1}}).roles[0].role == ""
    with pytest.raises(PackageInvalid, match="0 nodes"):
        service.render(opened, {"cluster": {"n": 0}})
    with pytest.raises(PackageInvalid, match="1001 nodes"):
        service.render(opened, {"cluster": {"n": 1001}})


def test_an_answer_that_makes_no_sense_in_the_template_is_refused_with_its_place() -> None:
    config: Any = {"properties": [{"key": "cluster", "type": "array", "properties": [
        {"key": "n", "type": "string", "default": "1"}]}]}  # fmt: skip
    opened = package(config=config, template='{"nodes": [\n{"count": {{cluster.n}}, "cpu": 1, "memory": 1}]}')
    with pytest.raises(PackageInvalid) as caught:
        service.render(opened, {"cluster": {"n": "many"}})
    assert [(each.line, each.key) for each in caught.value.problems] == [(2, "/nodes/0/count")]


def test_links_given_by_the_platform_win() -> None:
    template = samples.TEMPLATE.replace('"endpoints"', '"links": {"zk": null, "db": "cl-1"}, "endpoints"')
    opened = package(template=template)
    assert service.render(opened, {}, links={"zk": "cl-9"}).links == {"zk": "cl-9", "db": "cl-1"}


def test_several_mount_points_are_as_many_volumes() -> None:
    (role,) = spec(node(volume={"size": 100, "mount_point": ["/a", "/b", "/c"], "filesystem": "xfs"})).roles
    assert [(each.size_gib, each.mount_points) for each in role.volumes] == [
        (34, ["/a"]),
        (34, ["/b"]),
        (34, ["/c"]),
    ]
    assert role.volumes[0].mount_options == "rw,noatime,inode64,allocsize=16m"
    assert spec(node(volume={"size": 0})).roles[0].volumes == []


def test_a_role_inherits_the_checks_of_the_cluster_key_by_key() -> None:
    made = spec(
        node(health_check={"interval_sec": 90}),
        node(role="b"),
        health_check={"enable": True, "check_cmd": "check", "interval_sec": 60},
        monitor={"enable": True, "cmd": "measure"},
    )
    first, second = (each.health_check for each in made.roles)
    assert first
    assert second
    assert (first.enable, first.check_cmd, first.interval_s, first.healthy_threshold) == (
        True,
        "check",
        90,
        3,
    )
    assert second.interval_s == 60
    assert made.roles[1].monitor
    assert spec().roles[0].health_check is None


def test_services_have_the_defaults_of_the_specification() -> None:
    services = {
        "init": {"cmd": "i", "post_start_service": True, "nodes_to_execute_on": 1},
        "start": {"cmd": "s", "order": "2", "timeout": 30},
        "destroy": {"cmd": "d", "allow_force": False, "post_stop_service": "true"},
    }
    made = spec(node(services=services)).roles[0].services
    assert (made["init"].post_start_service, made["init"].nodes_to_execute_on) == (True, 1)
    assert (made["init"].timeout_s, made["init"].order, made["init"].allow_force) == (600, 0, True)
    assert (made["start"].order, made["start"].timeout_s) == (2, 30)
    assert (made["destroy"].allow_force, made["destroy"].post_stop_service) == (False, True)


@pytest.mark.parametrize(
    ("port", "expected", "roles"),
    [
        (80, 80, ["web", "db"]),
        ("80", 80, ["web", "db"]),
        ("env.a.port", 1000, ["web", "db"]),
        ("env.web.port", 2000, ["web"]),
        ("web.env.port", 2000, ["web"]),
        ("db.env.client.port", 3000, ["db"]),
        ("env.nothing", "env.nothing", ["web", "db"]),
    ],
)
def test_a_port_may_refer_to_an_env(port: Any, expected: Any, roles: list[str]) -> None:
    made = spec(
        node(role="web", env={"port": 2000}),
        node(role="db", env={"client.port": "3000"}),
        env={"a.port": 1000},
        endpoints={"x": {"port": port}, "reserved_ips": {"vip": {"value": ""}}},
    )
    assert (made.endpoints["x"].port, made.endpoints["x"].roles) == (expected, roles)
    assert made.reserved_ips == {"vip": {"value": ""}}


def test_an_endpoint_belongs_to_the_role_it_names_or_is_named_after() -> None:
    made = spec(
        node(role="web"),
        node(role="db"),
        endpoints={
            "db": {"port": 1},
            "page": {"port": 2, "role": "web"},
            "both": {"port": 3, "roles": ["web", "db"]},
        },
    )
    assert {name: each.roles for name, each in made.endpoints.items()} == {
        "db": ["db"],
        "page": ["web"],
        "both": ["web", "db"],
    }


def test_replicas_count_as_machines() -> None:
    assert spec(node(count=3, replica=2)).roles[0].machines == 9


def test_what_is_not_acted_on_is_kept() -> None:
    made = spec(node(os_reset=False), metadata_root_access=True)
    assert (made.other, made.roles[0].other) == ({"metadata_root_access": True}, {"os_reset": False})


CUSTOM: dict[str, Any] = {
    "config": {
        **samples.CONFIG,
        "properties": [
            *samples.CONFIG["properties"],
            {
                "key": "service_params",
                "type": "array",
                "properties": [
                    {"key": "web", "type": "array", "properties": [
                        {"key": "keep", "label": "Keep", "type": "integer", "default": 5, "max": 9},
                        {"key": "node.ip", "type": "string", "pattern": "^[0-9.]+$", "required": "yes"},
                    ]},
                ],
            },
        ],
    },
    "template": samples.TEMPLATE.replace(
        '"stop"',
        '"wipe": {"type": "custom", "cmd": "wipe", "service_params": {"n": "{{.service_params.web.keep}}",'
        '"ip": "{{.service_params.web.node.ip}}", "how": "fast"}}, "stop"',
    ),
}  # fmt: skip


def test_a_custom_service_asks_its_own_form() -> None:
    opened = package(**CUSTOM)
    assert all(not group.key.startswith("service_params") for group in service.form(opened).groups)
    asked = service.service_form(opened, "web", "wipe")
    assert [(each.key, each.label, each.default) for each in asked.fields] == [
        ("n", "Keep", 5),
        ("ip", "node.ip", None),
        ("how", "how", "fast"),
    ]
    params = service.complete_service_params(asked, {"ip": "10.0.0.1"})
    assert params == {"n": 5, "ip": "10.0.0.1", "how": "fast"}
    with pytest.raises(InvalidInput) as caught:
        service.complete_service_params(asked, {"n": 10, "ip": "x", "why": 1})
    assert {each.field for each in caught.value.errors} == {"n", "ip", "why"}
    with pytest.raises(NotFound):
        service.service_form(opened, "web", "fly")
    with pytest.raises(NotFound):
        service.service_form(opened, "sky", "wipe")


def test_parameters_follow_the_command_as_one_argument() -> None:
    wipe = render(**CUSTOM).roles[0].services["wipe"]
    assert wipe.custom
    assert wipe.service_params == {"n": 5, "ip": None, "how": "fast"}
    assert service.service_command(wipe) == "wipe"
    assert service.service_command(wipe, {"how": "it's"}) == """wipe '{"how": "it'"'"'s"}'"""
