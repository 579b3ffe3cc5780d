"""Starting the execution of a job, and starting it again where it died.

Owns when an interrupted job is resumed. It goes on from its journal, because every step is idempotent: see
``execution.py``.
"""

from __future__ import annotations

import logging

from pitrix.clock import Clock
from pitrix.clusters.model import Job
from pitrix.clusters.ports import ClusterStore, StateMachines
from pitrix.errors import Conflict

_log = logging.getLogger("pitrix.clusters")

#: A job without an execution is left to its creator for so long, in seconds.
STARTING_S = 60


def start(job: Job, store: ClusterStore, machines: StateMachines) -> Job:
    """Start the execution of the job's present attempt and note which one it is."""
    execution = machines.start(job)

    def note(job: Job) -> None:
        job.execution = execution

    return store.change_job(job.job_id, note)


class Sweeper:
    """Looks at every job that has not ended; called every minute."""

    def __init__(self, *, store: ClusterStore, machines: StateMachines, clock: Clock) -> None:
        self._store = store
        self._machines = machines
        self._clock = clock

    def sweep(self) -> int:
        """Resume what was interrupted: a lost emulator, an aborted execution, a start that never arrived.

        Returns:
            How many jobs that were.
        """
        resumed = 0
        for job in self._store.unended_jobs():
            try:
                resumed += self._resume(job)
            except Exception:
                # One job that cannot be resumed keeps no other from it; it is looked at again in a minute.
                _log.exception("job %s could not be resumed", job.job_id)
        return resumed

    def _resume(self, job: Job) -> bool:
        if job.execution and self._machines.running(job.execution):
            return False
        age_s = (self._clock.now() - job.created_at).total_seconds()
        if not job.execution and age_s < STARTING_S:
            return False
        dead = job.execution

        def next_attempt(job: Job) -> None:
            if job.execution != dead or job.status.ended:
                raise Conflict("somebody else resumed this job in the meantime")
            # Without an execution the attempt stays: whoever is killed between the start and the note about
            # it is followed by somebody who starts the same name, which starts nothing twice.
            job.attempt += 1 if dead else 0
            job.execution = ""

        try:
            claimed = self._store.change_job(job.job_id, next_attempt)
        except Conflict:
            return False
        start(claimed, self._store, self._machines)
        return True
