"""Pilot's records in one table.

Owns the keys. Everything about one agent lies in one partition, so that a hello reads its agent, its metadata
and its commands from one place:

===================  ==================  =======================================  ========================
pk                   sk                  what                                     index
===================  ==================  =======================================  ========================
``AGENT#<id>``       ``AGENT``           the agent                                g2 while waited for
``AGENT#<id>``       ``METADATA``        its metadata document, compressed
``AGENT#<id>``       ``COMMAND#<id>``    a command                                g1 cluster, g2 while due
``CLUSTER#<id>``     ``NODE#<node id>``  which agent a node has
``CONNECTION#<id>``  ``AGENT#<id>``      an agent authenticated on a connection
===================  ==================  =======================================  ========================

g2 is what ``expire`` reads: partition ``DUE#<shard>``, sorted by the time when something must be looked at.
It is split into shards because a partition takes 1,000 writes a second.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from pitrix.clock import rfc3339
from pitrix.errors import Conflict
from pitrix.pilot.model import COMMAND_RETENTION_S, Agent, Command
from pitrix.table import Delete, Item, Put, Table, pack, unpack

T = TypeVar("T", Agent, Command)

DUE_SHARDS = 4
#: A contended record settles within a few tries; more means that something is wrong.
_TRIES = 10


class DynamoPilotStore:
    """:class:`pitrix.pilot.ports.PilotStore` on the storage port."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # --- agents --------------------------------------------------------------------------------------------

    def agent(self, agent_id: str) -> Agent | None:
        item = self._table.get(_agent_pk(agent_id), "AGENT")
        return None if item is None else unpack(item.data, Agent)

    def agent_of_node(self, cluster_id: str, node_id: str) -> Agent | None:
        item = self._table.get(f"CLUSTER#{cluster_id}", f"NODE#{node_id}")
        return None if item is None else self.agent(item.data["agent_id"])

    def agents(self, cluster_id: str) -> Iterator[Agent]:
        for item in self._table.query_all(f"CLUSTER#{cluster_id}", prefix="NODE#"):
            agent = self.agent(item.data["agent_id"])
            if agent is not None:
                yield agent

    def add_agent(self, agent: Agent) -> None:
        pointer = Item(
            pk=f"CLUSTER#{agent.cluster_id}", sk=f"NODE#{agent.node_id}", data={"agent_id": agent.agent_id}
        )
        self._table.transact(
            [Put(item=_agent_item(agent), if_absent=True), Put(item=pointer, if_absent=True)]
        )

    def change_agent(self, agent_id: str, change: Callable[[Agent], Agent | None]) -> Agent | None:
        return self._change(_agent_pk(agent_id), "AGENT", Agent, change, _agent_item)

    def remove_agent(self, agent: Agent) -> None:
        pk = _agent_pk(agent.agent_id)
        self._table.transact(
            [
                Delete(pk=pk, sk="AGENT"),
                Delete(pk=pk, sk="METADATA"),
                Delete(pk=f"CLUSTER#{agent.cluster_id}", sk=f"NODE#{agent.node_id}"),
            ]
        )

    # --- connections ---------------------------------------------------------------------------------------

    def bind(self, connection_id: str, agent_id: str, *, expires_at: int) -> None:
        self._table.put(Item(pk=f"CONNECTION#{connection_id}", sk=f"AGENT#{agent_id}", expires_at=expires_at))

    def unbind(self, connection_id: str, agent_id: str) -> None:
        self._table.delete(f"CONNECTION#{connection_id}", f"AGENT#{agent_id}")

    def bound_agents(self, connection_id: str) -> Sequence[str]:
        found = self._table.query_all(f"CONNECTION#{connection_id}", prefix="AGENT#")
        return [item.sk.removeprefix("AGENT#") for item in found]

    def has_agents(self, connection_id: str) -> bool:
        return bool(self._table.query(f"CONNECTION#{connection_id}", prefix="AGENT#", limit=1).items)

    # --- metadata ------------------------------------------------------------------------------------------

    def metadata(self, agent_id: str) -> tuple[int, dict[str, Any]] | None:
        item = self._table.get(_agent_pk(agent_id), "METADATA")
        if item is None:
            return None
        return item.data["version"], json.loads(zlib.decompress(base64.b64decode(item.data["document"])))

    def put_metadata(self, agent_id: str, document: Mapping[str, Any]) -> Agent | None:
        # Compressed: the document names every host of the cluster, and every host has one.
        text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        packed = base64.b64encode(zlib.compress(text.encode())).decode()
        for _ in range(_TRIES):
            item = self._table.get(_agent_pk(agent_id), "AGENT")
            if item is None:
                return None
            agent = unpack(item.data, Agent)
            present = self._table.get(_agent_pk(agent_id), "METADATA")
            if present is not None and present.data["document"] == packed:
                return agent
            version = agent.metadata_version + 1
            changed = replace(agent, metadata_version=version)
            stored = Item(
                pk=_agent_pk(agent_id), sk="METADATA", data={"version": version, "document": packed}
            )
            try:
                self._table.transact(
                    [Put(item=_agent_item(changed, item.version), if_version=item.version), Put(item=stored)]
                )
            except Conflict:
                continue
            return changed
        raise Conflict(f"{agent_id}: somebody else keeps changing it.")

    # --- commands ------------------------------------------------------------------------------------------

    def command(self, agent_id: str, command_id: str) -> Command | None:
        item = self._table.get(_agent_pk(agent_id), f"COMMAND#{command_id}")
        return None if item is None else unpack(item.data, Command)

    def add_command(self, command: Command) -> None:
        self._table.put(_command_item(command), if_absent=True)

    def change_command(
        self, agent_id: str, command_id: str, change: Callable[[Command], Command | None]
    ) -> Command | None:
        return self._change(_agent_pk(agent_id), f"COMMAND#{command_id}", Command, change, _command_item)

    def commands_of_agent(self, agent_id: str) -> Iterator[Command]:
        for item in self._table.query_all(_agent_pk(agent_id), prefix="COMMAND#"):
            yield unpack(item.data, Command)

    def commands_of_cluster(self, cluster_id: str) -> Iterator[Command]:
        found = self._table.query_all(
            f"CLUSTER#{cluster_id}", index="g1", prefix="COMMAND#", newest_first=True
        )
        for item in found:
            yield unpack(item.data, Command)

    def due(self, now: datetime) -> Iterator[Agent | Command]:
        for shard in range(DUE_SHARDS):
            found = self._table.query_all(f"DUE#{shard}", index="g2", between=("0", f"{rfc3339(now)}~"))
            for item in found:
                if item.sk == "AGENT":
                    yield unpack(item.data, Agent)
                else:
                    yield unpack(item.data, Command)

    # --- helpers -------------------------------------------------------------------------------------------

    def _change(
        self,
        pk: str,
        sk: str,
        kind: type[T],
        change: Callable[[T], T | None],
        to_item: Callable[[T, int], Item],
    ) -> T | None:
        for _ in range(_TRIES):
            item = self._table.get(pk, sk)
            if item is None:
                return None
            present = unpack(item.data, kind)
            changed = change(present)
            if changed is None or changed == present:
                return present
            try:
                self._table.put(to_item(changed, item.version), if_version=item.version)
            except Conflict:
                continue
            return changed
        raise Conflict(f"{pk} {sk}: somebody else keeps changing it.")


def _agent_pk(agent_id: str) -> str:
    return f"AGENT#{agent_id}"


def _due_key(at: datetime, agent_id: str, sk: str) -> tuple[str, str]:
    shard = zlib.crc32(agent_id.encode()) % DUE_SHARDS
    return (f"DUE#{shard}", f"{rfc3339(at)}#{agent_id}#{sk}")


def _agent_item(agent: Agent, version: int = 0) -> Item:
    return Item(
        pk=_agent_pk(agent.agent_id),
        sk="AGENT",
        data=pack(agent),
        g2=_due_key(agent.wait.deadline, agent.agent_id, "AGENT") if agent.wait else None,
        version=version,
    )


def _command_item(command: Command, version: int = 0) -> Item:
    sk = f"COMMAND#{command.command_id}"
    ended = command.finished_at
    return Item(
        pk=_agent_pk(command.agent_id),
        sk=sk,
        data=pack(command),
        g1=(f"CLUSTER#{command.cluster_id}", f"COMMAND#{rfc3339(command.created_at)}#{command.command_id}"),
        g2=_due_key(command.due_at, command.agent_id, sk) if command.due_at else None,
        version=version,
        expires_at=None if ended is None else int(ended.timestamp()) + COMMAND_RETENTION_S,
    )
