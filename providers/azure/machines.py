"""Virtual machines of Azure.

One request makes a machine with its network interface and its system disk, which Azure deletes with it.
Stopping gives the machine's cores back (*deallocate*); its private address stays with its interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pitrix.errors import Conflict, InvalidInput
from providers.azure import errors, mapping, naming, sizes, userdata
from providers.azure.client import Json
from providers.azure.cloud import Cloud
from providers.base import Machines, check_key
from providers.resources import Image, Machine, MachineSpec, MachineStatus, MachineType, Quota

KIND = "Microsoft.Compute/virtualMachines"
INTERFACE = "Microsoft.Network/networkInterfaces"
IMAGES = (
    ("Canonical:ubuntu-24_04-lts:server:latest", "Ubuntu 24.04 LTS"),
    ("Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest", "Ubuntu 22.04 LTS"),
    ("Debian:debian-12:12-gen2:latest", "Debian 12"),
)
"""Images of the marketplace that have cloud-init 22.1 or newer, and no terms to be accepted."""


class AzureMachines(Cloud, Machines):
    """A machine's name is made of its key; Azure has a name once in a resource group."""

    def machine_types(self) -> list[MachineType]:
        """The sizes of the location, see ``sizes.py``; they are asked for once."""
        if self._cloud.sizes is None:
            listed = self._cloud.every(self._cloud.compute.virtual_machine_sizes.list, self._cloud.zone)
            self._cloud.sizes = sizes.machine_types(listed)
        return self._cloud.sizes

    def machine_images(self) -> list[Image]:
        """Images of the marketplace. Images of one's own: ``list_images``."""
        return [Image(image_id=image_id, name=name) for image_id, name in IMAGES]

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        """Azure puts a machine into one security group at most."""
        name = naming.resource_name(check_key(idempotency_key))
        group = naming.group_name(spec.tags)
        made = self._look_for_machine(group, name)
        if made is None:
            request = self._machine_request(spec, idempotency_key, name)
            try:
                made = self._make_machine(group, name, request, self._sizes_for(spec))
            except Conflict:  # another call made it at the same moment, with another user data
                if (made := self._look_for_machine(group, name)) is None:
                    raise
            return self._machine_told(made, spec.network_id)
        return self._machine_told(made)

    def get_machine(self, machine_id: str) -> Machine:
        return self._machine_told(self._machine(machine_id))

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        """Four requests at most, however many machines there are."""
        api = self._cloud.compute.virtual_machines
        found = self._held(tags, api.list, api.list_all)
        if not found:
            return []
        views = {each["id"].lower(): each for each in self._cloud.every(api.list_all, status_only="true")}
        network = self._cloud.network
        interfaces = {
            each["id"].lower(): each for each in self._cloud.every(network.network_interfaces.list_all)
        }
        addresses = {
            each["id"].lower(): each for each in self._cloud.every(network.public_ip_addresses.list_all)
        }
        listed = []
        for told in found:
            view = views.get(told["id"].lower(), {}).get("properties", {}).get("instanceView")
            whole = {**told, "properties": {**told["properties"], "instanceView": view}}
            interface = interfaces.get(mapping.interface_of(told).lower())
            address = addresses.get(mapping.address_of(interface).lower()) if interface else None
            ip = address["properties"].get("ipAddress") if address else None
            listed.append(mapping.machine(whole, interface, ip, self.machine_types()))
        return listed

    def start_machine(self, machine_id: str) -> Machine:
        """User data is a script of every boot, see ``userdata.py``."""
        return self._power(machine_id, "begin_start", MachineStatus.RUNNING)

    def stop_machine(self, machine_id: str) -> Machine:
        return self._power(machine_id, "begin_deallocate", MachineStatus.STOPPED)

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        told, refused = self._machine(machine_id), ""
        for size in sizes.to_try(self.machine_types(), cpu=cpu, memory_mib=memory_mib):
            if mapping.same(size, told["properties"]["hardwareProfile"]["vmSize"]):
                return self._machine_told(told)
            if mapping.machine_status(told) is not MachineStatus.STOPPED:
                raise Conflict("Only a stopped machine gets another size; stop it first.")
            try:
                self._update_machine(machine_id, {"properties": {"hardwareProfile": {"vmSize": size}}})
                return self.get_machine(machine_id)
            except errors.SizeNotSold as error:
                refused = error.detail
        raise InvalidInput(refused)

    def delete_machine(self, machine_id: str) -> None:
        self._delete(self._cloud.compute.virtual_machines.begin_delete, machine_id, KIND)

    def quotas(self) -> list[Quota]:
        """The location's limits on cores, of all sizes and of each family, and on machines."""
        return [
            mapping.quota(each)
            for each in self._cloud.every(self._cloud.compute.usage.list, self._cloud.zone)
        ]

    def console_output(self, machine_id: str) -> str:
        found = self._cloud.own(machine_id, KIND)
        api = self._cloud.compute.virtual_machines
        try:
            told = self._cloud.ask(api.retrieve_boot_diagnostics_data, found.group, *found.names)
        except (Conflict, InvalidInput):  # its boot diagnostics have begun no log yet
            return ""
        url = told.get("serialConsoleLogBlobUri", "")
        return self._cloud.console(url) if url else ""

    # --- inside ----------------------------------------------------------------------------------------

    def _sizes_for(self, spec: MachineSpec) -> list[str]:
        return sizes.to_try(self.machine_types(), cpu=spec.cpu, memory_mib=spec.memory_mib, gpu=spec.gpu)

    def _make_machine(self, group: str, name: str, request: dict[str, Any], names: list[str]) -> Json:
        """Ask for a machine of the first of the sizes ``names`` that Azure sells.

        Raises:
            InvalidInput: It sells none of them.
        """
        begin, refused = self._cloud.compute.virtual_machines.begin_create_or_update, ""
        for size in names:
            request["properties"]["hardwareProfile"] = {"vmSize": size}
            try:
                return self._cloud.create(begin, group, name, request)
            except errors.SizeNotSold as error:
                refused = error.detail
        raise InvalidInput(refused)

    def _look_for_machine(self, group: str, name: str) -> Json | None:
        get = self._cloud.compute.virtual_machines.get
        return self._cloud.find(get, group, name, expand="instanceView")

    def _machine(self, machine_id: str) -> Json:
        found = self._cloud.own(machine_id, KIND)
        get = self._cloud.compute.virtual_machines.get
        return self._cloud.ask(get, found.group, *found.names, expand="instanceView")

    def _update_machine(self, machine_id: str, change: Json) -> None:
        found = self._cloud.own(machine_id, KIND)
        self._cloud.send(self._cloud.compute.virtual_machines.begin_update, found.group, *found.names, change)

    def _machine_request(self, spec: MachineSpec, key: str, name: str) -> dict[str, Any]:
        if len(spec.security_group_ids) > 1:
            raise InvalidInput("Azure puts a machine into one security group at most.")
        self._cloud.own(spec.network_id, "Microsoft.Network/virtualNetworks")
        for group_id in spec.security_group_ids:
            self._cloud.own(group_id, "Microsoft.Network/networkSecurityGroups")
        for volume_id in spec.volume_ids:
            self._cloud.own(volume_id, "Microsoft.Compute/disks")
        return mapping.machine_request(
            spec,
            key,
            zone=self._cloud.zone,
            name=name,
            size=self._sizes_for(spec)[0],
            image=mapping.image_reference(spec.image, self._cloud.subscription_id),
            ssh_key=self._public_key(spec.key_pair) if spec.key_pair else nobodys_key(),
            user_data=userdata.wrapped(spec.user_data),
        )

    def _public_key(self, key_pair_id: str) -> str:
        found = self._cloud.own(key_pair_id, "Microsoft.Compute/sshPublicKeys")
        told = self._cloud.ask(self._cloud.compute.ssh_public_keys.get, found.group, *found.names)
        return str(told["properties"]["publicKey"])

    def _machine_told(self, told: Json, network_id: str = "") -> Machine:
        """A machine with its addresses, which Azure keeps elsewhere."""
        interface, ip = None, None
        if interface_id := mapping.interface_of(told):
            found = self._cloud.own(interface_id, INTERFACE)
            get = self._cloud.network.network_interfaces.get
            interface = self._cloud.find(get, found.group, *found.names)
        if interface is not None and (address_id := mapping.address_of(interface)):
            found = self._cloud.own(address_id, "Microsoft.Network/publicIPAddresses")
            address = self._cloud.find(self._cloud.network.public_ip_addresses.get, found.group, *found.names)
            ip = address["properties"].get("ipAddress") if address else None
        return mapping.machine(told, interface, ip, self.machine_types(), network_id)

    def _power(self, machine_id: str, begin: str, wanted: MachineStatus) -> Machine:
        """Send a machine to another power state, unless it is there, or on its way somewhere.

        One that was shut down from inside is stopped, but holds its cores and is paid for; it is sent on.
        """
        told = self._machine(machine_id)
        status = mapping.machine_status(told)
        settled = status is wanted and not (wanted is MachineStatus.STOPPED and mapping.holds_cores(told))
        if settled or status is MachineStatus.PENDING:
            return self._machine_told(told)
        found = self._cloud.own(machine_id, KIND)
        self._cloud.send(getattr(self._cloud.compute.virtual_machines, begin), found.group, *found.names)
        return self.get_machine(machine_id)


@cache
def nobodys_key() -> str:
    """A public key whose private half nobody has: Azure wants one for every machine. Made once a process."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key()
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_bytes(*form).decode()
