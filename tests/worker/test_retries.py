"""What becomes of a run that failed, or put itself off; on both stores."""

from __future__ import annotations

import time

from job_processor import (
    JobDef,
    JobStatus,
    Retry,
    RetryLater,
    SimpleJob,
    Snooze,
)
from tests.processors import Processors, eventually
from tests.worker.probe import Probe, ended

CUT = 0.001
"""Seconds by which a time may be early: it is kept to the millisecond."""


async def test_a_failed_attempt_is_retried_later(processors: Processors, probe: Probe) -> None:
    """Back to pending with the next number, after the delay, the hook only at the end."""
    attempts: list[tuple[int, float]] = []

    async def flaky(job: SimpleJob) -> str:
        attempts.append((job.attempt, time.monotonic()))
        if len(attempts) < 3:
            raise ValueError("not yet")
        return "at last"

    retry = Retry(max_attempts=3, delay=0.2, jitter=False)
    jobs = {"flaky": JobDef(flaky, retry=retry, on_job_exited=probe.exit_hook)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("flaky")
    done = await ended(processor, job)
    assert done.status is JobStatus.FINISHED
    assert [number for number, _ in attempts] == [1, 2, 3]
    assert attempts[1][1] - attempts[0][1] >= 0.2 - CUT
    assert attempts[2][1] - attempts[1][1] >= 0.4 - CUT

    async def hooked() -> bool:
        return len(probe.exited) == 1

    await eventually(hooked)
    assert probe.exited[0].status is JobStatus.FINISHED


async def test_a_handler_may_put_itself_off(processors: Processors) -> None:
    """Snoozed as often as it likes, then tried again later, then done: two attempts in all."""
    attempts: list[int] = []

    async def early(job: SimpleJob) -> str:
        attempts.append(job.attempt)
        if len(attempts) < 5:
            raise Snooze(delay=0.01)
        if len(attempts) == 5:
            raise RetryLater("not quite", delay=0.01)
        return "done"

    processor, _ = await processors.start(jobs={"early": JobDef(early)})
    done = await ended(processor, await processor.schedule_job("early"))
    assert done.status is JobStatus.FINISHED
    assert attempts == [1, 1, 1, 1, 1, 2]


async def test_a_retry_is_at_once_when_asked(processors: Processors) -> None:
    """A delay of 0 does not confuse the worker with its own unconfirmed settlement."""
    count = 0

    async def flaky() -> None:
        nonlocal count
        count += 1
        raise ValueError(count)

    retry = Retry(max_attempts=20, delay=0)
    processor = await processors.make(jobs={"flaky": JobDef(flaky, retry=retry)})
    job = await processor.schedule_job("flaky")
    await processor.run_worker(burst=True)
    assert (await ended(processor, job)).status is JobStatus.ERRORED
    assert count == 20
