"""Pilot: enrols agents, gives them commands and metadata, and tells waiting state machines what became of it.

Owns every rule of the channel to the machines: who may speak for an agent, at most one execution for a
command id, what is re-sent after a lost connection, and that everything waited for is answered at last,
with a reason a person understands. Never runs anything itself and never sees a cloud.

Its callers are the steps of the clusters context (:meth:`PilotService.enroll` and the methods after it), the
WebSocket handlers in ``functions/pilot/app.py`` (:meth:`PilotService.on_message`,
:meth:`PilotService.on_disconnect`) and a schedule (:meth:`PilotService.expire`). None of them is a user:
whoever may see a cluster is decided by the clusters context before it asks here, so no method takes a
principal.

Next: ``model.py`` for the records, ``protocol.py`` for the frames, ``infra/agent`` for the other end.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pitrix import ids
from pitrix.clock import Clock, rfc3339
from pitrix.errors import AgentUnreachable, Conflict, FieldError, InvalidInput, NotFound
from pitrix.events import EventBus
from pitrix.pilot import protocol, userdata
from pitrix.pilot.model import (
    ERROR_OF,
    OUTPUT_TAIL_CHARS,
    Agent,
    AgentKind,
    Command,
    CommandKind,
    CommandStatus,
    Outcome,
    Secret,
    Wait,
    explain,
    is_id,
)
from pitrix.pilot.ports import AgentBundle, Callbacks, ConnectionGone, Connections, PilotStore

_log = logging.getLogger("pitrix.pilot")

#: How long a one-time token may register its agent, from enrolment on. A machine boots within minutes.
TOKEN_LIFETIME_S = 3600
#: What a command gets on top of its own time-out: delivery, a lost connection, killing what overran.
DELIVERY_GRACE_S = 60
#: API Gateway ends a connection after two hours; a record of one is of no use after that.
CONNECTION_LIFETIME_S = 3 * 3600
#: Tokens of one agent that are good at the same time, the newest ones.
_MAX_TOKENS = 20
#: Of the output, what travels back into the state machine: its whole history is capped at 25,000 events.
_ANSWER_TAIL_CHARS = 1_000
FRONTGATE_PORT = 9111


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """An agent to be: ``user_data`` is what its machine must run at boot. Holds a secret, never log it."""

    agent_id: str
    token: str = field(repr=False)
    user_data: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What one run of :meth:`PilotService.expire` found: ``failed`` could not be handled and stay due."""

    agents: int = 0
    commands: int = 0
    failed: int = 0


