"""Random steps of several workers on the lanes of one store: what must hold, whatever they do."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from job_processor.handlers.lanes import group_of, has_key
from job_processor.models import ACTIVE, FOR_A_SLOT, WAITING, Job, JobStatus, OnFailure, Output
from job_processor.settings import Settings
from job_processor.store import Store, opening
from job_processor.store.lanes import LaneClaim, LimitBook, holds_slot, stops
from job_processor.store.opening import open_store
from job_processor.store.requests import Claim, Outcome, Settlement
from job_processor.worker.outcomes import give_back
from tests import samples
from tests.mongo_server import database_url
from tests.store.dictionaries.store import opener

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = {"keyed": 2, "ordered": 1, "stopping": 1, "keyless": 2}
NAMES = tuple(LIMITS)
LANES: dict[str, tuple[str, OnFailure | None]] = {
    "keyed:a": ("keyed", None),
    "ordered:a": ("ordered", "continue"),
    "stopping:a": ("stopping", "stop"),
    "keyless": ("keyless", None),
}
WORKERS = st.integers(0, 2)
JOBS = st.integers(0, 60)
_STEP = timedelta(milliseconds=1)


class LaneMachine(RuleBasedStateMachine):
    """Three workers claim, settle, retry, pause, kill, die and sweep in any order."""

    db_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.store: Store
        self.now = START
        self.ids: list[ObjectId] = []
        self.held: list[dict[ObjectId, Job]] = [{}, {}, {}]
        self.workers = [ObjectId(), ObjectId(), ObjectId()]
        self.turns: dict[str, ObjectId] = {}
        """Who began last in each ordered lane."""
        self.first: set[ObjectId] = set()
        """Who stopped its lane and was retried: it comes first, whatever its time."""
        self.owed = False
        """True since somebody died between the write that freed a slot and its hand-over."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call of the store."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Let all that waits run to its end: no lane stands, but for one that a failure stops."""
        try:
            self.drain()
        finally:
            self.run(self.store.close())
            self.runner.close()
            self.folder.cleanup()

    @initialize()
    def open(self) -> None:
        """Begin with an empty database."""
        url = self.db_url or f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        if url.startswith("mongo"):
            url = database_url(url, f"lanes_{secrets.token_hex(6)}")
        self.store = open_store(url, Settings())
        self.run(self.store.setup())
        self.know_limits(LIMITS)

    def know_limits(self, limits: dict[str, int]) -> None:
        """Let the process know these limits."""
        self.store.lanes.book = LimitBook(lambda: limits, lambda: NAMES, lambda: self.now)

    def jobs(self) -> list[Job]:
        """Return all jobs as they stand."""
        return self.run(self.store.history.get_many(self.ids))

    # --- steps ----------------------------------------------------------------------------------

    @rule(seconds=st.integers(0, 5))
    def time_passes(self, seconds: int) -> None:
        """The clock moves on."""
        self.now += timedelta(seconds=seconds) + _STEP

    @rule(
        lane=st.sampled_from(list(LANES)),
        count=st.integers(1, 3),
        delay=st.sampled_from([0, 0, 0, 3]),
    )
    def insert(self, lane: str, count: int, delay: int) -> None:
        """A producer inserts jobs of a lane."""
        name, ordered = LANES[lane]
        for _ in range(count):
            self.now += _STEP
            job = samples.simple(name, at=self.now, due_in=delay, lane=lane, ordered=ordered)
            assert self.run(self.store.intake.insert([job])) == []
            self.ids.append(job.id)

    @rule(worker=WORKERS, limit=st.integers(1, 4))
    def claim(self, worker: int, limit: int) -> None:
        """A worker claims."""
        self.take(worker, limit)

    def take(self, worker: int, limit: int) -> list[Job]:
        """Claim; in an ordered lane nobody starts before an earlier one that is due."""
        before = self.jobs()
        claim = LaneClaim(self.workers[worker], NAMES, limit, self.now)
        taken = self.run(self.store.lanes.claim(claim)).jobs
        assert len(taken) <= limit
        for job in taken:
            assert job.slot is not None
            earlier = [
                each
                for each in before
                if each.lane == job.lane
                and job.ordered
                and not self.goes_on(job)
                and each.status in ACTIVE
                and each.slot is None
                and each.scheduled_for <= self.now
                and (each.scheduled_for, each.id) < (job.scheduled_for, job.id)
            ]
            assert not earlier
            if job.ordered:
                self.take_turn(job, {each.id for each in before if each.status in ACTIVE})
            self.held[worker][job.id] = job
        return taken

    def goes_on(self, job: Job) -> bool:
        """Tell whether a job keeps its turn: through a retry it does, however late it falls due."""
        return job.id in self.first or self.turns.get(str(job.lane)) == job.id

    def take_turn(self, job: Job, active: set[ObjectId]) -> None:
        """Let a job begin in an ordered lane: whoever began before it has ended."""
        begun = self.turns.get(str(job.lane))
        assert begun in (None, job.id) or begun not in active
        self.turns[str(job.lane)] = job.id

    @rule()
    def claim_plainly(self) -> None:
        """Who does not know lanes gets nothing of them."""
        assert self.run(self.store.queue.claim(Claim(ObjectId(), NAMES, 9, self.now))) == []

    @rule(
        worker=WORKERS,
        which=JOBS,
        status=st.sampled_from(["finished", "errored", "killed", "paused", "retry", "give back"]),
        dies=st.booleans(),
    )
    def settle(self, worker: int, which: int, status: str, dies: bool) -> None:
        """A worker settles; now and then it dies before it hands the slot over."""
        held = self.held[worker]
        if not held:
            return
        job = list(held.values())[which % len(held)]
        outcome = Outcome(JobStatus.PAUSED, self.now)
        if status == "retry":
            later = self.now + timedelta(seconds=1)
            outcome = Outcome(
                JobStatus.PENDING, self.now, scheduled_for=later, attempt=job.attempt + 1
            )
        elif status == "give back":
            outcome = give_back(job, self.now)
        elif status != "paused":
            outcome = Outcome(JobStatus(status), self.now, Output("1ms"))
        self.write(Settlement(job, outcome, self.workers[worker]), dies=dies)
        del held[job.id]

    def write(self, settlement: Settlement, *, dies: bool) -> None:
        """Settle; with `dies` nothing follows."""
        if dies:
            self.know_limits({})
            self.owed = True
        self.run(self.store.runs.settle([settlement]))
        self.know_limits(LIMITS)

    @rule(dead=WORKERS, status=st.sampled_from([JobStatus.PAUSED, JobStatus.ERRORED]))
    def die_and_be_rescued(self, dead: int, status: JobStatus) -> None:
        """A worker dies, and another settles what it left; when it wakes up, it believes on."""
        old = self.workers[dead]
        for job in self.run(self.store.runs.of_worker(old, 100)):
            outcome = Outcome(status, self.now, Output("1ms", None, "crashed"))
            self.write(Settlement(job, outcome, self.workers[dead - 1]), dies=False)
        self.workers[dead] = ObjectId()

    @rule(which=JOBS)
    @precondition(lambda self: self.ids)
    def kill(self, which: int) -> None:
        """Somebody kills what waits."""
        self.run(self.store.kills.kill_waiting(self.ids[which % len(self.ids)], self.now))

    @rule(which=JOBS)
    @precondition(lambda self: self.ids)
    def requeue(self, which: int) -> None:
        """Somebody sends what ended round again."""
        self.now += _STEP
        job = self.run(self.store.history.requeue(self.ids[which % len(self.ids)], self.now))
        if job is not None and self.turns.get(str(job.lane)) == job.id:
            del self.turns[str(job.lane)]  # it is as if it had never begun
        if job is not None and job.slot is not None:
            self.first.add(job.id)

    @rule(which=JOBS)
    @precondition(lambda self: self.ids)
    def delete(self, which: int) -> None:
        """Somebody deletes what does not run."""
        self.run(self.store.history.delete([self.ids[which % len(self.ids)]]))

    @rule()
    def sweep(self) -> None:
        """Somebody sweeps: what is owed is given."""
        self.run(self.store.lanes.hand_over(self.run(self.store.lanes.waiting("", 100))))
        self.owed = False

    def drain(self) -> None:
        """Run everything to its end."""
        self.sweep()
        for worker in range(3):
            self.die_and_be_rescued(worker, JobStatus.PAUSED)
        for _ in range(4 * len(self.ids) + 4):
            self.now += timedelta(seconds=10)
            for job in self.take(0, 9):
                self.write(
                    Settlement(job, Outcome(JobStatus.FINISHED, self.now), self.workers[0]),
                    dies=False,
                )
        stopped = {job.lane for job in self.jobs() if stops(job) and job.slot is not None}
        left = [job for job in self.jobs() if job.status in ACTIVE and job.lane not in stopped]
        assert not left

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def a_lane_has_no_more_than_its_limit(self) -> None:
        """No slot has two holders, and no more run than there are slots."""
        jobs = self.jobs()
        holders = Counter(job.slot for job in jobs if holds_slot(job))
        assert all(count == 1 for count in holders.values())
        running = Counter(job.lane for job in jobs if job.status is JobStatus.RUNNING)
        for lane, count in running.items():
            assert lane is not None
            assert count <= LIMITS[group_of(lane)]

    @invariant()
    def nobody_is_parked_beside_a_free_slot(self) -> None:
        """What is parked waits for slots that somebody has, unless somebody died owing one."""
        if self.owed:
            return
        jobs = self.jobs()
        held = Counter(job.lane for job in jobs if holds_slot(job))
        for job in jobs:
            if job.parked == FOR_A_SLOT:
                assert job.lane is not None
                assert has_key(job.lane)
                assert job.status in WAITING
                assert held[job.lane] >= LIMITS[group_of(job.lane)]


def hold(examples: int, steps: int) -> None:
    """Let so many examples of so many steps run."""
    run_state_machine_as_test(
        LaneMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.data_too_large,
            ],
        ),
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_lanes_of_sqlite(examples: int) -> None:
    """Whatever the steps, the lanes of SQLite keep their limits and their order, and move on."""
    hold(examples, steps=40)


@pytest.mark.mongo
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_lanes_of_mongodb(
    examples: int, mongo_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the steps, the lanes of MongoDB keep their limits and their order, and move on."""
    monkeypatch.setattr(LaneMachine, "db_url", mongo_server_url)
    hold(examples, steps=25)


def _opened_anew(url: str, settings: Settings) -> Store:
    return opener()(url, settings)


@pytest.mark.dictionaries
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_lanes_of_dictionaries(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the steps, the lanes of dictionaries keep limits and order, and move on."""
    monkeypatch.setitem(opening.SCHEMES, "dictionaries", _opened_anew)
    monkeypatch.setattr(LaneMachine, "db_url", "dictionaries://machine")
    hold(examples, steps=40)
