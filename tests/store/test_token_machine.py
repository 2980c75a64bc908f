"""Random steps of several workers on the lanes of rates with a key, and what must hold.

In no window of a rate's time start more than its amount and its burst, by the database's clock, and
no job is left standing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Coroutine
from datetime import timedelta
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

from job_processor.clock import Clock
from job_processor.handlers.lanes import group_of
from job_processor.models import ACTIVE, FOR_A_TOKEN, Job, JobStatus, Output
from job_processor.settings import Settings
from job_processor.store import Store, opening
from job_processor.store.lanes import IN_LINE_TOO, LaneClaim, LimitBook
from job_processor.store.opening import open_store
from job_processor.store.rates import Pace
from job_processor.store.requests import Claim, Outcome, Settlement
from job_processor.store.tokens import KeyedRate, RateBook, lane_id
from job_processor.worker.outcomes import give_back
from tests import samples
from tests.clocks_of_lanes import DatabaseClock
from tests.mongo_server import database_url
from tests.store.dictionaries.store import opener
from tests.store.test_rates_model import in_windows

T = TypeVar("T")
SPEEDS = {"even": (5, 1.0, 1), "burst": (10, 1.0, 4), "slow": (1, 3.0, 1), "limited": (5, 1.0, 2)}
RATES = {name: KeyedRate(Pace.of(*speed, dates=True)) for name, speed in SPEEDS.items()}
LIMITS = {"limited": 1}
NAMES = tuple(SPEEDS)
WORKERS = st.integers(0, 2)
JOBS = st.integers(0, 60)


class TokenMachine(RuleBasedStateMachine):
    """Three workers claim, settle, retry, pause, kill, die, hold and sweep in any order."""

    db_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.monkeypatch = pytest.MonkeyPatch()
        self.store: Store
        self.clock: DatabaseClock
        self.ids: list[ObjectId] = []
        self.held: list[dict[ObjectId, Job]] = [{}, {}, {}]
        self.workers = [ObjectId(), ObjectId(), ObjectId()]
        self.starts: defaultdict[str, list[float]] = defaultdict(list)
        """When jobs of each lane have started, in milliseconds."""
        self.owed = False
        """True since somebody died before the next of a lane could follow."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call of the store."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Let all that waits run to its end: no lane stands."""
        try:
            self.drain()
        finally:
            self.monkeypatch.undo()
            self.run(self.store.close())
            self.runner.close()
            self.folder.cleanup()

    @initialize()
    def open(self) -> None:
        """Begin with an empty database."""
        url = self.db_url or f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        if url.startswith("mongo"):
            url = database_url(url, f"tokens_{secrets.token_hex(6)}")
        self.store = open_store(url, Settings())
        self.run(self.store.setup())
        self.clock = DatabaseClock(self.store, Clock().now(), self.monkeypatch)
        self.know(RATES)

    def know(self, rates: dict[str, KeyedRate]) -> None:
        """Let the process know these rates."""
        self.store.tokens.book = RateBook(lambda: rates, lambda: NAMES, lambda: self.clock.now)
        self.store.lanes.book = LimitBook(lambda: LIMITS, lambda: NAMES, lambda: self.clock.now)

    def jobs(self) -> list[Job]:
        """Return all jobs as they stand."""
        return self.run(self.store.history.get_many(self.ids))

    # --- steps ----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.2, 0.35, 1.0, 5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock moves on."""
        self.clock.move(seconds)

    @rule(
        name=st.sampled_from(NAMES),
        key=st.sampled_from("ab"),
        count=st.sampled_from([1, 3, 12]),
        delay=st.sampled_from([0, 0, 3]),
        priority=st.sampled_from([0, 0, 5]),
    )
    def insert(self, name: str, key: str, count: int, delay: int, priority: int) -> None:
        """A producer inserts jobs of a lane."""
        fields: dict[str, Any] = {"priority": priority, "rate_lane": f"{name}:{key}"}
        if name in LIMITS:
            fields["lane"] = f"{name}:all"
        jobs = [
            samples.simple(name, at=self.clock.now, due_in=delay, **fields) for _ in range(count)
        ]
        assert self.run(self.store.intake.insert(list(jobs))) == []
        self.ids += [job.id for job in jobs]

    @rule(worker=WORKERS, limit=st.integers(1, 8), ahead=st.sampled_from([0, 0, 0, 1]))
    def claim(self, worker: int, limit: int, ahead: int) -> None:
        """A worker claims; now and then its own clock is ahead."""
        self.take(worker, limit, ahead)

    def take(self, worker: int, limit: int, ahead: float = 0) -> list[Job]:
        """Claim, and note what starts by the database's clock."""
        now = self.clock.now + timedelta(seconds=ahead)
        taken = self.run(self.store.lanes.claim(LaneClaim(self.workers[worker], NAMES, limit, now)))
        assert len(taken.jobs) <= limit
        assert not taken.refused
        for job in taken.jobs:
            assert job.rate_lane is not None
            self.starts[job.rate_lane].append(self.clock.now.timestamp() * 1000.0)
            self.held[worker][job.id] = job
        return taken.jobs

    @rule()
    def claim_plainly(self) -> None:
        """Who does not know lanes gets nothing of them."""
        assert self.run(self.store.queue.claim(Claim(ObjectId(), NAMES, 9, self.clock.now))) == []

    @rule(worker=WORKERS, limit=st.integers(1, 8))
    def claim_and_die(self, worker: int, limit: int) -> None:
        """A worker claims, and dies before it lets others follow."""
        self.know({})  # as if it had no time for it: what it takes starts all the same
        names = ("slow",)
        claim = LaneClaim(self.workers[worker], names, limit, self.clock.now)
        waiting = [job for job in self.jobs() if job.parked in IN_LINE_TOO and job.name == "slow"]
        if waiting:
            for job in self.run(self.store.lanes.claim(claim)).jobs:
                self.starts.pop(str(job.rate_lane), None)  # it has started without a token
                self.held[worker][job.id] = job
            self.owed = True
        self.know(RATES)

    @rule(
        worker=WORKERS,
        which=JOBS,
        status=st.sampled_from(["finished", "errored", "killed", "paused", "retry", "give back"]),
    )
    def settle(self, worker: int, which: int, status: str) -> None:
        """A worker settles."""
        held, now = self.held[worker], self.clock.now
        if not held:
            return
        job = list(held.values())[which % len(held)]
        outcome = Outcome(JobStatus.PAUSED, now)
        if status == "retry":
            later = now + timedelta(seconds=1)
            outcome = Outcome(JobStatus.PENDING, now, scheduled_for=later, attempt=job.attempt + 1)
        elif status == "give back":
            outcome = give_back(job, now)
        elif status != "paused":
            outcome = Outcome(JobStatus(status), now, Output("1ms"))
        self.run(self.store.runs.settle([Settlement(job, outcome, self.workers[worker])]))
        del held[job.id]

    @rule(dead=WORKERS)
    def die_and_be_rescued(self, dead: int) -> None:
        """A worker dies, and another lets what it left wait again."""
        old = self.workers[dead]
        for job in self.run(self.store.runs.of_worker(old, 100)):
            outcome = Outcome(JobStatus.PAUSED, self.clock.now)
            self.run(self.store.runs.settle([Settlement(job, outcome, self.workers[dead - 1])]))
        self.held[dead].clear()
        self.workers[dead] = ObjectId()

    @rule(which=JOBS)
    @precondition(lambda self: self.ids)
    def kill(self, which: int) -> None:
        """Somebody kills what waits."""
        self.run(self.store.kills.kill_waiting(self.ids[which % len(self.ids)], self.clock.now))

    @rule(which=JOBS)
    @precondition(lambda self: self.ids)
    def requeue(self, which: int) -> None:
        """Somebody sends what ended round again."""
        self.run(self.store.history.requeue(self.ids[which % len(self.ids)], self.clock.now))

    @rule(which=JOBS)
    @precondition(lambda self: self.ids)
    def delete(self, which: int) -> None:
        """Somebody deletes what does not run."""
        self.run(self.store.history.delete([self.ids[which % len(self.ids)]]))

    @rule(
        name=st.sampled_from(NAMES), key=st.sampled_from("ab"), seconds=st.sampled_from([0, 2, 90])
    )
    def hold(self, name: str, key: str, seconds: int) -> None:
        """Somebody holds a key, or lets it go."""
        lane = f"{name}:{key}"
        self.run(self.store.rates.hold(lane_id(lane), seconds))
        self.run(self.store.tokens.hasten(lane, self.clock.now + timedelta(seconds=seconds)))

    @rule()
    def sweep(self) -> None:
        """Somebody sweeps: what is owed is given."""
        lanes = self.run(self.store.lanes.waiting("", 100))
        self.run(self.store.lanes.hand_over(lanes))
        self.run(self.store.tokens.admit(self.run(self.store.tokens.waiting("", 100))))
        self.owed = False

    def drain(self) -> None:
        """Run everything to its end."""
        self.sweep()
        for worker in range(3):
            self.die_and_be_rescued(worker)
        self.clock.move(100.0)
        vain = 0
        while vain < 200:  # longer than any hold, and than any start is away
            taken = self.take(0, 9)
            vain = 0 if taken else vain + 1
            for job in taken:
                outcome = Outcome(JobStatus.FINISHED, self.clock.now)
                self.run(self.store.runs.settle([Settlement(job, outcome, self.workers[0])]))
            if vain == 20 and not any(job.status in ACTIVE for job in self.jobs()):
                break
            self.clock.move(1.0)
        assert not [job for job in self.jobs() if job.status in ACTIVE]
        self.no_window_has_too_many()

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def no_window_has_too_many(self) -> None:
        """In none of a rate's time start more than its amount and its burst."""
        for lane, starts in self.starts.items():
            amount, per, burst = SPEEDS[group_of(lane)]
            assert in_windows(starts, per * 1000.0 - 1.5) <= amount + burst

    @invariant()
    def a_lane_with_parked_jobs_has_one_in_line(self) -> None:
        """Which lets the others follow, unless somebody died owing that."""
        if self.owed:
            return
        jobs = self.jobs()
        standing = {job.rate_lane for job in jobs if job.parked in IN_LINE_TOO}
        parked = {job.rate_lane for job in jobs if job.parked == FOR_A_TOKEN}
        assert parked <= standing


def hold(examples: int, steps: int) -> None:
    """Let so many examples of so many steps run."""
    run_state_machine_as_test(
        TokenMachine,
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
@pytest.mark.parametrize("examples", [15, pytest.param(1000, marks=pytest.mark.soak)])
def test_tokens_of_sqlite(examples: int) -> None:
    """Whatever the steps, the lanes of SQLite keep their rates, and move on."""
    hold(examples, steps=30)


@pytest.mark.mongo
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [2, pytest.param(100, marks=pytest.mark.soak)])
def test_tokens_of_mongodb(
    examples: int, mongo_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the steps, the lanes of MongoDB keep their rates, and move on."""
    monkeypatch.setattr(TokenMachine, "db_url", mongo_server_url)
    hold(examples, steps=20)


def _opened_anew(url: str, settings: Settings) -> Store:
    return opener()(url, settings)


@pytest.mark.dictionaries
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_tokens_of_dictionaries(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the steps, the lanes of dictionaries keep their rates, and move on."""
    monkeypatch.setitem(opening.SCHEMES, "dictionaries", _opened_anew)
    monkeypatch.setattr(TokenMachine, "db_url", "dictionaries://machine")
    hold(examples, steps=30)
