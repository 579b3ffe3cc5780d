"""Machines on clouds that differ: security groups, addresses, classes, images, quotas, and slow deletions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pitrix.clusters import planning
from pitrix.clusters.model import ClusterStatus, JobStatus
from pitrix.clusters.requests import ActionParams, DeployRequest
from pitrix.errors import CapabilityMissing, ProviderUnavailable, QuotaExceeded
from pitrix.packages.model import VolumeSpec
from providers.resources import Image, Quota, SecurityRule
from tests.unit.clusters.memory_cloud import RICH
from tests.unit.clusters.world import UMA, World

TWO_WEBS = {"cluster": {"web": {"count": 2}}}


@pytest.fixture
def rich(world: World) -> World:
    world.cloud.offers = RICH
    return world


def _deploy(world: World, **request: Any) -> Any:
    begun = world.service.create(
        UMA, DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS, **request)
    )
    world.run(begun.job.job_id)
    return begun


def test_only_the_endpoints_of_a_package_are_let_in(rich: World) -> None:
    cluster_id = _deploy(rich).cluster.cluster_id
    groups = {group.security_group_id: group.rules for group in rich.cloud.groups_by_key.values()}
    nodes = rich.service.nodes(UMA, cluster_id)
    let_in = {n.name: groups[rich.cloud.specs[n.node_id].security_group_ids[0]] for n in nodes}
    door = (SecurityRule(protocol="tcp", port_from=8080, port_to=8080),)
    assert let_in == {"web-1": door, "web-2": door, "store-1": (), "frontgate": ()}


def test_the_frontgate_gets_a_way_out_and_the_rest_only_where_it_is_asked_for(rich: World) -> None:
    nodes = rich.service.nodes(UMA, _deploy(rich).cluster.cluster_id)
    assert {n.name for n in nodes if n.public_ip} == {"frontgate"}
    begun = _deploy(rich, public=True)
    cluster = rich.service.get(UMA, begun.cluster.cluster_id)
    nodes = rich.service.nodes(UMA, cluster.cluster_id)
    public = {n.name: n.public_ip for n in nodes if n.public_ip}
    assert set(public) == {"frontgate", "web-1", "web-2"}
    assert {door.host for door in cluster.endpoints} == {public["web-1"], public["web-2"]}


def test_a_frontgate_without_an_address_tries_without(rich: World) -> None:
    rich.cloud.broken.add("address")
    begun = _deploy(rich)
    assert rich.service.get(UMA, begun.cluster.cluster_id).status is ClusterStatus.ACTIVE
    begun = _deploy(rich, public=True)
    view = rich.service.job(UMA, begun.job.job_id)
    assert view.job.error is not None
    assert "no address left" in view.job.error.message


def test_public_addresses_are_refused_where_there_are_none(world: World) -> None:
    with pytest.raises(CapabilityMissing, match="does not offer public addresses"):
        _deploy(world, public=True)
    assert world.machines.started == []


def test_what_takes_the_cloud_several_calls_is_asked_for_until_it_is_done(rich: World) -> None:
    rich.cloud.slow |= {"network", "address", "volume", "security group"}
    begun = _deploy(rich, public=True)
    assert rich.service.job(UMA, begun.job.job_id).job.status is JobStatus.SUCCEEDED
    job = rich.service.act(UMA, begun.cluster.cluster_id, "cease", ActionParams())
    rich.run(job.job_id)
    assert rich.service.job(UMA, job.job_id).job.status is JobStatus.SUCCEEDED
    assert rich.cloud.everything == []
    assert rich.service.get(UMA, begun.cluster.cluster_id).security_groups == {}


def test_a_search_finds_what_nobody_wrote_down(rich: World) -> None:
    """As after a crash between a call and the note about it."""
    begun = _deploy(rich, public=True)
    cluster_id = begun.cluster.cluster_id

    def forget(cluster: Any) -> None:
        cluster.network_id, cluster.security_groups = None, {}

    rich.store.change_cluster(cluster_id, forget)
    for node in rich.store.nodes(cluster_id):

        def forget_node(node: Any) -> None:
            node.machine_id, node.address_id, node.volume_ids = None, None, []

        rich.store.change_node(cluster_id, node.node_id, forget_node)
    rich.cloud.slow |= {"network", "volume", "security group"}
    rich.run(rich.service.act(UMA, cluster_id, "cease", ActionParams()).job_id)
    assert rich.cloud.everything == []


@pytest.mark.parametrize(("class_", "known", "made"), [(0, {"0"}, "0"), (0, set(), ""), (None, {"0"}, "")])
def test_a_volume_has_the_class_that_the_package_names_or_else_the_usual(
    world: World, class_: int | None, known: set[str], made: str
) -> None:
    world.cloud.classes = known
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))

    def classed(cluster: Any) -> None:
        cluster.roles = [replace(r, volumes=[VolumeSpec(size_gib=1, class_=class_)]) for r in cluster.roles]

    cluster = world.store.change_cluster(begun.cluster.cluster_id, classed)
    plan = planning.deploy(cluster, world.store.nodes(cluster.cluster_id), agent_deadline_s=60, payload=False)
    world.store.put_steps(begun.job.job_id, "main", plan.steps)
    world.run(begun.job.job_id, layers=2)
    assert {volume.volume_class for volume in world.cloud.volumes_by_key.values()} == {made}


@pytest.mark.parametrize("name", ["img-1", "guestbook-1.0"])
def test_a_machine_is_made_from_the_image_of_its_zone(world: World, name: str) -> None:
    world.cloud.images = [Image(image_id="usual", name="u"), Image(image_id="img-1", name="guestbook-1.0")]
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))

    def imaged(cluster: Any) -> None:
        images = {"zone-1": name, "zone-2": "elsewhere"}
        cluster.roles = [replace(r, image="elsewhere", images=images) for r in cluster.roles]
        cluster.roles[1] = replace(cluster.roles[1], images={"zone-2": "elsewhere"})

    cluster = world.store.change_cluster(begun.cluster.cluster_id, imaged)
    world.run(begun.job.job_id)
    made = {n.role: world.cloud.specs[n.node_id].image for n in world.store.nodes(cluster.cluster_id)}
    assert made == {cluster.roles[0].role: "img-1", cluster.roles[1].role: "usual", "frontgate": "usual"}


# --- quotas ------------------------------------------------------------------------------------------------


def test_a_plan_warns_and_a_deployment_is_refused_where_the_account_has_no_room(world: World) -> None:
    world.clouds.room = [Quota(name="machines", used=9, limit=10, counts="machines")]
    request = DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS)
    view = world.service.plan(UMA, request)
    assert (
        "It needs 4 of machines, and the account has 1 left (machines: 9 of 10 are used)." in view.plan.notes
    )
    with pytest.raises(QuotaExceeded, match="has 1 left"):
        world.service.create(UMA, request)
    assert world.machines.started == []
    assert world.service.list_clusters(UMA)[0] == []


def test_a_cloud_that_cannot_be_asked_is_noted_and_keeps_nobody_from_deploying(world: World) -> None:
    world.clouds.room = ProviderUnavailable("The cloud is away.")
    view = world.service.plan(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    assert any("The cloud is away" in note for note in view.plan.notes)
    assert world.deploy().job


@pytest.mark.parametrize(
    ("counts", "left", "said"),
    [
        ("machines", 3, "needs 4 of machines"),
        ("cpu", 3, "needs 4 of cores"),
        ("memory_mib", 100, "100 MiB left"),
        ("volumes", 0, "needs 1 of volumes"),
        ("volume_gib", 9, "needs 10 GiB of storage"),
        ("networks", 0, "needs 1 of networks"),
        ("addresses", 1, "needs 2 of public addresses"),
        ("machines", 4, ""),
        ("cpu", None, ""),
        ("key_pairs", 0, ""),
        ("", 0, ""),
    ],
)
def test_a_plan_is_held_against_what_quotas_count(
    rich: World, counts: str, left: int | None, said: str
) -> None:
    limit = None if left is None else 20 + left
    rich.clouds.room = [Quota(name="it", used=20, limit=limit, counts=counts)]
    request = DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS, public=True)
    notes = " ".join(rich.service.plan(UMA, request).plan.notes)
    assert (said in notes) if said else "It needs" not in notes
