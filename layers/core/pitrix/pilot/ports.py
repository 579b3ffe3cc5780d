"""What Pilot needs of the world: a store, connections to agents, and the state machines that wait for it.

Owns the interfaces only. ``dynamo.py`` keeps the records, ``aws.py`` reaches API Gateway, Step Functions and
S3; tests bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pitrix.pilot.model import Agent, Command


class ConnectionGone(Exception):
    """The connection is closed; whoever was behind it comes back by another one."""


class Connections(Protocol):
    """The open WebSocket connections."""

    def post(self, connection_id: str, data: str) -> None:
        """Send one message.

        Raises:
            ConnectionGone: nobody is there any more.
        """
        ...

    def close(self, connection_id: str) -> None:
        """Close a connection; one that is closed already is no error."""
        ...


class Callbacks(Protocol):
    """The executions of state machines that wait with a task token."""

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> None:
        """Resume the execution; a token that is no longer waited on is no error."""
        ...

    def fail(self, task_token: str, error: str, cause: str) -> None:
        """Fail the waiting state with ``error`` (a class in ``pitrix.errors``) and a readable ``cause``."""
        ...


class AgentBundle(Protocol):
    """Where machines get the agent program from."""

    def url(self) -> str:
        """Return an address that a machine can fetch ``agent.pyz`` from without credentials."""
        ...


class PilotStore(Protocol):
    """The records of Pilot. A change applies to what is stored *now* and is retried when another one won."""

    def agent(self, agent_id: str) -> Agent | None: ...

    def agent_of_node(self, cluster_id: str, node_id: str) -> Agent | None: ...

    def agents(self, cluster_id: str) -> Iterator[Agent]: ...

    def add_agent(self, agent: Agent) -> None:
        """Store a new agent.

        Raises:
            Conflict: its node has an agent already.
        """
        ...

    def change_agent(self, agent_id: str, change: Callable[[Agent], Agent | None]) -> Agent | None:
        """Apply ``change`` and return the agent as it is now; ``change`` returns ``None`` to leave it be.

        Returns ``None`` where there is no such agent. ``change`` may be called several times.
        """
        ...

    def remove_agent(self, agent: Agent) -> None: ...

    def bind(self, connection_id: str, agent_id: str, *, expires_at: int) -> None:
        """Note that ``agent_id`` is authenticated on the connection, until ``expires_at`` (epoch seconds)."""
        ...

    def unbind(self, connection_id: str, agent_id: str) -> None: ...

    def bound_agents(self, connection_id: str) -> Sequence[str]:
        """Return the ids of the agents that are authenticated on the connection."""
        ...

    def has_agents(self, connection_id: str) -> bool: ...

    def metadata(self, agent_id: str) -> tuple[int, dict[str, Any]] | None:
        """Return (version, document) of an agent's metadata."""
        ...

    def put_metadata(self, agent_id: str, document: Mapping[str, Any]) -> Agent | None:
        """Store a document under the agent's next version, or do nothing where it is the same as now.

        Returns the agent as it is now, with that version, or ``None`` where there is no such agent.
        """
        ...

    def command(self, agent_id: str, command_id: str) -> Command | None: ...

    def add_command(self, command: Command) -> None:
        """Store a new command.

        Raises:
            Conflict: the agent has one of that id.
        """
        ...

    def change_command(
        self, agent_id: str, command_id: str, change: Callable[[Command], Command | None]
    ) -> Command | None:
        """As :meth:`change_agent`, for a command."""
        ...

    def commands_of_agent(self, agent_id: str) -> Iterator[Command]: ...

    def commands_of_cluster(self, cluster_id: str) -> Iterator[Command]:
        """Yield the commands of a cluster, newest first."""
        ...

    def due(self, now: datetime) -> Iterator[Agent | Command]:
        """Yield the agents that are waited for and the commands whose time has come."""
        ...
