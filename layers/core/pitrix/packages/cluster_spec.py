"""A rendered ``cluster.json`` as a `ClusterSpec`.

Owns the meaning of each key: defaults, units, what is inherited from the cluster by a role, where an
endpoint's port comes from.  Types have been checked by ``schemas/cluster.json`` before; what a schema cannot
say (names that are used twice, ports that lead nowhere) is found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.jsontext import Document
from pitrix.packages.model import (
    ClusterSpec,
    Endpoint,
    HealthCheck,
    Monitor,
    Problem,
    RoleSpec,
    ServiceSpec,
    Severity,
    VolumeSpec,
)

DEFAULT_TIMEOUT_S = 600
#: Services which the platform calls by itself; any other must be of type custom to be of use.
BUILT_IN = (
    "init",
    "start",
    "stop",
    "scale_out",
    "scale_in",
    "restart",
    "destroy",
    "upgrade",
    "backup",
    "restore",
    "delete_snapshot",
)
_KNOWN = {
    "name", "description", "subnet", "vxnet", "links", "env", "nodes", "advanced_actions", "endpoints",
    "reserved_ips", "health_check", "monitor", "display_tabs", "backup_policy", "upgrade_policy",
    "incremental_backup_supported", "upgrading_policy", "multi_zone_policy", "custom_metadata",
}  # fmt: skip
_KNOWN_OF_NODE = {
    "role", "container", "count", "cpu", "memory", "gpu", "gpu_class", "instance_class", "volume", "replica",
    "passphraseless", "services", "env", "health_check", "monitor", "advanced_actions", "user_access",
    "vertical_scaling_policy", "server_id_upper_bound", "loadbalancer", "custom_metadata",
}  # fmt: skip


def build(raw: Mapping[str, Any], links: Mapping[str, str] | None = None) -> ClusterSpec:
    """The spec of a rendered and schema-checked ``cluster.json``.

    Args:
        links: Name of a link to the id of a cluster; wins over what the answers say.
    """
    roles = [_role(node, raw) for node in raw["nodes"]]
    return ClusterSpec(
        name=_text(raw.get("name")),
        description=_text(raw.get("description")),
        subnet=_text(raw.get("subnet") or raw.get("vxnet")),
        roles=roles,
        endpoints={name: endpoint for name, endpoint, _ in _endpoints(raw)},
        links={name: _text(value) for name, value in {**(raw.get("links") or {}), **(links or {})}.items()},
        env=dict(raw.get("env") or {}),
        advanced_actions=list(raw.get("advanced_actions") or []),
        health_check=_health_check(raw.get("health_check"), None),
        monitor=_monitor(raw.get("monitor"), None),
        multi_zone_policy=_text(raw.get("multi_zone_policy")),
        backup_policy=_text(raw.get("backup_policy")),
        incremental_backup_supported=_flag(raw.get("incremental_backup_supported"), False),
        upgrade_policy=list(raw.get("upgrade_policy") or []),
        upgrading_policy=_text(raw.get("upgrading_policy")) or "parallel",
        reserved_ips=dict(raw.get("reserved_ips") or (raw.get("endpoints") or {}).get("reserved_ips") or {}),
        display_tabs=dict(raw.get("display_tabs") or {}),
        metadata=dict(raw.get("custom_metadata") or {}),
        other={key: value for key, value in raw.items() if key not in _KNOWN},
    )


def review(document: Document) -> Iterator[Problem]:
    """What is wrong with a schema-checked ``cluster.json`` beyond the types of its values."""
    raw = document.value
    seen: set[str] = set()
    for index, node in enumerate(raw["nodes"]):
        at, role = f"/nodes/{index}", str(node.get("role", ""))
        if role in seen:
            shown = f"the role {role!r}" if role else "a role without a name"
            yield document.problem(f"{at}/role", f"{shown} is there twice", "give each role its own name")
        seen.add(role)
        if _int(node["count"]):
            for key in ("cpu", "memory"):
                if not _int(node[key]):
                    yield document.problem(
                        f"{at}/{key}", f"nodes of {role!r} have no {key}", "ask for 1 or more"
                    )
        for name, service in (node.get("services") or {}).items():
            if name not in BUILT_IN and service.get("type") != "custom":
                yield document.problem(
                    f"{at}/services/{name}",
                    f"the service {name!r} is neither built in nor custom: nothing calls it",
                    'add "type": "custom"',
                    Severity.WARNING,
                )
            if not service.get("cmd") and name not in ("backup", "restore", "delete_snapshot"):
                yield document.problem(f"{at}/services/{name}", f"the service {name!r} has no cmd", "add it")
    yield from _review_endpoints(document)


def _review_endpoints(document: Document) -> Iterator[Problem]:
    for name, endpoint in (document.value.get("endpoints") or {}).items():
        at = f"/endpoints/{name}"
        if name == "reserved_ips":
            continue
        if not isinstance(endpoint, dict) or "port" not in endpoint:
            yield document.problem(at, f"the endpoint {name!r} has no port", 'add "port": 8080 or "env.port"')
    known = [str(node.get("role", "")) for node in document.value["nodes"]]
    for name, built, named in _endpoints(document.value):
        at = f"/endpoints/{name}"
        if isinstance(built.port, str):
            yield document.problem(
                f"{at}/port",
                f"{built.port!r} leads to no number in env",
                "refer to env.<key> of the cluster, or <role>.env.<key>",
                Severity.WARNING,
            )
        elif not 1 <= built.port <= 65535:
            yield document.problem(f"{at}/port", f"{built.port} is not a port", "use 1 to 65535")
        for role in named:
            if role not in known:
                yield document.problem(
                    f"{at}/role",
                    f"there is no role {role!r}",
                    f"use one of: {', '.join(filter(None, known))}",
                )


def _role(node: Mapping[str, Any], cluster: Mapping[str, Any]) -> RoleSpec:
    container = node.get("container") or {}
    if isinstance(container, list):  # one image a zone: the first is the one to make machines from
        container = container[0] if container else {}
    balancers = node.get("loadbalancer")
    return RoleSpec(
        role=str(node.get("role", "")),
        count=_int(node["count"]),
        cpu=_int(node["cpu"]),
        memory_mib=_int(node["memory"]),
        gpu=_int(node.get("gpu")),
        gpu_class=node.get("gpu_class"),
        instance_class=_whole_or_text(node.get("instance_class")),
        volumes=list(_volumes(node.get("volume") or {})),
        image=_text(container.get("image")),
        container_type=_text(container.get("type")),
        zone=_text(container.get("zone")),
        passphraseless=_text(node.get("passphraseless")),
        services={name: _service(name, raw) for name, raw in (node.get("services") or {}).items()},
        env=dict(node.get("env") or {}),
        health_check=_health_check(node.get("health_check"), cluster.get("health_check")),
        monitor=_monitor(node.get("monitor"), cluster.get("monitor")),
        replicas=_int(node.get("replica")),
        advanced_actions=list(node.get("advanced_actions") or []),
        vertical_scaling_policy=_text(node.get("vertical_scaling_policy")) or "parallel",
        user_access=_flag(node.get("user_access"), False),
        server_id_upper_bound=_int(node.get("server_id_upper_bound")) or None,
        loadbalancers=[each for each in balancers if isinstance(each, dict)]
        if isinstance(balancers, list)
        else [],
        metadata=dict(node.get("custom_metadata") or {}),
        other={key: value for key, value in node.items() if key not in _KNOWN_OF_NODE},
    )


def _volumes(raw: Mapping[str, Any]) -> Iterator[VolumeSpec]:
    """One volume a mount point; the size of the package is that of all of them together."""
    size = _int(raw.get("size"))
    if not size:
        return
    points = raw.get("mount_point") or "/data"
    points = [points] if isinstance(points, str) else points
    filesystem = _text(raw.get("filesystem")) or "ext4"
    usual = "rw,noatime,inode64,allocsize=16m" if filesystem == "xfs" else "defaults,noatime"
    options = raw.get("mount_options")
    for index, point in enumerate(points):
        yield VolumeSpec(
            size_gib=-(-size // len(points)),
            mount_points=[point],
            mount_options=_text(
                options[min(index, len(options) - 1)] if isinstance(options, list) and options else options
            )
            or usual,
            filesystem=filesystem,
            class_=raw.get("class"),
        )


def _service(name: str, raw: Mapping[str, Any]) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        cmd=_text(raw.get("cmd")),
        order=_int(raw.get("order")),
        timeout_s=_int(raw.get("timeout")) or DEFAULT_TIMEOUT_S,
        nodes_to_execute_on=_int(raw.get("nodes_to_execute_on")) or None,
        post_start_service=_flag(raw.get("post_start_service"), False),
        post_stop_service=_flag(raw.get("post_stop_service"), False),
        pre_check=_text(raw.get("pre_check")),
        selector=_text(raw.get("selector")),
        type=_text(raw.get("type")),
        service_params=dict(raw.get("service_params") or {}),
        allow_force=_flag(raw.get("allow_force"), True),
    )


def _health_check(own: Mapping[str, Any] | None, inherited: Mapping[str, Any] | None) -> HealthCheck | None:
    """A role's check, with the cluster's for each key that it leaves out."""
    raw = {**(inherited or {}), **(own or {})}
    if not raw:
        return None
    usual = HealthCheck()
    return HealthCheck(
        enable=_flag(raw.get("enable"), False),
        interval_s=_int(raw.get("interval_sec")) or usual.interval_s,
        timeout_s=_int(raw.get("timeout_sec")) or usual.timeout_s,
        action_timeout_s=_int(raw.get("action_timeout_sec")) or usual.action_timeout_s,
        healthy_threshold=_int(raw.get("healthy_threshold")) or usual.healthy_threshold,
        unhealthy_threshold=_int(raw.get("unhealthy_threshold")) or usual.unhealthy_threshold,
        check_cmd=_text(raw.get("check_cmd")),
        action_cmd=_text(raw.get("action_cmd")),
    )


def _monitor(own: Mapping[str, Any] | None, inherited: Mapping[str, Any] | None) -> Monitor | None:
    """A role's monitor, with the cluster's for each key that it leaves out."""
    raw = {**(inherited or {}), **(own or {})}
    if not raw:
        return None
    return Monitor(
        enable=_flag(raw.get("enable"), False),
        cmd=_text(raw.get("cmd")),
        items=dict(raw.get("items") or {}),
        groups=dict(raw.get("groups") or {}),
        display=list(raw.get("display") or []),
        alarm=list(raw.get("alarm") or []),
    )


def _endpoints(raw: Mapping[str, Any]) -> Iterator[tuple[str, Endpoint, list[str]]]:
    """(name, endpoint, roles that the package names itself)."""
    every = [str(node.get("role", "")) for node in raw["nodes"]]
    for name, each in (raw.get("endpoints") or {}).items():
        if name == "reserved_ips" or not isinstance(each, dict) or "port" not in each:
            continue
        port, home = _port(each["port"], raw)
        named = each.get("roles") or each.get("role") or []
        named = [named] if isinstance(named, str) else [str(role) for role in named]
        protocol = _text(each.get("protocol")) or "tcp"
        roles = named or home or ([name] if name in every else every)
        yield name, Endpoint(port=port, protocol=protocol, roles=roles), named


def _port(port: Any, raw: Mapping[str, Any]) -> tuple[int | str, list[str]]:
    """A port and the roles whose env it comes from: a number, or a reference into an env.

    References are written ``env.<key>`` (the cluster's env), ``<role>.env.<key>`` and
    ``env.<role>.<key>`` (a role's env); a key may hold dots.
    """
    if isinstance(port, int) and not isinstance(port, bool):
        return port, []
    text = str(port)
    if text.isdigit():
        return int(text), []
    found: list[tuple[Any, list[str]]] = []
    if text.startswith("env."):
        found.append(((raw.get("env") or {}).get(text[4:]), []))
    for node in raw["nodes"]:
        role, env = str(node.get("role", "")), node.get("env") or {}
        for lead in (f"{role}.env.", f"env.{role}.") if role else ("env.",):
            if text.startswith(lead):
                found.append((env.get(text[len(lead) :]), [role]))
    for value, roles in found:
        number = _int_or_none(value)
        if number is not None:
            return number, roles
    return text, []


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _flag(value: Any, default: bool) -> bool:
    return default if value is None else str(value).lower() in ("true", "yes")


def _int(value: Any) -> int:
    return _int_or_none(value) or 0


def _int_or_none(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _whole_or_text(value: Any) -> int | str:
    number = _int_or_none(value)
    return number if number is not None else _text(value) or 0
