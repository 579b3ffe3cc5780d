"""What Azure does beyond its specification, and the driver's way around it: sizes that are listed and not
sold, machines that are off and paid for, resource groups that are not everywhere at once, ids in capitals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from pitrix.errors import InvalidInput, PitrixError, ProviderUnavailable, ResourceNotFound
from providers.azure import errors, naming, sizes
from providers.azure.driver import AzureProvider
from providers.resources import Connection, MachineSpec, MachineStatus, MachineType, VolumeStatus

GUID = "00000000-0000-4000-8000-00000000000a"
GROUP = f"/subscriptions/{GUID}/resourceGroups/pitrix-c"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/pitrix-1"
DISK = f"{GROUP}/providers/Microsoft.Compute/disks/pitrix-2"
NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/pitrix-3"
TYPES = [
    MachineType(machine_type=f"Standard_{name}", cpu=cpu, memory_mib=memory)
    for name, cpu, memory in (
        ("B1s", 1, 1024),
        ("B1ms", 1, 2048),
        ("D2s_v3", 2, 8192),
        ("D2s_v5", 2, 8192),
        ("D4s_v5", 4, 16384),
    )
]


@pytest.fixture
def azure() -> Any:
    """A provider whose management clients are mocks; nothing is connected to."""
    credential = {"method": "client-secret", "tenant_id": GUID, "client_id": GUID, "client_secret": "s"}
    provider = AzureProvider(
        Connection(zone="eastus", credential={**credential, "subscription_id": GUID}, settings={})
    )
    cloud = provider._cloud
    cloud.sizes = TYPES
    for name in ("compute", "disks", "network", "resources"):
        cloud.__dict__[name] = MagicMock(name=name)
    return provider


def told(size: str = "Standard_B1s", power: str = "running", disks: tuple[str, ...] = ()) -> dict[str, Any]:
    attached = [{"lun": n, "managedDisk": {"id": disk}} for n, disk in enumerate(disks)]
    return {
        "id": MACHINE,
        "location": "eastus",
        "properties": {
            "provisioningState": "Succeeded",
            "hardwareProfile": {"vmSize": size},
            "storageProfile": {"dataDisks": attached},
            "instanceView": {"statuses": [{"code": f"PowerState/{power}"}]},
        },
    }


def refusal(code: str, status: int = 409) -> PitrixError:
    return errors.from_answer(status, code, "no")


# --- sizes ---------------------------------------------------------------------------------------------


def test_a_size_of_each_family_is_tried_smallest_first() -> None:
    assert sizes.to_try(TYPES, cpu=1, memory_mib=512) == [
        "Standard_B1s",
        "Standard_B1ms",
        "Standard_D2s_v3",
        "Standard_D2s_v5",
    ]
    assert sizes.to_try(TYPES, cpu=4, memory_mib=512) == ["Standard_D4s_v5"]
    with pytest.raises(InvalidInput, match="the largest has 4 CPU"):
        sizes.to_try(TYPES, cpu=5, memory_mib=512)


def seller(azure: Any, sold: set[str]) -> list[str]:
    """Let Azure take machines of the sizes in ``sold``; which were asked for."""
    asked: list[str] = []

    def make(group: str, name: str, request: dict[str, Any], **_: Any) -> Any:
        asked.append(request["properties"]["hardwareProfile"]["vmSize"])
        if asked[-1] not in sold:
            raise refusal("SkuNotAvailable")
        return MagicMock(result=lambda: told(asked[-1]))

    azure._cloud.compute.virtual_machines.begin_create_or_update = make
    azure._cloud.compute.virtual_machines.get.side_effect = ResourceNotFound("none yet")
    return asked


def spec() -> MachineSpec:
    return MachineSpec(
        name="web", cpu=1, memory_mib=512, image="Canonical:a:b:latest", network_id=NETWORK, tags={}
    )


def test_a_size_that_is_listed_and_not_sold_is_passed_over(azure: Any) -> None:
    asked = seller(azure, {"Standard_D2s_v5"})
    made = azure.create_machine(spec(), idempotency_key="k")
    assert made.machine_type == "Standard_D2s_v5"
    assert asked == ["Standard_B1s", "Standard_B1ms", "Standard_D2s_v3", "Standard_D2s_v5"]


def test_where_none_is_sold_that_is_said(azure: Any) -> None:
    asked = seller(azure, set())
    with pytest.raises(InvalidInput, match="SkuNotAvailable"):
        azure.create_machine(spec(), idempotency_key="k")
    assert len(asked) == 4


def test_a_machine_of_the_next_size_is_not_resized_again(azure: Any) -> None:
    azure._cloud.compute.virtual_machines.get.return_value = told("Standard_D2s_v3", "deallocated")
    asked: list[str] = []

    def change(group: str, name: str, request: dict[str, Any], **_: Any) -> Any:
        asked.append(request["properties"]["hardwareProfile"]["vmSize"])
        raise refusal("SkuNotAvailable")

    azure._cloud.compute.virtual_machines.begin_update = change
    assert azure.resize_machine(MACHINE, cpu=1, memory_mib=512).machine_type == "Standard_D2s_v3"
    assert asked == ["Standard_B1s", "Standard_B1ms"]


# --- power ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("power", "sent"), [("stopped", True), ("deallocated", False), ("running", True)])
def test_a_machine_that_was_shut_down_from_inside_is_not_paid_for_on(
    azure: Any, power: str, sent: bool
) -> None:
    machines = azure._cloud.compute.virtual_machines
    machines.get.return_value = told(power=power)
    azure.stop_machine(MACHINE)
    assert machines.begin_deallocate.called is sent


def test_off_is_off_whoever_did_it(azure: Any) -> None:
    azure._cloud.compute.virtual_machines.get.return_value = told(power="stopped")
    assert azure.get_machine(MACHINE).status is MachineStatus.STOPPED


# --- what takes a while to be known --------------------------------------------------------------------


def test_a_group_that_was_made_and_is_not_found_yet_is_asked_for_again(azure: Any) -> None:
    def begin(*_: Any, **__: Any) -> Any:
        raise refusal("ResourceGroupNotFound", 404)

    with pytest.raises(ProviderUnavailable, match="ask again"):
        azure._cloud.create(begin, "pitrix-c", "name", {})
    assert azure._cloud.resources.resource_groups.create_or_update.call_count == 1


@pytest.mark.parametrize(
    "code",
    ["AttachDiskWhileBeingDetached", "NicReservedForAnotherVm", "CanceledAndSupersededDueToAnotherOperation"],
)
def test_what_passes_by_itself_is_asked_again(code: str) -> None:
    assert type(refusal(code, 400)) is ProviderUnavailable


def test_an_attachment_is_told_when_the_disk_has_it(azure: Any) -> None:
    """Of two changes of a machine at once Azure may drop one, so the request alone proves nothing."""
    azure._cloud.compute.virtual_machines.get.return_value = told()
    disk = {"id": DISK, "location": "eastus", "properties": {"provisioningState": "Succeeded"}}
    azure._cloud.disks.disks.get.return_value = disk
    volume = azure.attach_volume(DISK, MACHINE)
    assert (volume.status, volume.machine_id) == (VolumeStatus.PENDING, None)
    azure._cloud.disks.disks.get.return_value = {**disk, "managedBy": MACHINE}
    assert azure.attach_volume(DISK, MACHINE).status is VolumeStatus.IN_USE


LISTS: list[tuple[str, Callable[[Any], Any]]] = [
    ("machine", lambda cloud: cloud.compute.virtual_machines.list),
    ("disk", lambda cloud: cloud.disks.disks.list_by_resource_group),
    ("snapshot", lambda cloud: cloud.disks.snapshots.list_by_resource_group),
    ("interface", lambda cloud: cloud.network.network_interfaces.list),
    ("security group", lambda cloud: cloud.network.network_security_groups.list),
    ("address", lambda cloud: cloud.network.public_ip_addresses.list),
]


def emptied(azure: Any, listed: list[dict[str, str]]) -> Any:
    """A cluster's group of which ARM tells ``listed``, and in which only the network is."""
    cloud = azure._cloud
    for _, listing in LISTS:
        listing(cloud).return_value = []
    cloud.network.virtual_networks.list.return_value = [{"id": NETWORK}]
    cloud.resources.resources.list_by_resource_group.return_value = listed
    return cloud


