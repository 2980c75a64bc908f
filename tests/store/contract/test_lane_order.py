"""Keys whose jobs start in order, while runs fail, are paused, and are left by workers that die."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus, Output, SimpleJob
from job_processor.store import Store
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.requests import Outcome, Settlement
from tests.samples import NOW, SECOND, simple

SLOTS = 8
"""Jobs that a worker runs at a time."""


class Works:
    """Three workers, by chance one or the other; what began is written down, in its order."""

    def __init__(self, store: Store, jobs: list[SimpleJob], seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.now = NOW + SECOND
        self.waiting = {job.id: job for job in jobs}
        self.workers: dict[ObjectId, dict[ObjectId, Job]] = {ObjectId(): {} for _ in range(3)}
        self.began: defaultdict[str, list[ObjectId]] = defaultdict(list)
        """Each start of a lane, again ones, too."""
        self.killed: set[ObjectId] = set()
        store.lanes.book = LimitBook(lambda: {"post": 1}, lambda: ["post"], lambda: self.now)

    async def run(self) -> None:
        """Work until all has ended."""
        while self.waiting:
            self.now += timedelta(seconds=self.chance.uniform(0.0, 1.0))
            worker = self.chance.choice(list(self.workers))
            await self.claim(worker)
            await self.end_some(worker)
            if self.chance.random() < 0.1:
                await self.die(worker)
            if self.chance.random() < 0.1:
                await self.kill()
            if self.chance.random() < 0.2:
                await self.store.lanes.hand_over(await self.store.lanes.waiting("", 1000))

    async def claim(self, worker: ObjectId) -> None:
        """Take what is free."""
        held = self.workers[worker]
        claim = LaneClaim(worker, ("post",), SLOTS - len(held), self.now)
        for job in (await self.store.lanes.claim(claim)).jobs:
            assert job.lane is not None
            self.began[job.lane].append(job.id)
            held[job.id] = job

    async def end_some(self, worker: ObjectId) -> None:
        """End runs: well, with a failure for good, or to be tried again later."""
        for job in list(self.workers[worker].values()):
            how = self.chance.choices(["finished", "errored", "again", "goes on"], [4, 1, 2, 3])[0]
            if how == "again":
                at = self.now + SECOND
                fields: Any = {"scheduled_for": at, "attempt": job.attempt + 1}
                await self.settle(job, worker, JobStatus.PENDING, **fields)
            elif how != "goes on":
                await self.settle(job, worker, JobStatus(how))
                self.waiting.pop(job.id, None)

    async def settle(self, job: Job, worker: ObjectId, status: JobStatus, **fields: Any) -> None:
        """Write an end; now and then nobody hands the slot over."""
        dies, book = self.chance.random() < 0.1, self.store.lanes.book
        if dies:
            self.store.lanes.book = LimitBook()
        output = Output("1ms") if status is not JobStatus.PENDING else None
        outcome = Outcome(status, self.now, output, **fields)
        assert (await self.store.runs.settle([Settlement(job, outcome, worker)])).won
        self.store.lanes.book = book
        self.workers[worker].pop(job.id, None)

    async def die(self, dead: ObjectId) -> None:
        """Another worker rescues what one has left: it goes on later, where it was."""
        rescuer = next(each for each in self.workers if each != dead)
        for job in await self.store.runs.of_worker(dead, 100):
            outcome = Outcome(JobStatus.PAUSED, self.now)
            await self.store.runs.settle([Settlement(job, outcome, rescuer)])
        del self.workers[dead]
        self.workers[ObjectId()] = {}

    async def kill(self) -> None:
        """Kill a job that waits."""
        job_id = self.chance.choice(list(self.waiting))
        if await self.store.kills.kill_waiting(job_id, self.now) is not None:
            self.killed.add(job_id)
            del self.waiting[job_id]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("count", "keys"), [(60, 4), pytest.param(1_000, 50, marks=pytest.mark.soak)]
)
async def test_jobs_of_a_key_start_in_order(store: Store, count: int, keys: int) -> None:
    """Through failures, kills, rescues and lost hand-overs: in order, and one after the other."""
    ms = timedelta(milliseconds=1)
    jobs = [
        simple("post", at=NOW + n * ms, lane=f"post:{n % keys}", ordered="continue")
        for n in range(count)
    ]
    await store.intake.insert(jobs)
    works = Works(store, jobs, seed=count)
    await works.run()
    for key in range(keys):
        began = works.began[f"post:{key}"]
        first = list(dict.fromkeys(began))
        killed_unbegun = works.killed - set(first)
        wanted = [job.id for n, job in enumerate(jobs) if n % keys == key]
        assert first == [job_id for job_id in wanted if job_id not in killed_unbegun]
        again = [one for one, other in pairwise(began) if one == other]
        assert len(began) == len(first) + len(again)  # nobody began between two runs of one job
