"""Random steps on the groups of one store: what must hold, whatever is done in which order."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from job_processor.models import FAILED, Job, JobStatus, SimpleJob
from job_processor.settings import Settings
from job_processor.store import Store, opening
from job_processor.store.groups import Callback, GroupRecord
from job_processor.store.opening import open_store
from job_processor.store.requests import Claim, JobQuery, Outcome, Settlement
from tests import samples
from tests.store.dictionaries.store import opener

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
GROUPS = st.integers(0, 2)
JOBS = st.integers(0, 40)
ENDS = st.sampled_from([JobStatus.FINISHED, JobStatus.ERRORED, JobStatus.SKIPPED])
WORKER = ObjectId()


class GroupMachine(RuleBasedStateMachine):
    """Groups are filled, sealed, swept and retried; members run, end, die, are deleted."""

    db_url = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._now = START
        self._jobs: list[ObjectId] = []
        self._sealed: set[ObjectId] = set()
        self._rounds: Counter[ObjectId] = Counter()

    @initialize()
    def open(self) -> None:
        """Open the groups on a database that is empty."""
        prefix = f"p{secrets.token_hex(4)}"
        self.store: Store = open_store(self.db_url, Settings(collection_prefix=prefix))
        self._do(self.store.setup())
        self.store.groups.now = lambda: self._now
        self.groups = [ObjectId() for _ in range(3)]
        for group in self.groups:
            record = GroupRecord(
                id=group,
                created_at=START,
                touched_at=START,
                then=Callback(name="then"),
                catch=Callback(name="catch"),
            )
            self._do(self.store.groups.open(record))

    @rule(group=GROUPS)
    def add(self, group: int) -> None:
        """Add a member, as whoever fills a group or a running member may."""
        group_id = self.groups[group]
        if group_id in self._sealed and not self._runs_in(group_id):
            return
        job = samples.simple("member", at=self._now, group=group_id)
        self._do(self.store.intake.insert([job]))
        self._jobs.append(job.id)

    @rule(group=GROUPS)
    def seal(self, group: int) -> None:
        """Seal a group."""
        self._do(self.store.groups.seal(self.groups[group]))
        self._sealed.add(self.groups[group])

    @rule(limit=st.integers(1, 4))
    def start(self, limit: int) -> None:
        """Let some run."""
        self._now += timedelta(milliseconds=1)
        self._do(self.store.queue.claim(Claim(WORKER, ("member",), limit, self._now)))

    @rule(ends=st.lists(ENDS, min_size=1, max_size=4), known=st.booleans())
    def end(self, ends: list[JobStatus], known: bool) -> None:
        """End some runs, in one batch; an older program leaves them open in their group."""
        self._now += timedelta(milliseconds=1)
        runs = self._do(self.store.runs.of_worker(WORKER, len(ends)))
        seen = [run if known else replace(run, group=None) for run in runs]
        outcomes = [Outcome(status, self._now) for status in ends]
        pairs = zip(seen, outcomes, strict=False)
        self._do(self.store.runs.settle([Settlement(run, end, WORKER) for run, end in pairs]))

    @rule(job=JOBS)
    def kill(self, job: int) -> None:
        """Kill one that waits."""
        self._now += timedelta(milliseconds=1)
        if self._jobs:
            self._do(self.store.kills.kill_waiting(self._jobs[job % len(self._jobs)], self._now))

    @rule(job=JOBS)
    def delete(self, job: int) -> None:
        """Delete one that does not run."""
        if self._jobs:
            self._do(self.store.history.delete([self._jobs[job % len(self._jobs)]]))

    @rule(group=GROUPS)
    def retry(self, group: int) -> None:
        """Send what failed in a group round again."""
        self._now += timedelta(milliseconds=1)
        group_id = self.groups[group]
        before = self._do(self.store.groups.get(group_id))
        record = self._do(self.store.groups.reopen(group_id, self._now))
        if record is None:
            return
        assert before is not None
        assert record.round == before.round + (before.completed_at is not None)
        for job in self._members(group_id):
            if job.status in FAILED:
                self._do(self.store.history.requeue(job.id, self._now))
        self._do(self.store.groups.seal(group_id))

    @rule()
    def sweep(self) -> None:
        """Do what the sweep does; then what is sealed and has nothing active has ended."""
        records = self._do(self.store.groups.unfinished(None, 10))
        ids = [record.id for record in records]
        while self._do(self.store.groups.mend(ids)):
            pass
        self._do(self.store.groups.look(ids))
        for group_id in self._sealed:
            record = self._do(self.store.groups.get(group_id))
            assert record is not None
            active = any(not job.settled for job in self._members(group_id))
            assert active or not record.unfinished
        self.check()

    def check(self) -> None:
        """One callback for each round that has ended, and of the kind that its members say."""
        called = self._do(self.store.history.find(JobQuery(names=("then", "catch"), limit=1000)))
        counts = Counter(job.callback_of for job in called)
        for group_id in self.groups:
            record = self._do(self.store.groups.get(group_id))
            assert record is not None
            assert counts[group_id] == record.round - (record.completed_at is None)
            if record.completed_at is not None:
                kinds = {(job.id, job.name) for job in called}
                assert (record.callback_id, "catch" if record.failed else "then") in kinds

    def teardown(self) -> None:
        """End with a sweep, and close the store."""
        try:
            if hasattr(self, "store"):
                self.sweep()
                self._do(self.store.close())
        finally:
            self._runner.close()

    def _members(self, group: ObjectId) -> list[SimpleJob]:
        found: list[Job] = self._do(self.store.history.find(JobQuery(group=group, limit=1000)))
        return [job for job in found if isinstance(job, SimpleJob)]

    def _runs_in(self, group: ObjectId) -> bool:
        return any(job.status is JobStatus.RUNNING for job in self._members(group))

    def _do(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)


def hold(examples: int, steps: int) -> None:
    """Run the machine."""
    run_state_machine_as_test(
        GroupMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_groups_of_sqlite(
    examples: int, monkeypatch: pytest.MonkeyPatch, sqlite_db_url: str
) -> None:
    """Whatever the steps, one callback follows each end, and no group stands."""
    monkeypatch.setattr(GroupMachine, "db_url", sqlite_db_url)
    hold(examples, steps=40)


@pytest.mark.mongo
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_groups_of_mongodb(
    examples: int, monkeypatch: pytest.MonkeyPatch, mongo_db_url: str
) -> None:
    """The same on MongoDB."""
    monkeypatch.setattr(GroupMachine, "db_url", mongo_db_url)
    hold(examples, steps=25)


def _opened_anew(url: str, settings: Settings) -> Store:
    return opener()(url, settings)


@pytest.mark.dictionaries
@pytest.mark.timeout(240)
@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_groups_of_dictionaries(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on dictionaries."""
    monkeypatch.setitem(opening.SCHEMES, "dictionaries", _opened_anew)
    monkeypatch.setattr(GroupMachine, "db_url", "dictionaries://machine")
    hold(examples, steps=40)
