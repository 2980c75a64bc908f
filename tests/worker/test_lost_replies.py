"""The database did what it was asked to, and its answer was lost on the way: nothing runs twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from job_processor import Job, JobDef, JobProcessor, JobStatus, Limit, SimpleJob
from job_processor.worker import reconciler
from tests.mongo_server import database_of
from tests.processors import WAIT, Processors, eventually
from tests.proxy import Proxy

pytestmark = pytest.mark.mongo

COUNT = 30


class Ledger:
    """Counts the starts and the hooks of each job."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.exited: Counter[str] = Counter()

    def definition(self) -> JobDef:
        """A job that is written down here."""

        async def handler(job: SimpleJob) -> None:
            self.started[str(job.id)] += 1
            await asyncio.sleep(0.01)

        async def hook(job: Job) -> None:
            self.exited[str(job.id)] += 1

        return JobDef(handler, on_job_exited=hook)

    def assert_once(self, jobs: list[Job]) -> None:
        """Each job has run once, and was hooked once."""
        assert self.started == self.exited == Counter(str(job.id) for job in jobs)


@pytest.fixture
async def proxy(mongo_server_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server."""
    async with Proxy(mongo_server_url) as proxy:
        yield proxy


@pytest.fixture
async def producer(processors: Processors, ledger: Ledger) -> JobProcessor:
    """Schedules, on a line of its own that loses nothing."""
    return await processors.make(jobs={"a": ledger.definition()})


@pytest.fixture
def ledger() -> Ledger:
    """A fresh ledger."""
    return Ledger()


def behind(proxy: Proxy, url: str) -> str:
    """Return the address of the same database behind the proxy; pymongo repeats nothing itself."""
    return proxy.url(database_of(url), retryWrites="false", retryReads="false")


@pytest.mark.slow
@pytest.mark.parametrize("db_url", ["mongo"], indirect=True)
@pytest.mark.parametrize(
    ("lost", "concurrency"), [("findAndModify", 1), ("update", 1), ("update", 20), ("find", 20)]
)
async def test_a_worker_that_loses_replies_runs_everything_once(
    proxy: Proxy,
    processors: Processors,
    db_url: str,
    producer: JobProcessor,
    ledger: Ledger,
    lost: str,
    concurrency: int,
) -> None:
    """Claims and settlements, alone and in batches: each is recognised, run and hooked once."""
    jobs = {"a": ledger.definition()}
    made = await producer.schedule_jobs(("a", {"n": n}) for n in range(COUNT))
    processor = await processors.make(
        db=behind(proxy, db_url), jobs=jobs, concurrency=concurrency, worker_timeout=5
    )
    proxy.swallow_reply(lost, times=4)
    worker = await processors.worker(processor)
    settled = [await producer.wait_for_job(job.id, timeout=WAIT) for job in made]
    assert {job.status for job in settled} == {JobStatus.FINISHED}

    async def hooked() -> bool:
        return sum(ledger.exited.values()) == COUNT

    await eventually(hooked)
    assert proxy.swallowed == 4
    assert not worker.task.done()
    ledger.assert_once(settled)


@pytest.mark.slow
@pytest.mark.parametrize("db_url", ["mongo"], indirect=True)
@pytest.mark.parametrize(
    "limit", [2, Limit(2, key="n"), Limit(1, key="n", ordered=True)], ids=["name", "key", "ordered"]
)
async def test_a_slot_that_a_lost_claim_took_is_recognised(
    proxy: Proxy, processors: Processors, db_url: str, ledger: Ledger, limit: int | Limit
) -> None:
    """Claims of lanes whose replies are lost: what they started runs once, and no slot is lost."""
    jobs = {"a": replace(ledger.definition(), limit=limit)}
    producer = await processors.make(jobs=jobs)
    made = await producer.schedule_jobs(("a", {"n": n % 3}) for n in range(COUNT))
    processor = await processors.make(
        db=behind(proxy, db_url), jobs=jobs, concurrency=20, worker_timeout=5
    )
    proxy.swallow_reply("update", times=4)
    await processors.worker(processor)
    settled = [await producer.wait_for_job(job.id, timeout=WAIT) for job in made]
    assert {job.status for job in settled} == {JobStatus.FINISHED}

    async def hooked() -> bool:
        return sum(ledger.exited.values()) == COUNT

    await eventually(hooked)
    assert proxy.swallowed == 4
    ledger.assert_once(settled)


@pytest.mark.slow
@pytest.mark.parametrize("db_url", ["mongo"], indirect=True)
@pytest.mark.parametrize("lost", ["insert", "update", "findAndModify"])
async def test_a_line_that_breaks_all_the_time_loses_nothing(
    proxy: Proxy,
    processors: Processors,
    db_url: str,
    producer: JobProcessor,
    ledger: Ledger,
    lost: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every connection is cut in the middle of the work, again and again.

    A claim may arrive after the look that follows its failure: it is found by the next one.
    """
    monkeypatch.setattr(reconciler, "RECONCILE_INTERVAL", 1.0)
    processor = await processors.make(
        db=behind(proxy, db_url),
        jobs={"a": ledger.definition()},
        concurrency=5,
        worker_timeout=5,
    )
    worker = await processors.worker(processor)
    made = []
    for part in range(4):
        made += await producer.schedule_jobs(("a", {"n": n}) for n in range(10))

        async def some(part: int = part) -> bool:
            return sum(ledger.started.values()) >= 10 * part + 3

        await eventually(some)
        proxy.swallow_reply(lost)
        await proxy.cut()
        proxy.restore()
    settled = [await producer.wait_for_job(job.id, timeout=WAIT) for job in made]
    assert {job.status for job in settled} == {JobStatus.FINISHED}

    async def hooked() -> bool:
        return sum(ledger.exited.values()) == len(made)

    await eventually(hooked)
    assert not worker.task.done()
    ledger.assert_once(settled)
