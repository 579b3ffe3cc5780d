"""The steps on the nodes: what their agents are asked, and what they are told about the cluster.

Never waits for an agent: the outcome of a command resumes the state machine by its task token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from pitrix.clock import Clock
from pitrix.clusters import metadata
from pitrix.clusters.model import JobKind, Node, StepKind
from pitrix.clusters.ports import AgentChannel, TaskCallbacks
from pitrix.clusters.scene import Outcome, Scene
from pitrix.clusters.service_layers import HEALTH_ATTEMPTS
from pitrix.errors import StepFailed
from pitrix.packages import service as packages


class Archive(Protocol):
    """Where nodes fetch a package from: an address without credentials, and what must come from there."""

    @property
    def url(self) -> str: ...

    @property
    def digest(self) -> str: ...


class AgentSteps:
    """See the module."""

    def __init__(
        self,
        *,
        agents: AgentChannel,
        archive: Callable[[str, str], Archive],
        callbacks: TaskCallbacks,
        clock: Clock,
    ) -> None:
        self._agents = agents
        self._archive = archive
        self._callbacks = callbacks
        self._clock = clock
        self.carry_out = {StepKind.PUBLISH_METADATA: self._publish_metadata}

    def _publish_metadata(self, scene: Scene) -> Outcome:
        nodes = scene.store.nodes(scene.cluster.cluster_id)
        documents = {
            node.agent_id: metadata.document(scene.cluster, nodes, node)
            for node in nodes
            if node.agent_id is not None and not node.frontgate
        }
        self._agents.put_metadata(scene.cluster.cluster_id, documents)
        return Outcome()

    def tell(self, scene: Scene, task_token: str) -> None:
        """Have the agent of the step's node do the step; its outcome answers ``task_token``."""
        node, step = scene.node, scene.step
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

    def _command(self, scene: Scene, node: Node) -> dict[str, Any]:
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


def _until_healthy(check_cmd: str) -> str:
    """Return a command that asks ``check_cmd`` once a second until it succeeds or patience runs out."""
    tries = HEALTH_ATTEMPTS
    return f"i=0; until {{ {check_cmd}\n}}; do i=$((i+1)); [ $i -ge {tries} ] && exit 1; sleep 1; done"
