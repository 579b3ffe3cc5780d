"""Public addresses of Azure: static ones of the Standard kind, which stay when a machine is stopped."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.azure import mapping, naming, network_mapping
from providers.azure.client import Json
from providers.azure.cloud import Cloud
from providers.base import Addresses, check_key
from providers.resources import Address, AddressSpec

KIND = "Microsoft.Network/publicIPAddresses"
_INTERFACE = "Microsoft.Network/networkInterfaces"
_MACHINE = "Microsoft.Compute/virtualMachines"


class AzureAddresses(Cloud, Addresses):
    """An address is given to the network interface of a machine."""

    def allocate_address(self, spec: AddressSpec, *, idempotency_key: str) -> Address:
        name, group = naming.resource_name(check_key(idempotency_key)), naming.group_name(spec.tags)
        api = self._cloud.network.public_ip_addresses
        if (made := self._cloud.find(api.get, group, name)) is not None:
            return self._address_told(made)
        properties = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}
        request = mapping.body(self._cloud.zone, idempotency_key, spec, properties, sku={"name": "Standard"})
        return self._address_told(self._cloud.create(api.begin_create_or_update, group, name, request))

    def get_address(self, address_id: str) -> Address:
        return self._address_told(self._address(address_id))

    def list_addresses(self, tags: Mapping[str, str]) -> list[Address]:
        api = self._cloud.network.public_ip_addresses
        return [self._address_told(each) for each in self._held(tags, api.list, api.list_all)]

    def associate_address(self, address_id: str, machine_id: str) -> Address:
        told = self._address(address_id)
        machine = self._cloud.own(machine_id, _MACHINE)
        get = self._cloud.compute.virtual_machines.get
        interface_id = mapping.interface_of(self._cloud.ask(get, machine.group, *machine.names))
        holder = self._holder(told)
        if holder is not None and mapping.same(holder["id"], interface_id):
            return self._address_told(told)
        if holder is not None:
            raise Conflict("Another machine has the address.")
        interface = self._interface(interface_id)
        if mapping.address_of(interface):
            raise Conflict("The machine has another address.")
        self._give(interface, told["id"])
        return self.get_address(address_id)

    def disassociate_address(self, address_id: str) -> Address:
        holder = self._holder(self._address(address_id))
        if holder is not None:
            self._give(holder, None)
        return self.get_address(address_id)

    def release_address(self, address_id: str) -> None:
        """Taken from its machine first where it has one; the next call gives it back."""
        try:
            holder = self._holder(self._address(address_id))
        except ResourceNotFound:
            return
        if holder is not None:
            self._give(holder, None)
        else:
            self._delete(self._cloud.network.public_ip_addresses.begin_delete, address_id, KIND)

    # --- inside ----------------------------------------------------------------------------------------

    def _address(self, address_id: str) -> Json:
        found = self._cloud.own(address_id, KIND)
        return self._cloud.ask(self._cloud.network.public_ip_addresses.get, found.group, *found.names)

    def _interface(self, interface_id: str) -> Json:
        found = self._cloud.own(interface_id, _INTERFACE)
        return self._cloud.ask(self._cloud.network.network_interfaces.get, found.group, *found.names)

    def _holder(self, told: Json) -> Json | None:
        """The interface that has an address."""
        used = (told["properties"].get("ipConfiguration") or {}).get("id", "")
        if f"/{_INTERFACE}/".lower() not in used.lower():
            return None
        try:
            return self._interface(used.rsplit("/", 2)[0])
        except ResourceNotFound:  # it went with its machine this very moment
            return None

    def _address_told(self, told: Json) -> Address:
        holder = self._holder(told)
        machine = (holder["properties"].get("virtualMachine") or {}).get("id") if holder else None
        return network_mapping.address(told, machine)

    def _give(self, interface: Json, address_id: str | None) -> None:
        """Write an interface with the address, or without one; all else as it was read."""
        wanted: dict[str, Any] = copy.deepcopy(dict(interface))
        main = wanted["properties"]["ipConfigurations"][0]["properties"]
        main.pop("publicIPAddress", None)
        if address_id is not None:
            main["publicIPAddress"] = {"id": address_id}
        found = self._cloud.own(interface["id"], _INTERFACE)
        begin = self._cloud.network.network_interfaces.begin_create_or_update
        self._cloud.send(begin, found.group, *found.names, wanted)
