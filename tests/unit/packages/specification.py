"""The table of every key of the VM package specifications and of where it is honoured.

The keys, their types and what they mean come from our JSON Schemas; where each is honoured is declared here,
with two values of the key that must make a difference there. ``test_packages_specification.py`` holds every
declaration by building with both values. Written to ``layers/core/pitrix/packages/SPECIFICATION.md`` by
``python -m tests.unit.packages.specification``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pitrix.packages import service
from tests.unit.packages import samples

PAGE = samples.ROOT / "layers" / "core" / "pitrix" / "packages" / "SPECIFICATION.md"

FOREIGN = "means something only on the platform that the package was written for"
LATER = "for operations that Pitrix does not offer yet"
ISOLATED = "no cluster may read another's metadata"
OWN_COLUMNS = "the console draws its own columns"
BY_IMAGE = "the image settles the size"


@dataclass(frozen=True)
class Honoured:
    """Where a key is honoured.

    Attributes:
        at: Path of the attribute, from the cluster spec, the form's field or the package.
        one, other: Two values of the key which give the attribute two values.
        why: For what is only kept: why nothing acts on it.
        beside: Other keys that the value needs to be of meaning.
    """

    at: str
    one: Any
    other: Any
    why: str = ""
    beside: dict[str, Any] = field(default_factory=dict)


def kept(at: str, one: Any, other: Any, why: str) -> Honoured:
    return Honoured(at, one, other, why)


HEALTH = {
    "enable": ("enable", True, False),
    "interval_sec": ("interval_s", 60, 90),
    "timeout_sec": ("timeout_s", 10, 20),
    "action_timeout_sec": ("action_timeout_s", 30, 40),
    "healthy_threshold": ("healthy_threshold", 2, 3),
    "unhealthy_threshold": ("unhealthy_threshold", 2, 3),
    "check_cmd": ("check_cmd", "a", "b"),
    "action_cmd": ("action_cmd", "a", "b"),
}
MONITOR = {
    "enable": ("enable", True, False),
    "cmd": ("cmd", "a", "b"),
    "items": ("items", {"a": {}}, {"b": {}}),
    "groups": ("groups", {"g": ["a"]}, {"g": ["b"]}),
    "groups.*": ("groups", ["a"], ["b"]),
    "display": ("display", ["a"], ["b"]),
    "alarm": ("alarm", ["a"], ["b"]),
    "items.*": ("items[x]", {"unit": "a"}, {"unit": "b"}),
    "items.*.unit": ("items[x][unit]", "%", "ms"),
    "items.*.value_type": ("items[x][value_type]", "int", "str"),
    "items.*.statistics_type": ("items[x][statistics_type]", "avg", "max"),
    "items.*.scale_factor_when_display": ("items[x][scale_factor_when_display]", 1, 0.1),
    "items.*.enums": ("items[x][enums]", ["a"], ["b"]),
}
SERVICE = {
    "type": ("type", "custom", ""),
    "cmd": ("cmd", "a", "b"),
    "order": ("order", 1, 2),
    "timeout": ("timeout_s", 1, 2),
    "nodes_to_execute_on": ("nodes_to_execute_on", 1, 2),
    "post_start_service": ("post_start_service", True, False),
    "post_stop_service": ("post_stop_service", True, False),
    "pre_check": ("pre_check", "a", "b"),
    "selector": ("selector", "a", "b"),
    "allow_force": ("allow_force", True, False),
    "with_replica": ("with_replica", True, False),
    "event": ("events", ["upgrade"], ["rollback"]),
    "service_params": ("service_params", {"a": 1}, {"a": 2}),
}
VOLUME = {
    "size": ("volumes[0].size_gib", 10, 20),
    "mount_point": ("volumes", "/a", ["/a", "/b"]),
    "mount_options": ("volumes[0].mount_options", "ro", "rw"),
    "filesystem": ("volumes[0].filesystem", "ext4", "xfs"),
    "class": ("volumes[0].class_", 0, 1),
}
TAB = {
    "cmd": ("cmd", "a", "b"),
    "roles_to_execute_on": ("roles_to_execute_on", ["web"], []),
    "description": ("description", "a", "b"),
    "timeout": ("timeout", 1, 2),
}


def _below(lead: str, at: str, entries: dict[str, tuple[str, Any, Any]]) -> dict[str, Honoured]:
    return {
        f"{lead}.{key}": Honoured(f"{at}{path}", one, other) for key, (path, one, other) in entries.items()
    }


CLUSTER: dict[str, Honoured] = {
    "app_id": kept("other[app_id]", "a", "b", FOREIGN),
    "version_id": kept("other[version_id]", "a", "b", FOREIGN),
    "global_uuid": kept("other[global_uuid]", "a", "b", FOREIGN),
    "name": Honoured("name", "a", "b"),
    "description": Honoured("description", "a", "b"),
    "subnet": Honoured("subnet", "a", "b"),
    "vxnet": Honoured("subnet", "a", "b"),
    "links": Honoured("links", {"db": "cl-1"}, {"db": "cl-2"}),
    "env": Honoured("env", {"a": 1}, {"a": 2}),
    "nodes": Honoured("roles", [{"count": 1, "cpu": 1, "memory": 1}], [{"count": 2, "cpu": 1, "memory": 1}]),
    "advanced_actions": Honoured("advanced_actions", ["change_vxnet"], []),
    "unsupported_actions": kept("other[unsupported_actions]", ["rollback"], [], LATER),
    "advanced_services": kept("other[advanced_services]", {"a": {}}, {"b": {}}, LATER),
    "advanced_services.*": kept("other[advanced_services][x]", {"cmd": "a"}, {"cmd": "b"}, LATER),
    **{
        f"advanced_services.*.{key}": kept(f"other[advanced_services][x][{key}]", one, other, LATER)
        for key, (_, one, other) in SERVICE.items()
    },
    "endpoints": Honoured("endpoints", {"a": {"port": 1}}, {"b": {"port": 1}}),
    "endpoints.*": Honoured("endpoints[x]", {"port": 1}, {"port": 2}),
    "endpoints.*.port": Honoured("endpoints[x].port", 80, "web.env.port"),
    "endpoints.*.protocol": Honoured("endpoints[x].protocol", "http", "udp", beside={"port": 80}),
    "endpoints.*.role": Honoured("endpoints[x].roles", "web", ["db"], beside={"port": 80}),
    "endpoints.*.roles": Honoured("endpoints[x].roles", ["web"], ["db"], beside={"port": 80}),
    "endpoints.reserved_ips": Honoured("reserved_ips", {"vip": {"value": ""}}, {}),
    "reserved_ips": Honoured("reserved_ips", {"vip": {"value": ""}}, {}),
    "metadata_root_access": kept("other[metadata_root_access]", True, False, ISOLATED),
    "health_check": Honoured("health_check", {"enable": True}, {"enable": False}),
    **_below("health_check", "health_check.", HEALTH),
    "monitor": Honoured("monitor", {"enable": True}, {"enable": False}),
    **_below("monitor", "monitor.", MONITOR),
    "display_tabs": Honoured("display_tabs", {"a": {"cmd": "x"}}, {}),
    "display_tabs.*": Honoured("display_tabs[x]", {"cmd": "a"}, {"cmd": "b"}),
    **{
        f"display_tabs.*.{key}": Honoured(f"display_tabs[x][{path}]", one, other)
        for key, (path, one, other) in TAB.items()
    },
    "backup_policy": Honoured("backup_policy", "device", "custom"),
    "incremental_backup_supported": Honoured("incremental_backup_supported", True, False),
    "upgrade_policy": Honoured("upgrade_policy", ["a"], ["b"]),
    "upgrading_policy": Honoured("upgrading_policy", "parallel", "sequential"),
    "in-place-upgrade-nodes": kept("other[in-place-upgrade-nodes]", [{}], [], LATER),
    "upgrade_roles": kept("other[upgrade_roles]", {"add": ["a"]}, {}, LATER),
    "multi_zone_policy": Honoured("multi_zone_policy", "round_robin", ""),
    "exclude_node_columns": kept("other[exclude_node_columns]", ["private_ip"], [], OWN_COLUMNS),
    "need_tag": kept("other[need_tag]", True, False, FOREIGN),
    "need_intranet_api_server": kept("other[need_intranet_api_server]", True, False, FOREIGN),
    "custom_metadata": Honoured("metadata", {"a": 1}, {"a": 2}),
    "nodes[]": Honoured("roles[0]", {"count": 1, "cpu": 1, "memory": 1}, {"count": 2, "cpu": 1, "memory": 1}),
    "nodes[].role": Honoured("roles[0].role", "a", "b"),
    "nodes[].container": Honoured("roles[0].image", {"image": "a"}, [{"image": "b"}]),
    "nodes[].container.type": Honoured("roles[0].container_type", "kvm", "lxc"),
    "nodes[].container.zone": Honoured("roles[0].images", "z1", "z2"),
    "nodes[].container.image": Honoured("roles[0].image", "a", "b"),
    "nodes[].container.snapshot": kept("roles[0].other[container.snapshot]", "a", "b", LATER),
    "nodes[].count": Honoured("roles[0].count", 1, "2"),
    "nodes[].cpu": Honoured("roles[0].cpu", 1, 2),
    "nodes[].memory": Honoured("roles[0].memory_mib", 512, 1024),
    "nodes[].gpu": Honoured("roles[0].gpu", 0, 1),
    "nodes[].gpu_class": Honoured("roles[0].gpu_class", 0, 2),
    "nodes[].instance_class": Honoured("roles[0].instance_class", 101, 202),
    "nodes[].instance_type": Honoured("roles[0].instance_type", "bm1", "bm2"),
    "nodes[].cpu_model": kept("roles[0].other[cpu_model]", "a", "b", FOREIGN),
    "nodes[].nic_multiqueue": kept("roles[0].other[nic_multiqueue]", 1, 2, FOREIGN),
    "nodes[].net": kept("roles[0].other[net]", {"vxnet": True}, {}, FOREIGN),
    "nodes[].nas_mount_point": kept("roles[0].other[nas_mount_point]", "/a", "/b", FOREIGN),
    "nodes[].os_reset": kept("roles[0].other[os_reset]", True, False, FOREIGN),
    "nodes[].replica": Honoured("roles[0].machines", 0, 2),
    "nodes[].passphraseless": Honoured("roles[0].passphraseless", "ssh-rsa", ""),
    "nodes[].vertical_scaling_policy": Honoured("roles[0].vertical_scaling_policy", "parallel", "sequential"),
    "nodes[].user_access": Honoured("roles[0].user_access", True, False),
    "nodes[].agent_installed": Honoured("roles[0].agent_installed", True, False),
    "nodes[].server_id_upper_bound": Honoured("roles[0].server_id_upper_bound", 255, 9),
    "nodes[].eip_class": kept("roles[0].other[eip_class]", "base", "", FOREIGN),
    "nodes[].reserved_ips": Honoured("roles[0].reserved_ips", {"vip": {"value": ""}}, {}),
    "nodes[].extra_quota": kept("roles[0].other[extra_quota]", {"cpu": 2}, {}, FOREIGN),
    "nodes[].loadbalancer": Honoured("roles[0].loadbalancers", [{"port": 80}], []),
    "nodes[].advanced_actions": Honoured("roles[0].advanced_actions", ["a"], []),
    "nodes[].unsupported_actions": kept("roles[0].other[unsupported_actions]", ["a"], [], LATER),
    "nodes[].env": Honoured("roles[0].env", {"a": 1}, {"a": 2}),
    "nodes[].custom_metadata": Honoured("roles[0].metadata", {"cmd": "a"}, {"cmd": "b"}),
    "nodes[].volume": Honoured("roles[0].volumes", {"size": 10}, {"size": 0}),
    **{
        key: Honoured(each.at, each.one, each.other, beside={} if key.endswith(".size") else {"size": 10})
        for key, each in _below("nodes[].volume", "roles[0].", VOLUME).items()
    },
    "nodes[].volume.instance_size": kept("roles[0].other[volume.instance_size]", 20, 40, BY_IMAGE),
    "nodes[].services": Honoured("roles[0].services", {"start": {"cmd": "a"}}, {}),
    "nodes[].services.*": Honoured("roles[0].services[x]", {"cmd": "a"}, {"cmd": "b"}),
    **_below("nodes[].services.*", "roles[0].services[x].", SERVICE),
    "nodes[].health_check": Honoured("roles[0].health_check", {"enable": True}, {"enable": False}),
    **_below("nodes[].health_check", "roles[0].health_check.", HEALTH),
    "nodes[].monitor": Honoured("roles[0].monitor", {"enable": True}, {"enable": False}),
    **_below("nodes[].monitor", "roles[0].monitor.", MONITOR),
}  # fmt: skip

NUMBER = {"type": "integer"}
CONDITION = {"refkey": "a", "values": []}
CONFIG: dict[str, Honoured] = {
    "key": Honoured("path", "a", "b"),
    "label": Honoured("label", "A", "B"),
    "description": Honoured("description", "a", "b"),
    "type": Honoured("type", "integer", "string"),
    "default": Honoured("default", 1, 2, beside=NUMBER),
    "required": Honoured("required", "yes", "no"),
    "changeable": Honoured("changeable", True, False),
    "changeable_when_create": Honoured("changeable_when_create", True, False),
    "customizable": Honoured("customizable", True, False),
    "range": Honoured("choices", ["a"], ["b"]),
    "multichoice": Honoured("multichoice", True, False),
    "separator": Honoured("separator", ",", "|"),
    "min": Honoured("minimum", 1, 2, beside=NUMBER),
    "max": Honoured("maximum", 1, 2, beside=NUMBER),
    "step": Honoured("step", 1, 2, beside=NUMBER),
    "auto_scale_step": Honoured("auto_scale_step", 1, 2, beside=NUMBER),
    "pattern": Honoured("pattern", "a", "b"),
    "unit": Honoured("unit", "GiB", "ms"),
    "tag": Honoured("tags", ["a"], "b"),
    "limits": Honoured("limits", {"app": ["1"]}, {"app": []}),
    "allowed_operations": Honoured("allowed_operations", ["add"], ["delete"]),
    "port": Honoured("ports", 80, [80, 443]),
    "resource_group": Honoured("resource_group", [1], [2], beside=NUMBER),
    "dependencies": Honoured("conditions", [{"refkey": "a", "values": ["b"]}], []),
    "dependencies[]": Honoured("conditions[0]", {"refkey": "a", "values": []}, {"refkey": "b", "values": []}),
    "dependencies[].refkey": Honoured("conditions[0].path", "a", "b", beside={"values": []}),
    "dependencies[].values": Honoured("conditions[0].values", ["a"], ["b"], beside={"refkey": "a"}),
    "dependencies[].operator": Honoured("conditions[0].negated", "in", "nin", beside=CONDITION),
    "expanded": Honoured("expanded", True, False),
    "system": Honoured("system", True, False),
    "multiline": Honoured("multiline", True, False),
    "associate_mode": kept("other[associate_mode]", 0, 1, FOREIGN),
    "disable_when_scale": kept("other[disable_when_scale]", True, False, LATER),
    "old_version_default": kept("other[old_version_default]", 1, 2, LATER),
}  # fmt: skip
#: Type of a field to (attribute that tells it, what it is there, an answer that is right, one that is not).
TYPES: dict[str, tuple[str, Any, Any, Any]] = {
    "integer": ("type", "integer", 1, "1"),
    "number": ("type", "number", 1.5, "1"),
    "string": ("type", "string", "a", 1),
    "boolean": ("type", "boolean", True, "yes"),
    "password": ("type", "password", "a", 1),
    "service": ("type", "service", "cl-1", 1),
    "loadbalancer": ("type", "loadbalancer", [{"port": 80}], "lb-1"),
    "accesskey": ("resource", "accesskey", "key-1", 1),
    "vxnet": ("resource", "vxnet", "vxnet-1 vxnet-2", 1),
    "eip": ("resource", "eip", "eip-1", 1),
}

MAINTAINER = {"name": "maintainers[0][name]", "email": "maintainers[0][email]", "url": "maintainers[0][url]"}
PACKAGE: dict[str, Honoured] = {
    "api_version": kept("metadata[api_version]", "v1", "v2", "one version of the format is known"),
    "apiVersion": kept("metadata[apiVersion]", "v1", "v2", "one version of the format is known"),
    "type": kept("metadata[type]", "vm", "vmbased", "both mean the same"),
    "name": Honoured("name", "a", "b"),
    "version": Honoured("version", "1.0.0", "2.0.0-rc.1"),
    "app_version": Honoured("app_version", "1.0", 2),
    "title": Honoured("title", "A", "B"),
    "description": Honoured("description", "a", "b"),
    "category": Honoured("category", "a", "b"),
    "keywords": Honoured("keywords", ["a"], ["b"]),
    "home": Honoured("home", "https://a.example", "https://b.example"),
    "icon": Honoured("icon", "https://example.com/a.svg", "https://example.com/b.svg"),
    "sources": Honoured("metadata[sources]", ["a"], ["b"]),
    "screenshots": Honoured("metadata[screenshots]", ["a"], ["b"]),
    "maintainers": Honoured("maintainers", [{"name": "a"}], []),
    "maintainers[]": Honoured("maintainers[0]", {"name": "a"}, {"name": "b"}),
    **{f"maintainers[].{key}": Honoured(at, "a", "b") for key, at in MAINTAINER.items()},
    "license": Honoured("metadata[license]", "MIT", "Apache-2.0"),
}


# --- what the schemas name ---------------------------------------------------------------------------------


def keys(name: str, start: str = "") -> dict[str, dict[str, Any]]:
    """Every key that a schema names, to its schema: ``nodes[].volume.size``, ``endpoints.*.port``.

    Args:
        start: JSON pointer of the part to look at; the whole schema without.
    """
    root = service.schema(name)
    node = root
    for part in start.split("/")[1:]:
        node = node[part]
    return dict(_keys(root, node, ""))


def _keys(root: dict[str, Any], node: dict[str, Any], lead: str) -> Iterator[tuple[str, dict[str, Any]]]:
    node = _resolved(root, node)
    for key, below in node.get("properties", {}).items():
        name = f"{lead}.{key}" if lead else key
        yield name, _resolved(root, below)
        if key != "properties":  # groups of questions, which hold questions again
            yield from _keys(root, below, name)
    if isinstance(node.get("additionalProperties"), dict):
        yield f"{lead}.*", _resolved(root, node["additionalProperties"])
        yield from _keys(root, node["additionalProperties"], f"{lead}.*")
    if "$ref" in node.get("items", {}):
        yield f"{lead}[]", _resolved(root, node["items"])
        yield from _keys(root, node["items"], f"{lead}[]")
    if "$ref" in node.get("else", {}):
        yield from _keys(root, node["else"], lead)


def _resolved(root: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def with_value(document: dict[str, Any], key: str, value: Any, beside: dict[str, Any]) -> dict[str, Any]:
    """A copy of a document in which a key has a value, and the keys beside it theirs."""
    made: dict[str, Any] = json.loads(json.dumps(document))
    node: Any = made
    parts = key.replace("[]", ".[]").split(".")
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        place: Any = 0 if part == "[]" else "x" if part == "*" else part
        if isinstance(node, list):
            node.extend([{}] if not node else [])
        if not following:
            if isinstance(node, dict):
                node.update(beside)
            node[place] = value
        elif isinstance(node, list):
            node = node[place]
        else:
            node = node.setdefault(place, [] if following == "[]" else {})
    return made


def look(thing: Any, at: str) -> Any:
    """The value at the path of an attribute: ``roles[0].services[x].cmd``."""
    rest = at
    while rest:
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            thing = thing[int(inside)] if inside.isdigit() else thing[inside]
        else:
            rest = rest.removeprefix(".")
            end = min([rest.find(mark) for mark in ".[" if mark in rest], default=len(rest))
            thing, rest = getattr(thing, rest[:end]), rest[end:]
    return thing


# --- the page ----------------------------------------------------------------------------------------------

HEAD = """# VM packages: every key and where it is honoured

