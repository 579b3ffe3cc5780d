"""Pilot with nothing around it: connections and state machines that only remember what they were told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pitrix.clock import FixedClock
from pitrix.pilot.dynamo import DynamoPilotStore
from pitrix.pilot.ports import ConnectionGone
from pitrix.pilot.service import Enrollment, PilotService
from pitrix.table import MemoryTable, Table

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
KEY = "k" * 43


@dataclass
class FakeConnections:
    """Connections that are open unless they were closed or cut."""

    sent: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)

    def post(self, connection_id: str, data: str) -> None:
        if connection_id in self.closed | self.cut:
            raise ConnectionGone(connection_id)
        self.sent.setdefault(connection_id, []).append(json.loads(data))

    def close(self, connection_id: str) -> None:
        self.closed.add(connection_id)

    def of(self, connection_id: str, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.sent.get(connection_id, []) if frame["type"] == kind]


@dataclass
class FakeCallbacks:
    """What state machines were told, by task token; ``broken`` makes Step Functions unavailable."""

    succeeded: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    broken: bool = False

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> None:
        self._check()
        self.succeeded.append((task_token, output))

    def fail(self, task_token: str, error: str, cause: str) -> None:
        self._check()
        self.failed.append((task_token, error, cause))

    def _check(self) -> None:
        if self.broken:
            raise RuntimeError("ServiceUnavailable")


@dataclass
class FakeBus:
    published: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def publish(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        self.published.append((type, subject, data))


class FakeBundle:
    def url(self) -> str:
        return "http://bucket.example/agent.pyz?signature=s"


class World:
    """A Pilot to try things on, with an agent's end of the protocol in a few words."""

    def __init__(self, table: Table | None = None) -> None:
        self.clock = FixedClock(START)
        self.table = table or MemoryTable()
        self.store = DynamoPilotStore(self.table)
        self.connections = FakeConnections()
        self.callbacks = FakeCallbacks()
        self.bus = FakeBus()
        self.pilot = PilotService(
            store=self.store,
            connections=self.connections,
            callbacks=self.callbacks,
            bundle=FakeBundle(),
            events=self.bus,
            clock=self.clock,
            pilot_url="wss://pilot.example/live",
        )

    def enroll(self, node_id: str = "node_1", **options: Any) -> Enrollment:
        options.setdefault("name", "web-1")
        return self.pilot.enroll("cl_1", node_id, "web", **options)

    def say(self, connection_id: str, type: str, agent_id: str, **fields: Any) -> None:
        """Have one frame arrive."""
        self.pilot.on_message(connection_id, json.dumps({"type": type, "agent": agent_id, **fields}))

    def hello(self, connection_id: str, agent_id: str, **fields: Any) -> list[dict[str, Any]]:
        """Say hello and return what came back."""
        before = len(self.connections.sent.get(connection_id, []))
        fields = {"nonce": "nonce-123", "key": KEY, "address": "10.0.0.5"} | fields
        self.say(connection_id, "hello", agent_id, **fields)
        return self.connections.sent.get(connection_id, [])[before:]

    def connected(self, connection_id: str = "c1", node_id: str = "node_1", **options: Any) -> str:
        """Enrol a node and have its agent register; return the agent's id."""
        enrollment = self.enroll(node_id, **options)
        answers = self.hello(connection_id, enrollment.agent_id, token=enrollment.token)
        assert answers[0]["type"] == "welcome"
        return enrollment.agent_id

    def result(self, connection_id: str, agent_id: str, command_id: str, **fields: Any) -> None:
        self.say(connection_id, "result", agent_id, command=command_id, **({"exit_code": 0} | fields))
