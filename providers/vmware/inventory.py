"""What lies where in a vCenter: zones, the folder of what Pitrix makes, and what is in it.

A zone is a cluster (or a lone host): ``datacenter/cluster``. All that Pitrix makes but port groups is
virtual machines and templates in one folder a datacenter, each with a record in its extra configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pitrix.errors import Conflict, CredentialInvalid, InvalidInput, ProviderUnavailable, ResourceNotFound
from providers.resources import Connection
from providers.vmware import devices, mapping
from providers.vmware.client import Client
from providers.vmware.mapping import Kept, Kind
from providers.vmware.sdk import vim

FOLDER = "pitrix"


@dataclass(frozen=True)
class Datastore:
    """A datastore of a cluster; sizes in GiB."""

    ref: Any
    name: str
    capacity_gib: int
    free_gib: int


@dataclass(frozen=True)
class Place:
    """A cluster of hosts, with what is needed to make something on it.

    ``cpu`` and ``memory_mib`` are those of its largest host: no machine can be larger.
    """

    zone: str
    datacenter: Any
    machine_folder: Any
    network_folder: Any
    pool: Any
    hosts: tuple[Any, ...]
    datastores: tuple[Datastore, ...]
    cpu: int
    memory_mib: int


class Inventory:
    """The part of a vCenter that a connection reaches; one instance of a provider has one."""

    def __init__(self, client: Client, connection: Connection) -> None:
        self.client = client
        self._connection = connection

    @cached_property
    def places(self) -> dict[str, Place]:
        """All zones of the vCenter by name, read in one call."""
        root = self.client.content.rootFolder
        v = vim()
        found = self.client.read(
            root,
            {
                v.Folder: ["name", "parent"],
                v.Datacenter: ["name", "parent", "hostFolder", "vmFolder", "networkFolder"],
                v.ComputeResource: ["name", "parent", "resourcePool", "host", "datastore"],
                v.HostSystem: ["summary.hardware"],
                v.Datastore: ["summary"],
            },
            [
                (v.Folder, "childEntity"),
                (v.Datacenter, "hostFolder"),
                (v.ComputeResource, "host"),
                (v.ComputeResource, "datastore"),
            ],
        )
        return mapping.places(found, root)

    @property
    def place(self) -> Place:
        """The connection's zone.

        Raises:
            CredentialInvalid: The vCenter has none of that name.
        """
        zone = self._connection.zone
        if zone not in self.places:
            known = ", ".join(sorted(self.places)) or "none that this user may see"
            raise CredentialInvalid(f"There is no zone {zone!r} in this vCenter; there are: {known}.")
        return self.places[zone]

    def datastore(self, name: str = "") -> Datastore:
        """A datastore of the zone; the credential's, or else the emptiest, when none is named.

        Raises:
            InvalidInput: The zone has no such datastore, or none at all.
        """
        stores = self.place.datastores
        name = name or self._connection.credential.get("datastore", "")
        fitting = [store for store in stores if not name or store.name == name]
        if not fitting:
            known = ", ".join(sorted(store.name for store in stores)) or "none"
            raise InvalidInput(f"The zone has no datastore {name!r}; it has: {known}.")
        return max(fitting, key=lambda store: store.free_gib)

    # --- what Pitrix made ----------------------------------------------------------------------------

    def folder(self, place: Place | None = None) -> Any | None:
        """The folder of what Pitrix made in a datacenter, or None where it has made nothing."""
        return self.client.find_child((place or self.place).machine_folder, FOLDER)

    def made_folder(self, place: Place) -> Any:
        """The folder of what Pitrix makes in a datacenter, made when it is not there."""
        try:
            return self.folder(place) or self.client.ask(place.machine_folder.CreateFolder, FOLDER)
        except Conflict:  # somebody else was faster
            return self.folder(place)

    def all(self, *kinds: Kind) -> list[Kept]:
        """All that Pitrix made in the datacenter, of these kinds, oldest first."""
        folder = self.folder()
        if folder is None:
            return []
        v = vim()
        found = self.client.read(folder, {v.VirtualMachine: mapping.PATHS}, [(v.Folder, "childEntity")])
        kept = (mapping.kept(ref, properties) for ref, properties in found)
        return sorted((each for each in kept if each and each.kind in kinds), key=lambda each: each.created)

    def get(self, kind: Kind, moid: str) -> Kept:
        """One of the things that Pitrix made.

        Raises:
            ResourceNotFound: There is none of that kind and id, or it is gone, or it is not Pitrix's.
        """
        found = self.properties(moid)
        kept = found and mapping.kept(*found)
        if not kept or kept.kind is not kind:
            raise ResourceNotFound(f"There is no {kind} {moid}, or it is gone.")
        return kept

    def properties(self, moid: str) -> tuple[Any, dict[str, Any]] | None:
        """A virtual machine or template of anybody's, or None."""
        if not mapping.is_machine_id(moid):
            return None
        ref = self.client.of("VirtualMachine", moid)
        try:
            return self.client.read(ref, {vim().VirtualMachine: mapping.PATHS})[0]
        except (ResourceNotFound, IndexError):
            return None

    def by_key(self, kind: Kind, key: str, place: Place | None = None) -> Kept | None:
        """What was made for a key, or None. While a copy is being made it has a name and nothing else."""
        folder = self.folder(place)
        ref = folder and self.client.find_child(folder, mapping.name_for(kind, key))
        if not ref:
            return None
        found = self.properties(ref._moId)
        return found and mapping.kept(*found)

    def made(self, kind: Kind, key: str, place: Place | None = None) -> Kept:
        """What has just been asked for.

        Raises:
            ProviderUnavailable: vCenter does not show it yet; whoever asks again is told.
        """
        kept = self.by_key(kind, key, place)
        if kept is None:
            raise ProviderUnavailable(f"vCenter is making the {kind}, but does not show it yet; ask again.")
        return kept

    def volumes_of(self, machine: Kept) -> list[Kept]:
        """The volumes whose disks a machine has; read only when it has any."""
        files = {disk.backing.fileName for disk in machine.volume_disks}
        volumes = self.all(Kind.VOLUME) if files else []
        return [volume for volume in volumes if files.intersection(volume.files)]

    def holders(self) -> dict[str, Kept]:
        """Machines by the files of their disks."""
        return {file: machine for machine in self.all(Kind.MACHINE) for file in machine.files}

    def detach(self, machine: Kept, disks: list[Any]) -> bool:
        """Take disks out of a machine and leave their files; whether that is done."""
        changes = [devices.removed(disk) for disk in disks]
        return self.client.send(machine.ref.ReconfigVM_Task, vim().vm.ConfigSpec(deviceChange=changes))
