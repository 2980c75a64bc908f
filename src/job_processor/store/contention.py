"""How workers that want the same jobs keep out of each other's way, each means behind a switch.

Nothing here is needed for a job to be run once: the guard of a claim sees to that. These save
questions in vain, or time. Their numbers are measured by `benchmarks/contention.py`, which turns
each off by the environment variable of `OFF_VARIABLE`; that is for measurements, and no promise.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from zlib import crc32

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.models import WorkerInfo
from job_processor.settings import RETRY_DELAY_MIN

OFF_VARIABLE = "JOB_PROCESSOR_CONTENTION_OFF"
"""Names of switches to turn off, separated by commas."""

TURN = 0.01
"""Seconds from one try to the next at least: time for a claim, and for its change to be told."""

TURN_MAX = 0.04
"""At most, where that has been seen to take longer."""

FIRST = 5
"""Workers that try so far apart, whoever else there is: by then it is told who has the job."""

LAST = 0.25
"""Seconds within which all have had their turn: with many workers the others come closer."""

SPREAD_MAX = 8
"""A contended claim reads up to so many times the candidates it needs, and picks among equals."""

HEAD = 8
"""Jobs that a claim reads for each one that it and its rivals want, of which it picks by chance."""

HEAD_MAX = 64
"""At most so many: claims that want more of them go by what they lose."""

TRIES = 4
"""Claims that lost every candidate to others are made so often."""

EAGER = 5.0
"""Seconds after its last job for which a worker without hints looks as often as it may: jobs come
in groups."""

SHORTEST = 0.02
"""Seconds between two looks then."""

GROWTH = 0.1
"""Seconds by which a pause is longer for each second that it stays idle after that."""

OVERDUE_PAUSE = 0.05
"""Seconds after a claim in vain of what is due, since others have it; doubled each time."""

FREED_PAUSE = 0.2
"""Seconds at most from the end of somebody else's run to a look for the slot that it had: whoever
ended it looks at once, and mostly takes it."""

EARLY = 0.1
"""Seconds; an answer without changes that comes sooner was not held by the server."""

EARLY_IN_A_ROW = 3
"""So many early answers are put down to changes that were filtered out; then we ask gently."""


@dataclass(frozen=True, slots=True)
class Contention:
    """Which of them are on."""

    turns: bool = True
    """Workers that hear of one job at the same moment try for it one after the other."""
    spread: bool = True
    """A claim that lost candidates picks the next by chance, from more of them."""
    crowd: bool = True
    """A claim of few jobs beside other workers picks by chance among the first of the queue: all
    would want the very first, and the server would let them try for it again and again."""
    tries: bool = True
    """A claim that lost all its candidates is made again at once."""
    one_first: bool = True
    """A worker that is told of work claims one job first, where that takes one round trip."""
    eager_polling: bool = True
    """Without prompt hints, a worker looks often after its last job, and ever less often after."""
    patience: bool = True
    """What is due and not to be had is asked for after a pause that grows."""
    early_answers: bool = True
    """A change stream that answers early is asked again at once, a few times."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all switches."""
        return tuple(each.name for each in fields(cls))

    @classmethod
    def from_environment(cls) -> Contention:
        """Return all of them, less those that the environment turns off.

        Raises InvalidArgumentError for a name that there is not.
        """
        off = [name for name in os.environ.get(OFF_VARIABLE, "").split(",") if name]
        for name in off:
            if name not in cls.names():
                raise InvalidArgumentError(
                    OFF_VARIABLE, name, f"allowed are {', '.join(cls.names())}"
                )
        return replace(cls(), **dict.fromkeys(off, False))

    def lost_claim_tries(self) -> int:
        """Return how often a claim that loses all its candidates is made."""
        return TRIES if self.tries else 1

    def head(self, limit: int, rivals: int) -> int:
        """Return of how many jobs a claim beside so many rivals picks; `limit`: of no more."""
        if not self.crowd or not rivals:
            return limit
        return max(limit, min(HEAD * limit * (rivals + 1), HEAD_MAX))

    def next_spread(self, spread: int, *, lost: bool) -> int:
        """Return how many times its candidates the next claim reads, after one that lost some."""
        if not self.spread:
            return 1
        return min(spread * 2, SPREAD_MAX) if lost else max(spread // 2, 1)

    def sweep(self, idle: float, interval: float, questions: int = 1) -> float:
        """Return the seconds until the next look without a hint, `idle` seconds after a job.

        At most `interval`, the worker's `poll_interval`. `questions`: how many each look takes.
        """
        if not self.eager_polling:
            return interval
        return min(interval, max(SHORTEST, (idle - EAGER) * GROWTH) * questions)

    def after_freed(self) -> float:
        """Return the seconds until a look for a slot that another process may have freed."""
        return random.uniform(0.5, 1.0) * FREED_PAUSE if self.patience else 0.0

    def after_vain(self, pause: float, interval: float) -> float:
        """Return the next pause after a claim in vain of what is due."""
        return min(2 * pause, interval) if self.patience else pause

    def after_early(self, in_a_row: int) -> float:
        """Return the seconds to wait after so many early answers of a change stream."""
        return RETRY_DELAY_MIN if in_a_row > EARLY_IN_A_ROW or not self.early_answers else 0.0


ON = Contention.from_environment()
"""What is on in this process."""


def spread(head: Sequence[tuple[int, ObjectId]], limit: int) -> list[ObjectId]:
    """Choose at most `limit` of (priority, id): no one of them sooner than a more urgent one.

    Among equally urgent ones it is chance that decides, so that those who claim at the same moment
    do not all try for the same jobs.
    """
    if len(head) <= limit:
        return [job_id for _, job_id in head]
    least = head[limit - 1][0]
    urgent = [job_id for priority, job_id in head if priority > least]
    equal = [job_id for priority, job_id in head if priority == least]
    chosen = sorted(random.sample(range(len(equal)), limit - len(urgent)))
    return urgent + [equal[i] for i in chosen]


class Turns:
    """Who tries first when a job comes that many idle workers could take.

    A change stream tells all of them at the same moment, and all but one would ask in vain. So they
    try one after the other, in an order that a hash of job and worker decides: nobody has to agree
    on it, and it is another one for each job. Whoever hears before its turn that somebody has the
    job does not try.

    Nobody knows who is idle without a write for each job, so the busy ones have their turns, too.
    All turns lie within `LAST` seconds, however many workers there are: where all but one are busy,
    that one tries within that time.
    """

    def __init__(self) -> None:
        self._own: WorkerInfo | None = None
        self._others: list[tuple[WorkerInfo, frozenset[str]]] = []
        self._takes = 0.0

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

    def note_taken(self, seconds: float) -> None:
        """Learn how long after a new job it was told that somebody has it."""
        self._takes += 0.2 * (min(seconds, TURN_MAX) - self._takes)

    def rivals(self, names: Collection[str]) -> int:
        """Return how many others there are that may claim jobs of these names."""
        return 0 if self._own is None else len(self._rivals(self._own, set(names)))

    def _rivals(self, own: WorkerInfo, names: set[str] | set[str | None]) -> list[WorkerInfo]:
        return [
            rival
            for rival, taken in self._others
            if rival.id != own.id
            and rival.tags == own.tags
            and (None in names or not taken.isdisjoint(names))
        ]

    def delay(self, jobs: Sequence[tuple[ObjectId, str | None]]) -> float:
        """Return the seconds after which to try for new jobs, given by id and, if known, name.

        Nobody waits for workers of other tags, or that do not know the name.
        """
        own = self._own
        if own is None or not jobs or not ON.turns:
            return 0.0
        names = {name for _, name in jobs}
        rivals = self._rivals(own, names)
        key = jobs[0][0]  # one hash for each of them, not for each of the jobs, too
        weight = _weight(key, own.id)
        rank = sum(_weight(key, rival.id) > weight for rival in rivals)
        turns = -(-(len(rivals) + 1) // len(jobs))  # as many at a time as there are jobs
        return _after(rank // len(jobs), turns, max(TURN, self._takes))


def _after(turn: int, turns: int, step: float) -> float:
    """Return the seconds after which it is somebody's turn, one of so many."""
    if turn < FIRST or turns * step <= LAST:
        return step * turn
    begin = step * FIRST
    return begin + (LAST - begin) * (turn - FIRST) / (turns - FIRST)


def _weight(job_id: ObjectId, worker_id: ObjectId) -> tuple[int, ObjectId]:
    return crc32(job_id.binary + worker_id.binary), worker_id
