"""Names and ids of what Pitrix makes in a subscription.

A resource's name is made of its idempotency key, so that making it again is making the same: Azure's own way.
What belongs to a cluster lies in a resource group of the cluster; images and key pairs, which outlive
clusters, in a common one. Ids are Azure's own (``/subscriptions/…``), as Azure tells them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pitrix.errors import ResourceNotFound
from providers.base import TAG_CLUSTER

COMMON_GROUP = "pitrix"
TAG_KEY = "pitrix-key"
TAG_NAME = "pitrix-name"
_ID = re.compile(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/([^/]+)/(.+)", re.IGNORECASE)
_IDS = ("id", "managedBy", "sourceResourceId")
_GROUP_NAME = re.compile(r"[A-Za-z0-9-]{1,80}")


@dataclass(frozen=True)
class Id:
    """A resource's id in parts; ``names`` are those of its parents and its own."""

    subscription: str
    group: str
    kind: str
    names: tuple[str, ...]


def resource_name(idempotency_key: str) -> str:
    """The name of what a key names: 31 letters, digits and hyphens."""
    return f"pitrix-{_digest(idempotency_key)}"


def app_name(subscription_id: str, idempotency_key: str) -> str:
    """The name of a function app and its storage account: 24 small letters and digits.

    Both are unique in all of Azure, so that the subscription is part of it.
    """
    return f"pitrix{_digest(f'{subscription_id}/{idempotency_key}')[:18]}"


def group_name(tags: Mapping[str, str]) -> str:
    """The resource group of what carries these tags."""
    cluster = tags.get(TAG_CLUSTER)
    if not cluster:
        return COMMON_GROUP
    return f"pitrix-{cluster.lower() if _GROUP_NAME.fullmatch(cluster) else _digest(cluster)}"


def split(resource_id: str, kind: str) -> Id:
    """An id in parts, if it is one of ``kind`` (``Microsoft.Compute/disks``).

    Raises:
        ResourceNotFound: It is not: nothing can be there.
    """
    match = _ID.fullmatch(resource_id)
    if match is not None:
        parts = match[4].split("/")
        if len(parts) % 2 == 0 and f"{match[3]}/{'/'.join(parts[::2])}".lower() == kind.lower():
            return Id(match[1], match[2], kind, tuple(parts[1::2]))
    raise ResourceNotFound(f"{resource_id!r} is no id of {kind} at Azure.")


def with_canonical_ids(told: Any) -> Any:
    """An answer of Azure in which an id is always spelled the same.

    Azure does not tell capital letters apart and is free with them: the machine of a disk, or the disk of a
    machine, may come with ``/resourceGroups/PITRIX-…`` where the thing itself has ``pitrix-…``.
    """
    if isinstance(told, dict):
        return {
            name: _canonical(each) if name in _IDS and isinstance(each, str) else with_canonical_ids(each)
            for name, each in told.items()
        }
    return [with_canonical_ids(each) for each in told] if isinstance(told, list) else told


def _canonical(resource_id: str) -> str:
    found = _ID.fullmatch(resource_id)
    if found is None:
        return resource_id
    subscription, group = found[1].lower(), found[2].lower()
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{found[3]}/{found[4]}"


def tags_of(key: str, name: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a resource carries."""
    return {**tags, TAG_KEY: key, TAG_NAME: name}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
