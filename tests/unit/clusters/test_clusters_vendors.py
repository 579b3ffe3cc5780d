"""Every real VM package is planned on every cloud with machines, with what that cloud really offers."""

from __future__ import annotations

import pytest

import providers
from pitrix.clusters.model import StepKind
from pitrix.clusters.requests import DeployRequest
from providers.base import Capability
from tests.unit.clusters.world import UMA, World
from tests.unit.packages import test_vendors as vendors

pytestmark = vendors.pytestmark
CLOUDS = [name for name in providers.names() if Capability.MACHINES in providers.get(name).capabilities()]


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("name", vendors.VENDORS)
def test_a_real_package_is_planned(name: str, cloud: str) -> None:
    world = World(vendors.archived(name))
    world.clouds.named = cloud
    world.cloud.offers = frozenset(providers.get(cloud).capabilities())
    answers = vendors.NEEDED.get(name, {})
    view = world.service.plan(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1", answers=answers))
    kinds = [step.kind for step in view.plan.steps]
    machines = kinds.count(StepKind.CREATE_MACHINE)
    assert machines >= 1
    assert view.micros_per_hour_after == 1000 * machines
    assert kinds.count(StepKind.AWAIT_AGENT) == machines + 1
    assert (StepKind.CREATE_SECURITY_GROUP in kinds) == ("security_groups" in world.cloud.offers)
    assert kinds.count(StepKind.GIVE_ADDRESS) == ("addresses" in world.cloud.offers)
