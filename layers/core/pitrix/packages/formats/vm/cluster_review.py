"""What is wrong with a rendered ``cluster.json`` beyond the types of its values.

Owns what a schema cannot say: roles that are there twice, services that nothing calls, endpoints that lead
nowhere, names that stand for nothing.  What the keys mean is told by `vm.cluster_spec`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pitrix.packages.formats.vm.cluster_spec import endpoints, whole
from pitrix.packages.model import Problem, Severity
from pitrix.packages.text.jsontext import Document

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
    "rollback",
    "get_nodes_order",
    "scale_vertical",
    "change_vxnet",
    "exchange_reserved_ips",
    "rebuild",
)
#: Services which a package may declare without a command: the platform knows what to do.
WITHOUT_CMD = ("backup", "restore", "delete_snapshot")


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
        if whole(node["count"]):
            for key in () if node.get("instance_type") else ("cpu", "memory"):
                if not whole(node.get(key)):
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
            if not service.get("cmd") and name not in WITHOUT_CMD:
                yield document.problem(f"{at}/services/{name}", f"the service {name!r} has no cmd", "add it")
        yield from _review_monitor(document, node.get("monitor"), f"{at}/monitor")
    yield from _review_monitor(document, raw.get("monitor"), "/monitor")
    yield from _review_endpoints(document)
    yield from _review_tabs(document)


def _review_monitor(document: Document, monitor: Mapping[str, Any] | None, at: str) -> Iterator[Problem]:
    """Names in groups, display and alarm that stand for nothing; what is inherited has been looked at."""
    items, groups = (monitor or {}).get("items"), (monitor or {}).get("groups") or {}
    if not monitor or not items:
        return
    named = [
        (f"{at}/groups/{group}", each, {*items}) for group, names in groups.items() for each in names or []
    ]
    named += [(f"{at}/display", each, {*items, *groups}) for each in monitor.get("display") or []]
    named += [(f"{at}/alarm", each, {*items}) for each in monitor.get("alarm") or []]
    for pointer, name, known in named:
        if name not in known:
            message = f"{name!r} is none of the items of the monitor"
            yield document.problem(
                pointer, message, "add it to items, or check the spelling", Severity.WARNING
            )


def _review_tabs(document: Document) -> Iterator[Problem]:
    known = [str(node.get("role", "")) for node in document.value["nodes"]]
    for name, tab in (document.value.get("display_tabs") or {}).items():
        for role in tab.get("roles_to_execute_on") or []:
            if role not in known:
                yield document.problem(
                    f"/display_tabs/{name}/roles_to_execute_on",
                    f"there is no role {role!r}",
                    f"use one of: {', '.join(filter(None, known))}",
                    Severity.WARNING,
                )


def _review_endpoints(document: Document) -> Iterator[Problem]:
    for name, endpoint in (document.value.get("endpoints") or {}).items():
        at = f"/endpoints/{name}"
        if name == "reserved_ips":
            continue
        if not isinstance(endpoint, dict) or "port" not in endpoint:
            yield document.problem(at, f"the endpoint {name!r} has no port", 'add "port": 8080 or "env.port"')
    known = [str(node.get("role", "")) for node in document.value["nodes"]]
    for name, built, named in endpoints(document.value):
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
