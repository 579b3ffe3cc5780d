"""Packages of our own with what the specifications offer, in both dialects: form, cluster, plan, services."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from pitrix.clusters.model import StepKind
from pitrix.errors import InvalidInput
from pitrix.packages import archive, service
from pitrix.packages.model import ClusterSpec, Package
from tests.unit.packages.plans import plan_of


def group(key: str, *fields: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"key": key, "type": "array", "properties": list(fields), **facts}


def number(key: str, default: int, **facts: Any) -> dict[str, Any]:
    return {"key": key, "type": "integer", "default": default, "required": "yes", **facts}


# --- OpenPitrix: Go templates, quoted ----------------------------------------------------------------------

SEARCH_CONFIG = {
    "type": "array",
    "properties": [
        group(
            "cluster",
            {"key": "name", "type": "string", "default": "search", "required": False},
            {"key": "subnet", "type": "string", "default": "", "required": True},
            {"key": "queue_service", "type": "service", "tag": ["Kafka"], "limits": {"app-1": []},
             "default": "", "required": False, "allowed_operations": ["add", "modify"]},
            group("data", number("count", 3, min=1, max=9), number("cpu", 2, range=[2, 4]),
                  number("memory", 4096, range=[4096, 8192]), number("volume_size", 90, min=30, step=30),
                  label="Data"),
            group("entry", number("count", 1), number("cpu", 1), number("memory", 1024),
                  {"key": "loadbalancer", "type": "loadbalancer", "port": [80, 443], "default": [],
                   "required": False}, label="Entry"),
        ),
        group(
            "env",
            {"key": "http.port", "type": "integer", "default": 9200, "min": 1024, "max": 65535},
            {"key": "tls", "type": "boolean", "default": False, "changeable": False},
            {"key": "heap", "type": "number", "default": 0.5, "min": 0.1, "max": 0.9},
            {"key": "plugins", "type": "string", "multichoice": True, "separator": ";", "default": "icu",
             "range": ["icu", "ik", "pinyin"]},
            group("data", {"key": "secret", "type": "password", "default": "", "pattern": "^$|^.{8,}$"}),
        ),
        group("service_params", group("data", {"key": "index", "type": "string", "required": True},
                                      number("keep", 7, max=30))),
    ],
}  # fmt: skip

SEARCH_TEMPLATE = """{
  {{/* one door and several rooms */}}
  "name": "{{.cluster.name}}",
  "subnet": "{{.cluster.subnet}}",
  "links": {"queue": "{{.cluster.queue_service}}"},
  "nodes": [
    {{- with .cluster.data}}
    {
      "role": "data",
      "container": [
        {"type": "kvm", "zone": "z1", "image": "img-1"},
        {"type": "kvm", "zone": "z2", "image": "img-2"}
      ],
      "count": "{{.count}}", "cpu": "{{.cpu}}", "memory": "{{.memory}}",
      "volume": {"size": "{{.volume_size}}", "mount_point": ["/data1", "/data2", "/data3"],
                 "mount_options": ["noatime", "relatime"], "filesystem": "xfs"},
      "passphraseless": "ssh-rsa",
      "server_id_upper_bound": 255,
      "advanced_actions": ["scale_horizontal"],
      "custom_metadata": {"cmd": "token"},
      "reserved_ips": {"vip": {"value": ""}},
      "services": {
        "init": {"cmd": "init", "post_start_service": true, "nodes_to_execute_on": 1},
        "start": {"order": 1, "cmd": "start --heap {{.env.heap}}", "timeout": 900},
        "stop": {"order": 2, "cmd": "stop"},
        "scale_in": {"pre_check": "can-leave", "cmd": "leave", "timeout": 86400},
        "destroy": {"allow_force": false, "post_stop_service": true, "cmd": "wipe"},
        "get_nodes_order": {"event": ["upgrade"], "cmd": "order"},
        "backup": {"cmd": "backup", "with_replica": true,
                   "service_params": {"index": "{{.service_params.data.index}}"}},
        "prune": {"type": "custom", "cmd": "prune",
                  "service_params": {"days": "{{.service_params.data.keep}}",
                                     "index": "{{.service_params.data.index}}"}}
      },
      "health_check": {"interval_sec": 90},
      "env": {
        "secret": "{{.env.data.secret}}",
        {{- if and (gt .count 2) (not .env.tls)}}
        "quorum": 2,
        {{- else if eq .count 2}}
        "quorum": 1,
        {{- end}}
        "plugins": [{{range $i, $name := .env.plugins}}{{if $i}}, {{end}}"analysis-{{$name}}"{{end}}]
      }
    },
    {{- end}}
    {
      "role": "entry",
      "container": {"type": "lxc", "image": "img-3"},
      "count": "{{.cluster.entry.count}}", "cpu": "{{.cluster.entry.cpu}}",
      "memory": "{{.cluster.entry.memory}}",
      "loadbalancer": "{{.cluster.entry.loadbalancer}}",
      "user_access": true,
      "services": {"start": {"order": 2, "cmd": "serve"}, "stop": {"order": 1, "cmd": "halt"}},
      "env": {"listeners": [{{range .cluster.entry.loadbalancer}}"{{.listener}}:{{.port}}", {{end}}"local"]}
    }
  ],
  "env": {"http.port": "{{.env.http.port}}", "plugins": "{{.env.plugins}}", "tls": "{{.env.tls}}"},
  "endpoints": {
    "http": {"port": "env.http.port", "protocol": "{{if .env.tls}}https{{else}}http{{end}}", "role": "entry"},
    "transport": {"port": 9300}
  },
  "health_check": {"enable": true, "interval_sec": 60, "check_cmd": "check", "action_cmd": "revive"},
  "monitor": {"enable": true, "cmd": "measure", "items": {"docs": {"statistics_type": "latest"}},
              "groups": {"all": ["docs"]}, "display": ["all"], "alarm": ["docs"]},
  "display_tabs": {"shards": {"cmd": "shards", "roles_to_execute_on": ["data"], "timeout": 10}},
  "backup_policy": "custom",
  "upgrade_policy": ["appv-1"],
  "upgrading_policy": "sequential"
}
"""

# --- AppCenter: mustache, unquoted -------------------------------------------------------------------------

SHARDS_CONFIG = {
    "type": "array",
    "properties": [
        group(
            "cluster",
            {"key": "name", "label": "Name", "type": "string", "default": "shards", "required": "no"},
            {"key": "resource_group", "label": "Size", "type": "string", "default": "Dev",
             "customizable": "no", "range": ["Dev", "Prod"]},
            {"key": "vxnet", "label": "VxNet", "type": "string", "default": "", "required": "yes"},
            group("master", number("count", 3, min=1, max=50, resource_group=[1, 3], auto_scale_step=2),
                  number("cpu", 1, range=[1, 2, 4], resource_group=[1, 4]), number("memory", 1024),
                  number("volume_size", 10, min=10, step=10), number("volume_class", 0, range=[0, 3]),
                  number("replica", 1, min=0, max=3, resource_group=[0, 2]),
                  number("instance_class", 101, range=[101], changeable_when_create="no"), label="Master"),
        ),
        group(
            "env",
            {"key": "requirepass", "type": "password", "default": "", "required": "no"},
            {"key": "persist", "type": "boolean", "default": True, "range": [True, False], "required": "no"},
            {"key": "append.fsync", "type": "string", "default": "everysec", "required": "no",
             "expanded": True, "range": ["always", "everysec", "no"],
             "dependencies": [{"refkey": "persist", "values": [True], "operator": "in"}]},
            {"key": "access_key", "type": "accesskey", "default": "", "required": "no"},
            {"key": "more-nets", "type": "vxnet", "default": "", "required": "no"},
        ),
    ],
}  # fmt: skip

SHARDS_TEMPLATE = """{
  "name": {{cluster.name}},
  "vxnet": {{cluster.vxnet}},
  "need_tag": true,
  "nodes": [{
    "role": "master",
    "container": {"type": "kvm", "zone": "pek3", "image": "img-9"},
    "count": {{cluster.master.count}},
    "cpu": {{cluster.master.cpu}},
    "memory": {{cluster.master.memory}},
    "instance_class": {{cluster.master.instance_class}},
    "volume": {"size": {{cluster.master.volume_size}}, "class": {{cluster.master.volume_class}}},
    "replica": {{cluster.master.replica}},
    "nas_mount_point": "/nas",
    "services": {
      "init": {"nodes_to_execute_on": 1, "post_start_service": "yes", "cmd": "cluster init"},
      "start": {"cmd": "printf '%s\\\\n' 'a[+]' | tee /run/x; start"},
      "stop": {"cmd": "stop"}
    }
  }],
  "env": {
    {{! only what is asked for }}
    {{#env.persist}}
    "append.fsync": {{env.append.fsync}},
    {{/env.persist}}
    {{^env.persist}}
    "save": "",
    {{/env.persist}}
    "requirepass": {{{env.requirepass}}},
    "fixed.value": false,
    "access_key": {{env.access_key}}, "nets": {{& env.more-nets}}
  },
  "advanced_actions": ["scale_horizontal"],
  "endpoints": {"client": {"port": 6379, "protocol": "tcp"}, "reserved_ips": {"vip": {"value": ""}}}
}
"""


def package(name: str, config: Any, template: str, file: str) -> Package:
    files = {
        "package.json": json.dumps({"name": name, "version": "1.0.0"}).encode(),
        "config.json": json.dumps(config).encode(),
        file: template.encode(),
    }
    data = archive.write(files, name)
    assert [str(each) for each in service.lint(data)] == []
    return service.open_package(data)


@pytest.fixture(name="search", scope="module")
def search_fixture() -> Package:
    return package("search", SEARCH_CONFIG, SEARCH_TEMPLATE, "cluster.json.tmpl")


@pytest.fixture(name="shards", scope="module")
def shards_fixture() -> Package:
    return package("shards", SHARDS_CONFIG, SHARDS_TEMPLATE, "cluster.json.mustache")


def render(made: Package, answers: Any = None) -> ClusterSpec:
    return service.render(made, service.complete_answers(service.form(made), answers))


def test_the_go_dialect_becomes_a_cluster(search: Package) -> None:
    spec = render(search, {
        "cluster": {"data": {"count": 3}, "entry": {"loadbalancer": [{"listener": "lbl-1", "port": 80}]}},
        "env": {"plugins": ["ik", "icu"], "tls": False},
    })  # fmt: skip
    data, entry = spec.roles
    assert data.images == {"z1": "img-1", "z2": "img-2"}
    assert (data.image, data.zone, entry.image, entry.images) == ("img-1", "z1", "img-3", {})
    assert [(each.size_gib, each.mount_points, each.mount_options) for each in data.volumes] == [
        (30, ["/data1"], "noatime"),
        (30, ["/data2"], "relatime"),
        (30, ["/data3"], "relatime"),
    ]
    assert data.env == {"secret": "", "quorum": 2, "plugins": ["analysis-ik", "analysis-icu"]}
    assert spec.env == {"http.port": 9200, "plugins": "ik;icu", "tls": False}
    assert entry.env == {"listeners": ["lbl-1:80", "local"]}
    assert entry.loadbalancers == [{"listener": "lbl-1", "port": 80}]
    assert {name: (each.port, each.protocol, each.roles) for name, each in spec.endpoints.items()} == {
        "http": (9200, "http", ["entry"]),
        "transport": (9300, "tcp", ["data", "entry"]),
    }
    assert data.services["start"].cmd == "start --heap 0.5"
    assert (data.services["get_nodes_order"].events, data.services["backup"].with_replica) == (
        ["upgrade"],
        True,
    )
    assert data.services["scale_in"].pre_check == "can-leave"
    assert (data.passphraseless, data.metadata, data.reserved_ips) == (
        "ssh-rsa", {"cmd": "token"}, {"vip": {"value": ""}},
    )  # fmt: skip
    assert data.health_check
    assert entry.health_check
    assert (data.health_check.interval_s, entry.health_check.interval_s) == (90, 60)
    assert data.monitor
    assert (data.monitor.display, spec.backup_policy, spec.upgrading_policy) == (
        ["all"],
        "custom",
        "sequential",
    )
    assert spec.links == {"queue": ""}
    assert service.render(
        search, service.default_answers(service.form(search)), links={"queue": "cl-7"}
    ).links == {"queue": "cl-7"}


@pytest.mark.parametrize(
    ("count", "tls", "quorum"), [(3, False, 2), (3, True, None), (2, False, 1), (1, False, None)]
)
def test_branches_of_the_go_dialect(search: Package, count: int, tls: bool, quorum: int | None) -> None:
    spec = render(search, {"cluster": {"data": {"count": count}}, "env": {"tls": tls}})
    assert spec.roles[0].env.get("quorum") == quorum
    assert spec.endpoints["http"].protocol == ("https" if tls else "http")


def test_a_custom_service_and_a_backup_ask_what_config_json_says(search: Package) -> None:
    asked = service.service_form(search, "data", "prune")
    assert [(each.key, each.default, each.required, each.maximum) for each in asked.fields] == [
        ("days", 7, True, 30),
        ("index", None, True, None),
    ]
    assert service.complete_service_params(asked, {"index": "logs"}) == {"days": 7, "index": "logs"}
    (index,) = service.service_form(search, "data", "backup").fields
    assert index.key == "index"


def test_the_mustache_dialect_becomes_a_cluster(shards: Package) -> None:
    spec = render(shards, {"env": {"requirepass": 'a"b'}})
    (master,) = spec.roles
    assert (master.count, master.cpu, master.replicas, master.machines) == (1, 1, 0, 1)
    assert spec.env == {
        "append.fsync": "everysec", "requirepass": 'a"b', "fixed.value": False, "access_key": "", "nets": "",
    }  # fmt: skip
    assert master.services["start"].cmd == "printf '%s\\n' 'a[+]' | tee /run/x; start"
    assert master.services["init"].post_start_service
    assert master.volumes[0].class_ == 0
    assert spec.reserved_ips == {"vip": {"value": ""}}
    assert (spec.other, master.other) == ({"need_tag": True}, {"nas_mount_point": "/nas"})
    large = render(shards, {"cluster": {"resource_group": "Prod"}, "env": {"persist": False}})
    assert (large.roles[0].count, large.roles[0].cpu, large.roles[0].machines) == (3, 4, 9)
    assert large.env["save"] == ""
    assert "append.fsync" not in large.env


def test_a_size_that_cannot_be_customized_and_a_class_that_is_fixed(shards: Package) -> None:
    with pytest.raises(InvalidInput) as caught:
        render(shards, {"cluster": {"resource_group": "Prod", "master": {"cpu": 2, "memory": 2048}}})
    assert [each.field for each in caught.value.errors] == ["cluster.master.cpu"]
    with pytest.raises(InvalidInput):
        render(shards, {"cluster": {"master": {"instance_class": 202}}})


def test_both_give_a_plan_in_the_order_of_their_services(search: Package, shards: Package) -> None:
    plan = plan_of(render(search))
    kinds = [step.kind for layer in plan.layers for step in layer.steps]
    assert (kinds.count(StepKind.CREATE_VOLUME), kinds.count(StepKind.CREATE_MACHINE)) == (9, 4)
    services = [layer.name for layer in plan.layers if layer.steps[0].kind == StepKind.RUN_SERVICE]
    assert services == ["start (order 1)", "start (order 2)", "init"]
    plan = plan_of(render(shards, {"cluster": {"resource_group": "Prod"}}))
    kinds = [step.kind for layer in plan.layers for step in layer.steps]
    assert (kinds.count(StepKind.CREATE_VOLUME), kinds.count(StepKind.CREATE_MACHINE)) == (9, 9)


def test_a_fault_inside_of_a_loop_is_told_at_its_line(search: Package) -> None:
    broken = SEARCH_TEMPLATE.replace('"count": "{{.count}}"', '"count": "{{.cpu}}x"')
    files = {**search.files, "cluster.json.tmpl": broken.encode()}
    (found,) = service.lint(archive.write(files, "search"))
    assert (found.key, found.line) == ("/nodes/0/count", 1 + broken[: broken.index("{{.cpu}}x")].count("\n"))


def test_what_the_answers_of_a_block_lead_to_is_known_to_lint(search: Package) -> None:
    config = copy.deepcopy(SEARCH_CONFIG)
    config["properties"][1]["properties"].pop(2)  # type: ignore[attr-defined, index]
    files = {**search.files, "config.json": json.dumps(config).encode()}
    (found,) = service.lint(archive.write(files, "search"))
    assert "{{env.heap}} is not asked for" in found.message
