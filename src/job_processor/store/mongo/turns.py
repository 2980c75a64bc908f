"""Who tries first when a job comes that many idle workers could take.

The change stream tells all of them at the same moment, and all but one would ask in vain. So they
try one after the other, in an order that a hash of job and worker decides: nobody has to agree on
it, and it is another one for each job. Whoever comes later mostly hears of nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from bson import ObjectId

from job_processor.models import WorkerInfo

STEP = 0.01
"""Seconds from one try to the next: time for a claim, and for its change to be told."""


class Turns:
    """What this process knows of the workers that compete with its own."""

    def __init__(self) -> None:
        self._own: WorkerInfo | None = None
        self._others: tuple[WorkerInfo, ...] = ()

    def join(self, worker: WorkerInfo) -> None:
        """Take part as this worker."""
        self._own = worker

    def leave(self, worker_id: ObjectId) -> None:
        """Take part no longer."""
        if self._own is not None and self._own.id == worker_id:
            self._own = None

    def see(self, workers: Sequence[WorkerInfo]) -> None:
        """Learn who is there."""
        self._others = tuple(workers)

    def delay(self, jobs: Sequence[tuple[ObjectId, str | None]]) -> float:
        """Return the seconds after which to try for new jobs, given by id and, if known, name.

        Nobody waits for workers of other tags, or that do not know the name.
        """
        own = self._own
        if own is None:
            return 0.0
        rivals = [other for other in self._others if other.tags == own.tags and other.id != own.id]
        if len(jobs) > len(rivals):  # enough for everybody
            return 0.0
        return STEP * min(self._rank(own, rivals, *job) for job in jobs)

    def _rank(
        self, own: WorkerInfo, rivals: Sequence[WorkerInfo], job_id: ObjectId, name: str | None
    ) -> int:
        weight = _weight(job_id, own.id)
        return sum(
            _weight(job_id, rival.id) > weight
            for rival in rivals
            if name is None or name in rival.names
        )


def _weight(job_id: ObjectId, worker_id: ObjectId) -> tuple[int, ObjectId]:
    return crc32(job_id.binary + worker_id.binary), worker_id
