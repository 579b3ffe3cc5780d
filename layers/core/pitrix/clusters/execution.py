"""Carrying out a job, one idempotent step at a time; what the state machines of ``stepfunctions/`` call.

Owns the journal: a step is ``running`` in the table before the cloud or an agent is called and carries its
result afterwards, so that a step that is run again (a retry, an execution that died, an emulator that was
restarted) finds what was made or makes it under the same idempotency key. Decides no order: that is the
plan's. Never sleeps: what takes long answers ``pending`` and is asked again by the state machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from pitrix.clock import Clock
from pitrix.clusters import metadata, planning
from pitrix.clusters.lifecycle import JobClosing
from pitrix.clusters.model import Cluster, Job, JobError, JobKind, JobStatus, Node, Step, StepKind, StepStatus
from pitrix.clusters.ports import AgentChannel, ClusterStore, TaskCallbacks
from pitrix.errors import JobCancelled, NotFound, PitrixError, ResourceNotFound, StepFailed
from pitrix.packages import service as packages
from providers.base import TAG_CLUSTER, TAG_NODE, Machines, Networks, Provider, Volumes
from providers.resources import Machine, MachineSpec, MachineStatus, NetworkSpec, VolumeSpec, VolumeStatus

#: How often the plan of a job is tried before it is given up, where its state machine tries again at all.
MAX_TRIES = 3
#: How long a state machine waits until it asks the cloud again, in seconds: at first, and when it takes long.
#: Each question is nine events of the execution's history, which ends at 25,000.
POLL_S, SLOW_POLL_S = 2, 10
SOON_S = 20
#: What the state machine waits beyond a step's own time, for the platform to notice and answer by itself.
AGENT_GRACE_S = 180


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step came to: ``pending`` means that it must be asked again."""

    pending: bool = False
    result: dict[str, Any] = field(default_factory=dict)


