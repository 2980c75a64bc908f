"""Random steps of several workers on one store, against a model that knows what must be."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from dataclasses import replace
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

from job_processor import JobConflictError, JobDef, JobStatus, Retry
from job_processor.models import ACTIVE, SETTLED, WAITING, Job, Output
from job_processor.settings import Settings
from job_processor.store import Store, opening
from job_processor.store.opening import open_store
from job_processor.store.requests import Claim, Outcome, Settlement
from job_processor.worker.outcomes import give_back, rescue
from tests import samples
from tests.mongo_server import database_url
from tests.store.dictionaries.store import opener

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("plain", "resumable", "retried", "exclusive")
DEFINITIONS = {
    "plain": JobDef(lambda: None),
    "resumable": JobDef(lambda: None, resumable=True),
    "retried": JobDef(lambda: None, retry=Retry(max_attempts=3, delay=5)),
    "exclusive": JobDef(lambda: None, exclusive=True, resumable=True),
}
WORKERS = st.integers(0, 2)
JOBS = st.integers(0, 30)


class StoreMachine(RuleBasedStateMachine):
    """Three workers insert, claim, settle, kill, die, rescue and retry in any order.

    Each worker is known by the id that it registered with last; `held` is what it believes to
    run, which a rescue or a move may have made untrue.
    """

    db_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.store: Store
        self.now = START
        self.model: dict[ObjectId, Job] = {}
        self.settled: set[ObjectId] = set()
        self.held: list[dict[ObjectId, Job]] = [{}, {}, {}]
        self.ids = [ObjectId(), ObjectId(), ObjectId()]
        self.kills: set[ObjectId] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call of the store."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Close the store."""
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    @initialize()
    def open(self) -> None:
        """Begin with an empty database and three registered workers."""
        url = self.db_url or f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        if url.startswith("mongo"):
            url = database_url(url, f"machine_{secrets.token_hex(6)}")
        self.store = open_store(url, Settings())
        self.run(self.store.setup())
        for worker in range(3):
            self.register(worker)

    def register(self, worker: int) -> None:
        """Give a worker a new id."""
        self.ids[worker] = ObjectId()
        self.held[worker] = {}
        info = samples.worker(id=self.ids[worker], names=NAMES)
        self.run(self.store.workers.register(info))

    # --- steps ----------------------------------------------------------------------------------

    @rule(seconds=st.integers(0, 10))
    def time_passes(self, seconds: int) -> None:
        """The clock moves on."""
        self.now += timedelta(seconds=seconds, milliseconds=1)

    @rule(name=st.sampled_from(NAMES), delay=st.integers(0, 8))
    def insert(self, name: str, delay: int) -> None:
        """A producer inserts; an exclusive one is refused exactly while another is active."""
        job = samples.simple(name, at=self.now, due_in=delay, exclusive=DEFINITIONS[name].exclusive)
        active = any(each.name == name and each.status in ACTIVE for each in self.model.values())
        refused = self.run(self.store.intake.insert([job]))
        if job.exclusive and active:
            assert refused == [job]
        else:
            assert refused == []
            self.model[job.id] = job
            assert (
                self.run(self.store.intake.insert([job])) == []
            )  # a repetition is our first attempt

    @rule(worker=WORKERS, limit=st.integers(1, 4))
    def claim(self, worker: int, limit: int) -> None:
        """A worker gets the earliest that are due, as many as there are, and nobody else's."""
        due = sorted(
            (
                job
                for job in self.model.values()
                if job.status in WAITING and job.scheduled_for <= self.now
            ),
            key=lambda job: (job.scheduled_for, job.id),
        )
        claimed = self.run(self.store.queue.claim(Claim(self.ids[worker], NAMES, limit, self.now)))
        assert len(claimed) == min(limit, len(due))
        times = sorted(job.scheduled_for for job in due)[: len(claimed)]
        assert [job.scheduled_for for job in claimed] == times
        for job in claimed:
            before = self.model[job.id]
            assert before.status in WAITING
            moment = max(self.now, before.updated_at + timedelta(milliseconds=1))
            expected = replace(
                before,
                status=JobStatus.RUNNING,
                worker_id=self.ids[worker],
                started_at=before.started_at or moment,
                updated_at=moment,
            )
            assert job == expected
            self.model[job.id] = job
            self.held[worker][job.id] = job

    @rule(
        worker=WORKERS,
        which=JOBS,
        status=st.sampled_from(["finished", "errored", "killed", "paused", "retry", "give back"]),
    )
    def settle(self, worker: int, which: int, status: str) -> None:
        """A worker settles what it believes to hold; it wins exactly what is still its own."""
        if not self.held[worker]:
            return
        job = list(self.held[worker].values())[which % len(self.held[worker])]
        outcome = Outcome(status=JobStatus.PAUSED, at=self.now)
        if status == "retry":
            outcome = Outcome(
                status=JobStatus.PENDING,
                at=self.now,
                scheduled_for=self.now + timedelta(seconds=1),
                attempt=job.attempt + 1,
                output=Output("1ms", None, "failed"),
            )
        elif status == "give back":
            outcome = give_back(job, self.now)
        elif status != "paused":
            outcome = Outcome(status=JobStatus(status), at=self.now, output=Output("1ms", {"a": 1}))
        self.write(Settlement(job, outcome, self.ids[worker]))
        del self.held[worker][job.id]

    def write(self, settlement: Settlement) -> bool:
        """Settle, twice as after a lost reply; say whether it won."""
        job = settlement.job
        current = self.model[job.id]
        is_ours = (
            current.status is JobStatus.RUNNING
            and current.worker_id == job.worker_id
            and current.attempt == job.attempt
            and current.updated_at == job.updated_at
        )
        won = self.run(self.store.runs.settle([settlement])).won
        if is_ours or settlement.outcome.status in SETTLED:
            assert won == ({job.id} if is_ours else set())
        # (Two who pause or give back the same job at the same moment write the same.)
        assert self.run(self.store.runs.settle([settlement])).won == won
        if is_ours:
            assert job.id not in self.settled
            self.model[job.id] = settlement.written()
            if settlement.outcome.status in SETTLED:
                self.settled.add(job.id)
        return is_ours

    @rule(which=JOBS)
    @precondition(lambda self: self.model)
    def kill(self, which: int) -> None:
        """Somebody kills: what waits is killed at once, what runs gets a request."""
        job = list(self.model.values())[which % len(self.model)]
        killed = self.run(self.store.kills.kill_waiting(job.id, self.now))
        if job.status in WAITING:
            assert killed is not None
            assert (killed.status, killed.ended_at) == (JobStatus.KILLED, self.now)
            self.model[job.id] = killed
            self.settled.add(job.id)
        else:
            assert killed is None
        if job.status is JobStatus.RUNNING:
            assert job.worker_id is not None
            self.run(self.store.kills.request(job.id, job.worker_id, self.now))
            self.kills.add(job.id)

    @rule(which=JOBS)
    @precondition(lambda self: self.model)
    def requeue(self, which: int) -> None:
        """Somebody sends a job round again: what is settled waits, as if it had never run."""
        job = list(self.model.values())[which % len(self.model)]
        active = any(
            each.name == job.name and each.status in ACTIVE for each in self.model.values()
        )
        if job.status in SETTLED and job.exclusive and active:
            with pytest.raises(JobConflictError):
                self.run(self.store.history.requeue(job.id, self.now))
            return
        waiting = self.run(self.store.history.requeue(job.id, self.now))
        if job.status not in SETTLED:
            assert waiting is None
            return
        assert waiting == replace(
            job,
            status=JobStatus.PENDING,
            scheduled_for=self.now,
            updated_at=max(self.now, job.updated_at),
            started_at=None,
            ended_at=None,
            worker_id=None,
            output=None,
            attempt=1,
            crashes=0,
        )
        self.model[job.id] = waiting
        self.settled.discard(job.id)

    @rule(worker=WORKERS)
    def lose_registration(self, worker: int) -> None:
        """A worker finds its registration gone, registers anew and moves what is still its own."""
        old, believed = self.ids[worker], self.held[worker]
        self.run(self.store.workers.unregister(old))
        self.register(worker)
        moved = self.run(self.store.runs.move(old, self.ids[worker]))
        expected = {
            job.id
            for job in self.model.values()
            if job.status is JobStatus.RUNNING and job.worker_id == old
        }
        assert moved == expected
        for job_id in moved:
            self.model[job_id] = replace(self.model[job_id], worker_id=self.ids[worker])
        self.held[worker] = {
            job_id: replace(job, worker_id=self.ids[worker])
            for job_id, job in believed.items()
            if job_id in moved
        }

    @rule(dead=WORKERS, rescuer=WORKERS, wakes=st.booleans())
    @precondition(lambda self: self.model)
    def die_and_be_rescued(self, dead: int, rescuer: int, wakes: bool) -> None:
        """A worker dies, or seems to; another settles what it left. If it wakes, it believes on."""
        if dead == rescuer:
            return
        believed, old = self.held[dead], self.ids[dead]
        registrations = self.run(self.store.workers.registrations())
        info = next(each for each in registrations.workers if each.id == old)
        stale = replace(info, last_seen=info.last_seen - timedelta(seconds=1))
        assert not self.run(self.store.workers.remove_dead(stale))
        assert self.run(self.store.workers.remove_dead(info))
        left = self.run(self.store.runs.of_worker(old, 100))
        assert {job.id for job in left} == {
            job.id
            for job in self.model.values()
            if job.status is JobStatus.RUNNING and job.worker_id == old
        }
        killed = self.run(self.store.kills.requested([job.id for job in left]))
        assert killed == self.kills & {job.id for job in left}
        for job in left:
            outcome = rescue(job, DEFINITIONS[job.name], killed=job.id in killed, at=self.now)
            assert self.write(Settlement(job, outcome, self.ids[rescuer]))
        self.register(dead)
        if wakes:
            self.held[dead] = believed

    @rule()
    @precondition(lambda self: self.kills & self.settled)
    def acknowledge(self) -> None:
        """Kill requests of settled jobs are acknowledged."""
        done = self.kills & self.settled
        self.run(self.store.kills.acknowledge(done))
        self.kills -= done

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def the_database_is_the_model(self) -> None:
        """Every job stands in the database exactly as it was last written."""
        if not self.model:
            return
        found = {job.id: job for job in self.run(self.store.history.get_many(list(self.model)))}
        assert found == self.model

    @invariant()
    def a_settled_job_has_an_end(self) -> None:
        """`ended_at` is set exactly on settled jobs, `worker_id` on each running one."""
        for job in self.model.values():
            assert (job.ended_at is not None) == (job.status in SETTLED)
            assert (job.status is not JobStatus.RUNNING) or job.worker_id is not None

    @invariant()
    def at_most_one_exclusive_is_active(self) -> None:
        """Never two active exclusive jobs of one name."""
        active = [job for job in self.model.values() if job.exclusive and job.status in ACTIVE]
        assert len(active) <= 1

    @invariant()
    def kill_requests_are_kept_until_acknowledged(self) -> None:
        """A request is found by its job until somebody acknowledges it."""
        if self.kills:
            assert self.run(self.store.kills.requested(list(self.model))) == self.kills


def hold(examples: int, steps: int) -> None:
    """Let so many examples of so many steps run."""
    run_state_machine_as_test(
        StoreMachine,
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
def test_sqlite_holds_its_promises(examples: int) -> None:
    """Whatever the steps, the SQLite store stands as the model says."""
    hold(examples, steps=40)


@pytest.mark.mongo
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_mongodb_holds_its_promises(
    examples: int, mongo_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the steps, the MongoDB store stands as the model says."""
    monkeypatch.setattr(StoreMachine, "db_url", mongo_server_url)
    hold(examples, steps=25)


def _opened_anew(url: str, settings: Settings) -> Store:
    return opener()(url, settings)


@pytest.mark.dictionaries
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_dictionaries_hold_their_promises(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the steps, the store of dictionaries stands as the model says."""
    monkeypatch.setitem(opening.SCHEMES, "dictionaries", _opened_anew)
    monkeypatch.setattr(StoreMachine, "db_url", "dictionaries://machine")
    hold(examples, steps=40)
