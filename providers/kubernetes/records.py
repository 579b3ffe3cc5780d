"""What is noted in the cluster itself about what was made there: a ConfigMap a release or application.

Owns the key and the identity of a thing from before its first object is made until after its last is gone, so
that a repeated call finds what was begun, and a sweeper what was left. It also says who is busy with it: of
callers at the same time one goes on, and whoever died is not waited for longer than it had asked for.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pitrix.errors import Conflict, ProviderError, ProviderUnavailable, ResourceNotFound
from providers.kubernetes import mapping
from providers.kubernetes.client import Client

KIND = "pitrix-record"
"""Label of every record; its value is ``release`` or ``application``."""

_CHANGES = 50
"""Keys of changes that are remembered; a state machine repeats none that is older."""

_MARGIN_S = 120


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record; ``changes`` are keys of upgrades and rollbacks, by the revision they began at.

    ``more`` is what the kind of thing notes beyond that. ``version`` is the API server's own of this object.
    """

    kind: str
    namespace: str
    name: str
    key: str
    token: str
    tags: Mapping[str, str]
    busy: str = ""
    leaving: bool = False
    changes: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}/{self.token}"

    @property
    def is_busy(self) -> bool:
        until, _, _ = self.busy.partition(" ")
        return bool(until) and float(until) > time.time()


def split(id: str) -> tuple[str, str, str]:
    """The namespace, name and token in an id.

    Raises:
        ResourceNotFound: No id looks like that.
    """
    parts = id.split("/")
    if len(parts) != 3 or not all(parts) or any(mark in id for mark in "?%#. \\"):
        raise ResourceNotFound(f"There is no {id[:100]!r} on this cluster.")
    return parts[0], parts[1], parts[2]


def new_token() -> str:
    return secrets.token_hex(6)


class Records:
    """The records of one kind, seen with the rights of ``account(namespace)``."""

    def __init__(self, cloud: Client, kind: str, account: Any) -> None:
        self._cloud = cloud
        self._kind = kind
        self._account = account

    def find(self, namespace: str, name: str) -> Record:
        """One record.

        Raises:
            ResourceNotFound: There is none.
        """
        return self._read(self._cloud.get(self._path(namespace, name), account=self._account(namespace)))

    def list(self, path: str, tags: Mapping[str, str]) -> list[Record]:
        """All records below ``path`` (of a namespace or of the cluster) whose labels have ``tags``."""
        query = {"labelSelector": mapping.selector({KIND: self._kind, **tags})}
        return [self._read(each) for each in self._cloud.list(f"{path}/configmaps", query)]

    def make(self, record: Record) -> Record:
        """Note that something is being made; the record that was there before, where there was one."""
        body = {
            "metadata": {
                "name": self._name(record.name),
                "labels": {**mapping.labels(record.tags), KIND: self._kind},
                "annotations": {"pitrix-tags": json.dumps(dict(record.tags))},
            },
            "data": self._data(record),
        }
        path = f"/api/v1/namespaces/{record.namespace}/configmaps"
        try:
            return self._read(self._cloud.post(path, body, account=self._account(record.namespace)))
        except Conflict:
            return self.find(record.namespace, record.name)

    def save(self, record: Record) -> Record:
        """Write a record.

        Raises:
            Conflict: Somebody changed it since it was read.
        """
        change = {"metadata": {"resourceVersion": record.version}, "data": self._data(record)}
        path = self._path(record.namespace, record.name)
        return self._read(self._cloud.merge(path, change, account=self._account(record.namespace)))

    @contextlib.contextmanager
    def claimed(
        self, record: Record, seconds: float, *, leaving: bool = False, change: tuple[str, int] | None = None
    ) -> Iterator[Record | None]:
        """Be the only one who is busy with it, for some seconds; None when somebody else is.

        Args:
            leaving: It is being removed from now on.
            change: The key of a change that begins, and the revision that it begins at.
        """
        mine = f"{time.time() + seconds + _MARGIN_S:.0f} {secrets.token_hex(4)}"
        wanted = replace(record, busy=mine, leaving=leaving or record.leaving)
        if change is not None:
            kept = [each for each in record.changes.items() if each[0] != change[0]][-_CHANGES:]
            wanted = replace(wanted, changes=dict([*kept, change]))
        held: Record | None = None
        try:
            with contextlib.suppress(Conflict):
                held = None if record.is_busy else self.save(wanted)
            yield held
        finally:
            if not record.is_busy:
                self._free(record.namespace, record.name, mine)

    def delete(self, record: Record) -> None:
        with contextlib.suppress(ResourceNotFound):
            path = self._path(record.namespace, record.name)
            self._cloud.delete(path, account=self._account(record.namespace))

    def _free(self, namespace: str, name: str, mine: str) -> None:
        """Say that one is no longer busy; where that fails, it is found out by the time."""
        with contextlib.suppress(ProviderError, Conflict, ProviderUnavailable):
            present = self.find(namespace, name)
            if present.busy == mine:
                self.save(replace(present, busy=""))

    def _name(self, name: str) -> str:
        return f"pitrix-{self._kind}-{name}"

    def _path(self, namespace: str, name: str) -> str:
        return f"/api/v1/namespaces/{namespace}/configmaps/{self._name(name)}"

    @staticmethod
    def _data(record: Record) -> dict[str, str]:
        return {
            "name": record.name,
            "key": record.key,
            "token": record.token,
            "busy": record.busy,
            "leaving": "yes" if record.leaving else "",
            "changes": json.dumps(dict(record.changes)),
            "more": json.dumps(dict(record.more)),
        }

    def _read(self, found: Mapping[str, Any]) -> Record:
        data, metadata = found.get("data") or {}, found["metadata"]
        noted = (metadata.get("annotations") or {}).get("pitrix-tags", "{}")
        return Record(
            kind=self._kind,
            namespace=metadata["namespace"],
            name=data.get("name", ""),
            key=data.get("key", ""),
            token=data.get("token", ""),
            tags=json.loads(noted),
            busy=data.get("busy", ""),
            leaving=bool(data.get("leaving")),
            changes=json.loads(data.get("changes") or "{}"),
            more=json.loads(data.get("more") or "{}"),
            version=metadata.get("resourceVersion", ""),
        )