class _Refused(Exception):
    """A frame that counts for nothing; ``code`` tells the agent what to do about it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PilotService:
    """See the module."""

    def __init__(
        self,
        *,
        store: PilotStore,
        connections: Connections,
        callbacks: Callbacks,
        bundle: AgentBundle,
        events: EventBus,
        clock: Clock,
        pilot_url: str,
    ) -> None:
        self._store = store
        self._connections = connections
        self._callbacks = callbacks
        self._bundle = bundle
        self._events = events
        self._clock = clock
        self._pilot_url = pilot_url

    # --- for the steps of a job ----------------------------------------------------------------------------

    def enroll(
        self,
        cluster_id: str,
        node_id: str,
        role: str,
        kind: str = AgentKind.DRONE,
        frontgate_id: str | None = None,
        *,
        name: str = "",
        frontgate_address: str = "",
        bundle_url: str = "",
    ) -> Enrollment:
        """Make the agent of a node, or a further one-time token for the one it has.

        Running a step again is harmless: the agent stays the same, and the token of the first run stays good,
        because the machine that was made with it may be booting by now. The first token used voids the
        others.

        Args:
            name: What people call the node (``web-2``); the node's id where it is not given.
            frontgate_id: The agent id of the cluster's frontgate, for a drone that must not go out itself.
            frontgate_address: The frontgate's private address, where it is known before it has registered.
            bundle_url: Where the machine fetches ``agent.pyz``; the deployment's own bundle by default.

        Raises:
            AgentUnreachable: the frontgate's address is not given and it has not registered yet.
            NotFound: there is no frontgate ``frontgate_id`` in this cluster.
        """
        now = self._clock.now()
        token = secrets.token_urlsafe(32)
        hashed = Secret.of(token, now + timedelta(seconds=TOKEN_LIFETIME_S))
        upstream = self._upstream(cluster_id, frontgate_id, frontgate_address)
        agent = self._agent_to_enroll(
            Agent(
                agent_id=ids.new("agt"),
                cluster_id=cluster_id,
                node_id=node_id,
                role=role,
                kind=AgentKind(kind),
                name=name or node_id,
                frontgate_id=frontgate_id,
                tokens=(hashed,),
                created_at=now,
            )
        )
        config = {
            "agent_id": agent.agent_id,
            "kind": agent.kind.value,
            "cluster_id": cluster_id,
            "node_id": node_id,
            "role": role,
            "name": agent.name,
            "upstream": upstream,
            "via_frontgate": frontgate_id is not None,
            "token": token,
            "bundle_url": bundle_url or self._bundle.url(),
        }
        return Enrollment(agent_id=agent.agent_id, token=token, user_data=userdata.script(config))

    def put_metadata(self, cluster_id: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Set what agents serve as ``/self``, and send it to those that are connected; the others ask.

        A command that is run after this begins only once its agent serves the new document.

        Args:
            documents: By agent id, the tree under ``/self``: ``{"hosts": …, "host": …, "cluster": …, "env":
            …}``.

        Raises:
            NotFound: an agent does not exist or belongs to another cluster. Those before it are done.
        """
        for agent_id, document in documents.items():
            before = self._agent_of(cluster_id, agent_id)
            agent = self._store.put_metadata(agent_id, document)
            if agent is not None and agent.metadata_version != before.metadata_version:
                self._send_metadata(agent)

    def await_agent(self, agent_id: str, *, task_token: str, deadline: datetime) -> None:
        """Resume the state machine once the agent is connected: at once, or at its hello.

        It gets ``{"agent_id", "node_id", "address"}``, or after ``deadline`` the error ``AgentUnreachable``.
        Asking again replaces the token.

        Raises:
            NotFound: there is no such agent.
        """

        def wait(agent: Agent) -> Agent:
            new = Wait(task_token=task_token, deadline=deadline)
            return replace(agent, wait=None if agent.connected else new)

        agent = self._store.change_agent(agent_id, wait)
        if agent is None:
            raise NotFound(f"There is no agent {agent_id}.")
        if agent.wait is None:
            self._callbacks.succeed(task_token, _presence(agent))

    def run_command(
        self,
        agent_id: str,
        *,
        command_id: str,
        cmd: str = "",
        env: Mapping[str, str] | None = None,
        timeout_s: int = 600,
        task_token: str | None = None,
        kind: str = CommandKind.EXEC,
        payload: Mapping[str, Any] | None = None,
        cwd: str = "",
        name: str = "",
    ) -> Command:
        """Have an agent run something, once, and resume the state machine with the outcome.

        The command is in the durable log before anything is sent. Delivered at once to a connected agent,
        else at its next hello. The state machine gets ``{"exit_code", "output_tail"}``, or one of the
        errors ``CommandFailed``, ``CommandTimedOut`` (the node killed it after ``timeout_s``),
        ``AgentUnreachable`` (no result came in time: whether it ran is not known) or ``JobCancelled`` (the
        cluster was forgotten).

        The same ``command_id`` again is the same execution: the new token replaces the old one, a finished
        command answers it at once, and one that was given up as lost is waited for anew.

        Args:
            command_id: Unique on its agent; stable for (job, step).
            timeout_s: Of the execution on the node. Delivery gets ``DELIVERY_GRACE_S`` on top.
            payload: What a kind other than ``exec`` needs; ``infra/agent/pitrix_agent/actions.py`` lists it.
            cwd: Relative to the application's folder on the node, which is the default.
            name: What people call it (``start``); the id where it is not given.

        Raises:
            InvalidInput: an id, kind or time-out that no agent would take.
            NotFound: there is no such agent.
            Conflict: the id was used for another command.
        """
        kind = _checked_command(command_id, kind, cmd, timeout_s)
        now = self._clock.now()
        agent = self._store.agent(agent_id)
        if agent is None:
            raise NotFound(f"There is no agent {agent_id}.")
        wanted = Command(
            command_id=command_id,
            agent_id=agent_id,
            cluster_id=agent.cluster_id,
            node_name=agent.label,
            name=name or command_id,
            kind=kind,
            created_at=now,
            deadline=now + timedelta(seconds=timeout_s + DELIVERY_GRACE_S),
            timeout_s=timeout_s,
            cmd=cmd,
            env=dict(env or {}),
            cwd=cwd,
            payload=dict(payload or {}),
            task_token=task_token,
            metadata_version=agent.metadata_version,
        )
        try:
            self._store.add_command(wanted)
            command = wanted
        except Conflict:
            command = self._run_again(wanted)
        if not command.pending:
            self._answer(command)
        else:
            # Read again now that the command is in the log: an agent that came back in between has either
            # been sent it by its hello, or is seen here.
            present = self._store.agent(agent_id)
            if present is not None:
                self._deliver(present, command)
        return command

    def commands(self, cluster_id: str) -> list[Command]:
        """Return the command log of a cluster, newest first."""
        return list(self._store.commands_of_cluster(cluster_id))

    def agents(self, cluster_id: str) -> list[Agent]:
        """Return the agents of a cluster, with presence and health."""
        return list(self._store.agents(cluster_id))

    def forget(self, cluster_id: str, node_id: str | None = None) -> None:
        """Revoke the agents of a cluster, or of one node of it: keys and tokens stop working at once.

        What they had still to do is answered with ``JobCancelled``; the log stays until it ages out. Harmless
        where there is nothing to forget.
        """
        for agent in list(self._store.agents(cluster_id)):
            if node_id is not None and agent.node_id != node_id:
                continue
            # The record goes first: from here on no frame of this agent counts.
            self._store.remove_agent(agent)
            for command in self._store.commands_of_agent(agent.agent_id):
                if command.pending:
                    self._cancel(command, f"{command.node_name} was removed")
            if agent.wait is not None:
                self._callbacks.fail(agent.wait.task_token, "JobCancelled", f"{agent.label} was removed")
            if agent.connection_id is not None:
                self._leave_connection(agent.connection_id, agent.agent_id)

    def expire(self, now: datetime) -> Expired:
        """Answer what has waited past its deadline; called every minute.

        Also answers what finished but could not be answered then. One failure does not stop the others: it
        stays due for the next run.
        """
        agents = commands = failed = 0
        for found in self._store.due(now):
            try:
                if isinstance(found, Agent):
                    agents += self._expire_wait(found, now)
                else:
                    commands += self._expire_command(found, now)
            except Exception:
                failed += 1
                _log.exception("could not expire something of agent %s", found.agent_id)
        return Expired(agents=agents, commands=commands, failed=failed)

    # --- for the WebSocket handlers ------------------------------------------------------------------------

    def on_message(self, connection_id: str, message: str) -> None:
        """Take one message of a connection. No frame in it can spoil another, and none raises."""
        try:
            frames = list(protocol.decode(message))
        except msgspec.DecodeError:
            _log.warning("a message that is not JSON came on connection %s", connection_id)
            self._close_unless_authenticated(connection_id)
            return
        for frame in frames:
            try:
                if isinstance(frame, msgspec.ValidationError):
                    raise _Refused("malformed", str(frame))
                self._on_frame(connection_id, frame)
            except _Refused as refusal:
                self._refuse(connection_id, frame, refusal)
            except Exception:
                # The agent re-sends what is not acknowledged, so a transient failure heals by itself.
                _log.exception("a %s frame could not be handled", type(frame).__name__)

    def on_disconnect(self, connection_id: str) -> None:
        """Note that a connection ended; its agents may be on another one already."""
        for agent_id in self._store.bound_agents(connection_id):
            self._forget_connection(agent_id, connection_id)

    # --- frames --------------------------------------------------------------------------------------------

    def _on_frame(self, connection_id: str, frame: protocol.Frame) -> None:
        if isinstance(frame, protocol.Hello):
            self._on_hello(connection_id, frame)
            return
        agent = self._store.agent(frame.agent)
        if agent is None or agent.connection_id != connection_id:
            raise _Refused("not_authenticated", "say hello first: this agent is not known on this connection")
        match frame:
            case protocol.Output():
                self._on_output(frame)
            case protocol.Result():
                self._on_result(agent, frame)
            case protocol.Health():
                self._on_health(agent, frame)
            case protocol.Sync():
                self._send_metadata(agent)
            case protocol.Ping():
                self._seen(agent)
                self._send(agent, {"type": "pong", "agent": agent.agent_id})
            case protocol.Bye():
                self._forget_connection(agent.agent_id, connection_id)

    def _on_hello(self, connection_id: str, hello: protocol.Hello) -> None:
        now = self._clock.now()

        def admit(agent: Agent) -> Agent:
            admitted = _admitted(agent, hello, now)
            return replace(
                admitted,
                connection_id=connection_id,
                last_seen_at=now,
                address=hello.address,
                listens=hello.listens,
            )

        known = self._store.agent(hello.agent)
        if known is None:
            raise _Refused("unknown_agent", "there is no such agent, or it was removed")
        self._check_route(known, connection_id)
        # Bound before it is admitted: a disconnect in between then finds it and cleans up.
        expires_at = int(now.timestamp()) + CONNECTION_LIFETIME_S
        if known.connection_id != connection_id:
            _admitted(known, hello, now)
            self._store.bind(connection_id, hello.agent, expires_at=expires_at)
        agent = self._store.change_agent(hello.agent, admit)
        if agent is None:
            raise _Refused("unknown_agent", "this agent was removed just now")
        if known.registered_at is None:
            _log.info("agent %s of %s registered", agent.agent_id, agent.cluster_id)
        if known.connection_id not in (None, connection_id):
            self._leave_connection(known.connection_id, agent.agent_id)
        if not self._send(agent, {"type": "welcome", "agent": agent.agent_id, "nonce": hello.nonce}):
            return
        if agent.metadata_version != hello.metadata_version:
            self._send_metadata(agent)
        if agent.wait is not None:
            self._callbacks.succeed(agent.wait.task_token, _presence(agent))
            self._end_wait(agent.agent_id, agent.wait)
        self._resume(agent, set(hello.commands))

    def _on_output(self, frame: protocol.Output) -> None:
        def append(command: Command) -> Command | None:
            if not command.pending or frame.seq <= command.output_seq:
                return None
            tail = (command.output_tail + frame.data)[-OUTPUT_TAIL_CHARS:]
            return replace(command, output_tail=tail, output_seq=frame.seq)

        self._store.change_command(frame.agent, frame.command, append)

    def _on_result(self, agent: Agent, frame: protocol.Result) -> None:
        now = self._clock.now()
        outcome = Outcome(
            exit_code=frame.exit_code,
            output_tail=frame.output_tail[-OUTPUT_TAIL_CHARS:],
            output_truncated=frame.output_truncated,
            timed_out=frame.timed_out,
            error=frame.error,
        )
        command = self._store.change_command(
            agent.agent_id, frame.command, lambda command: _finished(command, outcome, now)
        )
        if command is not None:
            self._answer(command)
        # Unknown commands too: they were forgotten, and the agent may drop them.
        self._send(agent, {"type": "ack", "agent": agent.agent_id, "command": frame.command})

    def _on_health(self, agent: Agent, frame: protocol.Health) -> None:
        now = self._clock.now()
        changed = self._store.change_agent(
            agent.agent_id, lambda a: replace(a, health=frame.health, health_at=now, last_seen_at=now)
        )
        if changed is not None and agent.health != frame.health:
            data = {"cluster_id": agent.cluster_id, "health": frame.health, "detail": frame.detail}
            self._events.publish("NodeHealthChanged", agent.node_id, data)

    def _seen(self, agent: Agent) -> None:
        now = self._clock.now()
        self._store.change_agent(agent.agent_id, lambda a: replace(a, last_seen_at=now))

    def _check_route(self, agent: Agent, connection_id: str) -> None:
        """A drone behind a frontgate may only come by the connection of that frontgate."""
        if agent.frontgate_id is None:
            return
        frontgate = self._store.agent(agent.frontgate_id)
        if frontgate is None or frontgate.connection_id != connection_id:
            raise _Refused("wrong_route", "this agent must come through its cluster's frontgate")

    def _refuse(self, connection_id: str, frame: object, refusal: _Refused) -> None:
        _log.warning("refused a frame on connection %s: %s: %s", connection_id, refusal.code, refusal)
        agent_id = getattr(frame, "agent", None)
        if agent_id is not None:
            answer = {
                "type": "refused",
                "agent": agent_id,
                "nonce": getattr(frame, "nonce", ""),
                "code": refusal.code,
                "message": str(refusal),
            }
            try:
                for text in protocol.encode(answer):
                    self._connections.post(connection_id, text)
            except ConnectionGone:
                return
        self._close_unless_authenticated(connection_id)

    def _close_unless_authenticated(self, connection_id: str) -> None:
        if not self._store.has_agents(connection_id):
            self._connections.close(connection_id)

    # --- sending -------------------------------------------------------------------------------------------

    def _send(self, agent: Agent, frame: Mapping[str, Any]) -> bool:
        """Send a frame to an agent; ``False`` where it is away, in which case it asks again at its hello."""
        if agent.connection_id is None:
            return False
        try:
            for text in protocol.encode(frame):
                self._connections.post(agent.connection_id, text)
        except ConnectionGone:
            self._forget_connection(agent.agent_id, agent.connection_id)
            return False
        return True

    def _send_metadata(self, agent: Agent) -> None:
        found = self._store.metadata(agent.agent_id) if agent.connected else None
        if found is not None:
            version, document = found
            frame = {"type": "metadata", "agent": agent.agent_id, "version": version, "document": document}
            self._send(agent, frame)

    def _deliver(self, agent: Agent, command: Command) -> bool:
        body = {
            "id": command.command_id,
            "kind": command.kind.value,
            "name": command.name,
            "cmd": command.cmd,
            "env": command.env,
            "cwd": command.cwd,
            "timeout_s": command.timeout_s,
            "payload": command.payload,
            "metadata_version": command.metadata_version,
        }
        return self._send(agent, {"type": "command", "agent": agent.agent_id, "command": body})

    def _resume(self, agent: Agent, known: set[str]) -> None:
        """Send what the agent has not got. What it has, it finishes and reports by itself."""
        for command in self._store.commands_of_agent(agent.agent_id):
            if command.pending and command.command_id not in known and not self._deliver(agent, command):
                return

    def _forget_connection(self, agent_id: str, connection_id: str) -> None:
        """Note that the agent is away, unless it has come back by another connection since."""

        def leave(agent: Agent) -> Agent | None:
            return replace(agent, connection_id=None) if agent.connection_id == connection_id else None

        self._store.change_agent(agent_id, leave)
        self._store.unbind(connection_id, agent_id)

    def _leave_connection(self, connection_id: str, agent_id: str) -> None:
        """The agent is no longer on that connection; one that carries nobody else is closed."""
        self._store.unbind(connection_id, agent_id)
        self._close_unless_authenticated(connection_id)

    # --- the life of a command -----------------------------------------------------------------------------

    def _run_again(self, wanted: Command) -> Command:
        """Attach a new token to the command that has this id already."""

        def attach(command: Command) -> Command:
            if (command.kind, command.cmd, command.cwd) != (wanted.kind, wanted.cmd, wanted.cwd):
                raise Conflict(f"{command.command_id} names another command of {command.node_name} already.")
            again = replace(command, task_token=wanted.task_token, answered=False)
            if command.pending or command.status is CommandStatus.LOST:
                # Lost means that no result came, and the agent runs an id at most once: ask it anew.
                again = replace(
                    again,
                    status=CommandStatus.PENDING,
                    deadline=wanted.deadline,
                    payload=wanted.payload,
                    detail="",
                    finished_at=None,
                )
            return again

        command = self._store.change_command(wanted.agent_id, wanted.command_id, attach)
        assert command is not None  # the conflict that brought us here proves that it exists
        return command

    def _answer(self, command: Command) -> None:
        """Tell the state machine about a finished command, once."""
        if command.task_token is None or command.answered:
            return
        if command.status is CommandStatus.SUCCEEDED:
            tail = command.output_tail[-_ANSWER_TAIL_CHARS:]
            self._callbacks.succeed(command.task_token, {"exit_code": 0, "output_tail": tail})
        else:
            error = ERROR_OF.get(command.status, "AgentUnreachable")
            self._callbacks.fail(command.task_token, error, command.detail)
        token = command.task_token

        def answered(now: Command) -> Command | None:
            # A token that came in the meantime is answered by whoever brought it.
            return replace(now, answered=True) if now.task_token == token and not now.pending else None

        self._store.change_command(command.agent_id, command.command_id, answered)

    def _cancel(self, command: Command, why: str) -> None:
        now = self._clock.now()

        def cancel(found: Command) -> Command | None:
            if not found.pending:
                return None
            detail = f"command {found.name!r}: {why}"
            return replace(found, status=CommandStatus.CANCELLED, detail=detail, finished_at=now)

        cancelled = self._store.change_command(command.agent_id, command.command_id, cancel)
        if cancelled is not None:
            self._answer(cancelled)

    def _expire_command(self, found: Command, now: datetime) -> int:
        agent = self._store.agent(found.agent_id)

        def lose(command: Command) -> Command | None:
            if not command.pending or command.deadline > now:
                return None
            detail = _lost(command, agent)
            return replace(command, status=CommandStatus.LOST, detail=detail, finished_at=now)

        command = self._store.change_command(found.agent_id, found.command_id, lose)
        if command is None or command.pending or command.answered:
            return 0
        self._answer(command)
        if agent is not None and command.status is CommandStatus.LOST:
            self._send(agent, {"type": "cancel", "agent": agent.agent_id, "command": command.command_id})
        return 1

    def _expire_wait(self, found: Agent, now: datetime) -> int:
        agent = self._store.agent(found.agent_id)  # the index that found it may be behind
        if agent is None or agent.wait is None or agent.wait.deadline > now:
            return 0
        self._callbacks.fail(agent.wait.task_token, "AgentUnreachable", _never_came(agent))
        self._end_wait(agent.agent_id, agent.wait)
        return 1

    def _end_wait(self, agent_id: str, wait: Wait) -> None:
        """Nobody waits any more; only after the answer, so that a failed answer stays due."""
        self._store.change_agent(agent_id, lambda a: replace(a, wait=None) if a.wait == wait else None)

    # --- helpers -------------------------------------------------------------------------------------------

    def _agent_of(self, cluster_id: str, agent_id: str) -> Agent:
        agent = self._store.agent(agent_id)
        if agent is None or agent.cluster_id != cluster_id:
            raise NotFound(f"Cluster {cluster_id} has no agent {agent_id}.")
        return agent

    def _agent_to_enroll(self, wanted: Agent) -> Agent:
        def another_token(agent: Agent) -> Agent:
            return replace(agent, tokens=(*agent.tokens, *wanted.tokens)[-_MAX_TOKENS:])

        present = self._store.agent_of_node(wanted.cluster_id, wanted.node_id)
        if present is None:
            try:
                self._store.add_agent(wanted)
                return wanted
            except Conflict:
                present = self._store.agent_of_node(wanted.cluster_id, wanted.node_id)
        agent = None if present is None else self._store.change_agent(present.agent_id, another_token)
        if agent is None:
            raise Conflict(f"Node {wanted.node_id} is being enrolled and removed at the same time.")
        return agent

    def _upstream(self, cluster_id: str, frontgate_id: str | None, address: str) -> str:
        if frontgate_id is None:
            return self._pilot_url
        frontgate = self._agent_of(cluster_id, frontgate_id)
        if not (frontgate.listens or address):
            raise AgentUnreachable(f"The frontgate of {cluster_id} has not registered yet.")
        return frontgate.listens or f"ws://{address}:{FRONTGATE_PORT}"