class Archive(Protocol):
    """Where nodes fetch a package from: an address without credentials, and what must come from there."""

    @property
    def url(self) -> str: ...

    @property
    def digest(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What a step acts in."""

    job: Job
    cluster: Cluster
    step: Step


class Executor:
    """See the module."""

    def __init__(
        self,
        *,
        store: ClusterStore,
        provider_for: Callable[[str], Provider],
        agents: AgentChannel,
        archive: Callable[[str, str], Archive],
        callbacks: TaskCallbacks,
        closing: JobClosing,
        clock: Clock,
    ) -> None:
        self._store = store
        self._provider_for = provider_for
        self._agents = agents
        self._archive = archive
        self._callbacks = callbacks
        self._closing = closing
        self._clock = clock
        self._carry_out: dict[StepKind, Callable[[_Scene], Outcome]] = {
            StepKind.CREATE_NETWORK: self._create_network,
            StepKind.CREATE_VOLUME: self._create_volume,
            StepKind.CREATE_FRONTGATE: self._create_machine,
            StepKind.CREATE_MACHINE: self._create_machine,
            StepKind.START_MACHINE: self._start_machine,
            StepKind.STOP_MACHINE: self._stop_machine,
            StepKind.DELETE_MACHINE: self._delete_machine,
            StepKind.DELETE_VOLUME: self._delete_volume,
            StepKind.DELETE_NETWORK: self._delete_network,
            StepKind.SWEEP: self._sweep,
            StepKind.PUBLISH_METADATA: self._publish_metadata,
        }

    # --- what the state machines call ----------------------------------------------------------------------

    def next_layer(self, job_id: str) -> dict[str, Any]:
        """Return the steps that may run now: ``{"done", "steps": [{"job_id", "step_id", …}]}``.

        Raises:
            StepFailed: a step failed, so the plan ends here.
            JobCancelled: somebody asked for that.
        """
        job = self._begun(job_id)
        if job.status.ended:
            return {"done": True, "steps": []}
        steps = self._store.steps(job_id, job.part)
        failed = [step for step in steps if step.status is StepStatus.FAILED and not step.optional]
        if failed:
            raise StepFailed(f"{failed[0].title}: {failed[0].error}")
        open_steps = [s for s in steps if s.status in (StepStatus.WAITING, StepStatus.RUNNING)]
        if not open_steps:
            return {"done": True, "steps": []}
        if job.cancel_requested and job.part == "main":
            raise JobCancelled("The job was cancelled by its user.")
        layer = open_steps[0].layer
        return {
            "done": False,
            "steps": [
                {
                    "job_id": job_id,
                    "step_id": step.step_id,
                    "by_agent": step.kind.by_agent,
                    "timeout_s": step.timeout_s + AGENT_GRACE_S,
                }
                for step in open_steps
                if step.layer == layer
            ],
        }

    def run_step(self, job_id: str, step_id: str) -> dict[str, Any]:
        """Do one step at the cloud, or look how far it got: ``{"pending", "wait_s"}``.

        Raises:
            PitrixError: as the cloud said; throttling and outages are retried by the state machine.
        """
        scene = self._scene(job_id, step_id)
        if scene.step.status is StepStatus.SUCCEEDED:
            return {"pending": False, "wait_s": 0}
        self._note_intent(scene)
        outcome = self._carry_out[scene.step.kind](scene)
        if not outcome.pending:
            self._note_success(scene, outcome.result)
            return {"pending": False, "wait_s": 0}
        waited_s = (self._clock.now() - (scene.step.started_at or self._clock.now())).total_seconds()
        if waited_s > scene.step.timeout_s:
            raise StepFailed(f"the cloud did not get it done within {scene.step.timeout_s} s")
        return {"pending": True, "wait_s": POLL_S if waited_s < SOON_S else SLOW_POLL_S}

    def ask_agent(self, job_id: str, step_id: str, task_token: str) -> None:
        """Have a node's agent do one step; the outcome resumes the state that waits with ``task_token``.

        Never raises for a reason that the state machine should hear of: it would wait for nothing.
        """
        try:
            scene = self._scene(job_id, step_id)
            self._note_intent(scene)
            self._tell_agent(scene, task_token)
        except PitrixError as error:
            self._callbacks.fail(task_token, type(error).__name__, error.detail)
        except Exception as error:
            self._callbacks.fail(task_token, "StepFailed", f"unexpected {type(error).__name__}")
            raise

    def finish_step(self, job_id: str, step_id: str, result: Mapping[str, Any]) -> None:
        """Write down that an agent did its step."""
        scene = self._scene(job_id, step_id)
        if scene.step.kind is StepKind.AWAIT_AGENT and scene.step.node_id and result.get("agent_id"):
            agent_id = str(result["agent_id"])

            def note(node: Node) -> None:
                node.agent_id = agent_id

            self._store.change_node(scene.cluster.cluster_id, scene.step.node_id, note)
        self._note_success(scene, dict(result))

    def fail_step(self, job_id: str, step_id: str, error: str, cause: str) -> None:
        """Write down that a step failed and why; the first failure is the job's reason."""
        scene = self._scene(job_id, step_id)
        step = scene.step
        if step.status is StepStatus.SUCCEEDED or scene.job.status.ended:
            return  # said by an execution that another one has overtaken
        message = (readable_cause(cause) or error) + self._why_no_agent(scene)
        step.status, step.error, step.finished_at = StepStatus.FAILED, message, self._clock.now()
        self._store.put_steps(job_id, scene.job.part, [step])
        if step.optional:
            return

        def note(job: Job) -> None:
            if job.error is None:
                job.error = JobError(code=error, message=f"{step.title}: {message}", step_id=step.step_id)

        self._store.change_job(job_id, note)

    def _why_no_agent(self, scene: _Scene) -> str:
        """Return what the cloud says about a machine whose agent did not come, as an afterthought."""
        if scene.step.kind is not StepKind.AWAIT_AGENT:
            return ""
        try:
            machine = self._machines(scene).get_machine(_machine_id(self._node(scene)))
        except PitrixError as error:
            return f" ({error.detail})"
        if machine.status is MachineStatus.RUNNING:
            return ""
        return f" (its machine is {machine.status.value}{f': {machine.reason}' if machine.reason else ''})"

    def plan_undo(self, job_id: str, error: str, cause: str) -> None:
        """Turn a failed job round: from here on its plan is to take back what it did."""
        job = self._job(job_id)
        if job.part == "undo" or job.status.ended:
            return
        cluster, nodes = self._cluster(job.cluster_id), self._store.nodes(job.cluster_id)
        plan = planning.undo(job.kind, cluster, nodes)
        self._store.put_steps(job_id, "undo", plan.steps)

        def turn(job: Job) -> None:
            job.part = "undo"
            job.undo_layers = [layer.name for layer in plan.layers]
            if job.error is None:
                job.error = JobError(code=error, message=readable_cause(cause) or error)

        self._store.change_job(job_id, turn)

    def reopen(self, job_id: str) -> bool:
        """Give the failed steps of a job another chance; ``False`` once it had :data:`MAX_TRIES`."""
        job = self._job(job_id)
        if job.tries >= MAX_TRIES:
            return False
        failed = [s for s in self._store.steps(job_id, job.part) if s.status is StepStatus.FAILED]
        for step in failed:
            step.status, step.error, step.finished_at = StepStatus.WAITING, "", None
        self._store.put_steps(job_id, job.part, failed)

        def note(job: Job) -> None:
            job.tries, job.error = job.tries + 1, None

        self._store.change_job(job_id, note)
        return True

    def finish_job(self, job_id: str) -> None:
        """End a job that did all of its plan."""
        self._closing.succeed(self._job(job_id))

    def fail_job(self, job_id: str, error: str, cause: str) -> None:
        """End a job that failed, with the reason it noted or else with this one."""
        self._closing.fail(self._job(job_id), JobError(code=error, message=readable_cause(cause) or error))

    # --- the journal ---------------------------------------------------------------------------------------

    def _begun(self, job_id: str) -> Job:
        def begin(job: Job) -> None:
            if job.status is JobStatus.PENDING:
                job.status = JobStatus.RUNNING

        job = self._job(job_id)
        return self._store.change_job(job_id, begin) if job.status is JobStatus.PENDING else job

    def _scene(self, job_id: str, step_id: str) -> _Scene:
        job = self._job(job_id)
        step = self._store.step(job_id, job.part, step_id)
        if step is None:
            raise NotFound(f"The job {job_id} has no step {step_id}.")
        return _Scene(job=job, cluster=self._cluster(job.cluster_id), step=step)

    def _job(self, job_id: str) -> Job:
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        return job

    def _cluster(self, cluster_id: str) -> Cluster:
        cluster = self._store.cluster(cluster_id)
        if cluster is None:
            raise NotFound(f"There is no cluster {cluster_id}.")
        return cluster

    def _note_intent(self, scene: _Scene) -> None:
        if scene.step.status is StepStatus.WAITING:
            scene.step.status, scene.step.started_at = StepStatus.RUNNING, self._clock.now()
            self._store.put_steps(scene.job.job_id, scene.job.part, [scene.step])

    def _note_success(self, scene: _Scene, result: dict[str, Any]) -> None:
        step = scene.step
        step.status, step.result, step.finished_at = StepStatus.SUCCEEDED, result, self._clock.now()
        self._store.put_steps(scene.job.job_id, scene.job.part, [step])

    # --- steps at the cloud --------------------------------------------------------------------------------

    def _machines(self, scene: _Scene) -> Machines:
        return self._provider_for(scene.cluster.runtime_id).machines

    def _volumes(self, scene: _Scene) -> Volumes:
        return self._provider_for(scene.cluster.runtime_id).volumes

    def _networks(self, scene: _Scene) -> Networks:
        return self._provider_for(scene.cluster.runtime_id).networks

    def _create_network(self, scene: _Scene) -> Outcome:
        cluster = scene.cluster
        network = self._networks(scene).create_network(
            NetworkSpec(name=_resource_name(cluster, "net"), tags=_tags(cluster)),
            idempotency_key=cluster.cluster_id,
        )

        def note(cluster: Cluster) -> None:
            cluster.network_id = network.network_id

        self._store.change_cluster(cluster.cluster_id, note)
        return Outcome(result={"network_id": network.network_id, "cidr": network.cidr})

    def _create_volume(self, scene: _Scene) -> Outcome:
        node = self._node(scene)
        params = scene.step.params
        volume = self._volumes(scene).create_volume(
            VolumeSpec(
                name=f"{_resource_name(scene.cluster, node.name)}-{params['number']}",
                size_gib=params["size_gib"],
                volume_class=params["class"],
                tags=_tags(scene.cluster, node),
            ),
            idempotency_key=f"{node.node_id}.{params['number']}",
        )

        def note(node: Node) -> None:
            if volume.volume_id not in node.volume_ids:
                node.volume_ids.append(volume.volume_id)

        self._store.change_node(node.cluster_id, node.node_id, note)
        if volume.status is VolumeStatus.ERROR:
            raise StepFailed("the cloud could not make the volume")
        return Outcome(pending=volume.status is VolumeStatus.PENDING, result={"volume_id": volume.volume_id})

    def _create_machine(self, scene: _Scene) -> Outcome:
        node = self._node(scene)
        machines = self._machines(scene)
        if node.machine_id is not None:
            return self._settled(node, machines.get_machine(node.machine_id), MachineStatus.RUNNING)
        machine = machines.create_machine(
            self._machine_spec(scene, node, machines), idempotency_key=node.node_id
        )
        self._note_machine(machine, node)
        return self._settled(node, machine, MachineStatus.RUNNING)

    def _machine_spec(self, scene: _Scene, node: Node, machines: Machines) -> MachineSpec:
        cluster = scene.cluster
        frontgate = next((n for n in self._store.nodes(cluster.cluster_id) if n.frontgate), None)
        behind = frontgate if frontgate is not None and not node.frontgate else None
        enrollment = self._agents.enroll(
            cluster.cluster_id,
            node.node_id,
            node.role,
            kind="frontgate" if node.frontgate else "drone",
            frontgate_id=behind.agent_id if behind else None,
            name=node.name,
            frontgate_address=(behind.private_ip or "") if behind else "",
        )
        image = "" if node.frontgate else cluster.role(node.role).image
        offered = [each.image_id for each in machines.machine_images()]
        return MachineSpec(
            name=_resource_name(cluster, node.name),
            cpu=node.cpu,
            memory_mib=node.memory_mib,
            # Packages name images of the cloud they were written for; anywhere else the default image
            # with the package's payload does (built images are the images context's work).
            image=image if image in offered else offered[0],
            network_id=cluster.network_id or "",
            volume_ids=tuple(node.volume_ids),
            user_data=enrollment.user_data,
            tags=_tags(cluster, node),
        )

    def _start_machine(self, scene: _Scene) -> Outcome:
        node = self._node(scene)
        machine = self._machines(scene).start_machine(_machine_id(node))
        return self._settled(node, machine, MachineStatus.RUNNING)

    def _stop_machine(self, scene: _Scene) -> Outcome:
        node = self._node(scene)
        machine = self._machines(scene).stop_machine(_machine_id(node))
        return self._settled(node, machine, MachineStatus.STOPPED)

    def _settled(self, node: Node, machine: Machine, wanted: MachineStatus) -> Outcome:
        """Answer ``pending`` until ``machine`` is in the state ``wanted``."""
        if machine.status is MachineStatus.ERROR:
            raise StepFailed(f"the machine does not start: {machine.reason or 'the cloud gives no reason'}")
        if machine.status is MachineStatus.TERMINATED:
            raise StepFailed("the machine was deleted at the cloud by somebody else")
        if machine.status is not wanted:
            return Outcome(pending=True)
        self._note_machine(machine, node)
        return Outcome(result={"machine_id": machine.machine_id, "private_ip": machine.private_ip})

    def _note_machine(self, machine: Machine, node: Node) -> None:
        def note(node: Node) -> None:
            node.machine_id = machine.machine_id
            node.private_ip = machine.private_ip or node.private_ip

        self._store.change_node(node.cluster_id, node.node_id, note)

    def _delete_machine(self, scene: _Scene) -> Outcome:
        machines = self._machines(scene)
        machine_id = _machine_id(self._node(scene))
        machines.delete_machine(machine_id)
        try:
            gone = machines.get_machine(machine_id).status is MachineStatus.TERMINATED
        except ResourceNotFound:
            gone = True
        return Outcome(pending=not gone)

    def _delete_volume(self, scene: _Scene) -> Outcome:
        self._volumes(scene).delete_volume(scene.step.params["volume_id"])
        return Outcome()

    def _delete_network(self, scene: _Scene) -> Outcome:
        self._networks(scene).delete_network(scene.step.params["network_id"])
        return Outcome()

    def _sweep(self, scene: _Scene) -> Outcome:
        """Remove whatever carries the cluster's tag: also what was made by a call whose answer was lost."""
        tags = {TAG_CLUSTER: scene.cluster.cluster_id}
        machines, volumes, networks = self._machines(scene), self._volumes(scene), self._networks(scene)
        if left := machines.list_machines(tags):
            for machine in left:
                machines.delete_machine(machine.machine_id)
            return Outcome(pending=True)
        if kept := volumes.list_volumes(tags):
            for volume in kept:
                volumes.delete_volume(volume.volume_id)
            return Outcome(pending=True)
        if open_networks := networks.list_networks(tags):
            for network in open_networks:
                networks.delete_network(network.network_id)
            return Outcome(pending=True)
        self._agents.forget(scene.cluster.cluster_id)
        return Outcome()

    def _publish_metadata(self, scene: _Scene) -> Outcome:
        nodes = self._store.nodes(scene.cluster.cluster_id)
        documents = {
            node.agent_id: metadata.document(scene.cluster, nodes, node)
            for node in nodes
            if node.agent_id is not None and not node.frontgate
        }
        self._agents.put_metadata(scene.cluster.cluster_id, documents)
        return Outcome()

    # --- steps on the nodes --------------------------------------------------------------------------------

    def _tell_agent(self, scene: _Scene, task_token: str) -> None:
        node, step = self._node(scene), scene.step
        agent_id = node.agent_id or self._agent_of(node)
        if step.kind is StepKind.AWAIT_AGENT:
            deadline = self._clock.now() + timedelta(seconds=step.timeout_s)
            self._agents.await_agent(agent_id, task_token=task_token, deadline=deadline)
            return
        if (step.optional or scene.job.kind is JobKind.STOP) and not self._connected(node):
            # Nothing can be asked of a node that is away, and its machine is to go down anyway.
            self._callbacks.succeed(task_token, {"skipped": "the node's agent is not connected"})
            return
        self._agents.run_command(
            agent_id,
            command_id=f"{scene.job.job_id}.{scene.job.part}.{step.step_id}",
            timeout_s=step.timeout_s,
            task_token=task_token,
            **self._command(scene, node),
        )

    def _command(self, scene: _Scene, node: Node) -> dict[str, Any]:
        """Return what :meth:`pitrix.pilot.service.PilotService.run_command` is to be given for a step."""
        step, cluster = scene.step, scene.cluster
        role = cluster.role(node.role)
        check = role.health_check
        if step.kind is StepKind.INSTALL_PAYLOAD:
            archive = self._archive(cluster.app_id, cluster.version_id)
            payload = {"url": archive.url, "sha256": archive.digest.removeprefix("sha256:")}
            return {"kind": "install_payload", "payload": payload, "name": "install"}
        if step.kind is StepKind.RUN_SERVICE:
            service = role.services[step.params["service"]]
            command = packages.service_command(service, step.params.get("params") or {})
            return {"cmd": command, "name": service.name}
        if step.kind is StepKind.STOP_WATCHING:
            return {"kind": "stop_health_check", "name": "stop watching"}
        assert check is not None, "only nodes with a health check are checked"
        if step.kind is StepKind.CHECK_HEALTH:
            return {"cmd": _until_healthy(check.check_cmd), "name": "health check"}
        return {
            "kind": "start_health_check",
            "name": "watch health",
            "payload": {
                "check_cmd": check.check_cmd,
                "action_cmd": check.action_cmd,
                "interval_s": check.interval_s,
                "timeout_s": check.timeout_s,
                "action_timeout_s": check.action_timeout_s,
                "healthy_threshold": check.healthy_threshold,
                "unhealthy_threshold": check.unhealthy_threshold,
            },
        }

    def _agent_of(self, node: Node) -> str:
        for agent in self._agents.agents(node.cluster_id):
            if agent.node_id == node.node_id:
                return agent.agent_id
        raise StepFailed(f"{node.name} has no agent")

    def _connected(self, node: Node) -> bool:
        return any(a.connected for a in self._agents.agents(node.cluster_id) if a.node_id == node.node_id)

    def _node(self, scene: _Scene) -> Node:
        node = self._store.node(scene.cluster.cluster_id, scene.step.node_id or "")
        if node is None:
            raise NotFound(f"The step {scene.step.step_id} names no node of its cluster.")
        return node


def readable_cause(cause: str) -> str:
    """Return the sentence inside a state machine's ``Cause``: a Lambda's error comes as a JSON document."""
    try:
        found = json.loads(cause)
    except ValueError:
        return cause.strip()
    if isinstance(found, dict) and "errorMessage" in found:
        return str(found["errorMessage"])
    return cause.strip()


def _until_healthy(check_cmd: str) -> str:
    """Return a command that asks ``check_cmd`` once a second until it succeeds or patience runs out."""
    tries = planning.HEALTH_ATTEMPTS
    return f"i=0; until {{ {check_cmd}\n}}; do i=$((i+1)); [ $i -ge {tries} ] && exit 1; sleep 1; done"


def _machine_id(node: Node) -> str:
    if node.machine_id is None:
        raise StepFailed(f"{node.name} has no machine")
    return node.machine_id


def _tags(cluster: Cluster, node: Node | None = None) -> dict[str, str]:
    return {TAG_CLUSTER: cluster.cluster_id} | ({TAG_NODE: node.node_id} if node else {})


def _resource_name(cluster: Cluster, what: str) -> str:
    return f"pitrix-{cluster.cluster_id[-6:].lower()}-{what}"
