"""The resources of this cloud: what callers may ask for, and what is kept on disk.

Requests are checked by their types (``msgspec``): a wrong type, an unknown field or a value out of
range is refused with its path. Sizes: ``memory_mib`` in MiB, ``size_gib`` in GiB.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

Name = Annotated[str, Meta(min_length=1, max_length=128)]
ClientToken = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Tag = Annotated[str, Meta(max_length=256)]
Tags = Annotated[dict[Tag, Tag], Meta(max_length=50)]
Cores = Annotated[int, Meta(ge=1, le=64)]
Mebibytes = Annotated[int, Meta(ge=64, le=262144)]
Gibibytes = Annotated[int, Meta(ge=1, le=16384)]


class Request(Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all request bodies."""


class Creation(Request, kw_only=True):
    """A repeat with the same ``client_token`` returns what the first one made."""

    name: Name
    client_token: ClientToken
    tags: Tags = field(default_factory=dict)


class NetworkRequest(Creation, kw_only=True):
    cidr: str | None = None


class VolumeRequest(Creation, kw_only=True):
    size_gib: Gibibytes


class KeyPairRequest(Creation, kw_only=True):
    public_key: Annotated[str, Meta(max_length=16384)]


class MachineRequest(Creation, kw_only=True):
    cpu: Cores
    memory_mib: Mebibytes
    image: str
    network_id: str
    volume_ids: Annotated[list[str], Meta(max_length=8)] = field(default_factory=list)
    user_data: Annotated[str, Meta(max_length=65536)] = ""
    key_pair: str | None = None


class ResizeRequest(Request, kw_only=True):
    cpu: Cores
    memory_mib: Mebibytes


class AttachRequest(Request, kw_only=True):
    machine_id: str


class ExtendRequest(Request, kw_only=True):
    size_gib: Gibibytes


class Resource(Struct, kw_only=True):
    """Base of all that is kept: one JSON file each."""

    id: str
    name: str
    client_token: str
    tags: dict[str, str]
    created_at: datetime


class Network(Resource, kw_only=True):
    cidr: str


class Volume(Resource, kw_only=True):
    size_gib: int
    machine_id: str | None = None


class KeyPair(Resource, kw_only=True):
    public_key: str
    fingerprint: str


class Machine(Resource, kw_only=True):
    """``boot`` counts the boots asked for, so that each start is carried out once (see ``machines``)."""

    cpu: int
    memory_mib: int
    image: str
    network_id: str
    address: str
    volume_ids: list[str]
    key_pair: str | None = None
    on: bool = True
    deleted: bool = False
    boot: int = 1


class Boot(Struct, kw_only=True):
    """What a machine's init says of itself, in ``boot.json``; ``init`` writes it without this class."""

    boot: int
    phase: str
    reason: str = ""
