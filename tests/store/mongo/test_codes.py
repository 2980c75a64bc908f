"""Whatever code the server answers a settlement with, it takes nothing from what a run has done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from job_processor import JobDef, JobProcessor, JobStatus, Retry
from tests.processors import QUICK, WAIT, working
from tests.store.mongo.faults import Faults

pytestmark = pytest.mark.mongo

APP = "the-worker"
CODES = {
    11601: "Interrupted, by killOp",
    133: "FailedToSatisfyReadPreference, of a router without a primary",
    371: "UserWritesBlocked, while a cluster is moved",
    8000: "AtlasError, whatever its words",
    211: "KeyNotFound, after a failover",
    18: "AuthenticationFailed, while credentials are changed",
    13: "Unauthorized",
    262: "ExceededTimeLimit",
    999_999: "a code to come",
}
TIMES = 4
"""As often as an outcome could be made less of: its notes, its retry, its result, its words."""


async def report() -> dict[str, list[str]]:
    """Return a result that is no description of itself."""
    return {"rows": ["x" * 100] * 20}


async def flaky() -> None:
    """Fail, once and again."""
    raise ConnectionError("try again")


@pytest.fixture
async def processor(faulty_url: str) -> AsyncIterator[JobProcessor]:
    """A processor whose own commands can be made to fail; pymongo repeats none of them."""
    jobs = {"report": JobDef(report), "flaky": JobDef(flaky, retry=Retry(2, delay=0.01))}
    url = f"{faulty_url}&appName={APP}&retryWrites=false"
    async with JobProcessor(url, jobs=jobs, **QUICK) as processor:
        yield processor


async def assert_nothing_is_lost(processor: JobProcessor) -> None:
    """A result is there as it was returned, and a failure was tried again."""
    finished = await processor.schedule_job("report")
    retried = await processor.schedule_job("flaky")
    settled = await processor.wait_for_job(finished.id, timeout=WAIT)
    assert (settled.status, settled.result()) == (JobStatus.FINISHED, await report())
    settled = await processor.wait_for_job(retried.id, timeout=WAIT)
    assert (settled.status, settled.attempt) == (JobStatus.ERRORED, 2)


@pytest.mark.parametrize("code", CODES)
async def test_a_refused_write_is_repeated(
    processor: JobProcessor, faults: Faults, code: int
) -> None:
    """As often as it takes, with the outcome as it was."""
    async with working(processor) as worker:
        await faults.fail("update", code, times=TIMES, app=APP)
        await assert_nothing_is_lost(processor)
        assert not worker.task.done()


@pytest.mark.parametrize("code", [64, 13, 8000, 121])
async def test_a_missed_write_concern_is_recognised(
    processor: JobProcessor, faults: Faults, code: int
) -> None:
    """It is written, whatever the code says: the repetition finds it so."""
    async with working(processor) as worker:
        await faults.miss_write_concern("update", code=code, times=TIMES, app=APP)
        await assert_nothing_is_lost(processor)
        assert not worker.task.done()


@pytest.mark.parametrize("code", [11601, 8000, 18])
async def test_reads_that_fail_end_no_worker(
    processor: JobProcessor, faults: Faults, code: int
) -> None:
    """Such as those that follow a retry: they are made again, and the rest goes on meanwhile."""
    async with working(processor) as worker:
        await faults.fail("find", code, times=20, app=APP)
        await asyncio.wait_for(assert_nothing_is_lost_by_another(processor), WAIT)
        assert not worker.task.done()


async def assert_nothing_is_lost_by_another(processor: JobProcessor) -> None:
    """As above, looked at by a client whose commands do not fail."""
    async with JobProcessor(
        processor._db.replace(f"appName={APP}", "appName=another"), jobs={}, **QUICK
    ) as other:
        finished = await processor.schedule_job("report")
        retried = await processor.schedule_job("flaky")
        assert (await other.wait_for_job(finished.id, timeout=WAIT)).result() == await report()
        assert (await other.wait_for_job(retried.id, timeout=WAIT)).status is JobStatus.ERRORED
