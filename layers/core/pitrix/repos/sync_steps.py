"""What a sync does, step by step; ``stepfunctions/sync_repo.asl.yaml`` calls these in order.

    begin  ->  fetch (many at once)  ->  settle  ->  withdraw (many at once)  ->  finish        or  fail

Owns that every step may run twice, at any time, and be killed anywhere: it writes its result into an object
of its own, named by (sync, step), and does nothing when that is there. A sync that died leaves its results to
the next one. What the catalog holds changes only by calls that may be repeated, and by the one who holds the
lease (`syncing.py`). The difference itself is arithmetic (`differences.py`).

A deleted repository ends in a last sync: its apps are withdrawn, then its record is removed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Final, TypeVar

from pitrix import errors
from pitrix.clock import Clock
from pitrix.errors import (
    NotFound,
    PackageInvalid,
    PitrixError,
    SourceUnavailable,
    StepFailed,
    TooLarge,
    Unprocessable,
)
from pitrix.events import EventBus, announce
from pitrix.identity.model import SYSTEM, Principal
from pitrix.repos import differences
from pitrix.repos.differences import Draft, Plan, Record, Result, Snapshot, Withdrawal
from pitrix.repos.indexing import MAX_PACKAGE_BYTES, Indexer, clipped, counts_of
from pitrix.repos.model import (
    REMOVED_UPSTREAM,
    SCHEDULE,
    Fetched,
    Listing,
    Repo,
    RepoEvent,
    SourceEntry,
    SyncState,
)
from pitrix.repos.ports import (
    Catalog,
    CredentialVault,
    PackageSource,
    RepoStore,
    Sources,
    SyncObjects,
)
from pitrix.repos.sync_lease import SyncLease
from pitrix.repos.sync_papers import SyncPapers

T = TypeVar("T")

#: Packages that one function fetches and reads at the same time. With 32 MiB packed and 64 MiB unpacked each,
#: this is what fits into the memory that template.yaml gives it.
THREADS: Final = 4
#: A step takes up nothing new after this: it must be done before its function's 300 s are over, and one
#: package may take 120 s to come (`pitrix.repos.sources.guarded.Limits`).
STEP_TIME_S: Final = 120.0
#: Versions that one step withdraws.
WITHDRAWN_AT_ONCE: Final = 50
#: Raise this when what is refused changes, so that refused packages are looked at again.
RULES: Final = 1

_log = logging.getLogger("pitrix")


class SyncSteps:
    """Carries out syncs. Called by the platform itself, never for a user."""

    def __init__(
        self,
        *,
        repos: RepoStore,
        objects: SyncObjects,
        sources: Sources,
        vault: CredentialVault,
        indexer: Indexer,
        catalog: Catalog,
        events: EventBus,
        clock: Clock,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repos = repos
        self._papers = SyncPapers(objects)
        self._events = events
        self._lease = SyncLease(repos=repos, events=events, clock=clock, basis=_basis)
        self._sources = sources
        self._vault = vault
        self._indexer = indexer
        self._catalog = catalog
        self._stopwatch = stopwatch

    # --- the steps -----------------------------------------------------------------------------------------

    def begin(self, repo_id: str, sync_id: str) -> list[int] | None:
        """Ask the source what there is, and write down what to do about it.

        Returns:
            The numbers of the batches to fetch; ``None`` when nothing has changed and the sync is over.

        Raises:
            SourceUnavailable: the source does not answer; try again.
            InvalidInput: its address or credential is wrong.
            Unprocessable: it lists nothing any more; by the schedule, a store is not emptied.
            StepFailed: another sync took over.
        """
        if self._lease.is_over(repo_id, sync_id):
            return None
        repo, state = self._lease.enter(repo_id, sync_id)
        if state.plan:  # this step ran before
            return _numbers(self._papers.plan(state).batches)
        if repo.status == "deleting":
            self._lease.keep_plan(state, self._papers.put_plan(state, Plan(basis="", closing=True), []))
            return []
        basis = _basis(repo)
        last = self._papers.snapshot(state)
        source = self._connect(repo)
        same = state.basis == basis and not (state.retry_refused or state.unfinished)
        # Without what the last sync left, "nothing has changed" would be no answer.
        listing = source.listing(state.validator if same and last.records else "")
        if listing is None:
            self._lease.conclude(repo, sync_id, "unchanged")
            return None
        _refuse_to_empty(repo, state, listing, last)
        left, results = self._papers.left_over(state)
        plan, batches = differences.difference(
            listing,
            last,
            basis=basis,
            left=left,
            results=results,
            afresh=_policy(state.basis) != _policy(basis),
            retry_refused=state.retry_refused,
        )
        if plan.changes_nothing and state.basis == basis:
            self._lease.conclude(repo, sync_id, "unchanged", validator=plan.validator)
            return None
        self._lease.keep_plan(state, self._papers.put_plan(state, plan, batches))
        return _numbers(plan.batches)

    def fetch(self, repo_id: str, sync_id: str, batch: int) -> None:
        """Fetch, read and publish the packages of one batch; one that is bad does not stop the others.

        Raises:
            SourceUnavailable: the source answers for none of them; try again.
            StepFailed: another sync took over, or the repository was deleted.
        """
        repo, state = self._lease.enter(repo_id, sync_id)
        if repo.status == "deleting":
            raise StepFailed(f"Repository {repo_id} was deleted.")
        if self._papers.is_done(state, "fetched", batch):
            return
        entries = self._papers.batch(state, "fetch", batch, list[SourceEntry])
        one = partial(self._fetched, repo, self._connect(repo), sync_id, self._stopwatch() + STEP_TIME_S)
        # The first one alone: clients are built on first use, and not by several threads at once.
        with ThreadPoolExecutor(THREADS) as pool:
            results = [one(entries[0]), *pool.map(one, entries[1:])]
        if all(result.unavailable for result in results):
            # What the batch is told to have failed of, should this be its last try.
            self._papers.put_batch(state, "tried", batch, results)
            raise SourceUnavailable(results[0].failed)
        self._papers.put_batch(state, "fetched", batch, results)

    def settle(self, repo_id: str, sync_id: str) -> list[int]:
        """Put together what the batches came to, and find what has to leave the store.

        Returns:
            The numbers of the batches to withdraw.
        """
        repo, state = self._lease.enter(repo_id, sync_id)
        plan = self._papers.plan(state)
        _check_purpose(repo, plan)
        if plan.closing:
            going = [Withdrawal(key=app, app_id=app) for app in self._catalog.apps_of(SYSTEM, repo_id)]
            draft = Draft()
        else:
            results = {
                result.key: result for result in self._papers.results(state.plan, _numbers(plan.batches))
            }
            draft, going = differences.merged(
                plan, self._papers.snapshot(state), results, withdraws=repo.is_remote
            )
        most = WITHDRAWN_AT_ONCE * differences.MAX_BATCHES
        batches = differences.split(going[:most], WITHDRAWN_AT_ONCE)
        for number, batch in enumerate(batches, start=1):
            self._papers.put_batch(state, "withdraw", number, batch)
        draft = replace(draft, withdrawals=len(batches), left=going[most:])
        self._papers.put_draft(state, draft)
        return _numbers(draft.withdrawals)

    def withdraw(self, repo_id: str, sync_id: str, batch: int) -> None:
        """Suspend versions that the source does not list any more; clusters that run them go on."""
        repo, state = self._lease.enter(repo_id, sync_id)
        if self._papers.is_done(state, "withdrawn", batch):
            return
        wanted = self._papers.batch(state, "withdraw", batch, list[Withdrawal])
        deadline = self._stopwatch() + STEP_TIME_S
        stayed: dict[str, str] = {}
        for each in wanted:
            if self._stopwatch() > deadline:
                stayed[each.key] = "There was no time left to withdraw it."
                continue
            try:
                self._withdraw_one(repo, each)
            except Exception as error:
                _log.exception("%s of %s was not withdrawn", each.key, repo_id)
                stayed[each.key] = _why(error)
        self._papers.put_batch(state, "withdrawn", batch, stayed)

    def finish(self, repo_id: str, sync_id: str) -> None:
        """Make what was found the snapshot that the next sync starts from, and tell of it.

        Raises:
            StepFailed: another sync took over; or apps of a deleted repository are still in the store.
        """
        if self._lease.is_over(repo_id, sync_id):
            return
        repo, state = self._lease.enter(repo_id, sync_id)
        plan, draft = self._papers.plan(state), self._papers.draft(state)
        _check_purpose(repo, plan)
        wanted, stayed = self._papers.withdrawals(state, draft)
        if plan.closing:
            self._close(repo, stayed)
            return
        snapshot, counts, failures = differences.settled(draft, self._papers.snapshot(state), wanted, stayed)
        key = self._papers.put_snapshot(repo_id, sync_id, snapshot)
        complete = differences.is_complete(counts)
        self._lease.conclude(
            repo,
            sync_id,
            "succeeded",
            counts=counts,
            failures=failures,
            size_bytes=draft.size_bytes,
            snapshot=key,
            validator=plan.validator if complete else "",
            basis=plan.basis,
            totals=differences.totals(snapshot.records),
        )
        self._papers.tidy(repo_id, keep=key)

    def fail(self, repo_id: str, sync_id: str, error: str, cause: str) -> None:
        """Note that a sync broke off, and try again later; what it had done is taken over then.

        Args:
            error, cause: What the state machine caught.
        """
        if self._lease.is_over(repo_id, sync_id):
            return
        try:
            repo, _ = self._lease.enter(repo_id, sync_id)
        except StepFailed:
            return  # another one took over
        self._lease.conclude(repo, sync_id, "failed", message=_told(error, cause))

    # --- one package, one version --------------------------------------------------------------------------

    def _fetched(
        self, repo: Repo, source: PackageSource, sync_id: str, deadline: float, entry: SourceEntry
    ) -> Result:
        """Fetch and publish one package; nothing that goes wrong with it is raised."""
        result = Result(key=entry.key, tag=entry.tag)
        if self._stopwatch() > deadline:
            return replace(result, failed="There was no time left to fetch it.")
        try:
            fetched = source.fetch(entry, at_most_bytes=MAX_PACKAGE_BYTES)
            result = replace(result, size_bytes=len(fetched.archive))
            event, new_app = self._published(repo, entry, fetched)
        except NotFound:
            return replace(result, failed="The source lists it, but has it not.")
        except SourceUnavailable as error:
            return replace(result, failed=clipped(error.detail), unavailable=True)
        except (TooLarge, PackageInvalid) as error:
            event, new_app = self._indexer.refusal(repo, entry.key, error), False
        except Exception as error:
            # The source's fault (a login that ended) or ours, not the package's: it is tried again.
            _log.exception("%s of %s could not be published", entry.key, repo.repo_id)
            return replace(result, failed=_why(error))
        try:
            self._note(repo, replace(event, sync_id=sync_id), entry, new_app)
        except Exception as error:
            _log.exception("the event of %s of %s was not kept", entry.key, repo.repo_id)
            return replace(result, failed=_why(error))
        return replace(result, record=_record(event, entry))

    def _published(self, repo: Repo, entry: SourceEntry, fetched: Fetched) -> tuple[RepoEvent, bool]:
        who, filename = self._owner(repo), ""
        if not repo.is_remote:
            try:
                who = self._indexer.who_uploaded(repo, entry.key)
            except Unprocessable as error:
                return self._indexer.refusal(repo, entry.key, error), False
            filename = entry.key.rpartition("/")[2]
        return self._indexer.publish(
            who,
            repo,
            key=entry.key,
            archive=fetched.archive,
            provenance=fetched.provenance,
            filename=filename,
            # An index repeats what is inside; a tag of a registry may be any name ("latest").
            listed_as=(entry.name, entry.version) if repo.kind == "http" and entry.version else None,
        )

    def _note(self, repo: Repo, event: RepoEvent, entry: SourceEntry, new_app: bool) -> None:
        """Keep an event of a refused package; of the platform's own bucket, of a new one too."""
        own = not repo.is_remote
        if event.outcome != "refused" and not (own and event.outcome == "indexed"):
            return
        delivery_id = f"sync-{sha256(entry.tag.encode()).hexdigest()[:24]}"
        counts = {"counts": counts_of(event, new_app)} if own else {}
        if self._repos.add_event(event, delivery_id, **counts):
            self._indexer.tell(event)

    def _withdraw_one(self, repo: Repo, what: Withdrawal) -> None:
        if not what.version_id:
            reason = f"The repository {repo.name} was deleted."
            self._catalog.withdraw_app(SYSTEM, what.app_id, reason=reason)
            return
        who = self._owner(repo)
        self._catalog.withdraw_version(who, what.app_id, what.version_id, reason=REMOVED_UPSTREAM)

    def _close(self, repo: Repo, stayed: Mapping[str, str]) -> None:
        """Remove what is left of a deleted repository, once none of its apps is in the store."""
        if stayed:
            raise StepFailed(f"{len(stayed)} apps are still in the store: {next(iter(stayed.values()))}")
        self._vault.delete(repo.repo_id)
        self._papers.tidy(repo.repo_id, keep="")
        self._repos.remove(repo)
        announce(self._events, "RepoDeleted", repo.repo_id, {"name": repo.name})

    def _connect(self, repo: Repo) -> PackageSource:
        credential = self._vault.get(repo.repo_id) if repo.has_credential else None
        return self._sources.connect(repo, credential)

    def _owner(self, repo: Repo) -> Principal:
        return self._indexer.uploader(repo, None)


