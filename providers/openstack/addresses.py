"""Public addresses: neutron's floating addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, ProviderError, ResourceNotFound
from providers.base import Addresses, check_key
from providers.openstack import mapping, once
from providers.openstack.client import Client, known
from providers.openstack.mapping import Json
from providers.openstack.networks import OpenStackNetworks
from providers.resources import Address, AddressSpec


class OpenStackAddresses(OpenStackNetworks, Addresses):
    """Floating addresses, which come from the network that the project's routers lead to."""

    _cloud: Client

    def allocate_address(self, spec: AddressSpec, *, idempotency_key: str) -> Address:
        key = check_key(idempotency_key)
        described = mapping.description(key, spec.tags, name=spec.name)

        def make() -> Json:
            outside = self.outside()
            if not outside:
                raise ProviderError(
                    "This OpenStack offers no public addresses: no network of it is external."
                )
            body = {"floating_network_id": outside, "description": described}
            made: Json = self._cloud.call("network", "POST", "/floatingips", body={"floatingip": body})[
                "floatingip"
            ]
            return made

        return mapping.address(
            once.once(
                self._cloud,
                "address",
                key,
                find=lambda: [
                    each for each in self._floating() if mapping.described(each)[mapping.KEY] == key
                ],
                make=make,
                read=self._address,
                discard=self._release,
            )
        )

    def get_address(self, address_id: str) -> Address:
        return mapping.address(self._address(known(address_id, "address")))

    def list_addresses(self, tags: Mapping[str, str]) -> list[Address]:
        found = [each for each in self._floating() if mapping.carries(mapping.described(each), tags)]
        return [mapping.address(each) for each in found]

    def associate_address(self, address_id: str, machine_id: str) -> Address:
        held = self.get_address(address_id)
        query = {"device_id": known(machine_id, "machine"), "project_id": self._cloud.project_id}
        ports = [
            port
            for port in self._cloud.get("network", "/ports", query)["ports"]
            if port["device_owner"].startswith("compute:")
        ]
        if held.machine_id == machine_id:
            return held
        if held.machine_id is not None:
            raise Conflict("The address belongs to another machine; take it from that first.")
        if not ports:
            self._cloud.get("compute", f"/servers/{machine_id}")  # says when there is no such machine
            return held  # it has no port yet: the call will be repeated
        return self._point(address_id, min(str(port["id"]) for port in ports))

    def disassociate_address(self, address_id: str) -> Address:
        held = self.get_address(address_id)
        return held if held.machine_id is None else self._point(address_id, None)

    def release_address(self, address_id: str) -> None:
        try:
            self._release(known(address_id, "address"))
        except ResourceNotFound:
            return
        once.forget(self._cloud, address_id)

    # --- calls -------------------------------------------------------------------------------------------

    def _floating(self) -> list[Any]:
        query = {"project_id": self._cloud.project_id}
        found = self._cloud.pages("network", "/floatingips", "floatingips", query)
        return [each for each in found if mapping.described(each)]

    def _address(self, address_id: str) -> Json:
        found: Json = self._cloud.get("network", f"/floatingips/{address_id}")["floatingip"]
        return found

    def _point(self, address_id: str, port_id: str | None) -> Address:
        body = {"floatingip": {"port_id": port_id}}
        self._cloud.call("network", "PUT", f"/floatingips/{address_id}", body=body)
        return self.get_address(address_id)

    def _release(self, address_id: str) -> None:
        self._cloud.call("network", "DELETE", f"/floatingips/{address_id}")
