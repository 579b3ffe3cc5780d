"""The fake Azure is honest: what breaks Azure's specification fails on it, as it would at Azure.

Driven by the unmodified SDK where that is about requests. That each of its answers validates is held by
the server itself (``dishonest``), here and at the end of every run of the contract suite.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pitrix.errors import CredentialInvalid
from providers.azure.client import Client
from providers.azure.driver import AzureProvider
from providers.resources import Connection
from tests.clouds.azure.catalogue import Application, Subscription
from tests.clouds.azure.certificates import for_application, for_loopback
from tests.clouds.azure.server import Azure, running
from tests.clouds.azure.specification import FOLDER, Specification

if not FOLDER.exists():
    assert not os.environ.get("CI"), f"Azure's REST specifications are not in {FOLDER}"
    pytest.skip(f"Azure's REST specifications are not in {FOLDER}", allow_module_level=True)

TENANT, SUBSCRIPTION = "7e7a0001-0000-4000-8000-000000000001", "5ab50000-0000-4000-8000-000000000001"
UNREGISTERED = "5ab50000-0000-4000-8000-000000000002"
CERTIFICATE, KEY = for_application()
OWNER = Application(
    "c11e0000-0000-4000-8000-000000000001",
    "a secret",
    TENANT,
    {SUBSCRIPTION: "Contributor", UNREGISTERED: "Contributor"},
    CERTIFICATE,
)
READER = Application("c11e0000-0000-4000-8000-000000000002", "a secret", TENANT, {SUBSCRIPTION: "Reader"})
DISK = {"location": "eastus", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}}
NETWORK = {
    "location": "eastus",
    "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "machines", "properties": {"addressPrefix": "10.0.0.0/24"}}],
    },
}


@dataclass
class World:
    """A fake, the SDK in front of it, and a resource group in it."""

    azure: Azure
    settings: dict[str, str]
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.connection())
        self.client.make_group("group")

    def connection(
        self, application: Application = OWNER, subscription: str = SUBSCRIPTION, **changes: str
    ) -> Connection:
        credential = {
            "tenant_id": TENANT,
            "client_id": application.client_id,
            "client_secret": application.secret,
            "subscription_id": subscription,
            **changes,
        }
        return Connection(zone="eastus", credential=credential, settings=self.settings)

    def refused(self, call: Any, *args: Any, **more: Any) -> tuple[int, str]:
        """The status and the code with which a call fails."""
        from azure.core.exceptions import HttpResponseError

        with pytest.raises(HttpResponseError) as raised:
            call(*args, **more)
        assert raised.value.error is not None
        return raised.value.status_code or 0, raised.value.error.code or ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    certificate, key = for_loopback(tmp_path_factory.mktemp("azure"))
    subscriptions = [
        Subscription(SUBSCRIPTION, TENANT),
        Subscription(UNREGISTERED, TENANT, unregistered=frozenset({"Microsoft.Network"})),
    ]
    with running((certificate, key), [OWNER, READER], subscriptions) as azure:
        settings = {"endpoint": azure.url, "authority": azure.url, "ca_bundle": certificate.read_text()}
        yield World(azure, settings)
        assert azure.dishonest == []


def test_operations_that_take_long_end_as_the_sdk_expects(world: World) -> None:
    disks = world.client.disks.disks
    made = disks.begin_create_or_update("group", "slow", DISK, polling_interval=0.05).result()
    assert made.as_dict()["properties"]["provisioningState"] == "Succeeded"
    disks.begin_delete("group", "slow", polling_interval=0.05).result()
    assert world.refused(disks.get, "group", "slow") == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"propertiez": {}}, "InvalidParameter"),
        ({"location": 7}, "InvalidParameter"),
        ({"sku": {"name": "Floppy_LRS"}}, "InvalidParameter"),
        ({"properties": {"creationData": {}}}, "InvalidParameter"),
        ({"properties": {"creationData": {"createOption": "Empty"}}}, "InvalidParameter"),
    ],
    ids=["unknown member", "another type", "not in the list", "lacks what is required", "no size"],
)
def test_a_body_that_breaks_the_specification_is_refused(
    world: World, change: dict[str, Any], code: str
) -> None:
    begin = world.client.disks.disks.begin_create_or_update
    assert world.refused(begin, "group", "wrong", {**DISK, **change}, polling=False) == (400, code)


def test_a_version_that_no_specification_has_is_refused(world: World) -> None:
    answer = world.azure.answer("GET", f"/subscriptions/{SUBSCRIPTION}/resourcegroups", {}, b"")
    assert answer[1]["error"]["code"] == "MissingApiVersionParameter"
    target = f"/subscriptions/{SUBSCRIPTION}/resourcegroups?api-version=1999-01-01"
    assert world.azure.answer("GET", target, {}, b"")[1]["error"]["code"] == "NoRegisteredProviderFound"


def test_what_refers_to_nothing_is_refused(world: World) -> None:
    network = world.client.network
    nowhere = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.Network"
    subnet = {"id": f"{nowhere}/virtualNetworks/none/subnets/machines"}
    nic = {
        "location": "eastus",
        "properties": {"ipConfigurations": [{"name": "main", "properties": {"subnet": subnet}}]},
    }
    begin = network.network_interfaces.begin_create_or_update
    assert world.refused(begin, "group", "nic", nic, polling=False) == (400, "InvalidResourceReference")
    begin = network.virtual_networks.begin_create_or_update
    assert world.refused(begin, "none", "net", NETWORK, polling=False) == (404, "ResourceGroupNotFound")


def test_what_is_in_use_is_not_deleted(world: World) -> None:
    network = world.client.network
    begin = network.virtual_networks.begin_create_or_update
    made = begin("group", "used", NETWORK, polling_interval=0.05).result().as_dict()
    nic = {
        "location": "eastus",
        "properties": {
            "ipConfigurations": [
                {"name": "main", "properties": {"subnet": {"id": made["properties"]["subnets"][0]["id"]}}}
            ]
        },
    }
    network.network_interfaces.begin_create_or_update("group", "user", nic, polling_interval=0.05).result()
    begin = network.virtual_networks.begin_delete
    assert world.refused(begin, "group", "used", polling=False) == (400, "InUseSubnetCannotBeDeleted")
    network.network_interfaces.begin_delete("group", "user", polling_interval=0.05).result()
    begin("group", "used", polling_interval=0.05).result()


def test_an_answer_that_breaks_the_specification_is_noticed() -> None:
    """The check of answers finds what it should: each member that is wrong, in each kind of resource."""
    specification = Specification()
    operation = specification.named("VirtualNetworks_Get")
    good = {"id": "/x", "name": "x", "location": "eastus", "properties": {"provisioningState": "Succeeded"}}
    assert specification.wrong_with_answer(operation, 200, good) == []
    for wrong in (
        {**good, "colour": "blue"},
        {**good, "properties": {"provisioningState": "Creating"}},
        {**good, "properties": {"addressSpace": {"addressPrefixes": "10.0.0.0/8"}}},
        {**good, "location": None},
    ):
        assert specification.wrong_with_answer(operation, 200, wrong), wrong
    assert specification.wrong_with_answer(operation, 299, good)
    assert specification.wrong_with_answer(operation, 200, None)


def test_what_only_the_cloud_sets_is_ignored_in_requests() -> None:
    specification = Specification()
    operation = specification.named("Disks_CreateOrUpdate")
    sent = copy.deepcopy(DISK) | {"id": "/mine", "managedBy": "me"}
    sent["properties"] = {**DISK["properties"], "provisioningState": "Succeeded"}  # type: ignore[dict-item]
    assert specification.wanted(operation, sent) == DISK


def test_each_permission_that_lacks_is_named(world: World) -> None:
    provider = AzureProvider(world.connection(READER))
    provider.list_machines({})
    with pytest.raises(CredentialInvalid, match=r"Microsoft\.Compute/virtualMachines/write.*Contributor"):
        provider.validate_credential()


def test_a_resource_provider_that_is_not_registered_is_named(world: World) -> None:
    with pytest.raises(CredentialInvalid, match=r"az provider register --namespace Microsoft\.Network"):
        AzureProvider(world.connection(subscription=UNREGISTERED)).validate_credential()


def test_checking_a_credential_makes_nothing(world: World) -> None:
    before = set(world.azure.world.held)
    AzureProvider(world.connection()).validate_credential()
    assert set(world.azure.world.held) == before


def test_an_application_signs_in_with_its_certificate(world: World) -> None:
    signed = world.connection(client_secret="", certificate=CERTIFICATE + KEY)
    assert AzureProvider(signed).zones()[0].zone == "eastus"
    other = world.connection(client_secret="", certificate="".join(for_application()))
    with pytest.raises(CredentialInvalid, match="not registered with the application"):
        AzureProvider(other).zones()


def test_the_user_data_of_a_machine_is_what_it_was_given(world: World) -> None:
    from providers.resources import MachineSpec, NetworkSpec

    provider = AzureProvider(world.connection())
    network = provider.create_network(NetworkSpec(name="n"), idempotency_key="user-data.network")
    spec = MachineSpec(
        name="a machine",
        cpu=1,
        memory_mib=512,
        image=provider.machine_images()[0].image_id,
        network_id=network.network_id,
        user_data="echo booted",
    )
    machine = provider.create_machine(spec, idempotency_key="user-data.machine")
    assert b"text/x-shellscript-per-boot" in world.azure.user_data(machine.machine_id)
    told = provider._cloud.ask(
        provider._cloud.compute.virtual_machines.get, "pitrix", machine.machine_id[-31:]
    )
    assert "customData" not in str(told)
