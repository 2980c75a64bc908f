"""A fleet that works in bursts only: what dead workers left is taken up, and history removed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import AbortController, JobDef, JobStatus
from job_processor.clock import Clock
from job_processor.store.requests import Claim
from tests.desks import at
from tests.insides import clock_of, store_of
from tests.processors import WAIT, Processors, eventually
from tests.samples import settled
from tests.worker.deaths import die_holding

BURST: dict[str, Any] = {"heartbeat_interval": 0.3, "worker_timeout": 1.0}


async def handler() -> str:
    """Do nothing, well."""
    return "ran"


@pytest.mark.parametrize("registered", [True, False])
async def test_what_a_dead_worker_left_is_taken_up(
    processors: Processors, caplog: pytest.LogCaptureFixture, registered: bool
) -> None:
    """A suspect by the database's clock is watched for two heartbeats, then its run is resumed."""
    processor = await processors.make(jobs={"a": JobDef(handler, resumable=True)}, **BURST)
    job = await processor.schedule_job("a")
    if registered:
        await die_holding(processor, ["a"], timeout_s=BURST["worker_timeout"])
        await asyncio.sleep(1.1 * BURST["worker_timeout"])  # its last heartbeat grows old
    else:
        wish = Claim(ObjectId(), ("a",), 1, clock_of(processor).now())
        assert len(await store_of(processor).queue.claim(wish)) == 1
    began = time.monotonic()

    async def is_done() -> bool:
        """Make a burst; one that got no turn for a while, on a busy machine, judges nobody."""
        await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
        found = await processor.get_job(job.id)
        return found is not None and found.status is not JobStatus.RUNNING

    await eventually(is_done)
    assert time.monotonic() - began >= 2 * BURST["heartbeat_interval"]
    done = await processor.get_job(job.id)
    assert done is not None
    assert (done.status, done.output and done.output.result) == (JobStatus.FINISHED, "ran")
    assert "1 workers seem dead; this burst watches them for 0.6 s" in caplog.text


async def test_a_suspect_that_beats_keeps_its_runs(processors: Processors) -> None:
    """Where the database's clock jumped all seem dead; who sends a heartbeat meanwhile is not."""
    held = asyncio.Event()

    async def holds() -> None:
        await held.wait()

    worker, _ = await processors.start(jobs={"a": JobDef(holds)}, **BURST)
    job = await worker.schedule_job("a")

    async def runs() -> bool:
        found = await worker.get_job(job.id)
        return found is not None and found.status is JobStatus.RUNNING

    await eventually(runs)
    burst = await processors.make(jobs={"a": JobDef(holds), "b": JobDef(handler)}, **BURST)
    store = store_of(burst)
    registrations = store.workers.registrations

    async def in_an_hour() -> Any:
        read = await registrations()
        return type(read)(read.now + timedelta(hours=1), read.workers)

    store.workers.registrations = in_an_hour  # type: ignore[method-assign]
    await asyncio.wait_for(burst.run_worker(burst=True), WAIT)
    assert await runs()
    held.set()
    assert (await worker.wait_for_job(job.id, timeout=WAIT)).crashes == 0


async def test_without_a_suspect_it_waits_for_nothing(processors: Processors) -> None:
    """Each burst looks once; however long two heartbeats are, it ends when nothing is due."""
    slow = {"heartbeat_interval": 30.0, "worker_timeout": 60.0}
    processor = await processors.make(jobs={"a": JobDef(handler)}, **slow)
    job = await processor.schedule_job("a")
    calls: Counter[str] = Counter()
    store = store_of(processor)
    for verb in ("runs.workers", "workers.registrations"):
        desk, name = at(store, verb)
        ask = getattr(desk, name)

        async def counted(verb: str = verb, ask: Any = ask) -> Any:
            calls[verb] += 1
            return await ask()

        setattr(desk, name, counted)
    await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
    done = await processor.get_job(job.id)
    assert done is not None
    assert done.status is JobStatus.FINISHED
    assert calls["runs.workers"] == 1


async def test_a_burst_that_is_told_to_stop_does_not_watch_on(processors: Processors) -> None:
    """What it suspects is left to the next one."""
    slow = {"heartbeat_interval": 30.0, "worker_timeout": 60.0}
    processor = await processors.make(jobs={"a": JobDef(handler, resumable=True)}, **slow)
    job = await processor.schedule_job("a")
    wish = Claim(ObjectId(), ("a",), 1, clock_of(processor).now())
    assert len(await store_of(processor).queue.claim(wish)) == 1
    stop = AbortController()
    asyncio.get_running_loop().call_later(0.5, stop.abort)
    await asyncio.wait_for(processor.run_worker(stop.signal, burst=True), WAIT)
    left = await processor.get_job(job.id)
    assert left is not None
    assert left.status is JobStatus.RUNNING


class AheadClock(Clock):
    """A clock that is ten years ahead."""

    def now(self) -> datetime:
        """Return the wrong time."""
        return super().now() + timedelta(days=3650)


async def test_a_clock_that_is_ahead_removes_no_history(processors: Processors) -> None:
    """Nothing is old that is new by the database's clock."""
    right = await processors.make(jobs={"a": JobDef(handler)}, history_days=1)
    job = await right.schedule_job("a")
    await asyncio.wait_for(right.run_worker(burst=True), WAIT)
    wrong = await processors.make(jobs={"a": JobDef(handler)}, history_days=1, clock=AheadClock())
    await asyncio.wait_for(wrong.run_worker(burst=True), WAIT)
    assert await right.get_job(job.id) is not None


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_burst_removes_old_history(processors: Processors) -> None:
    """Where the database does not do so by itself: a part of it, each time."""
    processor = await processors.make(jobs={"a": JobDef(handler)}, history_days=1)
    old = settled("a", at=clock_of(processor).now() - timedelta(days=2))
    await store_of(processor).intake.insert([old])
    await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
    assert await processor.get_job(old.id) is None


async def test_errored_jobs_are_kept_for_a_time_of_their_own(processors: Processors) -> None:
    """Longer than the others, or not as long; by every store, within what its database keeps."""
    for days, kept in ((30, True), (1, False)):
        processor = await processors.make(
            jobs={"a": JobDef(handler)}, history_days=10, keep_errored_days=days
        )
        ended = clock_of(processor).now() - timedelta(days=20 if kept else 5)
        finished, errored = settled("a", at=ended), settled("a", at=ended, status=JobStatus.ERRORED)
        await store_of(processor).intake.insert([finished, errored])
        await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
        assert (await processor.get_job(finished.id) is None) is kept
        assert (await processor.get_job(errored.id) is not None) is kept
