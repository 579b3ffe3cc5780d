"""Elastic IP addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitrix.errors import Conflict, ResourceNotFound
from providers.aws import errors, mapping
from providers.aws.cloud import Cloud, made_order, one, only_one, with_id
from providers.base import Addresses, check_key
from providers.resources import Address, AddressSpec


class AwsAddresses(Cloud, Addresses):
    """EC2 has no client token for addresses: they are found by their key."""

    def allocate_address(self, spec: AddressSpec, *, idempotency_key: str) -> Address:
        key = check_key(idempotency_key)
        made = only_one(
            lambda: self._addresses({mapping.TAG_KEY: key}),
            lambda: self._allocate(spec, key),
            lambda each: self.release_address(each["AllocationId"]),
            made_order("AllocationId"),
        )
        return mapping.address(made)

    def get_address(self, address_id: str) -> Address:
        return mapping.address(self._address(address_id))

    def list_addresses(self, tags: Mapping[str, str]) -> list[Address]:
        return [mapping.address(each) for each in self._addresses(tags)]

    def associate_address(self, address_id: str, machine_id: str) -> Address:
        address = self._address(address_id)
        with_id("i-", machine_id, "machine")
        holder = address.get("InstanceId")
        if holder and holder != machine_id:
            raise Conflict(f"The machine {holder} has the address {address_id}.")
        if not holder:
            try:
                self._cloud.call(
                    "ec2",
                    "AssociateAddress",
                    AllocationId=address_id,
                    InstanceId=machine_id,
                    AllowReassociation=False,
                )
            except Conflict as error:
                # A machine that is still coming up cannot have one: whoever wants it repeats the call.
                if errors.code_of(error) not in ("IncorrectInstanceState", "IncorrectState"):
                    raise
            address = self._address(address_id)
        return mapping.address(address)

    def disassociate_address(self, address_id: str) -> Address:
        address = self._address(address_id)
        if self._take(address):
            address = self._address(address_id)
        return mapping.address(address)

    def release_address(self, address_id: str) -> None:
        try:
            self._take(self._address(address_id))
            self._cloud.call("ec2", "ReleaseAddress", AllocationId=address_id)
        except ResourceNotFound:
            return

    def _allocate(self, spec: AddressSpec, key: str) -> Any:
        stamp = {mapping.TAG_MADE: mapping.made_now()}
        tags = mapping.tagging("elastic-ip", spec.name, spec.tags, key, **stamp)
        made = self._cloud.call("ec2", "AllocateAddress", Domain="vpc", TagSpecifications=tags)
        return {**made, "Tags": tags[0]["Tags"]}

    def _take(self, address: Any) -> bool:
        """Take an address from whoever has it; returns whether anybody had."""
        association_id = address.get("AssociationId")
        if not association_id:
            return False
        try:
            self._cloud.call("ec2", "DisassociateAddress", AssociationId=association_id)
        except ResourceNotFound:  # another call did so at the same moment
            return True
        return True

    def _address(self, address_id: str) -> Any:
        with_id("eipalloc-", address_id, "address")
        found = self._cloud.call("ec2", "DescribeAddresses", AllocationIds=[address_id])["Addresses"]
        return one(found, "address", address_id)

    def _addresses(self, tags: Mapping[str, str]) -> list[Any]:
        filters = mapping.by_tags(tags)
        found = self._cloud.call("ec2", "DescribeAddresses", Filters=filters)["Addresses"]
        return [each for each in found if "AllocationId" in each]