def _admitted(agent: Agent, hello: protocol.Hello, now: datetime) -> Agent:
    """Return the agent with the credentials of ``hello`` accepted.

    The agent makes its key itself and keeps it on its disk before it sends it, so a welcome that is lost on
    the way locks nobody out: the hello is simply sent again.

    Raises:
        _Refused: neither its key nor a good token.
    """
    if agent.key is not None and agent.key.matches(hello.key, now):
        return agent
    if hello.token is not None and any(token.matches(hello.token, now) for token in agent.tokens):
        return replace(agent, key=Secret.of(hello.key), tokens=(), registered_at=now)
    if agent.key is None:
        raise _Refused("bad_token", "the token is wrong or has expired")
    raise _Refused("bad_key", "the key is wrong, or the token was used already")


def _finished(command: Command, outcome: Outcome, now: datetime) -> Command | None:
    """Return the command with its outcome, or ``None`` where one is known already."""
    if not command.pending and command.status is not CommandStatus.LOST:
        return None
    succeeded = outcome.exit_code == 0 and not outcome.timed_out and not outcome.error
    failed = CommandStatus.TIMED_OUT if outcome.timed_out else CommandStatus.FAILED
    return replace(
        command,
        status=CommandStatus.SUCCEEDED if succeeded else failed,
        exit_code=outcome.exit_code,
        output_tail=outcome.output_tail,
        output_truncated=outcome.output_truncated,
        detail="" if succeeded else explain(command, outcome),
        finished_at=now,
    )


