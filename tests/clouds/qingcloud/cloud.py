"""The state of a QingCloud: accounts with their quotas, zones, resources, and how these change with time.

Owns what all actions share: finding, paging, transitions, jobs, quotas. The actions themselves are in
``compute``, ``storage`` and ``network``; each is a method named as the API names it.
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.qingcloud.specification import Json, Refused

GONE = ("terminated", "ceased", "deleted", "released")
SYSTEM = "system"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whoever has an access key. ``quota`` counts by QingCloud's words (``instance``, ``volume``, ``eip``,
    and ``memory`` in MiB and ``volume_size`` in GiB); what is not named is without a limit."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    user_id: str
    quota: Mapping[str, int] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    """How the actions begin that a policy of the account forbids."""


class Resource:
    """One resource: what the API tells of it in ``told``, and what only the cloud knows."""

    def __init__(self, kind: str, owner: str, told: Json, leased_until: float) -> None:
        self.kind, self.owner, self.told, self.leased_until = kind, owner, told, leased_until
        self.shared_with: set[str] = set()
        self.change: tuple[float, Callable[[], None]] | None = None

    @property
    def id(self) -> str:
        return str(self.told[f"{self.kind}_id"])

    @property
    def status(self) -> str:
        return str(self.told.get("status", ""))


class State:
    """One zone of one cloud. ``settle_s`` is how long a transition takes."""

    def __init__(self, zone: str, settle_s: float) -> None:
        self.zone, self.settle_s = zone, settle_s
        self.resources: dict[str, Resource] = {}
        self.account: Account  # whose request is being answered

    # --- time ------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let every transition end whose time has come."""
        for resource in list(self.resources.values()):
            if resource.change and time.monotonic() >= resource.change[0]:
                _, change = resource.change
                resource.change = None
                resource.told["transition_status"] = ""
                change()

    def transition(self, resource: Resource, name: str, change: Callable[[], None]) -> None:
        """Begin what ends with ``change``; until then everything else is refused."""
        resource.told["transition_status"] = name
        resource.change = (time.monotonic() + self.settle_s, change)

    # --- resources -------------------------------------------------------------------------------------

    def add(self, kind: str, prefix: str, *, lease: bool = False, owner: str = "", **told: Any) -> Resource:
        letters = string.ascii_lowercase + string.digits
        resource_id = f"{prefix}-{''.join(random.choices(letters, k=8))}"
        told = {f"{kind}_id": resource_id, "create_time": now(), **told}
        until = time.monotonic() + self.settle_s if lease else 0.0
        resource = Resource(kind, owner or self.account.user_id, told, until)
        self.resources[resource_id] = resource
        return resource

    def mine(self, kind: str) -> list[Resource]:
        return [
            each
            for each in self.resources.values()
            if each.kind == kind and each.owner == self.account.user_id
        ]

    def seen(self, kind: str) -> list[Resource]:
        """What the account may see: its own, what belongs to everybody, and what is shared with it."""
        user = self.account.user_id
        return [
            each
            for each in self.resources.values()
            if each.kind == kind and (each.owner in (user, SYSTEM) or user in each.shared_with)
        ]

    def get(self, kind: str, resource_id: str, *, statuses: Iterable[str] = (), own: bool = True) -> Resource:
        """One resource that can be changed now.

        Raises:
            Refused: 2100 where there is none, 1400 where it is busy, or in none of ``statuses``.
        """
        for each in self.mine(kind) if own else self.seen(kind):
            if each.id == resource_id and each.status not in GONE:
                break
        else:
            raise Refused(2100, f"ResourceNotFound, resource [{resource_id}] not found")
        if own and each.leased_until > time.monotonic():
            raise Refused(
                1400,
                f"PermissionDenied, resource [{resource_id}] lease info not ready yet, please try later",
            )
        if own and each.change:
            what = each.told["transition_status"] or "creating"
            raise Refused(
                1400, f"PermissionDenied, [{resource_id}] is in transition [{what}], please try later"
            )
        wanted = tuple(statuses)
        if wanted and each.status not in wanted:
            raise Refused(
                1400, f"PermissionDenied, [{resource_id}] is [{each.status}], which is none of {wanted}"
            )
        return each

    def count(self, what: str, amount: int, used: int) -> None:
        """Refuse what is over the account's quota."""
        limit = self.account.quota.get(what)
        if limit is not None and used + amount > limit:
            raise Refused(2500, f"QuotaExceeded, quota of [{what}] is [{limit}], [{limit - used}] left")

    def living(self, kind: str) -> list[Resource]:
        return [each for each in self.mine(kind) if each.status not in GONE]

    def job(self, action: str, ids: Iterable[str]) -> Json:
        job = self.add("job", "j", job_action=action, resource_ids=",".join(ids), status="successful")
        return {"job_id": job.id}

    def described(
        self, kind: str, plural: str, p: Json, told: Callable[[Resource], Json] | None = None
    ) -> Json:
        """One page of what the account sees of a kind, newest first, as all ``Describe…`` actions give it."""
        rows = self.seen(kind)[::-1]
        if plural in p:
            rows = [each for each in rows if each.id in p[plural]]
        if "status" in p:
            rows = [each for each in rows if each.status in p["status"]]
        if "search_word" in p:
            word = p["search_word"]
            rows = [each for each in rows if word in each.id or word in each.told.get(f"{kind}_name", "")]
        for name in ("provider", "visibility", "os_family", "volume_type", "vxnet_type"):
            if name in p:
                rows = [each for each in rows if each.told.get(name) == p[name]]
        page = rows[p.get("offset", 0) :][: min(p.get("limit") or 20, 100)]
        return {
            "total_count": len(rows),
            f"{kind}_set": [told(each) if told else dict(each.told) for each in page],
        }

    def modified(self, kind: str, p: Json) -> None:
        """Give a resource another name or description; that is no transition and waits for none."""
        for each in self.mine(kind):
            if each.id == p[kind] and each.status not in GONE:
                each.told |= {name: value for name, value in p.items() if name != kind}
                return
        raise Refused(2100, f"ResourceNotFound, resource [{p[kind]}] not found")


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
