"""AWS's answers as ``providers.base`` resources, and specs as its parameters. No calls, no decisions.

Owns which of a resource's tags are ours to hide, and the names that are derived from keys. Source: *Amazon
EC2 API Reference*.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from pitrix.errors import InvalidInput
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
)

Json = Mapping[str, Any]

TAG_NAME = "Name"
TAG_KEY = "pitrix-key"
TAG_MADE = "pitrix-made"
TAG_READY = "pitrix-ready"
TAG_VOLUMES = "pitrix-volumes"
"""Our own tags: never shown, because a resource's tags are those it was wanted with."""

_OURS = {TAG_NAME, TAG_KEY, TAG_MADE, TAG_READY, TAG_VOLUMES}

DEAD = ("shutting-down", "terminated")
"""The states of an instance that is gone or going."""


# --- names and tags ----------------------------------------------------------------------------------


def derived(key: str, *more: str) -> str:
    """A name or token of 39 letters and digits that is the key's (and no other's, nor another run's)."""
    return "pitrix-" + hashlib.sha256("\n".join((key, *more)).encode()).hexdigest()[:32]


def tagging(kind: str, name: str, tags: Mapping[str, str], key: str, **ours: str) -> list[dict[str, Any]]:
    """``TagSpecifications`` of what is about to be made."""
    wanted = {**tags, TAG_NAME: name, TAG_KEY: key, **ours}
    return [
        {
            "ResourceType": kind,
            "Tags": [{"Key": tag, "Value": value} for tag, value in wanted.items()],
        }
    ]


def made_now() -> str:
    """A tag's value that sorts by the moment of making, for what AWS gives no time of its own."""
    return f"{time.time_ns():020d}"


def by_tags(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """``Filters`` for what carries all of ``tags``; wildcards in them are only letters."""
    return [{"Name": f"tag:{tag}", "Values": [_literal(value)]} for tag, value in tags.items()]


def where(**filters: str | Iterable[str]) -> list[dict[str, Any]]:
    """``Filters`` by names with hyphens for underscores; several values are alternatives."""
    return [
        {"Name": name.replace("_", "-"), "Values": [values] if isinstance(values, str) else list(values)}
        for name, values in filters.items()
    ]


def _literal(value: str) -> str:
    return value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def all_tags(answer: Json) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in answer.get("Tags") or []}


def tags_of(answer: Json) -> dict[str, str]:
    return {
        tag: value
        for tag, value in all_tags(answer).items()
        if tag not in _OURS and not tag.startswith("aws:")
    }


def name_of(answer: Json, otherwise: str = "") -> str:
    return all_tags(answer).get(TAG_NAME, otherwise)


# --- machines ----------------------------------------------------------------------------------------

_MACHINE_STATUS = {
    "pending": MachineStatus.PENDING,
    "running": MachineStatus.RUNNING,
    "stopping": MachineStatus.PENDING,
    "stopped": MachineStatus.STOPPED,
    "shutting-down": MachineStatus.PENDING,
    "terminated": MachineStatus.TERMINATED,
}


def machine_type(answer: Json) -> MachineType:
    gpus = answer.get("GpuInfo", {}).get("Gpus", [])
    return MachineType(
        machine_type=answer["InstanceType"],
        cpu=int(answer["VCpuInfo"]["DefaultVCpus"]),
        memory_mib=int(answer["MemoryInfo"]["SizeInMiB"]),
        gpu=sum(int(gpu.get("Count", 0)) for gpu in gpus),
    )


def data_devices(instance: Json) -> dict[str, str]:
    """Volume by device of an instance, without the one that it boots from."""
    root = instance.get("RootDeviceName")
    return {
        each["DeviceName"]: each["Ebs"]["VolumeId"]
        for each in instance.get("BlockDeviceMappings", [])
        if each["DeviceName"] != root and "Ebs" in each
    }


def awaited_volumes(instance: Json) -> list[str]:
    """The volumes that it was wanted with and that EC2 has not attached yet."""
    wanted = all_tags(instance).get(TAG_VOLUMES, "").split()
    attached = data_devices(instance).values()
    return [volume for volume in wanted if volume not in attached]


def machine(instance: Json, size: MachineType, reason: str = "") -> Machine:
    status = _MACHINE_STATUS[instance["State"]["Name"]]
    if status is MachineStatus.RUNNING and awaited_volumes(instance):
        status = MachineStatus.PENDING
    return Machine(
        machine_id=instance["InstanceId"],
        name=name_of(instance),
        status=MachineStatus.ERROR if reason else status,
        cpu=size.cpu,
        memory_mib=size.memory_mib,
        image=instance["ImageId"],
        network_id=instance.get("VpcId", ""),
        created_at=instance["LaunchTime"],
        machine_type=size.machine_type,
        private_ip=instance.get("PrivateIpAddress") or None,
        public_ip=instance.get("PublicIpAddress") or None,
        volume_ids=tuple(data_devices(instance).values()),
        reason=reason,
        tags=tags_of(instance),
    )


# --- volumes, snapshots, images ----------------------------------------------------------------------

_VOLUME_STATUS = {
    "creating": VolumeStatus.PENDING,
    "available": VolumeStatus.AVAILABLE,
    "in-use": VolumeStatus.IN_USE,
    "deleting": VolumeStatus.PENDING,
    "error": VolumeStatus.ERROR,
}


def attachment(answer: Json) -> Json | None:
    """Where a volume is attached, or is about to be or not to be any more."""
    found = [each for each in answer.get("Attachments", []) if each.get("State") != "detached"]
    return found[0] if found else None


