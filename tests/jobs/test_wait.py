"""Waiting for jobs: soon, with few questions however many wait, and without leaving a trace."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    Job,
    JobDef,
    JobNotFoundError,
    JobProcessor,
    JobStatus,
    JobTimeoutError,
    NotSetUpError,
)
from job_processor.errors import StoreError, StoreUnavailableError
from job_processor.settings import WAITED_CROWD, WAITED_PAUSE
from job_processor.store import Store
from tests.definitions import nothing
from tests.desks import at
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually

HOUR = timedelta(hours=1)
READS = ("history.get", "history.get_many", "history.states_of")


JOBS = {"nothing": JobDef(nothing)}


class Questions:
    """Counts what a store is asked of jobs by id, and may answer in its place."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Counter[str] = Counter()
        self.answered = 0
        self.jobs = 0
        """Whole jobs that were asked for."""
        self.error: StoreError | None = None
        self.holds: asyncio.Event | None = None
        """Set by a test that wants answers to come later."""
        for name in READS:
            desk, verb = at(store, name)
            monkeypatch.setattr(desk, verb, self._counting(name, getattr(desk, verb)))

    def _counting(self, name: str, real: Any) -> Any:
        async def ask(ids: ObjectId | Collection[ObjectId]) -> Any:
            self.asked[name] += 1
            if name != "history.states_of":
                self.jobs += 1 if isinstance(ids, ObjectId) else len(ids)
            if self.error is not None:
                raise self.error
            answer = await real(ids)
            self.answered += 1
            if self.holds is not None:
                await self.holds.wait()
            return answer

        return ask

    async def until_asked(self) -> None:
        """Return once something was asked."""

        async def asked() -> bool:
            return self.asked.total() > 0

        await eventually(asked, "a question")

    async def until_answered(self) -> None:
        """Return once the store has answered something, though the answer may be held back."""

        async def answered() -> bool:
            return self.answered > 0

        await eventually(answered, "an answer")


async def far(processor: JobProcessor, count: int) -> list[Job]:
    """Return jobs that nobody runs for an hour."""
    requests = (("nothing", None, HOUR) for _ in range(count))
    return list(await processor.schedule_jobs(requests))


def waiting_for(processor: JobProcessor, jobs: Collection[Job]) -> list[asyncio.Task[Job]]:
    """Begin to wait for each."""
    return [asyncio.create_task(processor.wait_for_job(job.id)) for job in jobs]


async def cancelled(tasks: Collection[asyncio.Task[Job]]) -> None:
    """End the waiting."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("own", [True, False], ids=["ours", "of others"])
async def test_many_wait_with_few_questions(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """Ends of other jobs, in this process or in others, cost two questions a second at most."""
    caller = await processors.make(jobs=JOBS)
    jobs = await far(caller, 3 * WAITED_CROWD)
    questions = Questions(store_of(caller), monkeypatch)
    waiters = waiting_for(caller, jobs)
    await questions.until_asked()
    worker = caller if own else await processors.make(jobs=JOBS)
    await processors.worker(worker)
    began, before = time.monotonic(), questions.asked.copy()
    for _ in range(60):
        await worker.run_job("nothing")
    took, asked = time.monotonic() - began, questions.asked - before
    assert asked["history.states_of"] <= took / WAITED_PAUSE + 1
    # And one for each of the 60, by run_job.
    assert asked.total() <= asked["history.states_of"] + 62
    await cancelled(waiters)


async def test_each_job_is_read_about_once(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits is told when its job has ended, and reads that one."""
    caller = await processors.make(jobs=JOBS, poll_interval=3600)
    jobs = await caller.schedule_jobs(("nothing", None) for _ in range(200))
    questions = Questions(store_of(caller), monkeypatch)
    waiters = waiting_for(caller, jobs)
    await questions.until_asked()
    await processors.worker(caller)
    done = await asyncio.wait_for(asyncio.gather(*waiters), WAIT)
    assert {job.status for job in done} == {JobStatus.FINISHED}
    assert [job.id for job in done] == [job.id for job in jobs]
    assert questions.jobs < 3 * len(jobs)  # as they begin, and as they end
    assert questions.asked.total() <= len(jobs) + 10


async def test_who_is_told_by_others_only_returns_at_once(processors: Processors) -> None:
    """The end of a job in another process is noticed long before the sweep."""
    caller = await processors.make(jobs=JOBS, poll_interval=3600)
    worker = await processors.make(jobs=JOBS)
    await processors.worker(worker)
    for _ in range(3):
        job = await caller.schedule_job("nothing")
        assert (await caller.wait_for_job(job.id, WAIT)).status is JobStatus.FINISHED


