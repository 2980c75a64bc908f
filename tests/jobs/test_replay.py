"""Retrying many jobs at a rate: when each of them is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from job_processor import InvalidArgumentError, JobDef, JobProcessor, JobStatus, Rate
from job_processor.clock import EPOCH
from job_processor.jobs.actions import Acted
from job_processor.jobs.spread import LONGEST, Spread
from tests.insides import clock_of
from tests.processors import Processors


async def fail() -> None:
    """Fail."""
    raise ValueError


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with ten failed jobs."""
    processor = await processors.make(jobs={"fail": JobDef(fail)})
    await processor.schedule_jobs(["fail"] * 10)
    await processor.run_worker(burst=True)
    return processor


async def times(processor: JobProcessor) -> list[float]:
    """Return when the jobs that wait are due, in seconds after the first of them."""
    found = (await processor.find_jobs(status="pending")).jobs
    moments = sorted(job.scheduled_for for job in found)
    return [(moment - moments[0]).total_seconds() for moment in moments]


async def test_all_at_once(processor: JobProcessor) -> None:
    """Without a rate they are due when they are retried."""
    assert await processor.act_on_jobs("retry", status="errored") == Acted(10, 0)
    assert max(await times(processor)) < 5
    await processor.run_worker(burst=True)
    assert await processor.count_jobs(status="errored") == 10


async def test_spread_over_time(processor: JobProcessor) -> None:
    """One after the other, evenly; nothing is left out, and nothing is due before it was asked."""
    asked = clock_of(processor).now()
    done = await processor.act_on_jobs("retry", status="errored", rate=Rate(2, per=60, burst=1))
    assert done == Acted(10, 0)
    found = await times(processor)
    assert found == pytest.approx([30 * n for n in range(10)], abs=0.01)
    jobs = (await processor.find_jobs(status="pending")).jobs
    assert min(job.scheduled_for for job in jobs) >= asked
    await processor.run_worker(burst=True)  # the first one alone is due
    assert await processor.count_jobs(status="pending") == 9


async def test_as_many_at_once_as_a_rate_lets(processor: JobProcessor) -> None:
    """The burst first, the others evenly after it; ids are taken as well as a selection."""
    ids = [job.id for job in (await processor.find_jobs()).jobs]
    rate = Rate(1, per=10, burst=4)
    assert (await processor.act_on_jobs("retry", ids, rate=rate)).done == 10
    assert await times(processor) == pytest.approx([0] * 4 + [10 * n for n in range(1, 7)], abs=5)


async def test_what_cannot_be_retried_takes_no_time(processor: JobProcessor) -> None:
    """A job that has not ended leaves its place to the next."""
    ids = [job.id for job in (await processor.find_jobs()).jobs]
    await processor.act_on_jobs("retry", ids[:5])
    waiting = [job.id for job in (await processor.find_jobs(status=JobStatus.PENDING)).jobs]
    assert await processor.act_on_jobs("retry", ids, rate="1/h") == Acted(5, 5)
    later = [
        job.scheduled_for
        for job in (await processor.find_jobs(status="pending")).jobs
        if job.id not in waiting
    ]
    assert max(later) - min(later) < timedelta(hours=4, minutes=1)


async def test_what_would_be_due_too_late_is_left(processor: JobProcessor) -> None:
    """Beyond ninety days nothing is retried, and it stays as it is."""
    done = await processor.act_on_jobs("retry", status="errored", rate=Rate(1, per=86_400 * 30))
    assert done == Acted(4, 6)
    assert await processor.count_jobs(status="errored") == 6


def test_a_time_is_never_before_now() -> None:
    """Though the clock went on since the first; the last of all is not beyond the bound."""
    spread = Spread(Rate(1, per=1, burst=1))
    assert spread.next(EPOCH) == EPOCH
    spread.take()
    assert spread.next(EPOCH) == EPOCH + timedelta(seconds=1)
    late = EPOCH + timedelta(minutes=1)
    assert spread.next(late) == late
    slow = Spread(Rate(1, per=LONGEST, burst=1))
    slow.take()
    assert slow.next(EPOCH) == EPOCH + LONGEST
    slow.take()
    assert slow.next(EPOCH) is None


@pytest.mark.parametrize(
    "rate", ["fast", 5, "0/m", Rate(1, per=1, key="k"), Rate(1, per=1, group="g")]
)
async def test_rates_that_are_none(processor: JobProcessor, rate: Any) -> None:
    """They are refused before anything is done, and so is one for another action."""
    with pytest.raises(InvalidArgumentError):
        await processor.act_on_jobs("retry", status="errored", rate=rate)
    with pytest.raises(InvalidArgumentError, match="rate"):
        await processor.act_on_jobs("kill", status="errored", rate="1/s")
    assert await processor.count_jobs(status="errored") == 10
