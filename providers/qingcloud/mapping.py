"""QingCloud's rows as ``providers.resources``, and what we write upon a resource. No calls, no decisions.

QingCloud has no client tokens, and its tags are labels without values that are attached afterwards. So:

* the **name** of a resource carries its key (and its cluster), because a name is given in the very call that
  creates: ``web-1 [pitrix node_01J… cl_01J…]``. By it a creation whose answer was lost is found again;
* the **description**, written right afterwards, carries its name and tags as JSON. What has none is half
  made: it is listed under its cluster alone, so that a sweeper finds it, and repeating its creation
  completes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from providers import checks
from providers.base import TAG_CLUSTER
from providers.qingcloud.kinds import (
    EIP,
    IMAGE,
    INSTANCE,
    KEY_PAIR,
    SECURITY_GROUP,
    SNAPSHOT,
    VOLUME,
    VXNET,
    Kind,
    Row,
)
from providers.resources import (
    Address,
    Image,
    ImageStatus,
    KeyPair,
    Machine,
    MachineStatus,
    MachineType,
    Network,
    NetworkStatus,
    SecurityGroup,
    SecurityRule,
    Snapshot,
    SnapshotStatus,
    Volume,
    VolumeStatus,
    Zone,
)

NAME_LENGTH = 128
"""Longest name that we give, in characters; a longer one is cut in what people wrote, never in the key."""

_CLUSTER_LENGTH = 40
"""Longest cluster id that is written into a name; a longer one is found by reading all descriptions."""

_NAME = re.compile(
    r"(?P<name>.*) \[pitrix (?P<key>[A-Za-z0-9._:-]{1,64})(?: (?P<cluster>[^\s\]]+))?\]", re.DOTALL
)
_NETWORK_RULE = "pitrix-network"


# --- what we write upon a resource -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a resource says of itself. ``complete`` is False while it is half made."""

    name: str
    key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True


def cloud_name(name: str, key: str, tags: Mapping[str, str]) -> str:
    """The name that a resource gets at QingCloud; :func:`mark` reads it back."""
    cluster = searchable(tags)
    suffix = f" [pitrix {key} {cluster}]" if cluster else f" [pitrix {key}]"
    return name[: NAME_LENGTH - len(suffix)] + suffix


def searchable(tags: Mapping[str, str]) -> str:
    """The cluster by which a resource's name can be searched; "" where no name holds it."""
    cluster = tags.get(TAG_CLUSTER, "")
    return cluster if len(cluster) <= _CLUSTER_LENGTH and re.fullmatch(r"[^\s\]]*", cluster) else ""


def description(name: str, tags: Mapping[str, str], extra: Mapping[str, Any]) -> str:
    """The description that completes a resource."""
    return json.dumps({"name": name, "tags": dict(tags), **extra}, ensure_ascii=False, separators=(",", ":"))


def mark(kind: Kind, row: Row) -> Mark:
    """What a resource says of itself; one that is not ours has its name and nothing else."""
    found = _NAME.fullmatch(kind.name_of(row))
    if found is None:
        return Mark(name=kind.name_of(row))
    try:
        said = json.loads(row.get("description") or "")
        extra = {name: value for name, value in said.items() if name not in ("name", "tags")}
        return Mark(name=str(said["name"]), key=found["key"], tags=dict(said["tags"]), extra=extra)
    except (ValueError, KeyError, TypeError, AttributeError):
        tags = {TAG_CLUSTER: found["cluster"]} if found["cluster"] else {}
        return Mark(name=found["name"], key=found["key"], tags=tags, complete=False)


def carries(kind: Kind, row: Row, tags: Mapping[str, str]) -> bool:
    """Whether a resource is ours and carries every one of ``tags``."""
    said = mark(kind, row)
    return bool(said.key) and tags.items() <= said.tags.items()


# --- what QingCloud says -----------------------------------------------------------------------------


def zone(row: Row) -> Zone:
    return Zone(zone=row["zone_id"], title=str(row["zone_id"]).upper())


def machine_type(row: Row) -> MachineType:
    return MachineType(
        machine_type=row["instance_type_id"],
        cpu=int(row["vcpus_current"]),
        memory_mib=int(row["memory_current"]),
    )


_MACHINE = {
    "pending": MachineStatus.PENDING,
    "running": MachineStatus.RUNNING,
    "stopped": MachineStatus.STOPPED,
    "suspended": MachineStatus.ERROR,
    "terminated": MachineStatus.TERMINATED,
    "ceased": MachineStatus.TERMINATED,
}


def machine_status(row: Row) -> MachineStatus:
    """Whatever is on its way to another state is pending, and so is a state that we have no word for."""
    known = _MACHINE.get(row["status"], MachineStatus.PENDING)
    return MachineStatus.PENDING if row.get("transition_status") else known


def machine(row: Row) -> Machine:
    said = mark(INSTANCE, row)
    status = machine_status(row)
    vxnet: Row = next(iter(row.get("vxnets") or []), {})
    suspended = "QingCloud suspended the machine; the account's balance or its review tells why."
    return Machine(
        machine_id=row["instance_id"],
        name=said.name,
        status=status,
        cpu=int(row["vcpus_current"]),
        memory_mib=int(row["memory_current"]),
        image=(row.get("image") or {}).get("image_id", ""),
        network_id=vxnet.get("vxnet_id", ""),
        created_at=created_at(row),
        machine_type=row.get("instance_type") or "",
        private_ip=vxnet.get("private_ip") or None,
        public_ip=(row.get("eip") or {}).get("eip_addr") or None,
        volume_ids=tuple(row.get("volume_ids") or ()),
        reason=suspended if status is MachineStatus.ERROR else "",
        tags=said.tags,
    )