def _presence(agent: Agent) -> dict[str, str]:
    return {"agent_id": agent.agent_id, "node_id": agent.node_id, "address": agent.address}


def _lost(command: Command, agent: Agent | None) -> str:
    what = f"command {command.name!r} on {command.node_name}"
    waited = f"within {int((command.deadline - command.created_at).total_seconds())} s"
    if agent is None:
        return f"{what} has no agent any more"
    if agent.connected:
        return f"{what} did not report a result {waited}, though its agent is connected"
    if agent.last_seen_at is None:
        return f"{what} could not be delivered: its agent has never connected"
    seen = rfc3339(agent.last_seen_at)
    return f"{what} did not report a result {waited}: its agent was last seen at {seen}"


def _never_came(agent: Agent) -> str:
    if agent.registered_at is None:
        return (
            f"the agent of {agent.label} did not register in time: the machine may not have booted, "
            "could not fetch the agent, or cannot reach the platform"
        )
    return f"the agent of {agent.label} did not come back in time: the machine may be down or cut off"


def _checked_command(command_id: str, kind: str, cmd: str, timeout_s: int) -> CommandKind:
    errors: list[FieldError] = []
    if not is_id(command_id):
        errors.append(FieldError("command_id", "takes up to 200 letters, digits and . _ : # -"))
    if kind not in list(CommandKind):
        errors.append(FieldError("kind", f"is one of {', '.join(CommandKind)}"))
    elif kind == CommandKind.EXEC and not cmd.strip():
        errors.append(FieldError("cmd", "is empty"))
    if not 1 <= timeout_s <= 24 * 3600:
        errors.append(FieldError("timeout_s", "is between 1 and 86400 seconds"))
    if errors:
        text = "; ".join(f"{error.field} {error.message}" for error in errors)
        raise InvalidInput(f"No agent would take this command: {text}.", errors=errors)
    return CommandKind(kind)


__all__: Sequence[str] = ["Enrollment", "Expired", "PilotService"]
