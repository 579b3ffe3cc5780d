"""What exists in the fake Azure, and what holds for every kind of resource.

Owns resources with their states (what takes long settles by itself after :data:`SETTLES_S`), resource groups,
references between resources, and deletion. What is particular to a kind is a :class:`Kind` of another module.
Nothing here knows HTTP.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.clouds.azure.catalogue import LOCATIONS, Subscription

SETTLES_S = 0.15
"""How long anything takes that takes long at Azure."""

Json = dict[str, Any]
_GROUP = re.compile(r"(/subscriptions/[^/]+/resourcegroups/[^/]+)(/.*)?", re.IGNORECASE)
GROUPS = "Microsoft.Resources/resourceGroups"


class ArmError(Exception):
    """An answer of Azure that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def kind_of(resource_id: str) -> str:
    """``Microsoft.Compute/galleries/images`` of ``/…/Microsoft.Compute/galleries/g/images/i``."""
    if "/providers/" not in resource_id:
        return GROUPS
    parts = resource_id.split("/providers/", 1)[1].split("/")
    return "/".join([parts[0], *parts[1::2]])


def group_of(resource_id: str) -> str:
    match = _GROUP.fullmatch(resource_id)
    assert match is not None, resource_id
    return match[1]


def shouted(resource_id: str) -> str:
    """An id with its group in capitals, as Azure often spells what another resource refers to."""
    group = group_of(resource_id)
    head, _, name = group.rpartition("/")
    return f"{head}/{name.upper()}{resource_id[len(group) :]}"


def location_of(name: str) -> str:
    return name.replace(" ", "").lower()


@dataclass
class Held:
    """One resource.

    Attributes:
        wanted: What was asked for, as the specification has it, without what only the cloud sets.
        facts: What the cloud has set of its ``properties``.
        hidden: What the cloud knows and does not tell.
        doing: ``Creating``, ``Updating`` or ``Deleting`` until ``settles_at``, on the monotonic clock.
    """

    id: str
    wanted: Json
    kind: Kind
    facts: Json = field(default_factory=dict)
    hidden: Json = field(default_factory=dict)
    doing: str = ""
    settles_at: float = 0
    created_at: str = field(default_factory=now)

    @property
    def name(self) -> str:
        return self.id.rsplit("/", 1)[1]

    @property
    def properties(self) -> Json:
        found: Json = self.wanted.setdefault("properties", {})
        return found

    @property
    def location(self) -> str:
        return location_of(self.wanted.get("location", ""))

    @property
    def deleting(self) -> bool:
        return self.doing == "Deleting"


class Kind:
    """What is particular to one kind of resource; each method may raise :class:`ArmError`."""

    slow_to_make = True
    slow_to_delete = True

    def put(self, world: World, held: Held, wanted: Json, *, new: bool) -> None:
        """Accept ``wanted``; ``held.wanted`` is still what was there before."""

    def tell(self, world: World, held: Held, body: Json, expand: str) -> None:
        """Add to ``body`` what the resource tells beyond what was wanted and its facts."""

    def may_delete(self, world: World, held: Held) -> None:
        """Refuse where something still uses it."""

    def gone(self, world: World, held: Held) -> None:
        """What follows when it is gone."""

    def act(self, world: World, held: Held, action: str, body: Json) -> tuple[int, Any]:
        """Do a ``POST …/{action}``; the status and the body of its answer."""
        raise ArmError(404, "NotFound", f"{held.id} has no action {action}.")


