"""Durations: a number of a unit, or a timedelta; the unit stands in each error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

from job_processor import (
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobTimeoutError,
    Retry,
    RetryLater,
    Snooze,
)
from tests.processors import Processors

HALF = timedelta(seconds=30)


def nothing() -> None: ...


def test_what_takes_a_timedelta() -> None:
    """Each duration of a definition and of a processor, as the number that it is of its unit."""
    retry = Retry(delay=HALF, max_delay=timedelta(hours=1), jitter=False)
    assert (retry.delay, retry.max_delay, retry.pause(2)) == (30.0, 3600.0, 60.0)
    assert (RetryLater(delay=HALF).delay, Snooze(delay=HALF).delay) == (30.0, 30.0)
    assert JobDef(nothing, max_runtime=HALF).limit_seconds == 30
    assert JobDef(nothing, max_runtime=1.5).limit_seconds == 1.5
    assert JobDef(nothing, max_runtime_in_minutes=HALF).limit_seconds == 30
    assert JobDef(nothing, max_runtime_in_minutes=2).limit_seconds == 120
    assert JobDef(nothing).limit_seconds is None
    cron = CronDef("* * * * *", nothing, checkin_margin=HALF, max_runtime=HALF)
    assert (cron.margin_seconds, cron.limit_seconds) == (30, 30)
    settings = JobProcessor(
        "sqlite://",
        poll_interval=HALF,
        heartbeat_interval=timedelta(seconds=5),
        worker_timeout=timedelta(minutes=1),
        shutdown_grace=timedelta(0),
        kill_grace=timedelta(milliseconds=500),
        history_days=timedelta(hours=12),
        ageing=timedelta(minutes=1),
    ).settings
    assert (settings.poll_interval, settings.heartbeat_interval) == (30, 5)
    assert (settings.worker_timeout, settings.shutdown_grace) == (60, 0)
    assert (settings.kill_grace, settings.history_days, settings.ageing) == (0.5, 0.5, 60)


async def test_what_takes_one_when_it_is_called(processors: Processors) -> None:
    """A key's time, and the time for which somebody waits."""
    processor = await processors.make(jobs={"a": JobDef(nothing)})
    job = await processor.schedule_job("a", unique_key="k", unique_for=timedelta(hours=1))
    assert job.unique_until == job.created_at + timedelta(hours=1)
    with pytest.raises(JobTimeoutError):
        await processor.wait_for_job(job.id, timedelta(milliseconds=5))
    for wrong in (timedelta(seconds=-1), "1"):
        with pytest.raises(InvalidArgumentError, match=r"timeout: .* seconds of at least"):
            await processor.wait_for_job(job.id, wrong)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InvalidArgumentError, match=r"unique_for: .* number of seconds above 0"):
        await processor.schedule_job("a", unique_key="k", unique_for=timedelta(0))


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda value: Retry(delay=value), "delay: .* number of seconds of at least 0, or a timedelta"),
    (lambda value: RetryLater(delay=value), "delay: .* number of seconds"),
    (lambda value: JobDef(nothing, max_runtime=value), "max_runtime: .* number of seconds above 0"),
    (
        lambda value: JobDef(nothing, max_runtime_in_minutes=value),
        "max_runtime_in_minutes: .* number of minutes above 0",
    ),
    (
        lambda value: CronDef("* * * * *", nothing, checkin_margin=value),
        "checkin_margin: .* number of minutes",
    ),
    (lambda value: JobProcessor("sqlite://", history_days=value), "number of days above 0"),
    (lambda value: JobProcessor("sqlite://", kill_grace=value), "kill_grace: .* number of seconds"),
    (lambda value: JobProcessor("sqlite://", ageing=value), "ageing: .* number of seconds"),
]


@pytest.mark.parametrize(("make", "told"), WRONG)
@pytest.mark.parametrize("value", [-1, True, "5", nan, inf, timedelta(seconds=-1), [1]])
def test_an_error_has_the_unit(make: Callable[[Any], Any], told: str, value: Any) -> None:
    """What is no duration is refused with what is allowed."""
    with pytest.raises(InvalidArgumentError, match=told):
        make(value)


def test_a_limit_is_given_once() -> None:
    """Two names for the same would contradict each other."""
    with pytest.raises(InvalidArgumentError, match="give one of them"):
        JobDef(nothing, max_runtime=30, max_runtime_in_minutes=1)


async def test_a_limit_of_seconds_is_enforced(processors: Processors) -> None:
    """A run that takes longer is stopped."""
    processor = await processors.make(kill_grace=0.05)

    @processor.job(max_runtime=timedelta(milliseconds=50))
    async def endless(signal: Any) -> None:
        await signal.wait()
        raise RuntimeError(signal.reason)

    job = await endless.run()
    assert job.output is not None
    assert "max runtime" in str(job.output.error)
