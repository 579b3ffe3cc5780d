"""How QingCloud's API names each kind of resource: its actions, its parameters, its fields. No calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""One resource as QingCloud describes it."""

_GONE = {"terminated", "ceased", "deleted", "released"}
"""Statuses of what only a recycle bin remembers."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind; ``name`` is the API's word for it, from which the names of its fields are made.

    ``verbose`` is how much of it is asked for (None where the API has no such parameter), ``words`` what a
    person calls it.
    """

    name: str
    words: str
    describe: str
    modify: str
    plural: str
    verbose: int | None = 1

    @property
    def rows(self) -> str:
        """The answer's field that holds the resources."""
        return f"{self.name}_set"

    def id_of(self, row: Row) -> str:
        return str(row[f"{self.name}_id"])

    def name_of(self, row: Row) -> str:
        return str(row.get(f"{self.name}_name") or "")

    @property
    def name_parameter(self) -> str:
        return f"{self.name}_name"


def is_gone(row: Row) -> bool:
    """Whether nothing but a recycle bin remembers it."""
    return row.get("status") in _GONE


def _kind(name: str, title: str, plural: str, words: str, verbose: int | None = 1) -> Kind:
    return Kind(
        name=name,
        words=words,
        describe=f"Describe{title}s",
        modify=f"Modify{title}Attributes",
        plural=plural,
        verbose=verbose,
    )


INSTANCE = _kind("instance", "Instance", "instances", "machine")
VOLUME = _kind("volume", "Volume", "volumes", "volume")
SNAPSHOT = _kind("snapshot", "Snapshot", "snapshots", "snapshot")
VXNET = _kind("vxnet", "Vxnet", "vxnets", "network")
ROUTER = _kind("router", "Router", "routers", "router")
SECURITY_GROUP = _kind("security_group", "SecurityGroup", "security_groups", "security group")
EIP = _kind("eip", "Eip", "eips", "public address")
IMAGE = _kind("image", "Image", "images", "image", verbose=None)
KEY_PAIR = _kind("keypair", "KeyPair", "keypairs", "key pair")
