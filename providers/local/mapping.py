"""The hypervisor's JSON as ``providers.base`` resources, and specs as its JSON. No calls, no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from providers.resources import (
    Image,
    KeyPair,
    KeyPairSpec,
    Machine,
    MachineSpec,
    MachineStatus,
    MachineType,
    Network,
    NetworkSpec,
    Quota,
    Volume,
    VolumeSpec,
    VolumeStatus,
    Zone,
)

Json = Mapping[str, Any]


def _creation(spec: MachineSpec | VolumeSpec | NetworkSpec | KeyPairSpec, key: str) -> dict[str, Any]:
    return {"name": spec.name, "client_token": key, "tags": dict(spec.tags)}


def machine_request(spec: MachineSpec, key: str) -> dict[str, Any]:
    return _creation(spec, key) | {
        "cpu": spec.cpu,
        "memory_mib": spec.memory_mib,
        "image": spec.image,
        "network_id": spec.network_id,
        "volume_ids": list(spec.volume_ids),
        "user_data": spec.user_data,
        "key_pair": spec.key_pair,
    }


def volume_request(spec: VolumeSpec, key: str) -> dict[str, Any]:
    return _creation(spec, key) | {"size_gib": spec.size_gib}


def network_request(spec: NetworkSpec, key: str) -> dict[str, Any]:
    return _creation(spec, key) | {"cidr": spec.cidr}


def key_pair_request(spec: KeyPairSpec, key: str) -> dict[str, Any]:
    return _creation(spec, key) | {"public_key": spec.public_key}


def zone(answer: Json) -> Zone:
    return Zone(zone=answer["id"], title=answer["title"])


def machine_type(answer: Json) -> MachineType:
    return MachineType(machine_type=answer["id"], cpu=answer["cpu"], memory_mib=answer["memory_mib"])


def quotas(answer: Mapping[str, Json]) -> list[Quota]:
    units = {"memory_mib": "MiB", "volume_gib": "GiB"}
    return [
        Quota(name=name, used=each["used"], limit=each["limit"], unit=units.get(name, ""), counts=name)
        for name, each in answer.items()
    ]


def image(answer: Json) -> Image:
    return Image(image_id=answer["id"], name=answer["name"])


def machine(answer: Json) -> Machine:
    return Machine(
        machine_id=answer["id"],
        name=answer["name"],
        status=MachineStatus(answer["status"]),
        cpu=answer["cpu"],
        memory_mib=answer["memory_mib"],
        image=answer["image"],
        network_id=answer["network_id"],
        created_at=_time(answer),
        private_ip=answer["address"],
        volume_ids=tuple(answer["volume_ids"]),
        reason=answer["reason"],
        tags=answer["tags"],
    )


def volume(answer: Json) -> Volume:
    machine_id = answer["machine_id"]
    return Volume(
        volume_id=answer["id"],
        name=answer["name"],
        status=VolumeStatus.AVAILABLE if machine_id is None else VolumeStatus.IN_USE,
        size_gib=answer["size_gib"],
        created_at=_time(answer),
        machine_id=machine_id,
        tags=answer["tags"],
    )


def network(answer: Json) -> Network:
    return Network(
        network_id=answer["id"],
        name=answer["name"],
        cidr=answer["cidr"],
        created_at=_time(answer),
        tags=answer["tags"],
    )


def key_pair(answer: Json) -> KeyPair:
    return KeyPair(
        key_pair_id=answer["id"], name=answer["name"], fingerprint=answer["fingerprint"], tags=answer["tags"]
    )


def _time(answer: Json) -> datetime:
    return datetime.fromisoformat(answer["created_at"])
