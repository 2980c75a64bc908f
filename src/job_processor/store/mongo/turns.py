"""Who tries first when a job comes that many idle workers could take.

The change stream tells all of them at the same moment, and all but one would ask in vain. So they
try one after the other, in an order that a hash of job and worker decides: nobody has to agree on
it, and it is another one for each job. Whoever comes later mostly hears of nothing any more.

Nobody knows who is idle without a write for each job, so the busy ones have their turns, too. All
turns lie within `STEP * STEPS` seconds, however many workers there are: where all but one are busy,
that one tries within that time, and where many are idle, some of them try at the same moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from bson import ObjectId

from job_processor.models import WorkerInfo

STEP = 0.01
"""Seconds from one try to the next: time for a claim, and for its change to be told."""

STEPS = 8
"""Steps from the first try to the last at most; with more workers they come closer together."""


class Turns:
    """What this process knows of the workers that compete with its own."""

    def __init__(self) -> None:
        self._own: WorkerInfo | None = None
        self._others: list[tuple[WorkerInfo, frozenset[str]]] = []

    def join(self, worker: WorkerInfo) -> None:
        """Take part as this worker."""
        self._own = worker

    def leave(self, worker_id: ObjectId) -> None:
        """Take part no longer."""
        if self._own is not None and self._own.id == worker_id:
            self._own = None

    def see(self, workers: Sequence[WorkerInfo]) -> None:
        """Learn who is there, and lives."""
        self._others = [(each, frozenset(each.names)) for each in workers]

    def delay(self, jobs: Sequence[tuple[ObjectId, str | None]]) -> float:
        """Return the seconds after which to try for new jobs, given by id and, if known, name.

        Nobody waits for workers of other tags, or that do not know the name.
        """
        own = self._own
        if own is None or not jobs:
            return 0.0
        names = {name for _, name in jobs}
        rivals = [
            rival
            for rival, taken in self._others
            if rival.id != own.id
            and rival.tags == own.tags
            and (None in names or not names.isdisjoint(taken))
        ]
        key = jobs[0][0]  # one hash for each of them, not for each of the jobs, too
        weight = _weight(key, own.id)
        rank = sum(_weight(key, rival.id) > weight for rival in rivals)
        turns = -(-(len(rivals) + 1) // len(jobs))  # as many at a time as there are jobs
        return STEP * (rank // len(jobs)) * min(1.0, STEPS / turns)


def _weight(job_id: ObjectId, worker_id: ObjectId) -> tuple[int, ObjectId]:
    return crc32(job_id.binary + worker_id.binary), worker_id
