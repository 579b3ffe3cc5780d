"""What the capabilities of Azure share: the client, and listing what Pitrix made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pitrix.errors import ResourceNotFound
from providers.azure import mapping, naming
from providers.azure.client import Client, Json
from providers.resources import Zone


class Cloud:
    """The base of each capability's class."""

    _cloud: Client

    def _held(
        self, tags: Mapping[str, str], in_group: Callable[..., Any], in_all: Callable[..., Any]
    ) -> list[Json]:
        """What carries all of ``tags``: of the cluster's resource group, or of the whole subscription.

        Only what Pitrix made in the connection's location; a subscription holds much else.
        """
        group = naming.group_name(tags)
        found = self._cloud.every(in_all) if group == naming.COMMON_GROUP else self._in(group, in_group)
        return [each for each in found if mapping.carries(each, tags) and self._here(each)]

    def _in(self, group: str, listing: Callable[..., Any]) -> list[Json]:
        """All of a resource group; nothing where it is not there."""
        return self._cloud.every(listing, group)

    def _locations(self) -> list[Zone]:
        """The locations that have machines, in Azure's order but for the connection's, which is first."""
        told = self._cloud.ask(self._cloud.resources.providers.get, "Microsoft.Compute")
        kinds = {
            each["resourceType"]: each.get("locations") or [] for each in told.get("resourceTypes") or []
        }
        found = [Zone(zone=mapping.location(each), title=each) for each in kinds.get("virtualMachines", [])]
        return sorted(found, key=lambda zone: zone.zone != self._cloud.zone)

    def _here(self, told: Json) -> bool:
        return mapping.location(told["location"]) == mapping.location(self._cloud.zone)

    def _delete(self, begin: Callable[..., Any], resource_id: str, kind: str) -> None:
        """Delete what an id names; gone, or never there: no effect."""
        try:
            found = self._cloud.own(resource_id, kind)
            self._cloud.send(begin, found.group, *found.names)
        except ResourceNotFound:
            return
