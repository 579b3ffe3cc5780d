"""A rendered ``cluster.json`` as a `ClusterSpec`.

Owns the meaning of each key: defaults, units, what is inherited from the cluster by a role, where an
endpoint's port comes from.  Types have been checked by ``schemas/cluster.json`` before; what a schema cannot
say (names that are used twice, ports that lead nowhere) is found by `vm.cluster_review`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.model import (
    ClusterSpec,
    Endpoint,
    HealthCheck,
    Monitor,
    RoleSpec,
    ServiceSpec,
    VolumeSpec,
)

DEFAULT_TIMEOUT_S = 600
_KNOWN = {
    "name", "description", "subnet", "vxnet", "links", "env", "nodes", "advanced_actions", "endpoints",
    "reserved_ips", "health_check", "monitor", "display_tabs", "backup_policy", "upgrade_policy",
    "incremental_backup_supported", "upgrading_policy", "multi_zone_policy", "custom_metadata",
}  # fmt: skip
_KNOWN_OF_NODE = {
    "role", "container", "count", "cpu", "memory", "gpu", "gpu_class", "instance_class", "instance_type",
    "volume", "replica", "passphraseless", "services", "env", "health_check", "monitor", "advanced_actions",
    "user_access", "agent_installed", "vertical_scaling_policy", "server_id_upper_bound", "loadbalancer",
    "reserved_ips", "custom_metadata",
}  # fmt: skip
_KNOWN_OF_VOLUME = {"size", "mount_point", "mount_options", "filesystem", "class"}
_KNOWN_OF_CONTAINER = {"type", "zone", "image"}
_KNOWN_OF_SERVICE = {
    "type", "cmd", "order", "timeout", "nodes_to_execute_on", "post_start_service", "post_stop_service",
    "pre_check", "selector", "allow_force", "with_replica", "event", "service_params",
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
        endpoints={name: endpoint for name, endpoint, _ in endpoints(raw)},
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
        other=_rest(raw, _KNOWN),
    )


def _role(node: Mapping[str, Any], cluster: Mapping[str, Any]) -> RoleSpec:
    containers = node.get("container") or {}
    containers = containers if isinstance(containers, list) else [containers]
    container = containers[0] if containers else {}
    balancers = node.get("loadbalancer")
    return RoleSpec(
        role=str(node.get("role", "")),
        count=whole(node["count"]),
        cpu=whole(node.get("cpu")),
        memory_mib=whole(node.get("memory")),
        gpu=whole(node.get("gpu")),
        gpu_class=node.get("gpu_class"),
        instance_class=_whole_or_text(node.get("instance_class")),
        instance_type=_text(node.get("instance_type")),
        volumes=list(_volumes(node.get("volume") or {})),
        image=_text(container.get("image")),
        images={_text(each["zone"]): _text(each.get("image")) for each in containers if each.get("zone")},
        container_type=_text(container.get("type")),
        zone=_text(container.get("zone")),
        passphraseless=_text(node.get("passphraseless")),
        services={name: _service(name, raw) for name, raw in (node.get("services") or {}).items()},
        env=dict(node.get("env") or {}),
        health_check=_health_check(node.get("health_check"), cluster.get("health_check")),
        monitor=_monitor(node.get("monitor"), cluster.get("monitor")),
        replicas=whole(node.get("replica")),
        advanced_actions=list(node.get("advanced_actions") or []),
        vertical_scaling_policy=_text(node.get("vertical_scaling_policy")) or "parallel",
        user_access=_flag(node.get("user_access"), False),
        agent_installed=_flag(node.get("agent_installed"), True),
        reserved_ips=dict(node.get("reserved_ips") or {}),
        server_id_upper_bound=whole(node.get("server_id_upper_bound")) or None,
        loadbalancers=[each for each in balancers if isinstance(each, dict)]
        if isinstance(balancers, list)
        else [],
        metadata=dict(node.get("custom_metadata") or {}),
        other={
            **_rest(node, _KNOWN_OF_NODE),
            **{f"container.{key}": value for key, value in _rest(container, _KNOWN_OF_CONTAINER).items()},
            **{f"volume.{key}": value for key, value in _rest(node.get("volume"), _KNOWN_OF_VOLUME).items()},
        },
    )


def _rest(raw: Mapping[str, Any] | None, known: set[str]) -> dict[str, Any]:
    """What is kept though nothing here acts on it."""
    return {key: value for key, value in (raw or {}).items() if key not in known}


def _volumes(raw: Mapping[str, Any]) -> Iterator[VolumeSpec]:
    """One volume a mount point; the size of the package is that of all of them together."""
    size = whole(raw.get("size"))
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
        order=whole(raw.get("order")),
        timeout_s=whole(raw.get("timeout")) or DEFAULT_TIMEOUT_S,
        nodes_to_execute_on=whole(raw.get("nodes_to_execute_on")) or None,
        post_start_service=_flag(raw.get("post_start_service"), False),
        post_stop_service=_flag(raw.get("post_stop_service"), False),
        pre_check=_text(raw.get("pre_check")),
        selector=_text(raw.get("selector")),
        type=_text(raw.get("type")),
        service_params=dict(raw.get("service_params") or {}),
        allow_force=_flag(raw.get("allow_force"), True),
        with_replica=_flag(raw.get("with_replica"), False),
        events=_names(raw.get("event")),
        other=_rest(raw, _KNOWN_OF_SERVICE),
    )


def _health_check(own: Mapping[str, Any] | None, inherited: Mapping[str, Any] | None) -> HealthCheck | None:
    """A role's check, with the cluster's for each key that it leaves out."""
    raw = {**(inherited or {}), **(own or {})}
    if not raw:
        return None
    usual = HealthCheck()
    return HealthCheck(
        enable=_flag(raw.get("enable"), False),
        interval_s=whole(raw.get("interval_sec")) or usual.interval_s,
        timeout_s=whole(raw.get("timeout_sec")) or usual.timeout_s,
        action_timeout_s=whole(raw.get("action_timeout_sec")) or usual.action_timeout_s,
        healthy_threshold=whole(raw.get("healthy_threshold")) or usual.healthy_threshold,
        unhealthy_threshold=whole(raw.get("unhealthy_threshold")) or usual.unhealthy_threshold,
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


def endpoints(raw: Mapping[str, Any]) -> Iterator[tuple[str, Endpoint, list[str]]]:
    """(name, endpoint, roles that the package names itself) of every endpoint that has a port."""
    every = [str(node.get("role", "")) for node in raw["nodes"]]
    for name, each in (raw.get("endpoints") or {}).items():
        if name == "reserved_ips" or not isinstance(each, dict) or "port" not in each:
            continue
        port, home = _port(each["port"], raw)
        named = _names(each.get("roles") or each.get("role"))
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


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else list(value or [])


def _flag(value: Any, default: bool) -> bool:
    return default if value is None or value == "" else str(value).lower() in ("true", "yes", "1")


def whole(value: Any) -> int:
    """A whole number, also written as a text; 0 for none."""
    return _int_or_none(value) or 0


def _int_or_none(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _whole_or_text(value: Any) -> int | str:
    number = _int_or_none(value)
    return number if number is not None else _text(value) or 0
