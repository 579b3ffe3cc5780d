"""Public addresses: QingCloud's EIPs, paid by bandwidth."""

from __future__ import annotations

from collections.abc import Mapping

from pitrix.errors import Conflict
from providers.base import Addresses
from providers.qingcloud import mapping
from providers.qingcloud.client import Client
from providers.qingcloud.creation import create_once, tagged
from providers.qingcloud.errors import unless_busy
from providers.qingcloud.kinds import EIP, INSTANCE
from providers.resources import Address, AddressSpec

BANDWIDTH_MBPS = 4
"""Bandwidth of a new address, in Mbit/s; what QingCloud's console proposes."""


class QingCloudAddresses(Addresses):
    """Every promise is the base class's."""

    _cloud: Client

    def allocate_address(self, spec: AddressSpec, *, idempotency_key: str) -> Address:
        def make(name: str) -> str:
            answer = self._cloud.call("AllocateEips", bandwidth=BANDWIDTH_MBPS, eip_name=name)
            return str(answer["eips"][0])

        row = create_once(self._cloud, EIP, key=idempotency_key, name=spec.name, tags=spec.tags, make=make)
        return mapping.address(row)

    def get_address(self, address_id: str) -> Address:
        return mapping.address(self._cloud.row(EIP, address_id))

    def list_addresses(self, tags: Mapping[str, str]) -> list[Address]:
        return [mapping.address(row) for row in tagged(self._cloud, EIP, tags)]

    def associate_address(self, address_id: str, machine_id: str) -> Address:
        row = self._cloud.row(EIP, address_id)
        self._cloud.row(INSTANCE, machine_id)
        holder = mapping.address(row).machine_id
        if holder not in (None, machine_id):
            raise Conflict(f"The address {address_id} belongs to {holder}; take it away there first.")
        if holder is None and not row.get("transition_status"):
            with unless_busy():
                self._cloud.call("AssociateEip", eip=address_id, instance=machine_id)
        return self.get_address(address_id)

    def disassociate_address(self, address_id: str) -> Address:
        row = self._cloud.row(EIP, address_id)
        if row["status"] == "associated" and not row.get("transition_status"):
            with unless_busy():
                self._cloud.call("DissociateEips", eips=[address_id])
        return self.get_address(address_id)

    def release_address(self, address_id: str) -> None:
        """First takes it from its machine, then, called again, gives it back."""
        row = self._cloud.row_or_none(EIP, address_id)
        if row is None or row.get("transition_status") == "releasing":
            return
        with unless_busy():
            action = "DissociateEips" if row["status"] == "associated" else "ReleaseEips"
            self._cloud.call(action, eips=[address_id])
