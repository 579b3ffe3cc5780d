"""Functions: a serverless package goes to the cloud that it is made for, and leaves nothing behind."""

from __future__ import annotations

import io
import zipfile

import pytest

from pitrix.clusters.model import ClusterStatus, JobStatus
from pitrix.clusters.requests import ActionParams, DeployRequest
from pitrix.errors import CapabilityMissing, InvalidInput
from pitrix.packages import archive
from pitrix.packages import service as packages
from tests.unit.clusters.world import UMA, World

FILES = packages.scaffold("greeter", "serverless")


@pytest.fixture
def world() -> World:
    world = World(archive.write(FILES, "greeter"))
    world.cloud.offers = frozenset({"functions"})
    world.clouds.named = "aws"
    return world


def test_functions_are_deployed_and_answer_where_the_cloud_says(world: World) -> None:
    begun = world.deploy()
    cluster = world.service.get(UMA, begun.cluster.cluster_id)
    assert (cluster.status, cluster.package_type) == (ClusterStatus.ACTIVE, "serverless")
    assert [door.url for door in cluster.endpoints] == ["https://abc.example.org/live"]
    assert world.service.nodes(UMA, cluster.cluster_id) == []
    spec = world.cloud.function_specs[0]
    assert set(spec.manifests) == {"template.yaml", "parameters.json"}
    with zipfile.ZipFile(io.BytesIO(spec.code)) as code:
        assert {name: code.read(name) for name in code.namelist()} == FILES
    assert world.meter.events == []


def test_the_runtime_settles_for_which_cloud_the_package_is_rendered(world: World) -> None:
    world.clouds.named = "azure"
    world.deploy()
    assert "host.json" in world.cloud.function_specs[0].manifests
    with pytest.raises(InvalidInput) as caught:
        world.deploy(deploy={"target": "aws-lambda"})
    assert [error.field for error in caught.value.errors] == ["deploy.target"]


def test_a_cloud_that_the_package_is_not_made_for_is_refused(world: World) -> None:
    world.clouds.named = "qingcloud"
    with pytest.raises(CapabilityMissing, match="greeter is made for AWS"):
        world.deploy()


def test_a_plan_says_what_is_not_metered(world: World) -> None:
    view = world.service.plan(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    assert view.micros_per_hour_after == 0
    assert any("not metered here" in note for note in view.plan.notes)
    assert [step.kind.value for step in view.plan.steps] == ["deploy_function"]


def test_functions_that_are_ceased_leave_nothing(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.run(world.service.act(UMA, cluster_id, "cease", ActionParams()).job_id)
    assert world.cloud.everything == []
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.CEASED


def test_functions_that_cannot_be_deployed_are_taken_back(world: World) -> None:
    world.cloud.broken.add("function")
    begun = world.deploy()
    view = world.service.job(UMA, begun.job.job_id)
    assert view.job.status is JobStatus.FAILED
    assert view.job.error is not None
    assert "the role may not be assumed" in view.job.error.message
    assert world.cloud.everything == []


def test_the_same_files_give_the_same_archive_of_code() -> None:
    package = packages.open_package(archive.write(FILES, "greeter"))
    assert packages.code_archive(package) == packages.code_archive(package)
