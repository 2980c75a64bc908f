"""A blocked event loop is reported, from outside of it."""

from __future__ import annotations

import threading
import time

import pytest
from bson import ObjectId

from job_processor import JobDef
from job_processor.worker import loop_watch
from tests.processors import WAIT, Processors, eventually
from tests.worker.probe import ended


def compute(seconds: float) -> None:
    """Do what should not be done in an event loop."""
    time.sleep(seconds)


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_blocked_loop_is_reported_with_its_jobs_and_the_place(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """One report while it lasts, naming the async jobs that run and the line; one at the end."""

    async def careless() -> None:
        compute(1.7)

    def in_a_thread() -> None:
        time.sleep(1)

    jobs = {"careless": JobDef(careless), "plain": JobDef(in_a_thread)}
    processor, _ = await processors.start(jobs=jobs)
    plain = await processor.schedule_job("plain")
    job = await processor.schedule_job("careless")
    await ended(processor, job)
    await ended(processor, plain)

    async def over() -> bool:
        return "the event loop continues; it was blocked for" in caplog.text

    await eventually(over)
    reports = [r.getMessage() for r in caplog.records if "has been blocked" in r.getMessage()]
    # On a busy machine the loop may get no turn at other times, too.
    (report,) = [each for each in reports if f"while it ran 'careless' ({job.id});" in each]
    assert "in compute" in report


def hold_the_lock(seconds: float) -> int:
    """Hold Python's lock in one call of compiled code, for about so many seconds of a processor."""
    total, count, took = 0, 1 << 16, 0.0
    while took < 0.05:  # learn how long it takes here
        count *= 2
        began = time.thread_time()
        total += sum(range(count))
        took = time.thread_time() - began
    return total + sum(range(int(count / took * seconds)))


@pytest.mark.slow
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_handler_that_holds_pythons_lock_is_named(
    processors: Processors, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be told while it lasts; afterwards, for how long, who ran, and what to do."""
    monkeypatch.setattr(loop_watch, "_WORKED", 0.01)  # on a busy machine it gets so little

    seen, holders = threading.Event(), loop_watch.LoopWatch._holders

    def looks(watch: loop_watch.LoopWatch) -> dict[ObjectId, str]:
        found = holders(watch)
        if found:
            seen.set()
        return found

    # Of what begins and has ended between two looks nothing is known.
    monkeypatch.setattr(loop_watch.LoopWatch, "_holders", looks)

    def computes() -> int:
        assert seen.wait(WAIT)
        return hold_the_lock(2.5)

    processor, _ = await processors.start(jobs={"computes": JobDef(computes)}, worker_timeout=60)
    job = await processor.schedule_job("computes")
    await ended(processor, job)

    async def told() -> bool:
        return "without the GIL" in caplog.text

    await eventually(told)
    (report, *_) = [r.getMessage() for r in caplog.records if "without the GIL" in r.getMessage()]
    assert f"these handlers ran: 'computes' ({job.id});" in report
    assert "executor='process'" in report