def test_a_group_goes_with_its_network_although_arm_remembers_what_was_in_it(azure: Any) -> None:
    gone = {"id": MACHINE, "type": "Microsoft.Compute/virtualMachines"}
    cloud = emptied(azure, [{"id": NETWORK, "type": "Microsoft.Network/virtualNetworks"}, gone])
    azure.delete_network(NETWORK)
    assert cloud.resources.resource_groups.begin_delete.called


@pytest.mark.parametrize("number", range(len(LISTS)), ids=[name for name, _ in LISTS])
def test_a_group_stays_for_what_arm_does_not_tell_yet(azure: Any, number: int) -> None:
    cloud = emptied(azure, [{"id": NETWORK, "type": "Microsoft.Network/virtualNetworks"}])
    LISTS[number][1](cloud).return_value = [{"id": DISK}]
    azure.delete_network(NETWORK)
    assert not cloud.resources.resource_groups.begin_delete.called
    assert cloud.network.virtual_networks.begin_delete.called


def test_a_group_stays_for_what_others_put_there(azure: Any) -> None:
    other = {"id": f"{GROUP}/providers/Microsoft.Web/sites/theirs", "type": "Microsoft.Web/sites"}
    cloud = emptied(azure, [other])
    azure.delete_network(NETWORK)
    assert not cloud.resources.resource_groups.begin_delete.called


# --- ids -----------------------------------------------------------------------------------------------


def test_an_id_is_told_in_one_spelling() -> None:
    shouted = MACHINE.replace("resourceGroups/pitrix-c", "resourcegroups/PITRIX-C")
    found = naming.with_canonical_ids(
        {"id": DISK, "managedBy": shouted, "properties": {"disks": [{"id": shouted}], "note": shouted}}
    )
    assert found == {
        "id": DISK,
        "managedBy": MACHINE,
        "properties": {"disks": [{"id": MACHINE}], "note": shouted},
    }
    assert naming.with_canonical_ids({"id": "Basic"}) == {"id": "Basic"}


def test_a_group_is_named_in_small_letters() -> None:
    assert naming.group_name({"pitrix-cluster": "CL-01"}) == "pitrix-cl-01"
