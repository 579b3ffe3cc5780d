"""OpenStack's JSON as ``providers.resources``, and specs as its JSON. No calls, no decisions.

Where our tags are: in the metadata of servers and volumes, in the properties of images, and for neutron,
which has neither at creation, in the description, as a query string (``pitrix-key=…&pitrix-cluster=…``).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pitrix.errors import InvalidInput
from providers.resources import (
    Address,
    Image,
    ImageStatus,
    Machine,
    MachineStatus,
    MachineType,
    Network,
    NetworkStatus,
    Quota,
    SecurityGroup,
    SecurityRule,
    Snapshot,
    SnapshotStatus,
    Volume,
    VolumeStatus,
    Zone,
)

Json = Mapping[str, Any]

KEY = "pitrix-key"
NAME = "pitrix-name"
NETWORK = "pitrix-network"
CIDR = "pitrix-cidr"
SNAPSHOT_OF = "pitrix-snapshot-of"
TAGS = "pitrix-tags"
LOST = "pitrix-lost"
_OURS = frozenset({KEY, NAME, NETWORK, CIDR, SNAPSHOT_OF, TAGS, LOST})
"""What we write beside the tags that we were given."""

TEXT_LENGTH = 255
"""Longest description of neutron's, and longest value of metadata."""

INSIDE = "pitrix-inside"
"""The description of the rule that lets machines of one network reach each other."""


# --- tags --------------------------------------------------------------------------------------------


def metadata(key: str, tags: Mapping[str, str], **more: str) -> dict[str, str]:
    """Tags as the metadata of a server or a volume."""
    return {**tags, KEY: key, **{_dashed(name): value for name, value in more.items()}}


def description(key: str, tags: Mapping[str, str], **more: str) -> str:
    """Tags as a description of neutron's.

    Raises:
        InvalidInput: They do not fit.
    """
    text = urlencode({KEY: key, **tags, **{_dashed(name): value for name, value in more.items()}})
    if len(text) > TEXT_LENGTH:
        raise InvalidInput(
            f"OpenStack keeps {TEXT_LENGTH} characters of name and tags, not {len(text)}; shorten the name."
        )
    return text


def description_with(answer: Json, **more: str) -> str:
    """A description as it is, with more in it."""
    return urlencode({**described(answer), **{_dashed(name): value for name, value in more.items()}})


def described(answer: Json) -> dict[str, str]:
    """What :func:`description` wrote, {} for what is not ours."""
    found = dict(parse_qsl(answer.get("description") or "", keep_blank_values=True))
    return found if KEY in found else {}


def tags(noted: Mapping[str, str]) -> dict[str, str]:
    """The tags in metadata or in what was described."""
    return {name: value for name, value in noted.items() if name not in _OURS}


