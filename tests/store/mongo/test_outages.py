"""A server that fails in the middle: the worker continues, and every job runs once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from job_processor import JobProcessor, JobStatus
from tests.processors import QUICK, WAIT, eventually, working
from tests.store.mongo.faults import Faults

pytestmark = pytest.mark.mongo

JOBS = 6
APP = "the-worker"
"""The faults hit this client only: neither the heartbeat's nor the test's own."""

NOT_WRITABLE = 10107
STATE_CHANGE = 11602


class Workload:
    """Jobs that count how often they ran."""

    def __init__(self, processor: JobProcessor) -> None:
        self._processor = processor
        self.ran: Counter[int] = Counter()
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()

    async def work(self, payload: dict[str, int]) -> None:
        """Count this run, and wait until it may end."""
        self.ran[payload["n"]] += 1
        self.started.set()
        await self.may_end.wait()

    async def schedule(self) -> None:
        """Schedule the jobs."""
        await self._processor.schedule_jobs([("work", {"n": n}) for n in range(JOBS)])

    async def all_finished(self) -> bool:
        """True when every job has finished."""
        page = await self._processor.find_jobs(status=JobStatus.FINISHED)
        return len(page.jobs) == JOBS


@pytest.fixture(params=[1, JOBS], ids=["one by one", "in batches"])
async def processor(request: pytest.FixtureRequest, faulty_url: str) -> AsyncIterator[JobProcessor]:
    """A processor whose worker claims one job at a time, or all at once."""
    url = f"{faulty_url}&appName={APP}"
    async with JobProcessor(url, concurrency=request.param, **QUICK) as processor:
        yield processor


@pytest.fixture
async def client(faulty_url: str) -> AsyncIterator[JobProcessor]:
    """Another client of the same database, which the faults do not hit."""

    async def work(payload: dict[str, int]) -> None:
        raise AssertionError

    async with JobProcessor(faulty_url, **QUICK) as client:
        client.job()(work)
        yield client


@pytest.fixture
def workload(processor: JobProcessor, client: JobProcessor) -> Workload:
    """What `processor` works on."""
    workload = Workload(client)
    processor.job("work")(workload.work)
    return workload


async def finish(workload: Workload) -> None:
    """Let the jobs end; each has run once."""
    workload.may_end.set()
    await eventually(workload.all_finished, "the end of every job")
    assert workload.ran == Counter(range(JOBS))


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Return once the log says something."""

    async def says() -> bool:
        return text in caplog.text

    await eventually(says, f"{text!r} in the log")


def claiming(processor: JobProcessor) -> str:
    """Return the command by which this processor claims."""
    return "findAndModify" if processor.settings.concurrency == 1 else "update"


@pytest.mark.parametrize("code", [NOT_WRITABLE, STATE_CHANGE])
async def test_claims_outlast_a_primary_that_steps_down(
    processor: JobProcessor,
    workload: Workload,
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    """A claim that failed is made again until the server answers."""
    async with working(processor) as worker, asyncio.timeout(WAIT):
        await faults.fail(claiming(processor), code, times=None, app=APP)
        await workload.schedule()
        await said(caplog, "claim: mongodb://")
        await faults.stop()
        await finish(workload)
        assert not worker.task.done()


@pytest.mark.parametrize("code", [NOT_WRITABLE, STATE_CHANGE])
async def test_settlements_outlast_a_primary_that_steps_down(
    processor: JobProcessor,
    workload: Workload,
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    """What could not be written yet is written when the server answers, and nothing runs again."""
    await workload.schedule()
    async with working(processor) as worker, asyncio.timeout(WAIT):
        await workload.started.wait()
        await faults.fail("update", code, times=None, app=APP)
        workload.may_end.set()
        await said(caplog, "settlement of ")
        await faults.stop()
        await finish(workload)
        assert not worker.task.done()


async def test_a_claim_that_was_not_confirmed_is_adopted(
    processor: JobProcessor, workload: Workload, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """A claim that was executed, but whose write concern was not met, is recognized as ours."""
    async with working(processor) as worker, asyncio.timeout(WAIT):
        # No number of times: looks in vain, before the jobs are there, would use them up.
        await faults.miss_write_concern(claiming(processor), times=None, app=APP)
        await workload.schedule()
        await said(caplog, "adopting job 'work'")
        await faults.stop()
        await finish(workload)
        assert not worker.task.done()


async def test_a_settlement_that_was_not_confirmed_is_recognized(
    processor: JobProcessor, workload: Workload, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written again, which finds that it holds what was to be written."""
    await workload.schedule()
    async with working(processor) as worker, asyncio.timeout(WAIT):
        await workload.started.wait()
        await faults.miss_write_concern("update", times=None, app=APP)
        workload.may_end.set()
        await said(caplog, "settlement of ")
        await faults.stop()
        await finish(workload)
        assert not worker.task.done()
    assert "taken away" not in caplog.text
