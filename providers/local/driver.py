"""The local provider: runs an application on this very machine, through ``infra/local/hypervisor``.

Offers machines, volumes, networks and key pairs. Machines are real processes with a loopback address
each; their sizes are declared and counted, not enforced, and they have the rights of whoever started
the hypervisor. That is why only an operator may connect it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pitrix.errors import CredentialInvalid, InvalidInput
from providers.base import KeyPairs, Machines, Networks, Provider, Volumes, check_key
from providers.local import mapping
from providers.local.client import Client
from providers.resources import (
    Connection,
    Image,
    KeyPair,
    KeyPairSpec,
    Machine,
    MachineSpec,
    MachineType,
    Network,
    NetworkSpec,
    Quota,
    Volume,
    VolumeSpec,
    Zone,
)


class LocalProvider(Provider, Machines, Volumes, Networks, KeyPairs):
    """One hypervisor. Every promise is the base class's; what differs is said at the method."""

    name = "local"
    title = "This machine"
    operator_only = True
    credential_schema: ClassVar[Mapping[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "endpoint": {
                "type": "string",
                "title": "Address of the hypervisor",
                "description": "http://127.0.0.1:PORT; leave it out for the one that ./infra/up started.",
                "format": "uri",
                "maxLength": 200,
            },
            "token": {
                "type": "string",
                "title": "Token",
                "description": "What is in the hypervisor's token file.",
                "writeOnly": True,
                "minLength": 1,
                "maxLength": 200,
            },
        },
        "required": ["token"],
        "additionalProperties": False,
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        credential = connection.credential
        endpoint = credential.get("endpoint") or connection.settings.get("endpoint", "")
        self._cloud = Client(endpoint, credential.get("token", ""))

    def validate_credential(self) -> None:
        zones = [zone.zone for zone in self.zones()]
        if self.connection.zone not in zones:
            raise CredentialInvalid(f"There is no zone {self.connection.zone!r}; it is {', '.join(zones)}.")

    def zones(self) -> list[Zone]:
        return [mapping.zone(zone) for zone in self._cloud.get("account")["zones"]]

    # --- machines ------------------------------------------------------------------------------------

    def machine_types(self) -> list[MachineType]:
        """Common sizes; any other size may be asked for as well."""
        return [mapping.machine_type(size) for size in self._cloud.get("machine-types")]

    def machine_images(self) -> list[Image]:
        return [mapping.image(image) for image in self._cloud.get("images")]

    def create_machine(self, spec: MachineSpec, *, idempotency_key: str) -> Machine:
        """Declared sizes need no type: the machine has exactly what was asked for."""
        if spec.gpu:
            raise InvalidInput("This machine's GPUs cannot be given to applications.")
        request = mapping.machine_request(spec, check_key(idempotency_key))
        return mapping.machine(self._cloud.post("machines", body=request))

    def get_machine(self, machine_id: str) -> Machine:
        return mapping.machine(self._cloud.get("machines", machine_id))

    def list_machines(self, tags: Mapping[str, str]) -> list[Machine]:
        return [mapping.machine(machine) for machine in self._cloud.get("machines", tags=tags)]

    def start_machine(self, machine_id: str) -> Machine:
        return mapping.machine(self._cloud.post("machines", machine_id, "start"))

    def stop_machine(self, machine_id: str) -> Machine:
        return mapping.machine(self._cloud.post("machines", machine_id, "stop"))

    def resize_machine(self, machine_id: str, *, cpu: int, memory_mib: int) -> Machine:
        body = {"cpu": cpu, "memory_mib": memory_mib}
        return mapping.machine(self._cloud.post("machines", machine_id, "resize", body=body))

    def delete_machine(self, machine_id: str) -> None:
        self._cloud.delete("machines", machine_id)

    def quotas(self) -> list[Quota]:
        return mapping.quotas(self._cloud.get("account")["quotas"])

    def console_output(self, machine_id: str) -> str:
        output: str = self._cloud.get("machines", machine_id, "console")["output"]
        return output

    # --- volumes -------------------------------------------------------------------------------------

    def create_volume(self, spec: VolumeSpec, *, idempotency_key: str) -> Volume:
        """Every class is a folder on this machine; the first is seen at ``$PITRIX_DATA_DIR``."""
        request = mapping.volume_request(spec, check_key(idempotency_key))
        return mapping.volume(self._cloud.post("volumes", body=request))

    def get_volume(self, volume_id: str) -> Volume:
        return mapping.volume(self._cloud.get("volumes", volume_id))

    def list_volumes(self, tags: Mapping[str, str]) -> list[Volume]:
        return [mapping.volume(volume) for volume in self._cloud.get("volumes", tags=tags)]

    def attach_volume(self, volume_id: str, machine_id: str) -> Volume:
        body = {"machine_id": machine_id}
        return mapping.volume(self._cloud.post("volumes", volume_id, "attach", body=body))

    def detach_volume(self, volume_id: str) -> Volume:
        return mapping.volume(self._cloud.post("volumes", volume_id, "detach"))

    def extend_volume(self, volume_id: str, *, size_gib: int) -> Volume:
        body = {"size_gib": size_gib}
        return mapping.volume(self._cloud.post("volumes", volume_id, "extend", body=body))

    def delete_volume(self, volume_id: str) -> None:
        self._cloud.delete("volumes", volume_id)

    # --- networks ------------------------------------------------------------------------------------

    def create_network(self, spec: NetworkSpec, *, idempotency_key: str) -> Network:
        """A /24 of loopback addresses inside 127.80.0.0/16; 127.0.0.1/32 where the system has no more."""
        request = mapping.network_request(spec, check_key(idempotency_key))
        return mapping.network(self._cloud.post("networks", body=request))

    def get_network(self, network_id: str) -> Network:
        return mapping.network(self._cloud.get("networks", network_id))

    def list_networks(self, tags: Mapping[str, str]) -> list[Network]:
        return [mapping.network(network) for network in self._cloud.get("networks", tags=tags)]

    def delete_network(self, network_id: str) -> None:
        self._cloud.delete("networks", network_id)

    # --- key pairs -----------------------------------------------------------------------------------

    def import_key_pair(self, spec: KeyPairSpec, *, idempotency_key: str) -> KeyPair:
        request = mapping.key_pair_request(spec, check_key(idempotency_key))
        return mapping.key_pair(self._cloud.post("key-pairs", body=request))

    def get_key_pair(self, key_pair_id: str) -> KeyPair:
        return mapping.key_pair(self._cloud.get("key-pairs", key_pair_id))

    def list_key_pairs(self, tags: Mapping[str, str]) -> list[KeyPair]:
        return [mapping.key_pair(pair) for pair in self._cloud.get("key-pairs", tags=tags)]

    def delete_key_pair(self, key_pair_id: str) -> None:
        self._cloud.delete("key-pairs", key_pair_id)
