"""How often a worker looks for work where nobody tells it in time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from job_processor import JobDef
from tests.insides import store_of
from tests.processors import WAIT, Processors
from tests.worker.test_hints import deafen


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