# --- values ------------------------------------------------------------------------------------------------


def _numbers(count: int) -> list[int]:
    return list(range(1, count + 1))


def _basis(repo: Repo) -> str:
    """What a snapshot's records (before the bar) and its validator (behind it) hang on."""
    policy = json.dumps([RULES, repo.keys, repo.require_signature])
    source = json.dumps([repo.kind, repo.url, repo.endpoint, repo.region])
    return f"{sha256(policy.encode()).hexdigest()[:16]}|{sha256(source.encode()).hexdigest()[:16]}"


def _policy(basis: str) -> str:
    return basis.partition("|")[0]


def _check_purpose(repo: Repo, plan: Plan) -> None:
    if plan.closing != (repo.status == "deleting"):
        raise StepFailed(f"Repository {repo.repo_id} was deleted.")


def _refuse_to_empty(repo: Repo, state: SyncState, listing: Listing, last: Snapshot) -> None:
    """Withdraw everything only when a person asks: an empty answer is a source's commonest mistake.

    Raises:
        Unprocessable: the schedule asks, and a source that had packages lists none.
    """
    had = sum(bool(record.version_id) for record in last.records.values())
    by_schedule = state.running is not None and state.running.by == SCHEDULE
    if repo.is_remote and had and by_schedule and not listing.entries:
        raise Unprocessable(
            f"The source lists no package any more, and had {had}. Nothing was withdrawn; "
            "if that is meant, sync the repository by hand."
        )


def _record(event: RepoEvent, entry: SourceEntry) -> Record:
    refused = event.outcome == "refused"
    return Record(
        tag=entry.tag,
        outcome="refused" if refused else "published",
        name=event.name or entry.name,
        version=event.version or entry.version,
        app_id=event.app_id or "",
        version_id=event.version_id or "",
        size_bytes=event.size_bytes,
        message=event.message if refused else "",
    )


def _why(error: Exception) -> str:
    """What a person is told of a failure: our own words, and of a fault of ours only that it was one."""
    if isinstance(error, PitrixError):
        return clipped(error.detail)
    return "Something broke on our side; it is tried again at the next sync."


def _told(error: str, cause: str) -> str:
    """The message of what a state machine caught; a stack trace is for the log."""
    known = getattr(errors, error, None)
    if isinstance(known, type) and issubclass(known, PitrixError):
        try:
            return clipped(str(json.loads(cause)["errorMessage"]))
        except (ValueError, KeyError, TypeError):
            return known.title
    _log.error("a sync broke off: %s %s", error, cause[:2000])
    return "The sync broke off because of a fault on our side; it is tried again."
