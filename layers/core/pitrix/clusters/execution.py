"""Carrying out a job, one idempotent step at a time; what the state machines of ``stepfunctions/`` call.

Owns the journal: a step is ``running`` in the table before the cloud or an agent is called and carries its
result afterwards, so that a step that is run again (a retry, an execution that died, an emulator that was
restarted) finds what was made or makes it under the same idempotency key. Decides no order: that is the
plan's. Never sleeps: what takes long answers ``pending`` and is asked again by the state machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pitrix.clock import Clock
from pitrix.clusters import planning
from pitrix.clusters.agent_steps import AgentSteps, Archive
from pitrix.clusters.lifecycle import JobClosing
from pitrix.clusters.machine_steps import MachineSteps
from pitrix.clusters.model import Cluster, Job, JobError, JobStatus, Node, StepKind, StepStatus
from pitrix.clusters.ports import AgentChannel, ClusterStore, TaskCallbacks
from pitrix.clusters.removal_steps import RemovalSteps
from pitrix.clusters.scene import Outcome, Scene, machine_of
from pitrix.clusters.software_steps import SoftwareSteps
from pitrix.errors import JobCancelled, NotFound, PitrixError, StepFailed
from pitrix.packages.model import Package
from providers.base import Provider
from providers.resources import MachineStatus

#: How often the plan of a job is tried before it is given up, where its state machine tries again at all.
MAX_TRIES = 3
#: How long a state machine waits until it asks the cloud again, in seconds: at first, and when it takes long.
#: Each question is nine events of the execution's history, which ends at 25,000.
POLL_S, SLOW_POLL_S = 2, 10
SOON_S = 20
#: What the state machine waits beyond a step's own time, for the platform to notice and answer by itself.
AGENT_GRACE_S = 180


class Executor:
    """See the module."""

    def __init__(
        self,
        *,
        store: ClusterStore,
        provider_for: Callable[[str], Provider],
        agents: AgentChannel,
        archive: Callable[[str, str], Archive],
        package: Callable[[str], Package],
        callbacks: TaskCallbacks,
        closing: JobClosing,
        clock: Clock,
        function_for: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._store = store
        self._provider_for = provider_for
        self._callbacks = callbacks
        self._closing = closing
        self._clock = clock
        self._function_for = function_for
        self._agents = AgentSteps(agents=agents, archive=archive, callbacks=callbacks, clock=clock)
        self._carry_out: dict[StepKind, Callable[[Scene], Outcome]] = {
            **MachineSteps(agents).carry_out,
            **SoftwareSteps(package).carry_out,
            **RemovalSteps(agents).carry_out,
            **self._agents.carry_out,
        }

    # --- what the state machines call ----------------------------------------------------------------------

    def next_layer(self, job_id: str) -> dict[str, Any]:
        """Return the steps that may run now: ``{"done", "steps": [{"job_id", "step_id", …}]}``.

        ``function`` of a step is the name of the function that speaks to the cluster's cloud.

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
        function = self._function_for(self._cluster(job.cluster_id).runtime_id)
        return {
            "done": False,
            "steps": [
                {
                    "job_id": job_id,
                    "step_id": step.step_id,
                    "by_agent": step.kind.by_agent,
                    "function": function,
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
            self._agents.tell(scene, task_token)
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

    def _why_no_agent(self, scene: Scene) -> str:
        """Return what the cloud says about a machine whose agent did not come, as an afterthought."""
        if scene.step.kind is not StepKind.AWAIT_AGENT:
            return ""
        try:
            machine = scene.provider.machines.get_machine(machine_of(scene.node))
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

    def _scene(self, job_id: str, step_id: str) -> Scene:
        job = self._job(job_id)
        step = self._store.step(job_id, job.part, step_id)
        if step is None:
            raise NotFound(f"The job {job_id} has no step {step_id}.")
        return Scene(
            job=job,
            cluster=self._cluster(job.cluster_id),
            step=step,
            store=self._store,
            connect=self._provider_for,
        )

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

    def _note_intent(self, scene: Scene) -> None:
        if scene.step.status is StepStatus.WAITING:
            scene.step.status, scene.step.started_at = StepStatus.RUNNING, self._clock.now()
            self._store.put_steps(scene.job.job_id, scene.job.part, [scene.step])

    def _note_success(self, scene: Scene, result: dict[str, Any]) -> None:
        step = scene.step
        step.status, step.result, step.finished_at = StepStatus.SUCCEEDED, result, self._clock.now()
        self._store.put_steps(scene.job.job_id, scene.job.part, [step])


def readable_cause(cause: str) -> str:
    """Return the sentence inside a state machine's ``Cause``: a Lambda's error comes as a JSON document."""
    try:
        found = json.loads(cause)
    except ValueError:
        return cause.strip()
    if isinstance(found, dict) and "errorMessage" in found:
        return str(found["errorMessage"])
    return cause.strip()