def carries(noted: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether something is ours and carries all tags that are wanted."""
    return KEY in noted and all(noted.get(name) == value for name, value in wanted.items())


def server_tag(name: str, value: str) -> str:
    """A tag as nova can look servers up by: 60 characters at most, and no commas or slashes."""
    return "pitrix-" + hashlib.sha256(f"{name}={value}".encode()).hexdigest()[:40]


def _dashed(name: str) -> str:
    return f"pitrix-{name.replace('_', '-')}"


# --- machines ----------------------------------------------------------------------------------------

_STATUSES = {
    "ACTIVE": MachineStatus.RUNNING,
    "SHUTOFF": MachineStatus.STOPPED,
    "PAUSED": MachineStatus.STOPPED,
    "SUSPENDED": MachineStatus.STOPPED,
    "SHELVED": MachineStatus.STOPPED,
    "SHELVED_OFFLOADED": MachineStatus.STOPPED,
    "ERROR": MachineStatus.ERROR,
    "DELETED": MachineStatus.TERMINATED,
    "SOFT_DELETED": MachineStatus.TERMINATED,
}
"""Nova's; every other one (BUILD, RESIZE, REBOOT, …) passes."""


def machine(answer: Json) -> Machine:
    noted = answer.get("metadata", {})
    task = answer.get("OS-EXT-STS:task_state") or ""
    status = _STATUSES.get(answer["status"], MachineStatus.PENDING)
    if task and not task.startswith("image") and status is not MachineStatus.ERROR:
        status = MachineStatus.PENDING
    size, image_of = answer["flavor"], answer.get("image") or {}
    return Machine(
        machine_id=answer["id"],
        name=answer["name"],
        status=status,
        cpu=size["vcpus"],
        memory_mib=size["ram"],
        machine_type=size["original_name"],
        image=image_of.get("id", ""),
        network_id=noted.get(NETWORK, ""),
        created_at=time(answer["created"]),
        private_ip=_ip(answer, "fixed"),
        public_ip=_ip(answer, "floating"),
        volume_ids=tuple(each["id"] for each in answer.get("os-extended-volumes:volumes_attached", ())),
        reason=_reason(answer) if status is MachineStatus.ERROR else "",
        tags=tags(noted),
    )


def _ip(answer: Json, kind: str) -> str | None:
    for addresses in answer.get("addresses", {}).values():
        for each in addresses:
            if each["version"] == 4 and each.get("OS-EXT-IPS:type", "fixed") == kind:
                return str(each["addr"])
    return None


def _reason(answer: Json) -> str:
    fault = answer.get("fault", {}).get("message", "")
    return f"OpenStack says: {fault}" if fault else "OpenStack does not say why."


def machine_type(answer: Json, gpu: int = 0) -> MachineType:
    return MachineType(machine_type=answer["name"], cpu=answer["vcpus"], memory_mib=answer["ram"], gpu=gpu)


def gpus(specs: Mapping[str, str]) -> int:
    """How many GPUs a flavour gives, in nova's two ways: by PCI aliases, and by resources of placement."""
    virtual = int(specs.get("resources:VGPU", 0))
    passed = specs.get("pci_passthrough:alias", "")
    return virtual + sum(int(each.rpartition(":")[2] or 0) for each in passed.split(",") if ":" in each)


def user_data(script: str) -> str:
    """A script as nova takes user data: for cloud-init to run at every boot, not only at the first.

    The folder ``scripts/per-boot`` is cloud-init's own; a plain script as user data runs but once.
    """
    content = base64.b64encode(script.encode()).decode()
    lines = [
        "#cloud-config",
        "write_files:",
        "- path: /var/lib/cloud/scripts/per-boot/pitrix",
        '  permissions: "0700"',
        "  encoding: b64",
        f"  content: {content}",
        "",
    ]
    return base64.b64encode("\n".join(lines).encode()).decode()


def quotas(limits: Json) -> list[Quota]:
    """Of nova's absolute limits; -1 is none."""
    counted = (
        ("instances", "totalInstancesUsed", "maxTotalInstances", "", "machines"),
        ("cores", "totalCoresUsed", "maxTotalCores", "", "cpu"),
        ("ram", "totalRAMUsed", "maxTotalRAMSize", "MiB", "memory_mib"),
    )
    return [
        Quota(
            name=name,
            used=limits[used],
            limit=limits[most] if limits[most] >= 0 else None,
            unit=unit,
            counts=counts,
        )
        for name, used, most, unit, counts in counted
        if used in limits and most in limits
    ]


def zone(answer: Json) -> Zone:
    return Zone(zone=answer["zoneName"], title=answer["zoneName"])


# --- volumes -----------------------------------------------------------------------------------------


def volume(answer: Json) -> Volume:
    noted = answer.get("metadata", {})
    attached = answer.get("attachments") or []
    return Volume(
        volume_id=answer["id"],
        name=answer.get("name") or "",
        status=_volume_status(answer["status"]),
        size_gib=answer["size"],
        created_at=time(answer["created_at"]),
        volume_class=answer.get("volume_type") or "",
        machine_id=attached[0]["server_id"] if attached else None,
        tags=tags(noted),
    )


def _volume_status(status: str) -> VolumeStatus:
    if status == "available":
        return VolumeStatus.AVAILABLE
    if status == "in-use":
        return VolumeStatus.IN_USE
    return VolumeStatus.ERROR if status.startswith("error") else VolumeStatus.PENDING


def snapshot(answer: Json) -> Snapshot:
    """A volume that was cloned to be one."""
    noted = answer["metadata"]
    status = {VolumeStatus.AVAILABLE: SnapshotStatus.AVAILABLE, VolumeStatus.ERROR: SnapshotStatus.ERROR}
    return Snapshot(
        snapshot_id=answer["id"],
        name=answer.get("name") or "",
        status=status.get(_volume_status(answer["status"]), SnapshotStatus.PENDING),
        volume_id=noted[SNAPSHOT_OF],
        size_gib=answer["size"],
        created_at=time(answer["created_at"]),
        tags=tags(noted),
    )


# --- networks ----------------------------------------------------------------------------------------


def network(answer: Json) -> Network:
    """A network of ours is available when its last part is there: then its description has the range."""
    noted = described(answer)
    return Network(
        network_id=answer["id"],
        name=answer["name"],
        cidr=noted.get(CIDR, ""),
        created_at=time(answer["created_at"]) if answer.get("created_at") else None,
        status=NetworkStatus.AVAILABLE if CIDR in noted else NetworkStatus.PENDING,
        tags=tags(noted),
    )


def security_group(answer: Json) -> SecurityGroup:
    rules = tuple(
        SecurityRule(
            protocol=each["protocol"],
            port_from=each["port_range_min"],
            port_to=each["port_range_max"],
            cidr=each["remote_ip_prefix"] or "0.0.0.0/0",
        )
        for each in answer["security_group_rules"]
        if each["direction"] == "ingress" and each["protocol"] and each.get("description") != INSIDE
    )
    noted = described(answer)
    return SecurityGroup(security_group_id=answer["id"], name=answer["name"], rules=rules, tags=tags(noted))


def address(answer: Json) -> Address:
    noted = described(answer)
    owner = answer.get("port_details") or {}
    return Address(
        address_id=answer["id"],
        name=noted.get(NAME, ""),
        ip=answer["floating_ip_address"],
        machine_id=owner.get("device_id") or None,
        tags=tags(noted),
    )


# --- images ------------------------------------------------------------------------------------------


def image(answer: Json) -> Image:
    """An image; only what ``TAGS`` lists are tags, as nova hands the properties of one image to the next."""
    names = [name for name in answer.get(TAGS, "").split(",") if name]
    status = {"active": ImageStatus.AVAILABLE, "killed": ImageStatus.ERROR, "deactivated": ImageStatus.ERROR}
    found = status.get(answer["status"], ImageStatus.PENDING)
    return Image(
        image_id=answer["id"],
        name=answer.get("name") or "",
        status=found,
        reason=f"Glance says that it is {answer['status']}." if found is ImageStatus.ERROR else "",
        tags={name: answer.get(name, "") for name in names},
    )


def time(text: str) -> datetime:
    """A time of any of the services, which leave the zone out or write it as Z: all mean UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
