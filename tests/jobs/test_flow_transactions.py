"""A flow that is started in a caller's transaction: all of it with the commit, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import (
    InvalidArgumentError,
    JobConflictError,
    JobDef,
    JobProcessor,
    JobRequest,
    JobStateError,
    JobStatus,
    SimpleJob,
)
from job_processor.jobs import flows
from job_processor.jobs.flows import Flow
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo.features import ALL
from tests.insides import store_of
from tests.processors import QUICK, Processors
from tests.store.contract.test_intake_transactions import Caller, RollBack


async def part(payload: dict[str, Any]) -> str:
    """Fail when told to."""
    if payload.get("fails"):
        raise ValueError("no")
    return "done"


JOBS = {"part": JobDef(part), "alone": JobDef(part, exclusive=True)}


class Application(Caller):
    """A program with a processor on its own database, and transactions in that."""

    def __init__(self, processor: JobProcessor, client: Any) -> None:
        super().__init__(store_of(processor), client)
        self.processor = processor

    def flow(self, *, after: Any = None) -> Flow:
        """Return a flow of five: one, three after it, and one after these."""
        flow = self.processor.flow("import")
        first = flow.add("part", {}, after=after)
        parts = flow.add_many("part", [{"n": n} for n in range(3)], after=first)
        flow.add("part", {}, after=parts)
        return flow


@pytest.fixture
async def application(db_url: str) -> AsyncIterator[Application]:
    """A program on a fresh database."""
    async with applied(db_url) as made:
        yield made


@asynccontextmanager
async def applied(db_url: str) -> AsyncIterator[Application]:
    """Give a program that has opened a database."""
    if not db_url.startswith("mongodb"):
        async with JobProcessor(db_url, jobs=JOBS, **QUICK) as processor:
            yield Application(processor, db_url.removeprefix("sqlite:///"))
        return
    async with AsyncMongoClient[dict[str, Any]](db_url) as client:
        db = client.get_default_database()
        async with JobProcessor(db, jobs=JOBS, **QUICK) as processor:
            store = store_of(processor)
            assert isinstance(store, MongoStore)
            await store.features.use(*ALL)  # a transaction that is the first to use one is repeated
            yield Application(processor, client)


@pytest.fixture
async def other(application: Application, processors: Processors) -> JobProcessor:
    """A processor of somebody else on the same database."""
    del application  # it sets the database up
    return await processors.make(jobs=JOBS)


async def statuses(processor: JobProcessor, flow: Flow) -> list[JobStatus]:
    """Return the states of the jobs of a flow, the oldest first."""
    page = await processor.find_jobs(flow=flow.id)
    return [job.status for job in reversed(page.jobs)]


async def rolled_back(application: Application, flow: Flow) -> None:
    """Start a flow in a transaction that is rolled back."""
    with contextlib.suppress(RollBack):
        async with application.transaction() as session:
            await flow.start(session=session)
            raise RollBack


async def test_all_of_it_is_there_with_the_commit(
    application: Application, other: JobProcessor
) -> None:
    """Nobody sees any of it before; afterwards it runs through, in its order."""
    flow = application.flow()
    async with application.transaction() as session:
        jobs = await flow.start(session=session)
        assert await other.count_jobs(flow=flow.id) == 0
    page = await other.find_jobs(flow=flow.id)
    assert list(page.jobs) == jobs[::-1]
    await other.run_worker(burst=True)
    assert await statuses(other, flow) == [JobStatus.FINISHED] * 5


async def test_nothing_of_it_is_there_after_a_rollback(
    application: Application, other: JobProcessor
) -> None:
    """No job, nobody who waits, and no mark on a job outside that it was to come after."""
    outside = await application.processor.schedule_job("part", {})
    flow = application.flow(after=outside)
    await rolled_back(application, flow)
    assert await other.count_jobs(flow=flow.id) == 0
    assert await store_of(other).waits.waited_for("", 10) == []
    found = await other.get_job(outside.id)
    assert found is not None
    assert not found.followed


async def test_it_may_be_started_again_after_a_rollback(
    application: Application, other: JobProcessor
) -> None:
    """As a driver does that repeats a transaction; with the commit it has started for good."""
    outside = await application.processor.schedule_job("part", {})
    flow = application.flow(after=outside)
    await rolled_back(application, flow)
    async with application.transaction() as session:
        await flow.start(session=session)
    with pytest.raises(JobStateError, match="has started"):
        await flow.start()
    await other.run_worker(burst=True)
    assert await statuses(other, flow) == [JobStatus.FINISHED] * 5


async def test_a_conflict_leaves_nothing(application: Application, other: JobProcessor) -> None:
    """A name that is active already, or a key that is held, ends the transaction."""
    schedule = application.processor.schedule_job
    await schedule("alone", {})
    await schedule("part", {}, unique_key="k")
    keyed = JobRequest("part", {}, unique_key="k", on_conflict="skip")
    for refused in (JobRequest("alone", {}), keyed):
        flow = application.processor.chain(("part", {}), refused, ("part", {}))
        with pytest.raises(JobConflictError, match="roll the transaction back"):
            async with application.transaction() as session:
                await flow.start(session=session)
        assert await other.count_jobs(flow=flow.id) == 0
        flow._started = True  # it is given up


async def test_a_key_whose_time_is_over_is_free(
    application: Application, other: JobProcessor
) -> None:
    """As it is for a job that is scheduled in a transaction."""
    schedule = application.processor.schedule_job
    await schedule("part", {}, unique_key="k", unique_for=0.001)
    keyed = JobRequest("part", {}, unique_key="k", on_conflict="skip")
    flow = application.processor.chain(keyed, ("part", {}))
    await asyncio.sleep(0.01)  # the key's time, by the clock
    async with application.transaction() as session:
        await flow.start(session=session)
    assert await other.count_jobs(flow=flow.id) == 2


async def test_a_parent_that_has_failed(application: Application, other: JobProcessor) -> None:
    """What comes after it is skipped, and all behind that, in the one transaction."""
    bad = await application.processor.schedule_job("part", {"fails": True})
    await other.run_worker(burst=True)
    flow = application.flow(after=bad)
    async with application.transaction() as session:
        await flow.start(session=session)
    await other.run_worker(burst=True)
    assert await statuses(other, flow) == [JobStatus.SKIPPED] * 5


async def test_a_group_is_in_no_transaction(application: Application, other: JobProcessor) -> None:
    """More than a hundred of one `add_many` are refused, with what to do; nothing is stored."""
    flow = application.processor.flow()
    flow.add_many("part", [{} for _ in range(flows.GROUPED + 1)])
    with pytest.raises(InvalidArgumentError, match="at most 100 jobs of one add_many"):
        async with application.transaction() as session:
            await flow.start(session=session)
    assert await other.count_jobs(flow=flow.id) == 0
    assert await other.find_groups() == []
    jobs: list[SimpleJob] = await flow.start()
    assert len(jobs) == flows.GROUPED + 1
