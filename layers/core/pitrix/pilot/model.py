"""Agents, the commands they are given, and what people are told about both.

Owns: the two records of Pilot (:class:`Agent`, :class:`Command`), the life of a command, and the sentences
that explain a failed one. Never talks to anything: ``service.py`` decides, ``dynamo.py`` keeps,
``protocol.py`` says what travels, ``userdata.py`` writes what a machine runs at its first boot.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: What the last part of a command's output may weigh in the log and in an answer, in characters.
OUTPUT_TAIL_CHARS = 4_000
#: How long a finished command stays in the log.
COMMAND_RETENTION_S = 30 * 24 * 3600
#: A command or agent id on the wire and in a file name of the agent.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:#-]{0,199}$"

_ID = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Tell whether ``text`` may name an agent or a command."""
    return _ID.match(text) is not None


class AgentKind(enum.StrEnum):
    """What an agent is for: a *drone* runs commands on its machine, a *frontgate* relays for drones."""

    DRONE = "drone"
    FRONTGATE = "frontgate"


class CommandKind(enum.StrEnum):
    """What a command does.

    ``exec`` runs ``cmd`` by ``sh -c``; every other kind is described by its payload (see ``protocol.py``).
    """

    EXEC = "exec"
    WRITE_FILES = "write_files"
    INSTALL_PAYLOAD = "install_payload"
    START_HEALTH_CHECK = "start_health_check"
    STOP_HEALTH_CHECK = "stop_health_check"


class CommandStatus(enum.StrEnum):
    """Where a command stands.

    ``failed`` and ``timed_out`` come from the agent. ``lost`` is Pilot's own verdict when the deadline passed
    and no result had come: whether the command ran is not known, and a result may still arrive.
    """

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret that Pilot handed out or was told, as it keeps it: hashed.

    The secrets have 256 random bits, so a plain SHA-256 cannot be guessed back.
    """

    sha256: str
    expires_at: datetime | None = None

    @classmethod
    def of(cls, text: str, expires_at: datetime | None = None) -> Secret:
        return cls(sha256=hashlib.sha256(text.encode()).hexdigest(), expires_at=expires_at)

    def matches(self, text: str, now: datetime) -> bool:
        """Tell, in constant time, whether ``text`` is this secret and still good at ``now``."""
        same = hmac.compare_digest(self.sha256, hashlib.sha256(text.encode()).hexdigest())
        return same and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A state machine that waits, until ``deadline``, for an agent to connect."""

    task_token: str = field(repr=False)
    deadline: datetime


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One agent: the program on one machine, and the connection it is reached by now.

    ``name`` is what people call its node (``web-2``). ``tokens`` are the one-time tokens that may still
    register it: more than one, because a step that is run again enrols again while the machine of the first
    run may already be booting with the first token. Using one voids them all. ``connection_id`` is the
    WebSocket connection, the frontgate's for an agent behind one, or ``None`` while it is away.
    ``listens`` is where a frontgate takes its drones.
    ``metadata_version`` is the version it should serve; 0 means that it has none.
    """

    agent_id: str
    cluster_id: str
    node_id: str
    role: str
    kind: AgentKind
    name: str
    created_at: datetime
    frontgate_id: str | None = None
    tokens: tuple[Secret, ...] = field(default=(), repr=False)
    key: Secret | None = field(default=None, repr=False)
    registered_at: datetime | None = None
    connection_id: str | None = None
    last_seen_at: datetime | None = None
    address: str = ""
    listens: str = ""
    metadata_version: int = 0
    health: str = ""
    health_at: datetime | None = None
    wait: Wait | None = field(default=None, repr=False)

    @property
    def connected(self) -> bool:
        return self.connection_id is not None

    @property
    def label(self) -> str:
        """What a person knows it by: ``node web-2``, ``the frontgate``."""
        return "the frontgate" if self.kind is AgentKind.FRONTGATE else f"node {self.name}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a command, as its agent reports it.

    ``exit_code`` is ``None`` where nothing exited by itself (time-out, an interrupted machine, or a kind that
    is not a process and failed); ``error`` then says why.
    """

    exit_code: int | None
    output_tail: str = ""
    timed_out: bool = False
    error: str = ""
    output_truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Command:
    """One entry of the durable command log.

    ``command_id`` is chosen by the caller and is unique on its agent; ``timeout_s`` bounds the execution on
    the node, ``deadline`` everything, delivery included. ``metadata_version`` is what the agent must serve
    before it begins. ``answered`` says that the state machine of ``task_token`` knows the outcome.
    """

    command_id: str
    agent_id: str
    cluster_id: str
    node_name: str
    name: str
    kind: CommandKind
    created_at: datetime
    deadline: datetime
    timeout_s: int
    cmd: str = field(default="", repr=False)
    env: dict[str, str] = field(default_factory=dict, repr=False)  # may hold passwords of the application
    cwd: str = ""
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    task_token: str | None = field(default=None, repr=False)
    metadata_version: int = 0
    status: CommandStatus = CommandStatus.PENDING
    exit_code: int | None = None
    output_tail: str = ""
    output_truncated: bool = False
    output_seq: int = 0
    detail: str = ""
    finished_at: datetime | None = None
    answered: bool = False

    @property
    def pending(self) -> bool:
        return self.status is CommandStatus.PENDING

    @property
    def due_at(self) -> datetime | None:
        """When :meth:`PilotService.expire` must look at it again; ``None`` once all is done."""
        if self.pending:
            return self.deadline
        return self.finished_at if self.task_token and not self.answered else None


#: The class in ``pitrix.errors`` that a state machine catches, by the status of the command.
ERROR_OF = {
    CommandStatus.FAILED: "CommandFailed",
    CommandStatus.TIMED_OUT: "CommandTimedOut",
    CommandStatus.CANCELLED: "JobCancelled",
}


def last_line(output: str) -> str:
    """Return the last line of ``output`` that has something in it, at most 300 characters of it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else ""


def explain(command: Command, outcome: Outcome) -> str:
    """Return why a command did not succeed, in a sentence for the owner of the cluster."""
    what = f"command {command.name!r} on {command.node_name}"
    last = last_line(outcome.output_tail)
    if outcome.timed_out:
        text = f"{what} did not finish within {command.timeout_s} s and was killed"
        return f"{text}; its last output: {last}" if last else text
    if outcome.error:
        return f"{what} failed: {outcome.error}"
    text = f"{what} exited with {outcome.exit_code}"
    return f"{text}: {last}" if last else f"{text} and no output"
