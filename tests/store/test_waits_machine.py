"""Random steps on jobs that come after others: none starts early, and none waits for ever."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from job_processor.jobs import after
from job_processor.jobs.after import attach, bring_back, look_again, release_ended, waiting
from job_processor.models import SETTLED, Job, JobStatus, Output, SimpleJob
from job_processor.settings import Settings
from job_processor.store import Store, opening
from job_processor.store.opening import open_store
from job_processor.store.requests import Claim, Outcome, Settlement
from tests import samples
from tests.desks import dead
from tests.mongo_server import database_url
from tests.store.dictionaries.store import opener

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = st.integers(0, 60)
RULES = st.sampled_from([None, "run", "wait"])
STEPS_OF_ATTACHING = st.sampled_from(["all", "mark", "insert"])
"""How far somebody comes before the process dies."""
ENDS = st.sampled_from([JobStatus.FINISHED, JobStatus.ERRORED, JobStatus.KILLED])


class WaitsMachine(RuleBasedStateMachine):
    """Jobs are made, followed, claimed, settled, killed, deleted and retried in any order."""

    db_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.store: Store
        self.parts: Any
        self.now = START
        self.ids: list[ObjectId] = []
        self.held: dict[ObjectId, Job] = {}
        self.worker = ObjectId()
        self.ends: defaultdict[ObjectId, set[bool]] = defaultdict(set)
        """Whether each has ended well, badly, or both by and by."""
        self.freed: set[ObjectId] = set()
        """Those that somebody sent round by hand, whatever they come after."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call of the store."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Let all that can end, end: only who waits for a retry is left."""
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
            url = database_url(url, f"waits_{secrets.token_hex(6)}")
        self.store = open_store(url, Settings())
        self.run(self.store.setup())
        clock = SimpleNamespace(now=lambda: self.now)
        self.store.waits.now = clock.now
        self.parts = SimpleNamespace(store=self.store, clock=clock)

    def jobs(self, ids: Iterable[ObjectId] | None = None) -> dict[ObjectId, Job]:
        """Return jobs as they stand."""
        found = self.run(self.store.history.get_many(self.ids if ids is None else list(ids)))
        return {job.id: job for job in found}

    def tick(self) -> None:
        """Let a moment pass."""
        self.now += timedelta(milliseconds=1)

    # --- steps ----------------------------------------------------------------------------------

    @rule()
    def add(self) -> None:
        """A job that comes after nothing."""
        self.insert(samples.simple("task", at=self.now))

    def insert(self, job: SimpleJob) -> None:
        """Insert a job."""
        self.run(self.store.intake.insert([job]))
        self.ids.append(job.id)

    @rule(picks=st.lists(JOBS, min_size=1, max_size=3), failing=RULES, until=STEPS_OF_ATTACHING)
    def add_after(self, picks: list[int], failing: Any, until: str) -> None:
        """A job that comes after others; whoever makes it may die on the way."""
        there = list(self.jobs())
        parents = {there[pick % len(there)] for pick in picks} if there else set()
        if not parents:
            return
        child = waiting(samples.simple("task", at=self.now), parents, failing)
        (stored,) = self.run(attach(self.parts, [child]))
        if until == "mark":
            return
        self.insert(stored)
        if stored.status in SETTLED:
            self.ends[stored.id].add(False)
        if until == "all":
            self.run(look_again(self.parts, [stored]))

    @rule()
    def claim(self) -> None:
        """A worker takes what is due."""
        self.tick()
        asked = Claim(self.worker, ("task",), 3, self.now + timedelta(days=1))
        for job in self.run(self.store.queue.claim(asked)):
            self.held[job.id] = job
            self.check_start(job)

    def check_start(self, job: Job) -> None:
        """Each of those that it comes after has ended, well or as its rule allows."""
        if job.id in self.freed:
            return
        for parent in job.parents:
            ends = self.ends[parent]
            assert True in ends or (job.on_parent_failure == "run" and ends), (job, ends)

    @rule(pick=JOBS, status=ENDS, dies=st.booleans())
    def settle(self, pick: int, status: JobStatus, dies: bool) -> None:
        """The worker ends a run by the copy that it took; it may die before the release."""
        if not self.held:
            return
        self.tick()
        job = self.held.pop(list(self.held)[pick % len(self.held)])
        self.store.runs.waits = dead() if dies else self.store.waits
        outcome = Outcome(status, self.now, Output("1 second", error="no"))
        settlement = Settlement(job, outcome, self.worker)
        assert self.run(self.store.runs.settle([settlement])).won == {job.id}
        self.store.runs.waits = self.store.waits
        self.ends[job.id].add(status is JobStatus.FINISHED)
        self.note_skipped()

    @rule(pick=JOBS, retries=st.booleans())
    def give_back(self, pick: int, retries: bool) -> None:
        """The worker puts a run back: that is no end."""
        if not self.held:
            return
        self.tick()
        job = self.held.pop(list(self.held)[pick % len(self.held)])
        status = JobStatus.PENDING if retries else JobStatus.PAUSED
        outcome = Outcome(status, self.now, attempt=job.attempt + 1 if retries else None)
        assert self.run(self.store.runs.settle([Settlement(job, outcome, self.worker)])).won

    @rule(pick=JOBS)
    def kill(self, pick: int) -> None:
        """Somebody kills what waits."""
        if not self.ids:
            return
        job_id = self.ids[pick % len(self.ids)]
        if self.run(self.store.kills.kill_waiting(job_id, self.now)) is not None:
            self.ends[job_id].add(False)
            self.note_skipped()

    @rule(pick=JOBS)
    def delete(self, pick: int) -> None:
        """Somebody deletes what does not run."""
        if not self.ids:
            return
        for job_id in self.run(self.store.history.delete([self.ids[pick % len(self.ids)]])):
            self.ids.remove(job_id)
            self.ends[job_id].add(False)
            self.note_skipped()

    @rule(pick=JOBS, descendants=st.booleans())
    def retry(self, pick: int, descendants: bool) -> None:
        """Somebody sends what has ended round again, with what was skipped because of it or not."""
        if not self.ids:
            return
        self.tick()
        job_id = self.ids[pick % len(self.ids)]
        self.note_skipped()
        if self.run(self.store.history.requeue(job_id, self.now)) is None:
            return
        self.freed.add(job_id)
        if descendants:
            self.run(bring_back(self.parts, [job_id]))

    @rule()
    def sweep(self) -> None:
        """Somebody looks at what is waited for."""
        tags = self.run(self.store.waits.waited_for("", 1000))
        self.run(release_ended(self.parts, tags))
        self.note_skipped()

    def note_skipped(self) -> None:
        """Note who was skipped by what has just happened."""
        for job in self.jobs().values():
            if job.status is JobStatus.SKIPPED:
                self.ends[job.id].add(False)

    # --- what holds -----------------------------------------------------------------------------

    @invariant()
    def what_is_parked_waits_for_something(self) -> None:
        """A job waits exactly as long as something is open for it."""
        for job in self.jobs().values() if self.ids else ():
            if not job.settled:
                assert (job.parked is not None) == bool(job.waiting_for), job
            if job.status is JobStatus.RUNNING:
                assert job.parked is None, job

    def drain(self) -> None:
        """Sweep and run, until nothing moves."""
        moved = True
        while moved:
            self.sweep()
            self.claim()
            moved = bool(self.held)
            while self.held:
                self.settle(0, JobStatus.FINISHED, dies=False)
        there = self.jobs()
        for job in there.values():
            for tag in job.waiting_for if not job.settled else ():
                parent = there[ObjectId(tag.removeprefix("j:"))]
                assert not parent.settled or job.on_parent_failure == "wait", (job, parent)
                assert parent.status is not JobStatus.FINISHED, (job, parent)


def run_machine(examples: int) -> None:
    """Try random steps. What is gone is gone at once: none of these jobs is stored late."""
    with patch.object(after, "NOT_YET", timedelta(days=-3650)):
        _run(examples)


def _run(examples: int) -> None:
    run_state_machine_as_test(
        WaitsMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _opened_anew(url: str, settings: Settings) -> Store:
    return opener()(url, settings)


@pytest.mark.parametrize("examples", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_waits_of_sqlite(examples: int) -> None:
    """On a file."""
    run_machine(examples)


@pytest.mark.mongo
@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_waits_of_mongodb(
    examples: int, mongo_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server."""
    monkeypatch.setattr(WaitsMachine, "db_url", mongo_server_url)
    run_machine(examples)


@pytest.mark.parametrize("examples", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_waits_of_dictionaries(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the smallest store there is."""
    monkeypatch.setitem(opening.SCHEMES, "dictionaries", _opened_anew)
    monkeypatch.setattr(WaitsMachine, "db_url", "dictionaries://machine")
    run_machine(examples)
