"""What a deployment would be, asked of the catalog, the packages and the runtimes through their services.

Owns: the order of the questions. Never: knows how any of them keeps its things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pitrix.billing.ports import HasRuntimeId
from pitrix.errors import NotFound
from pitrix.identity.model import Principal
from pitrix.packages.model import ClusterSpec

if TYPE_CHECKING:
    from pitrix.catalog.service import CatalogService


class Runtimes(Protocol):
    """All that is asked of the runtimes' service."""

    def get(self, who: Principal, runtime_id: str) -> HasRuntimeId: ...


class DeploymentSpecs:
    """:class:`pitrix.billing.ports.SpecSource` over the services of three other contexts."""

    def __init__(self, catalog: CatalogService, runtimes: Runtimes) -> None:
        self._catalog = catalog
        self._runtimes = runtimes

    def spec(
        self,
        who: Principal,
        *,
        app_id: str,
        version_id: str,
        answers: Mapping[str, Any],
        locale: str = "en",
    ) -> ClusterSpec:
        from pitrix.packages import service as packages  # on use: it brings the template engine

        if app_id and version_id:
            self._catalog.get_version(who, app_id, version_id)
        chosen = version_id or self._catalog.get_app(who, app_id).latest_version_id
        if not chosen:
            raise NotFound(f"App {app_id} has no released version.")
        package = self._catalog.load_package(who, chosen)
        complete = packages.complete_answers(packages.form(package, locale), answers)
        return packages.demand(package, complete)

    def runtime(self, who: Principal, runtime_id: str) -> HasRuntimeId:
        return self._runtimes.get(who, runtime_id)
