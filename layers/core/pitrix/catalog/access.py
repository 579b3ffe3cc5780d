"""Who sees and who changes what of the catalog.

Owns the rule: a released version of a public app is everyone's; anything else is its owner's, by owner path,
and does not exist for others. Changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from pitrix.catalog.model import App, Version
from pitrix.catalog.ports import AppStore
from pitrix.errors import NotFound, PermissionDenied
from pitrix.identity.model import ROOT_PATH, Principal, require


class Access:
    """Finds apps and versions for those who may see them."""

    def __init__(self, apps: AppStore) -> None:
        self._apps = apps

    def app(self, who: Principal, app_id: str) -> App:
        """One app.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        require(who, "catalog", "read")
        app = self._apps.app(app_id)
        if app is None or not sees_app(who, app):
            raise NotFound(f"App {app_id} does not exist.")
        return app

    def owned_app(self, who: Principal, app_id: str) -> App:
        """The app, if the caller may change it; one that it does not even see does not exist."""
        app = self.app(who, app_id)
        if not who.owns(app.owner_path):
            raise PermissionDenied(f"App {app_id} belongs to another owner.")
        return app

    def version(self, who: Principal, app: App, version_id: str) -> Version:
        """One version of an app.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        version = self._apps.version(app.app_id, version_id)
        if version is None or not sees_version(who, app, version):
            raise NotFound(f"App {app.app_id} has no version {version_id}.")
        return version


def sees_app(who: Principal, app: App) -> bool:
    """Whether an app exists for the caller."""
    in_store = app.visibility == "public" and app.latest_version_id is not None
    return in_store or who.owns(app.owner_path)


def sees_version(who: Principal, app: App, version: Version) -> bool:
    """Whether a version exists for the caller."""
    in_store = app.visibility == "public" and version.status == "released"
    return in_store or who.owns(app.owner_path)


def shown(who: Principal, version: Version) -> Version:
    """The version without what only its owner should know: who uploaded it, and to where."""
    return version if who.owns(version.owner_path) else replace(version, package_key="", created_by="")


def is_operator(who: Principal) -> bool:
    """Whether the caller runs the platform."""
    return who.owns(ROOT_PATH)