async def test_a_timeout_of_0_looks_once(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settled job is returned; one that waits, or a database that is away, is a timeout."""
    processor = await processors.make(jobs=JOBS)
    (waits,) = await far(processor, 1)
    done = await processor.run_job("nothing")
    assert await processor.wait_for_job(done.id, timeout=0) == await processor.get_job(done.id)
    with pytest.raises(JobTimeoutError, match="within 0 s; it is pending, attempt 1"):
        await processor.wait_for_job(waits.id, timeout=0)
    with pytest.raises(JobNotFoundError):
        await processor.wait_for_job(ObjectId(), timeout=0)
    Questions(store_of(processor), monkeypatch).error = StoreUnavailableError("away")
    with pytest.raises(JobTimeoutError, match="within 0 s"):
        await processor.wait_for_job(waits.id, timeout=0)


async def test_whoever_gave_up_leaves_nothing_behind(processors: Processors) -> None:
    """Cancelled, timed out or answered: no task, no listener and no memory of the job stays."""
    processor = await processors.make(jobs=JOBS)
    jobs = await far(processor, 5)
    before = asyncio.all_tasks()
    waiters = waiting_for(processor, [*jobs, *jobs])
    with pytest.raises(JobTimeoutError):
        await processor.wait_for_job(jobs[0].id, timeout=0.05)
    await cancelled(waiters)
    waiting = processor._waiting
    assert waiting is not None

    async def gone() -> bool:
        return not waiting._crowds and all(
            task.get_name() != "waiting for jobs" for task in asyncio.all_tasks() - before
        )

    await eventually(gone, "the end of the waiting")


async def test_a_database_that_is_away_keeps_them_waiting(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They return soon after it answers again, without a sweep, and nobody sees an error."""
    processor = await processors.make(jobs=JOBS, poll_interval=3600)
    done = await processor.run_job("nothing")
    questions = Questions(store_of(processor), monkeypatch)
    questions.error = StoreUnavailableError("away")
    (waiter,) = waiting_for(processor, [done])
    await questions.until_asked()
    questions.error = None
    assert (await asyncio.wait_for(waiter, WAIT)).id == done.id


async def test_a_refused_question_is_told(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be refused again ends the waiting with the database's own words."""
    processor = await processors.make(jobs=JOBS)
    questions = Questions(store_of(processor), monkeypatch)
    questions.error = StoreError("not allowed to read")
    waiters = waiting_for(processor, await far(processor, 2))
    for waiter in waiters:
        with pytest.raises(StoreError, match="not allowed to read"):
            await asyncio.wait_for(waiter, WAIT)


async def test_a_closed_processor_ends_the_waiting(processors: Processors) -> None:
    """With a clear error, for everybody, and it may be set up and waited on again."""
    processor = await processors.make(jobs=JOBS)
    (job,) = await far(processor, 1)
    waiters = waiting_for(processor, [job, job])
    await asyncio.sleep(0)
    await processor.close()
    for waiter in waiters:
        with pytest.raises(NotSetUpError, match=f"closed while somebody waited for job {job.id}"):
            await asyncio.wait_for(waiter, WAIT)
    await processor.setup()
    await processor.kill_job(job.id)
    assert (await processor.wait_for_job(job.id, WAIT)).status is JobStatus.KILLED


async def test_a_job_that_is_removed_meanwhile(processors: Processors) -> None:
    """Whoever waits for it is told that there is none any more."""
    processor = await processors.make(jobs=JOBS)
    (job, other) = await far(processor, 2)
    waiter, stays = waiting_for(processor, [job, other])
    with pytest.raises(JobTimeoutError):  # both are waited for by now
        await processor.wait_for_job(job.id, timeout=0.2)
    await processor.delete_job(job.id)
    with pytest.raises(JobNotFoundError):
        await asyncio.wait_for(waiter, WAIT)
    assert not stays.done()
    await cancelled([stays])


async def test_an_old_answer_is_not_for_who_comes_later(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was stored after the question is found by whoever waits for it since then."""
    processor = await processors.make(jobs=JOBS)
    (job,) = await far(processor, 1)
    await processor.delete_job(job.id)
    questions = Questions(store_of(processor), monkeypatch)
    questions.holds = asyncio.Event()
    (early,) = waiting_for(processor, [job])
    await questions.until_answered()
    await store_of(processor).intake.insert([job])
    (late,) = waiting_for(processor, [job])
    await asyncio.sleep(0)
    questions.holds.set()
    with pytest.raises(JobNotFoundError):
        await asyncio.wait_for(early, WAIT)
    await processor.kill_job(job.id)
    assert (await asyncio.wait_for(late, WAIT)).status is JobStatus.KILLED