def volume(answer: Json) -> Volume:
    attached = attachment(answer)
    return Volume(
        volume_id=answer["VolumeId"],
        name=name_of(answer),
        status=_VOLUME_STATUS.get(answer["State"], VolumeStatus.ERROR),
        size_gib=answer["Size"],
        created_at=answer["CreateTime"],
        volume_class=answer.get("VolumeType", ""),
        machine_id=attached["InstanceId"] if attached else None,
        tags=tags_of(answer),
    )


def snapshot(answer: Json) -> Snapshot:
    states = {"completed": SnapshotStatus.AVAILABLE, "error": SnapshotStatus.ERROR}
    return Snapshot(
        snapshot_id=answer["SnapshotId"],
        name=name_of(answer),
        status=states.get(answer["State"], SnapshotStatus.PENDING),
        volume_id=answer["VolumeId"],
        size_gib=answer["VolumeSize"],
        created_at=answer["StartTime"],
        tags=tags_of(answer),
    )


def image(answer: Json) -> Image:
    state = answer.get("State", "available")
    states = {"available": ImageStatus.AVAILABLE, "pending": ImageStatus.PENDING}
    status = states.get(state, ImageStatus.ERROR)
    told = answer.get("StateReason", {}).get("Message", "") or f"EC2 says that it is {state}."
    return Image(
        image_id=answer["ImageId"],
        name=name_of(answer, answer.get("Name", "")),
        status=status,
        reason=told if status is ImageStatus.ERROR else "",
        tags=tags_of(answer),
    )


# --- networks ----------------------------------------------------------------------------------------


def network(vpc: Json) -> Network:
    """A VPC; one of ours is there when all that belongs to it is."""
    known = all_tags(vpc)
    ready = TAG_KEY not in known or TAG_READY in known
    return Network(
        network_id=vpc["VpcId"],
        name=name_of(vpc),
        cidr=vpc["CidrBlock"],
        created_at=None,
        status=NetworkStatus.AVAILABLE if ready else NetworkStatus.PENDING,
        tags=tags_of(vpc),
    )


def permissions(rules: Iterable[SecurityRule]) -> list[dict[str, Any]]:
    """``IpPermissions`` of rules.

    Raises:
        InvalidInput: One is none that EC2 takes.
    """
    return [_permission(rule) for rule in rules]


def _permission(rule: SecurityRule) -> dict[str, Any]:
    if rule.protocol not in ("tcp", "udp"):
        raise InvalidInput(f"A security rule is for tcp or udp, not {rule.protocol!r}.")
    if not 0 <= rule.port_from <= rule.port_to <= 65_535:
        raise InvalidInput(f"Ports {rule.port_from} to {rule.port_to} are none: 0 to 65535, the lower first.")
    try:
        six = ip_network(rule.cidr).version == 6
    except ValueError as error:
        raise InvalidInput(f"A security rule is for a range like 198.51.100.0/24: {error}.") from None
    ranges = {"Ipv6Ranges": [{"CidrIpv6": rule.cidr}]} if six else {"IpRanges": [{"CidrIp": rule.cidr}]}
    return {
        "IpProtocol": rule.protocol,
        "FromPort": rule.port_from,
        "ToPort": rule.port_to,
        **ranges,
    }


def security_group(answer: Json) -> SecurityGroup:
    rules = (
        SecurityRule(
            protocol=each["IpProtocol"], port_from=each["FromPort"], port_to=each["ToPort"], cidr=cidr
        )
        for each in answer.get("IpPermissions", [])
        if each["IpProtocol"] in ("tcp", "udp")
        for cidr in (
            *(found["CidrIp"] for found in each.get("IpRanges", [])),
            *(found["CidrIpv6"] for found in each.get("Ipv6Ranges", [])),
        )
    )
    return SecurityGroup(
        security_group_id=answer["GroupId"],
        name=name_of(answer, answer.get("GroupName", "")),
        rules=tuple(rules),
        tags=tags_of(answer),
    )


def address(answer: Json) -> Address:
    return Address(
        address_id=answer["AllocationId"],
        name=name_of(answer),
        ip=answer.get("PublicIp") or None,
        machine_id=answer.get("InstanceId") or None,
        tags=tags_of(answer),
    )


def key_pair(answer: Json) -> KeyPair:
    return KeyPair(
        key_pair_id=answer["KeyPairId"],
        name=name_of(answer, answer.get("KeyName", "")),
        fingerprint=_fingerprint(answer.get("PublicKey", "")),
        tags=tags_of(answer),
    )


def _fingerprint(public_key: str) -> str:
    """As ``ssh-keygen -l`` says it; EC2's own is another for every kind of key."""
    parts = public_key.split()
    if len(parts) < 2:
        return ""
    digest = hashlib.sha256(base64.b64decode(parts[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def public_key(text: str) -> str:
    """The key alone, without its comment.

    Raises:
        InvalidInput: That is not one line of OpenSSH's form, of a kind that EC2 takes.
    """
    kinds = ("ssh-ed25519", "ssh-rsa")
    parts = text.split()
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        blob = base64.b64decode(parts[1], validate=True) if len(lines) == 1 else b""
    except (IndexError, ValueError):
        blob = b""
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")
    if kind not in kinds or parts[0] != kind:
        raise InvalidInput(
            "That is not a public key that EC2 takes: one line of OpenSSH's form, ssh-ed25519 or ssh-rsa."
        )
    return f"{parts[0]} {parts[1]}"