class World:
    """Everything that exists; one thread at a time."""

    def __init__(self, kinds: dict[str, Kind], subscriptions: dict[str, Subscription]) -> None:
        self.subscriptions = subscriptions
        self.held: dict[str, Held] = {}
        self.operations: dict[str, float] = {}
        self.kinds = {name.lower(): kind for name, kind in kinds.items()}

    # --- looking -------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let happen what has happened meanwhile."""
        at = time.monotonic()
        for key, held in list(self.held.items()):
            if held.doing and held.settles_at <= at:
                if held.deleting:
                    self.held.pop(key, None)
                    held.kind.gone(self, held)
                held.doing = ""

    def find(self, resource_id: str) -> Held | None:
        return self.held.get(resource_id.lower())

    def get(self, resource_id: str) -> Held:
        if (held := self.find(resource_id)) is None:
            code = "ResourceGroupNotFound" if kind_of(resource_id) == GROUPS else "ResourceNotFound"
            self.group(resource_id)
            raise ArmError(404, code, f"The resource {resource_id} was not found.")
        return held

    def group(self, resource_id: str) -> Held:
        """The resource group that a resource is, or is to be, in."""
        if (group := self.find(group_of(resource_id))) is None:
            name = group_of(resource_id).rsplit("/", 1)[1]
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        return group

    def under(self, prefix: str, kind: str = "") -> Iterator[Held]:
        """What lies under a resource group or subscription, or is nested in a resource."""
        for key, held in list(self.held.items()):
            if key.startswith(f"{prefix.lower()}/") and kind.lower() in ("", kind_of(key)):
                yield held

    def users(self, resource_id: str) -> list[Held]:
        """The resources that refer to this one."""
        return [
            held
            for held in self.held.values()
            if held.id.lower() != resource_id.lower()
            and any(within(each, resource_id) for each in references(held.wanted))
        ]

    def tell(self, held: Held, expand: str = "") -> Json:
        """A resource as Azure would answer with it."""
        body = copy.deepcopy(held.wanted)
        properties = body.setdefault("properties", {})
        properties.update(copy.deepcopy(held.facts))
        properties["provisioningState"] = held.doing or "Succeeded"
        if held.doing == "Creating" and "/microsoft.network/" in held.id.lower():
            properties["provisioningState"] = "Updating"  # Microsoft.Network has no word for the first time
        held.kind.tell(self, held, body, expand)
        return {"id": held.id, "name": held.name, "type": kind_of(held.id)} | body

    # --- changing ------------------------------------------------------------------------------------

    def put(self, resource_id: str, wanted: Json) -> tuple[Held, bool]:
        """Create or replace a resource; tells whether it is new."""
        kind = self.kinds[kind_of(resource_id).lower()]
        held = self.find(resource_id)
        if location_of(wanted.get("location", "")) not in LOCATIONS:
            what = "ResourceGroup" if kind_of(resource_id) == GROUPS else "ResourceType"
            raise ArmError(400, f"LocationNotAvailableFor{what}", f"There is no location for {resource_id}.")
        if kind_of(resource_id) != GROUPS:
            if (group := self.group(resource_id)).deleting:
                code = "ResourceGroupBeingDeleted"
                raise ArmError(409, code, f"The resource group '{group.name}' is in deprovisioning state.")
            self._check_parent(resource_id)
            self._check_references(resource_id, wanted)
        if held is not None and held.deleting:
            raise ArmError(409, "Conflict", f"{resource_id} is being deleted; try again when it is gone.")
        new = held is None
        if held is None:
            held = Held(resource_id, {}, kind, hidden={"guid": str(uuid4())})
        elif location_of(wanted.get("location", "")) != held.location:
            code = "InvalidResourceLocation"
            if kind_of(resource_id) == GROUPS:
                code = "InvalidResourceGroupLocation"
            raise ArmError(409, code, f"{resource_id} already exists in location '{held.location}'.")
        kind.put(self, held, wanted, new=new)
        held.wanted = wanted
        self.held[resource_id.lower()] = held
        if kind.slow_to_make:
            self.busy(held, "Creating" if new else "Updating")
        return held, new

    def busy(self, held: Held, doing: str) -> None:
        if not (held.doing == "Creating" and doing == "Updating"):
            held.doing = doing
        held.settles_at = time.monotonic() + SETTLES_S

    def delete(self, resource_id: str) -> bool:
        """Begin a deletion; tells whether there was anything to delete."""
        self.group(resource_id)
        if (held := self.find(resource_id)) is None:
            return False
        if not held.deleting:
            held.kind.may_delete(self, held)
            if held.kind.slow_to_delete:
                self.busy(held, "Deleting")
            else:
                del self.held[resource_id.lower()]
        return True

    def _check_parent(self, resource_id: str) -> None:
        parent = resource_id.rsplit("/", 2)[0]
        if parent.split("/providers/", 1)[1].count("/") < 2:
            return
        if (held := self.find(parent)) is None:
            raise ArmError(404, "ParentResourceNotFound", f"The parent resource {parent} was not found.")
        if held.doing in ("Creating", "Deleting"):
            raise ArmError(409, "Conflict", f"The parent resource {parent} is {held.doing}.")

    def _check_references(self, resource_id: str, wanted: Json) -> None:
        network = "/microsoft.network/" in resource_id.lower()
        for each in references(wanted):
            if within(each, resource_id):
                continue
            parts = each.split("/")
            holder = self.find(each) or self.find("/".join(parts[:-2]))  # a subnet lies in its network
            if holder is None or holder.deleting:
                status, code = (400, "InvalidResourceReference") if network else (404, "NotFound")
                raise ArmError(status, code, f"{each}, referenced by {resource_id}, was not found.")


class Group(Kind):
    """A resource group; it takes all that is in it along."""

    slow_to_make = False

    def may_delete(self, world: World, held: Held) -> None:
        for each in world.under(held.id):
            world.busy(each, "Deleting")


def within(resource_id: str, holder: str) -> bool:
    return resource_id.lower() == holder.lower() or resource_id.lower().startswith(f"{holder.lower()}/")


def references(value: Any) -> Iterator[str]:
    """The ids of resources that a body names."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("id", "sourceResourceId") and isinstance(each, str):
                if _GROUP.fullmatch(each) and "/providers/" in each:
                    yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
