"""How often a worker looks for work where nobody tells it in time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_processor import JobDef
from job_processor.worker.polling import EAGER, SHORTEST, pause
from tests.insides import store_of
from tests.processors import WAIT, Processors
from tests.worker.test_hints import deafen

IDLE = st.floats(0, 1e6)
INTERVALS = st.floats(0.001, 3600)


def test_it_is_eager_after_work() -> None:
    """As long as jobs may follow the last one, half of a pause is a part of 60 milliseconds."""
    assert {pause(idle, 1.0) for idle in (0.0, 1.0, EAGER)} == {SHORTEST}
    assert SHORTEST / 2 <= 0.01


def test_it_is_calm_when_idle() -> None:
    """From seven seconds after the last job on it asks five times a second at most, then less."""
    assert pause(7.0, 60.0) >= 1 / 5
    assert pause(15.0, 60.0) == 1.0
    assert pause(inf, 60.0) == 60.0


@given(idle=IDLE, more=IDLE, interval=INTERVALS, questions=st.integers(1, 20))
def test_pauses_grow_up_to_the_interval(
    idle: float, more: float, interval: float, questions: int
) -> None:
    """The longer it is idle the longer the pause, the more questions the longer; never too long."""
    now, later = pause(idle, interval, questions), pause(idle + more, interval, questions)
    assert 0 < now <= later <= interval
    assert now == interval or now >= questions * SHORTEST
    assert pause(idle, interval) <= now


async def test_work_that_follows_work_is_not_left_to_the_sweep(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where hints are late, what comes soon after a job is found long before `poll_interval`."""

    async def work() -> None: ...

    producer = await processors.make(jobs={"a": JobDef(work)})
    processor = await processors.make(jobs={"a": JobDef(work)}, poll_interval=600.0)
    slow = replace(store_of(processor).abilities, hints_are_prompt=False)
    monkeypatch.setattr(type(store_of(processor)), "abilities", slow)
    deafen(processor)
    first = await producer.schedule_job("a")
    await processors.worker(processor)
    async with asyncio.timeout(WAIT):
        await producer.wait_for_job(first.id)
        for _ in range(3):
            job = await producer.schedule_job("a")
            await producer.wait_for_job(job.id)
