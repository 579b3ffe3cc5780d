"""Clusters, nodes, jobs and steps on the table ``TABLE_CLUSTERS``.

Keys::

    CLUSTER#<id>  META               g1 CLUSTERS  <owner path>#<id>    g2 RUNTIME#<id>  <cluster>, while used
    CLUSTER#<id>  NODE#<node id>
    JOB#<id>      META               g1 JOBS  <owner path>#<id>        g2 CLUSTER#<id>  <job id>
    JOB#<id>      STEP#<part>#<step>
    RUNNING       <job id>           while the job has not ended: what the sweeper looks at
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pitrix.clusters.model import Cluster, Job, Node, Step
from pitrix.errors import Conflict, NotFound
from pitrix.table import Delete, Item, Page, Put, Table, Write, pack, unpack

T = TypeVar("T", Cluster, Node, Job)

#: How often a change is tried again when others write the same item at the same time (parallel steps do).
_ATTEMPTS = 20
_BATCH = 90


class DynamoClusters:
    """The :class:`pitrix.clusters.ports.ClusterStore` on a table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def cluster(self, cluster_id: str) -> Cluster | None:
        item = self._table.get(f"CLUSTER#{cluster_id}", "META")
        return _read(item, Cluster) if item else None

    def clusters(
        self, owner_path: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Cluster], str | None]:
        page = self._table.query(
            "CLUSTERS", index="g1", prefix=owner_path, limit=limit, cursor=cursor, newest_first=True
        )
        return [_read(item, Cluster) for item in page.items], page.next_cursor

    def change_cluster(self, cluster_id: str, change: Callable[[Cluster], None]) -> Cluster:
        return self._change(f"CLUSTER#{cluster_id}", "META", Cluster, change, _cluster_item)

    def runtime_in_use(self, runtime_id: str) -> bool:
        return bool(self._table.query(f"RUNTIME#{runtime_id}", index="g2", limit=1).items)

    def node(self, cluster_id: str, node_id: str) -> Node | None:
        item = self._table.get(f"CLUSTER#{cluster_id}", f"NODE#{node_id}")
        return _read(item, Node) if item else None

    def nodes(self, cluster_id: str) -> list[Node]:
        items = self._table.query_all(f"CLUSTER#{cluster_id}", prefix="NODE#")
        return sorted((_read(item, Node) for item in items), key=lambda node: node.server_id)

    def change_node(self, cluster_id: str, node_id: str, change: Callable[[Node], None]) -> Node:
        return self._change(f"CLUSTER#{cluster_id}", f"NODE#{node_id}", Node, change, _node_item)

    def replace_nodes(self, cluster_id: str, nodes: Sequence[Node]) -> None:
        kept = {node.node_id for node in nodes}
        gone = [node for node in self.nodes(cluster_id) if node.node_id not in kept]
        self._write([Delete(pk=f"CLUSTER#{cluster_id}", sk=f"NODE#{node.node_id}") for node in gone])
        self._write([Put(item=_node_item(node)) for node in nodes])

    def claim(self, cluster: Cluster, job: Job, steps: Sequence[Step], nodes: Sequence[Node] = ()) -> None:
        new = cluster.version_no == 0
        # A plan may have more steps than a transaction takes. They are written first: without their job
        # nobody sees them, and they go again where the claim fails.
        self._write([Put(item=_node_item(node)) for node in nodes])
        self.put_steps(job.job_id, "main", steps)
        held = Put(item=_cluster_item(cluster), if_absent=new, if_version=None if new else cluster.version_no)
        marker = Item(pk="RUNNING", sk=job.job_id)
        try:
            self._table.transact([held, Put(item=_job_item(job), if_absent=True), Put(item=marker)])
        except Conflict:
            self._write([Delete(pk=f"JOB#{job.job_id}", sk=_step_key("main", s.step_id)) for s in steps])
            raise

    def job(self, job_id: str) -> Job | None:
        item = self._table.get(f"JOB#{job_id}", "META")
        return _read(item, Job) if item else None

    def jobs(self, owner_path: str, *, limit: int, cursor: str | None) -> tuple[list[Job], str | None]:
        return _jobs(
            self._table.query(
                "JOBS", index="g1", prefix=owner_path, limit=limit, cursor=cursor, newest_first=True
            )
        )

    def jobs_of_cluster(
        self, cluster_id: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Job], str | None]:
        return _jobs(
            self._table.query(
                f"CLUSTER#{cluster_id}", index="g2", limit=limit, cursor=cursor, newest_first=True
            )
        )

    def unended_jobs(self) -> Iterable[Job]:
        for marker in self._table.query_all("RUNNING"):
            job = self.job(marker.sk)
            if job is not None and not job.status.ended:
                yield job

    def change_job(self, job_id: str, change: Callable[[Job], None]) -> Job:
        job = self._change(f"JOB#{job_id}", "META", Job, change, _job_item)
        if job.status.ended:
            self._table.delete("RUNNING", job_id)
        return job

    def step(self, job_id: str, part: str, step_id: str) -> Step | None:
        item = self._table.get(f"JOB#{job_id}", _step_key(part, step_id))
        return unpack(item.data, Step) if item else None

    def steps(self, job_id: str, part: str) -> list[Step]:
        return [
            unpack(item.data, Step)
            for item in self._table.query_all(f"JOB#{job_id}", prefix=_step_key(part, ""))
        ]

    def put_steps(self, job_id: str, part: str, steps: Sequence[Step]) -> None:
        self._write(
            [
                Put(item=Item(pk=f"JOB#{job_id}", sk=_step_key(part, step.step_id), data=pack(step)))
                for step in steps
            ]
        )

    def _write(self, writes: Sequence[Write]) -> None:
        for start in range(0, len(writes), _BATCH):
            self._table.transact(writes[start : start + _BATCH])

    def _change(
        self, pk: str, sk: str, kind: type[T], change: Callable[[T], None], to_item: Callable[[T], Item]
    ) -> T:
        for attempt in range(_ATTEMPTS):
            item = self._table.get(pk, sk)
            if item is None:
                raise NotFound(f"{pk.split('#')[-1]} does not exist.")
            thing = _read(item, kind)
            change(thing)
            try:
                thing.version_no = self._table.put(to_item(thing), if_version=item.version).version
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return thing
        raise AssertionError("unreachable")


def _cluster_item(cluster: Cluster) -> Item:
    return Item(
        pk=f"CLUSTER#{cluster.cluster_id}",
        sk="META",
        g1=("CLUSTERS", f"{cluster.owner_path}#{cluster.cluster_id}"),
        g2=(f"RUNTIME#{cluster.runtime_id}", cluster.cluster_id) if cluster.holds_resources else None,
        data=pack(cluster),
        version=cluster.version_no,
    )


def _node_item(node: Node) -> Item:
    return Item(
        pk=f"CLUSTER#{node.cluster_id}", sk=f"NODE#{node.node_id}", data=pack(node), version=node.version_no
    )


def _job_item(job: Job) -> Item:
    return Item(
        pk=f"JOB#{job.job_id}",
        sk="META",
        g1=("JOBS", f"{job.owner_path}#{job.job_id}"),
        g2=(f"CLUSTER#{job.cluster_id}", job.job_id),
        data=pack(job),
        version=job.version_no,
    )


def _step_key(part: str, step_id: str) -> str:
    return f"STEP#{part}#{step_id}"


def _jobs(page: Page) -> tuple[list[Job], str | None]:
    return [_read(item, Job) for item in page.items], page.next_cursor


def _read(item: Item, kind: type[T]) -> T:
    return replace(unpack(item.data, kind), version_no=item.version)
