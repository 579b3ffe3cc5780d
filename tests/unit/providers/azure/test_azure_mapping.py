"""Names, sizes, images, user data: what is decided without asking Azure."""

from __future__ import annotations

import base64
import email
import subprocess
from pathlib import Path

import pytest

from pitrix.errors import CredentialInvalid, InvalidInput, ResourceNotFound
from providers.azure import mapping, naming, network_mapping, sizes, userdata
from providers.azure.client import Client
from providers.resources import Connection, MachineStatus, SecurityRule

HERE = "/subscriptions/5ab5/resourceGroups/pitrix/providers/Microsoft.Compute"
VERSION = f"{HERE}/galleries/pitrix_1/images/image/versions/1.0.0"


def test_a_key_makes_the_same_name_each_time_and_no_two_keys_one() -> None:
    assert naming.resource_name("cl-1.web.0") == naming.resource_name("cl-1.web.0")
    assert naming.resource_name("cl-1.web.0") != naming.resource_name("CL-1.web.0")
    assert len(naming.resource_name("k" * 64)) == 31


@pytest.mark.parametrize(
    ("cluster", "group"),
    [(None, "pitrix"), ("cl-01", "pitrix-cl-01"), ("nothing/../else", None), ("x" * 200, None)],
)
def test_a_cluster_has_a_resource_group_whose_name_azure_takes(
    cluster: str | None, group: str | None
) -> None:
    name = naming.group_name({"pitrix-cluster": cluster} if cluster else {})
    assert name == group if group else len(name) == len("pitrix-") + 24


@pytest.mark.parametrize(
    "text",
    ["", "disk", f"{HERE}/snapshots/a", f"{HERE}/disks/a/b/c", "/subscriptions/a/resourceGroups/b"],
)
def test_an_id_of_another_kind_is_nothing(text: str) -> None:
    with pytest.raises(ResourceNotFound):
        naming.split(text, "Microsoft.Compute/disks")


def test_an_id_is_read_however_its_letters_are_written() -> None:
    found = naming.split(f"{HERE}/disks/a".upper(), "Microsoft.Compute/disks")
    assert (found.subscription, found.group, found.names) == ("5AB5", "PITRIX", ("A",))


def test_ids_of_other_subscriptions_are_nothing_here() -> None:
    guid = "5ab50000-0000-4000-8000-000000000001"
    client = Client(Connection(zone="eastus", credential={"subscription_id": guid}))
    with pytest.raises(ResourceNotFound, match="another subscription"):
        client.own(f"{HERE}/disks/a", "Microsoft.Compute/disks")
    with pytest.raises(CredentialInvalid, match="subscription's id is a GUID"):
        Client(Connection(zone="eastus", credential={"subscription_id": "../../other"}))


def test_images_are_named_in_three_ways() -> None:
    urn = "Canonical:ubuntu-24_04-lts:server:latest"
    assert mapping.image_reference(urn, "5ab5")["sku"] == "server"
    assert mapping.image_reference(VERSION, "5AB5") == {"id": VERSION}
    shared = "/SharedGalleries/5ab5-PITRIX_1/Images/image/Versions/1.0.0"
    assert mapping.image_reference(VERSION, "another") == {"sharedGalleryImageId": shared}
    assert mapping.image_reference(shared, "another") == {"sharedGalleryImageId": shared}
    with pytest.raises(ResourceNotFound):
        mapping.image_reference("ubuntu", "5ab5")


def test_sizes_that_could_not_boot_our_images_or_would_be_guessed_are_not_offered() -> None:
    names = [
        "Standard_B1s",
        "Standard_D2s_v5",
        "Standard_D2ps_v5",  # Arm
        "Standard_D2_v5",  # no premium storage
        "Basic_A1",  # first generation
        "Standard_E4-2s_v5",  # fewer cores than the name says
        "Standard_DC2s_v3",  # confidential
        "Standard_NC4as_T4_v3",
        "Standard_NV12ads_A10_v5",  # a third of a GPU
    ]
    listed = [{"name": name, "numberOfCores": 2, "memoryInMB": 4096} for name in names]
    offered = {size.machine_type: size.gpu for size in sizes.machine_types(listed)}
    assert offered == {"Standard_B1s": 0, "Standard_D2s_v5": 0, "Standard_NC4as_T4_v3": 1}


@pytest.mark.parametrize(
    ("provisioning", "power", "status"),
    [
        ("Creating", None, MachineStatus.PENDING),
        ("Succeeded", "running", MachineStatus.RUNNING),
        ("Updating", "running", MachineStatus.RUNNING),
        ("Updating", "starting", MachineStatus.PENDING),
        ("Succeeded", "deallocated", MachineStatus.STOPPED),
        ("Deleting", "running", MachineStatus.PENDING),
        ("Failed", "running", MachineStatus.ERROR),
        ("Succeeded", None, MachineStatus.PENDING),
    ],
)
def test_a_machine_is_what_its_power_state_says(
    provisioning: str, power: str | None, status: MachineStatus
) -> None:
    statuses = [{"code": f"PowerState/{power}"}] if power else []
    told = {"properties": {"provisioningState": provisioning, "instanceView": {"statuses": statuses}}}
    assert mapping.machine_status(told) is status


def test_user_data_is_a_script_of_every_boot(tmp_path: Path) -> None:
    whole = email.message_from_bytes(base64.b64decode(userdata.wrapped("echo booted")))
    [part] = whole.get_payload()
    assert part.get_content_type() == "text/x-shellscript-per-boot"
    script = tmp_path / "script"
    script.write_bytes(part.get_payload(decode=True))
    script.chmod(0o700)
    assert subprocess.run([script], capture_output=True, text=True, check=True).stdout == "booted\n"
    assert userdata.wrapped("") == ""
    with pytest.raises(InvalidInput, match="65535"):
        userdata.wrapped("x" * 70_000)


def test_rules_keep_what_was_wanted_there_and_back() -> None:
    rules = (
        SecurityRule(protocol="tcp", port_from=80, port_to=80),
        SecurityRule(protocol="udp", port_from=1, port_to=65_535, cidr="198.51.100.0/24"),
    )
    sent = network_mapping.security_rules(rules)
    assert len({rule["properties"]["priority"] for rule in sent}) == 2
    told = {"id": "x", "properties": {"securityRules": sent}}
    assert network_mapping.security_group(told).rules == rules
