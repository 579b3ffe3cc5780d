"""The life of a version: released, suspended, recovered, deleted, and withdrawn by its source.

Owns the changes of a version's status (the table of them is `model.TRANSITIONS`), and which version leads its
app after one. Next: `publishing.py` for how a version comes into being.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from pitrix.catalog import edits
from pitrix.catalog.access import Access, is_operator
from pitrix.catalog.model import TRANSITIONS, App, Version, VersionAction, is_prerelease, outranks
from pitrix.catalog.ports import AppStore
from pitrix.clock import Clock
from pitrix.errors import Conflict, Contended, FieldError, PermissionDenied
from pitrix.events import EventBus, announce
from pitrix.identity.model import Principal, require

#: Attempts at a write whose app somebody else changes at the same time. A sync publishes up to 32 versions of
#: one app at once (8 functions of 4 threads), and an app is one item.
ATTEMPTS: Final = 14
#: What the first attempt but one waits for at most; each one after it may wait twice as long, up to a second.
FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 1.0


class VersionLives:
    """Changes the status of versions."""

    def __init__(self, *, apps: AppStore, events: EventBus, clock: Clock) -> None:
        self._apps = apps
        self._access = Access(apps)
        self._events = events
        self._clock = clock

    def change_status(
        self, who: Principal, app_id: str, version_id: str, action: VersionAction, *, reason: str = ""
    ) -> Version:
        """Release, suspend, recover or delete a version; the owner's and the operator's right.

        The app's latest version follows. A suspended version stays readable to its owner, and clusters that
        run it go on.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not allowed.
            Conflict: the version's status does not allow the action.
        """
        transition = TRANSITIONS[action]
        require(who, "catalog", transition.permission)
        if len(reason) > 1000:
            edits.refuse([FieldError("reason", "is longer than 1000 characters")])
        for attempt in range(ATTEMPTS):
            app = self._access.owned_app(who, app_id)
            version = self._access.version(who, app, version_id)
            if version.status not in transition.sources:
                allowed = " or ".join(sorted(transition.sources))
                raise Conflict(
                    f"Version {version.name} is {version.status}; {action!r} needs one that is {allowed}."
                )
            if action == "recover" and version.held_by_operator and not is_operator(who):
                raise PermissionDenied(
                    f"Version {version.name} was suspended by an operator, who alone can recover it."
                )
            now = self._clock.now()
            after = replace(
                version,
                status=transition.target,
                status_reason=reason,
                held_by_operator=action == "suspend" and is_operator(who),
                updated_at=now,
                released_at=now if transition.target == "released" else version.released_at,
            )
            try:
                self._apps.change(app, self.with_latest(app, after), after)
            except Conflict:
                wait_turn(attempt)
                continue
            announce(self._events, transition.event, version_id, {"app_id": app_id, "reason": reason})
            return replace(after, revision=after.revision + 1)
        raise Contended(f"Version {version_id} is being changed by somebody else; try again.")

    # --- what the source of a repository decides ------------------------------------------------------------

    def withdraw_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool:
        """Suspend a released version because its source dropped it; clusters that run it go on.

        Safe to repeat: a version that is not released stays as it is.

        Returns:
            Whether this call suspended it.
        """
        return self._change_if(who, app_id, version_id, "suspend", reason, lambda v: v.status == "released")

    def restore_version(self, who: Principal, app_id: str, version_id: str, *, reason: str) -> bool:
        """Release a version again that was withdrawn for this very ``reason``; others stay as they are."""

        def withdrawn(version: Version) -> bool:
            return version.status == "suspended" and version.status_reason == reason

        return self._change_if(who, app_id, version_id, "recover", "", withdrawn)

    def withdraw_app(self, who: Principal, app_id: str, *, reason: str) -> int:
        """Suspend every released version of an app; returns how many this call suspended."""
        cursor: str | None = None
        released: list[Version] = []
        while True:
            page = self._apps.list_versions(app_id, released_only=True, limit=200, cursor=cursor)
            released += page.versions
            cursor = page.next_cursor
            if cursor is None:
                break
        # The highest last: the app's latest version is then found anew once, and not once a version.
        return sum(
            self.withdraw_version(who, app_id, version.version_id, reason=reason)
            for version in reversed(released)
        )

    def apps_of(self, who: Principal, repo_id: str) -> Iterator[str]:
        """The ids of all apps of a repository; one query of small items."""
        require(who, "repos", "index")
        return self._apps.app_ids(repo_id)

    def _change_if(
        self,
        who: Principal,
        app_id: str,
        version_id: str,
        action: VersionAction,
        reason: str,
        wanted: Callable[[Version], bool],
    ) -> bool:
        for _ in range(ATTEMPTS):
            version = self._apps.version(app_id, version_id)
            if version is None or not wanted(version):
                return False
            try:
                self.change_status(who, app_id, version_id, action, reason=reason)
            except Contended:
                raise
            except Conflict:
                continue  # its status was changed at the same time: look again
            return True
        raise Contended(f"Version {version_id} is being changed by many at once; try again.")

    # --- which version leads -------------------------------------------------------------------------------

    def with_latest(self, app: App, changed: Version) -> App:
        """The app with its latest version found anew after ``changed`` got its status."""
        if changed.status == "released":
            if outranks(changed.name, app.latest_version):
                return self._led_by(app, changed)
            return app
        if app.latest_version_id != changed.version_id:
            return app
        return self._led_by(app, self._next_latest(app, changed.version_id))

    def _led_by(self, app: App, version: Version | None) -> App:
        return replace(
            app,
            latest_version_id=None if version is None else version.version_id,
            latest_version=None if version is None else version.name,
            published_at=None if version is None else version.released_at,
        )

    def _next_latest(self, app: App, without: str) -> Version | None:
        """The best released version but one: the highest stable one, else the highest pre-release."""
        fallback: Version | None = None
        cursor: str | None = None
        while True:
            page = self._apps.list_versions(app.app_id, released_only=True, limit=50, cursor=cursor)
            for listed in page.versions:
                # The index may lag: ask the version itself.
                version = self._apps.version(app.app_id, listed.version_id)
                if version is None or version.status != "released" or version.version_id == without:
                    continue
                if not is_prerelease(version.name):
                    return version
                fallback = fallback or version
            if page.next_cursor is None:
                return fallback
            cursor = page.next_cursor


def wait_turn(attempt: int) -> None:
    """Let others be done, for a random time, so that those who lost a race do not meet again in the next."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
    time.sleep(random.uniform(0, longest))  # noqa: S311  # no secret
