"""Jobs from order to end: what is made, in which order, what is metered, and what failure leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from pitrix.clusters.model import ClusterStatus, Job, JobStatus, NodeStatus, StepStatus
from pitrix.clusters.requests import ActionParams, DeployRequest
from pitrix.errors import (
    CapabilityMissing,
    Conflict,
    InvalidInput,
    NotFound,
    PitrixError,
    ProviderUnavailable,
    QuotaExceeded,
    StepFailed,
    Unprocessable,
)
from pitrix.repos.model import Repo
from tests.unit.clusters.world import EVE, UMA, World

TWO_WEBS = {"cluster": {"web": {"count": 2}}}


def _job(world: World, job_id: str):  # type: ignore[no-untyped-def]
    return world.service.job(UMA, job_id)


def test_a_deployment_ends_active_with_endpoints_on_the_front_ends(world: World) -> None:
    begun = world.deploy(**TWO_WEBS)
    cluster = world.service.get(UMA, begun.cluster.cluster_id)
    assert (cluster.status, cluster.transition, cluster.job_id) == (ClusterStatus.ACTIVE, "", None)
    nodes = {node.name: node for node in world.service.nodes(UMA, cluster.cluster_id)}
    assert sorted(nodes) == ["frontgate", "store-1", "web-1", "web-2"]
    assert {node.status for node in nodes.values()} == {NodeStatus.ACTIVE}
    assert [e.url for e in cluster.endpoints] == [
        f"http://{nodes[name].private_ip}:{cluster.endpoints[0].port}/" for name in ("web-1", "web-2")
    ]
    view = _job(world, begun.job.job_id)
    assert view.job.status is JobStatus.SUCCEEDED
    assert view.progress.done == view.progress.total == len(view.steps)


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        ({}, ""),
        ({"providers": ["local", "aws"], "selectors": {"room": "lab"}}, ""),
        ({"providers": ["aws", "azure"]}, "run on aws, azure, not on local"),
        ({"selectors": {"room": "attic", "tier": "gold"}}, "labelled room=attic, tier=gold"),
    ],
)
def test_a_repository_says_where_its_apps_may_run(world: World, rules: dict[str, Any], refusal: str) -> None:
    now = world.clock.now()
    world.repo = Repo(
        repo_id="repo_1", name="ours", owner_path=":", owner_id="u", created_at=now, updated_at=now, **rules
    )
    request = DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS)
    if not refusal:
        assert world.service.plan(UMA, request).plan.steps
        return
    for deploy in (world.service.plan, world.service.create):
        with pytest.raises(Unprocessable, match=f"Runtime laptop cannot run Guestbook: .*{refusal}"):
            deploy(UMA, request)
    assert world.machines.started == []


def test_services_run_in_the_order_of_the_package(world: World) -> None:
    world.deploy(**TWO_WEBS)
    services = [(node, cmd) for node, cmd in world.agents.ran if "ctl.py" in cmd and "check" not in cmd]
    assert services == [
        ("store-1", "python3 ctl.py start"),  # order 1
        ("web-1", "python3 ctl.py start"),  # order 2
        ("web-2", "python3 ctl.py start"),
        ("store-1", "python3 ctl.py call POST /welcome"),  # init with post_start_service
    ]
    commands = [cmd for _, cmd in world.agents.ran]
    assert commands.index("install") < commands.index("python3 ctl.py start")
    assert any("python3 ctl.py check" in cmd for cmd in commands)


def test_nodes_are_told_about_each_other(world: World) -> None:
    begun = world.deploy(**TWO_WEBS)
    nodes = {n.name: n for n in world.service.nodes(UMA, begun.cluster.cluster_id)}
    document = world.agents.metadata[nodes["web-2"].agent_id or ""]
    assert document["hosts"]["store"][nodes["store-1"].node_id]["ip"] == nodes["store-1"].private_ip
    assert document["host"]["ip"] == nodes["web-2"].private_ip
    assert document["host"]["role"] == "web"
    assert document["cluster"]["cluster_id"] == begun.cluster.cluster_id
    assert document["env"]["port"] == 8080
    assert nodes["frontgate"].agent_id not in world.agents.metadata


def test_running_time_is_metered_from_active_to_stop_and_volumes_until_cease(world: World) -> None:
    begun = world.deploy()
    cluster_id = begun.cluster.cluster_id
    started = {e.node_id: e for e in world.meter.events}
    nodes = {n.node_id: n for n in world.service.nodes(UMA, cluster_id) if not n.frontgate}
    assert set(started) == set(nodes)
    store = next(n for n in nodes.values() if n.role == "store")
    assert started[store.node_id].quantities == {
        "node": 1, "vcpu": store.cpu, "memory_mib": store.memory_mib, "volume_gib": store.volume_gib,
    }  # fmt: skip
    assert {e.account for e in world.meter.events} == {UMA.owner_path}

    world.clock.advance(3600)
    asked_at = world.clock.now()
    job = world.service.act(UMA, cluster_id, "stop", ActionParams())
    world.clock.advance(30)
    world.meter.events.clear()
    world.run(job.job_id)
    stopped = {e.node_id: e for e in world.meter.events}
    assert {e.at for e in stopped.values()} == {asked_at}
    assert (stopped[store.node_id].kind, stopped[store.node_id].quantities) == (
        "start", {"volume_gib": store.volume_gib, "node": 0},
    )  # fmt: skip
    assert {e.kind for n, e in stopped.items() if n != store.node_id} == {"stop"}

    world.meter.events.clear()
    world.run(world.service.act(UMA, cluster_id, "cease", ActionParams()).job_id)
    assert {e.kind for e in world.meter.events} == {"stop"}
    assert world.cloud.everything == []
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.CEASED


def test_finishing_twice_meters_with_the_same_ids(world: World) -> None:
    begun = world.deploy()
    ids = [e.event_id for e in world.meter.events]
    assert len(set(ids)) == len(ids)
    world.executor.finish_job(begun.job.job_id)
    assert [e.event_id for e in world.meter.events] == ids


def test_stop_and_start_again(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.agents.ran.clear()
    world.run(world.service.act(UMA, cluster_id, "stop", ActionParams()).job_id)
    stops = [(n, c) for n, c in world.agents.ran if c.endswith("stop")]
    assert stops == [("web-1", "python3 ctl.py stop"), ("store-1", "python3 ctl.py stop")]
    assert {m.status.value for m in world.cloud.machines_by_key.values()} == {"stopped"}
    assert world.service.endpoints(UMA, cluster_id) == []
    with pytest.raises(Conflict, match="stopped; stop needs it to be active"):
        world.service.act(UMA, cluster_id, "stop", ActionParams())
    world.run(world.service.act(UMA, cluster_id, "start", ActionParams()).job_id)
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.ACTIVE


# --- failure -----------------------------------------------------------------------------------------------


def _assert_taken_back(world: World, begun, *words: str) -> None:  # type: ignore[no-untyped-def]
    view = _job(world, begun.job.job_id)
    assert view.job.status is JobStatus.FAILED
    assert view.job.error is not None
    for word in words:
        assert word in view.job.error.message
    assert world.cloud.everything == []
    cluster = world.service.get(UMA, begun.cluster.cluster_id)
    assert (cluster.status, cluster.holds_resources, cluster.job_id) == (ClusterStatus.FAILED, False, None)
    assert world.meter.events == []
    assert not world.service.runtime_in_use("rt_1")
    assert list(world.store.unended_jobs()) == []


def test_a_machine_that_cannot_start_fails_the_deployment_and_nothing_stays(world: World) -> None:
    world.cloud.broken.add("web-2")
    _assert_taken_back(world, world.deploy(**TWO_WEBS), "web-2", "no host has room for it")


@pytest.mark.parametrize(
    "error",
    [
        QuotaExceeded("The account has no core left."),
        InvalidInput("No machine type has a GPU."),
        CapabilityMissing("The zone is closed."),
    ],
)
def test_a_machine_that_the_cloud_refuses_fails_the_deployment_and_nothing_stays(
    world: World, error: PitrixError
) -> None:
    world.cloud.refused["web-2"] = error
    _assert_taken_back(world, world.deploy(**TWO_WEBS), "Create the machine web-2", error.detail)


def test_a_command_that_exits_1_fails_the_deployment_and_nothing_stays(world: World) -> None:
    world.agents.failing["start"] = "command 'start' on node store-1 exited with 1: address in use"
    _assert_taken_back(world, world.deploy(), "address in use", "store-1")


def test_an_agent_that_never_registers_fails_the_deployment_and_nothing_stays(world: World) -> None:
    world.agents.away.add("store-1")
    _assert_taken_back(world, world.deploy(), "Wait for the agent of store-1", "never registered")


def test_a_machine_that_fails_after_its_start_is_named_as_the_reason(world: World) -> None:
    world.agents.away.add("store-1")
    world.cloud.dies_after_start.add("store-1")
    _assert_taken_back(world, world.deploy(), "never registered", "its machine is error", "boot script ended")


def test_a_machine_whose_answer_was_lost_is_found_and_removed(world: World) -> None:
    world.cloud.lose_answer_of.add("store-1")
    _assert_taken_back(world, world.deploy(), "store-1", "the answer was lost")


def test_a_cancelled_deployment_is_taken_back(world: World) -> None:
    request = DeployRequest(app_id="app_1", runtime_id="rt_1")
    begun = world.service.create(UMA, request)
    world.run(begun.job.job_id, layers=4)
    assert world.cloud.machines_by_key
    world.service.cancel(UMA, begun.job.job_id)
    world.run(begun.job.job_id)
    assert _job(world, begun.job.job_id).job.status is JobStatus.CANCELLED
    assert world.cloud.everything == []


def test_a_service_that_does_not_stop_does_not_keep_a_cluster_from_being_ceased(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.agents.failing["stop"] = "it hangs"
    job = world.service.act(UMA, cluster_id, "cease", ActionParams())
    world.run(job.job_id)
    view = _job(world, job.job_id)
    assert view.job.status is JobStatus.SUCCEEDED
    assert view.job.error is None
    assert any(step.status is StepStatus.FAILED and step.optional for step in view.steps)
    assert world.cloud.everything == []


def test_ceasing_asks_nothing_of_nodes_that_are_away(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.agents.away |= {"web-1", "store-1"}
    world.agents.ran.clear()
    world.run(world.service.act(UMA, cluster_id, "cease", ActionParams()).job_id)
    assert world.agents.ran == []
    assert world.cloud.everything == []


def test_a_cloud_that_fails_while_ceasing_is_asked_again_from_where_it_stopped(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.cloud.refuse_to_delete = [ProviderUnavailable("The cloud is down.")]
    job = world.service.act(UMA, cluster_id, "cease", ActionParams())
    with pytest.raises(Exception, match="The cloud is down"):
        world._run_plan(job.job_id, None)
    assert world.executor.reopen(job.job_id)
    world.run(job.job_id)
    assert _job(world, job.job_id).job.status is JobStatus.SUCCEEDED
    assert world.executor.reopen(job.job_id)
    assert not world.executor.reopen(job.job_id), "the third time is the last"


def test_an_interrupted_job_goes_on_from_its_journal(world: World) -> None:
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS))
    job_id = begun.job.job_id
    world.run(job_id, layers=5)
    before = dict(world.cloud.machines_by_key)
    assert world.sweeper.sweep() == 0, "its execution is alive"
    world.machines.alive = False
    assert world.sweeper.sweep() == 1
    assert world.machines.started == [f"{job_id}-1", f"{job_id}-2"]
    world.run(job_id)
    assert _job(world, job_id).job.status is JobStatus.SUCCEEDED
    assert set(world.cloud.machines_by_key) == set(before)
    world.machines.alive = False
    assert world.sweeper.sweep() == 0, "what has ended is not resumed"


@pytest.mark.parametrize("layers", range(12))
def test_a_crash_after_any_layer_changes_nothing(world: World, guestbook: bytes, layers: int) -> None:
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS))
    world.run(begun.job.job_id, layers=layers)
    world.run(begun.job.job_id)
    undisturbed = World(guestbook)
    undisturbed.deploy(**TWO_WEBS)
    assert len(world.cloud.everything) == len(undisturbed.cloud.everything)
    assert world.agents.ran == undisturbed.agents.ran
    assert len(world.meter.events) == len(undisturbed.meter.events)


def test_a_start_that_fails_is_taken_back_and_can_be_tried_again(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.run(world.service.act(UMA, cluster_id, "stop", ActionParams()).job_id)
    world.meter.events.clear()
    world.agents.failing["start"] = "address in use"
    job = world.service.act(UMA, cluster_id, "start", ActionParams())
    world.run(job.job_id)
    assert _job(world, job.job_id).job.status is JobStatus.FAILED
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.STOPPED
    assert {m.status.value for m in world.cloud.machines_by_key.values()} == {"stopped"}
    assert world.meter.events == [], "what does not run is not billed, and nothing unbilled runs"
    world.agents.failing.clear()
    world.run(world.service.act(UMA, cluster_id, "start", ActionParams()).job_id)
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.ACTIVE


def test_a_stop_that_failed_can_be_repeated_though_nodes_are_away(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.agents.failing["stop"] = "it hangs"
    world.run(world.service.act(UMA, cluster_id, "stop", ActionParams()).job_id)
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.ACTIVE
    world.agents.away |= {"web-1", "store-1"}
    world.run(world.service.act(UMA, cluster_id, "stop", ActionParams()).job_id)
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.STOPPED


def test_a_cease_that_gives_up_ends_the_bill_and_can_be_repeated(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.meter.events.clear()
    job = world.service.act(UMA, cluster_id, "cease", ActionParams())
    world.executor.fail_job(job.job_id, "StepFailed", "the cloud is down")
    cluster = world.service.get(UMA, cluster_id)
    assert (cluster.status, cluster.holds_resources, cluster.endpoints) == (ClusterStatus.FAILED, True, [])
    assert {event.kind for event in world.meter.events} == {"stop"}
    assert {event.at for event in world.meter.events} == {job.created_at}
    world.run(world.service.act(UMA, cluster_id, "cease", ActionParams()).job_id)
    assert world.cloud.everything == []


def test_a_failed_deployment_that_left_nothing_is_ceased_without_its_cloud(world: World) -> None:
    world.cloud.broken.add("web-1")
    cluster_id = world.deploy().cluster.cluster_id
    job = world.service.act(UMA, cluster_id, "cease", ActionParams())
    assert world.store.steps(job.job_id, "main") == []
    world.run(job.job_id)
    assert world.service.get(UMA, cluster_id).status is ClusterStatus.CEASED


def test_finishing_a_job_again_leaves_its_successor_alone(world: World) -> None:
    """A resumed execution may end a job whose cluster went on meanwhile."""
    begun = world.deploy()
    cluster_id = begun.cluster.cluster_id

    def reopen(job: Job) -> None:
        job.status = JobStatus.RUNNING

    world.store.change_job(begun.job.job_id, reopen)
    world.meter.events.clear()
    stop = world.service.act(UMA, cluster_id, "stop", ActionParams())
    world.executor.finish_job(begun.job.job_id)
    cluster = world.service.get(UMA, cluster_id)
    assert (cluster.job_id, cluster.transition) == (stop.job_id, "stopping")
    assert world.meter.events == []


def test_an_execution_that_was_overtaken_does_no_harm(world: World) -> None:
    begun = world.deploy()
    job_id = begun.job.job_id
    step_id = _job(world, job_id).steps[0].step_id
    world.executor.fail_step(job_id, step_id, "States.Timeout", "nobody answered")
    world.executor.plan_undo(job_id, "StepFailed", "a twin gave up")
    assert world.executor.next_layer(job_id) == {"done": True, "steps": []}
    view = _job(world, job_id)
    assert (view.job.status, view.job.part, view.steps[0].error) == (JobStatus.SUCCEEDED, "main", "")
    assert world.cloud.machines_by_key


def test_two_sweepers_at_once_resume_a_job_once(world: World) -> None:
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    world.machines.alive = False
    seen = list(world.store.unended_jobs())
    world.store.unended_jobs = lambda: seen  # type: ignore[method-assign]  # both read at the same moment
    assert (world.sweeper.sweep(), world.sweeper.sweep()) == (1, 0)
    assert world.machines.started == [f"{begun.job.job_id}-1", f"{begun.job.job_id}-2"]


def test_a_job_that_cannot_be_resumed_keeps_no_other_from_it(world: World) -> None:
    first = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    second = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    world.machines.alive = False
    start = world.machines.start

    def broken(job: Job) -> str:
        if job.job_id == first.job.job_id:
            raise RuntimeError("Step Functions refused")
        return start(job)

    world.machines.start = broken  # type: ignore[method-assign]
    assert world.sweeper.sweep() == 1
    assert world.machines.started[-1] == f"{second.job.job_id}-2"


def test_what_the_cloud_never_finishes_is_given_up(world: World) -> None:
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    world.run(begun.job.job_id, layers=1)
    world.cloud.get_machine = lambda machine_id: world.cloud._machine(machine_id)[1]  # type: ignore[method-assign]
    frontgate = next(s for s in _job(world, begun.job.job_id).steps if s.kind == "create_frontgate")
    assert world.executor.run_step(begun.job.job_id, frontgate.step_id) == {"pending": True, "wait_s": 2}
    world.clock.advance(60)
    assert world.executor.run_step(begun.job.job_id, frontgate.step_id)["wait_s"] == 10
    world.clock.advance(600)
    with pytest.raises(StepFailed, match="within 600 s"):
        world.executor.run_step(begun.job.job_id, frontgate.step_id)


def test_an_order_is_taken_though_nobody_can_be_told(world: World) -> None:
    def refuse(job: Job) -> str:
        raise RuntimeError("Step Functions is away")

    start = world.machines.start
    world.machines.start = refuse  # type: ignore[method-assign]
    begun = world.service.create(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1"))
    world.machines.start = start  # type: ignore[method-assign]
    world.clock.advance(61)
    assert world.sweeper.sweep() == 1
    assert world.machines.started == [f"{begun.job.job_id}-1"]


def test_secrets_do_not_come_back(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    shown = world.service.get(UMA, cluster_id)
    assert (shown.answers, shown.env, [role.env for role in shown.roles]) == ({}, {}, [{}, {}])
    kept = world.store.cluster(cluster_id)
    assert kept is not None
    assert kept.role("web").env, "nodes are still told"
    params = ActionParams(service="wipe", role="store", params={"keep": 7})
    preview = world.service.preview(UMA, cluster_id, "run-service", params)
    job = world.service.act(UMA, cluster_id, "run-service", params)
    for step in (*preview.plan.steps, *_job(world, job.job_id).steps):
        assert step.params == {"service": "wipe"}


# --- orders ------------------------------------------------------------------------------------------------


def test_a_preview_lists_every_step_and_the_price_and_does_nothing(world: World) -> None:
    view = world.service.plan(UMA, DeployRequest(app_id="app_1", runtime_id="rt_1", answers=TWO_WEBS))
    assert [layer.name for layer in view.plan.layers][:5] == [
        "network", "storage and proxy", "proxy online", "machines", "agents online",
    ]  # fmt: skip
    assert sum(step.kind == "create_machine" for step in view.plan.steps) == 3
    assert (view.micros_per_hour_before, view.micros_per_hour_after) == (0, 3000)
    assert world.cloud.everything == []
    assert world.service.list_clusters(UMA)[0] == []


def test_wrong_answers_are_named(world: World) -> None:
    request = DeployRequest(
        app_id="app_1", runtime_id="rt_1", answers={"cluster": {"web": {"count": 99}, "bogus": 1}}
    )
    with pytest.raises(InvalidInput) as caught:
        world.service.create(UMA, request)
    assert {"cluster.web.count", "cluster.bogus"} <= {e.field for e in caught.value.errors}


def test_a_custom_service_takes_its_parameters_as_one_json_argument(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.agents.ran.clear()
    params = ActionParams(service="wipe", role="store", params={"keep": 1})
    world.run(world.service.act(UMA, cluster_id, "run-service", params).job_id)
    assert world.agents.ran == [("store-1", """python3 ctl.py call POST /wipe '{"keep": 1}'""")]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (ActionParams(), "service"),
        (ActionParams(service="start"), "service"),
        (ActionParams(service="wipe", role="nobody"), "role"),
        (ActionParams(service="wipe", params={"bogus": 1}), "bogus"),
        (ActionParams(service="wipe", params={"keep": 5000}), "keep"),
    ],
)
def test_a_wrong_service_call_is_named(world: World, params: ActionParams, field: str) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    with pytest.raises(InvalidInput) as caught:
        world.service.act(UMA, cluster_id, "run-service", params)
    assert [e.field for e in caught.value.errors] == [field]


def test_a_cluster_is_held_by_one_job_at_a_time(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    world.service.act(UMA, cluster_id, "stop", ActionParams())
    with pytest.raises(Conflict, match="is stopping"):
        world.service.act(UMA, cluster_id, "cease", ActionParams())


def test_two_orders_at_once_give_one_job(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    read_before = world.service.get(UMA, cluster_id)
    world.store.cluster = lambda _: read_before  # type: ignore[method-assign]  # both read at the same moment
    world.service.act(UMA, cluster_id, "stop", ActionParams())
    with pytest.raises(Conflict):
        world.service.act(UMA, cluster_id, "cease", ActionParams())
    assert len(list(world.store.unended_jobs())) == 1


def test_a_stranger_sees_nothing(world: World) -> None:
    begun = world.deploy()
    assert world.service.list_clusters(EVE)[0] == []
    assert world.service.jobs(EVE)[0] == []
    for call in (
        lambda: world.service.get(EVE, begun.cluster.cluster_id),
        lambda: world.service.nodes(EVE, begun.cluster.cluster_id),
        lambda: world.service.jobs(EVE, cluster_id=begun.cluster.cluster_id),
        lambda: world.service.job(EVE, begun.job.job_id),
        lambda: world.service.act(EVE, begun.cluster.cluster_id, "cease", ActionParams()),
        lambda: world.service.cancel(EVE, begun.job.job_id),
    ):
        with pytest.raises(NotFound):
            call()


def test_unknown_actions_are_listed(world: World) -> None:
    cluster_id = world.deploy().cluster.cluster_id
    with pytest.raises(NotFound, match="start, stop, run-service, cease"):
        world.service.act(UMA, cluster_id, "explode", ActionParams())
