"""The repositories' context over fakes: sources, vaults and state machines that tests move by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pitrix.clock import Clock
from pitrix.errors import NotFound, PitrixError, TooLarge
from pitrix.events import EventBus
from pitrix.packages import provenance
from pitrix.packages import service as packages
from pitrix.repos.dynamo import TableRepoStore
from pitrix.repos.indexing import Indexer
from pitrix.repos.model import Credential, Fetched, Listing, Repo, SourceEntry, Sync
from pitrix.repos.service import ReposService
from pitrix.repos.sync_steps import SyncSteps
from pitrix.repos.syncing import Syncs


class MemoryObjects:
    """`ports.SyncObjects` in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)


class MemoryVault:
    """`ports.CredentialVault` in memory; told to fail, it fails."""

    def __init__(self) -> None:
        self.kept: dict[str, Credential] = {}
        self.fails = False

    def put(self, repo_id: str, credential: Credential) -> None:
        if self.fails:
            raise ConnectionError("the vault is away")
        self.kept[repo_id] = credential

    def get(self, repo_id: str) -> Credential | None:
        return self.kept.get(repo_id)

    def delete(self, repo_id: str) -> None:
        self.kept.pop(repo_id, None)


class HandMachine:
    """`ports.SyncMachine` that only remembers: `carry_out` does the work."""

    def __init__(self) -> None:
        self.started: list[Sync] = []
        self.fails = False

    def start(self, sync: Sync) -> None:
        if self.fails:
            raise ConnectionError("Step Functions is away")
        self.started.append(sync)


@dataclass
class FakeSource:
    """A remote repository: key to archive; a changed archive has another tag. Counts what it was asked.

    ``troubles`` holds an error to raise for a key, or under ``""`` for the listing.
    """

    packages: dict[str, bytes] = field(default_factory=dict)
    provenances: dict[str, bytes] = field(default_factory=dict)
    troubles: dict[str, PitrixError | None] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    listings: int = 0
    validators: list[str] = field(default_factory=list)

    def listing(self, validator: str = "") -> Listing | None:
        self.listings += 1
        self.validators.append(validator)
        self._trouble("")
        entries = [
            SourceEntry(key=key, tag=self._tag(key), location=key, name=key) for key in sorted(self.packages)
        ]
        found = sha256(repr([(entry.key, entry.tag) for entry in entries]).encode()).hexdigest()
        return None if validator == found else Listing(entries=entries, validator=found, size_bytes=100)

    def fetch(self, entry: SourceEntry, *, at_most_bytes: int) -> Fetched:
        self.fetched.append(entry.key)
        self._trouble(entry.key)
        archive = self.packages.get(entry.location)
        if archive is None:
            raise NotFound(f"{entry.location} is not there.")
        if len(archive) > at_most_bytes:
            raise TooLarge(f"{entry.key} is too large.")
        return Fetched(archive=archive, provenance=self.provenances.get(entry.key))

    def _tag(self, key: str) -> str:
        return sha256(self.packages[key] + self.provenances.get(key, b"")).hexdigest()

    def _trouble(self, key: str) -> None:
        found = self.troubles.get(key)
        if found is not None:
            raise found


class FakeSources:
    """`ports.Sources`: one source an address; remembers the credentials that it was given."""

    def __init__(self) -> None:
        self.by_url: dict[str, FakeSource] = {}
        self.credentials: list[Credential | None] = []

    def connect(self, repo: Repo, credential: Credential | None) -> Any:
        self.credentials.append(credential)
        return self.by_url.setdefault(repo.url, FakeSource())


@dataclass(kw_only=True)
class ReposKit:
    """Every part of the context, put together as `pitrix.bootstrap` does."""

    table: Any
    uploads: Any
    catalog: Any
    events: EventBus
    clock: Clock
    objects: Any = field(default_factory=MemoryObjects)
    sources: Any = field(default_factory=FakeSources)
    vault: MemoryVault = field(default_factory=MemoryVault)
    machine: HandMachine = field(default_factory=HandMachine)

    def __post_init__(self) -> None:
        self.store = TableRepoStore(self.table)
        self.indexer = Indexer(
            repos=self.store,
            bucket=self.uploads,
            catalog=self.catalog,
            packages=packages,
            signatures=provenance,
            events=self.events,
            clock=self.clock,
        )
        self.syncs = Syncs(repos=self.store, machine=self.machine, clock=self.clock)
        self.steps = SyncSteps(
            repos=self.store,
            objects=self.objects,
            sources=self.sources,
            vault=self.vault,
            indexer=self.indexer,
            catalog=self.catalog,
            events=self.events,
            clock=self.clock,
        )
        self.service = ReposService(
            repos=self.store,
            bucket=self.uploads,
            packages=packages,
            indexer=self.indexer,
            syncs=self.syncs,
            sources=self.sources,
            vault=self.vault,
            clock=self.clock,
        )

    def carry_out(self, sync: Sync | None = None) -> None:
        """Do what ``stepfunctions/sync_repo.asl.yaml`` does with a sync, the last one started by default."""
        run(self.steps, sync or self.machine.started[-1])


def run(
    steps: SyncSteps, sync: Sync, *, call: Callable[..., Any] = lambda step, *given: step(*given)
) -> None:
    """Carry out a sync step by step; ``call`` calls each, and may do so twice or not at all."""
    where = (sync.repo_id, sync.sync_id)
    try:
        batches = call(steps.begin, *where)
        if batches is None:
            return
        for batch in batches:
            try:
                call(steps.fetch, *where, batch)
            except Exception:
                continue
        for batch in call(steps.settle, *where):
            try:
                call(steps.withdraw, *where, batch)
            except Exception:
                continue
        call(steps.finish, *where)
    except Exception as error:
        message = f'{{"errorMessage": "{error}"}}'
        call(steps.fail, *where, type(error).__name__, message)