Generated by `python -m tests.unit.packages.specification` from the JSON Schemas in `schemas/` and from the
declarations in `tests/unit/packages/specification.py`; a test regenerates it, and holds every line by giving
the key two values and looking at the place that is named. `[]` stands for each entry of a list, `*` for each
name. A key that no table names is warned of and kept in `other`. The tables say where a key arrives in the
model, not that every operation on a cluster already makes use of it.
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## cluster.json\n\nIn `cluster.json.tmpl` (OpenPitrix) or `cluster.json.mustache` (AppCenter), "
        "filled in. Places are those of `ClusterSpec` in `model.py`.\n",
        _table("ClusterSpec", keys("cluster"), CLUSTER),
        "## config.json\n\nPlaces are those of `FormField` in `model.py`; `properties` make a `FormGroup`.\n",
        _table("FormField", question_keys(), CONFIG),
        "### Types of fields\n\n| type | where it is honoured | an answer | no answer |\n|---|---|---|---|",
        *(
            f'| `{name}` | `FormField.{at}` is `"{value}"` | `{json.dumps(good)}` | `{json.dumps(bad)}` |'
            for name, (at, value, good, bad) in TYPES.items()
        ),
        "| `array` | a `FormGroup` of its `properties` | | |\n",
        "## package.json\n\nPlaces are those of `Package` in `model.py`.\n",
        _table("Package", keys("package"), PACKAGE),
        "## locale/<language>.json\n\n| key | type | meaning | where it is honoured |\n|---|---|---|---|",
        "| any text of the package | string | its translation | `FormGroup.label`, `FormGroup.description`, "
        "`FormField.label`, `FormField.description`, `FormField.choice_labels` |\n",
    ]
    return "\n".join(parts)


def question_keys() -> dict[str, dict[str, Any]]:
    """The keys of a question in ``config.json``; those of a group are the same."""
    return {key: value for key, value in keys("config", "/$defs/property").items() if key != "properties"}


def _table(kind: str, known: dict[str, dict[str, Any]], where: dict[str, Honoured]) -> str:
    lines = ["| key | type | meaning | where it is honoured |", "|---|---|---|---|"]
    for key, schema in known.items():
        told = f"`{kind}.{where[key].at}`"
        told = f"kept in {told}: {where[key].why}" if where[key].why else told
        meaning = schema.get("description", "").replace("<", "&lt;").replace("|", "\\|")
        lines.append(f"| `{key}` | {_type(schema)} | {meaning} | {told} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def _type(schema: dict[str, Any]) -> str:
    names = schema.get("type", [])
    found = [names] if isinstance(names, str) else [each for each in names if each != "null"]
    if "enum" in schema:
        found = [json.dumps(each) for each in schema["enum"] if each is not None]
    return ", ".join(found) or ("object, array" if "if" in schema else "any")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
