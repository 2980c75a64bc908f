"""A store whose process knows rates with a key, and the database's clock, which a test turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from job_processor.models import Job, JobStatus
from job_processor.store import Store
from job_processor.store.lanes import LaneClaim, LimitBook, Taken
from job_processor.store.rates import Pace
from job_processor.store.requests import Outcome, Settlement
from job_processor.store.tokens import KeyedRate, RateBook
from tests.clocks_of_lanes import DatabaseClock
from tests.samples import MS, WORKER, simple

NAMES = ("call", "mail", "slow", "both", "line", "never")
RATES = {
    "call": KeyedRate(Pace(200.0, 1, 2000.0)),  # 0.2 s apart, 10 ahead
    "slow": KeyedRate(Pace.of(1, 3600.0, 1, dates=True)),
    "both": KeyedRate(Pace(200.0, 1, 2000.0)),
    "line": KeyedRate(Pace(200.0, 1, 2000.0)),
    "never": KeyedRate(Pace.of(5, 1.0, 2), skips=True),
}
LIMITS = {"both": 1, "line": 1}
STEP = 0.2
AHEAD = 10


class Lanes:
    """A store whose process knows rates and limits, and the database's clock, which is ours too."""

    def __init__(self, store: Store, clock: DatabaseClock) -> None:
        self.store = store
        self.clock = clock
        self.names: tuple[str, ...] = NAMES
        self.rates: dict[str, KeyedRate] = dict(RATES)
        store.tokens.book = RateBook(lambda: self.rates, lambda: self.names, lambda: clock.now)
        store.lanes.book = LimitBook(lambda: LIMITS, lambda: self.names, lambda: clock.now)

    async def add(self, count: int, key: str = "a", name: str = "call", **of: Any) -> list[Job]:
        """Insert jobs of a lane, due a millisecond apart."""
        due = [self.clock.now - (count - n) * MS for n in range(count)]
        fields = {"rate_lane": f"{name}:{key}", **of}
        jobs: list[Job] = [simple(name, **{"at": at, **fields}) for at in due]
        await self.store.intake.insert(jobs)
        return jobs

    async def taken(self, *names: str, limit: int = 50, **of: Any) -> Taken:
        """Claim what is in line; return all that is told."""
        fields = {"worker_id": WORKER, "now": self.clock.now, **of}
        claim = LaneClaim(names=names or self.names, limit=limit, **fields)
        return await self.store.lanes.claim(claim)

    async def claim(self, *names: str, limit: int = 50, **of: Any) -> list[Job]:
        """Claim what is in line."""
        return (await self.taken(*names, limit=limit, **of)).jobs

    async def states(self, jobs: Sequence[Job]) -> Counter[str]:
        """Return how many of these jobs are parked for what, or what else they are."""
        found = await self.store.history.get_many([job.id for job in jobs])
        return Counter(job.parked or job.status.value for job in found)

    async def there(self, job: Job) -> Job:
        """Return a job as it stands."""
        found = await self.store.history.get(job.id)
        assert found is not None
        return found

    async def end(self, job: Job) -> None:
        """Let a run finish."""
        outcome = Outcome(JobStatus.FINISHED, self.clock.now)
        settlement = Settlement(job, outcome, job.worker_id or WORKER)
        assert (await self.store.runs.settle([settlement])).won == {job.id}


def ids(jobs: Sequence[Job]) -> list[ObjectId]:
    """Return the ids of jobs, in their order."""
    return [job.id for job in jobs]