def volume(row: Row) -> Volume:
    """A volume; smaller than it was wanted (from a snapshot), it is pending until it has grown."""
    said = mark(VOLUME, row)
    statuses = {"available": VolumeStatus.AVAILABLE, "in-use": VolumeStatus.IN_USE}
    status = statuses.get(row["status"], VolumeStatus.PENDING)
    if row["status"] == "suspended":
        status = VolumeStatus.ERROR
    elif row.get("transition_status") or int(row["size"]) < int(said.extra.get("size_gib", 0)):
        status = VolumeStatus.PENDING
    return Volume(
        volume_id=row["volume_id"],
        name=said.name,
        status=status,
        size_gib=int(row["size"]),
        created_at=created_at(row),
        volume_class=str(row.get("volume_type", "")),
        machine_id=attached_to(row),
        tags=said.tags,
    )


def attached_to(row: Row) -> str | None:
    """The machine that a volume is attached to, or is being attached to or detached from."""
    return (row.get("instance") or {}).get("instance_id") or None


def snapshot(row: Row) -> Snapshot:
    said = mark(SNAPSHOT, row)
    status = SnapshotStatus.AVAILABLE if row["status"] == "available" else SnapshotStatus.PENDING
    if row["status"] == "suspended":
        status = SnapshotStatus.ERROR
    of = row.get("snapshot_resource") or {}
    return Snapshot(
        snapshot_id=row["snapshot_id"],
        name=said.name,
        status=SnapshotStatus.PENDING if row.get("transition_status") else status,
        volume_id=(row.get("resource") or {}).get("resource_id") or "",
        size_gib=int(said.extra.get("size_gib") or of.get("size") or 0),
        created_at=created_at(row),
        tags=said.tags,
    )


def network(row: Row) -> Network:
    """A network; it is pending until the router knows its addresses."""
    said = mark(VXNET, row)
    cidr = (row.get("router") or {}).get("ip_network") or ""
    return Network(
        network_id=row["vxnet_id"],
        name=said.name,
        cidr=cidr,
        created_at=created_at(row),
        status=NetworkStatus.AVAILABLE if cidr else NetworkStatus.PENDING,
        tags=said.tags,
    )


def security_group(row: Row, rules: list[Row]) -> SecurityGroup:
    """A security group; the rules that let machines of its own network in are not told."""
    said = mark(SECURITY_GROUP, row)
    return SecurityGroup(
        security_group_id=row["security_group_id"],
        name=said.name,
        rules=tuple(
            SecurityRule(
                protocol=rule["protocol"],
                port_from=int(rule["val1"]),
                port_to=int(rule["val2"] or rule["val1"]),
                cidr=rule.get("val3") or "0.0.0.0/0",
            )
            for rule in rules
            if rule.get("security_group_rule_name") != _NETWORK_RULE
        ),
        tags=said.tags,
    )


def rules_request(rules: tuple[SecurityRule, ...], network_cidr: str) -> list[dict[str, Any]]:
    """The rules of a new group: those wanted, and everything from the machines of its network."""
    inbound = {"direction": 0, "action": "accept", "priority": 1}
    own = [("tcp", "1", "65535"), ("udp", "1", "65535"), ("icmp", "", "")]
    return [
        inbound
        | {
            "protocol": rule.protocol,
            "val1": str(rule.port_from),
            "val2": str(rule.port_to),
            "val3": rule.cidr,
        }
        for rule in rules
    ] + [
        inbound
        | {"protocol": protocol, "val3": network_cidr, "security_group_rule_name": _NETWORK_RULE}
        | ({"val1": first, "val2": last} if first else {})
        for protocol, first, last in own
    ]


def address(row: Row) -> Address:
    said = mark(EIP, row)
    of = row.get("resource") or {}
    return Address(
        address_id=row["eip_id"],
        name=said.name,
        ip=None if row["status"] == "pending" else row.get("eip_addr") or None,
        machine_id=of.get("resource_id") or None,
        tags=said.tags,
    )


def image(row: Row) -> Image:
    said = mark(IMAGE, row)
    status = ImageStatus.AVAILABLE if row["status"] in ("available", "deprecated") else ImageStatus.PENDING
    if row["status"] == "suspended":
        status = ImageStatus.ERROR
    return Image(
        image_id=row["image_id"],
        name=said.name,
        status=ImageStatus.PENDING if row.get("transition_status") else status,
        reason="QingCloud suspended the image." if status is ImageStatus.ERROR else "",
        tags=said.tags,
    )


def key_pair(row: Row) -> KeyPair:
    said = mark(KEY_PAIR, row)
    return KeyPair(
        key_pair_id=row["keypair_id"],
        name=said.name,
        fingerprint=checks.fingerprint(row.get("pub_key") or ""),
        tags=said.tags,
    )


def created_at(row: Row) -> datetime:
    """When something was made; QingCloud counts whole seconds."""
    return datetime.strptime(row["create_time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
